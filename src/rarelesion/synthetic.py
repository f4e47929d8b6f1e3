"""A synthetic cohort as real files: DICOM series, masks, the table of cases and a simulated reader's ratings.

Cases, subtypes and field strengths occur as often as in Matsuo et al. 2020 (Tables 1 and 2); no patient stands
behind any of them.
"""

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy.special import ndtri

from rarelesion.anatomy import SUBTYPES, Patient, draw_patient
from rarelesion.dicom import write_series
from rarelesion.phantom import Grid, acquire, draw_image, draw_mask
from rarelesion.types import Floats

FIELD_STRENGTHS: Mapping[float, int] = {1.5: 204, 3.0: 35, 1.0: 6}
"""Tesla -> cases in the paper, which does not say what its six others are."""
MATRICES: Mapping[int, float] = {256: 0.82, 288: 0.06, 320: 0.05, 384: 0.045, 512: 0.02, 960: 0.005}
"""Rows and columns -> share of the series; the paper has 256 to 960."""
SLICES: Mapping[int, float] = {3: 0.74, 4: 0.12, 5: 0.09, 7: 0.05}
SMALLEST_STACK_MM = 10.0
THICKNESS_MM = (1.5, 10.0)
READER = "radiologist"
READER_SEPARATION = 1.0  # of the reader's two classes, in standard deviations: a ROC-AUC of about 0.75
READER_SHARES = (0.30, 0.25, 0.20, 0.15, 0.10)  # of the ratings 1 to 5

Key = TypeVar("Key", str, float)
COLUMNS = (
    *("case_id", "patient_id", "label", "image_T1", "image_T2", "mask_T1"),
    *("subtype", "sex", "age", "field_strength_t", "synthetic"),
)


@dataclass(frozen=True, slots=True)
class _Plan:
    """One case before it is drawn; equal keys give equal pictures, whatever the number of cases."""

    case_id: str
    subtype: str
    field_strength_t: float
    key: tuple[int, int, int]


def make_cohort(
    folder: Path,
    n_benign: int = 190,
    n_malignant: int = 55,
    seed: int = 0,
    on_case: Callable[[int, int], None] | None = None,
) -> Path:
    """Write a synthetic cohort of parotid tumours into a folder and return its `cohort.csv`.

    Each case has a T1 and a T2 DICOM series of different matrix, spacing and origin, and the lesion's mask on the
    T1 grid; `readers.csv` holds one simulated reader. `on_case` is called with the cases done and the cases to do.
    Equal seeds write equal pixels. Raises ValueError for negative numbers or no case at all.
    """
    plans = _plan(n_benign, n_malignant, seed)
    folder.mkdir(parents=True, exist_ok=True)
    rows, doubts = [], []
    for done, plan in enumerate(plans, start=1):
        rng = np.random.default_rng(plan.key)
        patient = draw_patient(plan.subtype, rng)
        rows.append(_write_case(folder, plan, patient, rng))
        doubts.append(_doubt(patient) + 0.5 * rng.standard_normal())
        if on_case is not None:
            on_case(done, len(plans))
    _write_table(folder / "readers.csv", ("case_id", "reader", "rating"), _ratings(plans, np.array(doubts)))
    _write_table(folder / "cohort.csv", COLUMNS, rows)
    return folder / "cohort.csv"


# --- which cases ---------------------------------------------------------------------------------------------------


def _plan(n_benign: int, n_malignant: int, seed: int) -> list[_Plan]:
    """The cases in random order, so that neither a name nor a place in the table betrays the class."""
    if min(n_benign, n_malignant) < 0 or n_benign + n_malignant == 0:
        raise ValueError("a cohort needs at least one case")
    drafts = []
    for malignant, n in ((False, n_benign), (True, n_malignant)):
        shares = {name: subtype.cases for name, subtype in SUBTYPES.items() if subtype.malignant == malignant}
        subtypes, strengths = _in_proportion(shares, n), _in_proportion(FIELD_STRENGTHS, n)
        drafts += [(*pair, (seed, int(malignant), k)) for k, pair in enumerate(zip(subtypes, strengths, strict=True))]
    order = np.random.default_rng(seed).permutation(len(drafts))
    return [_Plan(f"case{place:03d}", *drafts[index]) for place, index in enumerate(order, start=1)]


def _in_proportion(shares: Mapping[Key, int], n: int) -> list[Key]:
    """`n` keys of which every leading part is in proportion (Webster's method), exact where `n` is the shares' sum."""
    counts = dict.fromkeys(shares, 0)
    chosen = []
    for _ in range(n):
        key = max(shares, key=lambda name: shares[name] / (counts[name] + 0.5))
        counts[key] += 1
        chosen.append(key)
    return chosen


# --- one case ------------------------------------------------------------------------------------------------------


def _write_case(folder: Path, plan: _Plan, patient: Patient, rng: np.random.Generator) -> dict[str, object]:
    directions, stack = _directions(rng), _stack(rng)
    names = {sequence: f"{plan.case_id}/{sequence}" for sequence in ("T1", "T2")}
    for sequence in ("T1", "T2"):
        grid = _place_grid(patient, directions, stack, rng)
        image = draw_image(patient, sequence, grid)
        pixels = acquire(image, grid, *_scanner(plan.field_strength_t, rng), rng)
        tags = {"MagneticFieldStrength": f"{plan.field_strength_t:g}"}
        write_series(folder / names[sequence], pixels, grid.affine, f"SYNTHETIC {sequence} AXIAL", tags, str(plan.key))
        if sequence == "T1":
            _write_mask(folder / plan.case_id / "mask_T1.nii.gz", draw_mask(patient, grid), grid.affine)
    sex, age = _person(patient, rng)
    return {
        "case_id": plan.case_id,
        "patient_id": plan.case_id.replace("case", "patient"),
        "label": "malignant" if SUBTYPES[plan.subtype].malignant else "benign",
        "image_T1": names["T1"],
        "image_T2": names["T2"],
        "mask_T1": f"{plan.case_id}/mask_T1.nii.gz",
        "subtype": plan.subtype,
        "sex": sex,
        "age": age,
        "field_strength_t": f"{plan.field_strength_t:g}",
        "synthetic": "yes",
    }


