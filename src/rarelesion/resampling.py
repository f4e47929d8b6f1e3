"""Draws of patients with replacement, and areas of many draws at once."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from rarelesion.types import Ints

Array = NDArray[np.float64]


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


def patient_draws(label: Ints, patient_id: NDArray[np.str_], resamples: int, seed: int) -> Iterator[Array]:
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
