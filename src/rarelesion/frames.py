"""The slices of DICOM files: where each lies and what it shows. Every reader of DICOM pixels goes through here.

Nothing that could identify a patient leaves this module: no name, number, date or UID is kept or named in a message.
"""

import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from pydicom import Dataset, FileDataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate, get_frame
from pydicom.errors import InvalidDicomError
from pydicom.pixels.processing import apply_modality_lut
from pydicom.pixels.utils import pixel_array
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    SecondaryCaptureImageStorage,
    generate_uid,
)

from rarelesion.errors import InputError, Problem
from rarelesion.types import Floats

ORIENTATION_TOLERANCE = 1e-3  # in direction cosines
PIXEL_TOLERANCE_MM = 1e-4
NATIVE = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian)
T = TypeVar("T")
IMAGE_ATTRIBUTES = ("Rows", "Columns", "BitsStored", "PixelRepresentation", "PhotometricInterpretation")
WHOLE_NUMBERS = ("Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation")
MACROS = (
    "PlanePositionSequence",
    "PlaneOrientationSequence",
    "PixelMeasuresSequence",
    "PixelValueTransformationSequence",
)
"""The functional groups of an enhanced image that say where a frame lies and what its values mean."""
READ_ATTRIBUTES = (
    *IMAGE_ATTRIBUTES,
    *(
        "SeriesInstanceUID",
        "InstanceNumber",
        "NumberOfFrames",
        "ImageType",
        "ImagePositionPatient",
        "ImageOrientationPatient",
    ),
    *("PixelSpacing", "SliceThickness", "SpacingBetweenSlices", "RescaleSlope", "RescaleIntercept"),
    *("BitsAllocated", "HighBit", "PixelPaddingValue", "PixelPaddingRangeLimit"),
)

# GDCM writes warnings of files it can read all the same to the user's terminal.
sitk.ProcessObject.SetGlobalWarningDisplay(False)


@dataclass(frozen=True, slots=True)
class Frame:
    """One slice: where it is, as far as the file says, and how to get its pixels."""

    dataset: FileDataset
    index: int
    """Number of the frame in its file, from 0."""
    position: Floats | None
    """(3,) patient mm of the centre of its first pixel."""
    orientation: Floats | None
    """(2, 3) direction of increasing column, of increasing row."""
    pixel_mm: Floats | None
    """(2,) distance between rows, between columns."""
    slice_mm: float | None
    """Distance of slices, else their thickness; None where the file names neither."""
    number: tuple[float, int]
    """Instance number, 0 where there is none, and frame."""
    slope: float
    intercept: float


def read_file(where: str, path: Path, pixels: bool = True) -> FileDataset | None:
    """The file's tags, and its undecoded pixels where `pixels`; None if it is no DICOM file.

    A file without preamble is taken for DICOM where it holds an image. Raises InputError where the file cannot be
    opened or is damaged; the message names `where` and nothing else.
    """
    return guarded(where, "a damaged DICOM file", lambda: _read(path, pixels))


