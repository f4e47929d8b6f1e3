"""ROC-AUC and PR-AUC with intervals that stay honest with few cases, the mean over folds, patients as the unit."""

from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import expit, logit

from rarelesion.folds import NO_VARIANCE, Array, Folds, auc_influence, patient_variance, usable_folds
from rarelesion.metrics import average_precision, roc_auc
from rarelesion.proportions import normal_quantile, proportion_interval
from rarelesion.resampling import patient_draws, weighted_average_precision, weighted_roc_auc
from rarelesion.types import Estimate, Scores

Interval = Literal["logit", "delong", "bootstrap"]
Weighted = Callable[[NDArray[np.bool_], Array, Array], Array]


def _root(function: Callable[[float], float], low: float, high: float) -> float:
    return float(brentq(function, low, high, xtol=1e-14))  # pyright: ignore[reportArgumentType]


def _score_interval(folds: Folds, value: float, confidence: float) -> tuple[float, float]:
    """Newcombe's method 5 for an area, doi:10.1002/sim.2324, in each fold and averaged; for any area in 0..1.

    The half-width is solved for under the area at the interval's end, so that it isn't zero at an area of 1.
    A class counts as many times as it has patients.
    """
    rows, z = folds.rows, normal_quantile(confidence)
    sizes = [
        [np.unique(rows.patient_id[index][rows.label[index] == label]).size for label in (1, 0)] for index in folds.used
    ]
    m, n = np.array(sizes, dtype=float).T
    repeats = np.unique([rows.repeat[index[0]] for index in folds.used]).size

    def variance(area: float) -> float:
        pairs = (1 - area) / (2 - area) + area / (1 + area)
        each = area * (1 - area) * (1 + ((m + n) / 2 - 1) * pairs) / (m * n)
        return float(each.mean() * repeats / m.size)

    def excess(area: float) -> float:
        return (area - value) ** 2 - z * z * variance(area)

    edge, inside = 1e-15, float(np.clip(value, 1e-9, 1 - 1e-9))
    low = _root(excess, edge, inside) if value > 0 else 0.0
    high = _root(excess, inside, 1 - edge) if value < 1 else 1.0
    return low, high


def _on_logit_scale(value: float, error: float) -> tuple[float, float]:
    """The interval of an area (between 0 and 1) that reaches `error`, a half-width on its own scale, on the logit's."""
    centre, half = logit(value), error / (value * (1 - value))
    return float(expit(centre - half)), float(expit(centre + half))


def _delong(folds: Folds, confidence: float, on_logit_scale: bool) -> tuple[float, float] | None:
    """DeLong's interval, or None where a class shows no spread or the area is 0 or 1: there it would be too narrow."""
    value, influence = auc_influence(folds)
    rows, malignant = folds.rows, folds.rows.label == 1
    spreads = [patient_variance(rows, np.where(members, influence, 0.0)) for members in (malignant, ~malignant)]
    error = float(np.sqrt(patient_variance(rows, influence))) * normal_quantile(confidence)
    if not (error**2 > NO_VARIANCE and 0 < value < 1):
        return None
    if not on_logit_scale:
        return max(0.0, value - error), min(1.0, value + error)
    if min(spreads) <= NO_VARIANCE:
        return None
    return _on_logit_scale(value, error)


def _bootstrap(
    folds: Folds, value: float, metric: Weighted, confidence: float, resamples: int, seed: int
) -> tuple[float, float] | None:
    """The interval from the spread over draws of patients, or None where all draws agree or the area is 0 or 1.

    It is laid around the value on the logit scale: percentiles of small samples lie too high, as doubled malignant
    cases help each other.
    """
    rows, drawn = folds.rows, []
    for weights in patient_draws(rows.label, rows.patient_id, resamples, seed):
        areas = np.stack([metric(rows.label[i] == 1, rows.score[i], weights[:, i]) for i in folds.used])
        there = np.isfinite(areas)
        usable = there.any(axis=0)
        drawn.append(np.where(there, areas, 0.0).sum(axis=0)[usable] / there.sum(axis=0)[usable])
    error = float(np.std(np.concatenate(drawn)))
    if not (error**2 > NO_VARIANCE and 0 < value < 1):
        return None
    return _on_logit_scale(value, error * normal_quantile(confidence))


def roc_auc_estimate(
    scores: Scores, confidence: float = 0.95, interval: Interval = "logit", resamples: int = 2000, seed: int = 0
) -> Estimate:
    """The ROC-AUC of a recipe on its test cases, the mean over its folds, with an interval inside 0..1.

    `interval` is DeLong's on the logit scale (default), plain DeLong cut at 0 and 1, or the bootstrap over patients
    (`resamples`, `seed`) on the logit scale. Where it can't be computed or has no width, as at a perfect ranking,
    Newcombe's score interval takes its place, and `method` says so.
    Raises InputError where no fold tests both classes, a score is not finite or `confidence` is not between 0 and 1.
    """
    normal_quantile(confidence)
    folds = usable_folds(scores)
    value = folds.mean(roc_auc)
    if interval == "bootstrap":
        method = f"bootstrap of {resamples} draws of patients on the logit scale"
        bounds = _bootstrap(folds, value, weighted_roc_auc, confidence, resamples, seed)
    else:
        method = "DeLong on the logit scale" if interval == "logit" else "plain DeLong, cut at 0 and 1"
        bounds = _delong(folds, confidence, on_logit_scale=interval == "logit")
    if bounds is None:
        method = "Newcombe's score interval (method 5), as the scores show no variance to build on"
        bounds = _score_interval(folds, value, confidence)
    return Estimate(value, *bounds, folds.note + method)


def pr_auc_estimate(scores: Scores, confidence: float = 0.95, resamples: int = 2000, seed: int = 0) -> Estimate:
    """The PR-AUC (average precision) of a recipe on its test cases, the mean over its folds, with its interval.

    The interval comes from the spread over bootstrap draws of patients, those with and without a malignant lesion
    drawn apart, and is laid around the value on the logit scale, after the logit interval of Boyd 2013.
    Where all draws agree, as at a perfect ranking, it is Wilson's on the number of malignant patients, the binomial
    interval of Boyd 2013, doi:10.1007/978-3-642-40994-3_29, in the form that keeps a width at 1.
    Raises InputError where no fold tests both classes.
    """
    normal_quantile(confidence)
    folds = usable_folds(scores)
    value = folds.mean(average_precision)
    method = f"bootstrap of {resamples} draws of patients on the logit scale"
    bounds = _bootstrap(folds, value, weighted_average_precision, confidence, resamples, seed)
    if bounds is None:
        patients = np.unique(folds.rows.patient_id[folds.rows.label == 1]).size
        method = "Wilson on the malignant patients, as all bootstrap draws agree"
        bounds = proportion_interval(value * patients, patients, confidence)
    return Estimate(value, *bounds, folds.note + method)
