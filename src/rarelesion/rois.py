"""Lesions as people marked them: label volumes of any program, 3D Slicer, DICOM segmentations, RTSTRUCT.

Names of segments are free text, which may hold a patient's name: they are for comparing in memory only.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from rarelesion import dicom_rois
from rarelesion.errors import InputError, Problem
from rarelesion.frames import frames_of, guarded, is_image, read_file
from rarelesion.images import affine_of, check_complete, is_nowhere
from rarelesion.lesions import MarkedLesion, by_label, cut_down
from rarelesion.types import Floats, Image
from rarelesion.volumes import read_stack

MOST_LABELS = 1000
"""More values than that are an image, not a mask."""
HIGHEST_LABEL = 65535
ROUNDING = 1e-3
HALF = 0.5


def read_rois(path: Path, image: Image | None, where: str) -> tuple[MarkedLesion, ...]:
    """Read all that is marked in a file, ordered by number.

    Label volumes (NIfTI, NRRD, MetaImage, plain pictures, a DICOM series that is a mask) have a lesion for each value
    but 0, .seg.nrrd of 3D Slicer one for each segment, DICOM SEG and RTSTRUCT one for each segment and structure.
    `image` is what was marked: RTSTRUCT needs it. `where` is how messages name the file: they hold no path and
    nothing of its content. Raises InputError where the file is unreadable, no mask, or empty.
    """
    marked = guarded(where, "a damaged mask", lambda: tuple(_marked(path, image, where)))
    if not marked:
        raise InputError(Problem(where, "the mask is empty", remedy="Mark the lesion, or give a point or a box."))
    return tuple(sorted(marked, key=lambda lesion: lesion.number))


def referred_series(path: Path, where: str) -> tuple[str, ...]:
    """The UIDs of the series that a DICOM SEG or RTSTRUCT was drawn on; empty for other files.

    They identify a patient: hash them before anything is kept. Raises InputError where the file is damaged.
    """
    dataset = read_file(where, path, pixels=False)
    return (
        () if dataset is None else guarded(where, "a damaged DICOM file", lambda: dicom_rois.referred_series(dataset))
    )


def _marked(path: Path, image: Image | None, where: str) -> Iterator[MarkedLesion]:
    if path.is_dir():
        files = sorted(item for item in path.iterdir() if item.is_file())
        if len(files) == 1:
            return _marked(files[0], image, where)
        return _of_values(_stack(files, where), where)
    dataset = read_file(where, path)
    if dataset is None:
        check_complete(where, path)
        volume = _open(path, where)
        return _labels(volume, None if is_nowhere(path, volume) else affine_of(volume), where)
    readers = {"SEG": dicom_rois.read_segments, "RTSTRUCT": dicom_rois.read_structures}
    modality = guarded(where, "a damaged DICOM file", lambda: str(dataset.get("Modality", "")))
    if modality in readers:
        return readers[modality](dataset, image, where)
    return _of_values(_stack([path], where), where)


def _stack(files: Sequence[Path], where: str) -> Image:
    """A mask that was written as an ordinary DICOM series."""
    wanted = []
    for order, path in enumerate(files, start=1):
        place = f"{where}, file {order} of {len(files)}"
        dataset = read_file(place, path, pixels=False)
        if dataset is not None and is_image(dataset):
            wanted += [(path, frame.index) for frame in frames_of(place, dataset)]
    return read_stack(wanted, "mask", where)[0]


def _of_values(volume: Image, where: str) -> Iterator[MarkedLesion]:
    for number, roi in by_label(_whole_numbers(volume.pixels, where), volume.affine):
        assert roi.mask is not None
        yield MarkedLesion("", number, roi.mask, roi.affine)


def _open(path: Path, where: str) -> sitk.Image:
    try:
        return sitk.ReadImage(str(path))
    except RuntimeError:  # its message holds the path
        remedy = "Open it in a viewer and save it again."
        raise InputError(
            Problem(where, "the mask cannot be read: damaged, cut short, or another kind", remedy=remedy)
        ) from None


def _labels(volume: sitk.Image, affine: Floats | None, where: str) -> Iterator[MarkedLesion]:
    layers = _layers(volume)
    segments = _segments(volume)
    if segments:
        for name, number, layer in segments:
            if 0 <= layer < len(layers):
                mask, placed = cut_down(layers[layer] == number, affine)
                if mask.any():
                    yield MarkedLesion(name, number, mask, placed)
        return
    if any(not np.array_equal(layer, layers[0]) for layer in layers[1:]):  # grey may be stored as colour
        raise InputError(Problem(where, "several values a voxel", str(len(layers)), "one label a voxel"))
    yield from _of_values(Image(layers[0].astype(np.float32), "mask", affine), where)


def _layers(volume: sitk.Image) -> list[NDArray[Any]]:
    """(slices, rows, columns) the label volumes of the file, one for each component and point of a fourth axis."""
    pixels = sitk.GetArrayFromImage(volume)
    if volume.GetNumberOfComponentsPerPixel() > 1:
        pixels = np.moveaxis(pixels, -1, 0)
    size = ((1,) * 3 + pixels.shape)[-3:] if volume.GetDimension() > 2 else (1, *pixels.shape[-2:])
    return list(pixels.reshape(-1, *size))


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


def _whole_numbers(pixels: NDArray[np.float32], where: str) -> NDArray[np.int32]:
    """Labels from 0; probabilities from 0 to 1 become a mask where they reach a half."""
    values = np.nan_to_num(pixels)
    whole = np.rint(values)
    low, high = float(values.min()), float(values.max())
    if np.abs(values - whole).max() > ROUNDING:
        if low < 0 or high > 1:
            raise InputError(Problem(where, "an image, not a mask", "values that are no whole numbers", "labels"))
        return (values >= HALF).astype(np.int32)
    labels = whole.astype(np.int32) if low >= 0 and high <= HIGHEST_LABEL else None
    if labels is None or np.count_nonzero(np.bincount(labels.ravel())) > MOST_LABELS:
        found = f"values from {low:g} to {high:g}"
        raise InputError(Problem(where, "an image, not a mask", found, f"at most {MOST_LABELS} labels from 0"))
    return labels
