"""Is one recipe better than another by any measure: the difference on the same cases, from draws of patients."""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rarelesion.compare import Difference, as_comparison, common_rows, independent_difference
from rarelesion.errors import InputError, Problem
from rarelesion.folds import NO_VARIANCE, Array, Folds, usable_folds
from rarelesion.metrics import METRICS
from rarelesion.proportions import normal_quantile, proportion_interval
from rarelesion.resampling import patient_draws, weighted_average_precision, weighted_roc_auc
from rarelesion.types import Comparison, Estimate, Scores

Metric = Callable[[ArrayLike, ArrayLike], float]
Weighted = Callable[[NDArray[np.bool_], Array, Array], Array]
WEIGHTED: dict[str, Weighted] = {"roc_auc": weighted_roc_auc, "pr_auc": weighted_average_precision}
"""The metrics that are computed for many draws at once."""


def compare_bootstrap(
    a: Scores,
    b: Scores,
    metric: str | Metric = "pr_auc",
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Comparison:
    """Whether recipe a is better than b by any measure in 0..1, on the test cases that both scored.

    `metric` is "pr_auc", "roc_auc" or a function of labels (n,) and scores (n,), higher = better, which is called for
    every fold of every draw. `difference` is a minus b, the mean over folds; scores of different folds are never
    pooled. Patients are drawn with replacement (`resamples` times, `seed`), those with and without a malignant lesion
    apart, and every draw serves both recipes. The standard error over the draws, made larger by what the smaller of
    these two groups loses in being drawn from itself, gives the interval (within -1..1) and the two-sided p, which
    agree: by Student's t with one degree of freedom less than that group has patients, as the error is known no better
    (Efron & Tibshirani 1993, An Introduction to the Bootstrap, chapters 6 and 12). Where all draws agree or
    a group is one patient, Wilson intervals of both values on the patients of the smaller group are combined as if
    independent: wider than need be. Raises InputError as `compare.compare_roc_auc` does, and for a metric that is
    unknown or leaves 0..1.
    """
    normal_quantile(confidence)
    plain, weighted = _metric(metric)
    if resamples < 2:
        raise InputError(Problem("resamples", "too few draws", str(resamples), "2 or more, 2000 as a rule"))
    a, b = common_rows(a, b)
    folds = usable_folds(a), usable_folds(b)
    where = f"{a.recipe} against {b.recipe}"
    values = [_in_range(where, np.array([one.mean(plain)]))[0] for one in folds]
    smaller = _smaller_group(folds[0])
    difference = float(values[0] - values[1])
    error = 0.0
    if smaller > 1:
        drawn = _in_range(where, _drawn_differences(folds[0], folds[1], weighted, resamples, seed), low=-1.0)
        error = float(np.std(drawn) * np.sqrt(smaller / (smaller - 1))) if drawn.size else 0.0
    if error**2 > NO_VARIANCE:
        test = f"{folds[0].note}bootstrap of {resamples} paired draws of patients"
        found = Difference(difference, error, error, test, df=smaller - 1)
        return as_comparison(a.recipe, b.recipe, found, confidence)
    test = f"{folds[0].note}Wilson on {smaller} patients combined as if independent, as the draws show no spread"
    first, second = (
        Estimate(float(value), *proportion_interval(float(value) * smaller, smaller, confidence), test)
        for value in values
    )
    return as_comparison(a.recipe, b.recipe, independent_difference(first, second, confidence, test), confidence)


def _metric(metric: str | Metric) -> tuple[Metric, Weighted]:
    """A metric for the cases as they are and for many draws of them."""
    if callable(metric):
        return metric, _over_draws(metric)
    if metric not in WEIGHTED:
        expected = f"{', '.join(WEIGHTED)} or a function of labels and scores"
        raise InputError(Problem("metric", "no such metric", repr(metric), expected))
    return METRICS[metric], WEIGHTED[metric]


def _over_draws(metric: Metric) -> Weighted:
    """A metric of labels and scores for many draws, one after the other; NaN where a draw lacks a class."""

    def weighted(malignant: NDArray[np.bool_], score: Array, weights: Array) -> Array:
        result = np.full(len(weights), np.nan)
        for draw, times in enumerate(weights.astype(np.intp)):
            rows = np.repeat(np.arange(score.size), times)
            if 0 < malignant[rows].sum() < rows.size:
                result[draw] = metric(malignant[rows].astype(np.int64), score[rows])
        return result

    return weighted


def _drawn_differences(a: Folds, b: Folds, weighted: Weighted, resamples: int, seed: int) -> Array:
    """The mean difference over the folds in every draw in which at least one fold has both classes."""
    rows, drawn = a.rows, []
    malignant = rows.label == 1
    for weights in patient_draws(rows.label, rows.patient_id, resamples, seed):
        differences = np.stack(
            [
                weighted(malignant[i], rows.score[i], weights[:, i])
                - weighted(malignant[i], b.rows.score[i], weights[:, i])
                for i in a.used
            ]
        )
        there = ~np.isnan(differences)
        usable = there.any(axis=0)
        drawn.append(np.where(there, differences, 0.0).sum(axis=0)[usable] / there.sum(axis=0)[usable])
    return np.concatenate(drawn)


def _smaller_group(folds: Folds) -> int:
    """The patients in the smaller of the groups drawn from: with a malignant lesion, and without one.

    Where every patient has a malignant lesion, it is the smaller number of patients of a class.
    """
    rows = folds.rows
    malignant = np.unique(rows.patient_id[rows.label == 1])
    groups = malignant.size, np.setdiff1d(rows.patient_id, malignant).size
    return min(groups) or min(np.unique(rows.patient_id[rows.label == label]).size for label in (0, 1))


def _in_range(where: str, values: Array, low: float = 0.0) -> Array:
    outside = values[~((values >= low - 1e-12) & (values <= 1 + 1e-12))]
    if outside.size:
        raise InputError(Problem(where, "a metric out of its range", f"{outside[0]}", "a metric within 0..1"))
    return values
