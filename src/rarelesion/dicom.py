"""DICOM series: one folder of slices to one volume in patient coordinates, and back for synthetic cohorts.

Nothing that could identify a patient leaves this module: no name, number, date or UID is kept or named in a message.
"""

import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from pydicom import Dataset, FileDataset, dcmread
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import FileMetaDataset
from pydicom.errors import InvalidDicomError
from pydicom.pixels.processing import apply_modality_lut
from pydicom.uid import UID, ExplicitVRLittleEndian, MRImageStorage, generate_uid

from rarelesion.errors import InputError, Problem
from rarelesion.types import Floats, Image

ORIENTATION_TOLERANCE = 1e-3  # in direction cosines
SPACING_TOLERANCE = 0.1  # share of the slice distance by which a slice may be off its place
SAME_PLACE_MM = 1e-3
IMAGE_ATTRIBUTES = ("Rows", "Columns", "BitsStored", "PixelRepresentation", "PhotometricInterpretation")
READ_ATTRIBUTES = (
    *IMAGE_ATTRIBUTES,
    *("SeriesInstanceUID", "InstanceNumber", "NumberOfFrames", "ImagePositionPatient", "ImageOrientationPatient"),
    *("PixelSpacing", "SliceThickness", "SpacingBetweenSlices", "RescaleSlope", "RescaleIntercept"),
)
EMPTY_ATTRIBUTES = (
    *("PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID", "AccessionNumber"),
    *("ReferringPhysicianName", "ScanOptions", "RepetitionTime", "EchoTime", "EchoTrainLength"),
    *("PositionReferenceIndicator", "Laterality", "PatientPosition"),
)
"""What the standard wants present in an MR image and allows to be empty."""


@dataclass(frozen=True, slots=True)
class _Frame:
    """One slice: where it is, as far as the file says, and how to get its pixels."""

    dataset: FileDataset
    index: int
    """Number of the frame in its file, from 0."""
    position: Floats | None
    orientation: Floats | None
    """(2, 3) direction of increasing column, of increasing row."""
    pixel_mm: Floats | None
    """(2,) distance between rows, between columns."""
    slice_mm: float
    number: tuple[float, int]
    """Instance number, 0 where there is none, and frame."""


def read_series(source: Path, sequence: str) -> Image:
    """Read one DICOM series, from its folder or from a single file, in its physical units.

    Slices are ordered along the slice direction by their position (by instance number where there is none); files
    that are not DICOM images are passed over. Returns pixels (slices, rows, columns) float32 after rescaling, black
    for low values, with the affine to patient millimetres, None where the files hold no patient coordinates.
    Raises InputError for several series, slices of different directions or sizes, missing slices or several at one
    place, colour images, and pixels that cannot be decoded.
    """
    where = f"{sequence}: {source.name}"
    frames = [frame for dataset in _one_series(where, source) for frame in _frames(dataset)]
    _check_uniform(where, frames)
    frames = _sorted(where, frames)
    affine = _affine(where, frames)
    return Image(np.stack(list(_planes(where, frames))), sequence, affine)


def _one_series(where: str, source: Path) -> list[FileDataset]:
    """The image files of the folder's only series."""
    files = sorted(item for item in source.iterdir() if item.is_file()) if source.is_dir() else [source]
    places = [f"{where}, file {number} of {len(files)}" for number in range(1, len(files) + 1)]
    datasets = [_read_file(place, file) for place, file in zip(places, files, strict=True)]
    images = [dataset for dataset in datasets if dataset is not None and _is_image(dataset)]
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


def _is_image(dataset: FileDataset) -> bool:
    return all(dataset.get(keyword) is not None for keyword in IMAGE_ATTRIBUTES)


def _read_file(where: str, file: Path) -> FileDataset | None:
    """The file's tags and undecoded pixels; None if it is no DICOM file."""
    try:
        with warnings.catch_warnings():
            # Its warnings quote values of tags.
            warnings.simplefilter("ignore")
            dataset = dcmread(file)
            dataset.file_meta.get("TransferSyntaxUID")
            for keyword in READ_ATTRIBUTES:
                dataset.get(keyword)  # tags are only understood, or not, when they are asked for
            return dataset
    except InvalidDicomError:
        return None
    except Exception as error:
        raise InputError(Problem(where, "a damaged DICOM file", remedy="Export the series again.")) from error


