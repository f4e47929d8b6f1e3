"""What is wrong or suspicious with the table of cases itself, before an image is opened."""

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from rarelesion.clinical import DIAGNOSIS, is_number
from rarelesion.findings import found
from rarelesion.identifying import FULL_DATE, LONG_NUMBER, is_name, why_telling
from rarelesion.settings import CohortSettings
from rarelesion.sheet import Row, Sheet
from rarelesion.types import Finding, Ints

NAMED = 5
"""So many cases or words are named in a message."""
OWN = ("case_id", "patient_id", "label", "split")
SILENT = (*OWN, "synthetic")


def check_table(table: Sheet, settings: CohortSettings) -> Iterator[Finding]:
    """Findings about ids, labels and columns; the cells of columns that may identify a patient are not repeated."""
    yield from _mixed_patients(table, settings)
    yield from _one_patient_twice(table)
    yield from _labels(table, settings)
    yield from _telling_ids(table)
    telling = [column for column in _further(table) if why_telling(column, _cells(table, column))]
    for column in telling:
        message = "the header or the cells look like names, dates or numbers of patients; they are not repeated here"
        yield found("RL707", f"{table.name}:1:{column}", message)
    for column in _further(table):
        if column not in telling:
            yield from _column(table, column, settings)


def words_alike(text: str) -> str:
    """What is left of a word once capitals, spaces, hidden characters and punctuation don't count."""
    return "|".join(re.findall(r"\d+|[^\W\d_]+", unicodedata.normalize("NFKC", text).casefold()))


def ids_alike(text: str) -> str:
    """As `words_alike`, and leading zeros don't count either."""
    return "|".join(part.lstrip("0") or "0" for part in words_alike(text).split("|"))


def listed(words: Iterable[str], most: int = NAMED) -> str:
    """Some words with commas, and how many more there are."""
    known = list(dict.fromkeys(words))
    rest = f" and {len(known) - most} more" if len(known) > most else ""
    return ", ".join(known[:most]) + rest


def _further(table: Sheet) -> list[str]:
    kinds = ("image", "mask", "box")
    return [name for name in table.columns if name not in SILENT and name.partition("_")[0] not in kinds]


def _cells(table: Sheet, column: str) -> list[str]:
    return [row.cells[column] for row in table.rows]


def _classes(table: Sheet, settings: CohortSettings) -> Ints:
    """(n,) 0 or 1, -1 where the label is neither."""
    words = {settings.negative.strip().casefold(): 0, settings.positive.strip().casefold(): 1}
    return np.array([words.get(row.cells["label"].casefold(), -1) for row in table.rows])


def _groups(rows: Sequence[Row], key: Callable[[Row], str]) -> dict[str, list[Row]]:
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if key(row):
            groups[key(row)].append(row)
    return groups


# --- ids -------------------------------------------------------------------------------------------------------------


def _mixed_patients(table: Sheet, settings: CohortSettings) -> Iterator[Finding]:
    if settings.allow_mixed_patients:
        return
    known = {settings.negative.strip().casefold(), settings.positive.strip().casefold()}
    for rows in _groups(table.rows, lambda row: row.cells["patient_id"]).values():
        if len({row.cells["label"].casefold() for row in rows} & known) > 1:
            cases = [row.cells["case_id"] for row in rows]
            said = ", ".join(f"case {row.cells['case_id']} {row.cells['label']}" for row in rows[:NAMED])
            yield found("RL702", rows[0].at("label"), f"the cases of one patient are in both classes: {said}", cases)


def _one_patient_twice(table: Sheet) -> Iterator[Finding]:
    for rows in _groups(table.rows, lambda row: ids_alike(row.cells["patient_id"])).values():
        spellings = {row.cells["patient_id"] for row in rows}
        if len(spellings) > 1:
            cases = [row.cells["case_id"] for row in rows]
            message = f"{len(spellings)} patient ids differ only in how they are written, of the cases {listed(cases)}"
            yield found("RL703", rows[0].at("patient_id"), message, cases)


def _telling_ids(table: Sheet) -> Iterator[Finding]:
    for column in ("case_id", "patient_id"):
        cells = [cell for cell in _cells(table, column) if cell]
        kinds = {
            "names": sum(is_name(cell) for cell in cells),
            "dates": sum(bool(FULL_DATE.match(cell)) for cell in cells),
            "hospital numbers": sum(bool(LONG_NUMBER.match(cell)) and not FULL_DATE.match(cell) for cell in cells),
        }
        for kind, count in kinds.items():
            if count:
                message = f"{count} of {len(cells)} look like {kind}; they are not repeated here"
                yield found("RL706", f"{table.name}:1:{column}", message)


