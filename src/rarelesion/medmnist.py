"""MedMNIST archives, one `.npz` of small pictures, as a cohort: Yang et al. 2023, doi:10.1038/s41597-022-01721-8."""

import math
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from rarelesion.conversion import Converted, check_empty, class_of, write_png, write_table
from rarelesion.errors import InputError, Problem

PART_OF = {"train": "train", "val": "tune", "test": "test"}
"""MedMNIST's word for a part -> ours."""
LARGEST_BYTES = 16 * 2**30


def convert_medmnist(
    archive: Path,
    out: Path,
    positive: Sequence[str],
    negative: Sequence[str] = (),
    sequence: str = "view",
    on_case: Callable[[int, int], None] | None = None,
) -> Converted:
    """Write the pictures of a MedMNIST archive as PNG files into a folder, with a `cohort.csv` that has their split.

    `positive` and `negative` are labels as the archive numbers them, e.g. ("0",): of BreastMNIST 0 is malignant. The
    lesion's box is the whole picture, as these archives mark none; a picture counts as a patient of its own, as they
    name none. `on_case` is told how many pictures are written, of how many.
    Raises InputError where the file is no such archive, is damaged or larger than 16 GiB unpacked, holds volumes or
    several labels a picture, where the positive class is not named, and where the folder is not empty.
    """
    check_empty(out)
    parts = _read(archive)
    labels = {part: _labels(archive, part, parts[f"{part}_labels"], parts[f"{part}_images"]) for part in PART_OF}
    every = [label for part in PART_OF for label in labels[part]]
    word_of = class_of(every, positive, negative, archive.name)
    rows, left_out = [], [(f"label {label}", "named as neither class") for label in sorted(set(every) - set(word_of))]
    (out / "images").mkdir(parents=True)
    for part, ours in PART_OF.items():
        for index, (pixels, label) in enumerate(zip(parts[f"{part}_images"], labels[part], strict=True)):
            if label not in word_of:
                continue
            name = f"{part}{index:06d}"
            write_png(out / f"images/{name}.png", pixels)
            rows.append(
                {
                    "case_id": name,
                    "patient_id": name,
                    "label": word_of[label],
                    "split": ours,
                    f"image_{sequence}": f"images/{name}.png",
                    f"box_{sequence}": f"0 0 {pixels.shape[0]} {pixels.shape[1]}",
                    "subtype": f"label {label}",
                }
            )
            if on_case is not None:
                on_case(len(rows), len(every))
    columns = ("case_id", "patient_id", "label", "split", f"image_{sequence}", f"box_{sequence}", "subtype")
    path = write_table(out, columns, rows)
    notes = (
        "The archive names no patients: each picture counts as one, though several may be of one person.",
        "No lesion is marked: the box is the whole picture, and sizes in mm are not known.",
    )
    malignant = sum(word_of.get(label) == "malignant" for label in every)
    return Converted(path, len(rows), malignant, tuple(left_out), notes)


def _read(archive: Path) -> dict[str, NDArray[np.generic]]:
    wanted = [f"{part}_{kind}" for part in PART_OF for kind in ("images", "labels")]
    try:
        with zipfile.ZipFile(archive) as stored:
            sizes = {info.filename: info.file_size for info in stored.infolist()}
            missing = [name for name in wanted if f"{name}.npy" not in sizes]
            if missing:
                found = ", ".join(sorted(name.removesuffix(".npy") for name in sizes)[:12])
                raise InputError(Problem(archive.name, "not a MedMNIST archive", found, ", ".join(wanted)))
            if sum(sizes[f"{name}.npy"] for name in wanted) > LARGEST_BYTES:
                found = f"{sum(sizes.values()) / 2**30:.0f} GiB"
                raise InputError(Problem(archive.name, "the archive is too large", found, "at most 16 GiB unpacked"))
            return {name: _array(archive, stored, name) for name in wanted}
    except (OSError, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        remedy = "Give the .npz file as it was downloaded."
        raise InputError(Problem(str(archive), "is not a readable .npz archive", remedy=remedy)) from error


def _array(archive: Path, stored: zipfile.ZipFile, name: str) -> NDArray[np.generic]:
    """One array, read only after its header has been held against what the file can hold."""
    try:
        with stored.open(f"{name}.npy") as file:
            shape, dtype = _header(file)
            if dtype.kind not in "uif" or len(shape) > 5 or min(shape, default=1) < 0:
                raise ValueError
            # No more memory is taken than the file holds, whatever its header says.
            if math.prod(shape) * dtype.itemsize > stored.getinfo(f"{name}.npy").file_size:
                raise ValueError
        with stored.open(f"{name}.npy") as file:
            values = np.lib.format.read_array(file, allow_pickle=False)
    except (ValueError, EOFError, zipfile.BadZipFile, OSError) as error:
        raise InputError(
            Problem(archive.name, f"the array {name} cannot be read", remedy="Download it again.")
        ) from error
    if name.endswith("_images") and (values.dtype != np.uint8 or values.ndim not in (3, 4) or 0 in values.shape[1:]):
        found = f"{' x '.join(map(str, values.shape))}, {values.dtype}"
        raise InputError(Problem(archive.name, f"{name} are no pictures", found, "n x rows x columns (x 3), 8 bit"))
    if name.endswith("_images") and values.ndim == 4 and values.shape[3] != 3:
        remedy = "Volumes are not converted; write them as NIfTI with a cohort.csv."
        raise InputError(
            Problem(archive.name, f"{name} are volumes", " x ".join(map(str, values.shape)), remedy=remedy)
        )
    return values


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype]:
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(file)
    return shape, dtype


def _labels(archive: Path, part: str, labels: NDArray[np.generic], images: NDArray[np.generic]) -> list[str]:
    if len(labels) != len(images) or labels.size != len(images):
        found = f"{' x '.join(map(str, labels.shape))} labels of {len(images)} pictures"
        raise InputError(Problem(archive.name, f"{part}: not one label a picture", found))
    if not np.array_equal(labels, np.rint(labels)):
        raise InputError(Problem(archive.name, f"{part}: labels that are no whole numbers"))
    return [str(int(label)) for label in labels.ravel().tolist()]
