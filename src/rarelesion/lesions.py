"""The lesion as a place in the patient: from a point or a box, split into its parts, measured, brought to other grids.

Arrays in, arrays out. Coordinates are patient millimetres (x to the left, y to the back, z to the head); masks are
(slices, rows, columns), their affines (4, 4) lead from (slice, row, column, 1) to patient millimetres.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects, generate_binary_structure, label
from scipy.spatial import ConvexHull
from scipy.spatial.distance import pdist

from rarelesion.errors import InputError, Problem
from rarelesion.types import Floats, Image, Roi

SPECK_VOXELS = 3
"""Parts of fewer voxels are slips of the pen."""
ROUNDING = 1e-6  # of a voxel


@dataclass(frozen=True, eq=False, slots=True)
class MarkedLesion:
    """One label of a mask, one segment, or one structure, as a person marked it."""

    name: str
    """As the person called it, for matching only: never to be written or printed. Empty where the file names none."""
    number: int
    """The label's value, or the number of the segment or structure."""
    mask: NDArray[np.bool_]
    """(slices, rows, columns), cut down to what is marked where there is an affine."""
    affine: Floats | None
    """(4, 4) from (slice, row, column, 1) of the mask to patient mm; None for plain pictures."""


@dataclass(frozen=True, eq=False, slots=True)
class Parts:
    """The parts of a mask that do not touch."""

    rois: tuple[Roi, ...]
    """The largest first."""
    dropped: int
    """Specks that were left out."""


def from_point(point_mm: Sequence[float] | Floats, diameter_mm: float, image: Image) -> Roi:
    """A ball round a point in the patient: the voxels whose centres lie in it, the nearest one at least.

    Raises InputError, `where` naming the sequence, where the image has no patient coordinates, the point lies outside
    it, or the diameter is not above 0.
    """
    if not (np.isfinite(diameter_mm) and diameter_mm > 0):
        raise InputError(Problem(image.sequence, "not a diameter", f"{diameter_mm:g}", "millimetres above 0"))
    affine, centre = _affine(image), np.asarray(point_mm, dtype=np.float64)
    _check_inside(image, affine, centre[None], "the point lies outside the image")
    low, high = _reach(image, affine, centre, np.full(3, diameter_mm / 2), turned=True)
    part = _shifted(affine, low)
    distances = np.linalg.norm(_centres(part, high - low) - centre, axis=-1)
    ball = distances <= diameter_mm / 2 + ROUNDING
    ball.flat[distances.argmin()] = True
    return Roi(mask=ball, affine=part)


def from_box(corner_mm: Sequence[float] | Floats, opposite_mm: Sequence[float] | Floats, image: Image) -> Roi:
    """A box between two opposite corners in the patient: the voxels whose centres lie in it, the nearest one at least.

    Its sides run along the patient's axes. Raises InputError, `where` naming the sequence, where the image has no
    patient coordinates or the middle of the box lies outside it.
    """
    affine, corners = _affine(image), np.array([corner_mm, opposite_mm], dtype=np.float64)
    middle, half = corners.mean(axis=0), np.abs(np.ptp(corners, axis=0)) / 2
    _check_inside(image, affine, middle[None], "the middle of the box lies outside the image")
    low, high = _reach(image, affine, middle, half, turned=False)
    part = _shifted(affine, low)
    away = np.abs(_centres(part, high - low) - middle)
    box = (away <= half + ROUNDING).all(axis=-1)
    box.flat[np.linalg.norm(away, axis=-1).argmin()] = True
    return Roi(mask=box, affine=part)


def components(mask: NDArray[np.bool_], affine: Floats | None) -> Parts:
    """The parts of a mask that do not touch, not even at a corner (26 neighbours); specks are dropped and counted.

    With an affine each part is cut down to its bounding box and placed by its own affine; without one it keeps the
    size of the whole.
    """
    labels = np.empty(mask.shape, dtype=np.int32)
    count = int(label(mask, generate_binary_structure(3, 3), labels))  # pyright: ignore[reportArgumentType]
    sizes = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    kept = [number for number in np.argsort(-sizes, kind="stable") + 1 if sizes[number - 1] >= SPECK_VOXELS]
    parts = dict(by_label(labels, affine, frozenset(kept)))
    return Parts(tuple(parts[number] for number in kept), count - len(kept))


