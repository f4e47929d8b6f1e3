"""The statistics on plain arrays: `from rarelesion import auc, compare_aucs, operating_point`.

For scores of any program or reader. Nothing here needs images, torch or files.
"""

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rarelesion.compare import as_scores, compare_roc_auc
from rarelesion.errors import InputError, Problem
from rarelesion.intervals import Interval, pr_auc_estimate, roc_auc_estimate
from rarelesion.predictive import DiagnosticAccuracy, operating_point_of
from rarelesion.proportions import Share
from rarelesion.thresholds import choose_threshold
from rarelesion.types import Comparison, Estimate, Scores


def auc(
    labels: ArrayLike,
    scores: ArrayLike,
    *,
    curve: Literal["roc", "pr"] = "roc",
    patients: ArrayLike | None = None,
    folds: ArrayLike | None = None,
    repeats: ArrayLike | None = None,
    cases: ArrayLike | None = None,
    confidence: float = 0.95,
    interval: Interval = "logit",
    seed: int = 0,
) -> Estimate:
    """The area under the ROC (or precision-recall) curve with an interval one may quote.

    `labels` (n,) 0 benign, 1 malignant; `scores` (n,) higher = more suspicious. `patients` (n,) says which lesions
    belong together; none given, each is a patient of its own. `folds` (n,) says which scores come from one network:
    scores of different folds are never compared. With `repeats` (n,) of the cross-validation, `cases` (n,) says which
    rows are the same lesion. `interval` is for the ROC curve, as in `intervals.roc_auc_estimate`; PR intervals are
    always bootstrap (`seed`). Raises InputError for broken or one-class scores and arrays of different length.

    >>> area = auc([0, 0, 0, 1, 1, 1], [0.1, 0.4, 0.2, 0.3, 0.9, 0.8])
    >>> f"{area.value:.2f}, with three cases of each class anything from {area.low:.2f} to {area.high:.2f}"
    '0.89, with three cases of each class anything from 0.09 to 1.00'
    """
    rows = _rows("scores", labels, scores, patients, folds, repeats, cases)
    if curve == "pr":
        return pr_auc_estimate(rows, confidence, seed=seed)
    return roc_auc_estimate(rows, confidence, interval, seed=seed)


def compare_aucs(
    labels: ArrayLike,
    a: ArrayLike,
    b: ArrayLike,
    *,
    patients: ArrayLike | None = None,
    folds: ArrayLike | None = None,
    repeats: ArrayLike | None = None,
    cases: ArrayLike | None = None,
    confidence: float = 0.95,
) -> Comparison:
    """Whether scores `a` separate the same cases better than scores `b`: the difference in ROC-AUC, its interval, p.

    Arrays (n,) as for `auc`; the difference is a minus b. Paired DeLong, extended to folds and to patients with several
    lesions (`compare.compare_roc_auc`). Raises InputError as `auc` does.

    >>> found = compare_aucs([0, 0, 0, 1, 1, 1], [1, 4, 2, 3, 9, 8], [2, 1, 4, 3, 2, 5])
    >>> round(found.difference, 2), found.low < 0 < found.high
    (0.17, True)
    """
    first, second = (
        _rows(name, labels, scores, patients, folds, repeats, cases) for name, scores in (("a", a), ("b", b))
    )
    return compare_roc_auc(first, second, confidence)


def operating_point(
    labels: ArrayLike,
    scores: ArrayLike,
    *,
    threshold: float | None = None,
    tune: tuple[ArrayLike, ArrayLike] | None = None,
    rule: str = "youden",
    patients: ArrayLike | None = None,
    prevalence: float | None = None,
    interval: Share = "wilson",
    confidence: float = 0.95,
) -> DiagnosticAccuracy:
    """What calling malignant from a threshold on does to these cases: sensitivity, specificity, PPV, NPV.

    The threshold is given, or placed by a `rule` (`thresholds.RULES`: "youden", "sensitivity>=0.95", …) on the tuning
    cases `tune`, a pair of labels and scores of other patients. It is never chosen on the cases it is judged by: how
    much that flatters is what `optimism.chosen_threshold` tells. The other arguments are those of
    `predictive.operating_point_of`. Raises InputError where neither or both are given, and as that does.

    >>> point = operating_point([0, 0, 0, 1, 1], [1, 2, 4, 3, 5], tune=([0, 0, 1, 1], [1, 2, 3, 4]), prevalence=0.1)
    >>> point.threshold, point.sensitivity.value, round(point.at_prevalence.ppv.value, 2)
    (2.5, 1.0, 0.25)
    """
    if (threshold is None) == (tune is None):
        expected = "one of them: a threshold fixed beforehand, or tuning cases to choose it on"
        found = "neither" if tune is None else "both"
        remedy = "See optimism.chosen_threshold where there are no other cases than these."
        raise InputError(Problem("threshold, tune", "where does the threshold come from?", found, expected, remedy))
    fixed = choose_threshold(*tune, rule) if threshold is None and tune is not None else threshold
    assert fixed is not None
    return operating_point_of(labels, scores, fixed, patients, confidence, interval, prevalence)


def _rows(
    name: str,
    labels: ArrayLike,
    scores: ArrayLike,
    patients: ArrayLike | None,
    folds: ArrayLike | None,
    repeats: ArrayLike | None,
    cases: ArrayLike | None,
) -> Scores:
    """The arrays as rows of a table of test cases, each row a case of its own unless told otherwise."""
    if repeats is not None and cases is None:
        raise InputError(Problem("cases", "needed with repeats", expected="which rows are the same lesion"))
    own = np.arange(np.asarray(scores).size) if cases is None else cases
    return as_scores(name, own, labels, scores, patients, _numbered(folds), _numbered(repeats))


def _numbered(values: ArrayLike | None) -> NDArray[np.int64] | None:
    """Entries of any kind as numbers from 0."""
    return None if values is None else np.unique(np.asarray(values).ravel(), return_inverse=True)[1].astype(np.int64)
