"""The precision-recall curve and its area as a place sees them where malignancy is rarer, or commoner, than here."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import t as student

from rarelesion.errors import InputError
from rarelesion.folds import NO_VARIANCE
from rarelesion.intervals import on_logit_scale
from rarelesion.metrics import roc_curve
from rarelesion.patients import cases_to_draw
from rarelesion.predictive import prevalence_problems
from rarelesion.proportions import normal_quantile, proportion_interval
from rarelesion.resampling import patient_draws
from rarelesion.thresholds import Called, count_called
from rarelesion.types import Curve, Estimate

Array = NDArray[np.float64]
FEW_BENIGN = 10
"""A value is said to flatter where the malignant cases that go with the benign ones at a prevalence are fewer."""


def pr_curve_at_prevalence(labels: ArrayLike, scores: ArrayLike, prevalence: float) -> Curve:
    """The precision-recall curve as a place with another prevalence would see it: x is sensitivity, y is PPV.

    One point for every distinct score, to be drawn as steps. `prevalence` between 0 and 1; the other arguments and
    errors as for `metrics.roc_curve`. By Bayes' rule from the ROC curve, which doesn't depend on the prevalence.

    >>> pr_curve_at_prevalence([1, 0, 0, 1], [0.1, 0.2, 0.3, 0.4], prevalence=0.2).y.round(3).tolist()
    [1.0, 0.2, 0.111, 0.2]
    """
    if problems := prevalence_problems(prevalence):
        raise InputError(problems)
    roc = roc_curve(labels, scores)
    hits, alarms = prevalence * roc.y[1:], (1 - prevalence) * roc.x[1:]
    return Curve(x=roc.y[1:], y=hits / (hits + alarms), thresholds=roc.thresholds[1:])


def average_precision_at_prevalence(labels: ArrayLike, scores: ArrayLike, prevalence: float) -> float:
    """The area under that curve as a step function: the PPV at this prevalence averaged over the malignant cases.

    Arguments and errors as for `pr_curve_at_prevalence`; result in 0..1, by chance about the prevalence. At the
    sample's own prevalence it is `metrics.average_precision`.

    >>> average_precision_at_prevalence([1, 0, 0, 1], [0.1, 0.2, 0.3, 0.4], prevalence=0.5)
    0.75
    """
    curve = pr_curve_at_prevalence(labels, scores, prevalence)
    return float(np.sum(np.diff(curve.x, prepend=0.0) * curve.y))


def _areas(called: Called, prevalence: float, added: float) -> Array:
    """The area (b,) of each resample, NaN where a class is missing.

    At each threshold `added` benign cases more are called, and as many more are not.
    """
    malignant, benign = called.hits[:, -1:], called.alarms[:, -1:]
    usable = (malignant > 0) & (benign > 0)
    sensitivity = np.divide(called.hits, malignant, out=np.zeros_like(called.hits), where=usable)
    alarmed = np.divide(called.alarms + added, benign + 2 * added, out=np.ones_like(called.hits), where=usable)
    hits = prevalence * sensitivity
    precision = np.divide(hits, hits + (1 - prevalence) * alarmed, out=np.zeros_like(hits), where=hits > 0)
    areas = np.sum(np.diff(sensitivity, axis=1) * precision[:, 1:], axis=1)
    return np.where(usable[:, 0], areas, np.nan)


def _draw_areas(
    malignant: NDArray[np.bool_], score: Array, draws: Iterator[Array], prevalence: float, added: float
) -> tuple[Array, Array]:
    """The areas of the resamples with both classes, as they are and with `added` benign cases."""
    areas = []
    for weights in draws:
        called = count_called(malignant, score, weights)
        areas.append([_areas(called, prevalence, extra) for extra in (0.0, added)])
    plain, guarded = np.concatenate(areas, axis=1)
    there = np.isfinite(plain)
    return plain[there], guarded[there]


def _spread(areas: Array) -> float:
    """The standard deviation of the areas; 0 where there is at most one."""
    return float(np.std(areas)) if areas.size else 0.0


def _around(value: float, error: float) -> tuple[float, float] | None:
    """The interval that reaches `error`, a half-width on its own scale, laid on the logit's; None without spread."""
    usable = NO_VARIANCE < error**2 < np.inf and 0 < value < 1
    return on_logit_scale(value, error) if usable else None


def pr_auc_at_prevalence(
    labels: ArrayLike,
    scores: ArrayLike,
    prevalence: float,
    patients: ArrayLike | None = None,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Estimate:
    """The PR-AUC (average precision) that a place with this prevalence can expect, with its interval within 0..1.

    `labels` (n,) 0 benign, 1 malignant; `scores` (n,), higher = more suspicious; `prevalence` between 0 and 1, taken
    as known; `patients` (n,), the unit that is drawn. From the spread over `resamples` draws (those with and without a
    malignant lesion apart) two intervals are laid on the logit scale, with a t quantile: around the value, and around
    what it would be had half a benign case (half a patient's) scored above all others. The result spans both. Where
    malignancy is rare the area hangs on false alarms so few that the sample may hold none, and the first alone is far
    too short; the value then may well be too high, and `method` says so. Where the draws agree, or a class is of one
    patient, the first is Wilson's on the number of patients.
    Raises InputError for one class only, a score that is not finite, a prevalence outside 0..1 or fewer than 2
    resamples.
    """
    normal_quantile(confidence)
    value = average_precision_at_prevalence(labels, scores, prevalence)
    malignant, score, patient = cases_to_draw(labels, scores, patients, resamples)
    sizes = {name: np.unique(patient[own]).size for name, own in (("benign", ~malignant), ("malignant", malignant))}
    freedom = min(sizes.values()) - 1
    quantile = float(student.ppf(0.5 + confidence / 2, freedom)) if freedom else np.inf
    added = 0.5 * float((~malignant).sum()) / sizes["benign"]
    draws = patient_draws(malignant.astype(int), patient, resamples, seed)
    plain, guarded = _draw_areas(malignant, score, draws, prevalence, added)
    where, method = f"at a prevalence of {prevalence:g}, ", f"bootstrap of {resamples} draws of patients (t quantile)"
    first = _around(value, quantile * _spread(plain))
    if first is None:
        worth = sizes["malignant"] if freedom else 1
        method = f"Wilson on {worth} malignant patients, as the draws show no spread to build on"
        first = proportion_interval(value * worth, worth, confidence)
    whole = float(_areas(count_called(malignant, score, np.ones((1, score.size))), prevalence, added)[0])
    second = _around(whole, quantile * _spread(guarded)) or (whole, whole)
    method = f"{where}{method}, with and without half a benign case above all others"
    if sizes["benign"] * prevalence / (1 - prevalence) < FEW_BENIGN:
        method += f"; {sizes['benign']} benign are few for so low a prevalence, the value may well be too high"
    return Estimate(value, min(first[0], second[0]), max(first[1], second[1]), method)
