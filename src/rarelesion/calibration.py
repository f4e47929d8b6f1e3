"""From a score to a probability of malignancy: fitted on the tuning cases, applied to others.

A fit is a function of labels and scores that gives a function of scores: `fit_platt(labels, scores)(new_scores)`. What
it gives holds plain numbers only. None of them ever turns the order of two cases round.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, logit
from sklearn.isotonic import isotonic_regression

from rarelesion.errors import InputError, Problem
from rarelesion.folds import broken_rows, split_rows
from rarelesion.logistic import fit_line
from rarelesion.metrics import check_scores
from rarelesion.patients import patient_numbers
from rarelesion.types import Scores

Array = NDArray[np.float64]
Point = tuple[float, float]
Apply = Callable[[ArrayLike], Array]
Fit = Callable[[ArrayLike, ArrayLike], Apply]
ISOTONIC_CASES, ISOTONIC_RARER = 1000, 100
"""Below these (all tuning cases, those of the rarer class) steps follow chance more than the truth."""
FAR = 1e9
"""How far beyond the tuning scores a new score still counts, in halves of their range."""


def check_new_scores(scores: ArrayLike, where: str = "new scores") -> Array:
    """Scores (n,) as float64, or an InputError where one is not finite."""
    score = np.asarray(scores, dtype=np.float64).ravel()
    broken = np.flatnonzero(~np.isfinite(score))
    if broken.size:
        found = f"{score[broken[0]]} at position {broken[0]} ({broken.size} in all)"
        raise InputError(Problem(where, "a score is not a finite number", found, "a number for every case"))
    return score


def check_probabilities(labels: ArrayLike, probabilities: ArrayLike) -> tuple[NDArray[np.bool_], Array]:
    """Labels as booleans and probabilities as float64, or an InputError with everything that is wrong with them."""
    problems = []
    value = np.asarray(probabilities, dtype=np.float64).ravel()
    outside = np.flatnonzero((value < 0) | (value > 1))
    if outside.size:
        found = f"{value[outside[0]]} at position {outside[0]} ({outside.size} in all)"
        remedy = "Make probabilities of the scores first, with a fit on the tuning cases."
        problems.append(Problem("probabilities", "not a probability", found, "numbers from 0 to 1", remedy))
    try:
        malignant, value = check_scores(labels, probabilities, "probabilities")
    except InputError as error:
        raise InputError([*error.problems, *problems]) from None
    if problems:
        raise InputError(problems)
    return malignant, value


@dataclass(frozen=True, slots=True)
class Platt:
    """A logistic curve: log-odds = intercept + slope * (score - centre) / scale, with slope >= 0 and scale > 0."""

    intercept: float
    slope: float
    centre: float
    scale: float

    def __call__(self, scores: ArrayLike) -> Array:
        """The probability of malignancy (n,) of scores (n,). Raises InputError where a score is not finite."""
        with np.errstate(over="ignore"):
            place = (check_new_scores(scores) - self.centre) / self.scale
        return expit(self.intercept + self.slope * np.clip(place, -FAR, FAR))


def fit_platt(labels: ArrayLike, scores: ArrayLike) -> Platt:
    """A logistic curve from score to probability of malignancy: what few tuning cases can support.

    `labels` (n,) 0 benign, 1 malignant; `scores` (n,), higher = more suspicious. Labels count as slightly less than
    certain, (m + 1) / (m + 2) for m malignant cases and 1 / (b + 2) for b benign ones, so that the curve stays finite
    where the scores separate the classes. Where it would fall, as with scores that rank the tuning cases wrongly,
    or all scores are equal, it is flat. Platt 1999, in Advances in Large Margin Classifiers.
    Raises InputError for one class only, a score that is not finite, or lengths that differ.

    >>> fit_platt([0, 0, 1, 1], [1, 2, 3, 4])([0, 2.5, 5]).round(2).tolist()
    [0.09, 0.5, 0.91]
    """
    malignant, score = check_scores(labels, scores, "tuning cases")
    low, high = float(score.min()), float(score.max())
    centre, scale = low / 2 + high / 2, high / 2 - low / 2
    certain, n = malignant.sum(), malignant.size
    target = np.where(malignant, (certain + 1) / (certain + 2), 1 / (n - certain + 2))
    intercept, slope = fit_line((score - centre) / scale, target) if scale > 0 else (0.0, 0.0)
    if slope <= 0:
        intercept, slope = float(logit(target.mean())), 0.0
    return Platt(intercept, slope, centre, scale or 1.0)


@dataclass(frozen=True, eq=False, slots=True)
class Isotonic:
    """A rising curve through points (scores, probabilities), straight between them and level beyond them."""

    knots: Array
    """(m,) scores, rising."""
    values: Array
    """(m,) probabilities, never falling."""

    def __call__(self, scores: ArrayLike) -> Array:
        """The probability of malignancy (n,) of scores (n,). Raises InputError where a score is not finite."""
        return np.interp(check_new_scores(scores), self.knots, self.values)


def _grouped(malignant: NDArray[np.bool_], score: Array) -> tuple[Array, Array, Array]:
    """Distinct scores, rising, with how many cases and how many malignant ones have each."""
    knots, group, cases = np.unique(score, return_inverse=True, return_counts=True)
    return knots, cases.astype(np.float64), np.bincount(group, weights=malignant).astype(np.float64)


def rising_shares(malignant: NDArray[np.bool_], score: Array) -> Isotonic:
    """The never falling share of malignant cases by score that fits best, equal scores taken together."""
    knots, cases, hits = _grouped(malignant, score)
    return Isotonic(knots, isotonic_regression(hits / cases, sample_weight=cases))


def fit_isotonic(labels: ArrayLike, scores: ArrayLike) -> Isotonic:
    """A rising curve of free shape from score to probability of malignancy, for many tuning cases only.

    Arguments and errors as for `fit_platt`. Zadrozny & Elkan 2002, doi:10.1145/775047.775151. Raises InputError too
    below 1000 tuning cases or 100 of the rarer class: each level of the curve is the share of malignant cases among
    the few of its scores, mostly 0 or 1 when cases are few. It did worse than Platt's curve with fewer than about 1000
    in Niculescu-Mizil & Caruana 2005, doi:10.1145/1102351.1102430; the 100 are because a rare class says no more
    than its own cases do.
    """
    malignant, score = check_scores(labels, scores, "tuning cases")
    rarer = int(min(malignant.sum(), (~malignant).sum()))
    if malignant.size < ISOTONIC_CASES or rarer < ISOTONIC_RARER:
        found = f"{malignant.size} cases, {rarer} of the rarer class"
        expected = f"at least {ISOTONIC_CASES} and {ISOTONIC_RARER}"
        remedy = "Use Platt's curve, or Venn-Abers, which says how unsure it is."
        raise InputError(Problem("tuning cases", "too few for isotonic regression", found, expected, remedy))
    return rising_shares(malignant, score)


@dataclass(frozen=True, eq=False, slots=True)
class VennAbers:
    """Two probabilities for each score: one from counting the new case as benign, one from counting it as malignant."""

    knots: Array
    """(m,) distinct tuning scores, rising."""
    if_benign: Array
    """(m + 1,) for a score below all knots, then from each knot on up to the next."""
    if_malignant: Array
    """(m + 1,) for a score up to each knot from the one before, then above all."""

    def bounds(self, scores: ArrayLike) -> tuple[Array, Array]:
        """The lower and the upper probability of malignancy, each (n,), of scores (n,).

        The lower is below the upper, always. Raises InputError where a score is not finite.
        """
        score = check_new_scores(scores)
        low = self.if_benign[np.searchsorted(self.knots, score, side="right")]
        return low, self.if_malignant[np.searchsorted(self.knots, score, side="left")]

    def __call__(self, scores: ArrayLike) -> Array:
        """One probability (n,) between the two of each score: the one with the least worst log-loss."""
        low, high = self.bounds(scores)
        return high / (1 - low + high)


def _turns_left(a: Point, b: Point, c: Point) -> bool:
    """Whether the way from a over b to c turns to the left."""
    return (b[0] - a[0]) * (c[1] - a[1]) > (b[1] - a[1]) * (c[0] - a[0])


def _push(hull: list[Point], point: Point) -> None:
    """Put a point left of a lower hull on it; the last entry is the leftmost."""
    while len(hull) > 1 and not _turns_left(point, hull[-1], hull[-2]):
        hull.pop()
    hull.append(point)


def shares_with_one_more(cases: Array, hits: Array) -> Array:
    """The isotonic share at each distinct score (m,), then above all, with one malignant case more at that place.

    By moving the added case along the diagram of sums, m steps instead of m regressions: Vovk, Petej & Fedorova 2015,
    Advances in Neural Information Processing Systems 28.
    """
    points = list(zip(np.cumsum([0, *cases]).tolist(), np.cumsum([0, *hits]).tolist(), strict=True))
    hull: list[Point] = []
    for point in points[::-1]:
        _push(hull, point)
    _push(hull, (-1.0, -1.0))
    shares = []
    for x, y in points[1:]:
        shares.append((hull[-2][1] - hull[-1][1]) / (hull[-2][0] - hull[-1][0]))
        # the added case now stands right of these: they count as one case and one malignancy earlier
        moved = (x - 1, y - 1)
        if _turns_left(hull[-1], moved, hull[-2]):
            hull.pop()
            _push(hull, moved)
    shares.append((hull[-2][1] - hull[-1][1]) / (hull[-2][0] - hull[-1][0]))
    return np.array(shares)


def fit_venn_abers(labels: ArrayLike, scores: ArrayLike) -> VennAbers:
    """Two probabilities of malignancy for each new case, far apart where the tuning cases say little.

    Arguments and errors as for `fit_platt`. The new case is counted once as benign and once as malignant among the
    tuning cases, with isotonic regression each time; for independent cases one of the two probabilities is right on
    average, whatever the scores (inductive Venn-Abers, Vovk, Petej & Fedorova 2015). Lesions of one patient are not
    independent: give one case a patient, as `one_case_each` draws them.

    >>> low, high = fit_venn_abers([0, 0, 1, 1], [1, 2, 3, 4]).bounds([2.5])
    >>> low.round(2).tolist(), high.round(2).tolist()
    ([0.0], [1.0])
    """
    knots, cases, hits = _grouped(*check_scores(labels, scores, "tuning cases"))
    mirrored = shares_with_one_more(cases[::-1], (cases - hits)[::-1])
    return VennAbers(knots, if_benign=1 - mirrored[::-1], if_malignant=shares_with_one_more(cases, hits))


def one_case_each(patients: ArrayLike, seed: int = 0) -> NDArray[np.intp]:
    """The row numbers of one case of every patient, drawn at random, for what needs independent cases.

    `patients` (n,) any ids; result as many rows as patients, rising. Raises InputError where an id is missing.
    """
    number = patient_numbers(patients, np.asarray(patients).size)
    order = np.random.default_rng(seed).permutation(number.size)
    return np.sort(order[np.unique(number[order], return_index=True)[1]])


def at_prevalence(probabilities: ArrayLike, prevalence: float, tuning_prevalence: float) -> Array:
    """Probabilities of malignancy as they are where another share of the lesions is malignant.

    `probabilities` (n,) in 0..1, made on cases of which the share `tuning_prevalence` was malignant; both shares
    between 0 and 1. Right where the two places differ in how often, not in how, the classes look. Saerens, Latinne &
    Decaestecker 2002, doi:10.1162/089976602753284446. Raises InputError for numbers outside their range.

    >>> at_prevalence([0.5], prevalence=0.1, tuning_prevalence=0.5).round(3).tolist()
    [0.1]
    """
    value = check_new_scores(probabilities, "probabilities")
    named = (("prevalence", prevalence), ("tuning_prevalence", tuning_prevalence))
    problems = [share_problem(name, share) for name, share in named if not 0 < share < 1]
    if ((value < 0) | (value > 1)).any():
        problems.append(Problem("probabilities", "not a probability", expected="numbers from 0 to 1"))
    if problems:
        raise InputError(problems)
    odds = prevalence / (1 - prevalence) * (1 - tuning_prevalence) / tuning_prevalence
    return value * odds / (value * odds + (1 - value))


def share_problem(where: str, found: float) -> Problem:
    """What to say of a share that isn't between 0 and 1."""
    return Problem(where, "not a share", repr(found), "a number between 0 and 1, like 0.2")


