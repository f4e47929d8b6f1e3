"""How well scores separate malignant from benign: areas, curves and thresholds, from arrays alone."""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

from rarelesion.errors import InputError, Problem
from rarelesion.types import Curve


def check_scores(
    labels: ArrayLike, scores: ArrayLike, where: str = "scores"
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Labels as booleans and scores as float64, or an InputError with everything that is wrong with them."""
    label, score = np.asarray(labels).ravel(), np.asarray(scores, dtype=np.float64).ravel()
    if label.size != score.size or label.size == 0:
        sizes = f"{label.size} labels and {score.size} scores"
        raise InputError(Problem(where, "labels and scores must come in pairs", sizes, "one of each for every case"))
    problems = []
    known = np.isin(label, (0, 1)) if label.dtype.kind in "buif" else np.zeros(label.size, dtype=bool)
    if not known.all():
        odd = ", ".join(map(repr, np.unique(label[~known])[:3].tolist()))
        problems.append(Problem(where, "a label is neither benign nor malignant", odd, "0 (benign) or 1 (malignant)"))
    elif np.unique(label).size < 2:
        found = f"{label.size} {'malignant' if label[0] else 'benign'} cases and none of the other class"
        remedy = "Add test cases of the other class, or use fewer folds."
        problems.append(Problem(where, "only one class", found, "benign and malignant cases", remedy))
    broken = np.flatnonzero(~np.isfinite(score))
    if broken.size:
        found = f"{score[broken[0]]} at position {broken[0]} ({broken.size} in all)"
        remedy = "Find out why the case has no score; leave it out of the table only if you report that you did."
        problems.append(Problem(where, "a score is not a finite number", found, "a number for every case", remedy))
    if problems:
        raise InputError(problems)
    return label.astype(bool), score


def placements(malignant: NDArray[np.bool_], score: NDArray[np.float64]) -> NDArray[np.float64]:
    """For every case the share of the other class that it is ranked correctly against, ties counted half.

    Both arrays (n,) and already checked; result (n,) in 0..1. The mean over the malignant, like that over the
    benign, is the ROC-AUC. By midranks in O(n log n), after Sun & Xu 2014, doi:10.1109/LSP.2014.2337313.
    """
    benign = ~malignant
    rank = rankdata(score)
    result = np.empty(score.size)
    result[malignant] = (rank[malignant] - rankdata(score[malignant])) / benign.sum()
    result[benign] = 1 - (rank[benign] - rankdata(score[benign])) / malignant.sum()
    return result


def roc_auc(labels: ArrayLike, scores: ArrayLike) -> float:
    """The chance that a malignant case scores higher than a benign one, a tie counting half.

    `labels` (n,) 0 benign, 1 malignant; `scores` (n,), higher = more suspicious; result in 0..1. This is the
    Mann-Whitney statistic (Hanley & McNeil 1982, doi:10.1148/radiology.143.1.7063747).
    Raises InputError for one class only, a score that is not finite, or lengths that differ.

    >>> roc_auc([0, 0, 1, 1], [0.1, 0.4, 0.4, 0.8])
    0.875
    """
    malignant, score = check_scores(labels, scores)
    return float(placements(malignant, score)[malignant].mean())


def _counts(
    malignant: NDArray[np.bool_], score: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """Distinct scores, falling, and how many malignant and benign cases reach each."""
    thresholds, group = np.unique(-score, return_inverse=True)
    hits = np.cumsum(np.bincount(group[malignant], minlength=thresholds.size))
    alarms = np.cumsum(np.bincount(group[~malignant], minlength=thresholds.size))
    return -thresholds, hits, alarms


def average_precision(labels: ArrayLike, scores: ArrayLike) -> float:
    """The area under the precision-recall curve as a step function: the PPV averaged over the malignant cases.

    Arguments and errors as for `roc_auc`; result in 0..1, by chance about the share of malignant cases. Cases with
    equal scores are one threshold. The trapezoid area is not used: it interpolates too favourably
    (Davis & Goadrich 2006, doi:10.1145/1143844.1143874).

    >>> average_precision([1, 0, 0, 1], [0.1, 0.2, 0.3, 0.4])
    0.75
    """
    _, hits, alarms = _counts(*check_scores(labels, scores))
    gained = np.diff(hits, prepend=0) / hits[-1]
    return float(np.sum(gained * hits / (hits + alarms)))


def roc_curve(labels: ArrayLike, scores: ArrayLike) -> Curve:
    """The ROC curve: x is 1 - specificity, y is sensitivity, one point for every distinct score.

    Starts at (0, 0) with an infinite threshold and ends at (1, 1). Arguments and errors as for `roc_auc`.
    """
    thresholds, hits, alarms = _counts(*check_scores(labels, scores))
    return Curve(
        x=np.concatenate([[0.0], alarms / alarms[-1]]),
        y=np.concatenate([[0.0], hits / hits[-1]]),
        thresholds=np.concatenate([[np.inf], thresholds]),
    )


def pr_curve(labels: ArrayLike, scores: ArrayLike) -> Curve:
    """The precision-recall curve: x is sensitivity (recall), y is PPV (precision), one point for every distinct score.

    To be drawn as steps; `average_precision` is its area. Arguments and errors as for `roc_auc`.
    """
    thresholds, hits, alarms = _counts(*check_scores(labels, scores))
    return Curve(x=hits / hits[-1], y=hits / (hits + alarms), thresholds=thresholds)


def sensitivity_specificity(labels: ArrayLike, scores: ArrayLike, threshold: float) -> tuple[float, float]:
    """The share of malignant cases called malignant and of benign cases called benign, both in 0..1.

    Malignant is called where score >= threshold. Arguments and errors as for `roc_auc`.

    >>> sensitivity_specificity([0, 0, 1, 1], [1.0, 3.0, 3.0, 4.0], threshold=3.0)
    (1.0, 0.5)
    """
    malignant, score = check_scores(labels, scores)
    called = score >= threshold
    return float(called[malignant].mean()), float((~called[~malignant]).mean())


METRICS: dict[str, Callable[[ArrayLike, ArrayLike], float]] = {"roc_auc": roc_auc, "pr_auc": average_precision}
"""What is reported of labels (n,) and scores (n,) without a threshold: add a metric here."""
