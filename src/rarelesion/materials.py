"""Photographs of materials from a user's folder, for the texture class in the place of drawn ones."""

from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from rarelesion.errors import InputError, Problem

PHOTOGRAPHS = (".png", ".jpg", ".jpeg", ".tif", ".tiff")
_LUMINANCE = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601


def read_materials(folder: Path) -> tuple[NDArray[np.float32], ...]:
    """Read every photograph below a folder, sorted by path: grey (rows, columns) in 0..1.

    PNG, JPEG or TIFF of 8 or 16 bits; colours become luminance. Raises InputError that names every unreadable file,
    or the folder where it is missing or holds no photograph.
    """
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in PHOTOGRAPHS and path.is_file())
    if not paths:
        expected = f"a folder with {', '.join(PHOTOGRAPHS)} files, at any depth"
        found = "no photograph" if folder.is_dir() else "no such folder"
        remedy = 'Name another folder in textures.source, or write "procedural" to use drawn materials.'
        raise InputError(Problem(str(folder), "no photographs of materials", found, expected, remedy))
    read = [_read(path) for path in paths]
    problems = [item for item in read if isinstance(item, Problem)]
    if problems:
        raise InputError(problems)
    return tuple(item for item in read if not isinstance(item, Problem))


def _read(path: Path) -> NDArray[np.float32] | Problem:
    try:
        pixels = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
    except RuntimeError:
        return Problem(str(path), "cannot be read as a picture", remedy="Delete the file or save it again.")
    if not _is_photograph(pixels):
        found = f"{pixels.dtype} of shape {pixels.shape}"
        return Problem(str(path), "not a photograph", found, "grey or RGB of 8 or 16 bits", "Convert the file to PNG.")
    grey = pixels if pixels.ndim == 2 else pixels[..., :3] @ _LUMINANCE
    return (grey / np.iinfo(pixels.dtype).max).astype(np.float32)


def _is_photograph(pixels: NDArray) -> bool:
    return pixels.dtype in (np.uint8, np.uint16) and pixels.ndim in (2, 3) and pixels.shape[2:] in ((), (3,), (4,))
