"""Is one recipe better than another: the difference of two ROC-AUC with its interval, and adjusted p-values."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm
from scipy.stats import t as student

from rarelesion.errors import InputError, Problem
from rarelesion.folds import NO_VARIANCE, auc_influence, patient_variance, usable_folds
from rarelesion.intervals import roc_auc_estimate
from rarelesion.metrics import check_scores
from rarelesion.proportions import normal_quantile
from rarelesion.types import Comparison, Estimate, Ids, Scores


@dataclass(frozen=True, slots=True)
class Difference:
    """The difference of two areas before it is judged: a minus b, and how far chance moves it to either side."""

    value: float
    below: float
    """Its standard error towards lower values."""
    above: float
    """Its standard error towards higher values."""
    test: str
    """How it was made, in words."""
    df: float = np.inf
    """Degrees of freedom of Student's t; infinite for the normal distribution."""

    def p_above(self, bound: float) -> float:
        """The one-sided p of the test that the true difference is not above `bound`."""
        error = self.below if self.value > bound else self.above
        statistic = (self.value - bound) / error
        return float(norm.sf(statistic) if np.isinf(self.df) else student.sf(statistic, self.df))

    def p_zero(self) -> float:
        """The two-sided p of the test that there is no difference."""
        error = self.below if self.value > 0 else self.above
        statistic = abs(self.value) / error
        return float(2 * (norm.sf(statistic) if np.isinf(self.df) else student.sf(statistic, self.df)))

    def interval(self, confidence: float) -> tuple[float, float]:
        """The interval that agrees with both tests, cut at -1 and 1."""
        quantile = normal_quantile(confidence)
        if np.isfinite(self.df):
            quantile = float(student.ppf(0.5 + confidence / 2, self.df))
        return max(-1.0, self.value - quantile * self.below), min(1.0, self.value + quantile * self.above)


def as_comparison(a: str, b: str, difference: Difference, confidence: float) -> Comparison:
    """The difference of a and b as it is reported: with its interval and the two-sided p that agrees with it."""
    p = difference.p_zero()
    return Comparison(a, b, difference.value, *difference.interval(confidence), p, p, difference.test)


def as_scores(
    recipe: str,
    cases: ArrayLike,
    labels: ArrayLike,
    scores: ArrayLike,
    patients: ArrayLike | None = None,
    folds: ArrayLike | None = None,
    repeats: ArrayLike | None = None,
) -> Scores:
    """One recipe's scores of its test cases, from plain arrays, all (n,), for the comparisons of this module.

    `cases` are ids, `labels` 0 benign, 1 malignant, `scores` higher = more suspicious. `patients` are the ids of the
    unit of chance (the case where they are left out); `folds` and `repeats` are whole numbers, where several networks
    made the scores. The same id in two recipes means the same case or patient.
    Raises InputError for arrays of other lengths, one class only, a score that is not finite, a case that comes twice.
    """
    malignant, score = check_scores(labels, scores, recipe)
    n, case = score.size, _ids(cases)
    patient = case if patients is None else _ids(patients)
    fold, repeat = (np.zeros(n, np.int64) if given is None else np.asarray(given).ravel() for given in (folds, repeats))
    columns = {"cases": case, "patients": patient, "folds": fold, "repeats": repeat}
    problems = [
        Problem(recipe, f"as many {name} as scores are needed", f"{column.size}", f"{n}")
        for name, column in columns.items()
        if column.size != n
    ]
    if not problems:
        _, first, times = np.unique(_pair_codes(repeat, case), return_index=True, return_counts=True)
        if times.max() > 1:
            found = f"{times[times > 1][0]} rows of case {case[first[times > 1][0]]}"
            problems = [Problem(recipe, "a case comes twice", found, "one row for a case in each repeat")]
    if problems:
        raise InputError(problems)
    return Scores(recipe, repeat, fold, np.full(n, "test"), case, patient, malignant.astype(np.int64), score)


def _ids(values: ArrayLike) -> Ids:
    """Ids (n,) as text, whole numbers as they are: those of millions of cases would fill the memory as text."""
    ids = np.asarray(values).ravel()
    return ids if ids.dtype.kind in "iu" else ids.astype(str)


def _pair_codes(repeat: NDArray[np.integer], case: Ids) -> NDArray[np.int64]:
    """One number a row, equal where repeat and case are."""
    columns = [np.unique(column, return_inverse=True)[1].astype(np.int64) for column in (repeat, case)]
    return columns[0] * case.size + columns[1]


