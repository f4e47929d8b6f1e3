"""Volumes on their way from the hospital's files to a cohort: slices read as one grid, a grid written as NIfTI."""

import gzip
import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from rarelesion.errors import InputError, Problem
from rarelesion.frames import Frame, check_uniform, frames_of, in_order, is_image, read_file, read_planes
from rarelesion.stack import Stack, even
from rarelesion.store import replacing
from rarelesion.types import Floats, Image

COMPRESSION = 4  # of 9: half the time of the usual 6, and files a few percent larger
INT16, FLOAT32 = 4, 16  # NIfTI's codes
MILLIMETRES = 2
SCANNER = 1
TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
SKEW_TOLERANCE = 1e-4  # in direction cosines


def read_stack(files: Sequence[tuple[Path, int]], sequence: str, where: str) -> tuple[Image, tuple[str, ...]]:
    """Read frames of DICOM files as one even volume at right angles, and say what had to be mended for that.

    `files` are files with the number of a frame in them, from 0, in any order; `where` is how messages name the
    series: they hold no path, name or tag. Returns pixels (slices, rows, columns) in physical units, low values
    black, padding as the smallest value, with the affine to patient mm (None where the files hold no coordinates;
    slices are then in the order of their numbers), and the notes of `stack.even`. Raises InputError for files that
    are damaged or no images, slices that are no volume, and several different images at one place.
    """
    stack, slice_mm = _stack(files, where)
    if not isinstance(stack, Stack):
        return Image(stack, sequence), ("no patient coordinates in the files",)
    pixels, affine, notes = even(where, stack, slice_mm)
    return Image(pixels, sequence, affine), notes


def _stack(files: Sequence[tuple[Path, int]], where: str) -> tuple[Stack | NDArray[np.float32], float | None]:
    """The slices in order, their planes alone where they have no place, and the slice distance that the files name.

    What was read from the disk is let go of before anything is mended.
    """
    frames = _wanted_frames(files, where)
    check_uniform(where, frames)
    frames = in_order(where, frames)
    first, planes = frames[0], read_planes(where, frames)
    positions = [frame.position for frame in frames if frame.position is not None]
    if first.orientation is None or first.pixel_mm is None or len(positions) < len(frames):
        return planes, None
    return Stack(planes, np.stack(positions), first.orientation, first.pixel_mm), first.slice_mm


def _wanted_frames(files: Sequence[tuple[Path, int]], where: str) -> list[Frame]:
    """Each file is read once, whatever the number of its frames."""
    wanted: dict[Path, list[int]] = {}
    for path, index in files:
        wanted.setdefault(path, []).append(index)
    frames: list[Frame] = []
    for order, (path, indices) in enumerate(wanted.items(), start=1):
        place = f"{where}, file {order} of {len(wanted)}"
        dataset = read_file(place, path)
        if dataset is None or not is_image(dataset):
            raise InputError(Problem(place, "no DICOM image", remedy="Leave the file out, or export it again."))
        there = frames_of(place, dataset)
        if not all(0 <= index < len(there) for index in indices):
            raise InputError(Problem(place, "the file has fewer frames than it should", str(len(there))))
        frames += [there[index] for index in indices]
    if not frames:
        raise InputError(Problem(where, "no DICOM image", expected="at least one"))
    return frames


def write_volume(path: Path, image: Image) -> None:
    """Write a volume as NIfTI-1 (`.nii.gz`), whole or not at all; the same pixels make the same bytes.

    Whole numbers of 16 bits are kept as int16, all else as float32. The file holds pixels and geometry and nothing
    else; a volume without patient coordinates says so by its codes (0). Raises InputError where the disk refuses, and
    for axes that are not at right angles, which `read_stack` never returns.
    """
    pixels = image.pixels
    whole = bool(pixels.min() >= -32768 and pixels.max() <= 32767 and np.array_equal(pixels, np.rint(pixels)))
    stored = pixels.astype("<i2" if whole else "<f4")
    header = _header(path.name, stored, image.affine)
    with (
        replacing(path) as temporary,
        temporary.open("wb") as file,
        gzip.GzipFile("", "wb", COMPRESSION, file, mtime=0) as packed,  # no name and no time go into the file
    ):
        packed.write(header)
        packed.write(np.ascontiguousarray(stored).data)


def _header(where: str, stored: NDArray[np.generic], affine: Floats | None) -> bytes:
    """The 352 bytes before the pixels: NIfTI-1.1, nifti1.h of nifti.nimh.nih.gov."""
    slices, rows, columns = stored.shape
    lps = np.eye(4)[[2, 1, 0, 3]] if affine is None else affine
    ras = TO_RAS @ lps[:, [2, 1, 0, 3]]  # columns now go with (column, row, slice)
    spacing = np.linalg.norm(ras[:3, :3], axis=0)
    directions = ras[:3, :3] / spacing
    if np.abs(directions.T @ directions - np.eye(3)).max() > SKEW_TOLERANCE:
        raise InputError(Problem(where, "the axes of the volume are not at right angles"))
    handed = float(np.sign(np.linalg.det(directions)))
    x, y, z, w = Rotation.from_matrix(directions * [1, 1, handed]).as_quat()
    quaternion = np.array([x, y, z]) * (-1 if w < 0 else 1)
    code = 0 if affine is None else SCANNER
    kind, bits = (INT16, 16) if stored.dtype.kind == "i" else (FLOAT32, 32)
    header = struct.pack("<i36x", 348) + struct.pack("<8h", 3, columns, rows, slices, 1, 1, 1, 1)
    header += struct.pack("<14x3h", kind, bits, 0)
    header += struct.pack("<8f", handed, *spacing, 0, 0, 0, 0)
    header += struct.pack("<3f2xbb", 352, 1, 0, 0, MILLIMETRES) + bytes(16 + 8 + 80 + 24)
    header += struct.pack("<2h6f", code, code, *quaternion, *ras[:3, 3]) + struct.pack("<12f", *ras[:3].ravel())
    return header + bytes(16) + b"n+1\0" + bytes(4)
