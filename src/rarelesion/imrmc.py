"""Reader studies as text for iMRMC, the FDA's program for multi-reader analyses: a second opinion on our numbers."""

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rarelesion.errors import InputError, Problem
from rarelesion.metrics import check_scores

NAME = re.compile(r"[A-Za-z0-9_.-]+")
RESERVED = ("truth", "-1")
"""Reader names that mark the rows of the reference standard."""
HEADER_WORDS = ("N0:", "N1:", "NR:", "NM:", "BEGIN DATA")
"""What iMRMC looks for in every line of the header."""


def _checked_names(given: Sequence[object] | None, count: int, word: str) -> tuple[list[str], list[Problem]]:
    """One name each, numbers where none are given, and what is wrong with them."""
    if given is None:
        return [f"{word}{number + 1}" for number in range(count)], []
    names = [str(name) for name in given]
    if len(names) != count or len(set(names)) < count:
        found = f"{len(names)} names, {len(set(names))} different ones"
        return names, [Problem(f"{word or 'case'} names", "names don't fit", found, f"{count} different names")]
    bad = [name for name in names if not NAME.fullmatch(name) or name in RESERVED]
    expected = "letters, digits, _, - and . only, not 'truth' and not '-1'"
    return names, [Problem(f"{word or 'case'} names", "iMRMC can't read it", repr(name), expected) for name in bad[:3]]


def _title_problems(title: str) -> list[Problem]:
    """iMRMC stumbles over titles of one letter, of several lines and with words of its own header."""
    if len(title) > 1 and title.isprintable() and not any(word in title.upper() for word in HEADER_WORDS):
        return []
    return [Problem("title", "iMRMC can't read it", repr(title), f"one line without {', '.join(HEADER_WORDS)}")]


def _checked(
    labels: ArrayLike, scores: ArrayLike, given_names: Sequence[Sequence[object] | None], title: str
) -> tuple[NDArray[np.float64], NDArray[np.bool_], tuple[list[str], list[str], list[str]]]:
    """Scores, labels and the names of modalities, readers and cases, or an InputError with all that is wrong."""
    table = np.asarray(scores, dtype=np.float64)
    if table.ndim != 3 or 0 in table.shape:
        expected = "scores of (modality, reader, case)"
        raise InputError(Problem("scores", "not a table", f"an array of shape {table.shape}", expected))
    malignant, _ = check_scores(labels, np.zeros(table.shape[2]), "labels")
    named = zip(given_names, table.shape, ("modality", "reader", ""), strict=True)
    (ways, way), (people, person), (ids, case) = (_checked_names(given, count, word) for given, count, word in named)
    problems = [*way, *person, *case, *_title_problems(title)]
    if np.isinf(table).any():
        problems.append(Problem("scores", "a score is infinite", "", "a number, or NaN where a case was not read"))
    read = ~np.isnan(table)
    anything = np.concatenate([np.any(read, axis=axes) for axes in ((1, 2), (0, 2))])
    empty = [name for name, some in zip([*ways, *people], anything, strict=False) if not some][:3]
    expected = "a score in each modality and of each reader"
    problems += [Problem("scores", "nothing was read", name, expected) for name in empty]
    if problems:
        raise InputError(problems)
    return table, malignant, (ways, people, ids)


def imrmc_text(
    labels: ArrayLike,
    scores: ArrayLike,
    modalities: Sequence[object] | None = None,
    readers: Sequence[object] | None = None,
    cases: Sequence[object] | None = None,
    title: str = "Reader study",
) -> str:
    """A reader study as the text of an .imrmc file, cases numbered from 1 in the order given.

    `labels` (n,) 0 benign, 1 malignant; `scores` (modalities, readers, n), higher = more suspicious, NaN where a case
    was not read: such rows are left out, as iMRMC takes designs that are not fully crossed. Names of modalities and
    readers are written if given and are numbers otherwise; ids of cases are written only if `cases` (n,) gives them.
    iMRMC knows no patients: it counts lesions of one patient as independent.

    The format is that of iMRMC 4 (github.com/DIDSR/iMRMC): header, "BEGIN DATA:", rows of reader, case, modality and
    score, the reference standard in rows of the reader "truth".
    Raises InputError for another shape, one class, infinite scores, and names or a title that iMRMC can't read.

    >>> print(imrmc_text([0, 1], [[[2, 5]]], title="Pilot"))
    Pilot
    NR: 1
    N0: 1
    N1: 1
    NM: 1
    BEGIN DATA:
    truth,1,truth,0
    truth,2,truth,1
    reader1,1,modality1,2.0
    reader1,2,modality1,5.0
    <BLANKLINE>
    """
    table, malignant, (ways, people, ids) = _checked(labels, scores, (modalities, readers, cases), title)
    header = [title, f"NR: {len(people)}", f"N0: {(~malignant).sum()}", f"N1: {malignant.sum()}", f"NM: {len(ways)}"]
    truth = [f"truth,{name},truth,{int(label)}" for name, label in zip(ids, malignant, strict=True)]
    read = zip(*np.nonzero(~np.isnan(table)), strict=True)
    rows = [f"{people[j]},{ids[k]},{ways[i]},{float(table[i, j, k])}" for i, j, k in read]
    return "\n".join([*header, "BEGIN DATA:", *truth, *rows, ""])
