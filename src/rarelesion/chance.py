"""How often chance alone would rank the test cases as well: the permutation test of the ROC-AUC."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from rarelesion.folds import Array, Folds, usable_folds
from rarelesion.types import Ids, Ints, Scores

BLOCK = 1_000_000
"""Labels handed out at a time: memory stays the same for any number of permutations."""


def permutation_p(scores: Scores, permutations: int = 2000, seed: int = 0) -> float:
    """The share of permutations in which labels handed out at random give at least the ROC-AUC found.

    Higher than by chance is what is tested (one-sided); the result is in (0, 1], and the smallest it can be is
    1 / (permutations + 1) (Phipson & Smyth 2010, doi:10.2202/1544-6115.1585). Labels change places between patients
    with equally many lesions, all lesions of a patient and all repeats together; within each fold where there is one
    repeat, over all cases where there are several. Raises InputError as `folds.usable_folds` does.
    """
    folds = usable_folds(scores)
    rows = folds.rows
    _, first, case = np.unique(rows.case_id, return_index=True, return_inverse=True)
    label = rows.label[first]
    stratum = _strata(rows, first)
    found = _areas(folds, label[None, :], case)[0]
    at_least = 0
    for labels in _shuffled(label, rows.patient_id[first], stratum, permutations, seed):
        at_least += int(np.sum(_areas(folds, labels, case) >= found - 1e-12))
    return (1 + at_least) / (1 + permutations)


def _strata(rows: Scores, first: NDArray[np.intp]) -> Ints:
    """The fold of each case where it is tested once, else the same number for all."""
    return rows.fold[first] if np.unique(rows.repeat).size == 1 else np.zeros(first.size, dtype=np.int64)


def _shuffled(label: Ints, patient_id: Ids, stratum: Ints, permutations: int, seed: int) -> Iterator[Ints]:
    """Blocks (b, n) of labels of the cases, exchanged between patients of equal size in the same stratum."""
    rng = np.random.default_rng(seed)
    patient = np.unique(patient_id, return_inverse=True)[1]
    groups = list(_exchangeable(patient, stratum))
    block = max(1, BLOCK // label.size)
    for start in range(0, permutations, block):
        size = min(block, permutations - start)
        labels = np.tile(label, (size, 1))
        for members in groups:
            order = rng.permuted(np.tile(np.arange(len(members)), (size, 1)), axis=1)
            labels[:, members] = label[members][order]
        yield labels


def _exchangeable(patient: Ints, stratum: Ints) -> Iterator[NDArray[np.intp]]:
    """For each size and stratum the cases (patients, lesions) of the patients that may change their labels."""
    order = np.lexsort((stratum, patient))
    of_patient = np.split(order, np.flatnonzero(np.diff(patient[order])) + 1)
    groups: dict[tuple[int, ...], list[NDArray[np.intp]]] = {}
    for cases in of_patient:
        groups.setdefault(tuple(stratum[cases].tolist()), []).append(cases)
    yield from (np.stack(members) for members in groups.values() if len(members) > 1)


def _areas(folds: Folds, labels: Ints, case: Ints) -> Array:
    """The mean ROC-AUC over the folds (b,) under each labelling (b, cases); folds left with one class count a half."""
    total = np.zeros(len(labels))
    for index in folds.used:
        malignant = labels[:, case[index]] == 1
        above = malignant.sum(axis=1)
        pairs = above * (index.size - above)
        wins = malignant @ rankdata(folds.rows.score[index]) - above * (above + 1) / 2
        total += np.divide(wins, pairs, out=np.full(len(labels), 0.5), where=pairs > 0)
    return total / len(folds.used)
