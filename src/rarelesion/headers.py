"""Reading the headers of DICOM files, and keeping of them only what is safe to keep.

Pixels are never read. What an object says of itself is turned into numbers in plausible ranges, words of fixed lists
and keyed hashes by `acquisition`; errors and warnings of the DICOM reader quote values, and do not leave this module.
"""

import errno
import logging
import os
import stat
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

from pydicom import Dataset, FileDataset, dcmread
from pydicom.datadict import tag_for_keyword
from pydicom.tag import Tag

from rarelesion import tags
from rarelesion.acquisition import (
    GE_B,
    PHILIPS_B,
    SIEMENS_B,
    TYPES,
    UIH_B,
    b_value_of,
    echo_time_of,
    facts_of,
    inversion_time_of,
    moment_of,
    orientation_of,
    position_of,
    study_day,
)
from rarelesion.pseudonyms import pseudonym, shifted_day
from rarelesion.series import IMAGE, Facts, Header

KEYWORDS = (
    *("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "PatientID"),
    *("PatientName", "PatientBirthDate", "PatientSex", "PatientAge", "StudyDate", "SeriesDate", "AcquisitionDate"),
    *("ContentDate", "StudyTime", "SeriesTime", "AcquisitionTime", "ContentTime", "AcquisitionDateTime", "Modality"),
    *("Manufacturer", "ManufacturerModelName", "DeviceSerialNumber", "MagneticFieldStrength", "ImageType", "FrameType"),
    *("SeriesDescription", "ProtocolName", "SequenceName", "PulseSequenceName", "SeriesNumber", "InstanceNumber"),
    *("AcquisitionNumber", "TemporalPositionIdentifier", "EchoNumbers", "NumberOfFrames", "Rows", "Columns"),
    *("SamplesPerPixel", "BitsAllocated", "PixelSpacing", "ImagerPixelSpacing", "SliceThickness"),
    *("SpacingBetweenSlices", "ImageOrientationPatient", "ImagePositionPatient", "RepetitionTime", "EchoTime"),
    *("InversionTime", "FlipAngle", "EchoTrainLength", "ScanningSequence", "SequenceVariant", "ScanOptions"),
    *("MRAcquisitionType", "DiffusionBValue", "DiffusionDirectionality", "ContrastBolusAgent", "ContrastBolusVolume"),
    *("ContrastBolusAgentSequence", "BurnedInAnnotation", "EchoPulseSequence", "EchoPlanarPulseSequence"),
    *("InversionRecovery", "SpectrallySelectedSuppression", "PerFrameFunctionalGroupsSequence"),
    *("SharedFunctionalGroupsSequence", "ReferencedSeriesSequence", "ReferencedFrameOfReferenceSequence"),
)
PRIVATE = (*(Tag(group, 0x10) for group in (0x0019, 0x0043, 0x2001, 0x0065)), SIEMENS_B, GE_B, PHILIPS_B, UIH_B)
READ_TAGS = [*(Tag(number) for number in map(tag_for_keyword, KEYWORDS) if number is not None), *PRIVATE]
PIXEL_GROUP = (b"\xe0\x7f\x10\x00", b"\xe0\x7f\x08\x00", b"\xe0\x7f\x09\x00")
"""Pixel Data, Float Pixel Data, Double Float Pixel Data."""
DEFLATED = "1.2.840.10008.1.2.1.99"
UNDEFINED = 0xFFFFFFFF
STORAGE = "1.2.840.10008.5.1.4.1.1."
NO_IMAGES = (
    ("1.2.840.10008.1.3.10", "dicomdir"),
    (f"{STORAGE}88", "report"),
    (f"{STORAGE}11", "presentation"),
    (f"{STORAGE}104", "dicom-document"),
    (f"{STORAGE}66.4", ""),
    (f"{STORAGE}66", "raw-data"),
    (f"{STORAGE}4.2", "raw-data"),
    (f"{STORAGE}9", "waveform"),
    (f"{STORAGE}481.3", ""),
    (f"{STORAGE}481.1", ""),
    (f"{STORAGE}481.2", "plan"),
    (f"{STORAGE}481", "plan"),
)
"""Classes of objects that are no images, by the beginning of their UID: the code of a file that is left out."""
IMAGE_CLASSES = tuple(f"{STORAGE}{number}" for number in ("1", "2", "3", "4", "6", "7", "12", "20", "128"))
CONTOURS_CLASS = f"{STORAGE}481.3"
FOREIGN = (
    ((b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"BM", b"II*\0", b"MM\0*"), "picture"),
    ((b"PK\x03\x04", b"PK\x05\x06", b"\x1f\x8b", b"Rar!", b"7z\xbc\xaf", b"BZh", b"\xfd7zXZ"), "packed"),
    ((b"%PDF", b"\xd0\xcf\x11\xe0", b"{\\rtf", b"<?xml", b"<html", b"<!DOCTYPE"), "document"),
    ((b"NRRD", b"ObjectType"), "volume"),
)
MOST_FRAMES = 100_000
LARGEST_COUNT = 1_000_000
"""Of slices, acquisitions, time points: what is larger may be a number of something else."""


def read_header(path: Path, key: bytes, folder: str = "") -> tuple[Header, ...] | str:
    """What is kept of a file: one entry a frame, or the code of the reason why it is of no use (see LEFT_OUT).

    `folder` names the file's folder, only to tell apart series that carry no UID. Nothing that is given back, and no
    error, holds any text of the file or its path.
    """
    try:
        state = path.lstat()
        if not stat.S_ISREG(state.st_mode) and not path.is_file():
            return "no-file"
        with path.open("rb") as file, silent():
            return _read(file, os.fstat(file.fileno()).st_size, key, folder)
    except OSError as error:  # a place in the file that cannot be is the file's fault, not the disk's
        return "damaged" if error.errno == errno.EINVAL else "unreadable"
    except Exception:  # readers of damaged files raise anything, and quote what they found
        return "damaged"


@contextmanager
def silent() -> Iterator[None]:
    """Keep the DICOM reader quiet: its warnings quote what stands in the file."""
    logger = logging.getLogger("pydicom")
    before = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)


