"""How an area under the curve grows with the number of training cases: an inverse power law, fitted to a few points."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rarelesion.errors import InputError, Problem

Array = NDArray[np.float64]
RATES = np.geomspace(0.1, 2.0, 49)
"""Powers that are tried. At the lowest each doubling brings nearly as much as the one before, at the highest a quarter
of it. Beyond them the points of a study cannot tell one curve from the next."""
HIGHEST = 1.0
"""No area levels off above it."""


@dataclass(frozen=True, eq=False, slots=True)
class PowerLaw:
    """area(n) = ceiling - drop * (n / unit) ** -rate, for one set of points or for many resamples of it (...)."""

    ceiling: Array
    """(...) the area that it levels off at, at most 1."""
    drop: Array
    """(...) how far below the ceiling it is at `unit` cases, 0 or more."""
    rate: Array
    """(...) how fast the rest of the way shrinks."""
    unit: float
    """The largest number of cases it was fitted to."""

    def at(self, cases: ArrayLike) -> Array:
        """The area at so many training cases (k,): (..., k), between 0 and 1."""
        reach = np.asarray(cases, dtype=np.float64) / self.unit
        falling = reach ** -self.rate[..., None]
        return np.clip(self.ceiling[..., None] - self.drop[..., None] * falling, 0.0, 1.0)


def fit_power_law(cases: ArrayLike, areas: ArrayLike, weights: ArrayLike | None = None) -> PowerLaw:
    """The inverse power law a - b n^-c through areas at several numbers of training cases, by weighted least squares.

    `cases` (m,) above 0; `areas` (..., m) in 0..1, one row for each resample; `weights` (m,) how much each point
    counts, above 0. Bounds: a at most 1, b at least 0, so that the curve never falls; c between 0.1 and 2. For each c
    of a fine grid the best a and b are found exactly; of equally good powers the lowest is taken. After Mukherjee et
    al. 2003, doi:10.1089/106652703321825928, and Figueroa et al. 2012, doi:10.1186/1472-6947-12-8.
    Raises InputError for fewer than three different numbers of cases, or a number outside its range.

    >>> law = fit_power_law([25, 50, 100], [0.7, 0.75, 0.7 + 0.15 / 2])
    >>> law.at([200]).round(2).tolist()
    [0.79]
    """
    n, y = np.asarray(cases, dtype=np.float64), np.asarray(areas, dtype=np.float64)
    w = np.ones(n.size) if weights is None else np.asarray(weights, dtype=np.float64)
    _check(n, y, w)
    falling = (n / n.max()) ** -RATES[:, None]
    ceilings, drops = _lines(falling, y[..., None, :], w / w.sum())
    misses = np.sum(w * (y[..., None, :] - ceilings[..., None] + drops[..., None] * falling) ** 2, axis=-1)
    best = np.argmin(np.round(misses, 15), axis=-1)[..., None]
    ceiling, drop = (np.take_along_axis(one, best, axis=-1)[..., 0] for one in (ceilings, drops))
    return PowerLaw(ceiling, drop, RATES[best[..., 0]], float(n.max()))


def _lines(x: Array, y: Array, w: Array) -> tuple[Array, Array]:
    """The best ceiling and drop of y = ceiling - drop * x, ceiling at most 1 and drop at least 0, for every power.

    `x` (g, m), `y` (..., 1, m), `w` (m,) summing to 1; gives two (..., g). A convex problem of two numbers: the best
    without bounds if that keeps them, else the better of the best on either bound.
    """
    mean_x, mean_y = x @ w, np.sum(w * y, axis=-1)
    spread = np.sum(w * (x - mean_x[:, None]) ** 2, axis=-1)
    slope = np.sum(w * (x - mean_x[:, None]) * (y - mean_y[..., None]), axis=-1) / spread
    free = mean_y - slope * mean_x, -slope
    at_top = np.ones_like(slope), np.maximum(np.sum(w * x * (HIGHEST - y), axis=-1) / np.sum(w * x**2, axis=-1), 0.0)
    level = np.minimum(mean_y + np.zeros_like(slope), HIGHEST), np.zeros_like(slope)

    def misses(line: tuple[Array, Array]) -> Array:
        return np.sum(w * (y - line[0][..., None] + line[1][..., None] * x) ** 2, axis=-1)

    inside = (free[0] <= HIGHEST) & (free[1] >= 0)
    topped = misses(at_top) < misses(level)
    ceiling, drop = (
        np.where(inside, one, np.where(topped, two, three)) for one, two, three in zip(free, at_top, level, strict=True)
    )
    return ceiling, drop


def _check(n: Array, y: Array, w: Array) -> None:
    problems = []
    if n.ndim != 1 or y.shape[-1:] != n.shape or w.shape != n.shape:
        found = f"{n.size} numbers of cases, {y.shape[-1] if y.ndim else 1} areas, {w.size} weights"
        raise InputError(Problem("learning curve", "numbers must come together", found, "one of each for every point"))
    if np.unique(n).size < 3:
        found, expected = f"{np.unique(n).size}", "three or more, as the curve has three numbers of its own"
        problems.append(Problem("learning curve", "too few different numbers of training cases", found, expected))
    for what, values, bad, expected in (
        ("number of cases", n, ~(np.isfinite(n) & (n > 0)), "above 0"),
        ("area", y, ~((y >= 0) & (y <= 1)), "between 0 and 1"),
        ("weight", w, ~(np.isfinite(w) & (w > 0)), "above 0"),
    ):
        if bad.any():
            problems.append(Problem("learning curve", f"a {what} cannot be used", f"{values[bad][0]:g}", expected))
    if problems:
        raise InputError(problems)