def guarded(where: str, what: str, work: Callable[[], T]) -> T:
    """Do the work; whatever it raises becomes an InputError that quotes nothing of the file."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they quote values of tags
            return work()
    except InputError:
        raise
    except OSError as error:
        reason = error.strerror or "the disk refuses"
        raise InputError(Problem(where, f"the file cannot be read: {reason}", remedy="Copy it again.")) from None
    except Exception:  # decoders and parsers raise whatever they like, and quote tags
        raise InputError(Problem(where, what, remedy="Export the series again.")) from None


def _read(path: Path, pixels: bool) -> FileDataset | None:
    try:
        dataset = dcmread(path, stop_before_pixels=not pixels)
    except InvalidDicomError:
        dataset = _without_preamble(path, pixels)
    if dataset is None:
        return None
    if not len(dataset):  # where compressed pixels are cut off, nothing at all is read
        raise ValueError("nothing in it")
    for keyword in READ_ATTRIBUTES:
        dataset.get(keyword)  # tags are only understood, or not, when they are asked for
    if dataset.file_meta.get("TransferSyntaxUID") is None:
        dataset.file_meta.TransferSyntaxUID = _syntax_of(dataset)
    if not isinstance(dataset.file_meta.TransferSyntaxUID, UID):
        raise ValueError("several ways to store pixels")
    if is_image(dataset):
        for keyword in WHOLE_NUMBERS:
            int(dataset.get(keyword, 0))
    return dataset


def _without_preamble(path: Path, pixels: bool) -> FileDataset | None:
    """Old files begin with their first tag, which is of group 2 or 8."""
    with path.open("rb") as file:
        group = file.read(2)
    if group not in (b"\x02\x00", b"\x08\x00", b"\x00\x08"):
        return None
    try:
        dataset = dcmread(path, force=True, stop_before_pixels=not pixels)
        return dataset if is_image(dataset) or "Modality" in dataset else None
    except Exception:
        return None


def _syntax_of(dataset: FileDataset) -> UID:
    implicit, little = dataset.original_encoding
    if implicit:
        return ImplicitVRLittleEndian
    return ExplicitVRLittleEndian if little else ExplicitVRBigEndian


def is_image(dataset: Dataset) -> bool:
    """Whether the file holds pixels, as far as its tags say."""
    return all(dataset.get(keyword) is not None for keyword in IMAGE_ATTRIBUTES)


def frames_of(where: str, dataset: FileDataset) -> list[Frame]:
    """The slices of a file: one, or as many as a multi-frame file has. Raises InputError where its tags are damaged."""
    return guarded(where, "a damaged DICOM file", lambda: _frames(dataset))


def _frames(dataset: FileDataset) -> list[Frame]:
    count = numbers([dataset], "NumberOfFrames", 1)
    groups = dataset.get("PerFrameFunctionalGroupsSequence")
    if groups is None:
        return [_frame(dataset, [dataset], index) for index in range(1 if count is None else int(count[0]))]
    shared = dataset.get("SharedFunctionalGroupsSequence") or [Dataset()]
    return [_frame(dataset, [*macros(group), *macros(shared[0]), dataset], index) for index, group in enumerate(groups)]


def macros(group: Dataset) -> list[Dataset]:
    """The items of a functional group's `MACROS`, of those that it has."""
    return [group[name].value[0] for name in MACROS if name in group and len(group[name].value)]


def _frame(dataset: FileDataset, sources: list[Dataset], index: int) -> Frame:
    distances = (numbers(sources, name, 1) for name in ("SpacingBetweenSlices", "SliceThickness"))
    orientation, number = numbers(sources, "ImageOrientationPatient", 6), numbers([dataset], "InstanceNumber", 1)
    return Frame(
        dataset,
        index,
        numbers(sources, "ImagePositionPatient", 3),
        None if orientation is None else orientation.reshape(2, 3),
        numbers(sources, "PixelSpacing", 2),
        next((abs(float(distance[0])) for distance in distances if distance is not None and distance[0] != 0), None),
        (0.0 if number is None else float(number[0]), index),
        _number(sources, "RescaleSlope", 1.0) or 1.0,  # 0 would leave nothing
        _number(sources, "RescaleIntercept", 0.0),
    )


def _number(sources: Sequence[Dataset], keyword: str, default: float) -> float:
    value = numbers(sources, keyword, 1)
    return default if value is None else float(value[0])


def numbers(sources: Sequence[Dataset], keyword: str, count: int) -> Floats | None:
    """(count,) the first value of the tag that consists of so many finite numbers; None where there is none."""
    for source in sources:
        value = source.get(keyword)
        if value is not None and np.size(value) == count:
            try:
                found = np.array(value, dtype=np.float64).reshape(count)
            except (TypeError, ValueError):  # text where the standard wants a number
                continue
            if np.isfinite(found).all():
                return found
    return None


def check_uniform(where: str, frames: Sequence[Frame]) -> None:
    """Raise InputError unless all slices have one size, spacing and direction, and are single and grey."""
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
    if any("MOSAIC" in (frame.dataset.get("ImageType") or ()) for frame in frames):
        remedy = "Convert the series to NIfTI with dcm2niix."
        problems.append(Problem(where, "slices laid out side by side in one picture (mosaic)", remedy=remedy))
    if not _agree([frame.orientation for frame in frames], ORIENTATION_TOLERANCE):
        remedy = "Localisers and radial scans are no volume: choose a series of parallel slices."
        problems.append(Problem(where, "slices of different directions", expected="parallel slices", remedy=remedy))
    if not _agree([frame.pixel_mm for frame in frames], PIXEL_TOLERANCE_MM):
        problems.append(Problem(where, "slices of different pixel spacing", remedy="Keep the slices of one spacing."))
    if problems:
        raise InputError(problems)