def _read(file: BinaryIO, size: int, key: bytes, folder: str) -> tuple[Header, ...] | str:
    start = file.read(512)
    if not start:
        return "empty"
    if not _looks_like_dicom(start):
        return _foreign(start)
    file.seek(0)
    dataset = _parsed(file)
    if dataset is None:
        return "truncated-header"
    return _judged(dataset, file, size) or _headers(dataset, key, folder)


def _looks_like_dicom(start: bytes) -> bool:
    """A preamble, or a first element of one of the groups that a file can begin with."""
    if start[128:132] == b"DICM":
        return True
    if len(start) < 8:
        return False
    little, big = struct.unpack("<HH", start[:4]), struct.unpack(">HH", start[:4])
    return any(group in (2, 4, 8) and element < 0x2000 for group, element in (little, big))


def _foreign(start: bytes) -> str:
    if start.startswith(b"\x1f\x8b") and _is_nifti(_first_unpacked(start)):
        return "volume"
    named = (code for signatures, code in FOREIGN if start.startswith(signatures))
    return next(named, "volume" if _is_nifti(start) else "not-dicom")


def _is_nifti(start: bytes) -> bool:
    return start[:4] in (b"\x5c\x01\x00\x00", b"\x00\x00\x01\x5c", b"\x1c\x02\x00\x00", b"\x00\x00\x02\x1c")


def _first_unpacked(start: bytes) -> bytes:
    """The first bytes of what is packed with gzip; none where it is damaged."""
    try:
        return zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(start, 400)
    except zlib.error:
        return b""


def _parsed(file: BinaryIO) -> FileDataset | None:
    """The tags that are needed; None where the file ends in the middle of one."""
    try:
        return dcmread(file, stop_before_pixels=True, force=True, specific_tags=READ_TAGS)  # pyright: ignore[reportArgumentType]
    except (EOFError, struct.error):
        return None


