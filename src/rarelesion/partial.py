"""The part of the ROC-AUC that matters in the clinic: over a range of specificities or sensitivities."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rarelesion.errors import InputError, Problem
from rarelesion.folds import NO_VARIANCE, Array
from rarelesion.intervals import Bounds, binomial_interval, on_logit_scale, t_quantile, wider
from rarelesion.metrics import check_scores, roc_curve
from rarelesion.patients import patient_numbers
from rarelesion.proportions import normal_quantile
from rarelesion.types import Curve, Estimate

Focus = Literal["specificity", "sensitivity"]


@dataclass(frozen=True, eq=False, slots=True)
class _Roc:
    """A ROC curve to be integrated: joined by straight lines, so that a tie counts half."""

    x: Array
    """(points,) 1 - specificity, rising."""
    y: Array
    area: Array
    """(points,) the area under the curve left of each point."""

    def area_to(self, x: Array) -> Array:
        """The area under the curve left of each x, any shape, in 0..1."""
        point = np.clip(np.searchsorted(self.x, x, side="right") - 1, 0, self.x.size - 2)
        run = self.x[point + 1] - self.x[point]
        slope = np.divide(self.y[point + 1] - self.y[point], run, out=np.zeros(run.shape), where=run > 0)
        beyond = x - self.x[point]
        return self.area[point] + beyond * (self.y[point] + slope * beyond / 2)

    def height(self, x: float) -> float:
        """The sensitivity at x, half-way up where the curve rises straight."""
        first, last = np.searchsorted(self.x, x, side="left"), np.searchsorted(self.x, x, side="right") - 1
        return float((self.y[first] + self.y[last]) / 2) if first <= last else float(np.interp(x, self.x, self.y))


def _to_integrate(curve: Curve) -> _Roc:
    steps = np.diff(curve.x) * (curve.y[1:] + curve.y[:-1]) / 2
    return _Roc(curve.x, curve.y, np.concatenate([[0.0], np.cumsum(steps)]))


def _check_range(low: float, high: float, focus: str) -> None:
    problems = []
    if not 0 <= low < high <= 1:
        remedy = "From 0.8 to 1 is low=0.8, high=1."
        problems.append(Problem(f"{focus} range", "not a range", f"{low} to {high}", "0 <= low < high <= 1", remedy))
    if focus not in ("specificity", "sensitivity"):
        problems.append(Problem("focus", "unknown", repr(focus), "specificity or sensitivity"))
    if problems:
        raise InputError(problems)


def _facing(labels: ArrayLike, scores: ArrayLike, focus: Focus) -> tuple[NDArray[np.bool_], Array]:
    """Labels and scores such that the range is one of specificities: the classes change places for sensitivities."""
    malignant, score = check_scores(labels, scores)
    return (malignant, score) if focus == "specificity" else (~malignant, -score)


def _shown(area: float, low: float, high: float, standardised: bool) -> float:
    """The area in the units asked for, from that under the curve over the range."""
    if not standardised:
        return area
    width = high - low
    chance = width * (2 - low - high) / 2
    return (1 + (area - chance) / (width - chance)) / 2


def _area(malignant: NDArray[np.bool_], score: Array, low: float, high: float) -> float:
    roc = _to_integrate(roc_curve(malignant, score))
    left, right = roc.area_to(np.array([1 - high, 1 - low]))
    return float(np.clip(right - left, 0.0, high - low))


def partial_auc(
    labels: ArrayLike,
    scores: ArrayLike,
    low: float,
    high: float,
    focus: Focus = "specificity",
    standardised: bool = False,
) -> float:
    """The area under the ROC curve over a range of specificities (or sensitivities), where the test would be used.

    `labels` (n,) 0 benign, 1 malignant; `scores` (n,), higher = more suspicious; the range is low..high of the
    specificity, or of the sensitivity with `focus`, in 0..1. The result is in 0..high - low: divided by high - low
    it is the mean sensitivity (specificity) over the range. `standardised` gives McClish's index instead: 1 is
    perfect, 0.5 is chance, below 0.5 worse than chance (McClish 1989, doi:10.1177/0272989X8900900307).
    Raises InputError for a range that is none, one class only, a score that is not finite, or lengths that differ.

    >>> partial_auc([0, 0, 1, 1], [0.1, 0.4, 0.3, 0.8], low=0.5, high=1.0)
    0.25
    """
    _check_range(low, high, focus)
    return _shown(_area(*_facing(labels, scores, focus), low, high), low, high, standardised)


def _influence(malignant: NDArray[np.bool_], score: Array, low: float, high: float) -> Array:
    """What each case (n,) adds to the deviation of the area from the true one, before the correction for few patients.

    A malignant case adds the part of the range over which it lies above the threshold. A benign case moves the
    threshold: it adds the sensitivity at its own place, and at the nearest end of the range where it lies outside.
    At the whole range these are DeLong's components. Dodd & Pepe 2003, doi:10.1111/1541-0420.00071.
    """
    curve = roc_curve(malignant, score)
    roc, (start, stop) = _to_integrate(curve), (1 - high, 1 - low)
    group = np.searchsorted(-curve.thresholds[1:], -score)
    left, right = curve.x[group], curve.x[group + 1]  # the 1 - specificity that the cases of this score span
    span = right - left
    middle, outer = (left + right) / 2, np.stack([np.full(span.shape, start), np.full(span.shape, stop)])
    inside = np.clip(outer, left, right) - left
    ramp = np.divide(inside**2, 2 * span, out=np.zeros(inside.shape), where=span > 0)
    above = np.diff(np.where(outer > right, outer - middle, ramp), axis=0)[0]
    ends = roc.area_to(np.clip(np.stack([left, right]), start, stop))
    under = ends[1] - ends[0]
    under += roc.height(start) * np.maximum(np.minimum(right, start) - left, 0.0)
    under += roc.height(stop) * np.maximum(right - np.maximum(left, stop), 0.0)
    at_own_place = np.divide(under, span, out=np.zeros(span.shape), where=span > 0)
    part, share = np.where(malignant, above, at_own_place), np.empty(score.size)
    for own in (malignant, ~malignant):
        share[own] = (part[own] - part[own].mean()) / own.sum()
    return share


def _delong(
    share: float, influence: Array, malignant: NDArray[np.bool_], patient: NDArray[np.intp], confidence: float
) -> Bounds | None:
    """The interval of the range's mean on the logit scale, or None where it is 0 or 1 or a class has no spread."""
    scaled, spreads, freedoms = np.zeros(influence.size), [], []
    for own in (malignant, ~malignant):
        count = np.unique(patient[own]).size
        if count < 2:
            return None
        scaled[own] = influence[own] * np.sqrt(count / (count - 1))
        spreads.append(np.sum(np.bincount(patient[own], weights=scaled[own]) ** 2))
        freedoms.append(count - 1)
    variance = float(np.sum(np.bincount(patient, weights=scaled) ** 2))
    if not (variance > NO_VARIANCE and min(spreads) > NO_VARIANCE and 0 < share < 1):
        return None
    each = np.array(spreads)
    freedom = each.sum() ** 2 / np.sum(each**2 / np.array(freedoms))
    return on_logit_scale(share, t_quantile(confidence, freedom) * float(np.sqrt(variance)))


