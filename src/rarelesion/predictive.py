"""What a call at a threshold is worth: likelihood ratios, and predictive values at the prevalence of a place."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, logit

from rarelesion.errors import InputError, Problem
from rarelesion.metrics import check_scores
from rarelesion.patients import effective_cases, patient_numbers
from rarelesion.proportions import SHARE_INTERVALS, Share, normal_quantile
from rarelesion.types import Estimate, PredictiveValues


@dataclass(frozen=True, slots=True)
class DiagnosticAccuracy:
    """Everything that follows from calling malignant where score >= threshold."""

    threshold: float
    true_positives: int
    false_negatives: int
    false_positives: int
    true_negatives: int
    sensitivity: Estimate
    specificity: Estimate
    positive_likelihood_ratio: Estimate
    """By how much a malignant call raises the odds of malignancy: above 0, useful well above 1."""
    negative_likelihood_ratio: Estimate
    """By how much a benign call lowers them: above 0, useful well below 1."""
    in_sample: PredictiveValues
    """At the share of malignant cases found here; means nothing where cases were picked by their diagnosis."""
    at_prevalence: PredictiveValues | None
    """At the prevalence that was stated; None where none was."""


@dataclass(frozen=True, slots=True)
class _Ratio:
    """One share of cases over another, of the other class."""

    share: float
    other: float
    log: float
    """Of the ratio; after half a case was added to each cell where `note` says so."""
    half: float
    """The half-width of the interval of `log`."""
    note: str


def _ratio(share: float, size: float, other: float, other_size: float, z: float) -> _Ratio:
    """A ratio of shares of cases (worth `size` and `other_size`) with the interval of its logarithm.

    Katz et al. 1978, as Simel, Samsa & Matchar 1991 have it for likelihood ratios. The logarithm of nothing has no
    interval, and two shares of 1 leave no variance: then half a case is added to each of the four cells. Adding more,
    as the z^2 / 2 of Mercaldo's adjusted intervals, misses the truth far too often in small samples.
    """
    added = 0.5 if share == 0 or other == 0 or share == other == 1 else 0.0
    hits, others = share * size + added, other * other_size + added
    size, other_size = size + 2 * added, other_size + 2 * added
    variance = 1 / hits - 1 / size + 1 / others - 1 / other_size
    note = ", half a case added to each cell as one is empty" if added else ""
    log = float(np.log(hits / size) - np.log(others / other_size))
    return _Ratio(share, other, log, z * float(np.sqrt(variance)), note)


def _estimate(value: float, low: float, high: float, method: str) -> Estimate:
    """With its interval stretched where it doesn't hold the observed value."""
    return Estimate(float(value), float(min(low, value)), float(max(high, value)), method)


def _likelihood_ratio(ratio: _Ratio, worth: str) -> Estimate:
    """The observed ratio; where that is infinite or 0 over 0, the one after half a case was added."""
    value = ratio.share / ratio.other if ratio.other else np.exp(ratio.log)
    low, high = np.exp(ratio.log - ratio.half), np.exp(ratio.log + ratio.half)
    return _estimate(value, low, high, f"Simel's log method{ratio.note}{worth}")


def _predictive_value(ratio: _Ratio, prior: float, worth: str) -> Estimate:
    """How likely the class is after the call, `prior` before it."""
    reached, wrongly = prior * ratio.share, (1 - prior) * ratio.other
    centre = logit(prior) + ratio.log
    value = reached / (reached + wrongly) if reached + wrongly > 0 else expit(centre)
    bounds = expit(centre - ratio.half), expit(centre + ratio.half)
    return _estimate(value, *bounds, f"logit interval at a prevalence taken as known{ratio.note}{worth}")


def _predictive_values(positive: _Ratio, cleared: _Ratio, prevalence: float, worth: str) -> PredictiveValues:
    ppv, npv = _predictive_value(positive, prevalence, worth), _predictive_value(cleared, 1 - prevalence, worth)
    return PredictiveValues(prevalence, ppv, npv)


def _share_of(right: NDArray[np.bool_], patient: NDArray[np.intp], interval: Share, confidence: float) -> Estimate:
    """The share judged right, with its interval on what cases of the same patients are worth."""
    value, worth = float(right.mean()), effective_cases(right, patient)
    patients = np.unique(patient).size
    name = "Wilson" if interval == "wilson" else "Clopper-Pearson"
    method = f"{name} on {right.size} cases" + (f" of {patients} patients" if patients < right.size else "")
    return Estimate(value, *SHARE_INTERVALS[interval](value * worth, worth, confidence), method)