def _take(scores: Scores, rows: NDArray[np.intp]) -> Scores:
    return Scores(scores.recipe, *(getattr(scores, item.name)[rows] for item in fields(scores)[1:]))


def common_rows(a: Scores, b: Scores) -> tuple[Scores, Scores]:
    """The test rows that both recipes have, in the same order."""
    a, b = (scores.where(scores.part == "test") for scores in (a, b))
    where = f"{a.recipe} against {b.recipe}"
    repeat, case = (np.concatenate([getattr(a, name), getattr(b, name)]) for name in ("repeat", "case_id"))
    codes = _pair_codes(repeat, case)
    _, in_a, in_b = np.intersect1d(codes[: a.score.size], codes[a.score.size :], return_indices=True)
    if not in_a.size:
        found = f"{np.unique(a.case_id).size} and {np.unique(b.case_id).size} test cases, none in common"
        raise InputError(Problem(where, "no common test cases", found, "two recipes tested on the same cases"))
    a, b = _take(a, in_a), _take(b, in_b)
    problems = [
        Problem(
            where,
            f"{name} of case {a.case_id[differs][0]}",
            f"{getattr(a, name)[differs][0]} and {getattr(b, name)[differs][0]}",
            "the same in both",
            "Compare recipes of one run only.",
        )
        for name in ("fold", "label", "patient_id")
        if (differs := getattr(a, name) != getattr(b, name)).any()
    ]
    if problems:
        raise InputError(problems)
    return a, b


def independent_difference(a: Estimate, b: Estimate, confidence: float, test: str) -> Difference:
    """The difference of two estimates from their intervals as if they were independent: wide, but never of no width.

    Newcombe 1998, doi:10.1002/(SICI)1097-0258(19980430)17:8<873::AID-SIM779>3.0.CO;2-I; Zou & Donner 2008,
    doi:10.1002/sim.3095.
    """
    quantile = normal_quantile(confidence)
    below = float(np.hypot(a.value - a.low, b.high - b.value)) / quantile
    above = float(np.hypot(a.high - a.value, b.value - b.low)) / quantile
    # at the end of the scale, as 1 against 0, one side has no width and is not asked about
    return Difference(a.value - b.value, below or above, above or below, test)


def paired_difference(a: Scores, b: Scores, confidence: float = 0.95) -> Difference:
    """The difference of two ROC-AUC on the test cases that both recipes scored; see `compare_roc_auc`."""
    rows = max(int((scores.part == "test").sum()) for scores in (a, b))
    a, b = common_rows(a, b)
    folds, other = usable_folds(a), usable_folds(b)
    both = f" on the {np.unique(a.case_id).size} cases that both scored" if a.case_id.size < rows else ""
    (value_a, influence_a), (value_b, influence_b) = auc_influence(folds), auc_influence(other)
    variance = patient_variance(folds.rows, influence_a - influence_b)
    if variance > NO_VARIANCE:
        error = float(np.sqrt(variance))
        return Difference(value_a - value_b, error, error, f"{folds.note}paired DeLong{both}")
    test = f"{folds.note}score intervals combined as if independent{both}, as DeLong's variance is zero"
    return independent_difference(roc_auc_estimate(a, confidence), roc_auc_estimate(b, confidence), confidence, test)


def compare_roc_auc(a: Scores, b: Scores, confidence: float = 0.95) -> Comparison:
    """Whether recipe a separates the classes better than b, by their ROC-AUC on the test cases that both scored.

    `difference` is a minus b, the mean over folds, with its own interval within -1..1 and a two-sided p: paired DeLong,
    doi:10.2307/2531595, generalised to folds and patients as in `folds.auc_influence`. Where no case speaks for
    either (same ranking, two perfect ones), the interval is that of independent areas, wider than need be.
    `p_adjusted` is p; `holm` adjusts a family of comparisons.
    Raises InputError where there is no common test case, or folds, labels or patients of a common case disagree.
    """
    return as_comparison(a.recipe, b.recipe, paired_difference(a, b, confidence), confidence)


def _shared_patients_agree(a: Scores, b: Scores) -> None:
    """An InputError where a case of both recipes is benign in one and malignant in the other."""
    _, in_a, in_b = np.intersect1d(a.case_id, b.case_id, return_indices=True)
    differs = np.flatnonzero(a.label[in_a] != b.label[in_b])
    if differs.size:
        row = in_a[differs[0]]
        found = f"{a.label[row]} and {b.label[in_b[differs[0]]]}"
        remedy = "Give cases of different patients different ids."
        where = f"{a.recipe} against {b.recipe}"
        raise InputError(Problem(where, f"label of case {a.case_id[row]}", found, "the same in both", remedy))


