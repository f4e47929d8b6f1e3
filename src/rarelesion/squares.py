"""Where a patch lies: the square round a lesion's largest cross-section, in patient millimetres.

Plain pictures have no coordinates: there the square lies on the pixels.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rarelesion.errors import InputError, Problem
from rarelesion.types import Floats, Image, Roi


@dataclass(frozen=True, slots=True)
class Square:
    """Where a patch lies: in the coordinates of `affine`'s world, millimetres or pixels."""

    centre: Floats
    down: Floats
    """(3,) unit vector along which the patch's rows follow each other."""
    across: Floats
    lesion: Floats
    """(2,) how long the lesion is down and across."""
    side: float
    step: Floats
    """(3,) from the lesion's slice to the next."""
    reach: tuple[int, int]
    """How many slices before it and after it hold the lesion too, as far as is known."""

    def neighbours(self, slices: int) -> "dict[int, Square]":
        """The square on so many slices, this one first and then its nearest, by how many slices they lie away.

        Where the lesion ends there are fewer.
        """
        low, high = max(-(slices // 2), -self.reach[0]), min((slices - 1) // 2, self.reach[1])
        away = sorted(range(low, high + 1), key=lambda steps: (abs(steps), steps))
        return {steps: replace(self, centre=self.centre + steps * self.step) for steps in away}

    def offsets(self, side_px: int) -> Floats:
        """(side_px,) how far from the centre the patch's rows, and its columns, are."""
        return (np.arange(side_px) - (side_px - 1) / 2) * self.side / side_px

    def points(self, side_px: int) -> Floats:
        """(3, side_px, side_px) the centres of the patch's pixels."""
        offsets = self.offsets(side_px)
        rows = self.down[:, None, None] * offsets[None, :, None]
        return self.centre[:, None, None] + rows + self.across[:, None, None] * offsets[None, None, :]

    def shows_lesion(self, side_px: int) -> NDArray[np.bool_]:
        """(side_px, side_px) the patch's pixels in the lesion's bounding box, its middle ones if it is thinner."""
        near = np.abs(self.offsets(side_px)) <= np.maximum(self.lesion, self.side / side_px)[:, None] / 2
        return np.logical_and.outer(near[0], near[1])


def donor_of(sequence: str, images: Mapping[str, Image], rois: Mapping[str, Roi]) -> str:
    """The sequence whose ROI says where the lesion is in this one: itself, or the first that shares its places."""
    if sequence in rois:
        return sequence
    donor = next((name for name in rois if name in images and _share_place(images[name], images[sequence])), None)
    if donor is None:
        remedy = f"Mark it there too: mask_{sequence} or box_{sequence}."
        what = "the lesion is not marked on this image, and no coordinates lead there from a marked one"
        raise InputError(Problem(sequence, what, remedy=remedy))
    return donor


def _share_place(marked: Image, other: Image) -> bool:
    """Whether a place in the one image is known in the other: by the patient's coordinates, or pixel by pixel."""
    if marked.affine is None or other.affine is None:
        return marked.affine is other.affine and marked.pixels.shape == other.pixels.shape
    return True


def square_of(sequence: str, image: Image, roi: Roi, margin: float) -> Square:
    if roi.mask is None:
        affine = affine_or_pixels(image)
        plane, box = box_plane(sequence, image, roi)
        reach = plane, image.pixels.shape[0] - 1 - plane
    else:
        mask, affine = roi.mask, mask_affine(sequence, image, roi)
        mask, affine = (mask, affine) if image.affine is None else _axial_first(mask, affine)
        plane, box = largest_cross_section(sequence, mask)
        marked = np.flatnonzero(mask.any(axis=(1, 2)))
        reach = plane - int(marked[0]), int(marked[-1]) - plane
    scale = np.linalg.norm(affine[:3, 1:3], axis=0)
    lengths = (np.array(box[2:]) - box[:2]) * scale
    middle = (np.array(box[:2]) + box[2:] - 1) / 2
    side = float(lengths.max()) * (1 + 2 * margin)
    if image.affine is None:
        middle = _shifted_inside(middle, side, image.pixels.shape[1:])
    centre = affine[:3, :3] @ [plane, *middle] + affine[:3, 3]
    directions = (affine[:3, 1:3] / scale).T
    turned, signs = _as_read(directions) if image.affine is not None else ([0, 1], np.ones(2))
    down, across = directions[turned] * signs[:, None]
    return Square(centre, down, across, lengths[turned], side, affine[:3, 0], reach)


def affine_or_pixels(image: Image) -> Floats:
    """The image's affine; for a plain picture one that makes (slice, row, column) its own coordinates."""
    return np.eye(4) if image.affine is None else image.affine


def box_plane(sequence: str, image: Image, roi: Roi) -> tuple[int, tuple[int, int, int, int]]:
    assert roi.box is not None
    slices, rows, columns = image.pixels.shape
    found, remedy = f"box {' '.join(map(str, roi.box))}", "Boxes are row0 col0 row1 col1, counted from 0."
    if roi.slice_index is None and slices > 1:
        remedy = "Put the slice index, counted from 0, before the four numbers of the box."
        raise InputError(Problem(sequence, f"the box names none of the {slices} slices", found, remedy=remedy))
    plane = roi.slice_index or 0
    row0, col0, row1, col1 = roi.box
    if not (0 <= row0 < row1 <= rows and 0 <= col0 < col1 <= columns and 0 <= plane < slices):
        found += "" if roi.slice_index is None else f" on slice {plane}"
        expected = f"inside {slices} slices of {rows} rows and {columns} columns"
        raise InputError(Problem(sequence, "the box lies outside the image", found, expected, remedy))
    return plane, roi.box


def mask_affine(sequence: str, image: Image, roi: Roi) -> Floats:
    """Where the mask is: by its own coordinates if it and the image have some, else pixel by pixel on the image."""
    assert roi.mask is not None
    if roi.affine is not None and image.affine is not None:
        return roi.affine
    if roi.mask.shape != image.pixels.shape:
        found = f"mask {_size(roi.mask)}, image {_size(image.pixels)}"
        remedy = "Draw the mask on this image, or save both with patient coordinates (NIfTI, DICOM)."
        raise InputError(Problem(sequence, "the mask does not fit the image", found, "the same size", remedy))
    return affine_or_pixels(image)


def _size(array: NDArray[np.generic]) -> str:
    return " x ".join(str(length) for length in array.shape)


def _axial_first(mask: NDArray[np.bool_], affine: Floats) -> tuple[NDArray[np.bool_], Floats]:
    """The mask with the axis nearest to the patient's long axis in front; a single slice is taken as it is."""
    if mask.shape[0] == 1:
        return mask, affine
    directions = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    axis = int(np.argmax(np.abs(directions[2])))
    order = [axis, *(other for other in range(3) if other != axis)]
    return mask.transpose(order), affine[:, [*order, 3]]


def largest_cross_section(sequence: str, mask: NDArray[np.bool_]) -> tuple[int, tuple[int, int, int, int]]:
    """The slice with the most pixels and the half-open bounding box there."""
    if not mask.any():
        raise InputError(Problem(sequence, "the mask is empty", remedy="Mark the lesion, or give a box."))
    plane = int(mask.sum(axis=(1, 2)).argmax())
    rows, columns = np.flatnonzero(mask[plane].any(axis=1)), np.flatnonzero(mask[plane].any(axis=0))
    return plane, (int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1)


def _shifted_inside(middle: Floats, side: float, size: tuple[int, ...]) -> Floats:
    """The centre moved so that the square lies on the picture; along an axis shorter than it the picture is centred."""
    lowest, highest = side / 2 - 0.5, np.array(size) - side / 2 - 0.5
    return np.where(lowest > highest, (np.array(size) - 1) / 2, np.clip(middle, lowest, np.maximum(lowest, highest)))


def _as_read(directions: Floats) -> tuple[list[int], Floats]:
    """Which of a plane's two directions (2, 3) goes down and which across, and their signs, as radiologists hang it.

    Millimetres run to the left, the back and the head: a picture goes down to the back or the feet, across to the
    left or the back.
    """
    downwards, sidewards = np.array([0.0, 0.5, -1.0]), np.array([1.0, 0.5, 0.0])
    first, second = np.abs(directions @ downwards)
    order = [0, 1] if first >= second else [1, 0]
    down, across = directions[order]
    return order, np.sign([down @ downwards, across @ sidewards])


def lies_inside(places: Floats, size: tuple[int, ...]) -> NDArray[np.bool_]:
    """(rows, columns) whether a place lies within the pixels, each of which reaches half a pixel to all sides."""
    last = np.array(size)[:, None, None] - 0.5
    return np.all((places >= -0.5 - 1e-6) & (places <= last + 1e-6), axis=0)
