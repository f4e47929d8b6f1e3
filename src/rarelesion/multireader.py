"""Studies in which several readers read the same cases under several modalities: is one modality better?

The method is Obuchowski and Rockette's with Hillis' degrees of freedom, for the ROC-AUC in a fully crossed design:
every reader scores every case under every modality. A modality is a way of reading, as unaided and aided; a model
beside readers is one in which every reader gives the model's score.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, logit
from scipy.stats import chi2
from scipy.stats import f as fisher
from scipy.stats import t as student

from rarelesion.compare import Difference, as_comparison, as_scores, holm, independent_difference
from rarelesion.errors import InputError, Problem
from rarelesion.folds import NO_VARIANCE
from rarelesion.intervals import roc_auc_estimate
from rarelesion.metrics import check_scores, placements
from rarelesion.patients import patient_numbers
from rarelesion.proportions import normal_quantile
from rarelesion.resampling import weighted_roc_auc
from rarelesion.types import Comparison, Estimate

Array = NDArray[np.float64]
Random = Literal["readers and cases", "cases", "readers"]
"""What is a sample of something larger: the result holds for all readers, all cases, or both."""
Covariance = Literal["delong", "jackknife"]
Scale = Literal["logit", "plain"]


@dataclass(frozen=True, slots=True)
class ErrorTerms:
    """The mean squares of the readers' areas and the covariances of their errors, for planning the next study."""

    ms_modality: float
    """0 where there is one modality."""
    ms_reader: float
    ms_interaction: float
    """Of modality and reader; 0 where there is one modality or one reader."""
    variance: float
    """Of one reader's area under one modality, over samples of cases."""
    cov1: float
    """Of the areas of one reader under two modalities."""
    cov2: float
    """Of the areas of two readers under one modality."""
    cov3: float
    """Of the areas of two readers under two modalities."""


@dataclass(frozen=True, slots=True)
class ModalityTest:
    """The test that all modalities have the same area."""

    statistic: float | None
    """F; None where there is no variance to test against."""
    df_modality: float
    df_error: float
    """Hillis' where readers and cases are random; infinite where readers are fixed."""
    p: float


@dataclass(frozen=True, slots=True)
class MultiReader:
    """What a study of several readers says."""

    modalities: tuple[str, ...]
    areas: tuple[tuple[float, ...], ...]
    """The ROC-AUC of each reader, by modality."""
    means: tuple[Estimate, ...]
    """The readers' mean area under each modality."""
    differences: tuple[Comparison, ...]
    """Of the mean areas of each pair of modalities, the earlier minus the later one."""
    test: ModalityTest | None
    """None where there is one modality."""
    terms: ErrorTerms


@dataclass(frozen=True, eq=False, slots=True)
class _Study:
    """A study that was checked."""

    malignant: NDArray[np.bool_]
    scores: Array
    """(modality, reader, case)."""
    modalities: tuple[str, ...]
    patient: NDArray[np.intp]
    """(case,) as numbers from 0."""
    random: Random
    confidence: float


def _table(scores: ArrayLike, expected: str, axes: int) -> Array:
    """Scores as an array of so many axes, none of them empty."""
    table = np.asarray(scores, dtype=np.float64)
    if table.ndim != axes or 0 in table.shape:
        found = f"an array of shape {table.shape}"
        raise InputError(Problem("scores", "not a table of modalities, readers and cases", found, expected))
    return table


def _names(given: Sequence[str] | None, count: int, word: str) -> tuple[list[str], list[Problem]]:
    """One name each, made up where none are given, and what is wrong with them."""
    if given is None:
        return [f"{word}{number + 1}" for number in range(count)], []
    names = [str(name) for name in given]
    if len(names) == count == len(set(names)):
        return names, []
    return names, [Problem(word, "names don't fit", ", ".join(names[:10]), f"{count} different names")]


def _few_patients(malignant: NDArray[np.bool_], patient: NDArray[np.intp]) -> list[Problem]:
    """A problem for each class of which there is one patient only: chance in the cases can't be seen from one."""
    return [
        Problem("patients", f"one patient with {name} cases", "1", "2 or more")
        for name, members in (("malignant", malignant), ("benign", ~malignant))
        if np.unique(patient[members]).size < 2
    ]


