"""Draws of patients with replacement, and areas of many draws at once."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from rarelesion.types import Ids, Ints

Array = NDArray[np.float64]
MOST_DRAWN, FEWEST_DRAWS = 100_000_000, 99
"""Cases drawn in all, and draws all the same."""


def _weighted_counts(score: Array, malignant: NDArray[np.bool_], weights: Array) -> tuple[Array, Array]:
    """Per resample and distinct score, falling: the malignant and the benign cases that reach it."""
    order = np.argsort(-score, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(score[order])), score.size - 1)
    weights = weights[:, order]
    hits = np.cumsum(weights * malignant[order], axis=1)[:, ends]
    return hits, np.cumsum(weights, axis=1)[:, ends] - hits


def weighted_roc_auc(malignant: NDArray[np.bool_], score: Array, weights: Array) -> Array:
    """ROC-AUC of each resample (b,) of cases (n,) that occur `weights` (b, n) times; NaN where a class is missing."""
    hits, alarms = _weighted_counts(score, malignant, weights)
    before = np.concatenate([np.zeros((len(hits), 1)), hits[:, :-1]], axis=1)
    area = np.sum(np.diff(alarms, axis=1, prepend=0) * (before + hits) / 2, axis=1)
    pairs = hits[:, -1] * alarms[:, -1]
    return np.divide(area, pairs, out=np.full(len(hits), np.nan), where=pairs > 0)


def weighted_average_precision(malignant: NDArray[np.bool_], score: Array, weights: Array) -> Array:
    """Average precision of each resample (b,), arguments as for `weighted_roc_auc`; NaN where a class is missing."""
    hits, alarms = _weighted_counts(score, malignant, weights)
    called = hits + alarms
    precision = np.divide(hits, called, out=np.zeros_like(hits), where=called > 0)
    area = np.sum(np.diff(hits, axis=1, prepend=0) * precision, axis=1)
    usable = (hits[:, -1] > 0) & (alarms[:, -1] > 0)
    return np.divide(area, hits[:, -1], out=np.full(len(hits), np.nan), where=usable)


def average_precision_influence(malignant: NDArray[np.bool_], score: Array) -> Array:
    """How fast the average precision changes with the weight of each case (n,): its derivative, summing to 0.

    The infinitesimal jackknife of `weighted_average_precision`: for many cases the spread over draws without a draw.
    """
    order = np.argsort(-score, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(score[order])), score.size - 1)
    hits = np.cumsum(malignant[order])[ends]
    called, found = ends + 1.0, np.diff(hits, prepend=0)
    total, level = float(hits[-1]), np.empty(score.size, dtype=np.intp)
    level[order] = np.searchsorted(ends, np.arange(score.size))
    precision = hits / called
    # what one case more at a level does to the precision of its own and all lower levels
    lower = np.cumsum((found / called)[::-1])[::-1], np.cumsum((found * precision / called)[::-1])[::-1]
    of_malignant = precision - float(np.sum(found * precision)) / total + lower[0] - lower[1]
    return np.where(malignant, of_malignant[level], -lower[1][level]) / total


def affordable_draws(cases: int, wanted: int) -> int:
    """How many draws of so many cases are taken where `wanted` were asked for: fewer where they would take minutes."""
    return min(wanted, max(FEWEST_DRAWS, MOST_DRAWN // cases))


def patient_draws(label: Ints, patient_id: Ids, resamples: int, seed: int) -> Iterator[Array]:
    """How often each row occurs when patients are drawn with replacement, within those with and without malignancy.

    Labels and patients are (n,). Blocks (b, n) of some resamples each, so that memory stays small. Patients are drawn
    over all folds at once: within a fold of two malignant cases a draw would show half of their variance only.
    """
    rng = np.random.default_rng(seed)
    patient = np.unique(patient_id, return_inverse=True)[1]
    has_malignant = np.bincount(patient, weights=label == 1) > 0
    strata = [np.flatnonzero(has_malignant), np.flatnonzero(~has_malignant)]
    block = max(1, 1_000_000 // patient.size)
    for start in range(0, resamples, block):
        size = min(block, resamples - start)
        drawn = np.concatenate(
            [rng.choice(stratum, (size, stratum.size)) for stratum in strata if stratum.size], axis=1
        )
        flat = (drawn + np.arange(size)[:, None] * has_malignant.size).ravel()
        counts = np.bincount(flat, minlength=size * has_malignant.size).reshape(size, -1)
        yield counts[:, patient].astype(float)
