"""Intervals that stay honest with few cases: for ROC-AUC, PR-AUC, sensitivity and specificity.

Scores of different folds come from different networks and are never pooled as one scale: an area is the mean of the
folds' areas. The unit that is resampled or summed over is the patient, whose lesions are not independent.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import expit, logit
from scipy.stats import norm

from rarelesion.errors import InputError, Problem
from rarelesion.metrics import average_precision, placements, roc_auc, youden_threshold
from rarelesion.types import Estimate, OperatingPoint, Scores

Interval = Literal["logit", "delong", "bootstrap"]
Array = NDArray[np.float64]
Weighted = Callable[[NDArray[np.bool_], Array, Array], Array]
NO_VARIANCE = 1e-20  # what is left of a variance of zero after rounding


def normal_quantile(confidence: float) -> float:
    """How many standard errors a two-sided interval of this confidence (0..1) reaches to either side.

    Raises InputError where the confidence isn't between 0 and 1.
    """
    if not 0 < confidence < 1:
        raise InputError(Problem("confidence", "not a share", repr(confidence), "a number between 0 and 1, like 0.95"))
    return float(norm.ppf(0.5 + confidence / 2))


def proportion_interval(successes: float, n: float, confidence: float = 0.95) -> tuple[float, float]:
    """The Wilson interval of a proportion such as the sensitivity, within 0..1 and never of zero width.

    `successes` of `n` > 0; neither needs to be whole (averages over repeats, effective sample sizes).
    Wilson 1927, doi:10.1080/01621459.1927.10502953.
    """
    z2 = normal_quantile(confidence) ** 2
    share = successes / n
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = np.sqrt(z2 * (share * (1 - share) / n + z2 / (4 * n * n))) / (1 + z2 / n)
    low, high = min(max(0.0, centre - half), share), max(min(1.0, centre + half), share)
    return float(low), float(high)


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


def usable_folds(scores: Scores) -> Folds:
    """The test part of a recipe's scores, split into the folds in which an area can be computed.

    Raises InputError where there is no test case, a score is not finite, a label unknown, or no fold has both classes.
    """
    problems = [
        Problem(scores.recipe, f"{what} of case {scores.case_id[bad][0]}", str(values[bad][0]), expected)
        for what, values, bad, expected in (
            ("score", scores.score, ~np.isfinite(scores.score), "a finite number for every case"),
            ("label", scores.label, ~np.isin(scores.label, (0, 1)), "0 (benign) or 1 (malignant)"),
        )
        if bad.any()
    ]
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


def _weighted_counts(score: Array, malignant: NDArray[np.bool_], weights: Array) -> tuple[Array, Array]:
    """Per resample and distinct score, falling: the malignant and the benign cases that reach it."""
    order = np.argsort(-score, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(score[order])), score.size - 1)
    weights = weights[:, order]
    hits = np.cumsum(weights * malignant[order], axis=1)[:, ends]
    return hits, np.cumsum(weights, axis=1)[:, ends] - hits


def weighted_roc_auc(malignant: NDArray[np.bool_], score: Array, weights: Array) -> Array:
    """ROC-AUC of each resample (b,) of cases (n,) that occur `weights` (b, n) times; NaN where a class is missing."""
    hits, alarms = _weighted_counts(score, malignant, weights)
    before = np.concatenate([np.zeros((len(hits), 1)), hits[:, :-1]], axis=1)
    area = np.sum(np.diff(alarms, axis=1, prepend=0) * (before + hits) / 2, axis=1)
    pairs = hits[:, -1] * alarms[:, -1]
    return np.divide(area, pairs, out=np.full(len(hits), np.nan), where=pairs > 0)


def weighted_average_precision(malignant: NDArray[np.bool_], score: Array, weights: Array) -> Array:
    """Average precision of each resample (b,), arguments as for `weighted_roc_auc`; NaN where a class is missing."""
    hits, alarms = _weighted_counts(score, malignant, weights)
    called = hits + alarms
    precision = np.divide(hits, called, out=np.zeros_like(hits), where=called > 0)
    area = np.sum(np.diff(hits, axis=1, prepend=0) * precision, axis=1)
    usable = (hits[:, -1] > 0) & (alarms[:, -1] > 0)
    return np.divide(area, hits[:, -1], out=np.full(len(hits), np.nan), where=usable)


def _patient_draws(rows: Scores, resamples: int, seed: int) -> Iterator[Array]:
    """How often each row occurs when patients are drawn with replacement, within those with and without malignancy.

    Blocks (b, n) of some resamples each, so that memory stays small. Patients are drawn over all folds at once: within
    a fold of two malignant cases a draw would show half of their variance only.
    """
    rng = np.random.default_rng(seed)
    patient = np.unique(rows.patient_id, return_inverse=True)[1]
    has_malignant = np.bincount(patient, weights=rows.label == 1) > 0
    strata = [np.flatnonzero(has_malignant), np.flatnonzero(~has_malignant)]
    block = max(1, 1_000_000 // patient.size)
    for start in range(0, resamples, block):
        size = min(block, resamples - start)
        drawn = np.concatenate(
            [rng.choice(stratum, (size, stratum.size)) for stratum in strata if stratum.size], axis=1
        )
        flat = (drawn + np.arange(size)[:, None] * has_malignant.size).ravel()
        counts = np.bincount(flat, minlength=size * has_malignant.size).reshape(size, -1)
        yield counts[:, patient].astype(float)


def _bootstrap(
    folds: Folds, value: float, metric: Weighted, confidence: float, resamples: int, seed: int
) -> tuple[float, float] | None:
    """The interval from the spread over draws of patients, or None where all draws agree or the area is 0 or 1.

    It is laid around the value on the logit scale: percentiles of small samples lie too high, as doubled malignant
    cases help each other.
    """
    rows, drawn = folds.rows, []
    for weights in _patient_draws(rows, resamples, seed):
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


def _case_proportion(
    right: Array, case_id: NDArray[np.str_], patient_id: NDArray[np.str_], note: str, confidence: float
) -> Estimate:
    """The share of cases judged right, averaged over repeats, with Wilson's interval on what the patients are worth.

    Lesions of one patient count as fewer by their design effect (Rao & Scott 1992, doi:10.2307/2532311).
    """
    _, first, case = np.unique(case_id, return_index=True, return_inverse=True)
    each = np.bincount(case, weights=right) / np.bincount(case)
    n, value = each.size, float(each.mean())
    patient = np.unique(patient_id[first], return_inverse=True)[1]
    patients = int(patient.max()) + 1
    spread = value * (1 - value) * n
    clustered = float(np.sum(np.bincount(patient, weights=each - value) ** 2))
    worth = n if patients == n else patients if spread < NO_VARIANCE else n / max(1.0, clustered / spread)
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
