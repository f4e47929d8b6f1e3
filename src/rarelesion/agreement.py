"""How far readers agree on the same cases: percent agreement, kappas and Gwet's coefficients with honest intervals.

Every coefficient is (observed - chance) / (1 - chance) for agreement between pairs of readers. They differ in what is
taken for chance.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import t as student

from rarelesion.errors import InputError, Problem
from rarelesion.patients import patient_numbers
from rarelesion.proportions import normal_quantile, proportion_interval
from rarelesion.types import Estimate

Array = NDArray[np.float64]
Weights = Literal["none", "linear", "quadratic"]
NO_SPREAD = 1e-15
"""What is left of a variance or a share of zero after rounding."""


def _distance(categories: int) -> Array:
    """How far two steps of a scale lie apart, (q, q), 1 from end to end."""
    step = np.arange(categories)
    return np.abs(step[:, None] - step) / max(1, categories - 1)


WEIGHTS: dict[Weights, Callable[[int], Array]] = {
    "none": np.eye,
    "linear": lambda categories: 1 - _distance(categories),
    "quadratic": lambda categories: 1 - _distance(categories) ** 2,
}
"""How much two ratings agree, 0..1, by their places on a scale of q steps: add a weighting here."""


@dataclass(frozen=True, eq=False, slots=True)
class _Ratings:
    """Ratings that were checked."""

    codes: NDArray[np.intp]
    """(n, readers) the place of each rating on the scale, -1 where a reader gave none."""
    steps: int
    patient: NDArray[np.intp]
    """(n,) patients as numbers."""


@dataclass(frozen=True, eq=False, slots=True)
class _Agreement:
    """A coefficient before it has an interval. Arrays (n,) are over the cases that count for it."""

    observed: float
    chance: float
    of_observed: Array
    """What each case adds to the deviation of `observed` from its expectation."""
    of_chance: Array
    """What each case adds to that of `chance`."""
    patient: NDArray[np.intp]
    paired: NDArray[np.bool_]
    """Whether at least two readers rated the case."""

    @property
    def value(self) -> float:
        """The coefficient."""
        return (self.observed - self.chance) / (1 - self.chance)

    def variance(self) -> float:
        """The large-sample variance of the coefficient by the delta method, patients as the unit."""
        return self._patient_variance(self.of_observed - (1 - self.value) * self.of_chance) / (1 - self.chance) ** 2

    def variance_of_observed(self) -> float:
        """The large-sample variance of the observed agreement alone."""
        return self._patient_variance(self.of_observed)

    def _patient_variance(self, influence: Array) -> float:
        return float(np.sum(np.bincount(self.patient, weights=influence) ** 2))


def _numbers(ratings: ArrayLike) -> Array:
    try:
        return np.asarray(ratings, dtype=np.float64)
    except (TypeError, ValueError) as error:
        expected = "a number for each category, NaN where there is no rating, rows of one length"
        raise InputError(Problem("ratings", "not a table of numbers", str(error), expected)) from error


def _scale_problems(rated: Array, scale: Array) -> list[Problem]:
    """What is wrong with the steps of the scale or with ratings that aren't on it."""
    problems = []
    if np.unique(scale).size < scale.size or not np.isfinite(scale).all():
        problems.append(Problem("categories", "not a scale", str(scale.tolist()), "different numbers, in their order"))
    odd = np.unique(rated[~np.isin(rated, scale)])
    if odd.size:
        found = ", ".join(map(str, odd[:3].tolist()))
        expected = ", ".join(map(str, scale.tolist()[:10]))
        problems.append(Problem("ratings", "a rating is not on the scale", found, f"one of {expected}"))
    return problems


def _check_ratings(ratings: ArrayLike, categories: Sequence[float] | None, patients: ArrayLike | None) -> _Ratings:
    """Ratings as places on the scale, or an InputError with everything that is wrong with them."""
    rating = _numbers(ratings)
    if rating.ndim != 2 or rating.shape[0] == 0 or rating.shape[1] < 2:
        found = " by ".join(map(str, rating.shape)) or "a single number"
        raise InputError(Problem("ratings", "not a table of cases and readers", found, "n cases by 2 readers or more"))
    there = ~np.isnan(rating)
    rated = rating[there]
    scale = np.unique(rated[np.isfinite(rated)]) if categories is None else np.asarray(categories, dtype=np.float64)
    problems, patient = _scale_problems(rated, scale), np.arange(len(rating))
    if not (there.sum(axis=1) >= 2).any():
        expected = "at least one case with two ratings"
        problems.append(Problem("ratings", "no case was rated by two readers", "nothing to compare", expected))
    try:
        patient = patient_numbers(patients, len(rating))
    except InputError as error:
        problems.extend(error.problems)
    if problems:
        raise InputError(problems)
    order = np.argsort(scale)
    codes = np.full(rating.shape, -1)
    codes[there] = order[np.searchsorted(scale[order], rated)]
    return _Ratings(codes, scale.size, patient)


