"""Intervals of a share such as the sensitivity, from a few cases."""

import numpy as np
from scipy.stats import norm

from rarelesion.errors import InputError, Problem


def normal_quantile(confidence: float) -> float:
    """How many standard errors a two-sided interval of this confidence (0..1) reaches to either side.

    Raises InputError where the confidence isn't between 0 and 1.
    """
    if not 0 < confidence < 1:
        raise InputError(Problem("confidence", "not a share", repr(confidence), "a number between 0 and 1, like 0.95"))
    return float(norm.ppf(0.5 + confidence / 2))


def proportion_interval(successes: float, n: float, confidence: float = 0.95) -> tuple[float, float]:
    """The Wilson interval of a proportion such as the sensitivity, within 0..1 and never of zero width.

    `successes` of `n` > 0; neither needs to be whole (averages over repeats, effective sample sizes).
    Wilson 1927, doi:10.1080/01621459.1927.10502953.
    """
    z2 = normal_quantile(confidence) ** 2
    share = successes / n
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = np.sqrt(z2 * (share * (1 - share) / n + z2 / (4 * n * n))) / (1 + z2 / n)
    low, high = min(max(0.0, centre - half), share), max(min(1.0, centre + half), share)
    return float(low), float(high)
