"""Logistic regression on one number: maximum likelihood, Firth's penalty, and intervals from the profile likelihood."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq, minimize_scalar
from scipy.special import expit, logit

from rarelesion.proportions import normal_quantile

Array = NDArray[np.float64]
INTERCEPT, SLOPE = 0, 1
STEPS = 200
"""More than any fit needs: the log-likelihood is concave, and a step that lowers it is halved."""
REACH = 1000.0
"""An interval that reaches further, in log-odds (for a slope: over one SD of its number), has no end to speak of."""
TINY = 1e-300
PEAKS, CROSSINGS, BESIDE = 3, 60, np.array([-16.0, -4.0, -1.0, 0.0, 1.0, 4.0, 16.0])
"""How many peaks of a penalised likelihood are climbed, and where they are looked for."""


def separated(x: Array, malignant: NDArray[np.bool_]) -> bool:
    """Whether some threshold on x (n,) divides the classes, so that no slope is the most likely one."""
    low, high = x[~malignant], x[malignant]
    return not (low.max() > high.min() and high.max() > low.min())


def _leverage(x: Array, log_odds: Array) -> tuple[Array, float]:
    """Each case's leverage, and the logarithm of Jeffreys' prior: half the log-determinant of the information."""
    log_weight = -np.abs(log_odds) - 2 * np.log1p(np.exp(-np.abs(log_odds)))
    top = float(log_weight.max())
    weight = np.exp(log_weight - top)
    total = float(weight.sum())
    away = x - weight @ x / total
    spread = max(float(weight @ away**2), TINY)
    return weight / total + weight * away**2 / spread, top + (np.log(total) + np.log(spread)) / 2


def log_likelihood(x: Array, y: Array, log_odds: Array, penalised: bool = False) -> float:
    """The log-likelihood of outcomes y (n,) in 0..1, on request with Firth's penalty for a line through x (n,)."""
    plain = float(np.sum(y * log_odds - np.logaddexp(0.0, log_odds)))
    return plain + _leverage(x, log_odds)[1] if penalised else plain


def _residual(x: Array, y: Array, log_odds: Array, penalised: bool) -> Array:
    """The derivative of `log_likelihood` by each case's log-odds. Firth 1993, doi:10.1093/biomet/80.1.27."""
    share = expit(log_odds)
    residual = y - share
    return residual + _leverage(x, log_odds)[0] * (0.5 - share) if penalised else residual


def fit_line(x: Array, y: Array, penalised: bool = False) -> tuple[float, float]:
    """The most likely intercept and slope of log-odds = intercept + slope * x, by Newton's method.

    x (n,) with at least two values; y (n,) in 0..1. Without the penalty y must not be separated by x.
    """
    centre, scale = float(x.mean()), float(x.std())
    columns = np.stack([np.ones(x.size), (x - centre) / scale])
    line = np.array([logit(y.mean()), 0.0])
    reached = log_likelihood(columns[SLOPE], y, line @ columns, penalised)
    for _ in range(STEPS):
        log_odds = line @ columns
        weight = expit(log_odds) * expit(-log_odds)
        weight = weight * (1 + _leverage(columns[SLOPE], log_odds)[0]) if penalised else weight
        gradient = columns @ _residual(columns[SLOPE], y, log_odds, penalised)
        step = np.linalg.solve(columns * weight @ columns.T, gradient)
        while (better := log_likelihood(columns[SLOPE], y, (line + step) @ columns, penalised)) < reached:
            step /= 2
            if np.abs(step).max() < 1e-14:
                break
        line, reached = line + step, max(better, reached)
        if np.abs(step).max() < 1e-12 * (1 + np.abs(line).max()):
            break
    slope = line[SLOPE] / scale
    return float(line[INTERCEPT] - slope * centre), float(slope)


def fit_offset(offset: Array, y: Array) -> float:
    """The most likely shift a of log-odds = a + offset, for y (n,) with a mean between 0 and 1."""
    return _falling_root(lambda shift: float(np.sum(y - expit(offset + shift))), 0.0)