def _frames(dataset: FileDataset) -> list[_Frame]:
    """The slices of a file: one, or as many as a multi-frame file has."""
    count = _numbers([dataset], "NumberOfFrames", 1)
    groups = dataset.get("PerFrameFunctionalGroupsSequence")
    if groups is None:
        return [_frame(dataset, [dataset], index) for index in range(1 if count is None else int(count[0]))]
    shared = dataset.get("SharedFunctionalGroupsSequence") or [Dataset()]
    return [_frame(dataset, _parts(group) + _parts(shared[0]), index) for index, group in enumerate(groups)]


def _parts(group: Dataset) -> list[Dataset]:
    """The items of a functional group's macros: plane position, plane orientation, pixel measures."""
    names = ("PlanePositionSequence", "PlaneOrientationSequence", "PixelMeasuresSequence")
    return [group[name].value[0] for name in names if name in group and len(group[name].value)]


def _frame(dataset: FileDataset, sources: list[Dataset], index: int) -> _Frame:
    position, orientation = (
        _numbers(sources, "ImagePositionPatient", 3),
        _numbers(sources, "ImageOrientationPatient", 6),
    )
    spacing = _numbers(sources, "SpacingBetweenSlices", 1)
    spacing = _numbers(sources, "SliceThickness", 1) if spacing is None else spacing
    number = _numbers([dataset], "InstanceNumber", 1)
    return _Frame(
        dataset,
        index,
        position,
        None if orientation is None else orientation.reshape(2, 3),
        _numbers(sources, "PixelSpacing", 2),
        1.0 if spacing is None or spacing[0] <= 0 else float(spacing[0]),
        (0.0 if number is None else float(number[0]), index),
    )


def _numbers(sources: list[Dataset], keyword: str, count: int) -> Floats | None:
    """The first value of the tag that consists of `count` numbers."""
    for source in sources:
        value = source.get(keyword)
        if value is not None and np.size(value) == count:
            try:
                return np.array(value, dtype=np.float64).reshape(count)
            except ValueError:  # text where the standard wants a number
                continue
    return None


def _check_uniform(where: str, frames: list[_Frame]) -> None:
    """All slices must have one size, one pixel spacing and one direction, and be grey."""
    problems = []
    sizes = Counter((int(frame.dataset.Rows), int(frame.dataset.Columns)) for frame in frames)
    if len(sizes) > 1:
        found = ", ".join(f"{rows} x {columns} ({times} slices)" for (rows, columns), times in sizes.items())
        problems.append(
            Problem(where, "slices of different sizes", found, "one matrix", "Keep the slices of one size.")
        )
    if any(not str(frame.dataset.get("PhotometricInterpretation", "")).startswith("MONOCHROME") for frame in frames):
        remedy = "Export a grey-scale series, or pictures (PNG), which may be in colour."
        problems.append(Problem(where, "colour DICOM images", expected="grey-scale images", remedy=remedy))
    if not _agree([frame.orientation for frame in frames], ORIENTATION_TOLERANCE):
        remedy = "Localisers and radial scans are no volume: choose a series of parallel slices."
        problems.append(Problem(where, "slices of different directions", expected="parallel slices", remedy=remedy))
    if not _agree([frame.pixel_mm for frame in frames], 1e-4):
        problems.append(Problem(where, "slices of different pixel spacing", remedy="Keep the slices of one spacing."))
    if problems:
        raise InputError(problems)


def _agree(values: list[Floats | None], tolerance: float) -> bool:
    """Whether all are missing, or all are there and the same."""
    first, *rest = values
    if first is None or any(value is None for value in rest):
        return all(value is None for value in values)
    return all(value is not None and np.allclose(value, first, rtol=0, atol=tolerance) for value in rest)


def _sorted(where: str, frames: list[_Frame]) -> list[_Frame]:
    if len(frames) == 1:
        return frames
    along = _along(frames)
    if along is not None:
        return [frames[index] for index in np.argsort(along, kind="stable")]
    if len({frame.number for frame in frames}) < len(frames):
        remedy = "Export the series again with positions, or convert it to NIfTI."
        raise InputError(Problem(where, "the slices carry neither position nor instance number", remedy=remedy))
    return sorted(frames, key=lambda frame: frame.number)


