"""ROC-AUC and PR-AUC with intervals that stay honest with few cases, the mean over folds, patients as the unit."""

from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import expit, logit
from scipy.stats import beta
from scipy.stats import t as student

from rarelesion.folds import NO_VARIANCE, Array, Folds, auc_influence, patient_variance, usable_folds
from rarelesion.metrics import average_precision, roc_auc
from rarelesion.proportions import normal_quantile, proportion_interval
from rarelesion.resampling import (
    average_precision_influence,
    patient_draws,
    weighted_average_precision,
    weighted_roc_auc,
)
from rarelesion.types import Estimate, Scores

Interval = Literal["logit", "delong", "bootstrap"]
Weighted = Callable[[NDArray[np.bool_], Array, Array], Array]
Bounds = tuple[float, float]
MANY = 50_000
"""From so many rows on the spread of a PR-AUC over draws is computed without drawing."""
FEW = 4
"""Below so many patients Wilson's interval of a PR-AUC or a partial area is too short."""


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


def on_logit_scale(value: float, error: float) -> tuple[float, float]:
    """The interval of an area (between 0 and 1) that reaches `error`, a half-width on its own scale, on the logit's."""
    centre, half = logit(value), error / (value * (1 - value))
    return float(expit(centre - half)), float(expit(centre + half))


def wider(first: Bounds, second: Bounds) -> Bounds:
    """The interval that reaches as far as the farther of the two at each end."""
    return min(first[0], second[0]), max(first[1], second[1])


def t_quantile(confidence: float, freedom: float) -> float:
    """How many standard errors an interval reaches to either side where the error itself is estimated from few."""
    return float(student.ppf(0.5 + confidence / 2, freedom))


def _class_patients(folds: Folds) -> tuple[int, int]:
    """The patients with malignant and those with benign cases in the folds that count."""
    used = np.concatenate(folds.used)
    label, patient = folds.rows.label[used], folds.rows.patient_id[used]
    return np.unique(patient[label == 1]).size, np.unique(patient[label == 0]).size


def _plain_delong(folds: Folds, confidence: float) -> Bounds | None:
    """DeLong's interval cut at 0 and 1, or None where the area is 0 or 1 or has no variance: it has no width there."""
    value, influence = auc_influence(folds)
    variance = patient_variance(folds.rows, influence)
    if not (variance > NO_VARIANCE and 0 < value < 1):
        return None
    error = normal_quantile(confidence) * float(np.sqrt(variance))
    return max(0.0, value - error), min(1.0, value + error)


def _logit_delong(folds: Folds, patients: tuple[int, int], confidence: float) -> Bounds | None:
    """DeLong's interval on the logit scale with a t quantile, or None for an area of 0 or 1 or a class without spread.

    The degrees of freedom are Satterthwaite's for the sum of both classes' variances, as in Brunner & Munzel 2000,
    Biometrical Journal 42: with two malignant patients the variance is a guess from one difference.
    """
    value, influence = auc_influence(folds)
    malignant, patient = folds.rows.label == 1, np.unique(folds.rows.patient_id, return_inverse=True)[1]
    sums = np.stack([np.bincount(patient, weights=influence * own) for own in (malignant, ~malignant)])
    spreads, variance = np.sum(sums**2, axis=1), float(np.sum(sums.sum(axis=0) ** 2))
    if not (variance > NO_VARIANCE and spreads.min() > NO_VARIANCE and 0 < value < 1):
        return None
    freedom = spreads.sum() ** 2 / np.sum(spreads**2 / (np.array(patients) - 1))
    return on_logit_scale(value, t_quantile(confidence, freedom) * float(np.sqrt(variance)))


def _bootstrap_error(folds: Folds, metric: Weighted, resamples: int, seed: int) -> float:
    """The standard deviation of the mean area over draws of patients; 0 where all draws agree but for rounding."""
    rows, drawn = folds.rows, []
    for weights in patient_draws(rows.label, rows.patient_id, resamples, seed):
        areas = np.stack([metric(rows.label[i] == 1, rows.score[i], weights[:, i]) for i in folds.used])
        there = np.isfinite(areas)
        usable = there.any(axis=0)
        drawn.append(np.where(there, areas, 0.0).sum(axis=0)[usable] / there.sum(axis=0)[usable])
    error = float(np.std(np.concatenate(drawn)))
    return error if error**2 > NO_VARIANCE else 0.0


def _linear_error(folds: Folds) -> float:
    """The standard deviation over draws of the mean average precision by its linear part, without drawing."""
    rows = folds.rows
    influence = np.zeros(rows.label.size)
    for index in folds.used:
        influence[index] = average_precision_influence(rows.label[index] == 1, rows.score[index]) / len(folds.used)
    patient = np.unique(rows.patient_id, return_inverse=True)[1]
    has_malignant = np.bincount(patient, weights=rows.label == 1) > 0
    sums = np.bincount(patient, weights=influence)
    return float(np.sqrt(sum(sums[own].var() * own.sum() for own in (has_malignant, ~has_malignant) if own.any())))


