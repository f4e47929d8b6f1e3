"""The test cases of a recipe fold by fold, and what each of them adds to the mean ROC-AUC over the folds.

Scores of different folds come from different networks and are never pooled as one scale: an area is the mean of the
folds' areas. The unit that is summed over is the patient, whose lesions are not independent.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rarelesion.errors import InputError, Problem
from rarelesion.metrics import placements
from rarelesion.types import Scores

Array = NDArray[np.float64]
NO_VARIANCE = 1e-20
"""What is left of a variance of zero after rounding."""


@dataclass(frozen=True, eq=False, slots=True)
class Folds:
    """The test cases of one recipe, fold by fold."""

    rows: Scores
    used: tuple[NDArray[np.intp], ...]
    """The row numbers of each (repeat, fold) in which both classes occur."""
    left_out: int
    """How many (repeat, fold) hold one class only."""

    @property
    def note(self) -> str:
        """What the estimate is a mean of, in words; empty for a single split."""
        skipped = f"{self.left_out} with one class only left out" if self.left_out else ""
        if len(self.used) == 1:
            return skipped and f"one fold ({skipped}), "
        repeats = np.unique(self.rows.repeat).size
        details = "; ".join(filter(None, (f"{repeats} repeats" if repeats > 1 else "", skipped)))
        return f"mean of {len(self.used)} folds{f' ({details})' if details else ''}, "

    def mean(self, metric: Callable[[NDArray[np.integer], Array], float]) -> float:
        """The metric in each fold, averaged over the folds."""
        rows = self.rows
        return float(np.mean([metric(rows.label[index], rows.score[index]) for index in self.used]))


def split_rows(scores: Scores) -> Iterator[NDArray[np.intp]]:
    """The row numbers of each (repeat, fold), in their order."""
    _, group = np.unique(np.stack([scores.repeat, scores.fold]), axis=1, return_inverse=True)
    order = np.argsort(group.ravel(), kind="stable")
    yield from np.split(order, np.cumsum(np.bincount(group.ravel()))[:-1])


def broken_rows(scores: Scores) -> list[Problem]:
    """What is wrong with the scores and labels themselves; empty where nothing is."""
    return [
        Problem(scores.recipe, f"{what} of case {scores.case_id[bad][0]}", str(values[bad][0]), expected)
        for what, values, bad, expected in (
            ("score", scores.score, ~np.isfinite(scores.score), "a finite number for every case"),
            ("label", scores.label, ~np.isin(scores.label, (0, 1)), "0 (benign) or 1 (malignant)"),
        )
        if bad.any()
    ]


def usable_folds(scores: Scores) -> Folds:
    """The test part of a recipe's scores, split into the folds in which an area can be computed.

    Raises InputError where there is no test case, a score is not finite, a label unknown, or no fold has both classes.
    """
    problems = broken_rows(scores)
    if problems:
        raise InputError(problems)
    rows = scores.where(scores.part == "test")
    folds = list(split_rows(rows)) if rows.label.size else []
    used = tuple(index for index in folds if np.unique(rows.label[index]).size == 2)
    if not used:
        found = f"{(rows.label == 0).sum()} benign and {(rows.label == 1).sum()} malignant test cases"
        found += f" in {len(folds)} folds" if len(folds) > 1 else ""
        remedy = "Use fewer folds, or test on more cases."
        raise InputError(
            Problem(scores.recipe, "no fold tests both classes", found, "benign and malignant in a fold", remedy)
        )
    return Folds(rows, used, len(folds) - len(used))


def auc_influence(folds: Folds) -> tuple[float, Array]:
    """The mean ROC-AUC over the folds, and what each row (n,) adds to its deviation from the true one.

    The variance is the sum over patients of the squared sum of their rows (`patient_variance`): for one fold with one
    lesion a patient this is DeLong's, doi:10.2307/2531595, computed in O(n log n); for several folds the
    generalisation in the manner of LeDell 2015, doi:10.1214/15-EJS1035; for several lesions a patient that of
    Obuchowski 1997, doi:10.2307/2533958. NaN where a class comes from a single patient.
    """
    rows, malignant = folds.rows, folds.rows.label == 1
    place, weight = np.zeros(malignant.size), np.zeros(malignant.size)
    for index in folds.used:
        here = malignant[index]
        place[index] = placements(here, rows.score[index])
        weight[index] = 1 / (len(folds.used) * np.where(here, here.sum(), (~here).sum()))
    value = float(np.sum((weight * place)[malignant]))
    influence = weight * (place - value)
    for members in (malignant, ~malignant):
        patients = np.unique(rows.patient_id[members & (weight > 0)]).size
        influence[members] *= np.sqrt(patients / (patients - 1)) if patients > 1 else np.nan
    return value, influence


def patient_variance(rows: Scores, influence: Array) -> float:
    """The variance of an estimate from the influence (n,) of its rows, whose sum over a patient counts as one."""
    patient = np.unique(rows.patient_id, return_inverse=True)[1]
    return float(np.sum(np.bincount(patient, weights=influence) ** 2))