def _along(frames: list[_Frame]) -> Floats | None:
    """(slices,) position in mm of each slice along the slice direction; None where one of them has no position."""
    orientation = frames[0].orientation
    positions = [frame.position for frame in frames if frame.position is not None]
    if orientation is None or len(positions) < len(frames):
        return None
    return np.stack(positions) @ np.cross(*orientation)


def _affine(where: str, frames: list[_Frame]) -> Floats | None:
    """(4, 4) from (slice, row, column, 1) to patient millimetres, DICOM PS3.3 C.7.6.2.1.1, of sorted slices."""
    first, along = frames[0], _along(frames)
    if along is None or first.position is None or first.orientation is None or first.pixel_mm is None:
        return None
    across, down = first.orientation
    affine = np.eye(4)
    affine[:3, 0] = _slice_step(where, frames, along)
    affine[:3, 1] = down * first.pixel_mm[0]
    affine[:3, 2] = across * first.pixel_mm[1]
    affine[:3, 3] = first.position
    if abs(np.linalg.det(affine)) < 1e-9:
        raise InputError(Problem(where, "the pixel spacing or the slice directions are not usable"))
    return affine


def _slice_step(where: str, frames: list[_Frame], along: Floats) -> Floats:
    """(3,) mm from one slice to the next; raises where the slices are not evenly spaced."""
    orientation = frames[0].orientation
    assert orientation is not None
    if len(frames) == 1:
        return np.cross(*orientation) * frames[0].slice_mm
    gaps = np.diff(along)
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


def _planes(where: str, frames: list[_Frame]) -> Iterator[NDArray[np.float32]]:
    decoded: dict[int, NDArray[np.float32]] = {}
    for order, frame in enumerate(frames):
        key = id(frame.dataset)
        if key not in decoded:
            decoded = {key: _decode(f"{where}, slice {order + 1} of {len(frames)}", frame.dataset)}
        yield decoded[key][frame.index]


def _decode(where: str, dataset: FileDataset) -> NDArray[np.float32]:
    """(frames, rows, columns) a file's pixels in physical units, low values black."""
    try:
        return _physical(dataset).reshape(-1, int(dataset.Rows), int(dataset.Columns))
    except Exception as error:  # decoders raise whatever they like, and quote tags
        raise InputError(_decoding_problem(where, dataset)) from error


def _physical(dataset: FileDataset) -> NDArray[np.float32]:
    """Pixels in physical units, low values black; what pydicom cannot unpack by itself, SimpleITK's GDCM may."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            values = np.asarray(apply_modality_lut(dataset.pixel_array, dataset), dtype=np.float32)
            return _turned_round(values, dataset) if dataset.PhotometricInterpretation == "MONOCHROME1" else values
        except Exception:
            if not _is_compressed(dataset):
                raise
    # GDCM rescales, and turns round images in which high means black.
    return sitk.GetArrayFromImage(sitk.ReadImage(str(dataset.filename), sitk.sitkFloat32))


def _turned_round(values: NDArray[np.float32], dataset: FileDataset) -> NDArray[np.float32]:
    """Values mirrored within the range they are stored in, for images in which high means black."""
    slope, intercept = float(dataset.get("RescaleSlope", 1)), float(dataset.get("RescaleIntercept", 0))
    lowest_and_highest = -1 if dataset.PixelRepresentation else 2 ** int(dataset.BitsStored) - 1
    return np.float32(slope * lowest_and_highest + 2 * intercept) - values


def _is_compressed(dataset: FileDataset) -> bool:
    syntax = dataset.file_meta.get("TransferSyntaxUID")
    return syntax is not None and syntax.is_transfer_syntax and syntax.is_compressed


def _decoding_problem(where: str, dataset: FileDataset) -> Problem:
    if _is_compressed(dataset):
        syntax = dataset.file_meta.TransferSyntaxUID.name
        remedy = "Export the series uncompressed (Explicit VR Little Endian), or add a decoder: "
        remedy += 'pip install "pylibjpeg[all]".'
        return Problem(where, "the compressed pixels cannot be decoded", syntax, remedy=remedy)
    return Problem(where, "the pixels cannot be read: the file is truncated or damaged", remedy="Export it again.")


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
