"""Decisions of two recipes or readers on the same cases: is one right more often, for sensitivity and specificity."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq
from scipy.stats import binom, norm

from rarelesion.errors import InputError, Problem
from rarelesion.proportions import normal_quantile, proportion_interval
from rarelesion.types import Comparison

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class McNemar:
    """The cases on which only one of two decisions is right, and how likely that is by chance."""

    only_a: int
    """Cases that only a judged right."""
    only_b: int
    """Cases that only b judged right."""
    p_exact: float
    """Two-sided exact p: never too small, mostly too large."""
    p_mid: float
    """Two-sided mid-p: the one to report."""


@dataclass(frozen=True, eq=False, slots=True)
class Discordance:
    """On how many lesions of each patient a alone is right, less those on which b alone is."""

    only_a: int
    only_b: int
    n: int
    """All lesions, also those on which both agree."""
    patient_sums: Array
    """(patients,) only a less only b."""
    patient_sizes: Array
    """(patients,) lesions."""

    @property
    def difference(self) -> float:
        """The share of lesions a judged right less that of b."""
        return (self.only_a - self.only_b) / self.n

    @property
    def clustered(self) -> bool:
        """Whether any patient has several lesions."""
        return self.patient_sizes.size < self.n


def mcnemar(right_a: ArrayLike, right_b: ArrayLike) -> McNemar:
    """Whether a is right more often than b on the same cases, one case a patient, exactly and by the mid-p.

    `right_a` and `right_b` (n,) 1 where the decision was right, 0 where wrong. The exact test is the binomial one of
    the discordant cases; the mid-p counts the observed outcome half, keeps to its level in practice and loses less
    power (Fagerland et al. 2013, doi:10.1186/1471-2288-13-91). Without a discordant case both are 1. For several
    lesions a patient use `compare_shares`.
    Raises InputError for other lengths and for anything but 0 and 1.

    >>> found = mcnemar([1, 1, 1, 1, 1, 1, 0], [0, 0, 0, 0, 0, 1, 1])
    >>> found.only_a, found.only_b, round(found.p_exact, 3), round(found.p_mid, 3)
    (5, 1, 0.219, 0.125)
    """
    counts = discordance(right_a, right_b)
    fewer, both = min(counts.only_a, counts.only_b), counts.only_a + counts.only_b
    exact = min(1.0, float(2 * binom.cdf(fewer, both, 0.5)))
    observed = float(binom.pmf(fewer, both, 0.5)) if both else 0.0
    # with as many on either side both tails hold the observed outcome, and it is one outcome only
    middle = exact - (observed / 2 if counts.only_a == counts.only_b else observed)
    return McNemar(counts.only_a, counts.only_b, exact, middle)


def discordance(right_a: ArrayLike, right_b: ArrayLike, patients: ArrayLike | None = None) -> Discordance:
    """What the two decisions disagree on, patient by patient; arguments and errors as for `compare_shares`."""
    a, b = np.asarray(right_a).ravel(), np.asarray(right_b).ravel()
    patient = np.arange(a.size) if patients is None else np.asarray(patients).ravel()
    problems = [
        Problem(name, "anything but right or wrong", repr(values[~known][0].item()), "1 (right) or 0 (wrong)")
        for name, values in (("right_a", a), ("right_b", b))
        if not (known := _zero_or_one(values)).all()
    ]
    if not a.size == b.size == patient.size or not a.size:
        found = f"{a.size} and {b.size} decisions, {patient.size} patients"
        problems.append(Problem("decisions", "they must come in pairs", found, "one of each for every case"))
    if problems:
        raise InputError(problems)
    gain = a.astype(np.int64) - b.astype(np.int64)
    _, group, sizes = np.unique(patient, return_inverse=True, return_counts=True)
    sums = np.bincount(group, weights=gain).astype(np.float64)
    return Discordance(int((gain > 0).sum()), int((gain < 0).sum()), gain.size, sums, sizes.astype(float))


def _zero_or_one(values: NDArray[np.generic]) -> NDArray[np.bool_]:
    return np.isin(values, (0, 1)) if values.dtype.kind in "buif" else np.zeros(values.size, dtype=bool)


def _score_variance(counts: Discordance, delta: Array) -> Array:
    """The variance of only a - only b where the true difference is `delta` (g,), after Tango, times the design effect.

    The design effect is the variance of the patients' sums over that of as many lesions of different patients, both
    about `delta`, and at least 1.
    """
    a, b, n = counts.only_a, counts.only_b, counts.n
    linear = (2 * n - a + b) * delta - a - b
    constant = -b * delta * (1 - delta)
    only_b = (np.sqrt(np.maximum(linear**2 - 8 * n * constant, 0.0)) - linear) / (4 * n)
    tango = n * np.maximum(2 * only_b + delta * (1 - delta), 0.0)
    sums, sizes = counts.patient_sums, counts.patient_sizes
    patients = sums @ sums - 2 * delta * (sums @ sizes) + delta**2 * (sizes @ sizes)
    lesions = (a + b) - 2 * delta * (a - b) + n * delta**2
    # where every lesion differs by exactly delta, both are 0, and the lesions of a patient count as one
    effect = np.divide(patients, lesions, out=np.full(delta.size, sizes @ sizes / n), where=lesions > 1e-9 * n)
    return tango * np.maximum(effect, 1.0)


def score_statistic(counts: Discordance, delta: float) -> float:
    """How many standard errors the difference lies above `delta` (-1..1): Tango's score statistic, for clusters too.

    At 0 it is McNemar's without correction, and with several lesions a patient Obuchowski's, but for a design effect
    below 1. No discordant case gives 0 at 0.
    """
    excess = counts.only_a - counts.only_b - counts.n * delta
    variance = float(_score_variance(counts, np.array([delta]))[0])
    if variance <= 0:
        return float(np.sign(excess) * np.inf) if excess else 0.0
    return float(excess / np.sqrt(variance))


def score_interval(counts: Discordance, confidence: float = 0.95) -> tuple[float, float]:
    """The differences (-1..1) that `score_statistic` does not reject: Tango's interval, for clusters too.

    For one lesion a patient it is that of Tango 1998, Statistics in Medicine 17:891. It always has a width.
    """
    quantile = normal_quantile(confidence)

    def rejected(delta: Array) -> Array:
        excess = counts.only_a - counts.only_b - counts.n * delta
        return excess**2 - quantile**2 * _score_variance(counts, delta)

    def edge(outside: int, inside: int) -> float:
        ends = float(grid[outside]), float(grid[inside])
        found = brentq(lambda one: float(rejected(np.array([one]))[0]), *ends, xtol=1e-14)
        return float(found)  # pyright: ignore[reportArgumentType]

    # with clusters the statistic need not fall everywhere, so that the outermost crossing is looked for
    grid = np.unique(np.append(np.linspace(-1, 1, 401), counts.difference))
    kept = np.flatnonzero((rejected(grid) <= 0) | (grid == counts.difference))
    low, high = int(kept[0]), int(kept[-1])
    return (
        edge(low - 1, low) if low > 0 else -1.0,
        edge(high + 1, high) if high < grid.size - 1 else 1.0,
    )


def newcombe_interval(
    both: int, only_a: int, only_b: int, neither: int, confidence: float = 0.95
) -> tuple[float, float]:
    """The interval (-1..1) of the difference of two shares on the same cases, from the Wilson intervals of both.

    Counts of cases that both, one or neither judged right; one case a patient. Method 10 of Newcombe 1998,
    Statistics in Medicine 17:2635: a closed form to check `score_interval` with, about as good. It always has a width.
    Raises InputError for negative counts or no case at all.
    """
    counts = np.array([both, only_a, only_b, neither])
    n = counts.sum()
    if counts.min() < 0 or n == 0:
        raise InputError(Problem("counts", "not a table of cases", f"{counts.tolist()}", "four counts, not all zero"))
    right_a, right_b = both + only_a, both + only_b
    share_a, share_b = right_a / n, right_b / n
    low_a, high_a = proportion_interval(right_a, n, confidence)
    low_b, high_b = proportion_interval(right_b, n, confidence)
    product = both * neither - only_a * only_b
    margins = float(right_a) * (n - right_a) * right_b * (n - right_b)
    # the correction that makes method 10 of method 8: agreement of few cases is not trusted wholly
    corrected = max(product - n / 2, 0) if product > 0 else product
    phi = corrected / np.sqrt(margins) if margins else 0.0

    def width(one: float, other: float) -> float:
        return float(np.sqrt(max(one**2 - 2 * phi * one * other + other**2, 0.0)))

    difference = share_a - share_b
    low = difference - width(share_a - low_a, high_b - share_b)
    high = difference + width(high_a - share_a, share_b - low_b)
    return float(max(-1.0, low)), float(min(1.0, high))


def compare_shares(
    right_a: ArrayLike, right_b: ArrayLike, patients: ArrayLike | None = None, confidence: float = 0.95
) -> Comparison:
    """Whether a is right on a larger share of the cases than b: the difference with its interval and a two-sided p.

    `right_a` and `right_b` (n,) 1 where the decision was right, 0 where wrong; `patients` (n,) which lesions belong
    together. `difference` is a minus b, its interval within -1..1 is Tango's (1998, Statistics in Medicine 17:891) and
    agrees with p, that of McNemar's test without correction; `mcnemar` gives the exact and the mid-p. With several
    lesions a patient the variance is multiplied by their design effect, which makes p that of Obuchowski's test
    (1998, Statistics in Medicine 17:1495), or larger where lesions of a patient differ more than those of several.
    Raises InputError for other lengths and for anything but 0 and 1.
    """
    counts = discordance(right_a, right_b, patients)
    p = float(2 * norm.sf(abs(score_statistic(counts, 0.0))))
    test = f"Tango's score interval on {counts.n} pairs"
    test += f" of {counts.patient_sizes.size} patients, with their design effect" if counts.clustered else ""
    return Comparison("a", "b", counts.difference, *score_interval(counts, confidence), p, p, test)


def compare_sensitivity(
    labels: ArrayLike,
    called_a: ArrayLike,
    called_b: ArrayLike,
    patients: ArrayLike | None = None,
    confidence: float = 0.95,
) -> Comparison:
    """Whether a finds more of the malignant cases than b: the difference in sensitivity, as by `compare_shares`.

    `labels` (n,) 0 benign, 1 malignant; `called_a` and `called_b` (n,) 1 where malignant was called, 0 where benign.
    Raises InputError for other lengths, anything but 0 and 1, and no malignant case.
    """
    return compare_shares(*right_on_class(1, labels, called_a, called_b, patients), confidence)


def compare_specificity(
    labels: ArrayLike,
    called_a: ArrayLike,
    called_b: ArrayLike,
    patients: ArrayLike | None = None,
    confidence: float = 0.95,
) -> Comparison:
    """Whether a clears more of the benign cases than b: the difference in specificity; see `compare_sensitivity`."""
    return compare_shares(*right_on_class(0, labels, called_a, called_b, patients), confidence)


def right_on_class(
    label: int, labels: ArrayLike, called_a: ArrayLike, called_b: ArrayLike, patients: ArrayLike | None
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.generic]]:
    """Which of the cases of a class (0 benign, 1 malignant) a and b judged right, and their patients."""
    columns = {"labels": labels, "called_a": called_a, "called_b": called_b}
    arrays = {name: np.asarray(values).ravel() for name, values in columns.items()}
    n = arrays["labels"].size
    patient = np.arange(n) if patients is None else np.asarray(patients).ravel()
    problems = [
        Problem(name, "neither benign nor malignant", repr(values[~known][0].item()), "0 (benign) or 1 (malignant)")
        for name, values in arrays.items()
        if not (known := _zero_or_one(values)).all()
    ]
    if {values.size for values in (*arrays.values(), patient)} != {n}:
        found = f"{', '.join(str(values.size) for values in arrays.values())} entries, {patient.size} patients"
        problems.append(
            Problem("decisions", "labels and calls must come together", found, "one of each for every case")
        )
    elif not (arrays["labels"] == label).any():
        name = ("benign", "malignant")[label]
        problems.append(Problem("labels", f"no {name} case", f"{n} cases", f"at least one {name} case"))
    if problems:
        raise InputError(problems)
    own = arrays["labels"] == label
    right_a, right_b = (arrays[name][own] == label for name in ("called_a", "called_b"))
    return right_a, right_b, patient[own]