def _agree(values: Sequence[Floats | None], tolerance: float) -> bool:
    """Whether all are missing, or all are there and the same."""
    first, *rest = values
    if first is None or any(value is None for value in rest):
        return all(value is None for value in values)
    return all(value is not None and np.allclose(value, first, rtol=0, atol=tolerance) for value in rest)


def in_order(where: str, frames: Sequence[Frame]) -> list[Frame]:
    """Slices by their place along the slice direction, by instance number where they have none."""
    if len(frames) == 1:
        return list(frames)
    places = along(frames)
    if places is not None:
        return [frames[index] for index in np.argsort(places, kind="stable")]
    if len({frame.number for frame in frames}) < len(frames):
        remedy = "Export the series again with positions, or convert it to NIfTI."
        raise InputError(Problem(where, "the slices carry neither position nor instance number", remedy=remedy))
    return sorted(frames, key=lambda frame: frame.number)


def along(frames: Sequence[Frame]) -> Floats | None:
    """(slices,) position in mm of each slice along the slice direction; None where one of them has no position."""
    orientation = frames[0].orientation
    positions = [frame.position for frame in frames if frame.position is not None]
    if orientation is None or len(positions) < len(frames):
        return None
    return np.stack(positions) @ np.cross(*orientation)


def read_planes(where: str, frames: Sequence[Frame]) -> NDArray[np.float32]:
    """(slices, rows, columns) the frames' pixels in physical units, low values black, padding as the smallest value.

    Frames must be of one size. Raises InputError that names the slice whose pixels cannot be decoded.
    """
    first = frames[0].dataset
    planes = np.empty((len(frames), int(first.Rows), int(first.Columns)), dtype=np.float32)
    padded = False
    for order, frame in enumerate(frames):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                planes[order], padding = _physical(frame)
        except Exception:  # decoders raise whatever they like, and quote tags
            place = f"{where}, slice {order + 1} of {len(frames)}"
            raise InputError(_decoding_problem(place, frame.dataset)) from None
        if padding is not None and padding.any():
            planes[order][padding] = np.nan
            padded = True
    if padded:
        lowest = np.nanmin(planes) if not np.isnan(planes).all() else 0
        np.nan_to_num(planes, copy=False, nan=float(lowest))
    return planes


def _physical(frame: Frame) -> tuple[NDArray[np.float32], NDArray[np.bool_] | None]:
    """(rows, columns) in physical units, low values black; and where the pixels are padding."""
    dataset = frame.dataset
    raw = stored_values(dataset, frame.index)
    padding = _padding(raw, dataset)
    stored = _used_bits(raw, dataset)
    if "ModalityLUTSequence" in dataset:
        stored, slope, intercept = apply_modality_lut(stored, dataset), 1.0, 0.0
        ends = float(stored.min()) + float(stored.max())
    else:
        slope, intercept = frame.slope, frame.intercept
        ends = -1.0 if dataset.PixelRepresentation else 2.0 ** int(dataset.BitsStored) - 1
    values = stored.astype(np.float32)
    if dataset.PhotometricInterpretation == "MONOCHROME1":  # high means black: mirrored within what can be stored
        values = np.float32(ends) - values
    if (slope, intercept) != (1.0, 0.0):
        values = values * np.float32(slope) + np.float32(intercept)
    return values, padding


def _padding(raw: NDArray[Any], dataset: Dataset) -> NDArray[np.bool_] | None:
    """Where the scanner filled up the picture; None where the file names no value for that."""
    ends = [numbers([dataset], name, 1) for name in ("PixelPaddingValue", "PixelPaddingRangeLimit")]
    if ends[0] is None or raw.dtype.kind not in "iu":
        return None
    known = [float(end[0]) for end in ends if end is not None]
    if dataset.PixelRepresentation:  # written as if unsigned
        top = 2 ** (int(dataset.BitsAllocated) - 1)
        known = [end - 2 * top if end >= top else end for end in known]
    return (raw >= min(known)) & (raw <= max(known))