def _judged(dataset: FileDataset, file: BinaryIO, size: int) -> str:
    """The code of the reason to leave the file out; empty for a file to be used."""
    source = [dataset]
    sop_class = str(dataset.file_meta.get("MediaStorageSOPClassUID", "")) or tags.text(source, "SOPClassUID")
    modality = tags.text(source, "Modality")
    code = next((code for start, code in NO_IMAGES if f"{sop_class}.".startswith(f"{start}.")), "")
    if code:
        return code
    deflated = str(dataset.file_meta.get("TransferSyntaxUID", "")) == DEFLATED
    if not deflated and file.tell() > size:
        return "truncated-header"
    if not sop_class and not modality:
        return "not-dicom"
    if sop_class == CONTOURS_CLASS or modality == "RTSTRUCT":
        return ""
    if "Rows" not in dataset or "Columns" not in dataset:
        cut = sop_class.startswith(IMAGE_CLASSES) and not deflated and not _at_pixels(file)
        return "truncated-header" if cut else "no-image"
    return "" if deflated else _pixel_fault(dataset, file, size)


def _at_pixels(file: BinaryIO) -> bool:
    place = file.tell()
    tag = file.read(4)
    file.seek(place)
    return tag in PIXEL_GROUP or tag == b"\x7f\xe0\x00\x10"


def _pixel_fault(dataset: FileDataset, file: BinaryIO, size: int) -> str:
    """Whether the pixels are there to the last byte, by their length and the file's, without reading them."""
    if not _at_pixels(file):
        return "truncated-header" if file.tell() < size else "no-pixels"
    implicit, little = dataset.original_encoding
    order = "<" if little else ">"
    head = file.read(8 if implicit else 12)
    if len(head) < (8 if implicit else 12):
        return "truncated-pixels"
    length = struct.unpack(f"{order}L", head[-4:])[0]
    if length == UNDEFINED:
        return "" if _fragments_complete(file, size) else "truncated-pixels"
    short = file.tell() + length > size or length < _expected_bytes(dataset)
    return "truncated-pixels" if short else ""


def _fragments_complete(file: BinaryIO, size: int) -> bool:
    """Step from fragment to fragment of compressed pixels up to the mark that ends them."""
    while True:
        head = file.read(8)
        if len(head) < 8:
            return False
        if head[:4] == b"\xfe\xff\xdd\xe0":
            return True
        length = struct.unpack("<L", head[4:])[0]
        if head[:4] != b"\xfe\xff\x00\xe0" or file.tell() + length > size:
            return False
        file.seek(length, os.SEEK_CUR)


def _expected_bytes(dataset: Dataset) -> int:
    """Of uncompressed pixels; colour stored with fewer samples counts as one sample."""
    source = [dataset]
    rows, columns = tags.whole(source, "Rows", 1, 10**6) or 0, tags.whole(source, "Columns", 1, 10**6) or 0
    frames = tags.whole(source, "NumberOfFrames", 1, 10**7) or 1
    bits = tags.whole(source, "BitsAllocated", 1, 64) or 16
    return rows * columns * frames * bits // 8


def _headers(dataset: FileDataset, key: bytes, folder: str) -> tuple[Header, ...]:
    groups = tags.value([dataset], "PerFrameFunctionalGroupsSequence")
    base = _base(dataset, key, folder)
    if base.facts.kind != IMAGE:
        return (base,)
    if not groups:
        frames = tags.whole([dataset], "NumberOfFrames", 1, MOST_FRAMES) or 1
        return tuple(replace(base, number=number) for number in range(frames)) if frames > 1 else (base,)
    return _enhanced(dataset, groups, key, base)


def _base(dataset: Dataset, key: bytes, folder: str) -> Header:
    source = [dataset]
    groups = (tags.value(source, f"{name}FunctionalGroupsSequence") for name in ("Shared", "PerFrame"))
    facts = facts_of([*(macro for group in groups if group for macro in _macros(group[0])), dataset], key)
    day = study_day(source)
    patient, study, series = identities(dataset, folder)
    return Header(
        patient=pseudonym(key, "patient", patient) if patient else "",
        study=pseudonym(key, "study", study),
        series=pseudonym(key, "series", series),
        frame=_hashed(key, "frame", _frame_of_reference(dataset)),
        instance=_hashed(key, "instance", tags.text(source, "SOPInstanceUID")),
        number=0,
        facts=facts,
        position=position_of(source),
        instance_number=tags.whole(source, "InstanceNumber", 0, LARGEST_COUNT),
        acquisition=tags.whole(source, "AcquisitionNumber", 0, LARGEST_COUNT),
        time_point=tags.whole(source, "TemporalPositionIdentifier", 0, LARGEST_COUNT),
        day=None if day is None else shifted_day(key, day),
        moment=moment_of(source, key),
    )