def _check_study(
    labels: ArrayLike,
    scores: ArrayLike,
    modalities: Sequence[str] | None,
    patients: ArrayLike | None,
    random: Random,
    confidence: float,
) -> _Study:
    """The study, or an InputError with everything that is wrong with it."""
    normal_quantile(confidence)
    table = _table(scores, "scores of (modality, reader, case)", 3)
    names, problems = _names(modalities, len(table), "modality")
    malignant, patient = np.zeros(table.shape[2], dtype=bool), np.arange(table.shape[2])
    for name, readers in zip(names, table, strict=False):
        for number, score in enumerate(readers, start=1):
            try:
                malignant, _ = check_scores(labels, score, f"{name}, reader {number}")
            except InputError as error:
                problems.extend(error.problems)
    try:
        patient = patient_numbers(patients, table.shape[2])
    except InputError as error:
        problems.extend(error.problems)
    if random != "cases" and table.shape[1] < 2:
        remedy = 'Use random="cases": the result then holds for this reader.'
        problems.append(Problem("readers", "one reader is no sample of readers", "1", "2 or more", remedy))
    problems += [] if problems else _few_patients(malignant, patient)
    if problems:
        raise InputError(problems)
    return _Study(malignant, table, tuple(names), patient, random, confidence)


def _delong(study: _Study) -> tuple[Array, Array]:
    """The areas (k,) and their covariances (k, k) over samples of patients, k modalities by readers.

    DeLong et al. 1988, doi:10.2307/2531595, with the sum of a patient's cases as the unit as in Obuchowski 1997,
    doi:10.2307/2533958.
    """
    place = np.stack([placements(study.malignant, score) for score in study.scores.reshape(-1, study.malignant.size)])
    areas = place[:, study.malignant].mean(axis=1)
    influence = place - areas[:, None]
    for members in (study.malignant, ~study.malignant):
        patients = np.unique(study.patient[members]).size
        influence[:, members] *= np.sqrt(patients / (patients - 1)) / members.sum()
    summed = np.array([np.bincount(study.patient, weights=one) for one in influence], dtype=np.float64)
    return areas, summed @ summed.T


