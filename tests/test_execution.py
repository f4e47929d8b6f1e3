"""The fast way through a backbone gives what the plain way gives, gradients included."""

import copy

import pytest
import torch
from torch import Tensor

from rarelesion.backbones import (
    BACKBONES,
    Backbone,
    BatchNorm,
    absorb_batch_norm,
    folded,
    freeze_first,
    normalised_convolutions,
    set_batch_norm,
)
from rarelesion.execution import Executor


@pytest.fixture(autouse=True)
def _fixed_draws():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def used(name: str) -> Backbone:
    """A backbone whose batch normalisation has seen something, so that no two channels are treated alike."""
    backbone = BACKBONES[name]()
    for module in backbone.modules():
        if isinstance(module, BatchNorm):
            for values, low, high in ((module.weight, 0.5, 1.5), (module.bias, -0.2, 0.2)):
                torch.nn.init.uniform_(values, low, high)
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.uniform_(-0.2, 0.2)
            module.running_var.uniform_(0.5, 1.5)
    backbone.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    return backbone


def gradients(backbone: Backbone, embeddings: Tensor) -> dict[str, Tensor]:
    direction = torch.linspace(-1, 1, embeddings.numel()).view_as(embeddings)
    (embeddings * direction).sum().backward()
    return {name: weight.grad for name, weight in backbone.named_parameters() if weight.grad is not None}


def flat(of: dict[str, Tensor]) -> Tensor:
    return torch.cat([of[name].flatten() for name in sorted(of)])


@pytest.mark.parametrize("mode", ["trained", "frozen", "absorbed"])
@pytest.mark.parametrize("name", BACKBONES)
def test_embeddings_and_gradients_are_those_of_the_plain_way(name: str, mode: str) -> None:
    # In float64: statistics of a few small maps blow rounding up, in float32 to more than a hundredth.
    plain = used(name).double()
    freeze_first(plain, 4)
    set_batch_norm(plain, "trained" if mode == "trained" else "frozen")
    if mode == "absorbed":
        absorb_batch_norm(plain)
    fast = copy.deepcopy(plain)
    pixels = torch.rand(3, 3, 64, 64, dtype=torch.float64)
    expected, found = plain.train()(pixels), Executor(fast.train(), torch.float64)(pixels)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6 * expected.abs().max().item())
    wanted, got = gradients(plain, expected), gradients(fast, found)
    assert wanted.keys() == got.keys()
    # An offset before a batch normalisation that learns has a gradient of rounding only: no weight is judged alone.
    assert flat(got).shape == flat(wanted).shape
    assert (flat(got) - flat(wanted)).norm() < 1e-5 * flat(wanted).norm()


@pytest.mark.parametrize("name", BACKBONES)
def test_where_nothing_learns_the_result_is_the_same(name: str) -> None:
    backbone = used(name).eval()
    pixels = torch.rand(2, 3, 50, 50)
    with torch.inference_mode():
        expected = backbone(pixels)
        for precision, tolerance in ((torch.float32, 1e-4), (torch.bfloat16, 0.05)):
            found = Executor(backbone, precision)(pixels)
            assert found.dtype == torch.float32
            assert (found - expected).norm() < tolerance * expected.norm()


def test_in_bfloat16_the_gradients_are_rounded_only() -> None:
    plain = used("mobilenet")
    absorb_batch_norm(plain)
    fast, pixels = copy.deepcopy(plain), torch.rand(4, 3, 64, 64)
    wanted = gradients(plain, plain.train()(pixels))
    got = gradients(fast, Executor(fast.train(), torch.bfloat16)(pixels))
    assert got.keys() == wanted.keys()
    assert torch.nn.functional.cosine_similarity(flat(got), flat(wanted), dim=0) > 0.9


def test_the_weights_are_read_anew_at_every_call() -> None:
    backbone = used("tiny").eval()
    executor, pixels = Executor(backbone), torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        before = executor(pixels)
        backbone.get_parameter("conv4.weight").mul_(2)
        torch.testing.assert_close(executor(pixels), backbone(pixels), rtol=1e-4, atol=1e-5)
    assert not torch.allclose(before, executor(pixels))


