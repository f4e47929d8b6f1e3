"""What acting on the probabilities is worth: net benefit beside treating all and treating none.

Meant for probabilities that may be pooled, as `calibration.calibrate_folds` makes them. Curves of single folds are not
averaged: a fold with few malignant cases would count as much as one with many, and one without any has no curve.
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rarelesion.calibration import check_probabilities, share_problem
from rarelesion.errors import InputError, Problem
from rarelesion.patients import effective_cases, patient_numbers
from rarelesion.proportions import normal_quantile, proportion_interval
from rarelesion.resampling import patient_draws

Array = NDArray[np.float64]
THRESHOLDS = np.arange(1, 100) / 100
"""From 1 to 99 %: of these only those at which one would really hesitate matter."""
Interval = Literal["wilson", "bootstrap"]
SAME = 1e-12
"""A spread over draws below this is rounding."""


@dataclass(frozen=True, eq=False, slots=True)
class DecisionCurve:
    """Net benefit at each threshold probability: malignant is called where probability >= threshold. Arrays (t,)."""

    thresholds: Array
    model: Array
    """Of acting on the probabilities, with its interval `low` to `high`; at most the prevalence."""
    low: Array
    high: Array
    treat_all: Array
    treat_none: Array
    """Zeros."""
    prevalence: float
    """The share of malignant lesions the curve holds for, taken as known."""
    method: str


def _check_thresholds(thresholds: ArrayLike | None, prevalence: float | None) -> Array:
    """Thresholds (t,), or an InputError with what is wrong with them and the prevalence."""
    value = THRESHOLDS if thresholds is None else np.asarray(thresholds, dtype=np.float64).ravel()
    problems = [share_problem("prevalence", prevalence)] if prevalence is not None and not 0 < prevalence < 1 else []
    outside = value[~((value > 0) & (value < 1))]
    if outside.size or not value.size:
        found = f"{outside[0]}" if outside.size else "none"
        problems.append(Problem("thresholds", "not a threshold probability", found, "numbers between 0 and 1"))
    if problems:
        raise InputError(problems)
    return value


def _called(probability: Array, members: NDArray[np.bool_], thresholds: Array, weights: Array) -> Array:
    """The share (b, t) of the members, drawn `weights` (b, n) times, with probability >= threshold; NaN for none."""
    value = probability[members]
    order = np.argsort(value)
    below = np.searchsorted(value[order], thresholds, side="left")
    drawn = np.cumsum(weights[:, members][:, order], axis=1)
    drawn = np.concatenate([np.zeros((len(drawn), 1)), drawn], axis=1)
    total = drawn[:, -1:]
    return np.divide(
        total - drawn[:, below], total, out=np.full((len(drawn), thresholds.size), np.nan), where=total > 0
    )


def _net(sensitivity: Array, alarms: Array, thresholds: Array, prevalence: float) -> Array:
    """Net benefit from sensitivity and 1 - specificity."""
    return sensitivity * prevalence - alarms * (1 - prevalence) * thresholds / (1 - thresholds)


def net_benefit(
    labels: ArrayLike, probabilities: ArrayLike, thresholds: ArrayLike, prevalence: float | None = None
) -> Array:
    """The malignancies found, per lesion seen, less the false alarms at their price.

    `labels` (n,) 0 benign, 1 malignant; `probabilities` (n,) in 0..1; `thresholds` (t,) between 0 and 1; result (t,),
    at most the prevalence, 0 for treating nobody. A threshold of 0.2 says that one missed malignancy is as bad as 4
    false alarms. `prevalence` is the share of malignant lesions at the hospital it is for; None is that of the cases
    given. Vickers & Elkin 2006, doi:10.1177/0272989X06295361. Raises InputError for one class only, numbers that are
    no probabilities, or arrays of different lengths.

    >>> net_benefit([0, 0, 0, 1, 1], [0.1, 0.2, 0.6, 0.4, 0.9], thresholds=[0.5, 0.2]).round(3).tolist()
    [0.0, 0.3]
    """
    value = _check_thresholds(thresholds, prevalence)
    malignant, probability = check_probabilities(labels, probabilities)
    once = np.ones((1, malignant.size))
    found, alarms = (_called(probability, members, value, once)[0] for members in (malignant, ~malignant))
    return _net(found, alarms, value, float(malignant.mean()) if prevalence is None else prevalence)


def _wilson_reach(probability: Array, patient: NDArray[np.intp], thresholds: Array, confidence: float) -> Array:
    """How far Wilson's interval of the share of these cases (n,) that are called reaches down and up; (2, t)."""
    reach = []
    for threshold in thresholds:
        called = probability >= threshold
        share, worth = float(called.mean()), effective_cases(called, patient)
        low, high = proportion_interval(share * worth, worth, confidence)
        reach.append((max(0.0, share - low), max(0.0, high - share)))
    return np.transpose(reach)


