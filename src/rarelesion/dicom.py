"""DICOM series: one folder of slices to one volume in patient coordinates, and back for synthetic cohorts.

Nothing that could identify a patient leaves this module: no name, number, date or UID is kept or named in a message.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, FileDataset
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, MRImageStorage, generate_uid

from rarelesion.errors import InputError, Problem
from rarelesion.frames import Frame, along, check_uniform, frames_of, in_order, is_image, read_file, read_planes
from rarelesion.types import Floats, Image

SPACING_TOLERANCE = 0.1  # share of the slice distance by which a slice may be off its place
SAME_PLACE_MM = 1e-3
EMPTY_ATTRIBUTES = (
    *("PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID", "AccessionNumber"),
    *("ReferringPhysicianName", "ScanOptions", "RepetitionTime", "EchoTime", "EchoTrainLength"),
    *("PositionReferenceIndicator", "Laterality", "PatientPosition"),
)
"""What the standard wants present in an MR image and allows to be empty."""


def read_series(source: Path, sequence: str) -> Image:
    """Read one DICOM series, from its folder or from a single file, in its physical units.

    Slices are ordered along the slice direction by their position (by instance number where there is none); files
    that are not DICOM images are passed over. Returns pixels (slices, rows, columns) float32 after rescaling, black
    for low values, with the affine to patient millimetres, None where the files hold no patient coordinates.
    Raises InputError for several series, slices of different directions or sizes, missing slices or several at one
    place, colour images, and pixels that cannot be decoded.
    """
    where = f"{sequence}: {source.name}"
    frames = [frame for dataset in _one_series(where, source) for frame in frames_of(where, dataset)]
    check_uniform(where, frames)
    frames = in_order(where, frames)
    affine = _affine(where, frames)
    return Image(read_planes(where, frames), sequence, affine)


def _one_series(where: str, source: Path) -> list[FileDataset]:
    """The image files of the folder's only series."""
    files = sorted(item for item in source.iterdir() if item.is_file()) if source.is_dir() else [source]
    places = [f"{where}, file {number} of {len(files)}" for number in range(1, len(files) + 1)]
    datasets = [read_file(place, file) for place, file in zip(places, files, strict=True)]
    images = [dataset for dataset in datasets if dataset is not None and is_image(dataset)]
    if not images:
        remedy = "Point at the folder that holds the slices themselves, or convert the file to DICOM Part 10."
        raise InputError(Problem(where, "no DICOM image", f"{len(files)} files", "one DICOM series", remedy))
    counts = Counter(str(dataset.get("SeriesInstanceUID", "")) for dataset in images)
    if len(counts) > 1:
        sizes = ", ".join(str(size) for size in counts.values())
        found = f"{len(counts)} series of {sizes} files"
        remedy = "Put the files of each series into a folder of its own and name the one to be used."
        raise InputError(Problem(where, "several DICOM series in one place", found, "one series", remedy))
    return images


def _affine(where: str, frames: list[Frame]) -> Floats | None:
    """(4, 4) from (slice, row, column, 1) to patient millimetres, DICOM PS3.3 C.7.6.2.1.1, of sorted slices."""
    first, places = frames[0], along(frames)
    if places is None or first.position is None or first.orientation is None or first.pixel_mm is None:
        return None
    across, down = first.orientation
    affine = np.eye(4)
    affine[:3, 0] = _slice_step(where, frames, places)
    affine[:3, 1] = down * first.pixel_mm[0]
    affine[:3, 2] = across * first.pixel_mm[1]
    affine[:3, 3] = first.position
    if abs(np.linalg.det(affine)) < 1e-9:
        raise InputError(Problem(where, "the pixel spacing or the slice directions are not usable"))
    return affine


