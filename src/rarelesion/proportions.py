"""Intervals of a share such as the sensitivity, from a few cases."""

from collections.abc import Callable
from typing import Literal

import numpy as np
from scipy.special import betaincinv
from scipy.stats import norm

from rarelesion.errors import InputError, Problem

ROUNDING = 1e-9
"""By how much a count may miss its bound after sums of averages."""


def normal_quantile(confidence: float) -> float:
    """How many standard errors a two-sided interval of this confidence (0..1) reaches to either side.

    Raises InputError where the confidence isn't between 0 and 1.
    """
    if not 0 < confidence < 1:
        raise InputError(Problem("confidence", "not a share", repr(confidence), "a number between 0 and 1, like 0.95"))
    return float(norm.ppf(0.5 + confidence / 2))


def _share(successes: float, n: float) -> float:
    """`successes` of `n` as a share, or an InputError where they can't be counts."""
    if not (0 < n < np.inf and 0 <= successes <= n * (1 + ROUNDING)):
        expected = "from 0 to all of them, of more than none"
        raise InputError(Problem("share", "not a number of cases out of some", f"{successes} of {n}", expected))
    return min(1.0, successes / n)


def proportion_interval(successes: float, n: float, confidence: float = 0.95) -> tuple[float, float]:
    """The Wilson interval of a proportion such as the sensitivity, within 0..1 and never of zero width.

    `successes` of `n` > 0; neither needs to be whole (averages over repeats, effective sample sizes). On average over
    the possible truths it holds what it promises; for a single truth it may hold somewhat less.
    Wilson 1927, doi:10.1080/01621459.1927.10502953. Raises InputError for counts or a confidence that can't be.
    """
    z2 = normal_quantile(confidence) ** 2
    share = _share(successes, n)
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = np.sqrt(z2 * (share * (1 - share) / n + z2 / (4 * n * n))) / (1 + z2 / n)
    low, high = min(max(0.0, centre - half), share), max(min(1.0, centre + half), share)
    return float(low), float(high)


def clopper_pearson_interval(successes: float, n: float, confidence: float = 0.95) -> tuple[float, float]:
    """The Clopper-Pearson ("exact") interval of a proportion, within 0..1 and never of zero width.

    Arguments and errors as for `proportion_interval`. It never holds less than it promises and mostly more, so that
    it is wider than Wilson's. Clopper & Pearson 1934, doi:10.1093/biomet/26.4.404.

    >>> [round(end, 4) for end in clopper_pearson_interval(9, 10)]
    [0.555, 0.9975]
    """
    normal_quantile(confidence)
    share, tail = _share(successes, n), (1 - confidence) / 2
    hits = share * n
    low = betaincinv(hits, n - hits + 1, tail) if hits > ROUNDING else 0.0
    high = betaincinv(hits + 1, n - hits, 1 - tail) if n - hits > ROUNDING else 1.0
    return min(float(low), share), max(float(high), share)


Share = Literal["wilson", "clopper-pearson"]
SHARE_INTERVALS: dict[Share, Callable[[float, float, float], tuple[float, float]]] = {
    "wilson": proportion_interval,
    "clopper-pearson": clopper_pearson_interval,
}
"""From successes, n and confidence to an interval of their share: add one here."""