def _defined(agreement: _Agreement) -> _Agreement:
    """The coefficient, or an InputError where chance alone would give full agreement."""
    if 1 - agreement.chance > NO_SPREAD:
        return agreement
    remedy = "Report the percent agreement, or Gwet's coefficient with the whole scale as `categories`."
    found = "every rating is of the same category"
    raise InputError(Problem("ratings", "the coefficient is not defined", found, "ratings of two categories", remedy))


def _two_readers(ratings: _Ratings, weights: Weights) -> _Agreement:
    """Cohen's kappa: chance is two readers who each keep their own habits. Cases that one left out don't count."""
    both = (ratings.codes >= 0).all(axis=1)
    first, second = ratings.codes[both].T
    weight, n = WEIGHTS[weights](ratings.steps), first.size
    habits = [np.bincount(codes, minlength=ratings.steps) / n for codes in (first, second)]
    observed, chance = float(weight[first, second].mean()), float(habits[0] @ weight @ habits[1])
    of_chance = ((weight @ habits[1])[first] + (habits[0] @ weight)[second] - 2 * chance) / n
    of_observed = (weight[first, second] - observed) / n
    return _Agreement(observed, chance, of_observed, of_chance, ratings.patient[both], np.ones(n, dtype=bool))


def _many_readers(ratings: _Ratings, weights: Weights, chance_of: Callable[[float], float]) -> _Agreement:
    """Agreement of pairs of readers, each case counting once; chance rests on how often each category is used.

    `chance_of` is linear and turns the sum of the squared shares of the categories into the agreement by chance.
    A case rated by one reader counts for the shares of the categories only, as in Gwet's books.
    """
    counts = np.stack([(ratings.codes == step).sum(axis=1) for step in range(ratings.steps)], axis=1).astype(float)
    rated = counts.any(axis=1)
    counts, readers = counts[rated], counts[rated].sum(axis=1)
    paired = readers >= 2
    pairs = np.where(paired, readers * (readers - 1), 1.0)
    agreed = (np.sum(counts @ WEIGHTS[weights](ratings.steps) * counts, axis=1) - readers) / pairs
    observed = float(agreed[paired].mean())
    shares = counts / readers[:, None]
    used = shares.mean(axis=0)
    slope = chance_of(1.0) - chance_of(0.0)
    of_observed = np.where(paired, agreed - observed, 0.0) / paired.sum()
    of_chance = slope * 2 * ((shares - used) @ used) / readers.size
    return _Agreement(observed, chance_of(float(used @ used)), of_observed, of_chance, ratings.patient[rated], paired)


def _worth(agreement: _Agreement, patients: int, confidence: float) -> tuple[float, bool]:
    """How many independent cases the observed agreement is worth, and whether the ratings show how many.

    It is the number whose share has the coefficient's variance, with Student's t for the number of patients. The
    variance of the observed agreement alone is the least that is believed: with rare categories the two parts of a
    kappa cancel by accident, and the delta method promises far too much.
    """
    scale = (1 - agreement.chance) ** 2
    variance = max(agreement.variance() * scale, agreement.variance_of_observed())
    spread = agreement.observed * (1 - agreement.observed)
    varied = min(variance, spread) > NO_SPREAD
    t = float(student.ppf(0.5 + confidence / 2, max(1, patients - 1)))
    shrink = (normal_quantile(confidence) / t) ** 2 * (1 - 1 / max(2, patients))
    return shrink * (spread / variance if varied else patients), varied


def _estimate(agreement: _Agreement, cases: int, confidence: float) -> Estimate:
    """The coefficient with Wilson's interval of the observed agreement, carried over to the coefficient's scale."""
    normal_quantile(confidence)
    counted, patients = int(agreement.paired.sum()), np.unique(agreement.patient[agreement.paired]).size
    worth, varied = _worth(agreement, patients, confidence)
    least = 2 * agreement.chance - 1  # the agreement at which the coefficient is -1; weights and gaps can go below
    observed = max(agreement.observed, least)
    ends = proportion_interval(observed * worth, worth, confidence)
    value, low, high = ((end - agreement.chance) / (1 - agreement.chance) for end in (observed, *ends))
    note = f" of {patients} patient{'s' * (patients > 1)}" if patients < counted else ""
    note += f", {cases - counted} without two ratings left out" if cases > counted else ""
    note += "" if varied else ", each patient one comparison as the ratings show no variance"
    note += ", cut at -1" if agreement.observed < least - NO_SPREAD else ""
    method = f"Wilson with Student's t on the agreement in {counted} cases{note}"
    return Estimate(max(-1.0, value), max(-1.0, min(low, value)), min(1.0, max(high, value)), method)


