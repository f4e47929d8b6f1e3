"""Pre-training on gratings, whose direction and pitch are the classes."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from rarelesion.backbones import BACKBONES, Backbone, BatchNorm, ConvRelu
from rarelesion.pretraining import BATCH, calibrate, pretrain, recolour


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def gratings(count: int, rng: np.random.Generator, side_px: int = 32) -> tuple[np.ndarray, np.ndarray]:
    """Four kinds: smooth or square waves, wide or narrow, of any direction and contrast."""
    labels = rng.integers(0, 4, count)
    place = np.linspace(-1, 1, side_px)
    angle, phase = rng.uniform(0, 2 * np.pi, (2, count, 1, 1))
    waves = np.where(labels % 2, 12.0, 30.0)[:, None, None]
    wave = np.sin(waves * (np.cos(angle) * place[:, None] + np.sin(angle) * place[None, :]) + phase)
    wave = np.where(labels[:, None, None] < 2, wave, np.sign(wave)) * rng.uniform(0.3, 0.5, (count, 1, 1))
    return np.repeat((0.5 + wave)[:, None], 3, axis=1).astype(np.float32), labels


def nearest_mean_accuracy(backbone: Backbone) -> float:
    """How well the nearest class mean in the embedding names gratings never seen in training."""
    known, labels = gratings(200, np.random.default_rng(50))
    new, truth = gratings(200, np.random.default_rng(51))
    with torch.inference_mode():
        first, second = (backbone.eval()(torch.from_numpy(pixels)).numpy() for pixels in (known, new))
    means = np.stack([first[labels == kind].mean(0) for kind in range(4)])
    distances = np.linalg.norm((second[:, None] - means) / first.std(0).clip(1e-6), axis=2)
    return float((distances.argmin(1) == truth).mean())


@pytest.fixture(scope="module")
def pretrained() -> Backbone:
    return pretrain("tiny", gratings, classes=4, images=2400, side_px=32, seed=0)


def test_gratings_are_told_apart_far_better_than_from_a_random_start(pretrained: Backbone):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        start = BACKBONES["tiny"]()
    assert nearest_mean_accuracy(pretrained) > 0.8
    assert nearest_mean_accuracy(pretrained) > nearest_mean_accuracy(start) + 0.15


def test_batch_norm_statistics_are_those_of_the_finished_network(pretrained: Backbone):
    pixels = torch.from_numpy(gratings(256, np.random.default_rng(3))[0])
    pixels = recolour(pixels, torch.zeros(256, 4), torch.Generator().manual_seed(0))[0]
    name, layer = next((name, module) for name, module in pretrained.named_modules() if isinstance(module, BatchNorm))
    assert name == "conv1_bn"
    assert layer.running_mean is not None
    assert layer.running_var is not None
    with torch.inference_mode():
        output = pretrained.get_submodule("conv1")(pretrained.get_submodule("input_1")(pixels))
    torch.testing.assert_close(layer.running_mean, output.mean((0, 2, 3)), atol=0.25, rtol=0.25)
    torch.testing.assert_close(layer.running_var, output.var((0, 2, 3)), atol=0.1, rtol=0.5)
    assert not pretrained.training


def test_same_seed_same_weights_and_the_global_generator_is_untouched():
    before = torch.get_rng_state()
    first, second, other = (pretrain("tiny", gratings, 4, 2 * BATCH, 32, seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(value, second[name]) for name, value in first.items())
    assert not torch.equal(first["conv1.weight"], other["conv1.weight"])


def test_progress_counts_pictures_up_to_the_total():
    seen: list[tuple[int, int]] = []
    pretrain("tiny", gratings, 4, 3 * BATCH - 1, 32, seed=0, on_progress=lambda *counts: seen.append(counts))
    assert seen == [(BATCH, 3 * BATCH), (2 * BATCH, 3 * BATCH), (3 * BATCH, 3 * BATCH)]


def test_calibration_gives_every_channel_mean_zero_and_variance_one_all_the_way_down():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        backbone = BACKBONES["vgg16"]()
    pixels = torch.from_numpy(gratings(8, np.random.default_rng(0))[0])
    calibrate(backbone, pixels)
    checked = 0

    def look(module: torch.nn.Module, inputs: tuple[torch.Tensor]) -> None:
        nonlocal checked
        assert isinstance(module, ConvRelu)
        output = functional.conv2d(inputs[0], module.weight, module.bias, padding=1)
        torch.testing.assert_close(output.mean((0, 2, 3)), torch.zeros(module.out_channels), atol=1e-3, rtol=0)
        torch.testing.assert_close(output.std((0, 2, 3)), torch.ones(module.out_channels), atol=1e-3, rtol=0)
        checked += 1

    for module in backbone.modules():
        if isinstance(module, ConvRelu):
            module.register_forward_pre_hook(look)
    with torch.inference_mode():
        backbone(pixels)
    assert checked == 13


def test_recolouring_empties_and_mixes_channels_as_often_as_it_says_and_counts_classes_by_channels():
    count = 3000
    targets = torch.eye(3)[torch.arange(count) % 3]
    checkers = (torch.arange(16)[:, None] + torch.arange(16)) % 2
    # The kind of a picture can be read off its channels: which rows its pattern fills.
    kinds = torch.stack([checkers * (torch.arange(16)[:, None] // 5 == kind) for kind in range(3)]).float()
    pixels = kinds[torch.arange(count) % 3][:, None].repeat(1, 3, 1, 1)
    coloured, soft = recolour(pixels, targets, torch.Generator().manual_seed(0))
    assert coloured.min() >= 0
    assert coloured.max() <= 1
    empty = coloured.flatten(2).amax(2) == 0
    assert empty.sum(1).max() == 1
    assert empty.any(1).float().mean() == pytest.approx(1 / 2, abs=0.03)
    torch.testing.assert_close(soft.sum(1), torch.ones(count))
    mixed = soft.amax(1) < 1
    assert mixed.float().mean() == pytest.approx(1 / 6, abs=0.03)
    rows = coloured.var(3)
    shown = torch.stack([rows[:, :, kind * 5 : kind * 5 + 5].sum(2) for kind in range(3)], 2).argmax(2)
    filled = ~empty & (coloured.flatten(2).var(2) > 0)
    by_channel = functional.one_hot(shown, 3) * filled[:, :, None]
    whole = filled.sum(1) == 3 - empty.sum(1).long()
    share = by_channel.sum(1) / filled.sum(1, keepdim=True)
    torch.testing.assert_close(share[whole], soft[whole])