def _drawn_shares(
    malignant: NDArray[np.bool_],
    probability: Array,
    patient: NDArray[np.intp],
    thresholds: Array,
    resamples: int,
    seed: int,
) -> tuple[Array, Array, NDArray[np.bool_]]:
    """The shares of malignant and benign called, each (draws, t), in draws of patients, and where (t,) both vary."""
    drawn = [
        np.stack([_called(probability, members, thresholds, weights) for members in (malignant, ~malignant)])
        for weights in patient_draws(malignant.astype(np.int64), patient.astype(np.str_), resamples, seed)
    ]
    shares = np.concatenate(drawn, axis=1)
    shares = shares[:, np.isfinite(shares).all(axis=(0, 2))]
    varies = np.any(np.abs(shares - shares[:, :1]) > SAME, axis=1).all(axis=0)
    return shares[0], shares[1], varies


def decision_curve(
    labels: ArrayLike,
    probabilities: ArrayLike,
    patients: ArrayLike | None = None,
    thresholds: ArrayLike | None = None,
    prevalence: float | None = None,
    confidence: float = 0.95,
    interval: Interval = "wilson",
    resamples: int = 2000,
    seed: int = 0,
) -> DecisionCurve:
    """Whether acting on the probabilities does more good than treating every lesion or none, by threshold probability.

    Arguments and errors as for `net_benefit`; `thresholds` are 0.01 to 0.99 where none are given, `patients` (n,) says
    which lesions belong together. Each interval is for one threshold, with the prevalence taken as known, so that
    treating all has none. "wilson" combines those of sensitivity and specificity (Zou & Donner 2008,
    doi:10.1002/sim.3095). "bootstrap" is percentiles over `resamples` draws of patients (`seed`); where all draws call
    the same share of a class these are far too narrow, Wilson takes their place and `method` says so.
    """
    value = _check_thresholds(thresholds, prevalence)
    malignant, probability = check_probabilities(labels, probabilities)
    patient = patient_numbers(patients, malignant.size)
    normal_quantile(confidence)
    stated = float(malignant.mean()) if prevalence is None else prevalence
    model = net_benefit(malignant, probability, value, stated)
    price = (1 - stated) * value / (1 - value)
    found, alarms = (_wilson_reach(probability[m], patient[m], value, confidence) for m in (malignant, ~malignant))
    low = model - np.hypot(stated * found[0], price * alarms[1])
    high = model + np.hypot(stated * found[1], price * alarms[0])
    method = "Wilson of sensitivity and specificity, combined"
    if interval == "bootstrap":
        found, alarms, varies = _drawn_shares(malignant, probability, patient, value, resamples, seed)
        method = (
            f"percentiles of {resamples} draws of patients; at {(~varies).sum()} of {value.size} thresholds, where "
            f"a class shows no spread, {method}"
        )
        if varies.any():
            net = _net(found[:, varies], alarms[:, varies], value[varies], stated)
            below, above = np.quantile(net, [0.5 - confidence / 2, 0.5 + confidence / 2], axis=0)
            low[varies], high[varies] = np.minimum(below, model[varies]), np.maximum(above, model[varies])
    return DecisionCurve(value, model, low, high, stated - price, np.zeros(value.size), stated, method)


def standardised(curve: DecisionCurve) -> DecisionCurve:
    """The same curve as a share of the most that can be gained: 1 is finding every malignancy without a false alarm.

    All net benefits divided by the prevalence. Kerr, Brown, Zhu & Janes 2016, doi:10.1200/JCO.2015.65.5654.
    """
    divided = {name: getattr(curve, name) / curve.prevalence for name in ("model", "low", "high", "treat_all")}
    return replace(curve, **divided, method=f"{curve.method}; divided by the prevalence")
