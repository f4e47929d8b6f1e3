"""How the ROC-AUC grows with the number of training cases, and what more cases would be expected to bring."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from rarelesion.folds import Array, usable_folds
from rarelesion.intervals import Interval, roc_auc_estimate
from rarelesion.metrics import roc_auc
from rarelesion.power_law import PowerLaw, fit_power_law
from rarelesion.resampling import affordable_draws, patient_draws, weighted_roc_auc
from rarelesion.types import Estimate, Scores, Split

LEAST_PATIENTS = 2
"""Of either class in the smallest training set, where there are so many: detectors need two that differ."""
GRID = 60
INSIDE = 1e-6
"""How far from 0 and 1 an area is held where its log-odds are taken."""


def training_subset(
    split: Split, label_of: Mapping[str, int], patient_of: Mapping[str, str], share: float, draw: int, seed: int
) -> tuple[str, ...]:
    """A share (0..1) of a split's training cases, stratified by class, whole patients only, in the split's order.

    Subsets of one draw are nested: a smaller share is part of a larger one. Two patients of either class are in every
    subset where there are as many. `label_of` and `patient_of` go by case id; the same arguments give the same cases.
    """
    label_of_patient: dict[str, int] = {}
    for case_id in split.train:
        name = patient_of[case_id]
        label_of_patient[name] = max(label_of[case_id], label_of_patient.get(name, 0))
    rng = np.random.default_rng([seed, split.repeat, split.fold, draw])
    kept: set[str] = set()
    for label in (0, 1):
        patients = sorted(name for name, own in label_of_patient.items() if own == label)
        rng.shuffle(patients)
        kept.update(patients[: max(round(share * len(patients)), LEAST_PATIENTS)])
    return tuple(case_id for case_id in split.train if patient_of[case_id] in kept)


@dataclass(frozen=True, eq=False, slots=True)
class Trained:
    """The test cases of a recipe as networks score them that were trained on a share of the training cases."""

    share: float
    """In 0..1; 1 is the study itself."""
    cases: float
    """Training cases, the mean over folds and draws."""
    scores: Scores
    """Of the test cases; the draws of one repeat stand as consecutive repeats."""
    draws: int


@dataclass(frozen=True, slots=True)
class Point:
    """What was measured at one size of the training set."""

    share: float
    cases: float
    draws: int
    roc_auc: Estimate
    """The mean over folds and draws."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """What more cases would be expected to bring."""

    more: int
    """Cases added to the cohort, classes in the same proportion."""
    cases_now: float
    """Training cases of a network of the study."""
    cases_then: float
    """Of a network of the larger one."""
    now: Estimate
    """ROC-AUC of the fitted curve at the study's size."""
    then: Estimate
    gain: Estimate
    """`then` less `now`: never below 0, as the curve never falls."""
    slope: Estimate
    """What a doubling of the training cases brought, by a straight line that may fall."""


@dataclass(frozen=True, eq=False, slots=True)
class LearningCurve:
    """Measured points, the curve through them with its band, and the forecast; of one recipe."""

    recipe: str
    points: tuple[Point, ...]
    law: PowerLaw
    forecast: Forecast
    cases: NDArray[np.float64] = field(repr=False)
    """(k,) rising, from the smallest training set to that of the forecast."""
    fitted: NDArray[np.float64] = field(repr=False)
    """(k,) the curve."""
    low: NDArray[np.float64] = field(repr=False)
    high: NDArray[np.float64] = field(repr=False)
    """(k,) the ends of its interval at each place."""