def _jackknife(study: _Study) -> tuple[Array, Array]:
    """As `_delong`, by leaving out one patient at a time."""
    scores = study.scores.reshape(-1, study.malignant.size)
    patients = int(study.patient.max()) + 1
    block = max(1, 1_000_000 // study.malignant.size)
    left_out = []
    for start in range(0, patients, block):
        numbers = np.arange(start, min(start + block, patients))
        weights = (study.patient != numbers[:, None]).astype(float)
        left_out.append(np.stack([weighted_roc_auc(study.malignant, score, weights) for score in scores]))
    areas = np.concatenate(left_out, axis=1)
    deviation = areas - areas.mean(axis=1, keepdims=True)
    everyone = np.ones((1, study.malignant.size))
    whole = [weighted_roc_auc(study.malignant, score, everyone)[0] for score in scores]
    return np.array(whole), deviation @ deviation.T * (patients - 1) / patients


COVARIANCES: dict[Covariance, Callable[[_Study], tuple[Array, Array]]] = {"delong": _delong, "jackknife": _jackknife}
"""From a study to areas and their covariances: add a way here."""
KINDS: dict[Covariance, str] = {"delong": "DeLong's", "jackknife": "jackknife"}


def _terms(areas: Array, covariance: Array) -> ErrorTerms:
    """Mean squares of the areas (modality, reader) and averages over their covariances (modality, reader, ...)."""
    modalities, readers = areas.shape
    rows, columns = areas.mean(axis=1), areas.mean(axis=0)
    rest = areas - rows[:, None] - columns + areas.mean()
    same_modality = np.eye(modalities, dtype=bool)[:, None, :, None]
    same_reader = np.eye(readers, dtype=bool)[None, :, None, :]

    def average(chosen: NDArray[np.bool_]) -> float:
        return float(covariance[chosen].mean()) if chosen.any() else 0.0

    return ErrorTerms(
        ms_modality=float(readers * np.sum((rows - rows.mean()) ** 2) / max(1, modalities - 1)),
        ms_reader=float(modalities * np.sum((columns - columns.mean()) ** 2) / max(1, readers - 1)),
        ms_interaction=float(np.sum(rest**2) / max(1, (modalities - 1) * (readers - 1))),
        variance=average(same_modality & same_reader),
        cov1=average(~same_modality & same_reader),
        cov2=average(same_modality & ~same_reader),
        cov3=average(~same_modality & ~same_reader),
    )


def _error_term(
    random: Random, mean_square: float, df: float, own: float, shared: float, readers: int
) -> tuple[float, float]:
    """What a squared standard error is made of, times the readers, and its degrees of freedom.

    `mean_square` (with `df`) is the spread between readers, `own` the variance of one reader's number over cases and
    `shared` the covariance of two readers'. Hillis 2007, doi:10.1002/sim.2532.
    """
    shared = max(shared, 0.0)
    if random == "cases":
        return max(own, 0.0) + (readers - 1) * shared, np.inf
    if random == "readers":
        return mean_square, float(df)
    error = mean_square + readers * shared
    return error, df * (error / mean_square) ** 2 if mean_square > NO_VARIANCE else np.inf


def _widest(study: _Study, name: str, scores: Array, value: float) -> Estimate:
    """The mean area with the outermost ends of the readers' own intervals."""
    cases = np.arange(study.malignant.size)
    each = [
        roc_auc_estimate(as_scores(name, cases, study.malignant, score, study.patient), study.confidence)
        for score in scores
    ]
    method = "outermost ends of the readers' own intervals, as there is no variance to build on"
    return Estimate(value, min(one.low for one in each), max(one.high for one in each), method)


def _mean_area(study: _Study, modality: int, areas: Array, covariance: Array, scale: Scale, text: str) -> Estimate:
    """The readers' mean area under one modality, from that modality's areas (r,) and covariances (r, r) alone."""
    readers, value = areas.size, float(areas.mean())
    terms = _terms(areas[None, :], covariance[None, :, None, :])
    error, df = _error_term(study.random, terms.ms_reader, readers - 1, terms.variance, terms.cov2, readers)
    if error <= NO_VARIANCE or not 0 < value < 1:
        return _widest(study, study.modalities[modality], study.scores[modality], value)
    half = float(student.ppf(0.5 + study.confidence / 2, df) * np.sqrt(error / readers))
    if scale == "plain":
        return Estimate(value, max(0.0, value - half), min(1.0, value + half), f"{text}, cut at 0 and 1")
    centre, half = logit(value), half / (value * (1 - value))
    return Estimate(value, float(expit(centre - half)), float(expit(centre + half)), f"{text}, on the logit scale")


def _differences(
    study: _Study, means: Sequence[Estimate], error: float, df: float, text: str
) -> tuple[Comparison, ...]:
    """The differences of all pairs of modalities, with one error term for all."""
    found, readers = [], study.scores.shape[1]
    for i, j in combinations(range(len(means)), 2):
        value, spread = means[i].value - means[j].value, float(np.sqrt(2 * error / readers))
        difference = Difference(value, spread, spread, text, df)
        if error <= NO_VARIANCE:
            why = "intervals combined as if independent, as there is no variance between readers or cases"
            difference = independent_difference(means[i], means[j], study.confidence, why)
        found.append(as_comparison(study.modalities[i], study.modalities[j], difference, study.confidence))
    adjusted = holm([comparison.p for comparison in found])
    return tuple(replace(comparison, p_adjusted=p) for comparison, p in zip(found, adjusted, strict=True))


def _modality_test(terms: ErrorTerms, modalities: int, error: float, df: float, lowest: float) -> ModalityTest:
    """The F test of all modalities; without an error term its p is the lowest of the pairs' after Holm."""
    between = modalities - 1.0
    if error <= NO_VARIANCE:
        return ModalityTest(None, between, df, lowest)
    statistic = terms.ms_modality / error
    p = chi2.sf(statistic * between, between) if np.isinf(df) else fisher.sf(statistic, between, df)
    return ModalityTest(statistic, between, df, float(p))


def compare_modalities(
    labels: ArrayLike,
    scores: ArrayLike,
    modalities: Sequence[str] | None = None,
    patients: ArrayLike | None = None,
    random: Random = "readers and cases",
    covariance: Covariance = "delong",
    scale: Scale = "logit",
    confidence: float = 0.95,
) -> MultiReader:
    """Whether readers separate benign from malignant better under one modality than under another, by the ROC-AUC.

    `labels` (n,) 0 benign, 1 malignant; `scores` (modalities, readers, n), higher = more suspicious, with nothing
    missing; `patients` (n,) says which cases belong together. `random` says what the result holds for: readers and
    cases like these (what a claim needs), cases like these read by these readers, or readers like these on these cases.
    Each mean area has its own error term, the differences share one; its covariances are DeLong's or the jackknife's.
    Mean areas have their interval on the logit scale, or plain as published, cut at 0 and 1; differences lie in -1..1.
    Where nothing varies, as with perfect readers, the intervals are wider ones and `method` or `test` says so.
    With two modalities the p of the F test and of the difference are the same.

    Obuchowski & Rockette 1995, Communications in Statistics - Simulation and Computation 24; Hillis 2007,
    doi:10.1002/sim.2532; Hillis 2014, Statistics in Medicine 33.
    Raises InputError for broken scores, one class, a class of one patient, one reader where readers are random.

    >>> labels = [0, 0, 0, 0, 1, 1, 1, 1]
    >>> unaided = [[1, 3, 2, 4, 3, 2, 4, 5], [2, 1, 3, 4, 4, 3, 2, 5]]
    >>> aided = [[1, 2, 2, 4, 3, 4, 5, 5], [1, 1, 3, 3, 4, 3, 4, 5]]
    >>> study = compare_modalities(labels, [aided, unaided], ["aided", "unaided"])
    >>> round(study.differences[0].difference, 3), round(study.differences[0].p, 2)
    (0.203, 0.05)
    """
    study = _check_study(labels, scores, modalities, patients, random, confidence)
    count, readers, _ = study.scores.shape
    areas, covariances = COVARIANCES[covariance](study)
    areas, covariances = areas.reshape(count, readers), covariances.reshape(count, readers, count, readers)
    text = f"Obuchowski-Rockette, random {random}"
    text += "" if random == "readers" else f", {KINDS[covariance]} covariances"
    means = tuple(_mean_area(study, i, areas[i], covariances[i, :, i], scale, text) for i in range(count))
    terms = _terms(areas, covariances)
    own, shared = terms.variance - terms.cov1, terms.cov2 - terms.cov3
    error, df = _error_term(random, terms.ms_interaction, (count - 1) * (readers - 1), own, shared, readers)
    differences, test = _differences(study, means, error, df, text), None
    if count > 1:
        test = _modality_test(terms, count, error, df, min(comparison.p_adjusted for comparison in differences))
    by_modality = tuple(tuple(row) for row in areas.tolist())
    return MultiReader(study.modalities, by_modality, means, differences, test, terms)


def compare_with_model(
    labels: ArrayLike,
    readers: ArrayLike,
    model: ArrayLike,
    patients: ArrayLike | None = None,
    random: Random = "readers and cases",
    covariance: Covariance = "delong",
    scale: Scale = "logit",
    confidence: float = 0.95,
) -> MultiReader:
    """Whether readers on average separate benign from malignant better than a model does on the same cases.

    `readers` (readers, n) and `model` (n,) are scores, higher = more suspicious; the rest as for `compare_modalities`.
    The difference is readers minus model. The model has no variance between readers: it is a modality in which every
    reader gives the model's score, which for one difference is the same as testing the readers' distances from it.
    Raises InputError as `compare_modalities` does, and where model and readers have other cases.
    """
    people = _table(readers, "readers' scores of (reader, case)", 2)
    machine = np.asarray(model, dtype=np.float64).ravel()
    if machine.size != people.shape[1]:
        found = f"{machine.size} of the model, {people.shape[1]} of the readers"
        raise InputError(Problem("model", "model and readers need the same cases", found, "a score for every case"))
    scores = np.stack([people, np.broadcast_to(machine, people.shape)])
    names = ("readers", "model")
    return compare_modalities(labels, scores, names, patients, random, covariance, scale, confidence)