def _roc_bounds(
    folds: Folds, value: float, confidence: float, interval: Interval, resamples: int, seed: int
) -> tuple[Bounds, str]:
    """The interval of the area and how it was made."""
    patients = _class_patients(folds)
    if min(patients) == 1:
        rare = "malignant" if patients[0] == 1 else "benign"
        return proportion_interval(value, 1, confidence), f"Wilson on the only {rare} patient"
    score = _score_interval(folds, value, confidence)
    if interval == "bootstrap":
        method = f"bootstrap of {resamples} draws of patients on the logit scale"
        error = _bootstrap_error(folds, weighted_roc_auc, resamples, seed) * normal_quantile(confidence)
        bounds = on_logit_scale(value, error) if error and 0 < value < 1 else None
    elif interval == "delong":
        method, bounds = "plain DeLong, cut at 0 and 1", _plain_delong(folds, confidence)
    else:
        method = "DeLong on the logit scale (t quantile), no narrower than Newcombe's score interval (method 5)"
        delong = _logit_delong(folds, patients, confidence)
        bounds = wider(delong, score) if delong else None
    if bounds is None:
        return score, "Newcombe's score interval (method 5), as the scores show no variance to build on"
    return bounds, method


def roc_auc_estimate(
    scores: Scores, confidence: float = 0.95, interval: Interval = "logit", resamples: int = 2000, seed: int = 0
) -> Estimate:
    """The ROC-AUC of a recipe on its test cases, the mean over its folds, with an interval inside 0..1.

    `interval` is "logit" (default): at each end the farther of DeLong's on the logit scale with a t quantile and
    Newcombe's score interval, for DeLong's alone is too short with few malignant cases and near 1; "delong": plain
    DeLong cut at 0 and 1; or "bootstrap": over patients (`resamples`, `seed`), on the logit scale. Where that can't
    be computed or has no width, as at a perfect ranking, Newcombe's takes its place; where a class comes from one
    patient, Wilson's on that one, for no variance can be seen and this is its upper bound (Birnbaum & Klose 1957,
    Annals of Mathematical Statistics 28). `method` says which it was; docs/concepts/coverage.md how well they hold.
    Raises InputError where no fold tests both classes, a score is not finite or `confidence` is not between 0 and 1.
    """
    normal_quantile(confidence)
    folds = usable_folds(scores)
    value = folds.mean(roc_auc)
    bounds, method = _roc_bounds(folds, value, confidence, interval, resamples, seed)
    return Estimate(value, *bounds, folds.note + method)


def binomial_interval(share: float, size: float, confidence: float) -> tuple[Bounds, str]:
    """The interval of a mean over so many patients as if each were right or wrong, which is the widest, and its name.

    `share` in 0..1, `size` > 0, whole or not. Wilson's, and for fewer than four patients that of Clopper & Pearson
    1934, doi:10.1093/biomet/26.4.404: there one lucky or unlucky patient decides. Neither is ever of zero width.
    """
    if size >= FEW:
        return proportion_interval(share * size, size, confidence), "Wilson"
    hits, tail = share * size, (1 - confidence) / 2
    low = float(beta.ppf(tail, hits, size - hits + 1)) if share > 0 else 0.0
    high = float(beta.ppf(1 - tail, hits + 1, size - hits)) if share < 1 else 1.0
    return (min(low, share), max(high, share)), "Clopper and Pearson"


def pr_auc_estimate(scores: Scores, confidence: float = 0.95, resamples: int = 2000, seed: int = 0) -> Estimate:
    """The PR-AUC (average precision) of a recipe on its test cases, the mean over its folds, with its interval.

    At each end the farther of two: the spread over bootstrap draws of patients, those with and without a malignant
    lesion drawn apart, laid around the value on the logit scale with a t quantile; and the binomial interval on the
    malignant patients of Boyd 2013, doi:10.1007/978-3-642-40994-3_29. The bootstrap alone is too short with few
    malignant cases. Where all draws agree, as at a perfect ranking, or one patient only has malignant cases, it is the
    binomial interval; from 50,000 test rows on the spread is that of the infinitesimal jackknife, which drawing would
    only repeat; `method` says which it was. Raises InputError as for `roc_auc_estimate`.
    """
    normal_quantile(confidence)
    folds = usable_folds(scores)
    value = folds.mean(average_precision)
    patients, _ = _class_patients(folds)
    bounds, name = binomial_interval(value, patients, confidence)
    method = f"{name} on {patients} malignant patient{'s' if patients > 1 else ''}"
    error, drawn = 0.0, f"bootstrap of {resamples} draws of patients"
    if patients > 1 and value < 1 and folds.rows.label.size >= MANY:
        error, drawn = _linear_error(folds), "infinitesimal jackknife over patients"
    elif patients > 1 and value < 1:
        error = _bootstrap_error(folds, weighted_average_precision, resamples, seed)
    if error:
        bounds = wider(bounds, on_logit_scale(value, error * t_quantile(confidence, patients - 1)))
        drawn = f"{drawn} on the logit scale (t quantile)"
        method = f"{drawn}, no narrower than {method}"
    else:
        method += ", as all bootstrap draws agree" if patients > 1 else ""
    return Estimate(value, *bounds, folds.note + method)