@pytest.mark.parametrize("name", BACKBONES)
def test_a_backbone_that_absorbed_its_batch_norm_computes_what_it_did(name: str) -> None:
    backbone = used(name).eval()
    pixels = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        before = backbone(pixels)
        absorb_batch_norm(backbone)
        torch.testing.assert_close(backbone(pixels), before, rtol=1e-3, atol=1e-4 * before.abs().max().item())
    norms = [norm for _, norm in normalised_convolutions(backbone)]
    assert {norm for norm in backbone.modules() if isinstance(norm, BatchNorm) and norm.absorbed} == set(norms)
    assert all(norm.absorbed and not norm.weight.requires_grad and norm.bias.requires_grad for norm in norms)
    assert not any(norm.training for norm in backbone.train().modules() if isinstance(norm, BatchNorm))
    again = BACKBONES[name]()
    again.load_state_dict(backbone.state_dict())
    with torch.no_grad():
        torch.testing.assert_close(again.eval()(pixels), before, rtol=1e-3, atol=1e-4 * before.abs().max().item())


def test_what_is_frozen_stays_frozen_when_batch_norm_is_absorbed() -> None:
    backbone = used("resnet50-conv4")
    freeze_first(backbone, 10)
    absorb_batch_norm(backbone)
    assert not any(weight.requires_grad for layer in backbone.layer_names[:10] for weight in
                   getattr(backbone, layer).parameters())  # fmt: skip


def test_folding_by_hand() -> None:
    convolution = torch.nn.Conv2d(1, 1, 1)
    norm = BatchNorm(1, eps=0.0)
    with torch.no_grad():
        for values, number in ((convolution.weight, 3.0), (norm.weight, 5.0), (norm.bias, 7.0)):
            values.fill_(number)
        assert convolution.bias is not None
        convolution.bias.fill_(2.0)
        norm.running_mean, norm.running_var = torch.tensor([1.0]), torch.tensor([4.0])
    weight, bias = folded(convolution, norm)
    # 5 * (3 x + 2 - 1) / 2 + 7
    assert (weight.item(), bias.item()) == (7.5, 9.5)


@pytest.mark.parametrize("name", BACKBONES)
def test_taken_through_the_wide_maps_in_parts_the_batch_gives_the_same(name: str, monkeypatch) -> None:
    plain = used(name).double()
    freeze_first(plain, 10)
    set_batch_norm(plain, "frozen")
    pixels, fast = torch.rand(5, 3, 64, 64, dtype=torch.float64), copy.deepcopy(plain)
    whole = Executor(plain.train(), torch.float64)(pixels)
    with torch.inference_mode():
        read_whole = Executor(plain.eval(), torch.float64)(pixels)
    executor = Executor(fast.train(), torch.float64)
    monkeypatch.setattr("rarelesion.execution.CACHE_BYTES", 3 * executor._bytes_of_a_map(pixels))
    parts = executor(pixels)
    torch.testing.assert_close(parts, whole, rtol=1e-5, atol=1e-6 * whole.abs().max().item())
    one, other = gradients(plain, whole), gradients(fast, parts)
    assert (flat(other) - flat(one)).norm() < 1e-5 * flat(one).norm()
    with torch.inference_mode():
        torch.testing.assert_close(Executor(fast.eval(), torch.float64)(pixels), read_whole, rtol=1e-5, atol=1e-5)


def test_an_average_is_taken_before_the_1_x_1_convolution_that_it_follows() -> None:
    executor = Executor(used("densenet169"))
    outputs = [step.output for step in executor._steps]
    assert [name for name in outputs if name.endswith(("_pool", "pool2_conv"))] == [
        "pool2_pool", "pool3_pool", "pool4_pool",
    ]  # fmt: skip
    assert outputs[executor._wide] == "pool2_pool"


def test_statistics_of_the_batch_are_those_of_the_whole_batch(monkeypatch) -> None:
    backbone = used("tiny")
    set_batch_norm(backbone, "trained")
    pixels = torch.rand(6, 3, 64, 64)
    backbone.train()
    with torch.no_grad():
        expected = backbone(pixels)
        monkeypatch.setattr("rarelesion.execution.CACHE_BYTES", 1)
        torch.testing.assert_close(Executor(backbone)(pixels), expected, rtol=1e-3, atol=1e-4)
