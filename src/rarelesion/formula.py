"""A network learns to name which formula drew a picture, at every depth.

A few ten thousand pictures do not reach the first layers of a deep network through all the others; asked directly, they
learn, and the later ones learn on top of them (deep supervision: Lee et al. 2015, arXiv:1409.5185).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from rarelesion.album import Album
from rarelesion.layers import Backbone
from rarelesion.maps import Maps

PEAK_LEARNING_RATE = 4e-3
CROPS_A_FORMULA = 2
"""Crops of one picture: of more, its class would be learnt by heart."""
SMOOTHING = 0.1
"""Share of a picture's class that is spread over all: some crops show nothing of it."""


class Naming(nn.Module):
    """The lesson: a backbone, and a last layer behind the last map of each size.

    `pixels` (n, 3, side, side) say which layers those are; `classes` is the number of formulas.
    """

    def __init__(self, backbone: Backbone, album: Album, classes: int, pixels: Tensor, precision: torch.dtype) -> None:
        super().__init__()
        self.backbone, self.album, self.share = backbone, album, 0.0
        self.peak_learning_rate, self.scales_faster = PEAK_LEARNING_RATE, 1.0
        self._maps = Maps(backbone, precision)
        shapes = self._maps.shapes(pixels.shape[-1])
        self._layers = [*dict.fromkeys([*self._maps.stages(pixels.shape[-1]).values(), self._maps.last])]
        heads = {layer: _Head(shapes[layer][0], classes) for layer in self._layers}
        self.heads = nn.ModuleDict(heads).to(pixels.device)

    def batch(self, seen: int, count: int, side_px: int) -> tuple[Tensor, ...]:
        """Pictures (count, 3, side_px, side_px) and their classes (count,)."""
        return self.album.crops(count, side_px, seen)

    def loss(self, pixels: Tensor, kinds: Tensor) -> Tensor:
        """The cross-entropy, mean over the depths."""
        maps = self._maps.maps(pixels, self._layers)
        pooled = {layer: maps[layer].mean((2, 3), dtype=torch.float32) for layer in self._layers}
        losses = [
            functional.cross_entropy(self.heads[layer](pooled[layer]), kinds, label_smoothing=SMOOTHING)
            for layer in self._layers
        ]
        return torch.stack(losses).mean()

    def pairs(self) -> list[str]:
        """Where it is asked, in words."""
        return [f"{layer} names the formula" for layer in self._layers]


class _Head(nn.Module):
    """A last layer on averages brought to one scale, a small one: Adam's steps add up over a thousand channels."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.norm, self.linear = nn.BatchNorm1d(channels, affine=False), nn.Linear(channels, classes)
        self.scale = channels**-0.5
        nn.init.normal_(self.linear.weight, std=0.1)

    def forward(self, pooled: Tensor) -> Tensor:
        return self.linear(self.norm(pooled) * self.scale)
