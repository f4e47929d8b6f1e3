"""The outline of a lesion that was marked by a box, found inside the box from the picture alone.

Two regions compete for every pixel, each with its mean intensity nearby (Chan & Vese 2001, doi:10.1109/83.902291, made
local as by Lankton & Tannenbaum 2008, doi:10.1109/TIP.2008.2004611); the place speaks too: the middle of the box is
lesion and its corners are not, unless the intensities say otherwise. Dark and bright lesions are found alike.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_fill_holes, distance_transform_edt, gaussian_filter, label, map_coordinates

from rarelesion.crop import Region
from rarelesion.types import Floats

Bools = NDArray[np.bool_]
GRID, AROUND = 96, 0.25
"""The box and so much of its sides about it are brought to a grid of this many points: all lesions look as large."""
FIRST = 0.8
"""The search begins with the ellipse inscribed in the box, so much smaller."""
PLACE = 4.0
"""The log-odds of being lesion by the place alone: in the middle; 0 on the ellipse inscribed in the box."""
MOST_SAID = 3.0
"""No pixel's intensity counts for more log-odds than this, so that a bright speck is not the lesion's edge."""
FINE, SMOOTH, NEARBY = 1.0, 1.5, 16.0
"""Spreads of the Gaussian means, in points of the grid: of intensities, of log-odds, and of what is nearby."""
NOISE = 0.02
"""Added to the spread within the regions: intensities of a region are never taken for exact."""
STEPS, SETTLED = 60, 1e-4
FEWEST_PX, SMALLEST_SIDE = 20, 6
"""Below these, in pixels of the picture, the box itself is taken."""


def outlined_region(region: Region, ring: float) -> Region:
    """The region with the outline that was found in place of the box, and the ring drawn anew about it.

    `ring` is `FeatureSettings.ring`, as a share of the longer side. A region that has an outline, or whose box is too
    small to look for one, comes back as it is.
    """
    if region.outlined:
        return region
    lesion = find_outline(region.values, region.lesion)
    if lesion is None:
        return region
    shown = region.lesion | region.ring
    away = np.asarray(distance_transform_edt(~lesion)) * region.pixel
    around = (away <= max(ring * max(region.size), region.pixel)) & ~lesion & shown
    return replace(region, lesion=lesion, ring=around, outlined=True)


def find_outline(values: Floats, box: Bools) -> Bools | None:
    """Which pixels of a box are lesion: one piece without holes, (rows, columns); None where the box is too small.

    `values` are (rows, columns) intensities, 0 and 1 the low and the high of the slice; `box` is true in the box.
    """
    rows, columns = (np.flatnonzero(box.any(axis=axis)) for axis in (1, 0))
    if min(rows.size, columns.size) < SMALLEST_SIDE:
        return None
    smooth = gaussian_filter(values, [at.size / GRID for at in (rows, columns)])
    axes = [np.linspace(at[0] - AROUND * at.size, at[-1] + AROUND * at.size, GRID) for at in (rows, columns)]
    grid = map_coordinates(smooth, np.meshgrid(*axes, indexing="ij"), order=1, mode="nearest")
    found = _compete(np.clip(grid, 0.0, 1.0))
    places = [np.interp(at, axis, np.arange(GRID)) for at, axis in zip((rows, columns), axes, strict=True)]
    part = map_coordinates(found.astype(np.float64), np.meshgrid(*places, indexing="ij"), order=1) > 0.5
    lesion = np.zeros(box.shape, dtype=bool)
    lesion[np.ix_(rows, columns)] = part
    lesion &= box
    return lesion if np.count_nonzero(lesion) >= FEWEST_PX else None


def _compete(values: Floats) -> Bools:
    """The lesion on the grid, (GRID, GRID)."""
    middle, half = (GRID - 1) / 2, GRID / (1 + 2 * AROUND) / 2
    down, across = (np.arange(GRID)[:, None] - middle) / half, (np.arange(GRID) - middle) / half
    box = np.maximum(np.abs(down), np.abs(across)) <= 1
    radius = np.hypot(down, across)
    by_place, fine = PLACE * (1 - radius), gaussian_filter(values, FINE)
    lesion = radius < FIRST
    for _ in range(STEPS):
        inner, outer = _mean_nearby(fine, lesion), _mean_nearby(fine, ~lesion)
        noise = float(np.sqrt(np.mean((fine - np.where(lesion, inner, outer)) ** 2))) + NOISE
        said = ((fine - outer) ** 2 - (fine - inner) ** 2) / (2 * noise**2)
        odds = gaussian_filter(np.clip(said, -MOST_SAID, MOST_SAID) + by_place, SMOOTH)
        new = _largest_piece((odds > 0) & box)
        if np.mean(new != lesion) < SETTLED:
            break
        lesion = new
    return lesion


def _mean_nearby(values: Floats, chosen: Bools) -> Floats:
    """The mean of the chosen points about each point."""
    weight = gaussian_filter(chosen.astype(np.float64), NEARBY)
    return gaussian_filter(np.where(chosen, values, 0.0), NEARBY) / np.maximum(weight, 1e-6)


def _largest_piece(chosen: Bools) -> Bools:
    pieces = np.asarray(label(chosen)[0])  # pyright: ignore[reportIndexIssue]
    if pieces.max() > 1:
        chosen = pieces == 1 + np.argmax(np.bincount(pieces.ravel())[1:])
    return np.asarray(binary_fill_holes(chosen), dtype=bool)
