"""Lesions as people marked them: label volumes of any program, 3D Slicer, DICOM segmentations, RTSTRUCT.

Names of segments are free text, which may hold a patient's name: they are for comparing in memory only.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy.ndimage import find_objects

from rarelesion.errors import InputError, Problem
from rarelesion.images import affine_of
from rarelesion.lesions import cut_down
from rarelesion.types import Floats, Image

MOST_LABELS = 1000
"""More values than that are an image, not a mask."""
HALF = 0.5
VOLUMES = (".nii", ".nii.gz", ".nrrd", ".mha", ".mhd", ".png", ".tif", ".tiff", ".bmp")


@dataclass(frozen=True, eq=False, slots=True)
class MarkedLesion:
    """One label of a mask, one segment, or one structure."""

    name: str
    """As the person called it, for matching only: never to be written or printed. Empty where the file names none."""
    number: int
    """The label's value, or the number of the segment or structure."""
    mask: NDArray[np.bool_]
    """(slices, rows, columns), cut down to what is marked where there is an affine."""
    affine: Floats | None
    """(4, 4) from (slice, row, column, 1) of the mask to patient mm; None for plain pictures."""


def read_rois(path: Path, image: Image | None, where: str) -> tuple[MarkedLesion, ...]:
    """Read all that is marked in a file, ordered by number.

    Label volumes (NIfTI, NRRD, MetaImage, plain pictures) have a lesion for each value but 0, .seg.nrrd of 3D Slicer
    one for each segment. `image` is what RTSTRUCT contours were drawn on. `where` is how messages name the file: they
    hold no path and nothing of its content. Raises InputError where the file is unreadable, no mask, or empty.
    """
    marked = tuple(_labels(_open(path, where), where))
    if not marked:
        raise InputError(Problem(where, "the mask is empty", remedy="Mark the lesion, or give a point or a box."))
    return tuple(sorted(marked, key=lambda lesion: lesion.number))


def _open(path: Path, where: str) -> sitk.Image:
    try:
        return sitk.ReadImage(str(path))
    except RuntimeError:  # its message holds the path
        remedy = "Open it in a viewer and save it again."
        raise InputError(
            Problem(where, "the mask cannot be read: damaged, cut short, or another kind", remedy=remedy)
        ) from None


def _labels(volume: sitk.Image, where: str) -> Iterator[MarkedLesion]:
    affine = affine_of(volume)
    layers = _layers(volume)
    segments = _segments(volume)
    if segments:
        for name, number, layer in segments:
            if 0 <= layer < len(layers):
                mask, placed = cut_down(layers[layer] == number, affine)
                if mask.any():
                    yield MarkedLesion(name, number, mask, placed)
        return
    if len(layers) > 1:
        raise InputError(Problem(where, "several values a pixel", str(len(layers)), "one label a pixel"))
    values = _whole_numbers(layers[0], where)
    for number, box in enumerate(find_objects(values), start=1):
        if box is not None:
            yield MarkedLesion("", number, *cut_down(values == number, affine))


def _layers(volume: sitk.Image) -> list[NDArray[np.generic]]:
    """(slices, rows, columns) the label volumes of the file, one for each component."""
    pixels = sitk.GetArrayFromImage(volume)
    if volume.GetNumberOfComponentsPerPixel() == 1:
        pixels = pixels[..., None]
    pixels = pixels.reshape((*(1,) * (4 - pixels.ndim), *pixels.shape) if pixels.ndim < 4 else pixels.shape[-4:])
    return [pixels[..., component] for component in range(pixels.shape[-1])]


def _segments(volume: sitk.Image) -> list[tuple[str, int, int]]:
    """Name, label value and layer of each segment that 3D Slicer wrote; none for other files."""
    found = []
    while volume.HasMetaDataKey(f"Segment{len(found)}_Name"):
        number = len(found)
        keys = (f"Segment{number}_{key}" for key in ("LabelValue", "Layer"))
        value, layer = (volume.GetMetaData(key) if volume.HasMetaDataKey(key) else "" for key in keys)
        # Before version 4.11 every segment had a layer of its own, with the value 1.
        found.append(
            (
                volume.GetMetaData(f"Segment{number}_Name"),
                int(value) if value.isdecimal() else 1,
                int(layer) if layer.isdecimal() else number,
            )
        )
    return found


def _whole_numbers(pixels: NDArray[np.generic], where: str) -> NDArray[np.int32]:
    """Labels from 0; probabilities from 0 to 1 become a mask where they reach a half."""
    values = np.nan_to_num(pixels.astype(np.float64))
    if (values != np.rint(values)).any():
        if values.min() < 0 or values.max() > 1:
            raise InputError(Problem(where, "an image, not a mask", "values that are no whole numbers", "labels"))
        return (values >= HALF).astype(np.int32)
    if values.min() < 0 or values.max() > np.iinfo(np.int32).max or len(np.unique(values)) > MOST_LABELS:
        found = f"values from {values.min():g} to {values.max():g}"
        raise InputError(Problem(where, "an image, not a mask", found, f"at most {MOST_LABELS} labels from 0"))
    return values.astype(np.int32)
