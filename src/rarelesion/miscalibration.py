"""How far probabilities of malignancy are from what is found in the test cases, with intervals for few cases."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, logit
from scipy.stats import t as student

from rarelesion.calibration import check_probabilities
from rarelesion.errors import InputError, Problem
from rarelesion.folds import NO_VARIANCE
from rarelesion.logistic import (
    INTERCEPT,
    SLOPE,
    fit_line,
    fit_offset,
    line_interval,
    offset_interval,
    separated,
)
from rarelesion.patients import effective_cases, patient_numbers
from rarelesion.proportions import normal_quantile, proportion_interval
from rarelesion.types import Estimate

Array = NDArray[np.float64]
EDGE = 1e-6
"""Probabilities nearer to 0 or 1 are moved to here for log-odds: those of 0 and 1 are infinite."""
SAME = 1e-9
"""A spread of log-odds below this share of their size is rounding."""
CASES_A_BIN, FEWEST_BINS, MOST_BINS = 5, 2, 10
"""Of the rarer class on average, and how many bins a reliability curve has."""


@dataclass(frozen=True, slots=True)
class CalibrationLine:
    """The line log-odds of malignancy = intercept + slope * log-odds of the probability. Perfect: 0 and 1."""

    intercept: Estimate
    slope: Estimate
    """Below 1: the probabilities are too extreme; above 1: too timid."""


@dataclass(frozen=True, eq=False, slots=True)
class ReliabilityCurve:
    """What share of the cases with about the same probability is malignant, bin by bin. All arrays (bins,)."""

    predicted: Array
    """The mean probability in the bin."""
    observed: Array
    """The share of malignant cases in the bin, with its interval `low` to `high`."""
    low: Array
    high: Array
    cases: NDArray[np.intp]
    method: str


def _log_odds(probability: Array) -> tuple[Array, str]:
    """Log-odds of probabilities, and a note on those moved away from 0 and 1."""
    moved = int(((probability < EDGE) | (probability > 1 - EDGE)).sum())
    note = f", {moved} probabilities moved to {EDGE:g} from 0 or 1" if moved else ""
    return logit(np.clip(probability, EDGE, 1 - EDGE)), note


def _patients_of(patients: ArrayLike | None, n: int) -> NDArray[np.intp]:
    """The patient of each of n cases, or an InputError where there is one patient only."""
    patient = patient_numbers(patients, n)
    if patient.max() == 0:
        found = f"{n} lesions of one patient"
        raise InputError(Problem("patients", "too few for an interval", found, "two patients or more"))
    return patient


def _design_effect(influence: Array, patient: NDArray[np.intp]) -> float:
    """By how much lesions of the same patients raise the variance of a sum of influences (n,); at least 1."""
    patients = int(patient.max()) + 1
    alone = float(np.sum(influence**2))
    if patients == patient.size:
        return 1.0
    if alone <= NO_VARIANCE:
        return patient.size / patients
    return max(1.0, float(np.sum(np.bincount(patient, weights=influence) ** 2)) / alone)


def _misfit(residual: Array, share: Array, patient: NDArray[np.intp]) -> float:
    """The variance of the sum of residuals (n,) over patients, as a share of what the probabilities (n,) imply."""
    implied = float(np.sum(share * (1 - share)))
    found = float(np.sum(np.bincount(patient, weights=residual) ** 2))
    return found / implied if implied > NO_VARIANCE else 1.0


def _patients_note(patient: NDArray[np.intp]) -> str:
    patients = int(patient.max()) + 1
    return f", {patient.size} cases of {patients} patients" if patients < patient.size else ""


def calibration_in_the_large(
    labels: ArrayLike, probabilities: ArrayLike, patients: ArrayLike | None = None, confidence: float = 0.95
) -> Estimate:
    """Whether malignancy is as frequent as the probabilities say: the log-odds to be added to all of them.

    `labels` (n,) 0 benign, 1 malignant; `probabilities` (n,) in 0..1; `patients` (n,) says which lesions belong
    together. 0 is perfect, above 0 the probabilities are too low on average. The interval is that of the likelihood,
    over the design effect where patients have several lesions. Too extreme probabilities would make it too short: where
    more spread is found about the shifted ones than they imply, it is over that ratio. Cox 1958,
    doi:10.1093/biomet/45.3-4.562; Van Calster et al. 2019, doi:10.1186/s12916-019-1466-7. Raises InputError for one
    class or one patient only, numbers that are no probabilities, or arrays of different lengths.

    >>> round(calibration_in_the_large([0, 0, 0, 1], [0.5, 0.5, 0.5, 0.5]).value, 3)
    -1.099
    """
    malignant, probability = check_probabilities(labels, probabilities)
    patient, y = _patients_of(patients, malignant.size), malignant.astype(float)
    normal_quantile(confidence)
    offset, note = _log_odds(probability)
    value = fit_offset(offset, y)
    share = expit(offset + value)
    effect = max(_design_effect(y - share, patient), _misfit(y - share, share, patient))
    method = "likelihood interval, over the spread found where that is more" + _patients_note(patient) + note
    return Estimate(value, *offset_interval(offset, y, confidence, effect), method)


def calibration_line(
    labels: ArrayLike, probabilities: ArrayLike, patients: ArrayLike | None = None, confidence: float = 0.95
) -> CalibrationLine:
    """Whether the probabilities are too extreme or too timid: logistic regression of the labels on their log-odds.

    Arguments as for `calibration_in_the_large`. Intervals are from the profile likelihood, over the design effect where
    patients have several lesions. Where a threshold separates the classes, or nearly so that an interval has no
    end, both come from Firth's penalised likelihood (Heinze & Schemper 2002, doi:10.1002/sim.1047), and `method` says
    so. Cox 1958, doi:10.1093/biomet/45.3-4.562. Raises InputError also where all probabilities are the same.

    >>> line = calibration_line([0, 0, 1, 0, 1, 1], [0.1, 0.2, 0.3, 0.7, 0.8, 0.9])
    >>> round(line.slope.value, 2)
    0.9
    """
    malignant, probability = check_probabilities(labels, probabilities)
    patient = _patients_of(patients, malignant.size)
    normal_quantile(confidence)
    x, note = _log_odds(probability)
    if x.std() <= SAME * (1 + np.abs(x).max()):
        found, remedy = f"{probability[0]:g} for every case", "Calibration in the large can still be judged."
        raise InputError(Problem("probabilities", "all the same, so they have no slope", found, remedy=remedy))
    note = _patients_note(patient) + note
    if not separated(x, malignant):
        line = _line(x, malignant, patient, confidence, False, "profile likelihood" + note)
        if np.isfinite([line.intercept.low, line.intercept.high, line.slope.low, line.slope.high]).all():
            return line
    method = "penalised profile likelihood (Firth), as the probabilities all but separate the classes" + note
    return _line(x, malignant, patient, confidence, True, method)


def _line(
    x: Array, malignant: NDArray[np.bool_], patient: NDArray[np.intp], confidence: float, penalised: bool, method: str
) -> CalibrationLine:
    """The line through log-odds x (n,) with its intervals, infinite where the likelihood hardly falls."""
    y = malignant.astype(float)
    line = fit_line(x, y, penalised)
    share = expit(line[INTERCEPT] + line[SLOPE] * x)
    weight = share * (1 - share)
    columns = np.stack([np.ones(x.size), x])
    influence = np.linalg.pinv(columns * weight @ columns.T) @ (columns * (y - share))
    estimates = []
    for which in (INTERCEPT, SLOPE):
        effect = _design_effect(influence[which], patient)
        bounds = line_interval(x, y, which, confidence, effect, penalised)
        estimates.append(Estimate(line[which], *bounds, method))
    return CalibrationLine(*estimates)


def _patient_error(influence: Array, patient: NDArray[np.intp], confidence: float) -> float | None:
    """Half the width of a t interval from the influence (n,) of the cases; None where patients show no spread."""
    patients = int(patient.max()) + 1
    variance = float(np.sum(np.bincount(patient, weights=influence) ** 2))
    if patients < 2 or variance <= NO_VARIANCE:
        return None
    quantile = float(student.ppf(0.5 + confidence / 2, patients - 1))
    return quantile * float(np.sqrt(variance * patients / (patients - 1)))


def brier_score(
    labels: ArrayLike, probabilities: ArrayLike, patients: ArrayLike | None = None, confidence: float = 0.95
) -> Estimate:
    """The mean squared distance of the probabilities from what was found, in 0..1; 0 is perfect.

    Arguments and errors as for `calibration_in_the_large`. The interval is from the spread over patients, with
    Student's quantile, on the logit scale. Where there is no spread it is Wilson's on the number of patients: no
    number in 0..1 of that mean can vary more. Brier 1950, doi:10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2.

    >>> round(brier_score([0, 0, 1, 1], [0.1, 0.2, 0.7, 0.9]).value, 4)
    0.0375
    """
    malignant, probability = check_probabilities(labels, probabilities)
    patient = patient_numbers(patients, malignant.size)
    normal_quantile(confidence)
    distance = (probability - malignant) ** 2
    value = float(distance.mean())
    error = _patient_error((distance - value) / distance.size, patient, confidence)
    note = _patients_note(patient)
    if error is None or not 0 < value < 1:
        patients_seen = int(patient.max()) + 1
        bounds = proportion_interval(value * patients_seen, patients_seen, confidence)
        return Estimate(value, *bounds, "Wilson on the patients, as they show no spread" + note)
    half = error / (value * (1 - value))
    low, high = float(expit(logit(value) - half)), float(expit(logit(value) + half))
    return Estimate(value, low, high, "spread over patients on the logit scale" + note)


def brier_skill(
    labels: ArrayLike, probabilities: ArrayLike, patients: ArrayLike | None = None, confidence: float = 0.95
) -> Estimate:
    """How much of the Brier score of knowing the prevalence alone the probabilities save: 1 is perfect, 0 no help.

    Arguments and errors as for `calibration_in_the_large`. Below 0 they do worse than giving every case the share of
    malignant test cases. The interval is from the spread over patients, with Student's quantile, on the scale of
    the logarithm of 1 - skill; where there is no spread, from Wilson's interval of the Brier score.

    >>> round(brier_skill([0, 0, 1, 1], [0.1, 0.2, 0.7, 0.9]).value, 4)
    0.85
    """
    malignant, probability = check_probabilities(labels, probabilities)
    patient = patient_numbers(patients, malignant.size)
    normal_quantile(confidence)
    share = float(malignant.mean())
    distance, chance = (probability - malignant) ** 2, share * (1 - share)
    ratio = float(distance.mean()) / chance
    # of the mean Brier score less `ratio` times that of the prevalence, since the ratio is of two estimates
    moves = distance - distance.mean() - ratio * (1 - 2 * share) * (malignant - share)
    influence = moves / (chance * distance.size)
    error = _patient_error(influence, patient, confidence)
    note = _patients_note(patient)
    if error is None or ratio <= 0:
        patients_seen = int(patient.max()) + 1
        bounds = proportion_interval(float(distance.mean()) * patients_seen, patients_seen, confidence)
        low, high = (1 - end / chance for end in bounds[::-1])
        return Estimate(1 - ratio, low, high, "Wilson on the patients, as they show no spread" + note)
    factor = float(np.exp(min(error / ratio, 700.0)))
    low = max(1 - ratio * factor, 1 - 1 / chance)
    return Estimate(1 - ratio, low, 1 - ratio / factor, "spread over patients on the scale of log(1 - skill)" + note)


def _bins(malignant: NDArray[np.bool_], probability: Array) -> NDArray[np.intp]:
    """The bin (n,) of each case, from 0 without gaps: quantiles, with equal probabilities in the same bin."""
    rarer = min(malignant.sum(), (~malignant).sum())
    bins = int(np.clip(rarer // CASES_A_BIN, FEWEST_BINS, MOST_BINS))
    _, group, cases = np.unique(probability, return_inverse=True, return_counts=True)
    middle = (np.cumsum(cases) - cases / 2) / probability.size
    return np.unique(np.floor(bins * middle)[group], return_inverse=True)[1]


def reliability_curve(
    labels: ArrayLike, probabilities: ArrayLike, patients: ArrayLike | None = None, confidence: float = 0.95
) -> ReliabilityCurve:
    """What share of the cases given about the same probability is malignant, in bins of about equally many cases.

    Arguments and errors as for `calibration_in_the_large`. One bin for every five cases of the rarer class, at least 2
    and at most 10; fewer where many probabilities are equal, since equal ones stay together. The intervals are
    Wilson's, a patient's lesions counted for what they are worth. Each is for its own bin, not for the whole curve.
    """
    malignant, probability = check_probabilities(labels, probabilities)
    patient = patient_numbers(patients, malignant.size)
    number = _bins(malignant, probability)
    cases = np.bincount(number)
    observed, bounds = np.bincount(number, weights=malignant) / cases, []
    for here in (number == index for index in range(cases.size)):
        worth = effective_cases(malignant[here], patient[here])
        bounds.append(proportion_interval(float(malignant[here].mean()) * worth, worth, confidence))
    low, high = np.array(bounds).T
    predicted = np.bincount(number, weights=probability) / cases
    method = f"Wilson in each of {cases.size} quantile bins" + _patients_note(patient)
    return ReliabilityCurve(predicted, observed, low, high, cases, method)
