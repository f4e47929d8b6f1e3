"""The image networks whose last convolution, averaged over the picture, is the embedding.

A backbone is written as Keras lists it: one entry for every Keras layer, in Keras's order and under Keras's name
(https://keras.io/api/applications/). So "the first ten layers" is a slice of that list, a Keras weight file maps onto
the network name by name, and the order cannot drift from what is computed, for it is what is computed.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

Style = Literal["keras", "torchvision"]
BatchNormMode = Literal["trained", "frozen"]

KERAS_MOMENTUM = 0.01
"""Share of the newest batch in the running statistics (Keras writes the complement, 0.99)."""


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """What a family of weights expects as input: channel * scale - shift, on pixels in 0..1."""

    reverse: bool
    """Whether the channels go in as blue, green, red."""
    scale: tuple[float, float, float]
    shift: tuple[float, float, float]


PREPROCESSING: dict[str, Preprocessing] = {
    "caffe": Preprocessing(reverse=True, scale=(255.0, 255.0, 255.0), shift=(103.939, 116.779, 123.68)),
    "tf": Preprocessing(reverse=False, scale=(2.0, 2.0, 2.0), shift=(1.0, 1.0, 1.0)),
    "torch": Preprocessing(
        reverse=False,
        scale=(1 / 0.229, 1 / 0.224, 1 / 0.225),
        shift=(0.485 / 0.229, 0.456 / 0.224, 0.406 / 0.225),
    ),
}


class Preprocess(nn.Module):
    """The input layer: patches in 0..1 to what the weights expect."""

    scale: Tensor
    shift: Tensor

    def __init__(self, kind: str) -> None:
        super().__init__()
        chosen = PREPROCESSING[kind]
        self.kind = kind
        self.reverse = chosen.reverse
        self.register_buffer("scale", torch.tensor(chosen.scale).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("shift", torch.tensor(chosen.shift).view(1, 3, 1, 1), persistent=False)

    def forward(self, pixels: Tensor) -> Tensor:
        ordered = pixels.flip(1) if self.reverse else pixels
        return ordered * self.scale - self.shift


class ConvRelu(nn.Conv2d):
    """A convolution with its activation inside, as Keras's VGG has it."""

    def forward(self, input: Tensor) -> Tensor:
        return functional.relu(super().forward(input), inplace=True)


class BatchNorm(nn.BatchNorm2d):
    """Batch normalisation that can be held at its stored statistics, whatever `train()` is called on the network."""

    def __init__(self, channels: int, eps: float) -> None:
        super().__init__(channels, eps=eps, momentum=KERAS_MOMENTUM)
        self.layer_frozen = False
        self.statistics_frozen = False
        self.absorbed = False

    def train(self, mode: bool = True) -> "BatchNorm":
        super().train(mode and not (self.layer_frozen or self.statistics_frozen))
        return self

    def forward(self, input: Tensor) -> Tensor:
        # One value a channel has no spread to learn from (a batch of one whose map shrank to 1 x 1).
        if self.training and input.shape[0] * input.shape[2] * input.shape[3] == 1:
            return functional.batch_norm(
                input, self.running_mean, self.running_var, self.weight, self.bias, training=False, eps=self.eps
            )
        return super().forward(input)


class Add(nn.Module):
    """The end of a residual block: shortcut plus branch."""

    def forward(self, shortcut: Tensor, branch: Tensor) -> Tensor:
        return shortcut + branch


@dataclass(frozen=True, slots=True)
class Layer:
    """One Keras layer: its name, what it does, and the layers it reads (none named: the one before it)."""

    name: str
    module: nn.Module
    inputs: tuple[str, ...] = ()


class Backbone(nn.Module):
    """From patches (n, 3, h, w), RGB in 0..1, to embeddings (n, dim), float32: the mean of the last convolution."""

    def __init__(self, name: str, dim: int, layers: list[Layer]) -> None:
        super().__init__()
        self.name = name
        self.dim = dim
        self.style: Style = "keras"
        assert isinstance(layers[0].module, Preprocess)
        self.keras_preprocessing = layers[0].module.kind
        self.layer_names = tuple(layer.name for layer in layers)
        """Every layer in Keras's own order, those without weights included."""
        previous = ("", *self.layer_names)
        self.layer_inputs = tuple(layer.inputs or (before,) for layer, before in zip(layers, previous, strict=False))
        """The layers that each layer reads, in the same order; the first reads the patches, named by an empty text."""
        self._last_reader = {
            source: layer.name for layer, use in zip(layers, self.layer_inputs, strict=True) for source in use
        }
        for layer in layers:
            self.add_module(layer.name, layer.module)
        self.apply(_initialise)

    @property
    def preprocessing(self) -> str:
        """The key of PREPROCESSING that these weights expect."""
        return "torch" if self.style == "torchvision" else self.keras_preprocessing

    def forward(self, pixels: Tensor) -> Tensor:
        values = {"": pixels}
        for name, sources in zip(self.layer_names, self.layer_inputs, strict=True):
            values[name] = self.get_submodule(name)(*(values[source] for source in sources))
            for source in sources:
                if self._last_reader[source] == name:
                    del values[source]
        return values[self.layer_names[-1]].mean((2, 3), dtype=torch.float32)


def _initialise(module: nn.Module) -> None:
    """Start a convolution as He et al. 2015 (https://doi.org/10.1109/ICCV.2015.123), so that VGG16 can be trained."""
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)


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


RESNET_EPS = {"keras": 1.001e-5, "torchvision": 1e-5}


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
        *_normalised("conv1", 64, RESNET_EPS["keras"], nn.ReLU),
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
    eps, wide = RESNET_EPS["keras"], 4 * width
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
    "tiny": tiny,
}


def set_style(backbone: Backbone, style: Style) -> None:
    """Compute as the library does that published the weights: Keras, or torchvision.

    torchvision expects its own preprocessing, and its ResNet50 halves the picture in a block's 3 x 3 convolution
    instead of the first 1 x 1, with another epsilon. The parameters are the same in name and shape.
    """
    backbone.style = style
    setattr(backbone, backbone.layer_names[0], Preprocess(backbone.preprocessing))
    if backbone.name.startswith("resnet50"):
        _style_resnet(backbone, style)


def _style_resnet(backbone: Backbone, style: Style) -> None:
    for name, module in backbone.named_children():
        if isinstance(module, BatchNorm):
            module.eps = RESNET_EPS[style]
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

    The network computes what it did, with fewer passes over memory: each normalisation is left with mean 0, variance 1
    and scale 1, and says so in `absorbed`. Its offset still learns, and its scale with each filter's weights; a
    convolution's own offset is 0 from here on. For networks whose statistics stay as they are: `set_batch_norm`
    "frozen" is part of it.
    """
    with torch.no_grad():
        for name, sources in zip(backbone.layer_names, backbone.layer_inputs, strict=True):
            norm = backbone.get_submodule(name)
            if isinstance(norm, BatchNorm):
                convolution = backbone.get_submodule(sources[0])
                assert isinstance(convolution, nn.Conv2d)
                _absorb(convolution, norm)
    set_batch_norm(backbone, "frozen")


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
