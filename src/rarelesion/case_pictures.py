"""The pictures of a case for the check's page: each sequence at the lesion, whole and near."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rarelesion.case_facts import Mark, mark_of, read_case
from rarelesion.outlined import lesion_picture, slice_picture
from rarelesion.places import Box, box_on, plane_at
from rarelesion.types import Case, Floats, Image, Roi
from rarelesion.views import hang


@dataclass(frozen=True, slots=True)
class CasePicture:
    """One sequence of a case, as two PNG files."""

    sequence: str
    whole: bytes
    near: bytes


def case_pictures(case: Case) -> tuple[CasePicture, ...]:
    """The sequences that can be read, turned as radiologists hang them, the lesion outlined where it is marked."""
    images, rois, values, _ = read_case(case)
    marks = {name: mark for name, roi in rois.items() if (mark := mark_of(roi, images[name], values[name])) is not None}
    return tuple(_pictures(images, rois, marks))


def _pictures(images: dict[str, Image], rois: dict[str, Roi], marks: dict[str, Mark]) -> Iterator[CasePicture]:
    for sequence, image in images.items():
        mark = marks.get(sequence) or next(iter(marks.values()), None)
        middle = image.pixels.shape[0] // 2
        plane = middle if mark is None else plane_at(image, mark.place.centre_mm, mark.place.plane)
        box = (0, 0, 0, 0) if mark is None else box_on(image, mark.place, mark.affine)
        lesion = _lesion(image, rois.get(sequence), box, plane)
        affine = image.affine
        pixels, turned = hang(image.pixels[plane], affine)
        shown = hang(lesion.astype(np.float32), affine)[0] > 0
        steps = (1.0, 1.0) if turned is None else _steps(turned)
        yield CasePicture(sequence, slice_picture(pixels, shown, steps), lesion_picture(pixels, shown, steps))


def _lesion(image: Image, roi: Roi | None, box: Box, plane: int) -> NDArray[np.bool_]:
    """(rows, columns) the mask on this slice where it has the image's grid, else the box."""
    if roi is not None and roi.mask is not None and _same_grid(roi, image) and roi.mask[plane].any():
        return roi.mask[plane]
    lesion = np.zeros(image.pixels.shape[1:], dtype=bool)
    lesion[box[0] : box[2], box[1] : box[3]] = True
    return lesion


def _same_grid(roi: Roi, image: Image) -> bool:
    if roi.mask is None or roi.mask.shape != image.pixels.shape:
        return False
    return roi.affine is None or image.affine is None or np.allclose(roi.affine, image.affine, atol=0.01)


def _steps(affine: Floats) -> tuple[float, float]:
    """How far rows, and columns, lie apart."""
    lengths = np.linalg.norm(affine[:3, 1:3], axis=0)
    return float(lengths[0]), float(lengths[1])
