"""The hospital's table of diagnoses: who has what, and where the lesion is marked.

The table is read row by row as people keep it: rows that cannot become cases are listed with the reason, and the rest
goes on. Nothing that could identify a patient leaves this module: a row is named by its number, a patient by pseudonym.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from rarelesion.cohort import BOX_FORMAT, parse_box
from rarelesion.errors import InputError, Problem
from rarelesion.identifying import MOST_WORDS, why_not_to_copy
from rarelesion.import_settings import ImportSettings
from rarelesion.pseudonyms import pseudonym
from rarelesion.sheet import Row, Sheet, read_sheet
from rarelesion.types import Roi

LONGEST_NUMBER = 16
"""Digits of a hospital's number, leading zeros among them, which spreadsheets drop."""
OWN_COLUMNS = ("case_id", "patient_id", "label", "split", "roi")


@dataclass(frozen=True, eq=False, slots=True)
class Diagnosis:
    """One row: a lesion, or a patient with one lesion."""

    row: int
    """Its number in the table, as a spreadsheet counts: the header is row 1."""
    patient: str
    """Pseudonym."""
    label: int
    """0 benign, 1 malignant."""
    lesion: str
    """Number or name of the lesion in its mask; empty where the table does not say."""
    mark: Path | None
    """The mask's file, where the table names one."""
    boxes: Mapping[str, Roi]
    """Sequence -> box."""
    ball: tuple[tuple[float, float, float], float] | None
    """A point in patient mm (x to the left, y to the back, z to the head) and a diameter in mm."""
    study: str
    """Pseudonym of the study meant; empty where any will do."""
    columns: Mapping[str, str]
    """What the settings keep."""


@dataclass(frozen=True, slots=True)
class Aside:
    """A row of the table, or a patient of the archive, that does not become a case, and why."""

    row: int | None
    patient: str
    code: str
    reason: str
    remedy: str


def read_diagnoses(
    path: Path, key: bytes, patients: Set[str], settings: ImportSettings
) -> tuple[tuple[Diagnosis, ...], tuple[Aside, ...]]:
    """Read the table (CSV or Excel) and say which rows cannot become cases.

    Columns: the settings' `patient_column` and `label_column`; optional are `lesion` (number or name of the lesion in
    its mask), `roi` (the mask's file, relative to the table), `point_mm` ("x y z") with `diameter_mm`, `box_<sequence>`
    and `study` (as series.csv names it). `patients` are the pseudonyms known from the archive: a hospital's number that
    lost its leading zeros, or is written in other case, finds its patient where only one fits.
    Raises InputError with all problems that concern the table as a whole: missing columns, no label that is one of the
    two words, columns to keep that name people or days, cells that cannot be read.
    """
    table = read_sheet(path)
    problems = list(_table_problems(table, settings))
    if problems:
        raise InputError(problems)
    diagnoses, asides = [], []
    for row in table.rows:
        patient = patient_of(row.cells[settings.patient_column], key, patients)
        aside = _aside(row, patient, patients, settings)
        if aside is not None:
            asides.append(aside)
            continue
        try:
            diagnoses.append(_diagnosis(path.parent, row, patient, settings))
        except InputError as error:
            problems += error.problems
    problems += _inside_out(diagnoses, table)
    if problems:
        raise InputError(problems)
    return tuple(diagnoses), tuple(asides)


def _table_problems(table: Sheet, settings: ImportSettings) -> Iterator[Problem]:
    wanted = {"patient_column": settings.patient_column, "label_column": settings.label_column}
    missing = {name: column for name, column in wanted.items() if column not in table.columns}
    for name, column in missing.items():
        near = get_close_matches(column, table.columns, n=1) or ["NAME"]
        remedy = f"Name the table's column: --{name.replace('_', '-')} '{near[0]}'."
        yield Problem(f"{table.name}:1:{column}", "a column is missing", ", ".join(table.columns), column, remedy)
    for column in settings.keep:
        if column not in table.columns:
            yield Problem(f"{table.name}:1:{column}", "there is no such column to keep", ", ".join(table.columns))
        elif column in (*OWN_COLUMNS, *wanted.values()) or column.startswith(("image_", "mask_", "box_")):
            yield Problem(f"{table.name}:1:{column}", "this column is never copied", remedy="Take it out of --keep.")
        elif reason := why_not_to_copy(column, [row.cells[column] for row in table.rows]):
            remedy = "Keep groups and numbers, such as sex, age or subtype; give intervals in place of dates."
            yield Problem(f"{table.name}:1:{column}", f"the column may identify patients: {reason}", remedy=remedy)
    if not missing:
        yield from _label_problems(table, settings)


def _words(settings: ImportSettings) -> tuple[str, str]:
    return _plain(settings.negative), _plain(settings.positive)


def _plain(word: str) -> str:
    """However its capitals and the dots of its umlauts are written."""
    return unicodedata.normalize("NFC", word).strip().casefold()