def _falling_root(function: Callable[[float], float], start: float) -> float:
    """Where a falling function crosses zero; far out on the side of its sign where it never does."""
    step = 1.0 if function(start) > 0 else -1.0
    near, far = start, start + step
    for _ in range(60):
        if function(far) * step <= 0:
            return float(brentq(function, min(near, far), max(near, far), xtol=1e-13))  # pyright: ignore[reportArgumentType]
        step *= 2
        near, far = far, far + step
    return far


def _ends(excess: Callable[[float], float], value: float, reach: float = np.inf) -> tuple[float, float]:
    """Where `excess`, negative at the value, turns positive on either side; infinite where that is out of reach."""
    ends = []
    for step in (-1.0, 1.0):
        near, far = value, value + step
        while excess(far) < 0 and abs(far - value) <= reach:
            step *= 2
            near, far = far, far + step
        if abs(far - value) > reach:
            ends.append(float(np.copysign(np.inf, step)))
        else:
            ends.append(float(brentq(excess, min(near, far), max(near, far), xtol=1e-12)))  # pyright: ignore[reportArgumentType]
    return ends[0], ends[1]


def _highest_plain(x: Array, y: Array, fixed: Array, other: Array, start: float) -> float:
    """The highest log-likelihood of log-odds fixed + c * other, all (n,), over every c."""
    free = _falling_root(lambda c: float(other @ _residual(x, y, fixed + c * other, False)), start)
    return log_likelihood(x, y, fixed + free * other)


def _highest_penalised(x: Array, y: Array, fixed: Array, other: Array, start: float) -> float:
    """As `_highest_plain` with the penalty, which has several peaks: near where the log-odds of a case are zero."""
    crossed = np.unique(-fixed[other != 0] / other[other != 0])
    crossed = crossed[np.linspace(0, crossed.size - 1, min(crossed.size, CROSSINGS)).astype(int)]
    crossed = np.sort(np.concatenate([crossed, start + BESIDE]))
    places = np.unique(np.concatenate([crossed, (crossed[1:] + crossed[:-1]) / 2]))

    def depth(c: float) -> float:
        return -log_likelihood(x, y, fixed + c * other, penalised=True)

    depths = np.array([depth(place) for place in places])
    edged = np.concatenate([[np.inf], depths, [np.inf]])
    peaks = np.flatnonzero((depths <= edged[:-2]) & (depths <= edged[2:]))
    for peak in peaks[np.argsort(depths[peaks])[:PEAKS]]:
        around = places[max(0, peak - 1)], places[min(places.size - 1, peak + 1)]
        found = minimize_scalar(depth, bounds=around, method="bounded", options={"xatol": 1e-10})
        depths[peak] = min(depths[peak], float(found.fun))  # pyright: ignore[reportAttributeAccessIssue]
    return -float(depths.min())


def offset_interval(offset: Array, y: Array, confidence: float, design_effect: float) -> tuple[float, float]:
    """The likelihood interval of `fit_offset`; the likelihood is divided by the design effect (1 or more)."""
    value = fit_offset(offset, y)
    floor = log_likelihood(offset, y, offset + value) - design_effect * normal_quantile(confidence) ** 2 / 2
    return _ends(lambda shift: floor - log_likelihood(offset, y, offset + shift), value)


def line_interval(
    x: Array, y: Array, which: int, confidence: float, design_effect: float, penalised: bool = False
) -> tuple[float, float]:
    """The profile likelihood interval of the intercept or the slope (`which`) of `fit_line`.

    The likelihood is divided by the design effect (1 or more), so that lesions of one patient count for less. An end is
    infinite where the likelihood hardly falls on its way there, which with the penalty it always does.
    With the penalty as proposed by Heinze & Schemper 2002, doi:10.1002/sim.1047.
    """
    line, scale = fit_line(x, y, penalised), float(x.std())
    columns = np.stack([np.ones(x.size), x / scale])
    best = np.array(line) * (1.0, scale)
    floor = log_likelihood(columns[SLOPE], y, best @ columns, penalised)
    floor -= design_effect * normal_quantile(confidence) ** 2 / 2
    other, start = columns[1 - which], float(best[1 - which])
    highest = _highest_penalised if penalised else _highest_plain
    reach = np.inf if penalised else REACH
    ends = _ends(
        lambda value: floor - highest(columns[SLOPE], y, value * columns[which], other, start), best[which], reach
    )
    unit = scale if which == SLOPE else 1.0
    return ends[0] / unit, ends[1] / unit
