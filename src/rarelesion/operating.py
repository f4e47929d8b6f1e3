"""Sensitivity and specificity at a threshold, and where that threshold was chosen."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from rarelesion.errors import InputError, Problem
from rarelesion.folds import Array, split_rows, usable_folds
from rarelesion.patients import effective_cases
from rarelesion.predictive import operating_point_of
from rarelesion.proportions import proportion_interval
from rarelesion.thresholds import choose_threshold, parse_rule
from rarelesion.types import Estimate, Ids, OperatingPoint, Scores


def _case_proportion(right: Array, case_id: Ids, patient_id: Ids, note: str, confidence: float) -> Estimate:
    """The share of cases judged right, averaged over repeats, with Wilson's interval on what the patients are worth.

    Lesions of one patient count as fewer by their design effect (Rao & Scott 1992, doi:10.2307/2532311).
    """
    _, first, case = np.unique(case_id, return_index=True, return_inverse=True)
    each = np.bincount(case, weights=right) / np.bincount(case)
    n, value, patient = each.size, float(each.mean()), patient_id[first]
    worth, patients = effective_cases(each, patient), np.unique(patient).size
    method = f"{note}Wilson on {n} cases" + (f" of {patients} patients" if patients < n else "")
    return Estimate(value, *proportion_interval(value * worth, worth, confidence), method)


def tuned_calls(
    scores: Scores, chosen_on: Literal["tune", "test"], rule: str = "youden"
) -> tuple[Scores, NDArray[np.bool_], list[float]]:
    """The test cases of a recipe, whether each (n,) is called malignant, and the threshold of every fold.

    Each fold's threshold is placed by `rule` (see `thresholds.parse_rule`) on its own tuning or test cases. Folds in
    which these are of one class have none and are left out.
    Raises InputError where that leaves no benign or no malignant case, a score is not finite, or for an unknown rule.
    """
    how = parse_rule(rule)
    rows = usable_folds(scores).rows
    pool = scores.where(scores.part == chosen_on)
    thresholds, called = [], np.zeros(rows.label.size, dtype=bool)
    usable = np.zeros(rows.label.size, dtype=bool)
    for index in split_rows(rows):
        chosen = (pool.repeat == rows.repeat[index[0]]) & (pool.fold == rows.fold[index[0]])
        if np.unique(pool.label[chosen]).size == 2:
            thresholds.append(choose_threshold(pool.label[chosen], pool.score[chosen], how))
            called[index], usable[index] = rows.score[index] >= thresholds[-1], True
    if np.unique(rows.label[usable]).size < 2:
        what = f"no threshold can be chosen on the {chosen_on} cases"
        found = f"{pool.label.size} {chosen_on} cases"
        raise InputError(Problem(scores.recipe, what, found, "folds with benign and malignant ones"))
    return rows.where(usable), called[usable], thresholds


def operating_point(
    scores: Scores,
    chosen_on: Literal["tune", "test"],
    confidence: float = 0.95,
    rule: str = "youden",
    prevalence: float | None = None,
) -> OperatingPoint:
    """Sensitivity and specificity on the test cases at the thresholds of `tuned_calls`.

    The decisions on all folds' test cases are pooled, those on one case averaged over repeats. Thresholds chosen on
    the "test" cases are optimistic, as in the paper; on "tune" honest. With a `prevalence` (0..1) there are also PPV
    and NPV where this share is malignant, as in `predictive.operating_point_of`. Raises InputError as both do.
    """
    rows, called, thresholds = tuned_calls(scores, chosen_on, rule)
    malignant = rows.label == 1
    right = (called == malignant).astype(np.float64)
    note = f"pooled over {len(thresholds)} folds, " if len(thresholds) > 1 else ""

    def share(own: NDArray[np.bool_]) -> Estimate:
        return _case_proportion(right[own], rows.case_id[own], rows.patient_id[own], note, confidence)

    stated = None
    if prevalence is not None:
        found = operating_point_of(malignant, called, 0.5, rows.patient_id, confidence, prevalence=prevalence)
        stated = found.at_prevalence
    return OperatingPoint(
        threshold=float(np.mean(thresholds)),
        sensitivity=share(malignant),
        specificity=share(~malignant),
        chosen_on=chosen_on,
        rule=parse_rule(rule).text,
        at_prevalence=stated,
    )
