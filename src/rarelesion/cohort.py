"""The table of cases and the table of readers' ratings, read with every problem reported at once."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path, PureWindowsPath

from rarelesion.errors import InputError, Problem
from rarelesion.settings import CohortSettings
from rarelesion.sheet import Row, Sheet, near_names, read_sheet
from rarelesion.types import PARTS, Case, Cohort, Part, Rating, Roi

UNKNOWN_LABEL = -1
"""The label of a case that is to be predicted and whose histology nobody has given."""
MOST_HINTS = 10
BOX_FORMAT = "row0 col0 row1 col1, for a volume slice row0 col0 row1 col1; whole numbers, row1 and col1 exclusive"


@dataclass(slots=True)
class _Reading:
    """What is known while a cohort is read: its folder and the problems so far."""

    folder: Path
    problems: list[Problem] = field(default_factory=list)
    looked_up: int = 0

    def add(self, where: str, what: str, found: str = "", expected: str = "", remedy: str = "") -> None:
        self.problems.append(Problem(where, what, found, expected, remedy))

    def near(self, path: Path) -> str:
        """A hint at the right name; for the first few only, because it takes long and the rest will be alike."""
        self.looked_up += 1
        return near_names(path.name, path.parent) if self.looked_up <= MOST_HINTS else ""

    def stop_if_any(self) -> None:
        if self.problems:
            raise InputError(self.problems)


def read_cohort(path: Path, settings: CohortSettings) -> Cohort:
    """Read the cases of a study from `cohort.csv` (comma or semicolon) or an Excel sheet.

    One row a case: `case_id, patient_id, label, image_<sequence>`, for at least one sequence `mask_<sequence>` or
    `box_<sequence>`, optionally `split`; every other column is kept as text. Paths are relative to the table.
    Raises InputError with all problems, each placed as `cohort.csv:ROW:COLUMN`.
    """
    table = read_sheet(path)
    reading = _Reading(path.parent)
    required = ("case_id", "patient_id", "label")
    sequences = _check_columns(table, required, reading)
    reading.stop_if_any()
    _check_filled(table, required, reading)
    _check_unique(table, reading)
    _check_labels(table, settings, reading)
    _check_patients(table, settings, reading)
    _check_split(table, reading)
    cases = [_case(row, sequences, _label(row, settings), reading) for row in table.rows]
    reading.stop_if_any()
    return Cohort(path, tuple(cases), sequences)


def read_leniently(path: Path, settings: CohortSettings) -> tuple[Cohort, tuple[Problem, ...], Sheet]:
    """Read what can be read of a cohort, for a check: its usable cases, what is wrong with the others, and the table.

    A case whose label is none of the two classes is kept with `UNKNOWN_LABEL`; a patient in both classes is no problem
    here. Raises InputError where there is no table, or a column is missing.
    """
    table = read_sheet(path)
    reading = _Reading(path.parent)
    required = ("case_id", "patient_id", "label")
    sequences = _check_columns(table, required, reading)
    reading.stop_if_any()
    _check_filled(table, required, reading)
    _check_unique(table, reading)
    _check_labels(table, settings, reading)
    _check_split(table, reading)
    cases: dict[str, Case] = {}
    for row in table.rows:
        before = len(reading.problems)
        known = row.cells["label"].casefold() in _words(settings)
        case = _case(row, sequences, _label(row, settings) if known else UNKNOWN_LABEL, reading)
        if len(reading.problems) == before and case.case_id and row.cells["patient_id"]:
            cases.setdefault(case.case_id, case)
    return Cohort(path, tuple(cases.values()), sequences), tuple(reading.problems), table


def read_new_cases(path: Path, settings: CohortSettings) -> Cohort:
    """Read cases that are to be predicted: one row is enough, one class too, and the label may be missing.

    A missing `patient_id` is the case id, a missing `label` is `UNKNOWN_LABEL`. Raises InputError like `read_cohort`.
    """
    table = read_sheet(path)
    reading = _Reading(path.parent)
    sequences = _check_columns(table, ("case_id",), reading)
    reading.stop_if_any()
    _check_filled(table, ("case_id",), reading)
    _check_unique(table, reading)
    cases = []
    for row in table.rows:
        known = bool(row.cells.get("label"))
        if known:
            _check_word(row, settings, reading)
        cases.append(_case(row, sequences, _label(row, settings) if known else UNKNOWN_LABEL, reading))
    reading.stop_if_any()
    return Cohort(path, tuple(cases), sequences)


def make_case(case_id: str, images: Mapping[str, Path], masks: Mapping[str, Path], boxes: Mapping[str, str]) -> Case:
    """One case to be predicted, from its image files and where the lesion is, without a table.

    `boxes` are texts as in `box_<sequence>`. Raises InputError where a file is missing, a box is malformed, or the
    lesion is marked on no image.
    """
    cells = {f"image_{sequence}": str(file.absolute()) for sequence, file in images.items()}
    cells |= {f"mask_{sequence}": str(file.absolute()) for sequence, file in masks.items()}
    cells |= {f"box_{sequence}": box for sequence, box in boxes.items()}
    table = Sheet(case_id, ("case_id", *cells), (Row(case_id, 1, {"case_id": case_id, **cells}),))
    reading = _Reading(Path())
    sequences = _check_columns(table, ("case_id",), reading)
    reading.stop_if_any()
    case = _case(table.rows[0], sequences, UNKNOWN_LABEL, reading)
    reading.stop_if_any()
    return case


def read_ratings(path: Path, cohort: Cohort) -> tuple[Rating, ...]:
    """Read what human readers said of the cases: `case_id, reader, rating`, a higher rating is more suspicious.

    Raises InputError with all problems: a case the cohort does not have, a rating that is not a number, a reader
    who rates a case twice, a missing column or an empty cell.
    """
    table = read_sheet(path)
    reading = _Reading(path.parent)
    required = ("case_id", "reader", "rating")
    _check_required(table, required, reading)
    reading.stop_if_any()
    _check_filled(table, required, reading)
    known = {case.case_id for case in cohort.cases}
    seen: dict[tuple[str, str], int] = {}
    for row in table.rows:
        if all(row.cells[column] for column in required):
            _check_rating(row, known, seen, reading)
    reading.stop_if_any()
    return tuple(Rating(row.cells["case_id"], row.cells["reader"], float(row.cells["rating"])) for row in table.rows)


def parse_box(text: str) -> Roi:
    """Read "row0 col0 row1 col1", half-open and in pixels, for volumes with a leading slice index.

    Raises ValueError saying what is wrong.
    """
    words = text.split()
    if len(words) not in (4, 5) or not all(word.lstrip("-").isdecimal() for word in words):
        raise ValueError("not four (for a volume five) whole numbers")
    *first, row0, col0, row1, col1 = (int(word) for word in words)
    if min(row0, col0, *first) < 0:
        raise ValueError("a number is negative")
    if row1 <= row0 or col1 <= col0:
        raise ValueError("the box is empty: row1 must be above row0 and col1 above col0")
    return Roi(box=(row0, col0, row1, col1), slice_index=first[0] if first else None)


def _check_required(table: Sheet, required: Iterable[str], reading: _Reading) -> None:
    """Missing columns stop the reading; empty cells are found together with all else."""
    for column in required:
        if column not in table.columns:
            remedy = "Repeat case_id there if each patient has one lesion." if column == "patient_id" else ""
            near = get_close_matches(column, table.columns, n=1)
            remedy = remedy or (f"Rename the column {near[0]!r}?" if near else "Add the column.")
            reading.add(f"{table.name}:1:{column}", "a column is missing", ", ".join(table.columns), column, remedy)


def _check_filled(table: Sheet, required: Iterable[str], reading: _Reading) -> None:
    for column in required:
        for row in table.rows:
            if not row.cells[column]:
                reading.add(row.at(column), "the cell is empty", remedy=f"Give every row a {column}.")


def _check_columns(table: Sheet, required: Iterable[str], reading: _Reading) -> tuple[str, ...]:
    """The sequences of the table, in its column order."""
    _check_required(table, required, reading)
    sequences = tuple(column.removeprefix("image_") for column in table.columns if column.startswith("image_"))
    if not sequences or "" in sequences:
        expected = "image_<sequence>, as image_T1"
        reading.add(f"{table.name}:1:image_", "no column names the images", ", ".join(table.columns), expected)
    for column in table.columns:
        kind, _, sequence = column.partition("_")
        if kind in ("mask", "box") and sequence not in sequences:
            remedy = "Name it after one of the images, or give its image too."
            reading.add(
                f"{table.name}:1:{column}", "no image column of this sequence", sequence, ", ".join(sequences), remedy
            )
    return sequences


def _check_unique(table: Sheet, reading: _Reading) -> None:
    first: dict[str, int] = {}
    for row in table.rows:
        case_id = row.cells["case_id"]
        if case_id and first.setdefault(case_id, row.number) != row.number:
            remedy = "Give each lesion an id of its own; lesions of one patient share the patient_id."
            reading.add(row.at("case_id"), f"the case id is also in row {first[case_id]}", case_id, remedy=remedy)


def _words(settings: CohortSettings) -> tuple[str, str]:
    return settings.negative.strip().casefold(), settings.positive.strip().casefold()


def _label(row: Row, settings: CohortSettings) -> int:
    return int(row.cells["label"].casefold() == _words(settings)[1])


def _check_word(row: Row, settings: CohortSettings, reading: _Reading) -> None:
    if row.cells["label"] and row.cells["label"].casefold() not in _words(settings):
        remedy = "Name the cohort's words in study.toml, table [cohort]: positive = (malignant), negative = (benign)."
        expected = f"{settings.negative} or {settings.positive}"
        reading.add(row.at("label"), "the label is not one of the two classes", row.cells["label"], expected, remedy)


def _check_labels(table: Sheet, settings: CohortSettings, reading: _Reading) -> None:
    words = Counter(row.cells["label"] for row in table.rows if row.cells["label"])
    known = {word.casefold() for word in words} & set(_words(settings))
    found = ", ".join(f"{word} ({times} rows)" for word, times in sorted(words.items()))
    where, remedy = f"{table.name}:1:label", "Name the cohort's words in study.toml: [cohort] positive=, negative=."
    if not known:
        # One sentence rather than one for each row: here the words differ, not the rows.
        expected = f"{settings.negative} and {settings.positive}"
        reading.add(where, "no label is one of the two classes", found, expected, remedy)
        return
    for row in table.rows:
        _check_word(row, settings, reading)
    if len(known) == 1:
        reading.add(where, "all cases are of one class", found, f"{settings.negative} and {settings.positive}", remedy)


def _check_patients(table: Sheet, settings: CohortSettings, reading: _Reading) -> None:
    if settings.allow_mixed_patients:
        return
    for patient, rows in _by_patient(table).items():
        if len({row.cells["label"].casefold() for row in rows} & set(_words(settings))) > 1:
            found = ", ".join(f"row {row.number} {row.cells['label']}" for row in rows)
            remedy = "Correct the label or the patient_id; if it is true, set [cohort] allow_mixed_patients = true."
            reading.add(rows[0].at("label"), f"patient {patient} is in both classes", found, "one class", remedy)


def _by_patient(table: Sheet) -> dict[str, list[Row]]:
    patients: dict[str, list[Row]] = defaultdict(list)
    for row in table.rows:
        if row.cells["patient_id"]:
            patients[row.cells["patient_id"]].append(row)
    return patients


def _check_split(table: Sheet, reading: _Reading) -> None:
    given = [row for row in table.rows if row.cells.get("split")]
    for row in given:
        if row.cells["split"].lower() not in PARTS:
            reading.add(row.at("split"), "not a part of a split", row.cells["split"], ", ".join(PARTS))
    if given and len(given) < len(table.rows):
        empty = [row for row in table.rows if not row.cells["split"]]
        found = "empty in row " + ", ".join(str(row.number) for row in empty)
        remedy = "Fill in the column for every row, or leave all of it empty."
        reading.add(empty[0].at("split"), "the split is given for some rows only", found, remedy=remedy)
    for patient, rows in _by_patient(table).items():
        if len({row.cells.get("split", "").lower() for row in rows} - {""}) > 1:
            found = ", ".join(f"row {row.number} {row.cells['split']}" for row in rows)
            remedy = "Put all lesions of a patient into one part: otherwise the estimate is too good."
            reading.add(rows[0].at("split"), f"patient {patient} is in more than one part", found, "one part", remedy)


def _case(row: Row, sequences: tuple[str, ...], label: int, reading: _Reading) -> Case:
    images = {sequence: _file(row, f"image_{sequence}", "image", reading) for sequence in sequences}
    rois = {sequence: roi for sequence in sequences if (roi := _roi(row, sequence, reading)) is not None}
    if not any(row.cells.get(f"{kind}_{sequence}") for kind in ("mask", "box") for sequence in sequences):
        expected = "a mask or a box for at least one sequence"
        remedy = "Mark it on one; the others take it from there."
        reading.add(row.at("mask_"), "the lesion is marked on no image", expected=expected, remedy=remedy)
    own = ("case_id", "patient_id", "label", "split")
    rest = {
        column: cell
        for column, cell in row.cells.items()
        if column not in own and column.partition("_")[0] not in ("image", "mask", "box")
    }
    patient = row.cells.get("patient_id") or row.cells["case_id"]
    return Case(row.cells["case_id"], patient, label, images, rois, _part(row), rest)


def _part(row: Row) -> Part | None:
    word = row.cells.get("split", "").lower()
    return next((part for part in PARTS if part == word), None)


def _roi(row: Row, sequence: str, reading: _Reading) -> Path | Roi | None:
    mask, box = (row.cells.get(f"{kind}_{sequence}", "") for kind in ("mask", "box"))
    if mask and box:
        reading.add(row.at(f"box_{sequence}"), "a mask and a box for the same image", remedy="Leave one of them empty.")
        return None
    if mask:
        return _file(row, f"mask_{sequence}", "mask", reading)
    if not box:
        return None
    try:
        return parse_box(box)
    except ValueError as error:
        reading.add(row.at(f"box_{sequence}"), f"the box cannot be used, {error}", box, BOX_FORMAT)
        return None


def _file(row: Row, column: str, kind: str, reading: _Reading) -> Path:
    text = row.cells[column]
    path = reading.folder / text
    if not text:
        reading.add(
            row.at(column), f"the {kind} is missing", "an empty cell", remedy="Every case needs every sequence."
        )
        return path
    if not path.exists():
        # A cohort written on Windows opens elsewhere too.
        path = reading.folder / PureWindowsPath(text).as_posix()
    if not path.exists():
        remedy = reading.near(path) or "Paths are relative to the table's folder."
        reading.add(row.at(column), f"the {kind} is not there", text, "a file, or a folder of one DICOM series", remedy)
    elif path.is_dir() and not any(path.iterdir()):
        reading.add(row.at(column), "the folder is empty", text, "the files of one DICOM series")
    return path


def _check_rating(row: Row, known: set[str], seen: dict[tuple[str, str], int], reading: _Reading) -> None:
    case_id, reader, text = (row.cells[column] for column in ("case_id", "reader", "rating"))
    if case_id not in known:
        near = get_close_matches(case_id, known, n=1)
        remedy = f"Did you mean {near[0]}?" if near else "Take the row out, or add the case to the cohort."
        reading.add(row.at("case_id"), "the cohort has no such case", case_id, remedy=remedy)
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        reading.add(row.at("rating"), "the rating is not a number", text, "a number, higher for more suspicious")
    if seen.setdefault((case_id, reader), row.number) != row.number:
        remedy = "Keep one of the two rows."
        reading.add(row.at("reader"), f"{reader} rated this case in row {seen[case_id, reader]} already", remedy=remedy)