def _label_problems(table: Sheet, settings: ImportSettings) -> Iterator[Problem]:
    where = f"{table.name}:1:{settings.label_column}"
    negative, positive = _words(settings)
    if negative == positive:
        yield Problem(where, "one word for both classes", repr(settings.positive), "two words")
        return
    words = Counter(row.cells[settings.label_column] for row in table.rows)
    counts = Counter(dict.fromkeys((negative, positive), 0))
    for word, times in words.items():
        if _plain(word) in counts:
            counts[_plain(word)] += times
    absent = [name for name, word in (("positive", positive), ("negative", negative)) if not counts[word]]
    if absent:
        entries = [word for word in words if word]
        # A column of names must not be repeated, and one of few words is what the user needs to see.
        few = len(entries) <= min(MOST_WORDS, len(table.rows) / 2)
        shown = ", ".join(f"{word} ({words[word]})" for word in entries) if few else ""
        found = shown or f"{len(entries)} different words"
        remedy = "Name the words for the two classes: --positive WORD --negative WORD. They are never guessed."
        expected = f"{settings.positive} and {settings.negative}"
        yield Problem(where, f"no row has the {' nor the '.join(absent)} word", found, expected, remedy)


def patient_of(number: str, key: bytes, patients: Set[str]) -> str:
    """The pseudonym; of a number that is unknown as it stands, that of the one way to write it that is known."""
    exact = pseudonym(key, "patient", number)
    if exact in patients or not number:
        return exact
    number = re.sub(r"^(\d+)\.0+$", r"\1", number)  # as programs write that took it for a measurement
    bare = number.lstrip("0") or "0"
    ways = {number, number.upper(), number.lower(), bare}
    if number.isdigit():
        ways |= {bare.zfill(length) for length in range(len(bare), LONGEST_NUMBER + 1)}
    known = {name for name in (pseudonym(key, "patient", way) for way in ways) if name in patients}
    return known.pop() if len(known) == 1 else exact


def _aside(row: Row, patient: str, patients: Set[str], settings: ImportSettings) -> Aside | None:
    if not row.cells[settings.patient_column]:
        return Aside(row.number, "", "no-patient", "the row has no patient", "Fill in the hospital's number.")
    if not row.cells[settings.label_column]:
        return Aside(row.number, patient, "no-label", "the row has no label", "Fill in the diagnosis.")
    if _plain(row.cells[settings.label_column]) not in _words(settings):
        reason = f"the label is neither {settings.positive!r} nor {settings.negative!r}"
        return Aside(row.number, patient, "other-label", reason, "Nothing, if the case does not belong to the study.")
    if patient not in patients:
        remedy = "Compare the number with Patient ID in a DICOM viewer; export the examination."
        return Aside(row.number, patient, "no-dicom", "there is no DICOM of this patient", remedy)
    return None


def _diagnosis(folder: Path, row: Row, patient: str, settings: ImportSettings) -> Diagnosis:
    cells, problems = row.cells, []
    mark = folder / cells["roi"].replace("\\", "/") if cells.get("roi") else None
    if mark is not None and not mark.is_file():
        # The file's name may hold the patient's.
        problems.append(Problem(row.at("roi"), "there is no such file", remedy="Paths are relative to the table."))
    boxes: dict[str, Roi] = {}
    for column, text in cells.items():
        if column.startswith("box_") and text:
            try:
                boxes[column.removeprefix("box_")] = parse_box(text)
            except ValueError as error:
                problems.append(Problem(row.at(column), f"the box cannot be used, {error}", text, BOX_FORMAT))
    for sequence in boxes.keys() - set(settings.sequences):
        expected = ", ".join(settings.sequences)
        problems.append(Problem(row.at(f"box_{sequence}"), "a box on a sequence that is not used", sequence, expected))
    ball = _ball(row, problems)
    if problems:
        raise InputError(problems)
    return Diagnosis(
        row=row.number,
        patient=patient,
        label=int(_plain(cells[settings.label_column]) == _words(settings)[1]),
        lesion=cells.get("lesion", ""),
        mark=mark,
        boxes=boxes,
        ball=ball,
        study=cells.get("study", ""),
        columns={column: cells[column] for column in settings.keep},
    )


def _ball(row: Row, problems: list[Problem]) -> tuple[tuple[float, float, float], float] | None:
    point, diameter = row.cells.get("point_mm", ""), row.cells.get("diameter_mm", "")
    if not point:
        return None
    try:
        x, y, z = (float(word.strip(",;").replace(",", ".")) for word in point.split())
        size = float(diameter.replace(",", "."))
        if not 0 < size < 1000:
            raise ValueError
    except ValueError:
        expected = 'three numbers in mm, "x y z" (left, back, head), and a diameter_mm above 0'
        problems.append(Problem(row.at("point_mm"), "the point or its diameter cannot be read", expected=expected))
        return None
    return (x, y, z), size


def _inside_out(diagnoses: list[Diagnosis], table: Sheet) -> Iterator[Problem]:
    """Rows of one patient that cannot be told apart."""
    seen: dict[tuple[object, ...], Diagnosis] = {}
    for one in diagnoses:
        where = (one.patient, one.lesion, one.mark, one.ball, tuple(sorted(map(str, one.boxes.items()))), one.study)
        first = seen.setdefault(where, one)
        if first is not one:
            remedy = "Remove one; or tell lesions apart by `lesion`, the number or name in the mask."
            what = f"the same lesion as in row {first.row}{' with the other label' * (first.label != one.label)}"
            yield Problem(f"{table.name}:{one.row}", what, f"patient {one.patient}", "one row a lesion", remedy)