def prevalence_problems(prevalence: float) -> list[Problem]:
    """What is wrong with a prevalence that ought to be between 0 and 1; empty where nothing is."""
    if 0 < prevalence < 1:
        return []
    remedy = "It is the share of malignant cases among those the test is used on."
    return [Problem("prevalence", "not a share", repr(prevalence), "a number between 0 and 1, like 0.05", remedy)]


def _check_choices(threshold: float, interval: str, prevalence: float | None) -> None:
    problems = [] if prevalence is None else prevalence_problems(prevalence)
    if np.isnan(threshold):
        problems.append(Problem("threshold", "not a number", repr(threshold), "a score to call malignant from"))
    if interval not in SHARE_INTERVALS:
        problems.append(Problem("interval", "unknown", repr(interval), f"one of {', '.join(SHARE_INTERVALS)}"))
    if problems:
        raise InputError(problems)


def operating_point_of(
    labels: ArrayLike,
    scores: ArrayLike,
    threshold: float,
    patients: ArrayLike | None = None,
    confidence: float = 0.95,
    interval: Share = "wilson",
    prevalence: float | None = None,
) -> DiagnosticAccuracy:
    """What a threshold that was fixed beforehand does to these cases, and what its calls are worth to a patient.

    `labels` (n,) 0 benign, 1 malignant; `scores` (n,), higher = more suspicious; malignant is called where score >=
    threshold; `patients` (n,) whose lesions are counted for what they are worth together; `prevalence`, between 0 and
    1, of the place where the test is used. Sensitivity, specificity and the sample's own predictive values have the
    `interval` of a proportion; likelihood ratios the log method of Simel, Samsa & Matchar 1991,
    doi:10.1016/0895-4356(91)90128-V; predictive values at a stated prevalence the logit interval of Mercaldo, Lau &
    Zhou 2007, doi:10.1002/sim.2677. Where a cell is empty, half a case is added to each for the interval, which still
    holds the observed value; a ratio that would be infinite is the one after that. All numbers are finite.
    Raises InputError for one class only, a score or threshold that is no number, or a prevalence outside 0..1.

    >>> point = operating_point_of([0, 0, 0, 1, 1], [1, 2, 4, 3, 5], threshold=2.5, prevalence=0.1)
    >>> point.sensitivity.value, point.positive_likelihood_ratio.value, round(point.at_prevalence.ppv.value, 3)
    (1.0, 3.0, 0.25)
    """
    z = normal_quantile(confidence)
    _check_choices(threshold, interval, prevalence)
    malignant, score = check_scores(labels, scores)
    patient = patient_numbers(patients, score.size)
    called = score >= threshold
    right = called == malignant

    def share(members: NDArray[np.bool_]) -> Estimate:
        return _share_of(right[members], patient[members], interval, confidence)

    sensitivity, specificity = share(malignant), share(~malignant)
    m, n = (effective_cases(right[members], patient[members]) for members in (malignant, ~malignant))
    missed, alarmed = float((~right[malignant]).mean()), float((~right[~malignant]).mean())
    positive = _ratio(sensitivity.value, m, alarmed, n, z)
    negative = _ratio(missed, m, specificity.value, n, z)
    cleared = _ratio(specificity.value, n, missed, m, z)
    worth = ", lesions counted for what each patient's are worth" if np.unique(patient).size < score.size else ""
    found = _predictive_values(positive, cleared, float(malignant.mean()), worth)
    return DiagnosticAccuracy(
        float(threshold),
        *(int(count.sum()) for count in (right & called, malignant & ~called, ~malignant & called, right & ~called)),
        sensitivity=sensitivity,
        specificity=specificity,
        positive_likelihood_ratio=_likelihood_ratio(positive, worth),
        negative_likelihood_ratio=_likelihood_ratio(negative, worth),
        in_sample=PredictiveValues(
            found.prevalence,
            share(called) if called.any() else found.ppv,
            share(~called) if not called.all() else found.npv,
        ),
        at_prevalence=None if prevalence is None else _predictive_values(positive, cleared, float(prevalence), worth),
    )
