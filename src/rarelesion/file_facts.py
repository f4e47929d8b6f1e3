"""How an image file was made and saved, from its header alone: size, depth, compression, scanner, year.

Only numbers and one opaque word leave this module, for comparing cases with each other; no text of a header is shown.
"""

import math
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from pydicom import Dataset, dcmread

NO_NUMBER = math.nan
LOSSY_SYNTAXES = frozenset(f"1.2.840.10008.1.2.4.{last}" for last in ("50", "51", "81", "91", "93", "111", "203"))
"""JPEG baseline and extended, near-lossless JPEG-LS, JPEG 2000 in its several parts."""
BITS = {
    sitk.sitkUInt8: 8, sitk.sitkInt8: 8, sitk.sitkVectorUInt8: 8, sitk.sitkVectorInt8: 8,
    sitk.sitkUInt16: 16, sitk.sitkInt16: 16, sitk.sitkVectorUInt16: 16, sitk.sitkVectorInt16: 16,
}  # fmt: skip
SCANNER_TAGS = ("Manufacturer", "ManufacturerModelName", "DeviceSerialNumber")
DATE_TAGS = ("AcquisitionDate", "SeriesDate", "StudyDate")
OTHER_TAGS = (
    *("BitsStored", "LossyImageCompression", "SamplesPerPixel"),
    *("MagneticFieldStrength", "RepetitionTime", "EchoTime"),
)
COLOUR_STEP, COLOUR_SHARE = 24, 2e-3
"""Two channels of a pixel that differ by more are colour; fewer coloured pixels are a logo or a caliper."""


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What a header says; NaN where it does not say."""

    size_bytes: float
    files: int
    bits: int
    """A pixel's; 32 stands for more than 16."""
    channels: int
    """Values a pixel: 3 or 4 where the file could hold colour."""
    lossy: bool
    scanner: str = ""
    """For telling scanners apart only: never to be shown."""
    field_strength_t: float = NO_NUMBER
    repetition_ms: float = NO_NUMBER
    echo_ms: float = NO_NUMBER
    year: float = NO_NUMBER


def read_file_facts(path: Path) -> FileFacts | None:
    """The header of an image file, or of the first file of a DICOM folder; None where there is none to be read."""
    try:
        files = sorted(item for item in path.iterdir() if item.is_file()) if path.is_dir() else [path]
        size = float(sum(file.stat().st_size for file in files))
        dataset = next((found for file in files if (found := _dicom(file)) is not None), None)
        return _of_dicom(dataset, size, len(files)) if dataset is not None else _of_file(path, size)
    except (OSError, RuntimeError):
        return None


def is_coloured(path: Path) -> bool:
    """Whether a plain picture of several channels shows colour, or grey stored as colour."""
    pixels = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))[..., :3].astype(int)
    return float((np.ptp(pixels, axis=-1) > COLOUR_STEP).mean()) > COLOUR_SHARE


def _dicom(file: Path) -> Dataset | None:
    with file.open("rb") as opened:
        if opened.read(132)[128:] != b"DICM":
            return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they quote values of tags
            wanted = [*OTHER_TAGS, *SCANNER_TAGS, *DATE_TAGS]
            return dcmread(file, stop_before_pixels=True, specific_tags=wanted)
    except Exception:  # a damaged file raises whatever its first wrong byte leads to; reading its pixels reports it
        return None


def _of_dicom(dataset: Dataset, size: float, files: int) -> FileFacts:
    syntax = str(getattr(dataset, "file_meta", {}).get("TransferSyntaxUID", ""))
    dates = (_text(dataset, name) for name in DATE_TAGS)
    year = next((date[:4] for date in dates if date[:4].isdecimal()), "")
    return FileFacts(
        size_bytes=size,
        files=files,
        bits=int(_number(dataset, "BitsStored", 16)),
        channels=int(_number(dataset, "SamplesPerPixel", 1)),
        lossy=_text(dataset, "LossyImageCompression") == "01" or syntax in LOSSY_SYNTAXES,
        scanner="|".join(_text(dataset, name) for name in SCANNER_TAGS).strip("|"),
        field_strength_t=_number(dataset, "MagneticFieldStrength"),
        repetition_ms=_number(dataset, "RepetitionTime"),
        echo_ms=_number(dataset, "EchoTime"),
        year=float(year) if year else NO_NUMBER,
    )


def _of_file(path: Path, size: float) -> FileFacts:
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    reader.ReadImageInformation()
    lossy = path.suffix.lower() in (".jpg", ".jpeg")
    return FileFacts(size, 1, BITS.get(reader.GetPixelID(), 32), reader.GetNumberOfComponents(), lossy)


def _text(dataset: Dataset, keyword: str) -> str:
    try:
        return str(dataset.get(keyword, "") or "").strip()
    except Exception:  # tags are only understood, or not, when they are asked for
        return ""


def _number(dataset: Dataset, keyword: str, otherwise: float = NO_NUMBER) -> float:
    try:
        return float(_text(dataset, keyword) or otherwise)
    except ValueError:
        return otherwise
