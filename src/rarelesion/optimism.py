"""How much a threshold flatters on the cases it was chosen on, and what it can be expected to do on new ones."""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rarelesion.errors import InputError, Problem
from rarelesion.patients import cases_to_draw, effective_cases
from rarelesion.proportions import normal_quantile, proportion_interval
from rarelesion.resampling import patient_draws
from rarelesion.thresholds import Rule, choose_threshold, count_called, parse_rule, place
from rarelesion.types import Estimate

Array = NDArray[np.float64]
LEFT_OUT_WEIGHT = 0.632
"""Patients left out of a draw are further from it than a new one is from all patients, of whom a draw holds .632."""


@dataclass(frozen=True, slots=True)
class Corrected:
    """A share on the cases that the threshold was chosen on, and what new cases can be expected to show."""

    apparent: float
    optimism: float
    """By how much the apparent value is expected to fall on new cases; below 0 where it is expected to rise."""
    expected: Estimate


@dataclass(frozen=True, slots=True)
class ChosenThreshold:
    """A threshold, how sure its place is, and what is left of its results on new cases of the same kind."""

    rule: str
    threshold: float
    threshold_low: float
    threshold_high: float
    """Between them lie the thresholds that as many draws of the patients would have chosen as `confidence` says."""
    sensitivity: Corrected
    specificity: Corrected
    youden: Corrected
    """Sensitivity + specificity - 1, in -1..1."""


@dataclass(frozen=True, eq=False, slots=True)
class Draws:
    """The threshold chosen again on each draw (b,) of patients; sensitivity and specificity (2, b) of each."""

    threshold: Array
    drawn: Array
    """On the drawn cases themselves."""
    original: Array
    """On all cases."""
    left_out: Array
    """On the cases of the patients that weren't drawn; NaN where there is none of the class."""


def _results(malignant: NDArray[np.bool_], score: Array, thresholds: Array) -> Array:
    """Sensitivity and specificity (2, b) of each threshold (b,) on the cases (n,)."""
    missed, cleared = (
        np.searchsorted(np.sort(score[own]), thresholds, side="left") / own.sum() for own in (malignant, ~malignant)
    )
    return np.stack([1 - missed, cleared])


def _left_out_results(malignant: NDArray[np.bool_], score: Array, weights: Array, thresholds: Array) -> Array:
    """Sensitivity and specificity (2, b) of each threshold on the cases that its draw left out, or NaN."""
    out = weights == 0
    right = out & ((score >= thresholds[:, None]) == malignant)
    cases = np.stack([out[:, own].sum(axis=1) for own in (malignant, ~malignant)])
    good = np.stack([right[:, own].sum(axis=1) for own in (malignant, ~malignant)])
    return np.divide(good, cases, out=np.full(cases.shape, np.nan), where=cases > 0)


def _choose_again(malignant: NDArray[np.bool_], score: Array, rule: Rule, weights: Array) -> Draws:
    """The threshold that the rule chooses on each resample (b, n) of the cases, all with both classes."""
    called = count_called(malignant, score, weights)
    entry = rule.choose(called.hits, called.alarms)
    threshold, row = place(called, entry), np.arange(entry.size)
    hits, alarms = (count[row, entry] / count[:, -1] for count in (called.hits, called.alarms))
    return Draws(
        threshold=threshold,
        drawn=np.stack([hits, 1 - alarms]),
        original=_results(malignant, score, threshold),
        left_out=_left_out_results(malignant, score, weights, threshold),
    )


def draw_thresholds(
    malignant: NDArray[np.bool_], score: Array, patient: NDArray[np.str_], rule: Rule, resamples: int, seed: int
) -> Draws:
    """Draw patients with replacement `resamples` times and choose the threshold anew on each draw with both classes.

    Arrays (n,), already checked. Raises InputError where no draw has both classes.
    """
    blocks = []
    for weights in patient_draws(malignant.astype(int), patient, resamples, seed):
        usable = weights[:, malignant].any(axis=1) & weights[:, ~malignant].any(axis=1)
        blocks.append(_choose_again(malignant, score, rule, weights[usable]))
    draws = Draws(*(np.concatenate([getattr(block, item.name) for block in blocks], axis=-1) for item in fields(Draws)))
    if not draws.threshold.size:
        remedy = "The benign cases are of patients with malignant ones: draw more often, or add patients."
        raise InputError(Problem("patients", "no draw has both classes", f"{resamples} draws", remedy=remedy))
    return draws


