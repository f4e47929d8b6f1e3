"""The tables of an import that people read and fill in: series.csv, left_out.csv and roles.csv."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from difflib import get_close_matches
from io import StringIO
from pathlib import Path

from rarelesion import store
from rarelesion.errors import InputError, Problem
from rarelesion.roles import ROLES
from rarelesion.series import LeftOut, Series
from rarelesion.sheet import Row, read_sheet

SERIES_COLUMNS = tuple(field.name for field in fields(Series))
LEFT_OUT_COLUMNS = ("file", "folder", "code", "reason", "remedy")
ROLE_COLUMNS = ("series", "patient", "study_day", "proposed", "confidence", "role")
LIST_SEPARATOR = "; "


def write_series_table(path: Path, series: Sequence[Series]) -> None:
    """Write series.csv: one row a series, a column for each field of Series."""
    _write(path, SERIES_COLUMNS, ([_cell(getattr(row, name)) for name in SERIES_COLUMNS] for row in series))


def write_left_out_table(path: Path, rows: Sequence[LeftOut]) -> None:
    """Write left_out.csv: one row a file that is not used, with the reason and what can be done."""
    _write(path, LEFT_OUT_COLUMNS, ([getattr(row, name) for name in LEFT_OUT_COLUMNS] for row in rows))


def write_roles(path: Path, series: Sequence[Series], chosen: Mapping[str, str]) -> None:
    """Write roles.csv for a person to correct: `chosen` (series -> role) stands in `role`, else the proposal."""
    lines = (
        (row.series, row.patient, _cell(row.day), row.role, _cell(row.confidence), chosen.get(row.series, row.role))
        for row in series
    )
    _write(path, ROLE_COLUMNS, lines)


def read_roles(path: Path, series: Sequence[Series]) -> dict[str, str]:
    """The roles a person has changed in roles.csv: series -> role, only where it is another than the one proposed then.

    Roles may be written in small letters; an empty cell is no choice. Rows of series that have gone from the archive
    are passed over where nobody changed them. Raises InputError with every other unknown series, unknown role and
    series named twice, each with its row.
    """
    sheet = read_sheet(path)
    missing = [name for name in ("series", "role") if name not in sheet.columns]
    if missing:
        found = f"{sheet.name}:1"
        raise InputError(
            [Problem(found, f"there is no column {name!r}", remedy="Keep the header.") for name in missing]
        )
    known, chosen = {row.series for row in series}, {}
    problems: list[Problem] = []
    seen: dict[str, Row] = {}
    for row in sheet.rows:
        name, role = row.cells["series"], _role(row.cells["role"])
        if name not in known:
            if not _is_untouched(row, role):
                problems.append(_unknown_series(row, name, known))
        elif name in seen:
            problems.append(Problem(row.at("series"), f"{name} stands in row {seen[name].number} already"))
        elif role is None:
            problems.append(_unknown_role(row))
        elif role and not _is_untouched(row, role):
            chosen[name] = role
        seen.setdefault(name, row)
    if problems:
        raise InputError(problems)
    return chosen


def _is_untouched(row: Row, role: str | None) -> bool:
    """Whether the role is the one that was proposed."""
    return bool(role) and role == _role(row.cells.get("proposed", ""))


def _role(text: str) -> str | None:
    """The role as ROLES spells it, "" for an empty cell, None for an unknown one."""
    return {role.casefold(): role for role in ("", *ROLES)}.get(text.casefold())


def _unknown_series(row: Row, name: str, known: set[str]) -> Problem:
    near = get_close_matches(name, known, n=1, cutoff=0.8)
    remedy = f"Did you mean {near[0]}?" if near else "Remove the row, or write the table anew."
    return Problem(row.at("series"), "there is no such series in the index", remedy=remedy)


def _unknown_role(row: Row) -> Problem:
    return Problem(row.at("role"), "an unknown role", expected=", ".join(ROLES), remedy="Choose one of these.")


def _cell(value: object) -> str:
    if isinstance(value, tuple):
        return LIST_SEPARATOR.join(value)
    if isinstance(value, float):
        return f"{value:.6g}"
    return "" if value is None else str(value)


def _write(path: Path, columns: Sequence[str], lines: Iterable[Sequence[str]]) -> None:
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(lines)
    store.write_text(path, text.getvalue())