def _slice_step(where: str, frames: list[Frame], places: Floats) -> Floats:
    """(3,) mm from one slice to the next; raises where the slices are not evenly spaced."""
    orientation = frames[0].orientation
    assert orientation is not None
    if len(frames) == 1:
        return np.cross(*orientation) * (frames[0].slice_mm or 1.0)
    gaps = np.diff(places)
    if gaps.min() < SAME_PLACE_MM:
        found = f"{int((gaps < SAME_PLACE_MM).sum())} of {len(frames)} slices share their place with another"
        remedy = "Keep one echo, phase or b-value of the series in the folder."
        raise InputError(Problem(where, "several slices at the same place", found, "one volume", remedy))
    positions = np.stack([frame.position for frame in frames if frame.position is not None])
    step = (positions[-1] - positions[0]) / (len(frames) - 1)
    off = np.linalg.norm(positions - positions[0] - np.arange(len(frames))[:, None] * step, axis=1)
    if off.max() > SPACING_TOLERANCE * np.median(gaps):
        found = f"distances from {gaps.min():.2f} to {gaps.max():.2f} mm"
        remedy = "A slice is missing or does not belong here: export the whole series again."
        raise InputError(Problem(where, "the slices are not evenly spaced", found, "even distances", remedy))
    return step


def write_series(
    folder: Path, pixels: NDArray[np.integer], affine: Floats, description: str, tags: Mapping[str, object], seed: str
) -> None:
    """Write a synthetic volume as a folder of MR Image Storage files, plainly marked as synthetic.

    `pixels` (slices, rows, columns) int16 or uint16; `affine` (4, 4) from (slice, row, column, 1) to patient
    millimetres, with perpendicular axes; `tags` are further DICOM keywords with their values, such as
    MagneticFieldStrength. All UIDs follow from `seed` and `description`: series with the same seed share a study
    and a frame of reference. Raises ValueError for pixels of another type or an unknown keyword.
    """
    if pixels.dtype not in (np.int16, np.uint16) or pixels.ndim != 3:
        raise ValueError("pixels must be int16 or uint16 (slices, rows, columns)")
    folder.mkdir(parents=True, exist_ok=True)
    for index, plane in enumerate(pixels):
        dataset = _synthetic_header(seed, description, index)
        _put_geometry(dataset, affine, index)
        _put_pixels(dataset, plane)
        for keyword, value in tags.items():
            if tag_for_keyword(keyword) is None:
                raise ValueError(f"no DICOM keyword {keyword}")
            setattr(dataset, keyword, value)
        dataset.save_as(folder / f"slice{index + 1:04d}.dcm", enforce_file_format=True)


def _uid(*words: str) -> UID:
    return generate_uid(entropy_srcs=["rarelesion", *words])


def _synthetic_header(seed: str, description: str, index: int) -> Dataset:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = MRImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = _uid(seed, description, str(index))
    dataset.SOPClassUID = MRImageStorage
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID
    dataset.StudyInstanceUID = _uid(seed, "study")
    dataset.SeriesInstanceUID = _uid(seed, description, "series")
    dataset.FrameOfReferenceUID = _uid(seed, "frame of reference")
    dataset.PatientName = "SYNTHETIC^LESION"
    dataset.PatientID = "SYNTHETIC"
    dataset.PatientIdentityRemoved = "YES"
    dataset.DeidentificationMethod = "Synthetic, no patient"
    dataset.Modality = "MR"
    dataset.Manufacturer = "SYNTHETIC"
    dataset.SeriesDescription = description
    dataset.ImageType = ["DERIVED", "SECONDARY", "OTHER"]
    dataset.SeriesNumber, dataset.InstanceNumber = 1, index + 1
    dataset.ScanningSequence, dataset.SequenceVariant, dataset.MRAcquisitionType = "SE", "NONE", "2D"
    for keyword in EMPTY_ATTRIBUTES:
        setattr(dataset, keyword, None)
    return dataset


def _put_geometry(dataset: Dataset, affine: Floats, index: int) -> None:
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    directions = affine[:3, :3] / spacing
    dataset.ImageOrientationPatient = _decimals([*directions[:, 2], *directions[:, 1]])
    dataset.ImagePositionPatient = _decimals(affine[:3, 3] + index * affine[:3, 0])
    dataset.PixelSpacing = _decimals(spacing[1:])
    dataset.SliceThickness = dataset.SpacingBetweenSlices = _decimals(spacing[:1])[0]


def _decimals(values: Sequence[float] | Floats) -> list[str]:
    """DICOM's decimal strings: at most sixteen characters."""
    return [f"{float(value):.9g}" for value in values]


def _put_pixels(dataset: Dataset, plane: NDArray[np.integer]) -> None:
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows, dataset.Columns = plane.shape
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 16, 15
    dataset.PixelRepresentation = int(plane.dtype == np.int16)
    dataset.PixelData = np.ascontiguousarray(plane).astype(plane.dtype.newbyteorder("<")).tobytes()