def by_label(
    labels: NDArray[np.integer], affine: Floats | None, wanted: frozenset[int] | None = None
) -> Iterator[tuple[int, Roi]]:
    """Each label from 1 that is there and wanted, in order, with its place; cut down where there is an affine."""
    for number, box in enumerate(find_objects(labels), start=1):
        if box is None or (wanted is not None and number not in wanted):
            continue
        if affine is None:
            yield number, Roi(mask=labels == number)
        else:
            low = np.array([side.start for side in box])
            yield number, Roi(mask=labels[box] == number, affine=_shifted(affine, low))


def cut_down(mask: NDArray[np.bool_], affine: Floats | None) -> tuple[NDArray[np.bool_], Floats | None]:
    """A mask cut down to its bounding box, and its affine there; unchanged where it is empty or has no affine."""
    if affine is None or not mask.any():
        return mask, affine
    box = find_objects(mask.view(np.uint8))[0]
    return mask[box].copy(), _shifted(affine, np.array([side.start for side in box]))


def to_grid(roi: Roi, image: Image) -> NDArray[np.bool_]:
    """(slices, rows, columns) the lesion on the image's own grid: each voxel asks for the nearest one of the mask.

    A lesion that slips between the image's voxels marks the nearest ones. A mask without patient coordinates, or on
    an image without, must be of the image's size; a box is on the image's own grid. Empty where the lesion lies
    outside the image. Raises InputError, `where` naming the sequence, where mask and image cannot be brought together.
    """
    size = image.pixels.shape
    if roi.mask is None:
        return _filled_box(roi, image)
    if roi.affine is None or image.affine is None:
        if roi.mask.shape != size:
            found = f"mask {_size(roi.mask.shape)}, image {_size(size)}"
            remedy = "Draw the mask on this image, or save both with patient coordinates (NIfTI, DICOM)."
            raise InputError(Problem(image.sequence, "the mask does not fit the image", found, "the same size", remedy))
        return roi.mask.copy()
    if roi.mask.shape == size and np.allclose(roi.affine, image.affine, rtol=0, atol=1e-4):
        return roi.mask.copy()
    return nearest(roi.mask, roi.affine, image.affine, size)


def nearest(mask: NDArray[np.bool_], affine: Floats, onto: Floats, size: tuple[int, ...]) -> NDArray[np.bool_]:
    """A mask on another grid, of this affine and size: each voxel asks for the nearest one of the mask.

    What is thinner than the other grid's voxels marks the nearest ones.
    """
    found = np.zeros(size, dtype=np.bool_)
    marked = np.argwhere(mask)
    if not len(marked):
        return found
    forward = np.linalg.solve(onto, affine)
    ends = np.stack([marked.min(axis=0) - 0.5, marked.max(axis=0) + 0.5])
    corners = np.stack(np.meshgrid(*ends.T, indexing="ij"), axis=-1).reshape(-1, 3)
    reach = corners @ forward[:3, :3].T + forward[:3, 3]
    low = np.clip(np.floor(reach.min(axis=0)), 0, size).astype(int)
    high = np.clip(np.ceil(reach.max(axis=0)) + 1, 0, size).astype(int)
    back = np.linalg.inv(forward)
    for plane in range(low[0], high[0]):  # a slice at a time: coordinates take many times the memory of a mask
        places = _centres(_shifted(back, np.array([plane, *low[1:]])), np.array([1, *(high - low)[1:]]))[0]
        index = np.floor(places + 0.5 - ROUNDING).astype(int)
        inside = ((index >= 0) & (index < mask.shape)).all(axis=-1)
        target = found[plane, low[1] : high[1], low[2] : high[2]]
        target[inside] = mask[tuple(index[inside].T)]
    if not found.any():  # thinner than the image's voxels
        index = np.rint(marked @ forward[:3, :3].T + forward[:3, 3]).astype(int)
        found[tuple(index[((index >= 0) & (index < size)).all(axis=1)].T)] = True
    return found


def _filled_box(roi: Roi, image: Image) -> NDArray[np.bool_]:
    assert roi.box is not None
    slices, rows, columns = image.pixels.shape
    plane = roi.slice_index if roi.slice_index is not None else 0 if slices == 1 else -1
    row0, col0, row1, col1 = roi.box
    if not (0 <= plane < slices and 0 <= row0 < row1 <= rows and 0 <= col0 < col1 <= columns):
        remedy = "Boxes are row0 col0 row1 col1, counted from 0, with the slice index before them."
        expected = f"inside {slices} slices of {rows} rows and {columns} columns"
        raise InputError(Problem(image.sequence, "the box lies outside the image", expected=expected, remedy=remedy))
    mask = np.zeros(image.pixels.shape, dtype=np.bool_)
    mask[plane, row0:row1, col0:col1] = True
    return mask


