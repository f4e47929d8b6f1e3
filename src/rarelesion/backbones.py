"""The image networks whose last convolution, averaged over the picture, is the embedding.

A backbone is written as Keras lists it: one entry for every Keras layer, in Keras's order and under Keras's name
(https://keras.io/api/applications/). So "the first ten layers" is a slice of that list, a Keras weight file maps onto
the network name by name, and the order cannot drift from what is computed, for it is what is computed.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Literal

import torch
from torch import Tensor, nn

from rarelesion.layers import Add, Backbone, BatchNorm, Concatenate, ConvRelu, Layer, Preprocess, Style

BatchNormMode = Literal["trained", "frozen"]


def vgg16() -> Backbone:
    """Simonyan & Zisserman 2014 (https://arxiv.org/abs/1409.1556), configuration D, without its three dense layers."""
    layers = [Layer("input_1", Preprocess("caffe"))]
    channels = 3
    for block, (convolutions, width) in enumerate(((2, 64), (2, 128), (3, 256), (3, 512), (3, 512)), start=1):
        for index in range(1, convolutions + 1):
            layers.append(Layer(f"block{block}_conv{index}", ConvRelu(channels, width, 3, padding=1)))
            channels = width
        layers.append(Layer(f"block{block}_pool", nn.MaxPool2d(2)))
    return Backbone("vgg16", 512, layers[:-1])


def mobilenet() -> Backbone:
    """Howard et al. 2017 (https://arxiv.org/abs/1704.04861), width 1.0; `conv1_pad` is listed as in Keras 2 of 2019."""
    layers = [
        Layer("input_1", Preprocess("tf")),
        Layer("conv1_pad", nn.ZeroPad2d((0, 1, 0, 1))),
        Layer("conv1", nn.Conv2d(3, 32, 3, stride=2, bias=False)),
        *_normalised("conv1", 32, 1e-3, nn.ReLU6),
    ]
    channels = 32
    widths = (64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024)
    for index, width in enumerate(widths, start=1):
        layers += _separable(index, channels, width, stride=2 if index in (2, 4, 6, 12) else 1)
        channels = width
    return Backbone("mobilenet", channels, layers)


def _separable(index: int, channels: int, width: int, stride: int) -> Iterator[Layer]:
    """A 3 x 3 convolution within each channel, then a 1 x 1 convolution across them."""
    depthwise, pointwise = f"conv_dw_{index}", f"conv_pw_{index}"
    if stride == 2:
        yield Layer(f"conv_pad_{index}", nn.ZeroPad2d((0, 1, 0, 1)))
    padding = 1 if stride == 1 else 0
    yield Layer(depthwise, nn.Conv2d(channels, channels, 3, stride, padding, groups=channels, bias=False))
    yield from _normalised(depthwise, channels, 1e-3, nn.ReLU6)
    yield Layer(pointwise, nn.Conv2d(channels, width, 1, bias=False))
    yield from _normalised(pointwise, width, 1e-3, nn.ReLU6)


def _normalised(name: str, channels: int, eps: float, activation: type[nn.ReLU] | type[nn.ReLU6]) -> Iterator[Layer]:
    """Batch normalisation and activation behind the convolution `name`."""
    yield Layer(f"{name}_bn", BatchNorm(channels, eps))
    yield Layer(f"{name}_relu", activation(inplace=True))


EPS = {"keras": 1.001e-5, "torchvision": 1e-5}
"""Of the batch normalisation in ResNet50 and DenseNet169."""


def resnet50() -> Backbone:
    """He et al. 2016 (https://doi.org/10.1109/CVPR.2016.90), version 1: 50 layers, 2048 numbers."""
    return _resnet("resnet50", blocks=(3, 4, 6, 3))


def resnet50_conv4() -> Backbone:
    """ResNet50 without its last stage: 1024 numbers, less bound to the objects of ImageNet."""
    return _resnet("resnet50-conv4", blocks=(3, 4, 6))


def _resnet(name: str, blocks: tuple[int, ...]) -> Backbone:
    layers = [
        Layer("input_1", Preprocess("caffe")),
        Layer("conv1_pad", nn.ZeroPad2d(3)),
        Layer("conv1_conv", nn.Conv2d(3, 64, 7, stride=2)),
        *_normalised("conv1", 64, EPS["keras"], nn.ReLU),
        Layer("pool1_pad", nn.ZeroPad2d(1)),
        Layer("pool1_pool", nn.MaxPool2d(3, stride=2)),
    ]
    channels = 64
    for stage, count in enumerate(blocks, start=2):
        width = 64 * 2 ** (stage - 2)
        for index in range(1, count + 1):
            stride = 2 if index == 1 and stage > 2 else 1
            source = layers[-1].name
            layers += _residual(f"conv{stage}_block{index}", source, channels, width, stride)
            channels = 4 * width
    return Backbone(name, channels, layers)


def _residual(name: str, source: str, channels: int, width: int, stride: int) -> Iterator[Layer]:
    """A bottleneck block; a block that changes the number of channels has a convolution in its shortcut."""
    eps, wide = EPS["keras"], 4 * width
    projected = channels != wide
    yield Layer(f"{name}_1_conv", nn.Conv2d(channels, width, 1, stride))
    yield from _normalised(f"{name}_1", width, eps, nn.ReLU)
    yield Layer(f"{name}_2_conv", nn.Conv2d(width, width, 3, padding=1))
    yield from _normalised(f"{name}_2", width, eps, nn.ReLU)
    if projected:
        yield Layer(f"{name}_0_conv", nn.Conv2d(channels, wide, 1, stride), (source,))
    yield Layer(f"{name}_3_conv", nn.Conv2d(width, wide, 1), (f"{name}_2_relu",))
    if projected:
        yield Layer(f"{name}_0_bn", BatchNorm(wide, eps), (f"{name}_0_conv",))
    yield Layer(f"{name}_3_bn", BatchNorm(wide, eps), (f"{name}_3_conv",))
    yield Layer(f"{name}_add", Add(), (f"{name}_0_bn" if projected else source, f"{name}_3_bn"))
    yield Layer(f"{name}_out", nn.ReLU(inplace=True))


GROWTH = 32
"""Channels that each block of a DenseNet adds to what it read."""


def densenet169() -> Backbone:
    """Huang et al. 2017 (https://doi.org/10.1109/CVPR.2017.243): 169 layers, 1664 numbers; not one of the paper's."""
    layers = [
        Layer("input_1", Preprocess("torch")),
        Layer("zero_padding2d", nn.ZeroPad2d(3)),
        Layer("conv1_conv", nn.Conv2d(3, 64, 7, stride=2, bias=False)),
        *_normalised("conv1", 64, EPS["keras"], nn.ReLU),
        Layer("zero_padding2d_1", nn.ZeroPad2d(1)),
        Layer("pool1", nn.MaxPool2d(3, stride=2)),
    ]
    channels = 64
    for stage, count in enumerate((6, 12, 32, 32), start=2):
        if stage > 2:
            layers += _transition(f"pool{stage - 1}", channels)
            channels //= 2
        for index in range(1, count + 1):
            layers += _dense(f"conv{stage}_block{index}", layers[-1].name, channels)
            channels += GROWTH
    layers += [Layer("bn", BatchNorm(channels, EPS["keras"])), Layer("relu", nn.ReLU(inplace=True))]
    return Backbone("densenet169", channels, layers)


def _dense(name: str, source: str, channels: int) -> Iterator[Layer]:
    """A bottleneck whose output is put behind what it read; each convolution's normalisation comes before it."""
    eps, width = EPS["keras"], 4 * GROWTH
    yield from _normalised(f"{name}_0", channels, eps, nn.ReLU)
    yield Layer(f"{name}_1_conv", nn.Conv2d(channels, width, 1, bias=False))
    yield from _normalised(f"{name}_1", width, eps, nn.ReLU)
    yield Layer(f"{name}_2_conv", nn.Conv2d(width, GROWTH, 3, padding=1, bias=False))
    yield Layer(f"{name}_concat", Concatenate(), (source, f"{name}_2_conv"))


def _transition(name: str, channels: int) -> Iterator[Layer]:
    """Half the channels on a map of half the side."""
    yield from _normalised(name, channels, EPS["keras"], nn.ReLU)
    yield Layer(f"{name}_conv", nn.Conv2d(channels, channels // 2, 1, bias=False))
    yield Layer(f"{name}_pool", nn.AvgPool2d(2))


def tiny() -> Backbone:
    """A network of four convolutions for demonstrations and tests; there are no published weights for it."""
    layers = [Layer("input_1", Preprocess("tf"))]
    channels = 3
    for index, width in enumerate((8, 16, 32, 32), start=1):
        layers.append(Layer(f"conv{index}", nn.Conv2d(channels, width, 3, stride=2, padding=1, bias=False)))
        layers += _normalised(f"conv{index}", width, 1e-3, nn.ReLU)
        channels = width
    return Backbone("tiny", channels, layers)


BACKBONES: dict[str, Callable[[], Backbone]] = {
    "vgg16": vgg16,
    "mobilenet": mobilenet,
    "resnet50": resnet50,
    "resnet50-conv4": resnet50_conv4,
    "densenet169": densenet169,
    "tiny": tiny,
}


def set_style(backbone: Backbone, style: Style) -> None:
    """Compute as the library does that published the weights: Keras, or torchvision.

    torchvision expects its own preprocessing and, for ResNet50 and DenseNet169, another epsilon. Its ResNet50 halves
    the picture in a block's 3 x 3 convolution instead of the first 1 x 1. The parameters are named and shaped alike.
    """
    backbone.style = style
    setattr(backbone, backbone.layer_names[0], Preprocess(backbone.preprocessing))
    for module in backbone.modules():
        if isinstance(module, BatchNorm) and module.eps in EPS.values():
            module.eps = EPS[style]
    if backbone.name.startswith("resnet50"):
        _stride_resnet(backbone, style)


def _stride_resnet(backbone: Backbone, style: Style) -> None:
    for name, module in backbone.named_children():
        if isinstance(module, nn.Conv2d) and name[:5] in ("conv3", "conv4", "conv5") and "block1" in name:
            strided = {"keras": "_1_conv", "torchvision": "_2_conv"}[style]
            if not name.endswith(("_0_conv", "_3_conv")):
                module.stride = (2, 2) if name.endswith(strided) else (1, 1)


def freeze_first(backbone: Backbone, layers: int) -> None:
    """Hold the first `layers` Keras layers as they are, and let every later one learn.

    Layers without weights (input, padding, pooling, activation, addition) count, as in Keras. A held batch
    normalisation uses its stored statistics. The layers are `backbone.layer_names[:layers]`.
    """
    for index, name in enumerate(backbone.layer_names):
        module = backbone.get_submodule(name)
        module.requires_grad_(index >= layers)
        if isinstance(module, BatchNorm):
            module.layer_frozen = index < layers
    backbone.train(backbone.training)


def absorb_batch_norm(backbone: Backbone) -> None:
    """Move what batch normalisation does at its stored statistics into the convolution before it, but for the offset.

    The network computes what it did, with fewer passes over memory: each such normalisation is left with mean 0,
    variance 1 and scale 1, and says so in `absorbed`. Its offset still learns, its scale with each filter's weights; a
    convolution's own offset is 0 from here on. A normalisation that reads anything else, as in DenseNet169 where
    several convolutions' channels meet, stays as it is. For networks whose statistics stay as they are:
    `set_batch_norm` "frozen" is part of it.
    """
    with torch.no_grad():
        for convolution, norm in normalised_convolutions(backbone):
            _absorb(convolution, norm)
    set_batch_norm(backbone, "frozen")


def normalised_convolutions(backbone: Backbone) -> Iterator[tuple[nn.Conv2d, BatchNorm]]:
    """Each convolution that a batch normalisation, and nothing else, reads, with that normalisation."""
    readers = Counter(source for sources in backbone.layer_inputs for source in sources)
    for name, (source, *_) in zip(backbone.layer_names, backbone.layer_inputs, strict=True):
        norm, before = backbone.get_submodule(name), backbone.get_submodule(source)
        if isinstance(norm, BatchNorm) and type(before) is nn.Conv2d and readers[source] == 1:
            yield before, norm


def _absorb(convolution: nn.Conv2d, norm: BatchNorm) -> None:
    weight, bias = folded(convolution, norm)
    convolution.weight.copy_(weight)
    norm.bias.copy_(bias)
    norm.weight.fill_(1.0)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    norm.running_mean.zero_()
    norm.running_var.fill_(1.0 - norm.eps)
    norm.weight.requires_grad_(False)
    norm.absorbed = True
    if convolution.bias is not None:
        convolution.bias.zero_()
        convolution.bias.requires_grad_(False)


def folded(convolution: nn.Conv2d, norm: BatchNorm) -> tuple[Tensor, Tensor]:
    """Weight and bias of the one convolution that does what these two, at stored statistics, do one after another."""
    if norm.absorbed:
        return convolution.weight, norm.bias
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
    mean = norm.running_mean if convolution.bias is None else norm.running_mean - convolution.bias
    return convolution.weight * scale[:, None, None, None], norm.bias - mean * scale


def set_batch_norm(backbone: Backbone, mode: BatchNormMode) -> None:
    """Choose what batch normalisation does in training.

    "trained": it normalises by the batch and updates its statistics, as Keras does; "frozen": it keeps the statistics
    that came with the weights, while its scale and offset still learn (unless `freeze_first` holds the layer).
    """
    for module in backbone.modules():
        if isinstance(module, BatchNorm):
            module.statistics_frozen = mode == "frozen"
    backbone.train(backbone.training)
