"""A table as a spreadsheet holds it, CSV or Excel: cells as text, each with the row and column a person sees."""

import csv
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import openpyxl

from rarelesion.errors import InputError, Problem


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table, numbered as a spreadsheet numbers it: the header is row 1."""

    sheet: str
    number: int
    cells: Mapping[str, str]

    def at(self, column: str) -> str:
        """The place of one of its cells, as `cohort.csv:12:label`."""
        return f"{self.sheet}:{self.number}:{column}"


@dataclass(frozen=True, slots=True)
class Sheet:
    """A header with its rows; a row has a cell, possibly empty, in every column."""

    name: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]


def read_sheet(path: Path) -> Sheet:
    """Read a CSV table (UTF-8; comma, semicolon or tab) or the first sheet of an Excel workbook that is not hidden.

    Blank lines are skipped and still counted. Raises InputError where it is no table: not there, not UTF-8 text,
    empty, no rows, a column without a name or with the name of another, a row longer than the header.
    """
    if path.is_dir():
        raise InputError(Problem(str(path), "is a folder", "", "a table, .csv or .xlsx", "Name the table in it."))
    if not path.is_file():
        hint = near_names(path.name, path.parent)
        raise InputError(Problem(str(path), "there is no such file", remedy=hint or "Check the path."))
    records = list(_excel_records(path) if path.suffix.lower() in (".xlsx", ".xlsm") else _csv_records(path))
    filled = [(number, cells) for number, cells in enumerate(records, start=1) if any(cells)]
    if not filled:
        raise InputError(Problem(path.name, "the table is empty", remedy="Give a header row and one row a case."))
    (_, columns), *lines = filled
    while columns and not columns[-1]:
        columns.pop()
    _check_shape(path.name, columns, lines)
    rows = tuple(Row(path.name, number, dict(_pad(columns, cells))) for number, cells in lines)
    if not rows:
        remedy = "Give one row a case; of a workbook the first sheet is read."
        raise InputError(Problem(path.name, "the table has a header and no rows", remedy=remedy))
    return Sheet(path.name, tuple(columns), rows)


def _csv_records(path: Path) -> Iterator[list[str]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        remedy = "In Excel choose 'Save as' and 'CSV UTF-8', or save as .xlsx."
        raise InputError(Problem(path.name, "not a table in UTF-8 text", remedy=remedy)) from error
    lines = text.splitlines(keepends=True)
    told = lines[0][4:5] if lines and lines[0].lower().startswith("sep=") else ""  # which tells Excel the separator
    if told:
        lines[0] = "\n"
    header = next((line for line in lines if line.strip()), "")
    delimiter = told if told in (",", ";", "\t") else max(",;\t", key=header.count)
    try:
        for record in csv.reader(lines, delimiter=delimiter, strict=True):
            yield [cell.strip() for cell in record]
    except csv.Error as error:
        raise InputError(Problem(path.name, f"not a table: {error}", remedy="Check the quotes in the file.")) from error


def _excel_records(path: Path) -> Iterator[list[str]]:
    try:
        with warnings.catch_warnings():
            # openpyxl warns of styles and drop-down lists it does not keep: no business of a reader of values.
            warnings.simplefilter("ignore")
            workbook = openpyxl.load_workbook(path, read_only=True, data_only=True)
            sheets = workbook.worksheets
            sheet = next((each for each in sheets if each.sheet_state == "visible"), sheets[0])
            sheet.reset_dimensions()  # some programs write that the sheet has one cell
            records = [list(record) for record in sheet.iter_rows(values_only=True)]
            workbook.close()
    except Exception as error:  # openpyxl lets errors of zip, XML and its own through
        remedy = "Save the table as .xlsx or as CSV UTF-8 again."
        raise InputError(Problem(path.name, "not an Excel workbook that can be read", remedy=remedy)) from error
    for record in records:
        yield [_cell_text(value) for value in record]


def _cell_text(value: object) -> str:
    """A spreadsheet's cell as it looks: 7.0 is 7."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return "" if value is None else str(value).strip()


def _check_shape(name: str, columns: list[str], lines: list[tuple[int, list[str]]]) -> None:
    problems = [
        Problem(
            f"{name}:1:{column or '(empty)'}", "two columns have the same name" if column else "a column has no name"
        )
        for column, times in Counter(columns).items()
        if times > 1 or not column
    ]
    longer = [(number, cells) for number, cells in lines if any(cells[len(columns) :])]
    if len(longer) > max(1, len(lines) / 2):  # a title, or cells that were merged
        remedy = "Remove the lines above the header; it needs a name for each column."
        found = f"{len(columns)} cells, and {len(longer)} rows with more"
        raise InputError([*problems, Problem(f"{name}:1", "the first line is no header", found, remedy=remedy)])
    problems += [
        Problem(
            f"{name}:{number}:{len(columns) + 1}",
            "the row has more cells than the header",
            remedy="Quote a cell that holds the separator.",
        )
        for number, _ in longer
    ]
    if problems:
        raise InputError(problems)


def _pad(columns: list[str], cells: list[str]) -> Iterator[tuple[str, str]]:
    for index, column in enumerate(columns):
        yield column, cells[index] if index < len(cells) else ""


def near_names(name: str, folder: Path) -> str:
    """A sentence with the names in the folder that look like the one that is not there, empty if none does."""
    if not folder.is_dir():
        return f"There is no folder {folder.name!r} either." if folder.name else ""
    names = {item.name.casefold(): item.name for item in folder.iterdir()}
    near = get_close_matches(name.casefold(), names, n=3, cutoff=0.8)
    return f"Did you mean {' or '.join(names[match] for match in near)}?" if near else ""
