"""Whether two sequences lie on each other, as a picture a radiologist judges at a glance: before and after."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_gradient_magnitude, map_coordinates

from rarelesion import store
from rarelesion.conversion import write_png
from rarelesion.types import Floats, Image, Roi

SQUARES = 8  # of the chequerboard, down and across
EDGE_SHARE = 0.08  # of the pixels of a slice that are drawn as edges
ORANGE = (230, 159, 0)
GAP_PX = 6
SMALLEST_PX = 256  # of a panel: smaller slices are enlarged by a whole number


def write_overlay(
    path: Path,
    before: Mapping[str, Image],
    after: Mapping[str, Image],
    fixed: str,
    moving: str,
    roi: Roi | None = None,
) -> None:
    """Write a PNG of four panels: left before, right after; above a chequerboard of both, below edges on the other.

    In the chequerboard squares of `fixed` and of `moving` take turns: where they fit, contours run on from square to
    square. Below, edges of `moving` are drawn in orange on `fixed`. Shown is the slice of `fixed` through the middle of
    `roi`, a mask or box on it, else its middle slice. `before` and `after` map sequences to images with patient
    coordinates; of two images of `fixed` that differ in their grid each side shows its own. Raises ValueError for
    images without coordinates.
    """
    sides = []
    for images in (before, after):
        one, other = images[fixed], images[moving]
        if one.affine is None or other.affine is None:
            raise ValueError("only images with patient coordinates can be laid over each other")
        plane = _plane(one, roi)
        sides.append(_panels(one.pixels[plane], _moving_slice(one, other, plane)))
    height = max(side.shape[0] for side in sides)
    sides = [np.pad(side, ((0, height - side.shape[0]), (0, 0), (0, 0)), constant_values=255) for side in sides]
    gap = np.full((height, GAP_PX, 3), 255, np.uint8)
    with store.replacing(path) as temporary:
        write_png(temporary, np.concatenate([sides[0], gap, sides[1]], axis=1))


def _plane(image: Image, roi: Roi | None) -> int:
    """The slice to be shown."""
    middle = len(image.pixels) // 2
    if roi is None:
        return middle
    if roi.mask is None:
        index = float(roi.slice_index or 0)
    else:
        centre = np.argwhere(roi.mask).mean(axis=0)
        affine = image.affine if roi.affine is None else roi.affine
        assert affine is not None
        assert image.affine is not None
        index = float((np.linalg.inv(image.affine) @ affine @ [*centre, 1])[0])
    return int(np.clip(round(index), 0, len(image.pixels) - 1))


def _moving_slice(fixed: Image, moving: Image, plane: int) -> NDArray[np.float32]:
    """The moving image at the places of a slice of the fixed one; 0 where it has none."""
    assert fixed.affine is not None
    assert moving.affine is not None
    to_index = np.linalg.inv(moving.affine) @ fixed.affine
    rows, columns = np.indices(fixed.pixels.shape[1:])
    places = np.einsum("ij,jrc->irc", to_index[:3, :3], np.stack([np.full_like(rows, plane), rows, columns]))
    places += to_index[:3, 3, None, None]
    # Half a slice beyond the first and the last belongs to them.
    inside = np.abs(places[0] - (len(moving.pixels) - 1) / 2) <= len(moving.pixels) / 2 + 0.5
    places[0] = np.clip(places[0], 0, len(moving.pixels) - 1)
    values = map_coordinates(moving.pixels, places, order=1, mode="constant", cval=0.0)
    return np.where(inside, np.asarray(values), 0).astype(np.float32)


def _panels(fixed: Floats, moving: Floats) -> NDArray[np.uint8]:
    """(rows, columns, 3): the chequerboard, and below it the edges."""
    grey, other = _stretched(fixed), _stretched(moving)
    rows, columns = (np.arange(length) * SQUARES // length for length in grey.shape)
    board = np.where((rows[:, None] + columns) % 2 == 0, grey, other)
    edges = np.asarray(gaussian_gradient_magnitude(other.astype(np.float32), 1.5))
    drawn = edges > max(float(np.quantile(edges, 1 - EDGE_SHARE)), 1e-6)
    over = np.where(drawn[..., None], np.array(ORANGE, np.uint8), grey[..., None])
    gap = np.full((GAP_PX, grey.shape[1], 3), 255, np.uint8)
    panels = np.concatenate([np.repeat(board[..., None], 3, axis=2), gap, over], axis=0).astype(np.uint8)
    enlarged = max(1, round(SMALLEST_PX / grey.shape[1]))
    return panels.repeat(enlarged, axis=0).repeat(enlarged, axis=1)


def _stretched(values: Floats) -> NDArray[np.uint8]:
    low, high = np.percentile(values, [1, 99])
    return (np.clip((values - low) / max(high - low, 1e-12), 0, 1) * 255).astype(np.uint8)