def _directions(rng: np.random.Generator) -> NDArray[np.float64]:
    """Columns: the slice, row and column directions; a third of the patients are scanned slightly obliquely."""
    tilt = np.deg2rad(rng.uniform(-9, 9) if rng.random() < 1 / 3 else 0.0)
    turn = np.deg2rad(rng.normal(0, 1.5) if tilt else 0.0)
    about_x = np.array([[1, 0, 0], [0, np.cos(tilt), -np.sin(tilt)], [0, np.sin(tilt), np.cos(tilt)]])
    about_z = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]])
    return (about_x @ about_z)[:, ::-1]


def _stack(rng: np.random.Generator) -> tuple[int, float]:
    """A patient's number of slices and their distance in mm; thin slices come in greater number."""
    step = 1.1 * float(np.clip(4.5 * np.exp(0.3 * rng.standard_normal()), *THICKNESS_MM))
    slices = rng.choice(list(SLICES), p=list(SLICES.values()))
    return int(max(slices, min(np.ceil(SMALLEST_STACK_MM / step), max(SLICES)))), step


def _place_grid(
    patient: Patient, directions: NDArray[np.float64], stack: tuple[int, float], rng: np.random.Generator
) -> Grid:
    """Slices about the lesion whose field of view holds the head."""
    matrix = int(rng.choice(list(MATRICES), p=list(MATRICES.values())))
    slices, step = stack[0], stack[1] * rng.uniform(0.92, 1.08)
    pixel = (2 * max(patient.half_axes) + rng.uniform(15, 50)) / matrix
    spacing = np.array([step, pixel, pixel])
    middle = np.array([*rng.normal(0, 2, 2), 0.0])
    middle += directions[:, 0] * (directions[:, 0] @ (patient.lesion.centre - middle) + rng.normal(0, 0.1 * step))
    affine = np.eye(4)
    affine[:3, :3] = directions * spacing
    affine[:3, 3] = middle - affine[:3, :3] @ ((np.array([slices, matrix, matrix]) - 1) / 2)
    return Grid((slices, matrix, matrix), affine)


def _scanner(field_strength_t: float, rng: np.random.Generator) -> tuple[float, float, float]:
    """Gain, noise and shading: stronger fields are quieter and shade more."""
    gain = float(np.exp(rng.uniform(np.log(150), np.log(2500))))
    noise = 0.045 / np.sqrt(field_strength_t) * float(np.exp(0.25 * rng.standard_normal()))
    return gain, noise, 0.05 + 0.04 * field_strength_t


def _person(patient: Patient, rng: np.random.Generator) -> tuple[str, int]:
    """Sex and age, roughly as the subtype is met with: Warthin tumours in older men, adenomas in younger women."""
    typical = {"pleomorphic adenoma": (0.38, 46), "Warthin tumour": (0.85, 63)}
    men, years = typical.get(patient.lesion.subtype, (0.5, 57))
    return "M" if rng.random() < men else "F", int(np.clip(rng.normal(years, 13), 18, 90))


def _write_mask(path: Path, mask: NDArray[np.bool_], affine: Floats) -> None:
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    image = sitk.GetImageFromArray(mask.astype(np.uint8))
    image.SetSpacing([float(step) for step in spacing[::-1]])
    image.SetDirection([float(value) for value in (affine[:3, :3] / spacing)[:, ::-1].ravel()])
    image.SetOrigin([float(value) for value in affine[:3, 3]])
    sitk.WriteImage(image, str(path), True)


# --- the reader ----------------------------------------------------------------------------------------------------


def _doubt(patient: Patient) -> float:
    """How suspicious the lesion looks to a person: a blurred margin, a dark and mottled inside on T2."""
    looks = patient.lesion.looks
    return float(np.log(looks.blur_mm) - 2 * looks.t2 + 3 * looks.mottle)


def _ratings(plans: Sequence[_Plan], doubts: NDArray[np.float64]) -> list[dict[str, object]]:
    """The reader's ratings, 1 (definitely benign) to 5 (definitely malignant).

    Within each class the cases keep their order of doubt and take the quantiles of a normal distribution; the two
    distributions are READER_SEPARATION apart, so that the reader is as good in every cohort.
    """
    malignant = np.array([SUBTYPES[plan.subtype].malignant for plan in plans])
    latent = np.empty(len(plans))
    for side in (False, True):
        ranks = doubts[malignant == side].argsort().argsort()
        latent[malignant == side] = ndtri((ranks + 0.5) / max(len(ranks), 1)) + READER_SEPARATION * side
    limits = np.quantile(latent, np.cumsum(READER_SHARES)[:-1])
    ratings = 1 + np.searchsorted(limits, latent)
    return [
        {"case_id": plan.case_id, "reader": READER, "rating": int(rating)}
        for plan, rating in zip(plans, ratings, strict=True)
    ]


def _write_table(path: Path, columns: Sequence[str], rows: Sequence[Mapping[str, object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
