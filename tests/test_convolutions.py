"""Every fast convolution against torch's own in double precision, values and gradients."""

import itertools

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from rarelesion.convolutions import NO_LIMIT, convolve, halve

SHAPES = {
    "pointwise": (nn.Conv2d(5, 7, 1), 9),
    "strided pointwise": (nn.Conv2d(5, 7, 1, stride=2), 9),
    "depthwise": (nn.Conv2d(6, 6, 3, padding=1, groups=6), 8),
    "strided depthwise": (nn.Conv2d(6, 6, 3, stride=2, groups=6), 9),
    "small map": (nn.Conv2d(40, 8, 3, padding=1), 4),
    "large map": (nn.Conv2d(2, 8, 3, padding=1), 20),
    "strided": (nn.Conv2d(4, 8, 7, stride=2), 17),
}


def parts_of(layer: nn.Conv2d, side: int, bias: bool) -> list[Tensor | None]:
    generator = torch.Generator().manual_seed(3)
    shapes = [(2, layer.in_channels, side, side), tuple(layer.weight.shape), (layer.out_channels,)]
    values, weight, offset = (torch.randn(shape, generator=generator) for shape in shapes)
    values, weight = (part.contiguous(memory_format=torch.channels_last) for part in (values, weight))
    return [values, weight, offset if bias else None]


def plain(layer: nn.Conv2d, parts: list[Tensor | None], limit: float | None) -> Tensor:
    values, weight, bias = (None if part is None else part for part in parts)
    assert values is not None
    assert weight is not None
    result = functional.conv2d(values, weight, bias, layer.stride, layer.padding, layer.dilation, layer.groups)
    return result if limit is None else result.clamp(0, None if limit == NO_LIMIT else limit)


def with_gradients(parts: list[Tensor | None], dtype: torch.dtype) -> list[Tensor | None]:
    return [None if part is None else part.to(dtype).requires_grad_() for part in parts]


@pytest.mark.parametrize(("kind", "bias", "limit"), [*itertools.product(SHAPES, (True, False), (None, NO_LIMIT, 1.5))])
def test_values_and_gradients(kind: str, bias: bool, limit: float | None) -> None:
    layer, side = SHAPES[kind]
    given = parts_of(layer, side, bias)
    exact, ours = with_gradients(given, torch.float64), with_gradients(given, torch.float32)
    expected = plain(layer, exact, limit)
    found = convolve(layer, *ours[1:], ours[0], limit)  # type: ignore[arg-type]
    assert found.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-4)
    weights = torch.cos(torch.arange(expected.numel(), dtype=torch.float64)).view_as(expected)
    (expected * weights).sum().backward()
    (found * weights.float()).sum().backward()
    for one, other in zip(ours, exact, strict=True):
        if one is not None and other is not None and one.grad is not None and other.grad is not None:
            torch.testing.assert_close(one.grad.double(), other.grad, rtol=1e-3, atol=1e-3)
    with torch.inference_mode():
        still = convolve(layer, *given[1:], given[0], limit)  # type: ignore[arg-type]
    torch.testing.assert_close(still.double(), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", SHAPES)
def test_in_bfloat16_values_stay_so_and_are_rounded_only(kind: str) -> None:
    layer, side = SHAPES[kind]
    parts = with_gradients(parts_of(layer, side, bias=True), torch.float32)
    values = parts[0].to(torch.bfloat16)  # type: ignore[union-attr]
    found = convolve(layer, *parts[1:], values, None)  # type: ignore[arg-type]
    assert found.dtype == torch.bfloat16
    expected = plain(layer, parts, None)
    assert (found.float() - expected).norm() < 0.02 * expected.norm()
    found.float().square().sum().backward()
    assert all(part is not None and part.grad is not None and part.grad.dtype == torch.float32 for part in parts)


@pytest.mark.parametrize("side", [8, 9])
def test_halving_is_pooling(side: int) -> None:
    values = torch.randn(2, 3, side, side)
    assert torch.equal(halve(values), functional.max_pool2d(values, 2))
