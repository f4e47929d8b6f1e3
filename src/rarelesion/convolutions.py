"""Convolutions that are fast on a CPU where the library's own are slow, and equal to them but for rounding.

Measured on AMX and AVX-512 with maps in channels-last order (docs/concepts/speed.md):

* a 1 x 1 convolution is a matrix product; as one, its gradient by the weights is many times faster on a small map;
* a 3 x 3 convolution on a small map is faster as a product with nine shifted copies of it, again for the gradient;
* the gradient of a strided depthwise convolution has no fast code in bfloat16, so it is computed in float32;
* where nothing learns, oneDNN computes convolution and activation in one pass over memory.

On any other device the library's own convolution is used.
"""

import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx
from torch.nn import functional

ROWS_A_CHANNEL = 4
"""A 3 x 3 convolution on at most this many positions per input channel is computed by shifted copies."""
NO_LIMIT = float("inf")
ONEDNN = (torch.float32, torch.bfloat16)
"""The precisions that it computes in."""


def convolve(layer: nn.Conv2d, weight: Tensor, bias: Tensor | None, values: Tensor, limit: float | None) -> Tensor:
    """The convolution of `layer` with a weight and a bias of the caller's, and the activation behind it.

    `values` is (n, channels, h, w) in channels-last order; weight and bias are converted to its precision. `limit` is
    what the activation cuts off at (it cuts off below 0 as well): 6 for ReLU6, NO_LIMIT for ReLU, None for none at all.
    """
    parts = [part for part in (values, weight, bias) if part is not None]
    learns = torch.is_grad_enabled() and any(part.requires_grad for part in parts)
    if values.device.type != "cpu":
        return activate(_library(layer, weight, bias, values, values.dtype), limit)
    if layer.kernel_size == (1, 1) and layer.groups == 1 and layer.padding == (0, 0):
        return _pointwise(weight, bias, values, layer.stride, limit)
    if not learns:
        return _fused(layer, weight, bias, values, limit)
    if layer.groups > 1 and layer.stride != (1, 1):
        precision = torch.promote_types(values.dtype, torch.float32)
        return activate(_library(layer, weight, bias, values, precision).to(values.dtype), limit)
    if _is_small(layer, values):
        products = _ShiftedConvolution.apply(values, weight.to(values.dtype), _as(bias, values))
        return _map(activate(products, limit), values)  # pyright: ignore[reportArgumentType]
    return activate(_library(layer, weight, bias, values, values.dtype), limit)


def activate(values: Tensor, limit: float | None) -> Tensor:
    """The activation, in place."""
    if limit is None:
        return values
    return functional.relu_(values) if limit == NO_LIMIT else functional.hardtanh_(values, 0.0, limit)


def halve(values: Tensor) -> Tensor:
    """The largest of every 2 x 2 pixels of (n, channels, h, w), where nothing learns: which it was is not noted."""
    height, width = values.shape[2] // 2 * 2, values.shape[3] // 2 * 2
    rows = torch.maximum(values[:, :, 0:height:2], values[:, :, 1:height:2])
    return torch.maximum(rows[:, :, :, 0:width:2], rows[:, :, :, 1:width:2])


def _as(part: Tensor | None, like: Tensor) -> Tensor | None:
    return None if part is None else part.to(like.dtype)


def _library(layer: nn.Conv2d, weight: Tensor, bias: Tensor | None, values: Tensor, precision: torch.dtype) -> Tensor:
    values = values.to(precision)
    return functional.conv2d(
        values, weight.to(precision), _as(bias, values), layer.stride, layer.padding, layer.dilation, layer.groups
    )


def _pointwise(
    weight: Tensor, bias: Tensor | None, values: Tensor, stride: tuple[int, ...], limit: float | None
) -> Tensor:
    if stride != (1, 1):
        values = values[:, :, :: stride[0], :: stride[1]]
    rows = _rows(values)
    products = functional.linear(rows, weight.to(rows.dtype).flatten(1), _as(bias, rows))
    return _map(activate(products, limit), values)


def _rows(values: Tensor) -> Tensor:
    """(n, channels, h, w) as (n h w, channels): a view where the order is channels-last."""
    return values.permute(0, 2, 3, 1).reshape(-1, values.shape[1])


def _map(rows: Tensor, like: Tensor) -> Tensor:
    """(n h w, channels) as (n, channels, h, w) in channels-last order, n, h and w as in `like`."""
    count, _, height, width = like.shape
    return rows.view(count, height, width, -1).permute(0, 3, 1, 2)


def _fused(layer: nn.Conv2d, weight: Tensor, bias: Tensor | None, values: Tensor, limit: float | None) -> Tensor:
    fused = getattr(torch.ops.mkldnn, "_convolution_pointwise", None) if torch.backends.mkldnn.is_available() else None
    if fused is None or limit is None or isinstance(layer.padding, str) or values.dtype not in ONEDNN:
        return activate(_library(layer, weight, bias, values, values.dtype), limit)
    kind, bounds = ("relu", []) if limit == NO_LIMIT else ("hardtanh", [0.0, limit])
    return fused(
        values,
        weight.to(values.dtype),
        _as(bias, values),
        layer.padding,
        layer.stride,
        layer.dilation,
        layer.groups,
        kind,
        bounds,
        "",
    )


def _is_small(layer: nn.Conv2d, values: Tensor) -> bool:
    count, channels, height, width = values.shape
    plain = layer.kernel_size == (3, 3) and layer.padding == (1, 1) and layer.stride == layer.dilation == (1, 1)
    return plain and layer.groups == 1 and count * height * width <= ROWS_A_CHANNEL * channels


class _ShiftedConvolution(torch.autograd.Function):
    """A 3 x 3 convolution of stride 1 and padding 1 as one product with the nine shifted copies of the map.

    From values (n, channels, h, w) to rows (n h w, filters). The gradients are written out: those the library would
    derive add up the copies one by one.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, values: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(values, weight)
        ctx.has_bias = bias is not None  # pyright: ignore[reportAttributeAccessIssue]
        kernel = weight.permute(0, 2, 3, 1).flatten(1)
        return functional.linear(_shifted(values), kernel, bias)

    @staticmethod
    def backward(ctx: FunctionCtx, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:  # pyright: ignore
        values, weight = ctx.saved_tensors  # pyright: ignore[reportAttributeAccessIssue]
        by_values, by_weight, by_bias = ctx.needs_input_grad  # pyright: ignore[reportAttributeAccessIssue]
        rows = gradient.contiguous()
        result: list[Tensor | None] = [None, None, None]
        if by_values:
            gradient = _map(rows, values)
            result[0] = nn.grad.conv2d_input(values.shape, weight, gradient, padding=1)  # type: ignore[arg-type]
        if by_weight:
            products = rows.t() @ _shifted(values)
            result[1] = products.view(len(weight), 3, 3, -1).permute(0, 3, 1, 2)
        if by_bias:
            result[2] = rows.sum(0)
        return result[0], result[1], result[2]


def _shifted(values: Tensor) -> Tensor:
    """(n h w, 9 channels): each position's 3 x 3 surroundings, zeros beyond the border."""
    count, channels, height, width = values.shape
    padded = functional.pad(values.permute(0, 2, 3, 1), (0, 0, 1, 1, 1, 1))
    image, row, column, _ = padded.stride()
    shape, strides = (count, height, width, 3, 3, channels), (image, row, column, row, column, 1)
    return padded.as_strided(shape, strides).reshape(count * height * width, 9 * channels)
