"""What every conversion to a cohort needs: which class a label is, named by the user, and the table that is written."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rarelesion import store
from rarelesion.errors import InputError, Problem
from rarelesion.png import encode

POSITIVE, NEGATIVE = "malignant", "benign"
"""The words of a converted cohort, whatever they were before."""


@dataclass(frozen=True, slots=True)
class Converted:
    """A cohort that was made from something else."""

    cohort: Path
    """The `cohort.csv`."""
    cases: int
    positive: int
    """How many of them are malignant."""
    left_out: tuple[tuple[str, str], ...]
    """What is not in it, and why."""
    notes: tuple[str, ...]
    """What to know of it before it is used."""


def class_of(labels: Sequence[str], positive: Sequence[str], negative: Sequence[str], where: str) -> dict[str, str]:
    """Which of the cohort's two words stands for each label that is one; labels in neither list are left out.

    `positive` and `negative` are the user's: no class is ever guessed. Where there are two labels, the negative is the
    other one. Raises InputError, with the labels found and how often, where the positive is not named or not
    there, where a label is in both, and where more than two leave it open which are negative.
    """
    counts = Counter(labels)
    found = ", ".join(f"{label!r} ({times})" for label, times in sorted(counts.items()))
    others = tuple(label for label in counts if label not in positive)
    remedy = "Name it with --positive: it is never guessed, as data sets number their classes either way."
    if not positive:
        raise InputError(Problem(where, "which label is the positive (malignant) class?", found, remedy=remedy))
    if not negative and len(others) == 1:
        negative = others
    strange = [label for label in (*positive, *negative) if label not in counts]
    if strange:
        named = ", ".join(map(repr, strange))
        raise InputError(Problem(where, f"no case has the label {named}", found, remedy="Check the spelling."))
    if both := sorted(set(positive) & set(negative)):
        raise InputError(Problem(where, f"{', '.join(map(repr, both))} is named as both classes", found))
    if not negative:
        what = "which labels are the negative (benign) class?"
        raise InputError(Problem(where, what, found, remedy="Name them with --negative; others are left out."))
    return dict.fromkeys(positive, POSITIVE) | dict.fromkeys(negative, NEGATIVE)


def write_table(out: Path, columns: Sequence[str], rows: Sequence[Mapping[str, str]]) -> Path:
    """Write `cohort.csv` into a folder and return it; InputError where no row is left or one class is missing."""
    path = out / "cohort.csv"
    classes = {row["label"] for row in rows}
    if classes != {POSITIVE, NEGATIVE}:
        remedy = "See what was left out, and name the labels with --positive and --negative."
        found = f"{len(rows)} cases, {', '.join(sorted(classes)) or 'none of either class'}"
        raise InputError(Problem(path.name, "a cohort needs cases of both classes", found, remedy=remedy))
    store.write_text(path, store.csv_text(columns, [[row.get(column, "") for column in columns] for row in rows]))
    return path


def write_png(path: Path, pixels: NDArray[np.uint8]) -> None:
    """Write a picture of 8 bit, (rows, columns) grey or (rows, columns, 3); InputError where the disk refuses."""
    try:
        path.write_bytes(encode(pixels))
    except OSError as error:
        remedy = "Free some space, remove what was written, and give the same command again."
        raise InputError(Problem(str(path), f"cannot be written: {error.strerror}", remedy=remedy)) from None


def check_empty(out: Path) -> None:
    """InputError where there is already something in the folder that is to be filled."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(Problem(str(out), "is not an empty folder", remedy="Name a new folder with --out."))
