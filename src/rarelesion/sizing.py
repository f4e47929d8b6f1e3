"""How many cases a study needs for an interval of a wanted width, and how wide it will be, in closed form.

What needs no simulation stands here, so that a plan can be changed while one looks at it. How wide the interval of this
program really becomes is simulated in `widths`; the sizes for a comparison are in `power`. "Cases" are those that are
tested; those a network learns from come on top.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import floor, sqrt
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq
from scipy.stats import binom

from rarelesion.errors import InputError, Problem
from rarelesion.proportions import normal_quantile

Array = NDArray[np.float64]
MOST_CASES = 10**9
"""More are never searched for: no lesion is that common."""
MOST_SHARES = 10**6
"""Likewise where every possible count is gone through."""

Allowed = tuple[Callable[[float], bool], str]
"""Whether a number will do, and what it should be."""


def _whole(least: int, most: int) -> Allowed:
    return lambda x: isinstance(x, (int, np.integer)) and least <= int(x) <= most, f"a whole number, at least {least}"


_AREA: Allowed = (lambda x: 0 <= x <= 1, "a number from 0 to 1")
_INSIDE: Allowed = (lambda x: 0 < x < 1, "a number between 0 and 1")
_LIMITS: dict[str, Allowed] = {
    **dict.fromkeys(("auc", "auc_a", "auc_b", "share", "within_patient"), _AREA),
    **dict.fromkeys(("prevalence", "confidence", "power", "alpha", "margin", "width", "assurance"), _INSIDE),
    **dict.fromkeys(
        ("n_malignant", "n_benign", "n_cases", "n_patients", "folds", "repeats", "draws"), _whole(1, MOST_CASES)
    ),
    **dict.fromkeys(("correlation", "between_readers"), (lambda x: -1 < x < 1, "a number between -1 and 1")),
    "design_effect": (lambda x: 1e-3 <= x <= MOST_CASES, "a number, at least 0.001"),
    "lesions_per_patient": (lambda x: 1 <= x <= MOST_CASES, "a number, at least 1"),
    "test_share": (lambda x: 0 < x <= 1, "a number above 0, at most 1"),
    "resamples": _whole(50, 10**6),
    "seconds_per_network": (lambda x: 0 < x < np.inf, "a number of seconds above 0"),
    "cases_sd": (lambda x: 0 < x <= 1, "a standard deviation of an area, above 0"),
    "repeat_sd": (lambda x: 0 <= x <= 1, "a standard deviation of an area, 0 to 1"),
    "more": (lambda x: 0 < x <= 1, "a share above 0, at most 1"),
}


def check_plan(**given: float) -> None:
    """Raises InputError with everything that no study can be planned with, each number under its argument's name."""
    problems = [
        Problem(name, "no study can be planned with this", repr(value), _LIMITS[name][1])
        for name, value in given.items()
        if not _LIMITS[name][0](value)
    ]
    if problems:
        raise InputError(problems)


@dataclass(frozen=True, slots=True)
class Width:
    """How wide an interval will be in a study that isn't made yet."""

    mean: float
    """Over many such studies, from the lower to the upper end."""
    limit: float
    """Not exceeded by the share of such studies that `assurance` asked for."""
    method: str


@dataclass(frozen=True, slots=True)
class Cases:
    """How many test cases reach what was wanted."""

    malignant: int
    benign: int
    reached: float
    """The width, or the power, that these cases are expected to give."""
    method: str

    @property
    def total(self) -> int:
        """Both classes together."""
        return self.malignant + self.benign


def design_effect_of(lesions: ArrayLike, within_patient: float) -> float:
    """By how much the variance grows because lesions of one patient resemble each other; 1 where all have one.

    `lesions` (patients,) lesions of each patient, or the same number for all; `within_patient` in 0..1 is the
    correlation of two lesions of a patient. Too large where patients have lesions of both classes: there a high
    patient lifts both. Kish 1965, Survey Sampling. Raises InputError for less than one lesion or another correlation.

    >>> design_effect_of([1, 1, 2, 4], within_patient=0.5)
    1.875
    """
    counts = np.asarray(lesions, dtype=float).ravel()
    check_plan(within_patient=within_patient)
    odd = counts[~((counts >= 1) & (counts <= MOST_CASES))]
    if odd.size or not counts.size:
        found = repr(float(odd[0])) if odd.size else "no patient"
        raise InputError(Problem("lesions", "not a number of lesions", found, "at least 1 for every patient"))
    return float(1 + (np.sum(counts**2) / np.sum(counts) - 1) * within_patient)


def hanley_variance(auc: float, m: float, n: float) -> float:
    both_malignant, both_benign = auc / (2 - auc), 2 * auc * auc / (1 + auc)
    spread = auc * (1 - auc) + (m - 1) * (both_malignant - auc * auc) + (n - 1) * (both_benign - auc * auc)
    return max(0.0, spread) / (m * n)