def percent_agreement(
    ratings: ArrayLike,
    categories: Sequence[float] | None = None,
    patients: ArrayLike | None = None,
    confidence: float = 0.95,
) -> Estimate:
    """The share of pairs of readers who give a case the same rating, averaged over the cases; chance isn't taken out.

    `ratings` (n, readers) are numbers of few categories, NaN where a reader left a case out; cases with fewer than two
    ratings are left out and `method` says how many. `categories` is the whole scale in its order, where ratings that
    aren't on it should be errors. `patients` (n,) says which cases belong together. Value and interval in 0..1.
    Raises InputError for another shape, ratings off the scale, no case with two ratings.

    >>> round(percent_agreement([[1, 1], [2, 2], [1, 2], [1, 1]]).value, 2)
    0.75
    """
    table = _check_ratings(ratings, categories, patients)
    return _estimate(_many_readers(table, "none", lambda squares: 0.0), len(table.codes), confidence)


def cohen_kappa(
    first: ArrayLike,
    second: ArrayLike,
    weights: Weights = "none",
    categories: Sequence[float] | None = None,
    patients: ArrayLike | None = None,
    confidence: float = 0.95,
) -> Estimate:
    """How far two readers agree beyond what each one's habits would give by chance: Cohen's kappa, -1..1, 1 is full.

    `first` and `second` (n,) are the two readers' ratings of the same cases, NaN where one left a case out; such cases
    don't count. For a scale with an order, `weights` "linear" or "quadratic" give near misses a part, by their
    distance in steps of `categories`, the whole scale in its order (without it the ratings that occur, sorted: then
    a step nobody used is no step). `patients` (n,) says which cases belong together.
    The variance behind the interval is that of Fleiss, Cohen & Everitt 1969, doi:10.1037/h0028106, over patients;
    kappa: Cohen 1960, doi:10.1177/001316446002000104; weights: Cohen 1968, doi:10.1037/h0026256. Where chance is rare
    or common the same agreement gives a low kappa: report `gwet_ac` or the percent agreement beside it.
    Raises InputError for arrays of other lengths, ratings off the scale, or where both use one category only.

    >>> round(cohen_kappa([1, 1, 2, 2, 3], [1, 1, 2, 3, 3]).value, 3)
    0.706
    """
    pair = [_numbers(ratings).ravel() for ratings in (first, second)]
    if pair[0].size != pair[1].size:
        sizes = f"{pair[0].size} and {pair[1].size} ratings"
        raise InputError(Problem("ratings", "two readers of the same cases are needed", sizes, "one each for a case"))
    table = _check_ratings(np.stack(pair, axis=1), categories, patients)
    return _estimate(_defined(_two_readers(table, weights)), len(table.codes), confidence)


def fleiss_kappa(
    ratings: ArrayLike,
    categories: Sequence[float] | None = None,
    patients: ArrayLike | None = None,
    confidence: float = 0.95,
) -> Estimate:
    """How far several readers agree beyond chance, if every reader used the categories alike: Fleiss' kappa, -1..1.

    `ratings` (n, readers), `categories` and `patients` as for `percent_agreement`; the readers needn't be the same
    people for each case. Ratings are categories without an order. Missing ratings: a case counts with the pairs of
    ratings that it has; one rated once counts for the shares of the categories only.
    Fleiss 1971, doi:10.1037/h0031619. Raises InputError as `percent_agreement`, and where one category only is used.

    >>> round(fleiss_kappa([[1, 1, 1], [2, 2, 1], [2, 2, 2], [1, 1, 2]]).value, 3)
    0.333
    """
    table = _check_ratings(ratings, categories, patients)
    return _estimate(_defined(_many_readers(table, "none", lambda squares: squares)), len(table.codes), confidence)


def gwet_ac(
    ratings: ArrayLike,
    weights: Weights = "none",
    categories: Sequence[float] | None = None,
    patients: ArrayLike | None = None,
    confidence: float = 0.95,
) -> Estimate:
    """How far readers agree beyond chance, with a chance that doesn't swallow agreement on a rare finding: Gwet's AC1.

    Arguments, missing ratings and errors as for `fleiss_kappa`; with "linear" or "quadratic" `weights` it is AC2, and
    near misses count by their distance in steps of `categories`. Value and interval in -1..1, 1 is full;
    where readers oppose each other AC2 can fall below -1, is then given as -1, and `method` says so.
    `categories` should be the whole scale: the coefficient depends on how many steps there are to choose from, and
    where all ratings are the same it is not defined without.
    Gwet 2008, doi:10.1348/000711006X126600; AC2: Gwet, Handbook of Inter-Rater Reliability, 2014.

    >>> round(gwet_ac([[0, 0], [0, 0], [0, 0], [0, 1]], categories=[0, 1]).value, 2)
    0.68
    """
    table = _check_ratings(ratings, categories, patients)
    steps = table.steps
    if steps < 2:
        remedy = "Give the whole scale as `categories`."
        found = "every rating is of the same category"
        raise InputError(Problem("ratings", "the coefficient is not defined", found, "two categories", remedy))
    slope = float(WEIGHTS[weights](steps).sum()) / (steps * (steps - 1))
    agreement = _many_readers(table, weights, lambda squares: slope * (1 - squares))
    return _estimate(_defined(agreement), len(table.codes), confidence)
