"""The patches of a cohort for other programs: one `.npz` with MedMNIST's keys, PNG files, and a list of both."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from rarelesion import store
from rarelesion.conversion import check_empty, write_png
from rarelesion.errors import InputError, Problem
from rarelesion.patches import load_patches
from rarelesion.settings import ImageSettings
from rarelesion.types import CLASSES, Cohort

THEIR_PART = {"train": "train", "tune": "val", "test": "test"}
COLUMNS = ("file", "part", "row", "case_id", "patient_id", "label")


def export_patches(
    cohort: Cohort, settings: ImageSettings, out: Path, on_case: Callable[[int, int], None] | None = None
) -> Path:
    """Write what the networks would see into a folder: `patches.npz`, `png/` and `manifest.csv`, which is returned.

    The archive holds arrays and no pickle: `images` (n, side, side, 3) in 8 bit, red, green, blue; `labels` (n, 1), 1
    malignant; `case_ids`. Where the cohort has a column `split` each of them is there for each part, as `train_images`,
    `val_images` (our tune) and `test_images`. `manifest.csv` has a row for each patch: its PNG, its part and row in the
    archive, and its case. 8 bit is coarser than what the networks here see. Raises InputError where a case has no
    patch, the scaling is one that splits learn, or the folder is not empty.
    """
    check_empty(out)
    if settings.scaling == "nyul":
        remedy = "Export them with another scaling."
        what = "this scale of greys is learned from the training cases of each split, which an export does not have"
        raise InputError(Problem("images.scaling", what, "nyul", remedy=remedy))
    patches = load_patches(cohort, settings, on_case)
    pictures = np.rint(np.clip(patches.pixels, 0, 1) * 255).astype(np.uint8).transpose(0, 2, 3, 1)
    # A case has as many patches as slices were asked for, one after the other.
    cases = [case for case in cohort.cases for _ in range(len(pictures) // len(cohort.cases))]
    parts = ["" if case.split is None else THEIR_PART[case.split] for case in cases]
    arrays, rows = {}, []
    for part in dict.fromkeys(parts):
        places = [place for place, own in enumerate(parts) if own == part]
        start = f"{part}_" if part else ""
        arrays[f"{start}images"] = pictures[places]
        arrays[f"{start}labels"] = np.array([[cases[place].label] for place in places], dtype=np.uint8)
        arrays[f"{start}case_ids"] = np.array([cases[place].case_id for place in places], dtype=np.str_)
        numbered = [(f"png/{place:06d}.png", part, row, cases[place]) for row, place in enumerate(places)]
        rows += [(*first, case.case_id, case.patient_id, CLASSES[case.label]) for *first, case in numbered]
    (out / "png").mkdir(parents=True)
    for place, picture in enumerate(pictures):
        write_png(out / f"png/{place:06d}.png", picture)
    with store.replacing(out / "patches.npz") as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)
    store.write_text(out / "manifest.csv", store.csv_text(COLUMNS, rows))
    return out / "manifest.csv"