def auc_standard_error(auc: float, n_malignant: int, n_benign: int, design_effect: float = 1.0) -> float:
    """How far the ROC-AUC of such a study will typically lie from the true one; in 0..0.5 for one lesion a patient.

    `auc` is the area one expects, 0..1. 0 at an area of 0 or 1: take `auc_width` there.
    Hanley & McNeil 1982, doi:10.1148/radiology.143.1.7063747. Raises InputError for counts below 1.

    >>> round(auc_standard_error(0.8, n_malignant=50, n_benign=50), 3)
    0.045
    """
    check_plan(auc=auc, n_malignant=n_malignant, n_benign=n_benign, design_effect=design_effect)
    return sqrt(design_effect * hanley_variance(auc, n_malignant, n_benign))


def _plain_width(auc: float, m: float, n: float, z: float, inflation: float) -> float:
    half = z * sqrt(inflation * hanley_variance(auc, m, n))
    return min(1.0, auc + half) - max(0.0, auc - half)


def _score_width(auc: float, m: float, n: float, z: float, inflation: float) -> float:
    """Newcombe's method 5, as in `intervals`: the variance is that of the area at the interval's end."""

    def excess(area: float) -> float:
        pairs = (1 - area) / (2 - area) + area / (1 + area)
        variance = inflation * area * (1 - area) * (1 + ((m + n) / 2 - 1) * pairs) / (m * n)
        return (area - auc) ** 2 - z * z * variance

    def end(outside: float, inside: float, limit: float) -> float:
        if excess(outside) <= 0:
            return limit
        if excess(inside) >= 0:
            return inside
        return float(brentq(excess, outside, inside, xtol=1e-14))  # pyright: ignore[reportArgumentType]

    edge, inside = 1e-15, min(max(auc, 1e-9), 1 - 1e-9)
    return end(1 - edge, inside, 1.0) - end(edge, inside, 0.0)


def fold_sizes(n_malignant: float, n_benign: float, folds: int) -> tuple[float, float, int]:
    """Malignant and benign test cases of a fold, and the folds that have both, where all cases are dealt out."""
    used = min(folds, floor(n_malignant), floor(n_benign))
    return max(n_malignant / folds, 1.0), max(n_benign / folds, 1.0), used


def auc_width(
    auc: float,
    n_malignant: int,
    n_benign: int,
    confidence: float = 0.95,
    interval: Literal["score", "plain"] = "score",
    folds: int = 1,
    design_effect: float = 1.0,
) -> float:
    """How wide the interval of the ROC-AUC will be, from its lower to its upper end; above 0, at most 1.

    `auc` is the area one expects, 0..1; the test cases are dealt to `folds` and the areas averaged. "score" is
    Newcombe's interval, doi:10.1002/sim.2324, which keeps a width at an area of 1; "plain" is the area plus and minus
    its standard error of Hanley & McNeil 1982, cut at 0 and 1, as other planners have it.
    Narrower with every case. Raises InputError for "plain" at an area of 0 or 1, where it has no width.

    >>> round(auc_width(0.85, n_malignant=12, n_benign=34), 2)
    0.26
    """
    check_plan(
        auc=auc,
        n_malignant=n_malignant,
        n_benign=n_benign,
        confidence=confidence,
        folds=folds,
        design_effect=design_effect,
    )
    _check_interval(interval, auc)
    return _auc_width(auc, n_malignant, n_benign, confidence, interval, folds, design_effect)


def _check_interval(interval: str, auc: float) -> None:
    if interval == "plain" and auc in (0, 1):
        remedy = 'Take interval="score", or expect a little less.'
        expected = "an area between 0 and 1"
        raise InputError(Problem("auc", "the plain interval has no width here", repr(auc), expected, remedy))


def _auc_width(auc: float, m: float, n: float, confidence: float, interval: str, folds: int, inflation: float) -> float:
    width = _plain_width if interval == "plain" else _score_width
    each_m, each_n, used = fold_sizes(m, n, folds)
    return width(auc, each_m, each_n, normal_quantile(confidence), inflation / used)


def smallest(enough: Callable[[int], bool], least: int, where: str, most: int = MOST_CASES) -> int:
    """The smallest whole number that is enough, where every larger one is too."""
    high = least
    while not enough(high):
        if high >= most:
            remedy = "Ask for less, or expect more."
            raise InputError(Problem(where, "out of reach", f"more than {most} cases would be needed", "", remedy))
        high = min(2 * high, most)
    low = high // 2 if high > least else least - 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def divide(total: int, prevalence: float, least: int = 1) -> tuple[int, int]:
    """Malignant and benign cases among `total`, at least so many of each: neither falls as the total grows.

    >>> divide(46, prevalence=0.25)
    (12, 34)
    """
    malignant = min(max(floor(total * prevalence + 0.5), least), total - least)
    return malignant, total - malignant


