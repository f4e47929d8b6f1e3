"""The layers that backbones are made of, as Keras has them, and the network that walks through them in their order."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

Style = Literal["keras", "torchvision"]

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


class Concatenate(nn.Module):
    """The end of a dense block: what it read, and behind it the channels that it adds."""

    def forward(self, before: Tensor, added: Tensor) -> Tensor:
        return torch.cat((before, added), 1)


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
