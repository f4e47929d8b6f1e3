"""Segmentations and structure sets in DICOM: their segments and outlines as masks, and which series they mean.

Written from the standard (PS3.3 A.51, C.8.20, C.8.8.6). Names are free text: they are for comparing in memory only.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, FileDataset

from rarelesion.contours import fill
from rarelesion.errors import InputError, Problem
from rarelesion.frames import Frame, check_uniform, frames_of, guarded, is_image, stored_values
from rarelesion.lesions import MarkedLesion, by_label, cut_down, nearest
from rarelesion.stack import SPACING_TOLERANCE, lattice
from rarelesion.types import Floats, Image, Ints

HALF = 0.5
BESIDE = 0.5
"""Share of a pixel by which frames may be off a straight line."""
LONGEST_MM = 3000
SKEW = 1e-4  # in direction cosines
SAME_PLANE_MM = 0.01
CLOSED = ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR")
CONTOUR_DATA = 0x30060050
DAMAGED = "a damaged DICOM segmentation"


@dataclass(frozen=True, eq=False, slots=True)
class _Grid:
    """The grid on which the frames of a segmentation lie, some of whose slices may have none."""

    affine: Floats
    source: Ints
    """(slices,) which of the distinct planes fills the slice, -1 for none."""
    plane: Ints
    """(frames,) which of the distinct planes each frame lies in."""


def read_segments(dataset: FileDataset, image: Image | None, where: str) -> Iterator[MarkedLesion]:
    """The segments of a DICOM SEG (binary, fractional from a half on, or label map); slices without a frame are empty.

    `image` is the one that was segmented: its slice distance is taken where the file leaves out slices. Segments
    without a pixel are passed over. Raises InputError where the file is damaged or its frames are no volume.
    """
    if not is_image(dataset):
        raise InputError(Problem(where, DAMAGED, remedy="Export the segmentation again."))
    frames = frames_of(where, dataset)
    check_uniform(where, frames)
    grid = _grid(frames, image, where)
    names, numbers = guarded(where, DAMAGED, lambda: (_segment_names(dataset), _segment_numbers(dataset)))
    if str(dataset.get("SegmentationType", "")).upper() == "LABELMAP":
        labels = guarded(where, DAMAGED, lambda: _label_map(frames, grid))
        for number, roi in by_label(labels, grid.affine):
            assert roi.mask is not None
            assert roi.affine is not None
            yield _lesion(names, number, roi.mask, roi.affine, image)
        return
    if len(numbers) != len(frames):
        raise InputError(Problem(where, DAMAGED, remedy="Export the segmentation again."))
    for number in np.unique(numbers):
        mine = np.flatnonzero(numbers == number)
        mask, affine = guarded(where, DAMAGED, lambda mine=mine: _segment(frames, grid, mine))
        if mask.any():
            yield _lesion(names, int(number), mask, affine, image)


def _lesion(
    names: Mapping[int, str], number: int, mask: NDArray[np.bool_], affine: Floats, image: Image | None
) -> MarkedLesion:
    """A segment as it was drawn; that of a tilted gantry on the grid of the image, which is at right angles."""
    sides = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    if image is not None and image.affine is not None and np.abs(sides.T @ sides - np.eye(3)).max() > SKEW:
        mask, affine = nearest(mask, affine, image.affine, image.pixels.shape), image.affine
    return MarkedLesion(names.get(number, ""), number, *cut_down(mask, affine))


def _segment_names(dataset: Dataset) -> dict[int, str]:
    return {int(item.SegmentNumber): str(item.get("SegmentLabel", "")) for item in dataset.get("SegmentSequence") or []}


def _segment_numbers(dataset: Dataset) -> NDArray[np.int64]:
    """(frames,) the segment of each frame; empty for label maps, which have all in each."""
    shared = dataset.get("SharedFunctionalGroupsSequence") or [Dataset()]
    items = (
        group.get("SegmentIdentificationSequence") or shared[0].get("SegmentIdentificationSequence")
        for group in dataset.get("PerFrameFunctionalGroupsSequence") or []
    )
    return np.array([int(item[0].ReferencedSegmentNumber) for item in items if item], dtype=np.int64)


def _grid(frames: Sequence[Frame], image: Image | None, where: str) -> _Grid:
    first = frames[0]
    positions = [frame.position for frame in frames if frame.position is not None]
    if len(positions) < len(frames) or first.orientation is None or first.pixel_mm is None:
        raise InputError(Problem(where, "the segmentation has no patient coordinates", remedy="Export it again."))
    across, down = first.orientation
    normal = np.cross(across, down)
    height = np.stack(positions) @ normal
    order = np.argsort(height, kind="stable")
    begins = np.diff(height[order], prepend=-np.inf) > SAME_PLANE_MM
    plane = np.empty(len(frames), dtype=np.int64)
    plane[order] = np.cumsum(begins) - 1
    levels = height[order][begins]
    if levels[-1] - levels[0] > LONGEST_MM:
        raise InputError(Problem(where, "the frames of the segmentation are metres apart", remedy="Export it again."))
    step, source = _slices(levels - levels[0], first.slice_mm, _image_step(image, normal))
    corner = positions[order[0]]
    affine = np.eye(4)
    affine[:3, 0] = step * (normal + _drift(np.stack(positions), first, where))
    affine[:3, 1], affine[:3, 2], affine[:3, 3] = down * first.pixel_mm[0], across * first.pixel_mm[1], corner
    if abs(np.linalg.det(affine)) < 1e-9:
        raise InputError(Problem(where, "the pixel spacing or the slice directions are not usable"))
    return _Grid(affine, source, plane)


def _image_step(image: Image | None, normal: Floats) -> float | None:
    """The image's slice distance where its slices are parallel to the segmentation's."""
    if image is None or image.affine is None:
        return None
    step = image.affine[:3, 0]
    length = float(np.linalg.norm(step))
    return length if abs(step @ normal) > 0.999 * length else None


def _slices(height: Floats, named: float | None, of_image: float | None) -> tuple[float, Ints]:
    """The slice distance, and which plane fills each slice; `height` (planes,) increases from 0."""
    candidates = [step for step in (of_image, named) if step]
    for step in candidates:
        places = np.rint(height / step)
        if np.abs(height - places * step).max() <= SPACING_TOLERANCE * step and len(set(places)) == len(places):
            return step, _filled(places.astype(np.int64))
    if len(height) == 1:
        return candidates[0] if candidates else 1.0, np.zeros(1, dtype=np.int64)
    found = lattice(height)
    if found is not None:
        return found[0], _filled(found[1])
    step = float(np.median(np.diff(height)))  # uneven: each slice takes the nearest plane
    wanted = np.arange(round(height[-1] / step) + 1) * step
    return step, np.abs(wanted[:, None] - height).argmin(axis=1)


def _filled(places: Ints) -> Ints:
    source = np.full(int(places[-1]) + 1, -1, dtype=np.int64)
    source[places] = np.arange(len(places))
    return source


def _drift(positions: Floats, first: Frame, where: str) -> Floats:
    """(3,) mm that the planes move sideways for each mm along the stack: those of a tilted gantry do."""
    assert first.orientation is not None
    assert first.pixel_mm is not None
    normal = np.cross(*first.orientation)
    beside = positions - positions[0]
    height = beside @ normal
    beside = beside - height[:, None] * normal
    slope = height @ beside / max(float(height @ height), 1e-9)
    if np.abs((beside - height[:, None] * slope) @ first.orientation.T / first.pixel_mm[::-1]).max() > BESIDE:
        remedy = "Export the segmentation on the grid of its image."
        raise InputError(Problem(where, "the frames of the segmentation do not lie above each other", remedy=remedy))
    return slope


def _segment(frames: Sequence[Frame], grid: _Grid, mine: Ints) -> tuple[NDArray[np.bool_], Floats]:
    """The mask of a segment with these frames, from its first slice to its last, and its affine."""
    dataset = frames[0].dataset
    most = float(dataset.get("MaximumFractionalValue", 1)) if _is_fractional(dataset) else 1.0
    planes = {int(plane): np.zeros((int(dataset.Rows), int(dataset.Columns)), np.bool_) for plane in grid.plane[mine]}
    for index in mine:
        planes[int(grid.plane[index])] |= stored_values(dataset, frames[index].index) >= HALF * most
    slices = np.flatnonzero(np.isin(grid.source, list(planes)))
    mask = np.zeros((slices[-1] - slices[0] + 1, *next(iter(planes.values())).shape), dtype=np.bool_)
    for place in slices:
        mask[place - slices[0]] = planes[int(grid.source[place])]
    affine = grid.affine.copy()
    affine[:3, 3] += slices[0] * affine[:3, 0]
    return mask, affine


def _is_fractional(dataset: Dataset) -> bool:
    return str(dataset.get("SegmentationType", "")).upper() == "FRACTIONAL"


def _label_map(frames: Sequence[Frame], grid: _Grid) -> NDArray[np.int32]:
    dataset = frames[0].dataset
    labels = np.zeros((len(grid.source), int(dataset.Rows), int(dataset.Columns)), dtype=np.int32)
    for index, frame in enumerate(frames):
        values = stored_values(dataset, frame.index)
        for place in np.flatnonzero(grid.source == grid.plane[index]):
            labels[place] = values
    return labels


def read_structures(dataset: Dataset, image: Image | None, where: str) -> Iterator[MarkedLesion]:
    """The structures of an RTSTRUCT, their closed outlines filled on the image's grid; others are passed over.

    Raises InputError where there is no image with patient coordinates, and where the file is damaged.
    """
    if image is None or image.affine is None:
        what = "the outlines need the image on which they were drawn"
        raise InputError(Problem(where, what, expected="an image with patient coordinates"))
    damaged = "a damaged DICOM structure set"
    for name, number, contours in guarded(where, damaged, lambda: list(_structures(dataset))):
        if contours:
            mask = fill(contours, image.affine, image.pixels.shape, where)
            if mask.any():
                yield MarkedLesion(name, number, *cut_down(mask, image.affine))


def _structures(dataset: Dataset) -> Iterator[tuple[str, int, list[Floats]]]:
    names = {int(item.ROINumber): str(item.get("ROIName", "")) for item in dataset.get("StructureSetROISequence") or []}
    for item in dataset.get("ROIContourSequence") or []:
        number = int(item.ReferencedROINumber)
        closed = (
            _points(contour)
            for contour in item.get("ContourSequence") or []
            if str(contour.get("ContourGeometricType", "")).upper() in CLOSED
        )
        yield names.get(number, ""), number, [points for points in closed if len(points) > 2]


def _points(contour: Dataset) -> Floats:
    """(points, 3) patient mm; long lists of decimals are read at once, which pydicom would do one by one."""
    item = contour.get_item(CONTOUR_DATA)
    value = () if item is None else item.value
    values = value.decode("ascii").split("\\") if isinstance(value, bytes) else value
    points = np.array(values, dtype=np.float64).reshape(-1, 3)
    if not np.isfinite(points).all():
        raise ValueError("not finite")
    return points


def referred_series(dataset: Dataset) -> tuple[str, ...]:
    """The UIDs of the series that a segmentation or a structure set was drawn on, as they stand in the file.

    They identify a patient: hash them before anything is kept. Empty where the file names none.
    """
    items = list(dataset.get("ReferencedSeriesSequence") or [])
    for frame in dataset.get("ReferencedFrameOfReferenceSequence") or []:
        for study in frame.get("RTReferencedStudySequence") or []:
            items += study.get("RTReferencedSeriesSequence") or []
    found = (str(item.get("SeriesInstanceUID", "")).strip() for item in items)
    return tuple(dict.fromkeys(uid for uid in found if uid))