# --- labels ----------------------------------------------------------------------------------------------------------


def _labels(table: Sheet, settings: CohortSettings) -> Iterator[Finding]:
    where = f"{table.name}:1:label"
    for counts in _spellings(_cells(table, "label")):
        yield found("RL704", where, f"written as {_counted(counts)}")
    if is_number(settings.positive) and (classes := _classes(table, settings)).size:
        message = f"{settings.positive} is taken as malignant ({(classes == 1).sum()} cases), "
        message += f"{settings.negative} as benign ({(classes == 0).sum()})"
        yield found("RL711", where, message)


def _spellings(cells: Sequence[str]) -> Iterator[Counter[str]]:
    """The entries that are one word written in several ways, with how often each occurs."""
    ways: dict[str, Counter[str]] = defaultdict(Counter)
    for cell in cells:
        if words_alike(cell):
            ways[words_alike(cell)][cell] += 1
    yield from (counts for counts in ways.values() if len(counts) > 1)


def _counted(counts: Counter[str]) -> str:
    return listed(f"{word!r} ({times})" for word, times in counts.most_common())


# --- columns ---------------------------------------------------------------------------------------------------------


def _column(table: Sheet, column: str, settings: CohortSettings) -> Iterator[Finding]:
    where, cells, classes = f"{table.name}:1:{column}", _cells(table, column), _classes(table, settings)
    given = [cell for cell in cells if cell]
    if given and len(given) < len(cells):
        empty = np.array([not cell for cell in cells])
        shares = [f"{(empty & (classes == k)).sum()} of {(classes == k).sum()} {name}" for k, name in enumerate(_CLASS)]
        yield found("RL708", where, f"empty in {empty.sum()} of {len(cells)} rows: {', '.join(shares)}")
    if len(given) > 1 and len(given) == len(cells) and len(set(given)) == 1:
        yield found("RL709", where, "the same in every row")
    numbers = given and all(map(is_number, given))
    if not numbers and len(set(given)) <= max(2, len(given) / 2):
        for counts in _spellings(given):
            yield found("RL705", where, f"probably one kind: {_counted(counts)}")
    if column in DIAGNOSIS:
        yield from _subtypes(table, column, classes)
    elif _gives_away(cells, classes):
        yield found("RL710", where, "every entry occurs in one class only; the column and the label say the same")


_CLASS = ("benign", "malignant")


def _subtypes(table: Sheet, column: str, classes: Ints) -> Iterator[Finding]:
    kinds: dict[str, list[int]] = defaultdict(list)
    for index, cell in enumerate(_cells(table, column)):
        if words_alike(cell) and classes[index] >= 0:
            kinds[words_alike(cell)].append(index)
    for rows in kinds.values():
        counts = [int((classes[rows] == label).sum()) for label in (0, 1)]
        if min(counts):
            rarer = [table.rows[index] for index in rows if classes[index] == int(counts[1] < counts[0])]
            cases = [row.cells["case_id"] for row in rarer]
            name = rarer[0].cells[column]
            message = f"{name}: {counts[0]} benign and {counts[1]} malignant cases; the rarer: {listed(cases)}"
            yield found("RL712", rarer[0].at(column), message, cases)


def _gives_away(cells: Sequence[str], classes: Ints) -> bool:
    """Whether the entries, or a limit between numbers, decide the class of every case."""
    known = np.array([bool(cell) for cell in cells]) & (classes >= 0)
    held, labels = [cell for cell, one in zip(cells, known, strict=True) if one], classes[known]
    if min((labels == label).sum() for label in (0, 1)) < 3 or known.mean() < 0.9 or len(held) < 10:
        return False
    if all(map(is_number, held)) and _separated(np.array([float(cell) for cell in held]), labels):
        return True
    words = np.array([words_alike(cell) for cell in held])
    kinds = np.unique(words)
    return kinds.size <= len(held) / 4 and all(np.unique(labels[words == kind]).size == 1 for kind in kinds)


def _separated(values: NDArray[np.float64], labels: Ints) -> bool:
    low, high = values[labels == 0], values[labels == 1]
    return bool(low.max() < high.min() or high.max() < low.min())
