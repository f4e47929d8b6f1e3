"""How wide the intervals of a study will be, what would make them narrower, and how many repeats are worth their time.

The intervals are this program's own: those of `intervals` on made-up cohorts, and Wilson's for every possible count.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil, floor, hypot, sqrt
from typing import Literal

import numpy as np
from scipy.special import ndtri

from rarelesion.errors import InputError, Problem
from rarelesion.intervals import pr_auc_estimate, roc_auc_estimate
from rarelesion.sizing import Width, auc_width, check_plan, design_effect_of, fold_sizes
from rarelesion.types import Estimate, Ints, Scores

MOST_SIMULATED = 20_000
"""Cases of a simulated cohort: beyond, the closed forms are as good and wait for nothing."""
APART = 40.0
"""Standard deviations between the classes at an area of 1: no draw ever mixes them."""


@dataclass(frozen=True, slots=True)
class Change:
    """Something that could be done about a width."""

    what: str
    before: float
    after: float
    """Both from the lower to the upper end of the interval of the ROC-AUC."""


@dataclass(frozen=True, slots=True)
class RepeatRow:
    """What so many folds and repeats cost, and what chance they leave in the area."""

    folds: int
    repeats: int
    networks: int
    seconds: float
    spread: float
    """Standard deviation of the mean ROC-AUC over new cases, new divisions and new seeds."""
    excess: float
    """By which share it is larger than with endless repeats."""


# --- simulated -------------------------------------------------------------------------------------------------------


def _check_size(n_malignant: int, n_benign: int, draws: int) -> None:
    problems = []
    if n_malignant + n_benign > MOST_SIMULATED:
        remedy = "Take sizing.auc_width, which needs no simulation."
        expected = f"at most {MOST_SIMULATED}"
        problems.append(Problem("cases", "too many to simulate", str(n_malignant + n_benign), expected, remedy))
    if not 20 <= draws <= 100_000:
        problems.append(Problem("draws", "not a number of cohorts to simulate", str(draws), "20 to 100000"))
    if problems:
        raise InputError(problems)


def _blank(n_malignant: int, n_benign: int, lesions: float, folds: int) -> tuple[Scores, Ints]:
    """Rows whose scores are 0, and the patient of each; a patient's lesions are of one class and in one fold."""
    label = np.repeat([1, 0], [n_malignant, n_benign])
    place = np.concatenate([np.arange(n_malignant), np.arange(n_benign)])
    within = (place / lesions).astype(np.int64)
    used = fold_sizes(within[label == 1].max() + 1, within[label == 0].max() + 1, folds)[2]
    patient = within + np.where(label == 1, 0, n_malignant)
    nothing = np.zeros(label.size, dtype=np.int64)
    case, test = np.arange(label.size).astype(str), np.full(label.size, "test")
    rows = Scores("made up", nothing, within % used, test, case, patient.astype(str), label, nothing.astype(float))
    return rows, patient


def simulated_width(
    n_malignant: int,
    n_benign: int,
    auc: float,
    metric: Literal["roc_auc", "pr_auc"] = "roc_auc",
    folds: int = 1,
    lesions_per_patient: float = 1.0,
    within_patient: float = 0.5,
    confidence: float = 0.95,
    assurance: float = 0.8,
    draws: int = 400,
    resamples: int = 500,
    seed: int = 0,
) -> Width:
    """How wide this program's interval of the ROC-AUC or PR-AUC will be, from cohorts made up for it.

    `auc` is the ROC-AUC one expects, 0..1, for the PR-AUC too: scores are normal with equal spread in both classes,
    and 0.5 is no use at all. The counts are test cases, dealt to `folds` whose areas are averaged; where a class has
    fewer patients than there are folds, to as many as it has. Patients have `lesions_per_patient` of one class, whose
    scores correlate by `within_patient` in 0..1. `limit` is not exceeded with the probability `assurance`.
    `draws` cohorts, `resamples` in the bootstrap of each PR-AUC; the same `seed` gives the same widths.
    Raises InputError for numbers that make no study, or more than 20 000 cases.
    """
    check_plan(
        n_malignant=n_malignant,
        n_benign=n_benign,
        auc=auc,
        folds=folds,
        confidence=confidence,
        lesions_per_patient=lesions_per_patient,
        within_patient=within_patient,
        assurance=assurance,
        draws=draws,
        resamples=resamples,
    )
    _check_size(n_malignant, n_benign, draws)
    rows, patient = _blank(n_malignant, n_benign, lesions_per_patient, folds)
    gap = float(np.clip(sqrt(2) * ndtri(auc), -APART, APART))
    rng = np.random.default_rng(seed)

    def width() -> float:
        common, own = rng.normal(size=(2, rows.label.size))
        score = gap * rows.label + sqrt(within_patient) * common[patient] + sqrt(1 - within_patient) * own
        estimate = _estimate(replace(rows, score=score), metric, confidence, resamples)
        return estimate.high - estimate.low

    found = np.array([width() for _ in range(draws)])
    method = f"{draws} simulated cohorts, normal scores" + (f", {folds} folds" if folds > 1 else "")
    return Width(float(found.mean()), float(np.quantile(found, assurance)), method)