def _frame_of_reference(dataset: Dataset) -> str:
    """Contours name theirs in a sequence."""
    referred = tags.value([dataset], "ReferencedFrameOfReferenceSequence") or ()
    return tags.text([dataset, *referred], "FrameOfReferenceUID")


def identities(dataset: Dataset, folder: str) -> tuple[str, str, str]:
    """What tells apart patients, studies and series, to be hashed; from other tags where the proper one is missing."""
    source = [dataset]
    name, born = tags.text(source, "PatientName"), tags.text(source, "PatientBirthDate")
    patient = tags.text(source, "PatientID") or (f"{name}\0{born}" if name.strip("^ ") else "")
    study = tags.text(source, "StudyInstanceUID") or f"\0{patient}\0{tags.text(source, 'StudyDate')}"
    number = tags.text(source, "SeriesNumber")
    return patient, study, tags.text(source, "SeriesInstanceUID") or f"\0{study}\0{number}\0{folder}"


def _hashed(key: bytes, kind: str, text: str) -> str:
    return pseudonym(key, kind, text) if text else ""


def _macros(group: Dataset) -> list[Dataset]:
    """The single items of a functional group's macros."""
    return [item.value[0] for item in group if item.VR == "SQ" and item.value and len(item.value) == 1]


def _enhanced(dataset: Dataset, groups: Any, key: bytes, base: Header) -> tuple[Header, ...]:
    """One header a frame of an enhanced multi-frame object, from what its own macros say beside the shared ones."""
    seen: dict[tuple[Any, ...], Facts] = {}
    headers = []
    for number, group in enumerate(groups):
        own = _macros(group)
        changes = _own_facts(own, base.facts)
        facts = seen.setdefault(tuple(changes.values()), replace(base.facts, **changes))
        headers.append(
            replace(
                base,
                number=number,
                facts=facts,
                position=position_of(own) or base.position,
                instance_number=number + 1,
                time_point=tags.whole(own, "TemporalPositionIndex", 0, LARGEST_COUNT) or base.time_point,
                moment=moment_of(own, key) or base.moment,
            )
        )
    return tuple(headers)


def _own_facts(own: list[Dataset], base: Facts) -> dict[str, Any]:
    """What a frame's own macros say, for the facts that differ between frames."""
    spacing = tags.numbers(own, "PixelSpacing", 1e-3, 1000)
    row_mm, column_mm = spacing if len(spacing) == 2 else (base.spacing_row_mm, base.spacing_column_mm)
    te, ti, b_value = echo_time_of(own), inversion_time_of(own), b_value_of(own)
    directed = tags.text(own, "DiffusionDirectionality").lower()
    return {
        "orientation": orientation_of(own) or base.orientation,
        "spacing_row_mm": row_mm,
        "spacing_column_mm": column_mm,
        "thickness_mm": tags.number(own, "SliceThickness", 1e-3, 1000) or base.thickness_mm,
        "te_ms": base.te_ms if te is None else te,
        "ti_ms": base.ti_ms if ti is None else ti,
        "b_value": base.b_value if b_value is None else b_value,
        "tr_ms": tags.number(own, "RepetitionTime", 1e-3, 60_000) or base.tr_ms,
        "flip_degrees": tags.number(own, "FlipAngle", 0, 360) or base.flip_degrees,
        "echo_train": tags.whole(own, "EchoTrainLength", 0, 10_000) or base.echo_train,
        "types": tags.words(own, "FrameType", TYPES) or base.types,
        "diffusion": directed if directed in ("directional", "isotropic", "none", "bmatrix") else base.diffusion,
    }
