"""Draw a cohort of the paper's size from a larger one: 151 training, 48 tuning cases, 22 % malignant, the rest as test.

    python benchmarks/small_draw.py COHORT.csv OUT_FOLDER --seed 0

writes OUT_FOLDER/cohort.csv with a `split` column, which a study obeys. One case a patient is assumed.
"""

import argparse
import csv
import os
from pathlib import Path

import numpy as np

SIZES = {"train": {"malignant": 33, "benign": 118}, "tune": {"malignant": 11, "benign": 37}}


def main() -> None:
    """Write the drawn cohort."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cohort", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    with arguments.cohort.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    parts = draw([row["label"] for row in rows], np.random.default_rng(arguments.seed))
    arguments.out.mkdir(parents=True, exist_ok=True)
    images = os.path.relpath(arguments.cohort.parent.resolve(), arguments.out.resolve())
    for row, part in zip(rows, parts, strict=True):
        row["split"] = part
        row |= {key: f"{images}/{value}" for key, value in row.items() if key.startswith(("image_", "mask_")) and value}
    with (arguments.out / "cohort.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def draw(labels: list[str], rng: np.random.Generator) -> list[str]:
    """The part of each case: so many of each class to train and to tune, all others to test."""
    parts = np.full(len(labels), "test ", dtype="U5")
    for label in ("malignant", "benign"):
        rows = rng.permutation([index for index, found in enumerate(labels) if found == label])
        for part in ("train", "tune"):
            taken, rows = np.split(rows, [SIZES[part][label]])
            parts[taken] = part
    return [part.strip() for part in parts.tolist()]


if __name__ == "__main__":
    main()