def fold_name(scores: Scores, row: int) -> str:
    """What to call the fold of this row."""
    return f"{scores.recipe}, repeat {scores.repeat[row]}, fold {scores.fold[row]}"


def tuning_of_folds(scores: Scores) -> tuple[Scores, list[tuple[NDArray[np.intp], Scores]]]:
    """All test rows, and for each (repeat, fold) the numbers of its test rows and its own tuning rows.

    Raises InputError where there is no test case, a score is not finite, a label unknown, or a patient is in the tuning
    and the test cases of a fold.
    """
    rows, tune = (scores.where(scores.part == part) for part in ("test", "tune"))
    problems = broken_rows(scores)
    if not rows.label.size:
        problems.append(Problem(scores.recipe, "no test cases", "0", "the scores of tuning and test cases"))
    pairs = []
    for index in split_rows(rows) if rows.label.size else ():
        own = tune.where((tune.repeat == rows.repeat[index[0]]) & (tune.fold == rows.fold[index[0]]))
        both = np.intersect1d(rows.patient_id[index], own.patient_id)
        if both.size:
            found = ", ".join(both[:3].astype(str).tolist())
            remedy = "Split by patient: lesions of one patient are alike."
            problems.append(Problem(fold_name(rows, index[0]), "a patient both tunes and tests", found, remedy=remedy))
        pairs.append((index, own))
    if problems:
        raise InputError(problems)
    return rows, pairs


def calibrate_folds(scores: Scores, fit: Fit = fit_platt) -> Scores:
    """The test cases of a recipe with probabilities of malignancy for scores, made in each fold on its tuning cases.

    Scores of different folds come from different networks and have no common scale; their probabilities do, so that
    what is given may be pooled. `fit` is one of this module's. Raises InputError where a fold's tuning cases are of
    one class only, where `fit` does, and where a patient is in the tuning and the test cases of a fold.
    """
    rows, pairs = tuning_of_folds(scores)
    problems = [
        Problem(
            fold_name(rows, index[0]),
            "no probability can be made of the scores",
            f"{(own.label == 0).sum()} benign and {(own.label == 1).sum()} malignant tuning cases",
            "both classes",
            "Use fewer folds, or tune on more cases.",
        )
        for index, own in pairs
        if np.unique(own.label).size < 2
    ]
    if problems:
        raise InputError(problems)
    probability = np.empty(rows.label.size)
    for index, own in pairs:
        probability[index] = fit(own.label, own.score)(rows.score[index])
    return replace(rows, score=probability)
