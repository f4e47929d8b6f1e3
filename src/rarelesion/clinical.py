"""Columns of the cohort as numbers: what is known of a patient without a network, as age, sex and the lesion's size."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches

import numpy as np
from numpy.typing import NDArray

from rarelesion.errors import InputError, Problem

CLINICAL = ("age", "sex", "lesion_mm")
"""Columns `clinical` learns from where the settings name none. A scanner is no clinical fact: it may be named, and may
then be all that is learnt."""
DIAGNOSIS = ("subtype",)
"""Columns that say what histology found, which a case to be predicted does not know."""
RARE = 5
"""A word that fewer training cases have counts as one of the rare ones."""
SETTING = "features.clinical"

Cells = Mapping[str, str]
"""One case: column -> what stands in its cell."""


def choose_columns(wanted: Sequence[str], available: Sequence[str], needed: bool) -> tuple[str, ...]:
    """The columns that `clinical` learns from: those wanted, else the usual ones that are there.

    `available` are the cohort's columns. Raises InputError where one that was wanted is not there or names the
    diagnosis, and, if `needed`, where none is left; it lists the columns there are.
    """
    listed = ", ".join(name for name in available if name not in (*DIAGNOSIS, "synthetic")) or "no further column"
    problems = []
    for name in wanted:
        if name in DIAGNOSIS:
            remedy = "Leave it out: a case that is to be predicted has no histology yet."
            problems.append(Problem(SETTING, "names the diagnosis", repr(name), remedy=remedy))
        elif name not in available:
            near = get_close_matches(name, available, n=1)
            remedy = f"Did you mean {near[0]}?" if near else "Name columns of the cohort."
            problems.append(Problem(SETTING, "the cohort has no such column", repr(name), listed, remedy))
    if problems:
        raise InputError(problems)
    chosen = tuple(dict.fromkeys(wanted)) or tuple(name for name in CLINICAL if name in available)
    if needed and not chosen:
        remedy = 'Name them in study.toml: [features] clinical = ["..."], or leave the recipes with clinical out.'
        what = "the cohort has none of the usual clinical columns"
        raise InputError(Problem(SETTING, what, listed, " or ".join(CLINICAL), remedy))
    return chosen


def number_columns(columns: Sequence[str], rows: Iterable[Cells], where: str) -> frozenset[str]:
    """Which of the columns hold numbers, judged by all cases of a cohort; the others hold words.

    Raises InputError for a column that is nearly all numbers and not quite, with the cells that are none.
    """
    rows, numbers, problems = list(rows), set(), []
    for column in columns:
        cells = [cell for row in rows if (cell := row.get(column, "").strip())]
        odd = [cell for cell in cells if not is_number(cell)]
        if cells and not odd:
            numbers.add(column)
        elif len(odd) < len(cells) / 2:
            found = ", ".join(repr(cell) for cell in list(dict.fromkeys(odd))[:3])
            remedy = "Leave the cell empty where the number is not known; write 5.5, not 5,5 or 5 mm."
            problems.append(Problem(f"{where}:{column}", "some cells are no numbers", found, "numbers only", remedy))
    if problems:
        raise InputError(problems)
    return frozenset(numbers)


def is_number(cell: str) -> bool:
    """Whether a cell holds a finite number."""
    try:
        return bool(np.isfinite(float(cell)))
    except ValueError:
        return False


def check_new(columns: Sequence[str], numbers: frozenset[str], rows: Mapping[str, Cells], where: str) -> None:
    """InputError where a case to be predicted lacks a column, or has a word where a number belongs.

    An empty cell is allowed: it counts as it does in the study.
    """
    missing = [name for name in columns if any(name not in row for row in rows.values())]
    if missing:
        given = sorted({name for row in rows.values() for name in row}) or ["no further column"]
        remedy = "Give the case as a table with these columns; a cell may be empty where nothing is known."
        expected = ", ".join(columns)
        what = f"the recipe reads columns that are not given: {', '.join(missing)}"
        raise InputError(Problem(where, what, ", ".join(given), expected, remedy))
    wrong = [
        Problem(f"{where}: case {case_id}, {name}", "is no number", repr(row[name]), "a number, or an empty cell")
        for case_id, row in rows.items()
        for name in columns
        if name in numbers and row[name].strip() and not is_number(row[name])
    ]
    if wrong:
        raise InputError(wrong)


def fit_encoding(
    columns: Sequence[str], numbers: frozenset[str], rows: Sequence[Cells]
) -> Callable[[Sequence[Cells]], NDArray[np.float64]]:
    """Learn from training cases how cells become numbers; gives what maps m cases to (m, p).

    A number stays one, NaN where the cell is empty, with a second number that says so. A word becomes 1 in the place
    of its own; words that fewer than `RARE` training cases have, or none, share one place.
    """
    places: list[tuple[str, str | None]] = []
    common: dict[str, set[str]] = {}
    for column in columns:
        if column in numbers:
            places += [(column, None), (column, "")]
            continue
        counts = Counter(_word(row, column) for row in rows)
        common[column] = {word for word, times in counts.items() if times >= RARE}
        places += [(column, word) for word in sorted(common[column])] + [(column, "rare")]

    def value(row: Cells, column: str, word: str | None) -> float:
        cell = _word(row, column)
        if column in numbers:
            return float(not cell) if word == "" else float(cell) if cell else float("nan")
        if word == "rare":
            return float(cell not in common[column])
        return float(cell == word)

    return lambda asked: np.array([[value(row, *place) for place in places] for row in asked]).reshape(-1, len(places))


def _word(row: Cells, column: str) -> str:
    return row.get(column, "").strip().casefold()
