"""What a single column of the cohort would have said: age, lesion size or scanner as a row beside the networks.

A network that is no better than the patient's age has learnt nothing worth having, and one that is no better than the
name of the scanner may have learnt just that.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from rarelesion.errors import InputError, Problem
from rarelesion.folds import split_rows
from rarelesion.metrics import roc_auc
from rarelesion.recipes import BASELINE_PREFIX
from rarelesion.types import Scores


def baseline_scores(column: str, entries: Mapping[str, str], label_of: Mapping[str, int], template: Scores) -> Scores:
    """A row `baseline:<column>` over the same tuning and test cases as `template`.

    `entries` is case id -> the column's text, `label_of` case id -> 0 benign, 1 malignant, of the whole cohort. In each
    fold the column learns from the cases outside its test part only: a number, in which direction it is suspicious; a
    word, the share of malignant cases that have it, drawn towards the share of all by one case. An empty cell counts as
    the middle of the numbers, or as a word of its own.
    Raises InputError where a case has no entry or all cases have the same.
    """
    _check(column, entries, template)
    numbers = _as_numbers(entries)
    score = np.empty(template.score.size)
    for index in split_rows(template):
        tested = set(template.case_id[index][template.part[index] == "test"].tolist())
        learnt = [case_id for case_id in label_of if case_id not in tested and case_id in entries]
        asked = template.case_id[index].tolist()
        labels = np.array([label_of[case_id] for case_id in learnt])
        if numbers is None:
            score[index] = _by_word([entries[i] for i in learnt], labels, [entries[i] for i in asked])
        else:
            values, new = (np.array([numbers[i] for i in ids]) for ids in (learnt, asked))
            score[index] = _direction(labels, values) * new
    return replace(template, recipe=BASELINE_PREFIX + column, score=score)


def _check(column: str, entries: Mapping[str, str], template: Scores) -> None:
    missing = sorted(set(template.case_id.tolist()) - entries.keys())
    problems = []
    if missing:
        found = f"{len(missing)} scored cases are not in the table, first {missing[0]}"
        problems.append(Problem(column, "a baseline needs an entry for every case", found, "every scored case"))
    if len(set(entries.values())) < 2:
        remedy = "Name another column."
        problems.append(Problem(column, "says the same of every case", expected="at least two entries", remedy=remedy))
    if problems:
        raise InputError(problems)


def _as_numbers(entries: Mapping[str, str]) -> dict[str, float] | None:
    """The column as numbers, an empty cell as the median of the others; None where it holds words."""
    try:
        given = {case_id: float(entry) for case_id, entry in entries.items() if entry}
    except ValueError:
        return None
    if not given or not np.isfinite(list(given.values())).all():
        return None
    middle = float(np.median(list(given.values())))
    return {case_id: given.get(case_id, middle) for case_id in entries}


def _direction(labels: NDArray[np.integer], values: NDArray[np.float64]) -> int:
    """1 where higher is more suspicious among the cases learnt from, else -1."""
    if np.unique(labels).size < 2:
        return 1
    return 1 if roc_auc(labels, values) >= 0.5 else -1


def _by_word(words: Sequence[str], labels: NDArray[np.integer], asked: Sequence[str]) -> NDArray[np.float64]:
    """The share of malignant cases with each word asked for."""
    usual = float(labels.mean()) if labels.size else 0.5
    held = np.array(words)
    shares = {
        word: (float(labels[held == word].sum()) + usual) / (int((held == word).sum()) + 1) for word in set(asked)
    }
    return np.array([shares[word] for word in asked])
