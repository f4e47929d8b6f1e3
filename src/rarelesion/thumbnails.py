"""A small picture of one DICOM frame, to recognise a series by: too small to read what may be written in it."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rarelesion.burnt_in import blank, text_regions
from rarelesion.errors import InputError
from rarelesion.frames import frames_of, is_image, read_file, read_planes
from rarelesion.types import Floats

WIDEST_PX = 96
LEAST_SHRINKING = 2
"""A pixel of the thumbnail is the mean of at least so many rows and columns, so that small letters are lost too."""
DARKEST, BRIGHTEST = 1.0, 99.0
"""Percentiles of the picture that are shown black and white."""


def thumbnail(path: Path, frame: int) -> NDArray[np.uint8] | None:
    """(rows, columns) at most 96 pixels a side, of frame number `frame` of a file; None where it cannot be decoded.

    Writing that is found in the picture is blanked before it is made small.
    """
    try:
        dataset = read_file("a series", path)
        if dataset is None or not is_image(dataset):
            return None
        frames = frames_of("a series", dataset)
        plane = read_planes("a series", [frames[frame]])[0]
    except (InputError, IndexError):
        return None
    spacing = frames[frame].pixel_mm
    return shrunk(plane, 1.0 if spacing is None else float(spacing[0] / spacing[1]))


def shrunk(pixels: Floats, aspect: float = 1.0) -> NDArray[np.uint8]:
    """(rows, columns) of a picture at most 96 pixels a side in its true shape, without writing, in 256 greys.

    `aspect` is the distance between rows over that between columns.
    """
    clean = blank(pixels, text_regions(pixels))
    tall, wide = pixels.shape[0] * max(0.1, min(aspect, 10.0)), float(pixels.shape[1])
    finest = min(pixels.shape[0] / tall, pixels.shape[1] / wide) / LEAST_SHRINKING
    share = min(WIDEST_PX / max(tall, wide), finest)
    small = _means(clean, max(1, round(tall * share)), max(1, round(wide * share)))
    low, high = np.percentile(small, (DARKEST, BRIGHTEST))
    return np.clip(255 * (small - low) / max(float(high - low), 1e-9), 0, 255).astype(np.uint8)


def _means(pixels: Floats, rows: int, columns: int) -> Floats:
    """Means over a grid of so many rows and columns, none of them more than there are pixels."""
    down = (np.arange(rows) * pixels.shape[0]) // rows
    across = (np.arange(columns) * pixels.shape[1]) // columns
    sums = np.add.reduceat(np.add.reduceat(pixels.astype(np.float64), down, axis=0), across, axis=1)
    heights, widths = np.diff([*down, pixels.shape[0]]), np.diff([*across, pixels.shape[1]])
    return sums / np.outer(heights, widths)
