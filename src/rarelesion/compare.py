"""Is one recipe better than another on the same cases: the difference of two ROC-AUC with its interval."""

from collections.abc import Sequence
from dataclasses import fields

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from rarelesion.errors import InputError, Problem
from rarelesion.folds import NO_VARIANCE, auc_influence, patient_variance, usable_folds
from rarelesion.intervals import roc_auc_estimate
from rarelesion.proportions import normal_quantile
from rarelesion.types import Comparison, Scores


def _keys(scores: Scores, *names: str) -> NDArray[np.str_]:
    """One text a row, equal where the named columns are equal."""
    columns = [getattr(scores, name).tolist() for name in names]
    return np.array(["\x1f".join(map(str, row)) for row in zip(*columns, strict=True)])


def _take(scores: Scores, rows: NDArray[np.intp]) -> Scores:
    return Scores(scores.recipe, *(getattr(scores, item.name)[rows] for item in fields(scores)[1:]))


def _common_rows(a: Scores, b: Scores) -> tuple[Scores, Scores]:
    """The test rows that both recipes have, in the same order."""
    a, b = (scores.where(scores.part == "test") for scores in (a, b))
    where = f"{a.recipe} against {b.recipe}"
    _, in_a, in_b = np.intersect1d(_keys(a, "repeat", "case_id"), _keys(b, "repeat", "case_id"), return_indices=True)
    if not in_a.size:
        found = f"{np.unique(a.case_id).size} and {np.unique(b.case_id).size} test cases, none in common"
        raise InputError(Problem(where, "no common test cases", found, "two recipes tested on the same cases"))
    a, b = _take(a, in_a), _take(b, in_b)
    problems = [
        Problem(
            where,
            f"{name} of case {a.case_id[differs][0]}",
            f"{getattr(a, name)[differs][0]} and {getattr(b, name)[differs][0]}",
            "the same in both",
            "Compare recipes of one run only.",
        )
        for name in ("fold", "label", "patient_id")
        if (differs := getattr(a, name) != getattr(b, name)).any()
    ]
    if problems:
        raise InputError(problems)
    return a, b


def _independent_interval(a: Scores, b: Scores, confidence: float) -> tuple[float, float]:
    """The interval of a difference from those of both areas as if they were independent: wide, but never of no width.

    Newcombe 1998, doi:10.1002/(SICI)1097-0258(19980430)17:8<873::AID-SIM779>3.0.CO;2-I; Zou & Donner 2008,
    doi:10.1002/sim.3095.
    """
    first, second = roc_auc_estimate(a, confidence), roc_auc_estimate(b, confidence)
    difference = first.value - second.value
    low = difference - np.hypot(first.value - first.low, second.high - second.value)
    high = difference + np.hypot(first.high - first.value, second.value - second.low)
    return float(low), float(high)


def compare_roc_auc(a: Scores, b: Scores, confidence: float = 0.95) -> Comparison:
    """Whether recipe a separates the classes better than b, by their ROC-AUC on the test cases that both scored.

    `difference` is a minus b, the mean over folds, with its own interval within -1..1 and a two-sided p: paired DeLong,
    doi:10.2307/2531595, generalised to folds and patients as in `folds.auc_influence`. Where no case speaks for
    either (same ranking, two perfect ones), the interval is that of independent areas, wider than need be.
    `p_adjusted` is p; `holm` adjusts a family of comparisons.
    Raises InputError where there is no common test case, or folds, labels or patients of a common case disagree.
    """
    quantile = normal_quantile(confidence)
    a, b = _common_rows(a, b)
    folds, other = usable_folds(a), usable_folds(b)
    (value_a, influence_a), (value_b, influence_b) = auc_influence(folds), auc_influence(other)
    difference, variance = value_a - value_b, patient_variance(folds.rows, influence_a - influence_b)
    if variance > NO_VARIANCE:
        test, error = "paired DeLong", float(np.sqrt(variance))
        low, high = difference - quantile * error, difference + quantile * error
    else:
        test = "score intervals combined as if independent, as DeLong's variance is zero"
        low, high = _independent_interval(a, b, confidence)
        error = abs(difference - (low if difference > 0 else high)) / quantile
    p = float(2 * norm.sf(abs(difference) / error))
    return Comparison(a.recipe, b.recipe, difference, max(-1.0, low), min(1.0, high), p, p, folds.note + test)


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Holm's adjusted p-values, in the order given: each may be read as if it were the only test made.

    Values in 0..1. Holm 1979, doi:10.2307/4615733.

    >>> holm([0.01, 0.04, 0.03])
    (0.03, 0.06, 0.06)
    """
    p = np.asarray(p_values, dtype=float)
    order = np.argsort(p, kind="stable")
    adjusted = np.empty(p.size)
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(p.size, 0, -1)), 1.0)
    return tuple(adjusted.tolist())
