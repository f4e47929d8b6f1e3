"""VGG16 with batch normalisation while it learns from nothing, and without afterwards, computing the same.

Thirteen layers of convolutions alone learn slowly from random numbers. Normalised, they learn as fast as ResNet
(Ioffe & Szegedy 2015, arXiv:1502.03167), and at fixed statistics a normalisation is part of the convolution before it.
"""

import torch
from torch import nn

from rarelesion.backbones import BACKBONES, folded
from rarelesion.layers import Backbone, BatchNorm, ConvRelu, Layer

EPS = 1e-3


def normalised(name: str) -> Backbone:
    """The backbone of that name, each of its convolutions that has its activation inside with a normalisation too."""
    plain = BACKBONES[name]()
    layers: list[Layer] = []
    for layer, inputs in zip(plain.layer_names, plain.layer_inputs, strict=True):
        module = plain.get_submodule(layer)
        if isinstance(module, ConvRelu):
            layers += _parts(layer, module)
        else:
            before = plain.layer_names[plain.layer_names.index(layer) - 1]
            layers.append(Layer(layer, module, () if inputs in ((before,), ("",)) else inputs))
    return Backbone(plain.name, plain.dim, layers)


def _parts(name: str, module: ConvRelu) -> list[Layer]:
    convolution = nn.Conv2d(module.in_channels, module.out_channels, (3, 3), padding=1, bias=False)
    return [
        Layer(name, convolution),
        Layer(f"{name}_bn", BatchNorm(module.out_channels, EPS)),
        Layer(f"{name}_relu", nn.ReLU(inplace=True)),
    ]


def plain(backbone: Backbone) -> Backbone:
    """The backbone without what `normalised` put into it, computing what it computes at its stored statistics.

    One that never was a twin is handed back.
    """
    result = BACKBONES[backbone.name]()
    if result.layer_names == backbone.layer_names:
        return backbone
    with torch.no_grad():
        for layer in result.layer_names:
            module = result.get_submodule(layer)
            if isinstance(module, ConvRelu):
                convolution, norm = backbone.get_submodule(layer), backbone.get_submodule(f"{layer}_bn")
                assert isinstance(convolution, nn.Conv2d)
                assert isinstance(norm, BatchNorm)
                weight, bias = folded(convolution, norm)
                module.weight.copy_(weight)
                assert module.bias is not None
                module.bias.copy_(bias)
            else:
                module.load_state_dict(backbone.get_submodule(layer).state_dict())
    return result