def _corrected(apparent: float, draws: Draws, which: int, worth: float, confidence: float) -> Corrected:
    """Sensitivity (`which` 0) or specificity (1) without its optimism, from `worth` independent cases."""
    fallen = draws.drawn[which] - draws.left_out[which]
    seen = np.isfinite(fallen)
    optimism = LEFT_OUT_WEIGHT * float(fallen[seen].mean()) if seen.any() else 0.0
    value = float(np.clip(apparent - optimism, 0.0, 1.0))
    error = float(np.std(draws.drawn[which] - draws.original[which]))
    if error > 0 and 0 < value < 1:
        worth = min(worth, value * (1 - value) / error**2)
    ends = [proportion_interval(share * worth, worth, confidence) for share in (value, apparent)]
    low, high = min(end[0] for end in ends), max(end[1] for end in ends)
    note = "Wilson around both the corrected and the apparent value"
    corrected = f"threshold chosen again on {fallen.size} draws of patients"
    if not seen.any():
        corrected = "not corrected, as no draw left out a patient of this class"
    return Corrected(apparent, apparent - value, Estimate(value, low, high, f"{corrected}, {note}"))


def _youden(sensitivity: Corrected, specificity: Corrected) -> Corrected:
    """Their sum less 1; the interval from both (Zou & Donner 2008, doi:10.1002/sim.3095)."""
    first, second = sensitivity.expected, specificity.expected
    value = first.value + second.value - 1
    low = value - float(np.hypot(first.value - first.low, second.value - second.low))
    high = value + float(np.hypot(first.high - first.value, second.high - second.value))
    same = first.method == second.method
    method = first.method if same else f"sensitivity {first.method}; specificity {second.method}"
    method += "; both intervals combined"
    apparent = sensitivity.apparent + specificity.apparent - 1
    expected = Estimate(value, max(-1.0, min(low, apparent)), min(1.0, max(high, apparent)), method)
    return Corrected(apparent, sensitivity.optimism + specificity.optimism, expected)


def chosen_threshold(
    labels: ArrayLike,
    scores: ArrayLike,
    rule: str | Rule = "youden",
    patients: ArrayLike | None = None,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> ChosenThreshold:
    """The threshold a rule chooses on these cases, and how sensitive and specific it can be expected to be on new ones.

    `labels` (n,) 0 benign, 1 malignant; `scores` (n,), higher = more suspicious; `rule` as for
    `thresholds.parse_rule`; `patients` (n,), the unit that is drawn. On each of `resamples` draws of patients (those
    with and without a malignant lesion drawn apart) the threshold is chosen again. The optimism is how much better it
    does on its own draw than on the patients left out of it, times .632, after Efron 1983,
    doi:10.1080/01621459.1983.10477973. The usual optimism (on the draw less on all cases: Harrell, Lee & Mark 1996,
    doi:10.1002/(SICI)1097-0258(19960229)15:4<361::AID-SIM168>3.0.CO;2-4) takes away too little, as all cases hold the
    draw's own. The interval spans Wilson's around the corrected and the apparent value, widened by the spread over the
    draws, since how lucky these very cases were isn't known.
    Raises InputError for one class only, a score that is not finite, an unknown rule or fewer than 2 resamples.
    """
    normal_quantile(confidence)
    how = rule if isinstance(rule, Rule) else parse_rule(rule)
    threshold = choose_threshold(labels, scores, how)
    malignant, score, patient = cases_to_draw(labels, scores, patients, resamples)
    draws = draw_thresholds(malignant, score, patient, how, resamples, seed)
    right = (score >= threshold) == malignant
    sensitivity, specificity = (
        _corrected(float(right[own].mean()), draws, which, effective_cases(right[own], patient[own]), confidence)
        for which, own in enumerate((malignant, ~malignant))
    )
    low, high = np.quantile(draws.threshold, [(1 - confidence) / 2, (1 + confidence) / 2])
    return ChosenThreshold(
        rule=how.text,
        threshold=threshold,
        threshold_low=min(float(low), threshold),
        threshold_high=max(float(high), threshold),
        sensitivity=sensitivity,
        specificity=specificity,
        youden=_youden(sensitivity, specificity),
    )