def _used_bits(raw: NDArray[Any], dataset: Dataset) -> NDArray[Any]:
    """Values without what older files keep in the bits that the pixels do not use."""
    allocated, stored = 8 * raw.dtype.itemsize, int(dataset.BitsStored)
    if raw.dtype.kind not in "iu" or not 1 <= stored < allocated:
        return raw
    above = allocated - 1 - int(dataset.get("HighBit", stored - 1))
    if above < 0 or above + stored > allocated:
        return raw
    return np.right_shift(np.left_shift(raw, above), allocated - stored)


def stored_values(dataset: FileDataset, index: int) -> NDArray[Any]:
    """(rows, columns) one frame's values as they are stored; raises whatever the decoders raise.

    GDCM, which comes with SimpleITK, unpacks every compression of the standard; pydicom does what is left.
    """
    if dataset.get("SamplesPerPixel") is None:
        dataset.SamplesPerPixel = 1
    if is_compressed(dataset):
        try:
            return _by_gdcm(dataset, index)
        except Exception:
            return pixel_array(dataset, index=index, raw=True)
    if dataset.file_meta.TransferSyntaxUID not in NATIVE:
        raise ValueError("an unknown way to store pixels")
    if int(dataset.BitsAllocated) not in (16, 32) or "PixelData" not in dataset:
        return pixel_array(dataset, index=index, raw=True)
    return _unpacked(dataset, index)


def _unpacked(dataset: FileDataset, index: int) -> NDArray[Any]:
    """One frame as it stands in the file; pydicom would already have cleared the bits that are not used."""
    rows, columns, size = int(dataset.Rows), int(dataset.Columns), int(dataset.BitsAllocated) // 8
    order = ">" if dataset.file_meta.TransferSyntaxUID == ExplicitVRBigEndian else "<"
    kind = f"{order}{'i' if dataset.PixelRepresentation else 'u'}{size}"
    values = np.frombuffer(dataset.PixelData, kind, rows * columns, index * rows * columns * size)
    return values.astype(values.dtype.newbyteorder("=")).reshape(rows, columns)


def is_compressed(dataset: FileDataset) -> bool:
    """Whether the pixels are packed frame by frame."""
    syntax = dataset.file_meta.get("TransferSyntaxUID")
    return syntax is not None and syntax.is_transfer_syntax and syntax.is_encapsulated


def _by_gdcm(dataset: FileDataset, index: int) -> NDArray[Any]:
    """One packed frame through a file that holds nothing else: what else the tags say would change the values."""
    count = int(dataset.get("NumberOfFrames", None) or 1)
    alone = Dataset()
    alone.file_meta = FileMetaDataset()
    alone.file_meta.TransferSyntaxUID = dataset.file_meta.TransferSyntaxUID
    alone.SOPClassUID = alone.file_meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    alone.SOPInstanceUID = alone.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    for keyword in WHOLE_NUMBERS:
        setattr(alone, keyword, dataset[keyword].value)
    alone.SamplesPerPixel, alone.PhotometricInterpretation = 1, "MONOCHROME2"
    alone.PixelData = encapsulate([get_frame(dataset.PixelData, index, number_of_frames=count)])
    alone["PixelData"].is_undefined_length = True
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "frame.dcm"
        alone.save_as(path, enforce_file_format=True)
        values = sitk.GetArrayFromImage(sitk.ReadImage(str(path), imageIO="GDCMImageIO"))
    return values.reshape(int(dataset.Rows), int(dataset.Columns))


def _decoding_problem(where: str, dataset: FileDataset) -> Problem:
    if is_compressed(dataset):
        syntax = dataset.file_meta.TransferSyntaxUID.name
        remedy = "Export the series uncompressed (Explicit VR Little Endian), or add a decoder: "
        remedy += 'pip install "pylibjpeg[all]".'
        return Problem(where, "the compressed pixels cannot be decoded", syntax, remedy=remedy)
    return Problem(where, "the pixels cannot be read: the file is truncated or damaged", remedy="Export it again.")
