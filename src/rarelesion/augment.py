"""What a training patch undergoes anew in every epoch: flips, rotation, random erasing and mix-up.

A whole batch at a time, on tensors, with every random number from one explicit generator. Where the paper is silent,
`TrainingSettings` holds the strength and this module the form: one bilinear resampling for flips and rotation together,
black outside the patch, and erased boxes filled with uniform noise.
"""

import torch
from scipy.special import betaincinv
from torch import Tensor
from torch.nn import functional

from rarelesion.settings import TrainingSettings


def augment(pixels: Tensor, settings: TrainingSettings, generator: torch.Generator) -> Tensor:
    """Show every patch flipped, turned and partly covered at random, each in its own way.

    `pixels` is (n, 3, side, side) in 0..1, and so is the result; what a turn brings in from outside is black (0).
    """
    return erase(turn(pixels, settings, generator), settings, generator)


def turn(pixels: Tensor, settings: TrainingSettings, generator: torch.Generator) -> Tensor:
    """Flip upside down and left to right, each with probability 1/2, and rotate by -rotation_degrees..rotation_degrees.

    One bilinear resampling does all three, so that a patch is blurred once. (n, 3, side, side) in and out.
    """
    count = len(pixels)
    if not settings.flips and settings.rotation_degrees == 0:
        return pixels
    angles = torch.deg2rad(_uniform(count, -settings.rotation_degrees, settings.rotation_degrees, generator))
    signs = 1.0 - 2.0 * torch.randint(0, 2, (2, count), generator=generator) if settings.flips else torch.ones(2, count)
    matrices = torch.zeros(count, 2, 3)
    matrices[:, 0, 0] = signs[0] * torch.cos(angles)
    matrices[:, 0, 1] = signs[0] * -torch.sin(angles)
    matrices[:, 1, 0] = signs[1] * torch.sin(angles)
    matrices[:, 1, 1] = signs[1] * torch.cos(angles)
    grid = functional.affine_grid(matrices, list(pixels.shape), align_corners=False)
    return functional.grid_sample(pixels, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def erase(pixels: Tensor, settings: TrainingSettings, generator: torch.Generator) -> Tensor:
    """Cover a random box of each patch with uniform noise, with probability `erasing_probability`.

    The box has a share `erasing_area` of the patch and a height by width `erasing_aspect`, log-uniform so that tall
    and flat are equally likely, narrowed where the box would not fit. The noise is the variant its authors found
    best (Zhong et al. 2017, arXiv:1708.04896). (n, 3, side, side) in and out.
    """
    if settings.erasing_probability == 0:
        return pixels
    boxes = _boxes(len(pixels), pixels.shape[-1], settings, generator)
    hit = torch.rand(len(pixels), generator=generator) < settings.erasing_probability
    covered = _inside(boxes, pixels.shape[-1]) & hit[:, None, None]
    noise = torch.rand(pixels.shape, generator=generator)
    return torch.where(covered[:, None], noise, pixels)


def mix_up(
    pixels: Tensor,
    targets: Tensor,
    partner_pixels: Tensor,
    partner_targets: Tensor,
    strength: float,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """Blend each patch, and its class, with a partner's, in a ratio drawn from Beta(strength, strength).

    Pixels are (n, 3, side, side), targets (n, classes) with rows that sum to 1; both results keep their shape, and
    strength 0 gives them back as they came (Zhang et al. 2018, arXiv:1710.09412).
    """
    if strength == 0:
        return pixels, targets
    uniform = torch.rand(len(pixels), generator=generator, dtype=torch.float64)
    share = torch.from_numpy(betaincinv(strength, strength, uniform.numpy())).float()
    mixed = torch.lerp(partner_pixels, pixels, share[:, None, None, None])
    return mixed, torch.lerp(partner_targets, targets, share[:, None])


def _uniform(count: int, low: float | Tensor, high: float | Tensor, generator: torch.Generator) -> Tensor:
    return low + (high - low) * torch.rand(count, generator=generator)


def _boxes(count: int, side_px: int, settings: TrainingSettings, generator: torch.Generator) -> Tensor:
    """(n, 4) row0, column0, row1, column1 in pixels, half-open, all inside the patch."""
    area = _uniform(count, *settings.erasing_area, generator)
    low, high = (bound * torch.ones(count) for bound in settings.erasing_aspect)
    low, high = (torch.minimum(torch.maximum(bound, area), 1 / area) for bound in (low, high))
    aspect = torch.exp(_uniform(count, torch.log(low), torch.log(high), generator))
    shape = side_px * torch.stack([torch.sqrt(area * aspect), torch.sqrt(area / aspect)], dim=1)
    shape = shape.round().clamp(1, side_px)
    corner = torch.floor(torch.rand(count, 2, generator=generator) * (side_px + 1 - shape))
    return torch.cat([corner, corner + shape], dim=1).long()


def _inside(boxes: Tensor, side_px: int) -> Tensor:
    """(n, side, side), true inside the box of each patch."""
    place = torch.arange(side_px)
    rows = (place >= boxes[:, :1]) & (place < boxes[:, 2:3])
    columns = (place >= boxes[:, 1:2]) & (place < boxes[:, 3:])
    return rows[:, :, None] & columns[:, None, :]
