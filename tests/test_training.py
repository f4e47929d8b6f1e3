"""Training on toy patches whose answer is known: what is learnt, what stays, what is returned."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from rarelesion.backbones import BACKBONES, Backbone, absorb_batch_norm
from rarelesion.epochs import Watch
from rarelesion.errors import InputError
from rarelesion.settings import TrainingSettings
from rarelesion.training import TrainedNetwork, _make_pool, choose_precision, embed, rebuild, train_network
from rarelesion.types import Epoch

QUICK = TrainingSettings(
    frozen_layers=0, max_epochs=12, learning_rate=3e-3, batch_norm="trained", precision="float32", batch_size=8
)


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def toy_patches(count: int, seed: int, side_px: int = 32) -> tuple[np.ndarray, np.ndarray]:
    """Benign: a smooth bright disc. Malignant, a third of them: the same disc, speckled."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 3 == 2
    place = np.linspace(-1, 1, side_px)
    disc = (np.hypot(place[:, None], place[None, :]) < 0.7).astype(np.float32)
    pixels = np.zeros((count, 3, side_px, side_px), dtype=np.float32)
    speckle = rng.uniform(-1, 1, pixels.shape) * np.where(labels, 0.4, 0.05)[:, None, None, None]
    pixels[:, 1:] = np.clip(disc * (0.6 + speckle[:, 1:]), 0, 1)
    return pixels, labels.astype(np.int64)


def gratings(count: int, side_px: int = 32) -> np.ndarray:
    rng = np.random.default_rng(5)
    waves = np.arange(side_px)[None, :] * rng.uniform(0.3, 1.5, (count, 1))
    grey = (0.5 + 0.5 * np.sin(waves))[:, None, None, :]
    return np.broadcast_to(grey, (count, 3, side_px, side_px)).astype(np.float32)


def tiny(seed: int = 1) -> Backbone:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return BACKBONES["tiny"]()


def train(settings: TrainingSettings = QUICK, **changes: object) -> TrainedNetwork:
    train_set, tune_set = toy_patches(36, seed=1), toy_patches(18, seed=2)
    arguments = {"textures": gratings(50), "alpha": None, "seed": 3} | changes
    return train_network(tiny(), *train_set, *tune_set, settings=settings, **arguments)  # type: ignore[arg-type]


def auc(scores: np.ndarray, labels: np.ndarray) -> float:
    pairs = scores[labels == 1][:, None] - scores[labels == 0][None, :]
    return float((pairs > 0).mean() + (pairs == 0).mean() / 2)


@pytest.mark.parametrize("alpha", [None, 16.0])
def test_separable_patches_are_learnt(alpha: float | None):
    settings = replace(QUICK, max_epochs=40, mixup=0.0, erasing_probability=0.0)
    network = train(settings, alpha=alpha)
    losses = [epoch.tune_loss for epoch in network.history]
    assert min(losses) < 0.6 * losses[0]
    pixels, labels = toy_patches(60, seed=9)
    logits = embed(network, pixels)[1]
    assert logits.shape == (60, 3)
    assert auc(logits[:, 1] - logits[:, 0], labels) > 0.95
    assert np.all(embed(network, gratings(20))[1].argmax(1) == 2)


def test_weights_of_the_best_epoch_are_returned_not_the_last():
    settings = replace(QUICK, max_epochs=10, learning_rate=0.02)
    network = train(settings)
    losses = np.array([epoch.tune_loss for epoch in network.history])
    assert losses.argmin() < len(losses) - 1
    pixels, labels = toy_patches(18, seed=2)
    logits = torch.from_numpy(embed(network, pixels)[1])
    again = torch.nn.functional.cross_entropy(logits, torch.from_numpy(labels)).item()
    assert again == pytest.approx(losses.min(), rel=1e-5)


def test_training_stops_once_patience_is_spent():
    network = train(replace(QUICK, max_epochs=200, learning_rate=0.02, patience=3))
    losses = [epoch.tune_loss for epoch in network.history]
    assert len(losses) - 1 - int(np.argmin(losses)) == 3
    assert [epoch.epoch for epoch in network.history] == list(range(1, len(losses) + 1))


@pytest.mark.parametrize("profile", ["paper", "fast"])
def test_frozen_layers_stay_as_they_were(profile: str):
    start = tiny()
    settings = TrainingSettings(profile=profile, max_epochs=1, frozen_layers=4)  # type: ignore[arg-type]
    if profile == "fast":
        absorb_batch_norm(start)
    trained = train(settings).backbone.state_dict()
    changed = {
        name.split(".")[0] for name, value in start.state_dict().items() if not torch.equal(trained[name], value)
    }
    assert start.layer_names[1] == "conv1"
    assert not changed & set(start.layer_names[:4])
    assert {"conv2", "conv3", "conv4"} <= changed


def test_no_gradient_is_kept_for_the_frozen_layers():
    backbone = train(replace(QUICK, max_epochs=1, frozen_layers=4)).backbone
    keeps: dict[str, bool] = {}
    for name in ("conv1_relu", "conv2"):
        layer = backbone.get_submodule(name)
        layer.register_forward_hook(lambda _, __, output, name=name: keeps.update({name: output.requires_grad}))
    backbone(torch.rand(2, 3, 32, 32))
    assert keeps == {"conv1_relu": False, "conv2": True}


