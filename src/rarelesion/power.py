"""How many cases show that one area is larger than another, or no more than a margin below it."""

from collections.abc import Callable
from dataclasses import dataclass
from math import asin, exp, pi, sqrt
from typing import Literal

import numpy as np
from scipy.special import ndtr, ndtri

from rarelesion.errors import InputError, Problem
from rarelesion.sizing import Cases, check_plan, divide, hanley_variance, smallest

Model = Literal["binormal", "hanley", "obuchowski"]
FARTHEST = 8.0
"""Normal scores this many standard deviations off the middle make an area of 1 in double precision."""
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(64)


@dataclass(frozen=True, slots=True)
class AreaPair:
    """Two classifiers, or a classifier and a reader, as one expects them to do on the same cases."""

    auc_a: float
    """The reference, such as the reader; 0..1."""
    auc_b: float
    """The new one; 0..1."""
    correlation: float
    """Between -1 and 1. Where each is tested on cases of its own it is 0, and case numbers are those of one group."""
    correlation_of: Literal["scores", "areas"] = "scores"
    """Of both scores within a class, as seen in a pilot; or of the two areas, as in Hanley & McNeil 1983."""
    model: Model = "binormal"
    """`binormal`: as `compare` tests, the variance of both areas where scores are normal. `hanley` and `obuchowski` are
    the published formulas, to compare with other planners: they usually ask for more cases, as for the test they take
    the spread of two areas like the reference, and for the rest exponential scores or a fitted curve."""
    design_effect: float = 1.0
    """By how much several lesions a patient enlarge the variance: see `design_effect_of`."""

    def __post_init__(self) -> None:
        check_plan(auc_a=self.auc_a, auc_b=self.auc_b, correlation=self.correlation, design_effect=self.design_effect)


def _joint_excess(h: float, k: float, rho: float) -> float:
    """P(U < h and V < k) - P(U < h) P(V < k) for normal U, V of correlation -1 < rho < 1.

    Plackett 1954, Biometrika, in the angle whose sine is the correlation.
    """
    angles = asin(rho) * (_NODES + 1) / 2
    density = np.exp(-(h * h + k * k - 2 * h * k * np.sin(angles)) / (2 * np.cos(angles) ** 2))
    return float(density @ _WEIGHTS) * asin(rho) / (4 * pi)


def _normal_gap(auc: float) -> float:
    """How many standard deviations of a difference the malignant lie above the benign."""
    return float(np.clip(ndtri(auc), -FARTHEST, FARTHEST))


def _binormal_moments(a: float, b: float, r: float, m: int, n: int) -> tuple[float, float, float]:
    """Variances and covariance of two Mann-Whitney areas of normal scores with equal spread, without approximation.

    A malignant and a benign case with both in common, those with the benign in common, those with the malignant.
    """

    def moment(h: float, k: float, both: float, shared: float) -> float:
        return (both + (m + n - 2) * _joint_excess(h, k, shared)) / (m * n)

    h, k = _normal_gap(a), _normal_gap(b)
    alone = [moment(x, x, float(ndtr(x) * ndtr(-x)), 0.5) for x in (h, k)]
    return alone[0], alone[1], moment(h, k, _joint_excess(h, k, r), r / 2)


def _obuchowski_moments(a: float, b: float, r: float, m: int, n: int) -> tuple[float, float, float]:
    """The same after Obuchowski & McClish 1997, as pROC has it: for normal scores whose curve is fitted."""
    x, y = sqrt(2) * _normal_gap(a), sqrt(2) * _normal_gap(b)
    f, g = (exp(-z * z / 4) / sqrt(4 * pi) for z in (x, y))
    every = 1 / m + 1 / n
    first, second = (slope**2 * (every + z * z / (2 * m) + z * z * every / 8) for slope, z in ((f, x), (g, y)))
    return first, second, f * g * every * (r + r * r * x * y / 8)


def _moments(pair: AreaPair, m: int, n: int) -> tuple[float, float, float]:
    """Variances of both areas and their covariance with m malignant and n benign cases."""
    moments = _obuchowski_moments if pair.model == "obuchowski" else _binormal_moments
    first, second, common = moments(pair.auc_a, pair.auc_b, pair.correlation, m, n)
    together = pair.correlation
    if pair.correlation_of == "scores":
        together = common / sqrt(first * second) if first * second > 0 else 0.0
    if pair.model == "hanley":
        first, second = hanley_variance(pair.auc_a, m, n), hanley_variance(pair.auc_b, m, n)
    common = together * sqrt(first * second)
    return first * pair.design_effect, second * pair.design_effect, common * pair.design_effect


def _chance(gap: float, alpha: float, null: float, expected: float) -> float:
    """The power to show a gap, given its variance where there is none and where it is as expected."""
    shown = gap + float(ndtri(alpha)) * sqrt(null)
    return float(ndtr(shown / sqrt(expected))) if expected > 0 else float(shown > 0)


def _difference_power(pair: AreaPair, m: int, n: int, alpha: float) -> float:
    first, second, common = _moments(pair, m, n)
    expected = null = max(0.0, first + second - 2 * common)
    if pair.model != "binormal":
        # b as good as a varies as a does; what both share can't then exceed the variance itself
        shared = common * min(1.0, sqrt(first / second)) if common > 0 else common
        null = max(0.0, 2 * (first - shared))
    return _chance(abs(pair.auc_a - pair.auc_b), alpha / 2, null, expected)


