"""Sensitivity and specificity at a threshold, and where that threshold was chosen."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from rarelesion.errors import InputError, Problem
from rarelesion.folds import Array, split_rows, usable_folds
from rarelesion.metrics import youden_threshold
from rarelesion.patients import effective_cases
from rarelesion.proportions import proportion_interval
from rarelesion.types import Estimate, OperatingPoint, Scores


def _case_proportion(
    right: Array, case_id: NDArray[np.str_], patient_id: NDArray[np.str_], note: str, confidence: float
) -> Estimate:
    """The share of cases judged right, averaged over repeats, with Wilson's interval on what the patients are worth.

    Lesions of one patient count as fewer by their design effect (Rao & Scott 1992, doi:10.2307/2532311).
    """
    _, first, case = np.unique(case_id, return_index=True, return_inverse=True)
    each = np.bincount(case, weights=right) / np.bincount(case)
    n, value, patient = each.size, float(each.mean()), patient_id[first]
    worth, patients = effective_cases(each, patient), np.unique(patient).size
    method = f"{note}Wilson on {n} cases" + (f" of {patients} patients" if patients < n else "")
    return Estimate(value, *proportion_interval(value * worth, worth, confidence), method)


def operating_point(scores: Scores, chosen_on: Literal["tune", "test"], confidence: float = 0.95) -> OperatingPoint:
    """Sensitivity and specificity on the test cases at the Youden index of each fold's test or tuning cases.

    Every fold has its own threshold; the decisions on all folds' test cases are then pooled, those on one case
    averaged over repeats. "test" is optimistic, as in the paper; "tune" is honest. Folds whose tuning (or test) cases
    are of one class only have no threshold and are left out.
    Raises InputError where that leaves no benign or no malignant case, or a score is not finite.
    """
    rows = usable_folds(scores).rows
    pool = scores.where(scores.part == chosen_on)
    thresholds, judged = [], np.full(rows.label.size, np.nan)
    for index in split_rows(rows):
        chosen = (pool.repeat == rows.repeat[index[0]]) & (pool.fold == rows.fold[index[0]])
        if np.unique(pool.label[chosen]).size == 2:
            thresholds.append(youden_threshold(pool.label[chosen], pool.score[chosen]))
            judged[index] = (rows.score[index] >= thresholds[-1]) == (rows.label[index] == 1)
    usable = np.isfinite(judged)
    if np.unique(rows.label[usable]).size < 2:
        what = f"no threshold can be chosen on the {chosen_on} cases"
        found = f"{pool.label.size} {chosen_on} cases"
        raise InputError(Problem(scores.recipe, what, found, "folds with benign and malignant ones"))
    note = f"pooled over {len(thresholds)} folds, " if len(thresholds) > 1 else ""

    def share(label: int) -> Estimate:
        own = usable & (rows.label == label)
        return _case_proportion(judged[own], rows.case_id[own], rows.patient_id[own], note, confidence)

    return OperatingPoint(float(np.mean(thresholds)), sensitivity=share(1), specificity=share(0), chosen_on=chosen_on)