def _estimate(scores: Scores, metric: str, confidence: float, resamples: int) -> Estimate:
    if metric == "roc_auc":
        return roc_auc_estimate(scores, confidence)
    return pr_auc_estimate(scores, confidence, resamples)


# --- what would help -------------------------------------------------------------------------------------------------


def what_would_help(
    n_malignant: int,
    n_benign: int,
    auc: float,
    n_patients: int | None = None,
    folds: int = 5,
    test_share: float = 0.2,
    within_patient: float = 0.5,
    between_readers: float = 0.5,
    confidence: float = 0.95,
) -> tuple[Change, ...]:
    """What would narrow the interval of the ROC-AUC of a cohort, the most helpful first, and nothing that would not.

    The counts are those of the whole cohort: one fold tests `test_share` of them, more folds test them all.
    `n_patients` (None: as many as cases) have lesions that correlate by `within_patient`; further cases come with as
    many lesions a patient. `between_readers` is the correlation of two readers' areas on the same cases, for the mean
    of both in place of one. The widths are those of `sizing.auc_width`, `auc` the area one expects. What more training
    cases do to the area itself isn't in them. Of one split fractions of a case are rounded.
    Raises InputError for counts below 1 or more patients than cases.

    >>> for change in what_would_help(20, 80, auc=0.85, folds=1)[:2]:
    ...     print(change.what, round(change.before, 2), round(change.after, 2))
    five folds instead of one split 0.44 0.2
    twice as many cases of both classes 0.44 0.31
    """
    n_cases = n_malignant + n_benign
    n_patients = n_cases if n_patients is None else n_patients
    check_plan(
        n_malignant=n_malignant,
        n_benign=n_benign,
        auc=auc,
        n_patients=n_patients,
        folds=folds,
        test_share=test_share,
        within_patient=within_patient,
        between_readers=between_readers,
        confidence=confidence,
    )
    if n_patients > n_cases:
        raise InputError(Problem("n_patients", "more patients than cases", f"{n_patients} of {n_cases} cases"))
    crowding = design_effect_of(n_cases / n_patients, within_patient)

    def width(m: int = n_malignant, n: int = n_benign, among: int = folds, inflation: float = crowding) -> float:
        tested = [max(1, floor(count * (test_share if among == 1 else 1) + 0.5)) for count in (m, n)]
        return auc_width(auc, tested[0], tested[1], confidence, folds=among, design_effect=inflation)

    before = width()
    after = {
        "10 more malignant cases": width(m=n_malignant + 10),
        "50 more benign cases": width(n=n_benign + 50),
        "twice as many cases of both classes": width(m=2 * n_malignant, n=2 * n_benign),
        "the mean of two readers instead of one": width(inflation=crowding * (1 + between_readers) / 2),
        "five folds instead of one split": width(among=5) if folds == 1 else before,
        "each case from a patient of its own": width(inflation=1.0),
    }
    changes = [Change(what, before, now) for what, now in after.items() if now < before]
    return tuple(sorted(changes, key=lambda change: change.after))


# --- repeats ---------------------------------------------------------------------------------------------------------


def repeat_rows(
    cases_sd: float,
    repeat_sd: float,
    folds: int,
    seconds_per_network: float,
    repeats: Sequence[int] = (1, 2, 3, 5, 10, 20),
) -> tuple[RepeatRow, ...]:
    """What repeats of a cross-validation cost, and how far they still steady the ROC-AUC.

    `cases_sd` is the standard deviation of the area from one set of cases to the next (`sizing.auc_standard_error` is
    a first guess), `repeat_sd` that of the mean area over the folds from one repeat to the next on the same cases, as
    two or more repeats of a pilot show it. The model: repeats with other divisions and seeds err independently once
    the cases are given, so that only their part of the variance is divided by their number. `seconds` are those of all
    networks one after the other. Raises InputError for numbers that are no standard deviations.

    >>> [(row.repeats, round(row.spread, 3)) for row in repeat_rows(0.04, 0.02, 5, 60.0, repeats=(1, 5))]
    [(1, 0.045), (5, 0.041)]
    """
    check_plan(
        cases_sd=cases_sd,
        repeat_sd=repeat_sd,
        folds=folds,
        seconds_per_network=seconds_per_network,
        repeats=min(repeats, default=0),
    )
    return tuple(_repeat_row(cases_sd, repeat_sd, folds, seconds_per_network, number) for number in repeats)


def _repeat_row(cases_sd: float, repeat_sd: float, folds: int, seconds: float, repeats: int) -> RepeatRow:
    networks = folds * repeats
    spread = hypot(cases_sd, repeat_sd / sqrt(repeats))
    return RepeatRow(folds, repeats, networks, networks * seconds, spread, spread / cases_sd - 1)


def repeats_worth(cases_sd: float, repeat_sd: float, more: float = 0.05) -> int:
    """The fewest repeats after which endless ones would steady the ROC-AUC by less than the share `more`.

    Arguments, model and errors as for `repeat_rows`.

    >>> repeats_worth(cases_sd=0.04, repeat_sd=0.02)
    3
    """
    check_plan(cases_sd=cases_sd, repeat_sd=repeat_sd, more=more)
    return max(1, ceil((repeat_sd / cases_sd) ** 2 / (more * (2 + more)) - 1e-9))