def axial_axis(mask: NDArray[np.bool_], affine: Floats) -> int:
    """Which axis of the mask leads through its axial slices: the one nearest to the patient's long axis.

    A mask of a single slice is taken as it was drawn.
    """
    if mask.shape[0] == 1:
        return 0
    directions = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    return int(np.argmax(np.abs(directions[2])))


def largest_slice(mask: NDArray[np.bool_], affine: Floats) -> tuple[int, int]:
    """The axial slice on which the lesion is largest: the axis that slices follow, and the slice's index along it.

    Raises ValueError for an empty mask.
    """
    _check_marked(mask)
    axis = axial_axis(mask, affine)
    others = tuple(other for other in range(3) if other != axis)
    return axis, int(mask.sum(axis=others).argmax())


def largest_diameter_mm(mask: NDArray[np.bool_], affine: Floats) -> float:
    """The lesion's largest diameter within any axial slice, in mm from one outer pixel edge to the other.

    As radiologists measure it: the longest straight line between two points of the outline on one slice. Raises
    ValueError for an empty mask.
    """
    _check_marked(mask)
    axis = axial_axis(mask, affine)
    order = [axis, *(other for other in range(3) if other != axis)]
    planes, sides = mask.transpose(order), affine[:3, order[1:]]
    return max(_diameter(plane, sides) for plane in planes if plane.any())


def _diameter(plane: NDArray[np.bool_], sides: Floats) -> float:
    """The longest line between corners of marked pixels; `sides` (3, 2) mm a pixel reaches down and across."""
    rows = np.flatnonzero(plane.any(axis=1))
    first = plane[rows].argmax(axis=1)
    last = plane.shape[1] - 1 - plane[rows][:, ::-1].argmax(axis=1)
    ends = np.concatenate([np.stack([rows, first], axis=1), np.stack([rows, last + 1], axis=1)])
    corners = np.concatenate([ends, ends + np.array([1, 0])])  # upper and lower corners of each row's two ends
    outline = corners[ConvexHull(corners).vertices]
    return float(pdist(outline @ sides.T).max())


def volume_ml(mask: NDArray[np.bool_], affine: Floats) -> float:
    """The lesion's volume in millilitres, its voxels counted."""
    return float(np.count_nonzero(mask) * abs(np.linalg.det(affine[:3, :3])) / 1000)


def _check_marked(mask: NDArray[np.bool_]) -> None:
    if not mask.any():
        raise ValueError("the mask is empty")


def _affine(image: Image) -> Floats:
    if image.affine is None:
        remedy = "Give a box in pixels, or an image with patient coordinates (DICOM, NIfTI)."
        raise InputError(Problem(image.sequence, "the image has no patient coordinates", remedy=remedy))
    return image.affine


def _check_inside(image: Image, affine: Floats, points: Floats, what: str) -> None:
    places = np.linalg.solve(affine, np.column_stack([points, np.ones(len(points))]).T)[:3].T
    if not ((places >= -0.5 - ROUNDING) & (places <= np.array(image.pixels.shape) - 0.5 + ROUNDING)).all():
        remedy = "Points are patient millimetres, x to the left, y to the back, z to the head (LPS)."
        raise InputError(Problem(image.sequence, what, remedy=remedy))


def _reach(
    image: Image, affine: Floats, middle: Floats, half: Floats, turned: bool
) -> tuple[NDArray[np.integer], NDArray[np.integer]]:
    """The part of the image, half-open, that holds all within `half` (3,) mm of the middle; of a ball if `turned`."""
    back = np.linalg.inv(affine)
    place = back[:3, :3] @ middle + back[:3, 3]
    away = np.linalg.norm(back[:3, :3] * half, axis=1) if turned else np.abs(back[:3, :3]) @ half
    last = np.array(image.pixels.shape) - 1
    low = np.clip(np.floor(place - away), 0, last).astype(int)
    return low, np.clip(np.ceil(place + away), 0, last).astype(int) + 1


def _shifted(affine: Floats, low: NDArray[np.integer]) -> Floats:
    """The affine of a part that begins at this voxel."""
    shifted = affine.copy()
    shifted[:3, 3] = affine[:3, :3] @ low + affine[:3, 3]
    return shifted


def _centres(affine: Floats, size: NDArray[np.integer]) -> Floats:
    """(slices, rows, columns, 3) where the voxels' centres are."""
    first, second, third = (np.arange(length)[:, None] * affine[:3, axis] for axis, length in enumerate(size))
    return first[:, None, None] + second[None, :, None] + third[None, None, :] + affine[:3, 3]


def _size(shape: tuple[int, ...]) -> str:
    return " x ".join(str(length) for length in shape)
