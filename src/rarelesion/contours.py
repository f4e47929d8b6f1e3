"""Outlines drawn in the patient, filled: what an RTSTRUCT holds becomes a mask.

Arrays in, arrays out; coordinates are patient millimetres (x to the left, y to the back, z to the head).
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from rarelesion.errors import InputError, Problem
from rarelesion.lesions import nearest
from rarelesion.types import Floats

FLAT = 0.1
"""Of a slice: outlines on slices are flat up to rounding."""
FLAT_MM = 0.5
SAME_PLANE = 0.05  # of a slice
ROUNDING = 1e-3  # of a slice
DECIMALS = 4  # of a pixel: outlines often run through the very centres of pixels
FINER = 2
"""How much finer than the image's pixels outlines of another direction are filled."""


def fill(contours: Sequence[Floats], affine: Floats, size: tuple[int, ...], where: str) -> NDArray[np.bool_]:
    """The voxels of an image whose centres lie inside closed flat outlines.

    `contours` are (points, 3) patient mm each; `affine` (4, 4) and `size` (slices, rows, columns) are the image's.
    Outlines of one plane are joined by the even-odd rule, so that an outline within another is a hole, and one that
    runs in and out along the same line cuts one out. A plane fills the voxels that are nearer to it than to its
    neighbours, at most half the distance of planes away (of the image's slices where there is one plane only).
    Returns a boolean array of `size`. Raises InputError where outlines are not flat or of several directions.
    """
    to_index = np.linalg.inv(affine)
    places = [contour @ to_index[:3, :3].T + to_index[:3, 3] for contour in contours]
    if all(np.ptp(place[:, 0]) <= FLAT for place in places):
        mask = _fill_slices(places, size)
    else:
        mask = _fill_own_planes(contours, affine, size, where)
    if not mask.any():  # outlines smaller than a pixel
        index = np.array([np.rint(place.mean(axis=0)) for place in places]).astype(int)
        mask[tuple(index[((index >= 0) & (index < size)).all(axis=1)].T)] = True
    return mask


def _fill_slices(places: Sequence[Floats], size: tuple[int, ...]) -> NDArray[np.bool_]:
    """Outlines parallel to the image's slices, as (points, 3) index places."""
    mask = np.zeros(size, dtype=np.bool_)
    planes = list(_planes(places))
    heights = np.array([height for height, _ in planes])
    gaps = np.sort(np.diff(heights))
    half = 0.5 if not len(gaps) else gaps[(len(gaps) - 1) // 2] / 2
    drawn: tuple[int, NDArray[np.bool_]] | None = None
    for index in range(max(0, int(heights[0] - half)), min(size[0], int(heights[-1] + half) + 2)):
        # Halfway between two planes the upper one wins, whatever rounding did to them.
        nearest_plane = int(np.abs(heights - index - ROUNDING).argmin())
        if not -half <= index + ROUNDING - heights[nearest_plane] < half:
            continue
        if drawn is None or drawn[0] != nearest_plane:
            drawn = (nearest_plane, _even_odd(planes[nearest_plane][1], size[1:]))
        mask[index] = drawn[1]
    return mask


def _planes(places: Sequence[Floats]) -> Iterator[tuple[float, list[Floats]]]:
    """Each plane's place among the slices and its outlines as (points, 2) rows and columns."""
    ordered = sorted(places, key=lambda place: float(place[:, 0].mean()))
    heights = np.array([place[:, 0].mean() for place in ordered])
    starts = np.flatnonzero(np.diff(heights, prepend=-np.inf) > SAME_PLANE)
    for start, stop in zip(starts, [*starts[1:], len(ordered)], strict=True):
        yield float(heights[start]), [place[:, 1:] for place in ordered[start:stop]]


def _even_odd(outlines: Sequence[Floats], size: tuple[int, ...]) -> NDArray[np.bool_]:
    """(rows, columns) pixels whose centres an odd number of outlines surrounds."""
    rows, columns = size
    crossings = np.zeros(rows * (columns + 1), dtype=np.int64)
    for outline in outlines:
        crossings += _crossings(np.round(outline, DECIMALS), rows, columns)
    return (np.cumsum(crossings.reshape(rows, columns + 1), axis=1)[:, :columns] % 2).astype(np.bool_)


def _crossings(outline: Floats, rows: int, columns: int) -> NDArray[np.integer]:
    """(rows x (columns + 1)) how often the outline crosses each row just before each column."""
    start, end = outline, np.roll(outline, -1, axis=0)
    first = np.clip(np.ceil(np.minimum(start[:, 0], end[:, 0])), 0, rows).astype(int)
    stop = np.clip(np.ceil(np.maximum(start[:, 0], end[:, 0])), 0, rows).astype(int)
    edge = np.repeat(np.arange(len(outline)), stop - first)
    row = np.arange(len(edge)) - np.repeat(np.cumsum(stop - first) - (stop - first), stop - first) + first[edge]
    share = (row - start[edge, 0]) / (end[edge, 0] - start[edge, 0])
    column = np.round(start[edge, 1] + share * (end[edge, 1] - start[edge, 1]), DECIMALS)
    place = np.clip(np.ceil(column), 0, columns).astype(int)
    return np.bincount(row * (columns + 1) + place, minlength=rows * (columns + 1))


def _fill_own_planes(
    contours: Sequence[Floats], affine: Floats, size: tuple[int, ...], where: str
) -> NDArray[np.bool_]:
    """Outlines that cross the image's slices: filled in their own planes, then brought onto the image."""
    normals = [_normal(contour) for contour in contours]
    normal = max(normals, key=lambda vector: float(np.linalg.norm(vector)))
    normal = normal / np.linalg.norm(normal)
    points = np.concatenate(contours)
    heights = [contour @ normal for contour in contours]
    if any(np.ptp(height) > FLAT_MM for height in heights):
        remedy = "Export the segmentation as NIfTI, NRRD or DICOM SEG."
        raise InputError(Problem(where, "outlines that are not flat, or of several directions", remedy=remedy))
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    levels = np.unique(np.round([height.mean() for height in heights], 2))
    gaps = np.sort(np.diff(levels))
    # A single plane is as thick as the image's voxels are along it.
    step = (
        float(gaps[(len(gaps) - 1) // 2]) if len(gaps) else float(spacing @ np.abs(normal @ (affine[:3, :3] / spacing)))
    )
    across = np.cross(normal, np.eye(3)[np.abs(normal).argmin()])
    across /= np.linalg.norm(across)
    axes = np.stack([normal, np.cross(normal, across), across], axis=1)
    fine = spacing.min() / FINER
    steps = np.array([step, fine, fine])
    low, high = (points @ axes).min(axis=0) - steps, (points @ axes).max(axis=0) + steps
    low[0] = levels[0]
    own = np.eye(4)
    own[:3, :3], own[:3, 3] = axes * steps, axes @ low
    places = [(contour @ axes - low) / steps for contour in contours]
    filled = _fill_slices(places, tuple(np.ceil((high - low) / steps).astype(int) + 1))
    return nearest(filled, own, affine, size)


def _normal(contour: Floats) -> Floats:
    """(3,) across the outline's plane, as long as twice its area (Newell's method)."""
    from_middle = contour - contour.mean(axis=0)
    return np.cross(from_middle, np.roll(from_middle, -1, axis=0)).sum(axis=0)