def test_frozen_statistics_stay_and_trained_ones_move():
    for mode, moves in (("frozen", False), ("trained", True)):
        network = train(replace(QUICK, max_epochs=1, batch_norm=mode))  # type: ignore[arg-type]
        mean = network.backbone.state_dict()["conv4_bn.running_mean"]
        assert bool(mean.abs().sum() > 0) == moves


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_same_seed_same_numbers_and_the_global_generators_are_untouched(precision: str):
    settings = replace(QUICK, max_epochs=2, precision=precision)  # type: ignore[arg-type]
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    first, second, other = train(settings), train(settings), train(settings, seed=4)
    assert torch.equal(torch_state, torch.get_rng_state())
    assert np.array_equal(numpy_state, np.random.get_state()[1])  # noqa: NPY002
    assert [epoch.tune_loss for epoch in first.history] == [epoch.tune_loss for epoch in second.history]
    assert all(torch.equal(value, second.state()[name]) for name, value in first.state().items())
    assert any(not torch.equal(value, other.state()[name]) for name, value in first.state().items())


def test_the_backbone_given_is_not_changed():
    start = tiny()
    before = {name: value.clone() for name, value in start.state_dict().items()}
    train_network(start, *toy_patches(9, 1), *toy_patches(6, 2), None, replace(QUICK, max_epochs=1), None, seed=0)
    assert all(torch.equal(value, before[name]) for name, value in start.state_dict().items())


def test_a_rebuilt_network_gives_the_same_embeddings():
    network = train(replace(QUICK, max_epochs=2), alpha=8.0)
    again = rebuild(tiny(seed=77), 8.0, network.state())
    pixels = toy_patches(7, seed=4)[0]
    for one, other in zip(embed(network, pixels), embed(again, pixels), strict=True):
        np.testing.assert_array_equal(one, other)
    assert again.classes == 3


def test_embeddings_do_not_depend_on_the_batch_size():
    network = train(replace(QUICK, max_epochs=1))
    pixels = toy_patches(11, seed=4)[0]
    whole, single = embed(network, pixels), embed(network, pixels, batch_size=1)
    assert whole[0].shape == (11, network.backbone.dim)
    for one, other in zip(whole, single, strict=True):
        assert one.dtype == np.float32
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_under_the_l2_constraint_every_embedding_has_length_alpha():
    vectors = embed(train(replace(QUICK, max_epochs=1), alpha=80.0), toy_patches(5, seed=4)[0])[0]
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 80.0, rtol=1e-5)


def test_without_textures_there_are_two_classes():
    network = train(replace(QUICK, max_epochs=1), textures=None)
    assert network.classes == 2
    assert embed(network, toy_patches(3, seed=4)[0])[1].shape == (3, 2)


@pytest.mark.parametrize("count", [1, 9, 17])
def test_a_last_batch_of_one_does_not_upset_batch_norm(count: int):
    settings = replace(QUICK, max_epochs=1, batch_size=8)
    pixels, labels = toy_patches(count, 1)
    network = train_network(tiny(), pixels, labels, *toy_patches(6, 2), None, settings, None, seed=0)
    assert np.isfinite(network.history[0].train_loss)


def test_textures_are_drawn_anew_in_every_epoch():
    few = train(replace(QUICK, max_epochs=1), textures_per_case=3.0)  # 108 drawn from a pool of 50: some come twice
    assert np.isfinite(few.history[0].train_loss)
    pool = _make_pool(*toy_patches(10, 1), gratings(100), per_case=2.0)
    rng = np.random.default_rng(0)
    first, second = pool.draw(rng), pool.draw(rng)
    assert sorted(first[first < 10]) == sorted(second[second < 10]) == list(range(10))
    assert len(set(first[first >= 10])) == 20
    assert set(first[first >= 10]) != set(second[second >= 10])
    assert torch.all(pool.targets[10:] == torch.tensor([0.0, 0.0, 1.0]))


def test_balanced_weights_give_every_class_the_same_share():
    pool = _make_pool(*toy_patches(36, 1), gratings(50), per_case=1.0)
    torch.testing.assert_close(pool.class_weights() * torch.tensor([24.0, 12.0, 36.0]), torch.full((3,), 24.0))
    plain, balanced = (train(replace(QUICK, max_epochs=1, class_weights=kind)) for kind in ("none", "balanced"))
    assert plain.history[0].train_loss != balanced.history[0].train_loss


def test_a_loss_that_is_not_a_number_is_said_so():
    with pytest.raises(InputError, match=r"no longer a number.*learning_rate"):
        train(replace(QUICK, learning_rate=1e38, max_epochs=5), textures=None)


def test_patches_that_are_missing_or_not_finite_are_all_named():
    pixels, labels = toy_patches(4, 1)
    broken = pixels.copy()
    broken[2, 0, 0, 0] = np.nan
    with pytest.raises(InputError) as caught:
        train_network(tiny(), broken, labels, pixels[:0], labels[:0], None, QUICK, None, seed=0)
    assert [problem.where for problem in caught.value.problems] == ["training patches", "tuning patches"]
    assert "first in number 2" in str(caught.value)


def test_every_epoch_is_reported_and_an_interruption_passes_through():
    seen: list[Epoch] = []

    def stop(epoch: Epoch) -> None:
        seen.append(epoch)
        if epoch.epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(watch=Watch(stop))
    assert [epoch.epoch for epoch in seen] == [1, 2]


def test_precision_follows_the_setting_then_the_processor(monkeypatch: pytest.MonkeyPatch):
    assert choose_precision(replace(QUICK, precision="bfloat16")) is torch.bfloat16
    open_choice = TrainingSettings()
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_f": True}, raising=False)
    assert choose_precision(open_choice) is torch.float32
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": True}, raising=False)
    assert choose_precision(open_choice) is (torch.bfloat16 if torch.backends.mkldnn.is_available() else torch.float32)
    assert choose_precision(TrainingSettings(profile="paper").resolved()) is torch.float32
