"""Where a lesion is marked, in numbers: its slice, box, border and pieces, and how two marks lie to each other."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, find_objects, label

from rarelesion.types import Floats, Image, Roi

Box = tuple[int, int, int, int]


@dataclass(frozen=True, eq=False, slots=True)
class Place:
    """A lesion as it is marked on its image."""

    plane: int
    """The slice of the mark's own grid that shows most of it."""
    box: Box
    """(row0, col0, row1, col1) there, half-open."""
    size: tuple[int, int]
    """Rows and columns of that slice."""
    share: float
    """Of that slice's pixels, how many the mark covers."""
    length_px: int
    """The longer side, over all slices of a mask."""
    length_mm: float
    """The longer side within slices; NaN without patient coordinates."""
    gap: float
    """How far the farthest piece of a mask lies from its largest, as a share of that one's length; 0: one piece."""
    pieces: int
    centre_mm: Floats | None
    """(3,) in patient millimetres; None without."""

    @property
    def touches_border(self) -> bool:
        """Whether the mark reaches the first or last row or column of its slice."""
        row0, col0, row1, col1 = self.box
        return row0 <= 0 or col0 <= 0 or row1 >= self.size[0] or col1 >= self.size[1]


def locate(roi: Roi, image: Image) -> Place:
    """The place of a box that lies inside its image, or of a mask that is not empty."""
    affine = image.affine if roi.affine is None or image.affine is None else roi.affine
    if roi.box is not None:
        return _of_box(roi, image, affine)
    assert roi.mask is not None
    counts = roi.mask.sum(axis=(1, 2))
    plane = int(counts.argmax())
    rows, columns = np.flatnonzero(roi.mask[plane].any(axis=1)), np.flatnonzero(roi.mask[plane].any(axis=0))
    box = (int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1)
    size = roi.mask.shape[1:]
    everywhere = [np.ptp(places) + 1 for places in np.nonzero(roi.mask)]
    pieces, gap = _pieces(roi.mask, _steps(affine))
    return Place(
        plane=plane,
        box=box,
        size=(size[0], size[1]),
        share=float(counts[plane]) / (size[0] * size[1]),
        length_px=int(max(everywhere[1:])),
        length_mm=_length_mm(box, affine),
        gap=gap,
        pieces=pieces,
        centre_mm=_centre(plane, box, affine),
    )


def _of_box(roi: Roi, image: Image, affine: Floats | None) -> Place:
    assert roi.box is not None
    row0, col0, row1, col1 = roi.box
    plane, size = roi.slice_index or 0, image.pixels.shape[1:]
    return Place(
        plane=plane,
        box=roi.box,
        size=(size[0], size[1]),
        share=(row1 - row0) * (col1 - col0) / (size[0] * size[1]),
        length_px=max(row1 - row0, col1 - col0),
        length_mm=_length_mm(roi.box, affine),
        gap=0.0,
        pieces=1,
        centre_mm=_centre(plane, roi.box, affine),
    )


def _steps(affine: Floats | None) -> NDArray[np.float64]:
    return np.ones(3) if affine is None else np.linalg.norm(affine[:3, :3], axis=0)


def _length_mm(box: Box, affine: Floats | None) -> float:
    if affine is None:
        return float("nan")
    steps = _steps(affine)
    return float(max((box[2] - box[0]) * steps[1], (box[3] - box[1]) * steps[2]))


def _centre(plane: int, box: Box, affine: Floats | None) -> Floats | None:
    if affine is None:
        return None
    middle = np.array([plane, (box[0] + box[2] - 1) / 2, (box[1] + box[3] - 1) / 2])
    return affine[:3, :3] @ middle + affine[:3, 3]


def _pieces(mask: NDArray[np.bool_], steps: Floats) -> tuple[int, float]:
    """How many pieces a mask has, and how far the farthest is from the largest, relative to the largest's length."""
    near = tuple(slice(int(places.min()), int(places.max()) + 1) for places in np.nonzero(mask))
    part = mask[near]
    numbers = np.zeros(part.shape, dtype=np.int32)
    count = int(np.asarray(label(part, structure=np.ones((3, 3, 3)), output=numbers)))
    if count < 2:
        return count, 0.0
    sizes = np.bincount(numbers.ravel())[1:]
    main = int(sizes.argmax()) + 1
    away = np.asarray(distance_transform_edt(numbers != main, sampling=steps))
    extent = [span.stop - span.start for span in find_objects(numbers)[main - 1]]
    length = float(max(np.array(extent)[1:] * steps[1:]))
    gaps = [float(away[numbers == number].min()) for number in range(1, count + 1) if number != main]
    return count, max(gaps) / length


def plane_at(image: Image, point_mm: Floats | None, plane: int) -> int:
    """The slice of an image nearest to a point in patient millimetres, or `plane` where there are no coordinates."""
    last = image.pixels.shape[0] - 1
    if image.affine is None or point_mm is None:
        return int(np.clip(plane, 0, last))
    index = np.linalg.solve(image.affine[:3, :3], point_mm - image.affine[:3, 3])
    return int(np.clip(np.rint(index[0]), 0, last))


def box_on(image: Image, place: Place, mark_affine: Floats | None) -> Box:
    """The place's box on another grid: the half-open box there that holds its four corners, cut at the border."""
    rows, columns = image.pixels.shape[1:]
    if image.affine is None or mark_affine is None:
        return place.box
    row0, col0, row1, col1 = place.box
    corners = np.array([[place.plane, r, c] for r in (row0 - 0.5, row1 - 0.5) for c in (col0 - 0.5, col1 - 0.5)])
    there = corners @ mark_affine[:3, :3].T + mark_affine[:3, 3]
    index = np.linalg.solve(image.affine[:3, :3], (there - image.affine[:3, 3]).T)[1:]
    low, high = np.floor(index.min(axis=1) + 0.5), np.ceil(index.max(axis=1) + 0.5)
    limits = np.array([rows, columns])
    low, high = np.clip(low, 0, limits), np.clip(high, 0, limits)
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])
