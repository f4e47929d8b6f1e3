"""A slice as a small picture, turned as radiologists hang it: what images are compared by."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from rarelesion.types import Floats

SIDE = 64
"""Rows and columns of a small picture."""
PERCENTILES = (1.0, 99.0)
Picture = NDArray[np.float32]


@lru_cache(maxsize=256)
def _averaging(length: int, side: int) -> NDArray[np.float64]:
    """(side, length) weights that average `length` pixels into `side` equal stretches, parts of pixels counted."""
    edges = np.linspace(0, length, side + 1)
    starts = np.arange(length)
    overlap = np.minimum(edges[1:, None], starts + 1) - np.maximum(edges[:-1, None], starts)
    weights = np.maximum(overlap, 0)
    return weights / weights.sum(axis=1, keepdims=True)


def shrink(plane: Floats, side: int = SIDE) -> NDArray[np.float64]:
    """(side, side) means over equal stretches of a slice (rows, columns), which loses its proportions."""
    rows, columns = plane.shape
    return _averaging(rows, side) @ np.asarray(plane, dtype=np.float64) @ _averaging(columns, side).T


def stretch(picture: Floats) -> Picture:
    """The same picture with the greys from its low to its high percentile as 0..1, the rest clipped."""
    low, high = np.percentile(picture, PERCENTILES)
    if high <= low:
        return np.zeros(picture.shape, dtype=np.float32)
    return np.clip((picture - low) / (high - low), 0, 1).astype(np.float32)


def hang(plane: Floats, affine: Floats | None) -> tuple[Floats, Floats | None]:
    """A slice (rows, columns) with its affine, both turned so that rows go to the back or feet, columns to the left.

    `affine` (4, 4) leads from (0, row, column, 1) to patient millimetres; without one the slice stays as it is.
    """
    if affine is None:
        return plane, None
    affine = np.array(affine, dtype=np.float64)
    directions = (affine[:3, 1:3] / np.linalg.norm(affine[:3, 1:3], axis=0)).T
    down, across = np.array([0.0, 0.5, -1.0]), np.array([1.0, 0.5, 0.0])
    if abs(directions[1] @ down) > abs(directions[0] @ down):
        plane, affine, directions = plane.T, affine[:, [0, 2, 1, 3]], directions[::-1]
    for axis, wanted in ((0, down), (1, across)):
        if directions[axis] @ wanted < 0:
            affine[:3, 3] += affine[:3, 1 + axis] * (plane.shape[axis] - 1)
            affine[:3, 1 + axis] *= -1
            plane = np.flip(plane, axis)
    return plane, affine


def shrunk_affine(affine: Floats, rows: int, columns: int, side: int = SIDE) -> NDArray[np.float64]:
    """The affine of the small picture of a slice that has this affine and size."""
    scale = np.array([rows, columns]) / side
    result = np.array(affine, dtype=np.float64)
    result[:3, 3] += result[:3, 1:3] @ ((scale - 1) / 2)
    result[:3, 1:3] *= scale
    return result