def compare_unpaired_roc_auc(a: Scores, b: Scores, confidence: float = 0.95) -> Comparison:
    """Whether the classes are separated better in one group of cases than in another, by the two ROC-AUC.

    For groups that differ (two hospitals, two scanners) or overlap in part: all test cases of `a` and of `b` count.
    Patients are told apart by their id; a patient of both groups adds what his cases do to both areas, so that the
    covariance is in the variance. Without shared patients this is DeLong's test of independent areas with Welch's
    degrees of freedom, as in pROC (Robin et al. 2011, doi:10.1186/1471-2105-12-77); with shared ones these degrees
    are kept, which is on the safe side. `difference` is a minus b, its interval within -1..1, p two-sided. Where an
    area shows no variance (a perfect ranking, one patient in a class), the intervals of both areas are combined.
    Raises InputError where no fold has both classes, or labels of a shared case disagree.
    """
    a, b = (scores.where(scores.part == "test") for scores in (a, b))
    folds = usable_folds(a), usable_folds(b)
    _shared_patients_agree(a, b)
    (value_a, influence_a), (value_b, influence_b) = (auc_influence(one) for one in folds)
    own = [patient_variance(a, influence_a), patient_variance(b, influence_b)]
    ids, patient = np.unique(np.concatenate([a.patient_id, b.patient_id]), return_inverse=True)
    sizes = [np.unique(scores.patient_id).size for scores in (a, b)]
    shared = sum(sizes) - ids.size
    note = "".join(f"{one.rows.recipe}: {one.note}" for one in folds if one.note)
    note += f"{shared} patients in both, " if shared else ""
    summed = np.bincount(patient, weights=np.concatenate([influence_a, -influence_b]))
    variance = float(np.sum(summed**2))
    if variance > NO_VARIANCE and min(own) > NO_VARIANCE:
        df = sum(own) ** 2 / sum(one**2 / (size - 1) for one, size in zip(own, sizes, strict=True))
        error = float(np.sqrt(variance))
        found = Difference(value_a - value_b, error, error, f"{note}unpaired DeLong with Welch's t", df)
    else:
        test = f"{note}score intervals combined as if independent, as an area shows no variance"
        estimates = roc_auc_estimate(a, confidence), roc_auc_estimate(b, confidence)
        found = independent_difference(*estimates, confidence, test)
    return as_comparison(a.recipe, b.recipe, found, confidence)


def _checked_p(p_values: Sequence[float]) -> NDArray[np.float64]:
    p = np.asarray(p_values, dtype=float).ravel()
    wrong = np.flatnonzero(~((p >= 0) & (p <= 1)))
    if wrong.size:
        found = f"{p[wrong[0]]} at position {wrong[0]} ({wrong.size} in all)"
        raise InputError(Problem("p-values", "not a p-value", found, "numbers between 0 and 1"))
    return p


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Holm's adjusted p-values, in the order given: each may be read as if it were the only test made.

    The chance of any false claim in the family stays below the level. Values in 0..1, else InputError.
    Holm 1979, doi:10.2307/4615733.

    >>> holm([0.01, 0.04, 0.03])
    (0.03, 0.06, 0.06)
    """
    p = _checked_p(p_values)
    order = np.argsort(p, kind="stable")
    adjusted = np.empty(p.size)
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(p.size, 0, -1)), 1.0)
    return tuple(adjusted.tolist())


def benjamini_hochberg(p_values: Sequence[float]) -> tuple[float, ...]:
    """P-values after Benjamini and Hochberg, in the order given: for screening many candidates, not for claims.

    Of the tests called positive at a level of 0.05 about that share is false on average, where the tests are
    independent or depend on each other positively. Values in 0..1, else InputError.
    Benjamini & Hochberg 1995, doi:10.1111/j.2517-6161.1995.tb02031.x.

    >>> benjamini_hochberg([0.01, 0.04, 0.03])
    (0.03, 0.04, 0.04)
    """
    p = _checked_p(p_values)
    order = np.argsort(-p, kind="stable")
    adjusted = np.empty(p.size)
    adjusted[order] = np.minimum(np.minimum.accumulate(p[order] * p.size / np.arange(p.size, 0, -1)), 1.0)
    return tuple(adjusted.tolist())