def difference_power(pair: AreaPair, n_malignant: int, n_benign: int, alpha: float = 0.05) -> float:
    """The chance that a study shows the difference of two areas, if they are as expected; in 0..1.

    Two-sided at `alpha`, after Hanley & McNeil 1983, doi:10.1148/radiology.148.3.6878708, and Obuchowski & McClish
    1997, Statistics in Medicine; which variance is taken says `pair.model`. Raises InputError for equal areas,
    counts below 1 or an `alpha` outside 0..1.

    >>> pair = AreaPair(auc_a=0.8, auc_b=0.9, correlation=0.5)
    >>> round(difference_power(pair, n_malignant=40, n_benign=120), 2)
    0.76
    """
    check_plan(n_malignant=n_malignant, n_benign=n_benign, alpha=alpha)
    _check_gap(abs(pair.auc_a - pair.auc_b), "the areas don't differ", "equal areas", "two different areas")
    return _difference_power(pair, n_malignant, n_benign, alpha)


def _check_gap(gap: float, what: str, found: str, expected: str) -> None:
    if gap < 1e-6:
        remedy = "No number of cases shows what isn't there."
        raise InputError(Problem("pair", what, found, expected, remedy))


def _cases_for_power(
    chance: Callable[[int, int], float], pair: AreaPair, prevalence: float, power: float, what: str
) -> Cases:
    """The fewest cases with so much power, two of each class at least: one alone has no variance."""
    total = smallest(lambda n: chance(*divide(n, prevalence, 2)) >= power, 4, "pair")
    malignant, benign = divide(total, prevalence, 2)
    method = f"{what}, {pair.model} variances, correlation of the {pair.correlation_of} {pair.correlation:g}"
    return Cases(malignant, benign, chance(malignant, benign), method)


def cases_for_difference(pair: AreaPair, prevalence: float, power: float = 0.8, alpha: float = 0.05) -> Cases:
    """The fewest test cases that show the difference of two areas with this power, two-sided at `alpha`.

    `prevalence` is the share of malignant cases. All cases are judged by both; with `pair.correlation` 0 by one each,
    and the numbers are those of each group. Raises InputError for equal areas or where 1e9 cases are not enough.

    >>> cases_for_difference(AreaPair(auc_a=0.8, auc_b=0.9, correlation=0.5), prevalence=0.25).total
    178
    """
    check_plan(prevalence=prevalence, power=power, alpha=alpha)
    difference_power(pair, 1, 1, alpha)
    what = f"two-sided test of a difference at {alpha:g}"
    return _cases_for_power(lambda m, n: _difference_power(pair, m, n, alpha), pair, prevalence, power, what)


def _noninferiority_power(pair: AreaPair, margin: float, m: int, n: int, alpha: float) -> float:
    first, second, common = _moments(pair, m, n)
    variance = max(0.0, first + second - 2 * common)
    return _chance(pair.auc_b - pair.auc_a + margin, alpha, variance, variance)


def noninferiority_power(pair: AreaPair, margin: float, n_malignant: int, n_benign: int, alpha: float = 0.025) -> float:
    """The chance that a study shows the new area to be no more than `margin` below the reference; in 0..1.

    Shown where the lower end of the interval of b minus a lies above -margin; `alpha` is one-sided, so that 0.025 goes
    with the interval of 95 %. The variance is that of the areas expected, as in that interval.
    Raises InputError where the new area is expected to be worse than the reference by the margin or more.

    >>> pair = AreaPair(auc_a=0.85, auc_b=0.85, correlation=0.5)
    >>> round(noninferiority_power(pair, margin=0.1, n_malignant=40, n_benign=120), 2)
    0.78
    """
    check_plan(margin=margin, n_malignant=n_malignant, n_benign=n_benign, alpha=alpha)
    gap = pair.auc_b - pair.auc_a + margin
    found = f"{pair.auc_b:g} against {pair.auc_a:g} less {margin:g}"
    _check_gap(gap, "the new area is inferior by the margin", found, "a new area above the reference less the margin")
    return _noninferiority_power(pair, margin, n_malignant, n_benign, alpha)


def cases_for_noninferiority(
    pair: AreaPair, margin: float, prevalence: float, power: float = 0.8, alpha: float = 0.025
) -> Cases:
    """The fewest test cases that show the new area to be no more than `margin` below the reference, with this power.

    Arguments and errors as for `noninferiority_power` and `cases_for_difference`.

    >>> cases_for_noninferiority(AreaPair(0.85, 0.85, correlation=0.5), margin=0.1, prevalence=0.25).total
    168
    """
    check_plan(margin=margin, prevalence=prevalence, power=power, alpha=alpha)
    noninferiority_power(pair, margin, 1, 1, alpha)
    what = f"one-sided test at {alpha:g} of being no more than {margin:g} worse"
    return _cases_for_power(
        lambda m, n: _noninferiority_power(pair, margin, m, n, alpha), pair, prevalence, power, what
    )
