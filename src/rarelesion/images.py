"""Image files of every kind a hospital hands out, read whole: no bit is cut, no coordinate lost."""

import gzip
import math
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from rarelesion.dicom import read_series
from rarelesion.errors import InputError, Problem
from rarelesion.types import Floats, Image, Roi

LUMINANCE = (0.299, 0.587, 0.114)  # ITU-R BT.601: how bright red, green and blue look
DICOM_MAGIC = (128, b"DICM")

# It writes warnings of headers it can read all the same to the user's terminal.
sitk.ProcessObject.SetGlobalWarningDisplay(False)


def read_picture(path: Path, sequence: str) -> Image:
    """Read a plain picture (PNG, TIFF, JPEG, BMP); colour becomes luminance where the channels differ."""
    where = f"{sequence}: {path.name}"
    check_complete(where, path)
    return Image(_pixels(where, _open(where, path), colour=True), sequence)


def read_volume(path: Path, sequence: str) -> Image:
    """Read a volume (NIfTI, NRRD, MetaImage), in patient coordinates unless the file says that it has none."""
    where = f"{sequence}: {path.name}"
    check_complete(where, path)
    image = _open(where, path)
    return Image(_pixels(where, image, colour=False), sequence, None if is_nowhere(path, image) else affine_of(image))


FORMATS: dict[str, Callable[[Path, str], Image]] = {
    ".png": read_picture,
    ".tif": read_picture,
    ".tiff": read_picture,
    ".jpg": read_picture,
    ".jpeg": read_picture,
    ".bmp": read_picture,
    ".nii": read_volume,
    ".nii.gz": read_volume,
    ".nrrd": read_volume,
    ".mha": read_volume,
    ".mhd": read_volume,
    ".dcm": read_series,
}
"""What reads a file, by the end of its name. A folder is read as a DICOM series."""


def read_image(path: Path, sequence: str) -> Image:
    """Read the image of one sequence: a file of any of the `FORMATS`, or a folder holding one DICOM series.

    Returns pixels (slices, rows, columns) float32 in the units of the file, all bits kept, with the affine to
    patient millimetres (None for plain pictures). Raises InputError where the file cannot be read, is cut short or
    of an unknown kind, holds colour or a fourth dimension where it may not, or a pixel that is not a number (of
    NIfTI files the reading library makes those 0).
    """
    image = _reader(path, sequence)(path, sequence)
    if not np.isfinite(image.pixels).all():
        broken = image.pixels.size - np.count_nonzero(np.isfinite(image.pixels))
        remedy = "Replace them with the value of the background, as 0."
        where = f"{sequence}: {path.name}"
        raise InputError(
            Problem(
                where, "pixels that are not numbers", f"{broken} of {image.pixels.size} NaN or infinite", remedy=remedy
            )
        )
    return image


def read_mask(path: Path) -> Roi:
    """Read the mask of a lesion, true wherever the file is not zero, in any of the `FORMATS`.

    Raises InputError like `read_image`, and where the mask is empty or a JPEG, which blurs its edge.
    """
    if path.suffix.lower() in (".jpg", ".jpeg"):
        remedy = "Save the mask as PNG from where it was drawn."
        raise InputError(Problem(f"mask: {path.name}", "a JPEG does not keep the edge of a mask", remedy=remedy))
    image = read_image(path, "mask")
    mask = image.pixels != 0
    if not mask.any():
        raise InputError(Problem(f"mask: {path.name}", "the mask is empty", remedy="Mark the lesion, or give a box."))
    return Roi(mask=mask, affine=image.affine)


def load_roi(source: Path | Roi) -> Roi:
    """The lesion's place as the cohort gives it: a box as it is, a mask from its file."""
    return read_mask(source) if isinstance(source, Path) else source


def _reader(path: Path, sequence: str) -> Callable[[Path, str], Image]:
    if path.is_dir():
        return read_series
    name = path.name.lower()
    for suffix in sorted(FORMATS, key=len, reverse=True):
        if name.endswith(suffix):
            return FORMATS[suffix]
    if path.is_file() and _is_dicom(path):
        return read_series
    raise InputError(
        Problem(
            f"{sequence}: {path.name}",
            "an image of an unknown kind" if path.exists() else "there is no such image",
            expected=f"{', '.join(FORMATS)}, or a folder with a DICOM series",
            remedy="Convert the file to one of these." if path.exists() else "Check the path.",
        )
    )


def _is_dicom(path: Path) -> bool:
    """Scanners often name their files without a suffix."""
    offset, magic = DICOM_MAGIC
    with path.open("rb") as file:
        return file.read(offset + len(magic))[offset:] == magic


