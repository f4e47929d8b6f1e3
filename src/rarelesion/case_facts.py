"""One case as the check keeps it: its images are read once, looked at, and only small things are kept of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rarelesion.burnt_in import text_regions
from rarelesion.crop import COLOURS, cut_patch
from rarelesion.errors import InputError, Problem
from rarelesion.file_facts import FileFacts, is_coloured, read_file_facts
from rarelesion.images import load_roi, read_image
from rarelesion.pixel_traits import Traits, background, is_written, traits
from rarelesion.places import Place, box_on, locate, plane_at
from rarelesion.settings import ImageSettings
from rarelesion.types import Case, Floats, Image, Roi
from rarelesion.views import hang, shrink, shrunk_affine, stretch

Small = NDArray[np.uint8]
"""(side, side) a picture in 256 greys."""


@dataclass(frozen=True, eq=False, slots=True)
class ImageFacts:
    """One image of a case."""

    size: tuple[int, int, int]
    affine: Floats | None
    file: FileFacts | None
    coloured: bool
    digest: bytes
    """Equal for equal pixels."""
    traits: Traits
    """Of the slice that shows the lesion."""
    text: int
    """How many places of that slice hold letters, callipers or scale bars burnt into the pixels."""
    picture: Small
    """That slice, turned as it is read."""
    picture_affine: Floats | None
    background: NDArray[np.float64]


@dataclass(frozen=True, eq=False, slots=True)
class Mark:
    """One mask or box of a case."""

    place: Place
    mask_size: tuple[int, ...] | None
    affine: Floats | None
    values: int
    """How many values other than 0 a mask has; 1 for a box."""


@dataclass(frozen=True, eq=False, slots=True)
class CaseFacts:
    """What is kept of a case."""

    case: Case
    images: Mapping[str, ImageFacts] = field(default_factory=dict)
    marks: Mapping[str, Mark] = field(default_factory=dict)
    patch_digest: bytes = b""
    patches: Mapping[str, Small] = field(default_factory=dict)
    """Sequence -> the lesion as it is cut out there; empty where it cannot be cut."""
    problems: tuple[Problem, ...] = ()


def look_at(case: Case, channels: Mapping[str, str], settings: ImageSettings) -> CaseFacts:
    """Read all images and marks of a case; what can't be used is among its `problems`, and the rest is looked at."""
    images, rois, values, problems = read_case(case)
    patch: NDArray[np.float32] | None = None
    if set(channels.values()) <= set(images) and set(rois) == set(case.rois):
        try:
            patch = cut_patch(images, _marked(rois, channels), channels, settings)
        except InputError as error:
            problems += error.problems
    marks = {name: mark for name, roi in rois.items() if (mark := mark_of(roi, images[name], values[name])) is not None}
    return CaseFacts(
        case=case,
        images={name: _facts(image, case.images[name], _donor(name, marks)) for name, image in images.items()},
        marks=marks,
        patch_digest=b"" if patch is None else sha256(patch.tobytes()).digest(),
        patches={} if patch is None else _planes(patch, channels),
        problems=tuple(replace(one, where=f"case {case.case_id}, {one.where}") for one in dict.fromkeys(problems)),
    )


def read_case(case: Case) -> tuple[dict[str, Image], dict[str, Roi], dict[str, int], list[Problem]]:
    """The images of a case, its marks, how many values other than 0 each mask holds, and what could not be read."""
    images: dict[str, Image] = {}
    rois: dict[str, Roi] = {}
    values: dict[str, int] = {}
    problems: list[Problem] = []
    for sequence, path in case.images.items():
        try:
            images[sequence] = read_image(path, sequence)
            if sequence in case.rois:
                rois[sequence], values[sequence] = _read_roi(case.rois[sequence])
        except InputError as error:
            problems += error.problems
    return images, rois, values, problems


def _read_roi(source: Path | Roi) -> tuple[Roi, int]:
    """A ROI, and how many values other than 0 its mask holds."""
    if isinstance(source, Roi) or source.suffix.lower() in (".jpg", ".jpeg"):
        return load_roi(source), 1
    image = read_image(source, "mask")
    mask = image.pixels != 0
    if not mask.any():
        return load_roi(source), 1  # says what is wrong
    return Roi(mask=mask, affine=image.affine), np.unique(image.pixels[mask]).size


def _marked(rois: Mapping[str, Roi], channels: Mapping[str, str]) -> dict[str, Roi]:
    """The marks a patch is cut with: one on a sequence that is not shown leads to those that have none."""
    shown = set(channels.values())
    return dict(rois) if shown - set(rois) else {name: rois[name] for name in rois if name in shown}


def _usable(roi: Roi, image: Image) -> bool:
    """Whether the mark lies on its image, so that it can be measured there."""
    if roi.box is None:
        assert roi.mask is not None
        return (roi.affine is not None and image.affine is not None) or roi.mask.shape == image.pixels.shape
    row0, col0, row1, col1 = roi.box
    slices, rows, columns = image.pixels.shape
    named = roi.slice_index is not None or slices == 1
    return named and 0 <= row0 < row1 <= rows and 0 <= col0 < col1 <= columns and (roi.slice_index or 0) < slices


def mark_of(roi: Roi, image: Image, values: int) -> Mark | None:
    """The mark on its image; None where it doesn't lie on it."""
    if not _usable(roi, image):
        return None
    size = None if roi.mask is None else roi.mask.shape
    affine = image.affine if roi.affine is None or image.affine is None else roi.affine
    return Mark(locate(roi, image), size, affine, values)


def _donor(sequence: str, marks: Mapping[str, Mark]) -> Mark | None:
    return marks.get(sequence) or next(iter(marks.values()), None)


def _facts(image: Image, path: Path, mark: Mark | None) -> ImageFacts:
    middle = image.pixels.shape[0] // 2
    centre, plane = (None, middle) if mark is None else (mark.place.centre_mm, mark.place.plane)
    index = plane_at(image, centre, plane)
    pixels = image.pixels[index]
    box = (0, 0, 0, 0) if mark is None else box_on(image, mark.place, mark.affine)
    affine = None
    if image.affine is not None:
        affine = np.array(image.affine, dtype=np.float64)
        affine[:3, 3] += affine[:3, 0] * index
    hung, hung_affine = hang(pixels, affine)
    file = read_file_facts(path)
    return ImageFacts(
        size=(image.pixels.shape[0], image.pixels.shape[1], image.pixels.shape[2]),
        affine=image.affine,
        file=file,
        coloured=file is not None and path.is_file() and file.channels >= 3 and is_coloured(path),
        digest=sha256(np.ascontiguousarray(image.pixels).tobytes()).digest(),
        traits=traits(pixels),
        text=sum(is_written(pixels, box) for box in text_regions(pixels)),
        picture=_as_small(shrink(hung)),
        picture_affine=None if hung_affine is None else shrunk_affine(hung_affine, *hung.shape),
        background=background(pixels, box),
    )


def _as_small(picture: Floats) -> Small:
    return np.rint(stretch(picture) * 255).astype(np.uint8)


def _planes(patch: NDArray[np.float32], channels: Mapping[str, str]) -> dict[str, Small]:
    return {name: _as_small(shrink(patch[COLOURS.index(colour)])) for colour, name in channels.items()}