def fit_learning_curve(
    recipe: str,
    sizes: Sequence[Trained],
    more: int,
    cohort_cases: int,
    confidence: float = 0.95,
    interval: Interval = "logit",
    resamples: int = 2000,
    seed: int = 0,
) -> LearningCurve:
    """Fit `power_law.fit_power_law` through the areas of at least three sizes, and forecast a larger cohort.

    `sizes` in any order, the study itself (share 1) among them; all score the same test cases. `more` is the number of
    cases added to a cohort of `cohort_cases`. A point counts by its training cases times its draws, as its luck falls
    with both. The intervals come from resamples: patients are drawn with replacement, the same for all sizes, since all
    are tested on the same patients; the luck of which cases were trained on is added as large as it is seen to be from
    draw to draw; and the curve is fitted anew. That of an area is nowhere narrower than the interval measured at the
    study's own size. Raises InputError as `roc_auc_estimate` and `fit_power_law`.
    """
    sizes = sorted(sizes, key=lambda one: one.cases)
    points = tuple(
        Point(one.share, one.cases, one.draws, roc_auc_estimate(one.scores, confidence, interval, resamples, seed))
        for one in sizes
    )
    cases, areas = np.array([one.cases for one in sizes]), np.array([point.roc_auc.value for point in points])
    weights = cases * np.array([one.draws for one in sizes])
    drawn = _drawn(sizes, resamples, seed)
    law, laws = fit_power_law(cases, areas, weights), fit_power_law(cases, drawn, weights)
    now, then = float(cases[-1]), float(cases[-1]) * (1 + more / cohort_cases)
    grid = np.append(np.geomspace(cases[0], then, GRID), now)
    tails = 50 * (1 - confidence), 50 * (1 + confidence)
    fitted = law.at(grid)
    low, high = np.percentile(laws.at(grid), tails, axis=0)
    low, high = _no_narrower(fitted, low, high, points[-1].roc_auc)
    method = f"inverse power law, {len(drawn)} draws of test patients and of the luck of the training cases"

    def estimate(value: float, low: float, high: float, name: str = method) -> Estimate:
        return Estimate(float(value), float(min(low, value)), float(max(high, value)), name)

    gains = np.percentile(np.diff(laws.at([now, then]), axis=-1), tails)
    slopes = np.percentile(_slopes(cases, drawn, weights), tails)
    line = method.replace("inverse power law", "straight line in the logarithm of the cases")
    forecast = Forecast(
        more=more,
        cases_now=now,
        cases_then=then,
        now=estimate(fitted[-1], low[-1], high[-1]),
        then=estimate(fitted[-2], low[-2], high[-2]),
        gain=estimate(fitted[-2] - fitted[-1], gains[0], gains[1]),
        slope=estimate(_slopes(cases, areas[None], weights)[0], slopes[0], slopes[1], line),
    )
    order = np.argsort(grid)
    return LearningCurve(recipe, points, law, forecast, grid[order], fitted[order], low[order], high[order])


def _drawn(sizes: Sequence[Trained], resamples: int, seed: int) -> Array:
    """Resampled areas (b, m) of all sizes: the same patients for each, and the luck of its training cases added."""
    count = affordable_draws(sum(one.scores.label.size for one in sizes), resamples)
    areas = np.stack([_resampled_areas(one.scores, count, seed) for one in sizes], axis=1)
    networks = np.array([len(usable_folds(one.scores).used) for one in sizes])
    spread = np.sqrt(_luck(sizes) / (np.array([one.cases for one in sizes]) * networks))
    noise = np.random.default_rng([seed, len(sizes)]).normal(size=areas.shape) * spread
    return np.clip(areas + noise, 0.0, 1.0)


def _resampled_areas(scores: Scores, resamples: int, seed: int) -> Array:
    """The mean area over folds and draws of training cases in resamples (b,) of the test patients."""
    folds = usable_folds(scores)
    rows, blocks = folds.rows, []
    for weights in patient_draws(rows.label, rows.patient_id, resamples, seed):
        own = np.stack([weighted_roc_auc(rows.label[i] == 1, rows.score[i], weights[:, i]) for i in folds.used])
        there = np.isfinite(own)
        blocks.append(np.where(there, own, 0.0).sum(axis=0) / np.maximum(there.sum(axis=0), 1))
    return np.concatenate(blocks)


def _luck(sizes: Sequence[Trained]) -> float:
    """The variance of a fold's area from one draw of its training cases to the next, times their number.

    The mean over all sizes and folds with several draws; 0 where there are none.
    """
    spreads = []
    for one in sizes:
        folds, areas = usable_folds(one.scores), dict[tuple[int, int], list[float]]()
        for index in folds.used:
            repeat, fold = int(folds.rows.repeat[index[0]]), int(folds.rows.fold[index[0]])
            area = roc_auc(folds.rows.label[index], folds.rows.score[index])
            areas.setdefault((repeat // one.draws, fold), []).append(area)
        spreads += [one.cases * float(np.var(own, ddof=1)) for own in areas.values() if len(own) > 1]
    return float(np.mean(spreads)) if spreads else 0.0


def _slopes(cases: Array, areas: Array, weights: Array) -> Array:
    """What a doubling of the cases (m,) brings by the straight line through each row of the areas (b, m)."""
    x, w = np.log2(cases), weights / weights.sum()
    away = x - w @ x
    return areas @ (w * away) / (w @ away**2)


def _no_narrower(value: Array, low: Array, high: Array, measured: Estimate) -> tuple[Array, Array]:
    """The interval (k,) of each area, at each end as far away, on the logit scale, as the measured area's at least."""
    area, *ends = logit(np.clip([measured.value, measured.low, measured.high], INSIDE, 1 - INSIDE))
    centre = logit(np.clip(value, INSIDE, 1 - INSIDE))
    least, most = (expit(centre + end - area) for end in ends)
    return np.minimum(low, least), np.maximum(high, most)
