"""Small pictures of a case for a page: the slice with the lesion outlined, and the lesion itself, as PNG."""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion

from rarelesion.png import encode
from rarelesion.types import Floats

LONGEST_PX = 132
"""The longer side of a picture."""
OUTLINE = 255
"""This grey is not used for the picture; it's the outline's colour."""
MARGIN = 0.4
"""Around the lesion, as a share of its longer side."""
COLOUR = (255, 150, 0)
Bools = NDArray[np.bool_]


def slice_picture(plane: Floats, lesion: Bools, steps: tuple[float, float] = (1.0, 1.0)) -> bytes:
    """A slice (rows, columns) with its lesion (rows, columns) outlined, as PNG; `steps` are a pixel's sides."""
    return _png(*_scaled(plane, lesion, steps))


def lesion_picture(plane: Floats, lesion: Bools, steps: tuple[float, float] = (1.0, 1.0)) -> bytes:
    """The same cut down to the lesion and some tissue around it; the whole slice where there is no lesion."""
    if not lesion.any():
        return slice_picture(plane, lesion, steps)
    spans = [np.flatnonzero(lesion.any(axis=axis)) for axis in (1, 0)]
    rim = round(MARGIN * max(int(np.ptp(span)) + 1 for span in spans)) + 2
    part = tuple(slice(max(0, int(span[0]) - rim), int(span[-1]) + 1 + rim) for span in spans)
    return _png(*_scaled(plane[part], lesion[part], steps))


def _scaled(plane: Floats, lesion: Bools, steps: tuple[float, float]) -> tuple[NDArray[np.uint8], Bools]:
    """Both on square pixels and at the picture's size: the nearest pixel, after averaging what is finer."""
    size = np.array(plane.shape) * np.array(steps)
    rows, columns = np.maximum(1, np.rint(size * LONGEST_PX / size.max())).astype(int).tolist()
    places = np.ix_(_nearest(plane.shape[0], rows), _nearest(plane.shape[1], columns))
    low, high = np.percentile(plane, (1, 99.5))
    grey = np.clip((plane - low) / max(high - low, 1e-9), 0, 1)
    return np.rint(_smooth(grey, rows, columns)[places] * (OUTLINE - 1)).astype(np.uint8), lesion[places]


def _nearest(length: int, wanted: int) -> NDArray[np.intp]:
    return np.minimum(((np.arange(wanted) + 0.5) * length / wanted).astype(np.intp), length - 1)


def _smooth(grey: Floats, rows: int, columns: int) -> Floats:
    """Running means as broad as a pixel of the small picture."""
    for axis, wanted in ((0, rows), (1, columns)):
        width = max(1, round(grey.shape[axis] / wanted))
        if width > 1:
            start = np.zeros_like(grey.take([0], axis))
            sums = np.concatenate([start, np.cumsum(grey, axis)], axis)
            low = np.clip(np.arange(grey.shape[axis]) - width // 2, 0, grey.shape[axis] - width)
            grey = (sums.take(low + width, axis) - sums.take(low, axis)) / width
    return grey


def _png(grey: NDArray[np.uint8], lesion: Bools) -> bytes:
    """A picture of 255 greys and a colour for the lesion's outline, as PNG with a palette."""
    inner = np.asarray(binary_erosion(lesion, np.ones((3, 3))), dtype=bool)
    edge = lesion & ~inner
    pixels = np.where(edge, OUTLINE, np.minimum(grey, OUTLINE - 1)).astype(np.uint8)
    palette = b"".join(bytes([level] * 3) for level in range(OUTLINE)) + bytes(COLOUR)
    return encode(pixels, palette)
