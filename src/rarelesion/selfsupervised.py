"""A network learns from a user's own pictures that two views of one belong together; nobody has to name anything.

The variance of each number in a batch is kept up and the numbers are kept from saying the same, so that not all
pictures end up alike (VICReg: Bardes, Ponce & LeCun 2022, arXiv:2105.04906). Small batches do.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from rarelesion.album import Album
from rarelesion.execution import Executor
from rarelesion.layers import Backbone

PEAK_LEARNING_RATE = 5e-4
"""Low, for it goes on from weights that know something already."""
WIDTH = 512
INVARIANCE, VARIANCE, COVARIANCE = 25.0, 25.0, 1.0
"""The weights of the three parts of the loss, as published."""
BATCHES_TOGETHER = 4
"""Its batch is so many times as large as usual: correlations among a few pictures say little."""


class SelfSupervised(nn.Module):
    """The lesson: a backbone, and the small network behind it in which views are compared."""

    def __init__(self, backbone: Backbone, album: Album, device: torch.device, precision: torch.dtype) -> None:
        super().__init__()
        self.backbone, self.album, self.share = backbone, album, 0.0
        self.peak_learning_rate, self.scales_faster = PEAK_LEARNING_RATE, 1.0
        self._executor = Executor(backbone, precision)
        self.expander = nn.Sequential(
            nn.Linear(backbone.dim, WIDTH), nn.BatchNorm1d(WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH)
        ).to(device)

    def batch(self, seen: int, count: int, side_px: int) -> tuple[Tensor, ...]:
        """Two views (count, 3, side_px, side_px) of each of the same pictures."""
        return self.album.views(BATCHES_TOGETHER * count, side_px, seen)

    def loss(self, first: Tensor, second: Tensor) -> Tensor:
        """How unlike the views are, how little the numbers vary and how much they say the same."""
        views = self.expander(self._executor(torch.cat([first, second])))
        return vicreg(*views.chunk(2))

    def pairs(self) -> list[str]:
        """What is compared with what, in words."""
        return ["two views of each picture"]


def vicreg(first: Tensor, second: Tensor) -> Tensor:
    """The loss of two views (n, width) of the same n pictures; 0 would be views alike, spread out and uncorrelated."""
    spread = sum(functional.relu(1 - (view.var(0) + 1e-4).sqrt()).mean() / 2 for view in (first, second))
    return (
        INVARIANCE * functional.mse_loss(first, second)
        + VARIANCE * spread
        + COVARIANCE * sum(_correlated(view) for view in (first, second))
    )


def _correlated(view: Tensor) -> Tensor:
    """The squared covariances of different numbers, in all, for each number."""
    count, width = view.shape
    centred = view - view.mean(0)
    covariance = centred.T @ centred / (count - 1)
    return (covariance.square().sum() - covariance.diagonal().square().sum()) / width
