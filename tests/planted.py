"""A small clean MR cohort on which faults are planted, one file or cell at a time; the rest is not copied."""

import csv
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from rarelesion.anatomy import SUBTYPES, draw_patient
from rarelesion.images import read_image
from rarelesion.phantom import Grid, acquire, draw_image, draw_mask
from rarelesion.types import Image

N_BENIGN, N_MALIGNANT = 28, 16
MATRIX = {"T1": 112, "T2": 128}


def write_volume(path: Path, pixels: np.ndarray, affine: np.ndarray | None) -> None:
    """A volume (slices, rows, columns) with its affine to patient millimetres, in any format SimpleITK writes."""
    image = sitk.GetImageFromArray(pixels)
    if affine is not None:
        spacing = np.linalg.norm(affine[:3, :3], axis=0)
        image.SetSpacing(spacing[::-1].tolist())
        image.SetDirection((affine[:3, :3] / spacing)[:, ::-1].ravel().tolist())
        image.SetOrigin(affine[:3, 3].tolist())
    sitk.WriteImage(image, str(path))


def grid_for(patient, matrix: int, slices: int, rng: np.random.Generator) -> Grid:
    pixel = (2 * max(patient.half_axes) + rng.uniform(20, 40)) / matrix
    affine = np.diag([0.0, 0, 0, 1])
    affine[:3, :3] = np.eye(3)[:, ::-1] * [4.0 * rng.uniform(0.95, 1.05), pixel, pixel]
    middle = np.array([*rng.normal(0, 2, 2), patient.lesion.centre[2]])
    affine[:3, 3] = middle - affine[:3, :3] @ ((np.array([slices, matrix, matrix]) - 1) / 2)
    return Grid((slices, matrix, matrix), affine)


def make_clean(folder: Path) -> list[dict[str, str]]:
    """44 cases as NIfTI, T1 and T2 of different matrix, the lesion marked on T1; gives the rows of the table."""
    benign = [name for name, subtype in SUBTYPES.items() if not subtype.malignant]
    malignant = [name for name, subtype in SUBTYPES.items() if subtype.malignant]
    order = np.random.default_rng(5).permutation(N_BENIGN + N_MALIGNANT)
    rows = []
    for place, number in enumerate(order):
        rng = np.random.default_rng([11, number])
        bad = number < N_MALIGNANT
        subtype = (malignant if bad else benign)[number % (2 if bad else 3)]
        patient = draw_patient(subtype, rng)
        row = {"case_id": f"c{place:02d}", "patient_id": f"p{place:02d}", "label": "malignant" if bad else "benign"}
        slices = 3
        for sequence, matrix in MATRIX.items():
            grid = grid_for(patient, matrix, slices, rng)
            gain, noise = float(rng.uniform(400, 1500)), float(rng.uniform(0.02, 0.04))
            pixels = acquire(draw_image(patient, sequence, grid), grid, gain, noise, 0.1, rng)
            write_volume(folder / f"{place:02d}_{sequence}.nii", pixels.astype(np.int16), grid.affine)
            row[f"image_{sequence}"] = str(folder / f"{place:02d}_{sequence}.nii")
            if sequence == "T1":
                mask = draw_mask(patient, grid).astype(np.uint8)
                write_volume(folder / f"{place:02d}_mask.nii", mask, grid.affine)
        row |= {"mask_T1": str(folder / f"{place:02d}_mask.nii"), "mask_T2": "", "box_T1": "", "box_T2": ""}
        row |= {"subtype": subtype, "sex": "FM"[rng.integers(2)], "age": str(int(rng.normal(55, 12)))}
        row |= {"scanner": ("Alpha", "Beta")[rng.integers(2)], "site": ("north", "south", "west")[rng.integers(3)]}
        rows.append(row)
    return rows


@dataclass
class Bench:
    """A copy of the clean table, to be spoilt."""

    folder: Path
    rows: list[dict[str, str]]
    settings: dict[str, object] = field(default_factory=dict)

    def image(self, index: int, column: str) -> Image:
        """The image or mask of a cell."""
        return read_image(Path(self.rows[index][column]), "T1")

    def put(self, index: int, column: str, pixels: np.ndarray, affine: np.ndarray | None, suffix: str = ".nii") -> None:
        """Write pixels as a file of their own and name it in a cell."""
        path = self.folder / f"own_{index:02d}_{column}{suffix}"
        write_volume(path, pixels, affine)
        self.rows[index][column] = str(path)

    def change(self, index: int, column: str, edit: Callable[[np.ndarray], np.ndarray], dtype: type = np.int16) -> None:
        """Put an image whose pixels went through `edit`, its geometry kept."""
        image = self.image(index, column)
        self.put(index, column, edit(np.array(image.pixels)).astype(dtype), image.affine)

    def box(self, index: int) -> tuple[int, int, int, int, int]:
        """Slice, row0, col0, row1, col1 of the lesion on T1."""
        mask = self.image(index, "mask_T1").pixels > 0
        plane = int(mask.sum(axis=(1, 2)).argmax())
        rows, columns = np.flatnonzero(mask[plane].any(1)), np.flatnonzero(mask[plane].any(0))
        return plane, int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1

    def of(self, label: str) -> list[int]:
        """The cases of a class."""
        return [index for index, row in enumerate(self.rows) if row["label"] == label]

    def write(self) -> Path:
        """The table as a file."""
        path = self.folder / "cohort.csv"
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(dict.fromkeys(key for row in self.rows for key in row)))
            writer.writeheader()
            writer.writerows(self.rows)
        return path