def cases_for_auc_width(
    width: float,
    auc: float,
    prevalence: float,
    confidence: float = 0.95,
    interval: Literal["score", "plain"] = "score",
    folds: int = 1,
    design_effect: float = 1.0,
) -> Cases:
    """The fewest test cases with which the interval of the ROC-AUC becomes no wider than wanted.

    `width` between 0 and 1 is from the lower to the upper end: for plus and minus 0.05 it is 0.1. `prevalence` is the
    share of malignant cases. The other arguments are those of `auc_width`. It is the width to be expected: in about
    half of such studies it becomes a little more.
    Raises InputError where more than 1e9 cases would be needed.

    >>> cases_for_auc_width(0.1, auc=0.85, prevalence=0.3).total
    280
    """
    check_plan(
        width=width,
        auc=auc,
        prevalence=prevalence,
        confidence=confidence,
        folds=folds,
        design_effect=design_effect,
    )
    _check_interval(interval, auc)

    def reached(total: int) -> float:
        return _auc_width(auc, *divide(total, prevalence), confidence, interval, folds, design_effect)

    total = smallest(lambda n: reached(n) <= width, 2, "width")
    method = f"{'Newcombe score' if interval == 'score' else 'Hanley and McNeil'} interval of an area of {auc:g}"
    return Cases(*divide(total, prevalence), reached(total), method)


# --- sensitivity and specificity -------------------------------------------------------------------------------------


def _wilson_widths(n: float, confidence: float, trials: int) -> Array:
    """(trials + 1,) widths of Wilson's interval for 0, 1, ... `trials` successes that are worth `n` cases together."""
    z2 = normal_quantile(confidence) ** 2
    share = np.arange(trials + 1) / trials
    return 2 * np.sqrt(z2 * (share * (1 - share) / n + z2 / (4 * n * n))) / (1 + z2 / n)


def share_width(
    n_cases: int, share: float, confidence: float = 0.95, assurance: float = 0.8, design_effect: float = 1.0
) -> Width:
    """How wide Wilson's interval of the sensitivity (or specificity) will be, by going through every possible count.

    `n_cases` malignant (benign) test cases; `share` in 0..1 is the sensitivity one expects. Nothing is simulated.
    With a design effect the cases count as fewer; between two whole numbers the widths lie on a line. The mean falls
    with every case; the limit may rise by a little, as counts are whole numbers.
    Raises InputError for less than one case or more than a million.

    >>> width = share_width(12, share=0.9)
    >>> round(width.mean, 2), round(width.limit, 2)
    (0.34, 0.4)
    """
    check_plan(n_cases=n_cases, share=share, confidence=confidence, assurance=assurance, design_effect=design_effect)
    worth = n_cases / design_effect
    if worth > MOST_SHARES:
        raise InputError(Problem("n_cases", "too many to go through", f"{worth:.0f}", f"at most {MOST_SHARES}"))
    below = max(1, floor(worth))
    low = _width_of_counts(min(worth, below), below, share, confidence, assurance)
    mean, limit = low
    if worth > below:
        high = _width_of_counts(below + 1, below + 1, share, confidence, assurance)
        mean, limit = (one + (worth - below) * (other - one) for one, other in zip(low, high, strict=True))
    method = f"every count of {n_cases} cases" + (f" worth {worth:.1f}" if design_effect > 1 else "")
    return Width(mean, limit, f"Wilson, {method}")


def _width_of_counts(
    worth: float, trials: int, share: float, confidence: float, assurance: float
) -> tuple[float, float]:
    """Mean and quantile of Wilson's width; counts that mirror each other have the same but for rounding."""
    certain = min(share, 1 - share) < 1e-12  # scipy's own sum overflows there
    chance = binom.pmf(np.arange(trials + 1), trials, round(share) if certain else share)
    width = _wilson_widths(worth, confidence, trials)
    order = np.argsort(np.round(width, 10), kind="stable")
    reached = np.searchsorted(np.cumsum(chance[order]), assurance - 1e-12)
    return float(width @ chance), float(width[order][min(reached, trials)])


def cases_for_share_width(width: float, share: float, confidence: float = 0.95, design_effect: float = 1.0) -> int:
    """The fewest malignant cases (for the sensitivity; benign for the specificity) with which Wilson's interval
    becomes no wider than wanted, on average over such studies.

    `width` between 0 and 1, from the lower to the upper end; `share` in 0..1 is the sensitivity one expects. Divide by
    the share of malignant cases for the cases to be collected. Raises InputError where a million is not enough.

    >>> cases_for_share_width(0.2, share=0.9)
    35
    """
    check_plan(width=width, share=share, confidence=confidence, design_effect=design_effect)
    return smallest(
        lambda n: share_width(n, share, confidence, design_effect=design_effect).mean <= width, 1, "width", MOST_SHARES
    )
