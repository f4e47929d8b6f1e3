"""Numbers on every lesion that another program measured, as PyRadiomics writes them, from a table of the user's."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from rarelesion.errors import InputError, Problem
from rarelesion.sheet import read_sheet
from rarelesion.types import FeatureTable

SKIPPED = "diagnostics_"
"""How the columns begin in which PyRadiomics tells of its own settings and versions."""
MOST_NAMED = 5


def read_feature_table(path: Path, case_ids: Sequence[str]) -> FeatureTable:
    """Read a table of features, CSV or Excel: a column `case_id`, all others numbers, `diagnostics_*` passed over.

    Gives the rows of `case_ids` in their order; rows of other cases are passed over. Raises InputError with all
    problems: no such table, no `case_id`, no feature, a case twice or missing, a cell that holds no finite number.
    """
    table = read_sheet(path)
    names = tuple(name for name in table.columns if name != "case_id" and not name.startswith(SKIPPED))
    if "case_id" not in table.columns or not names:
        found, expected = ", ".join(table.columns[:12]), "case_id and columns of numbers"
        raise InputError(Problem(table.name, "not a table of features", found, expected))
    rows: dict[str, Mapping[str, str]] = {}
    problems = []
    for row in table.rows:
        if row.cells["case_id"] in rows:
            remedy = "Give each lesion one row; features of several sequences stand side by side."
            problems.append(
                Problem(row.at("case_id"), "the case has a row already", row.cells["case_id"], remedy=remedy)
            )
        rows[row.cells["case_id"]] = row.cells
    if missing := [case_id for case_id in case_ids if case_id not in rows]:
        what = f"{len(missing)} of {len(case_ids)} cases have no row"
        problems.append(Problem(table.name, what, _named(missing), "a row for each case of the cohort"))
    known = {case_id: rows[case_id] for case_id in case_ids if case_id in rows}
    problems += number_problems(names, known, table.name)
    if problems:
        raise InputError(problems)
    return as_features(names, known)


def number_problems(names: Sequence[str], rows: Mapping[str, Mapping[str, str]], where: str) -> list[Problem]:
    """A problem for each column in which a case has an empty cell, text, or a number that is not finite."""
    problems = []
    for name in names:
        wrong = {case_id: cells.get(name, "") for case_id, cells in rows.items() if not _is_number(cells.get(name, ""))}
        if wrong:
            found = _named([f"{cell!r} of {case_id}" for case_id, cell in wrong.items()])
            remedy = (
                "Leave the column out." if len(wrong) == len(rows) else "Measure these again, or leave the column out."
            )
            what = f"{len(wrong)} of {len(rows)} cells are no finite number"
            problems.append(Problem(f"{where}:{name}", what, found, "a number in every row", remedy))
    return problems


def as_features(names: Sequence[str], rows: Mapping[str, Mapping[str, str]]) -> FeatureTable:
    """The numbers of cases whose cells are known to be numbers."""
    values = np.array([[float(cells[name]) for name in names] for cells in rows.values()], dtype=np.float64)
    return FeatureTable(np.array(list(rows), dtype=np.str_), tuple(names), values.reshape(len(rows), len(names)))


def _is_number(cell: str) -> bool:
    try:
        return math.isfinite(float(cell))
    except ValueError:
        return False


def _named(things: Sequence[str]) -> str:
    more = len(things) - MOST_NAMED
    return ", ".join(things[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
