"""Repeated cross-validation of small cohorts: the corrected resampled t test and interval of Nadeau and Bengio.

For claims about a recipe trained anew on other cases, where the values of the folds are all there is.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import t as student

from rarelesion.errors import InputError, Problem
from rarelesion.folds import NO_VARIANCE
from rarelesion.proportions import normal_quantile
from rarelesion.types import Comparison, Estimate


def resampled_mean(values: ArrayLike, n_test: float, n_train: float, confidence: float = 0.95) -> Estimate:
    """The mean of a recipe's values over the folds of all repeats, such as its areas, with an interval in 0..1.

    `values` (j,) in 0..1, one for each fold of each repeat; `n_test` and `n_train` > 0 are the cases a fold tests on
    and its network was trained on (for k folds without tuning cases n_test / n_train is 1 / (k - 1)). The variance
    over folds is multiplied by 1 / j + n_test / n_train instead of 1 / j, as folds share training cases and repeats
    share all cases; Student's t with j - 1 degrees of freedom.
    Nadeau & Bengio 2003, doi:10.1023/A:1024068626366.
    Raises InputError for fewer than two values, values out of range, or values that are all the same: then the folds
    show no spread to build on.

    >>> mean = resampled_mean([0.8, 0.9, 0.7, 0.8, 0.8], n_test=20, n_train=80)
    >>> round(mean.value, 3), round(mean.low, 3), round(mean.high, 3)
    (0.8, 0.668, 0.932)
    """
    value = _checked("values", values)
    error, quantile = _error(value, n_test, n_train), _quantile(value.size, confidence)
    mean = float(value.mean())
    low, high = max(0.0, mean - quantile * error), min(1.0, mean + quantile * error)
    return Estimate(mean, low, high, f"mean of {value.size} folds, corrected resampled t")


def compare_resampled(
    a: ArrayLike, b: ArrayLike, n_test: float, n_train: float, confidence: float = 0.95
) -> Comparison:
    """Whether recipe a is better than b when both are trained anew, from their values in the same folds.

    `a` and `b` (j,) in 0..1 belong together fold by fold; the rest as for `resampled_mean`. `difference` is the mean
    of a minus b, its interval within -1..1, p two-sided. The recipes are called "a" and "b".
    Raises InputError as `resampled_mean` does, and for arrays of different lengths.
    """
    first, second = _checked("a", a), _checked("b", b)
    if first.size != second.size:
        found = f"{first.size} and {second.size} values"
        raise InputError(Problem("a and b", "values must come in pairs", found, "one of each for every fold"))
    differences = first - second
    error, quantile = _error(differences, n_test, n_train), _quantile(first.size, confidence)
    mean = float(differences.mean())
    p = float(2 * student.sf(abs(mean) / error, first.size - 1))
    low, high = max(-1.0, mean - quantile * error), min(1.0, mean + quantile * error)
    return Comparison("a", "b", mean, low, high, p, p, f"mean of {first.size} folds, corrected resampled t")


def _checked(where: str, values: ArrayLike) -> NDArray[np.float64]:
    value = np.asarray(values, dtype=np.float64).ravel()
    problems = []
    if value.size < 2:
        problems.append(Problem(where, "too few folds", f"{value.size} values", "two or more"))
    outside = np.flatnonzero(~((value >= 0) & (value <= 1)))
    if outside.size:
        found = f"{value[outside[0]]} at position {outside[0]} ({outside.size} in all)"
        remedy = "Leave folds with one class out of both recipes, and say how many."
        problems.append(Problem(where, "a value out of range", found, "a number in 0..1 for every fold", remedy))
    if problems:
        raise InputError(problems)
    return value


def _error(values: NDArray[np.float64], n_test: float, n_train: float) -> float:
    """The corrected standard error of the mean."""
    problems = [
        Problem(name, "not a number of cases", repr(n), "a number above 0")
        for name, n in (("n_test", n_test), ("n_train", n_train))
        if not (np.isfinite(n) and n > 0)
    ]
    variance = float(np.var(values, ddof=1))
    if variance <= NO_VARIANCE:
        remedy = "Use the intervals that are built on the cases: roc_auc_estimate, compare_roc_auc."
        found = f"{values.size} times {values[0]:g}"
        problems.append(Problem("folds", "no spread between the folds", found, "values that differ", remedy))
    if problems:
        raise InputError(problems)
    return float(np.sqrt(variance * (1 / values.size + n_test / n_train)))


def _quantile(folds: int, confidence: float) -> float:
    normal_quantile(confidence)  # its check of the range
    return float(student.ppf(0.5 + confidence / 2, folds - 1))