def _open(where: str, path: Path) -> sitk.Image:
    try:
        return sitk.ReadImage(str(path))
    except RuntimeError as error:
        remedy = "Open it in a viewer and save it again."
        raise InputError(
            Problem(where, "the file cannot be read: damaged, cut short, or another kind", remedy=remedy)
        ) from error


def _pixels(where: str, image: sitk.Image, colour: bool) -> NDArray[np.float32]:
    """(slices, rows, columns) of a grey image, or of a colour image as it looks in grey."""
    pixels = sitk.GetArrayFromImage(image)
    channels = image.GetNumberOfComponentsPerPixel()
    if channels > 1 and not colour:
        raise InputError(Problem(where, "several values a pixel", str(channels), "one", "Save one volume of them."))
    if channels > 1:
        pixels = _grey(pixels)
    size = tuple(length for length in pixels.shape[:-3] if length > 1)
    if size:
        found = " x ".join(str(length) for length in pixels.shape)
        remedy = "Save the time point, echo or b-value to be used as a volume of its own."
        raise InputError(Problem(where, "the image has more than three dimensions", found, "one volume", remedy))
    return pixels.reshape((1, 1, *pixels.shape)[-3:] if pixels.ndim < 3 else pixels.shape[-3:]).astype(np.float32)


def _grey(pixels: NDArray[np.generic]) -> NDArray[np.generic]:
    """Grey stored as colour stays exactly as it is; a fourth channel is transparency and is left out."""
    red, green, blue = (pixels[..., channel].astype(np.float64) for channel in range(3))
    if np.array_equal(red, green) and np.array_equal(red, blue):
        return red
    return LUMINANCE[0] * red + LUMINANCE[1] * green + LUMINANCE[2] * blue


def affine_of(image: sitk.Image) -> Floats:
    """(4, 4) from (slice, row, column, 1) to patient millimetres; a flat image lies at z = 0."""
    dimension = min(image.GetDimension(), 3)
    directions, spacing, origin = np.eye(3), np.ones(3), np.zeros(3)
    full = np.array(image.GetDirection()).reshape(image.GetDimension(), image.GetDimension())
    directions[:dimension, :dimension] = full[:dimension, :dimension]
    spacing[:dimension], origin[:dimension] = image.GetSpacing()[:dimension], image.GetOrigin()[:dimension]
    affine = np.eye(4)
    affine[:3, :3] = (directions * spacing)[:, ::-1]
    affine[:3, 3] = origin
    return affine


def is_nowhere(path: Path, image: sitk.Image) -> bool:
    """Whether a picture has no place in a patient: a NIfTI file then names neither coordinates nor a pixel size."""
    if FORMATS.get(path.suffix.lower()) is read_picture:
        return True
    codes = [image.GetMetaData(key) for key in ("qform_code", "sform_code") if image.HasMetaDataKey(key)]
    return codes == ["0", "0"] and set(image.GetSpacing()) == {1.0}


def check_complete(where: str, path: Path) -> None:
    """The reader fills what is missing of these kinds with grey or zeros, in silence."""
    name = path.name.lower()
    complete = {
        (".jpg", ".jpeg"): _jpeg_ends,
        (".bmp",): _bmp_is_whole,
        (".nii", ".nii.gz"): _nifti_is_whole,
    }
    for suffixes, is_whole in complete.items():
        if name.endswith(suffixes) and not is_whole(path):
            raise InputError(Problem(where, "the file is cut short", remedy="Copy or export it again."))


def _jpeg_ends(path: Path) -> bool:
    return b"\xff\xd9" in path.read_bytes()[-1024:]


def _bmp_is_whole(path: Path) -> bool:
    head = path.read_bytes()[:6]
    return len(head) == 6 and path.stat().st_size >= struct.unpack("<I", head[2:])[0]


def _nifti_is_whole(path: Path) -> bool:
    """NIfTI-1 says in its header how long it is; a compressed file must also unpack to its end."""
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix.lower() == ".gz" else path.read_bytes()
    except (EOFError, gzip.BadGzipFile, zlib.error):
        return False
    if len(content) < 348:
        return False
    order = next((order for order in "<>" if struct.unpack(f"{order}i", content[:4])[0] == 348), None)
    if order is None:  # NIfTI-2 or not NIfTI at all: the reader decides
        return True
    count, *lengths = struct.unpack(f"{order}8h", content[40:56])
    bits = struct.unpack(f"{order}h", content[72:74])[0]
    offset = struct.unpack(f"{order}f", content[108:112])[0]
    return len(content) >= offset + math.prod(lengths[: max(count, 0)]) * bits // 8
