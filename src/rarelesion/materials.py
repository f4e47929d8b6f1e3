"""Photographs from a user's folder: materials for the texture class, pictures to learn from, classes to probe with."""

from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

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


def find_photographs(folder: Path, option: str) -> tuple[Path, ...]:
    """Every photograph below a folder, sorted by path, unread; InputError that names the option where there is none."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in PHOTOGRAPHS and path.is_file())
    if not paths:
        expected = f"a folder with {', '.join(PHOTOGRAPHS)} files, at any depth"
        found = f"no photograph in {folder}" if folder.is_dir() else f"no such folder: {folder}"
        raise InputError(Problem(option, "no photographs", found, expected))
    return tuple(paths)


def read_colour(path: Path) -> NDArray[np.float32]:
    """A photograph as (3, rows, columns) in 0..1, grey ones alike in all three; InputError where it is unreadable."""
    pixels = _pixels(path)
    if isinstance(pixels, Problem):
        raise InputError(pixels)
    colour = np.stack([pixels] * 3) if pixels.ndim == 2 else pixels[..., :3].transpose(2, 0, 1)
    return (colour / np.iinfo(pixels.dtype).max).astype(np.float32)


def read_labelled(folder: Path, side_px: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Photographs of one subfolder a class: the middle square of each, (n, 3, side_px, side_px) in 0..1, and its class.

    Classes are numbered as their folders are sorted. Raises InputError where there are fewer than two classes, or one
    has fewer than two photographs.
    """
    folders = sorted(path for path in folder.glob("*") if path.is_dir()) if folder.is_dir() else []
    found = [find_photographs(path, str(path)) for path in folders]
    if len(found) < 2 or min(map(len, found)) < 2:
        expected = "two or more subfolders, one a class, each with two photographs or more"
        raise InputError(Problem(str(folder), "holds no classes of photographs", f"{len(found)} subfolders", expected))
    paths = [(path, label) for label, of_class in enumerate(found) for path in of_class]
    pixels = np.stack([_middle(read_colour(path), side_px) for path, _ in paths])
    return pixels, np.array([label for _, label in paths])


def _middle(picture: NDArray[np.float32], side_px: int) -> NDArray[np.float32]:
    """The largest square in the middle, brought to a side by averaging or interpolation."""
    side = min(picture.shape[1:])
    top, left = ((extent - side) // 2 for extent in picture.shape[1:])
    square = picture[:, top : top + side, left : left + side]
    if side > side_px:
        blur = 0.5 * (side / side_px - 1)
        square = ndimage.gaussian_filter(square, (0, blur, blur))
    places = (np.arange(side_px) + 0.5) * side / side_px - 0.5
    grid = np.meshgrid(places, places, indexing="ij")
    found = [ndimage.map_coordinates(channel, grid, order=1, mode="nearest") for channel in square]
    return np.stack(found).astype(np.float32)


def _read(path: Path) -> NDArray[np.float32] | Problem:
    pixels = _pixels(path)
    if isinstance(pixels, Problem):
        return pixels
    grey = pixels if pixels.ndim == 2 else pixels[..., :3] @ _LUMINANCE
    return (grey / np.iinfo(pixels.dtype).max).astype(np.float32)


def _pixels(path: Path) -> NDArray | Problem:
    try:
        pixels = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
    except RuntimeError:
        return Problem(str(path), "cannot be read as a picture", remedy="Delete the file or save it again.")
    if not _is_photograph(pixels):
        found = f"{pixels.dtype} of shape {pixels.shape}"
        return Problem(str(path), "not a photograph", found, "grey or RGB of 8 or 16 bits", "Convert the file to PNG.")
    return pixels


def _is_photograph(pixels: NDArray) -> bool:
    return pixels.dtype in (np.uint8, np.uint16) and pixels.ndim in (2, 3) and pixels.shape[2:] in ((), (3,), (4,))
