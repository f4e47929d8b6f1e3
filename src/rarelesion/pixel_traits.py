"""What the greys of a slice say of how it was made and saved, and what its background looks like without the lesion."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import laplace

from rarelesion.types import Floats
from rarelesion.views import shrink

BLOCK = 8
"""Pixels of a JPEG's blocks."""
GRID = 4
"""The background's coarse picture has so many rows and columns."""
MANY_GREYS = 256
SMALLEST_INK_PX, SMALLEST_INK = 12, 0.04
"""Pixels of one value that letters hold, and as a share of their box."""
GREYS = (5, 25, 50, 75, 95)
HIDDEN = 0.5
"""So much of a lesion's box is covered on each of its sides, before the background is looked at."""


@dataclass(frozen=True, slots=True)
class Traits:
    """One slice in a few numbers."""

    clipped: float
    """Share of the pixels that have the brightest value."""
    flat: float
    """Share of the pixels that have the commonest value."""
    eight_bits: bool
    """Whether all greys are whole numbers from 0 to exactly 255."""
    blocks: float
    """How much larger steps are at the borders of 8 x 8 blocks than elsewhere; about 1 without JPEG."""


def traits(plane: Floats) -> Traits:
    """The traits of a slice (rows, columns) in the units of its file."""
    values, counts = np.unique(plane, return_counts=True)
    whole = bool(values[0] >= 0 and values[-1] == 255 and np.array_equal(values, np.rint(values)))
    return Traits(
        clipped=float(counts[-1] / plane.size),
        flat=float(counts.max() / plane.size),
        eight_bits=whole,
        blocks=min(_blocks(plane), _blocks(plane.T)),
    )


def _blocks(plane: Floats) -> float:
    """The step at the worst of the eight phases of columns, relative to the middle one."""
    steps = np.abs(np.diff(plane, axis=1)).mean(axis=0, dtype=np.float64)
    if steps.size < 6 * BLOCK:
        return 1.0
    phases = np.array([np.median(steps[phase::BLOCK]) for phase in range(BLOCK)])
    usual = float(np.median(phases))
    return float(phases.max() / usual) if usual > 0 else 1.0


def is_written(plane: Floats, box: tuple[int, int, int, int]) -> bool:
    """Whether a box (row0, col0, row1, col1) that looks like writing can be some: ink has one grey, tissue many.

    A machine writes in one value; noise and shading give tissue many. A picture of 256 greys cannot tell.
    """
    if np.unique(plane).size <= MANY_GREYS:
        return True
    part = plane[box[0] : box[2], box[1] : box[3]]
    bright = part[part > (part.max() + part.min()) / 2]
    counts = np.unique(bright, return_counts=True)[1]
    return bool(counts.max(initial=0) >= max(SMALLEST_INK_PX, SMALLEST_INK * part.size))


def background(plane: Floats, box: tuple[int, int, int, int]) -> NDArray[np.float64]:
    """(2 + len(GREYS) + 3 + GRID * GRID,) numbers on a slice (rows, columns) with the lesion's box covered.

    The box (row0, col0, row1, col1) is covered with half its longer side around it. Greys are relative to the range
    of what is left. NaN where nothing is left.
    """
    seen = np.ones(plane.shape, dtype=bool)
    rim = round(HIDDEN * max(box[2] - box[0], box[3] - box[1])) + 1
    seen[max(0, box[0] - rim) : box[2] + rim, max(0, box[1] - rim) : box[3] + rim] = False
    left = plane[seen].astype(np.float64)
    if left.size < 0.05 * plane.size or np.ptp(left) == 0:
        return np.full(len(BACKGROUND), np.nan)
    low, high = np.percentile(left, (1, 99))
    span = max(high - low, 1e-9)
    greys = (np.percentile(left, GREYS) - low) / span
    rough = np.abs(np.asarray(laplace(plane.astype(np.float64))))[seen] / span
    steps = np.abs(np.diff(plane, axis=1, prepend=plane[:, :1]))[seen] / span
    light = shrink(np.where(seen, (plane - low) / span, 0), GRID)
    weight = shrink(seen.astype(np.float64), GRID)
    coarse = np.where(weight > 0.05, light / np.maximum(weight, 0.05), np.nan)
    extent = [np.log1p(max(high, 0)), np.log1p(span)]
    return np.concatenate(
        [extent, greys, [np.median(rough), steps.mean(), (left <= low).mean()], coarse.ravel()], dtype=np.float64
    )


BACKGROUND = (
    *("brightest", "range"),
    *(f"grey {percent} %" for percent in GREYS),
    *("roughness", "steps", "black"),
    *(f"part {row + 1}.{column + 1}" for row in range(GRID) for column in range(GRID)),
)
"""What the numbers of `background` are."""