def partial_auc_estimate(
    labels: ArrayLike,
    scores: ArrayLike,
    low: float,
    high: float,
    focus: Focus = "specificity",
    standardised: bool = False,
    patients: ArrayLike | None = None,
    confidence: float = 0.95,
) -> Estimate:
    """The partial area of `partial_auc` with its interval, several lesions of a patient counted together.

    `patients` (n,) says whose each case is; without it every case is a patient. The interval is at each end the
    farther of two, both for the mean sensitivity (specificity) over the range and then put into the units of the
    value: the variance from what each patient adds (DeLong's, restricted to the range) on the logit scale with a t
    quantile; and the binomial interval on the patients of the class that the mean is over (`binomial_interval`).
    Where a class comes from one patient or shows no variance, as at a perfect ranking, it is the binomial interval on
    as many patients as either that class has or the range holds of the other; `method` says which it was.
    For the whole curve take `intervals.roc_auc_estimate`, which is narrower.
    Raises InputError as `partial_auc` does, for patients that are not one a case, and for a confidence outside 0..1.
    """
    normal_quantile(confidence)
    _check_range(low, high, focus)
    facing, score = _facing(labels, scores, focus)
    patient = patient_numbers(patients, facing.size)
    area = _area(facing, score, low, high)
    share = area / (high - low)
    own, other = (np.unique(patient[members]).size for members in (facing, ~facing))
    delong = _delong(share, _influence(facing, score, low, high) / (high - low), facing, patient, confidence)
    if delong:
        binomial, name = binomial_interval(share, own, confidence)
        bounds = wider(delong, binomial)
        how = f"DeLong over the range on the logit scale (t quantile), no narrower than {name} on {own} patients"
    else:
        worth = max(1.0, min(float(own), other * (high - low)))
        bounds, name = binomial_interval(share, worth, confidence)
        whose = f"{worth:.3g} patient{'s' if worth > 1 else ''}"
        how = f"{name} on {whose}, as the scores show no variance to build on in the range"
    value, *ends = (_shown(part * (high - low), low, high, standardised) for part in (share, *bounds))
    index = ", McClish's index" if standardised else ""
    return Estimate(value, ends[0], ends[1], f"{focus} {low:g} to {high:g}{index}, {how}")
