"""How well the label can be told from numbers that should not know it, in cross-validation by patient."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rarelesion.clinical import fit_encoding, is_number
from rarelesion.intervals import roc_auc_estimate
from rarelesion.ridge import deal, fit_ridge, fit_standard, log_odds
from rarelesion.types import Estimate, Floats, Ints, Scores

Array = NDArray[np.float64]
FOLDS, REPEATS = 5, 3
PENALTY = 2.0
"""On standardised features: a little, for one quantity."""
PENALTIES = (300.0, 30.0, 3.0)
"""To choose from where there are many numbers, by folds within the training patients."""
FEWEST = 10
"""With fewer patients of a class no question is asked."""
CONFIDENCE = 0.95
LEAST_AUC = 0.6


@dataclass(frozen=True, slots=True)
class Told:
    """What one kind of number tells of the label."""

    name: str
    auc: Estimate
    """Cross-validated; the interval is at the level that allows for all questions asked."""

    @property
    def is_finding(self) -> bool:
        """Whether it tells the label better than chance, and by more than a little."""
        return self.auc.low > 0.5 and self.auc.value > LEAST_AUC


def numbers_of(cells: Sequence[str]) -> Array | None:
    """(n, 1) a column as numbers, NaN where empty; None where it holds words."""
    given = [cell for cell in cells if cell.strip()]
    if not given or not all(map(is_number, given)):
        return None
    return np.array([[float(cell) if cell.strip() else np.nan] for cell in cells])


def worth_asking(values: Array | Sequence[str]) -> bool:
    """Whether a quantity differs between cases at all; words must recur."""
    if isinstance(values, np.ndarray):
        return any(np.unique(column[np.isfinite(column)]).size > 1 for column in values.T) or bool(
            0 < np.isnan(values).mean() < 1
        )
    counts = [list(values).count(word) for word in set(values)]
    return len(counts) > 1 and sum(count for count in counts if count > 1) >= len(values) / 2


def what_is_told(
    questions: Mapping[str, Array | Sequence[str]], labels: Ints, patients: Sequence[str], seed: int, asked: int
) -> tuple[Told, ...]:
    """The cross-validated ROC-AUC of the label from each of the questions alone, highest first.

    A question is a matrix (n, p), NaN where unknown, or n words. `asked` questions share the chance of a false alarm:
    their intervals are at the level 1 - .05 / asked. Empty where a class has fewer than `FEWEST` patients.
    """
    owners = np.asarray(patients)
    if min(np.unique(owners[labels == label]).size for label in (0, 1)) < FEWEST:
        return ()
    confidence = 1 - (1 - CONFIDENCE) / max(asked, 1)
    told = []
    for name, values in questions.items():
        scores = _cross_validated(name, values, labels, patients, seed)
        told.append(Told(name, roc_auc_estimate(scores, confidence)))
    return tuple(sorted(told, key=lambda one: -one.auc.value))


def _cross_validated(
    name: str, values: Array | Sequence[str], labels: Ints, patients: Sequence[str], seed: int
) -> Scores:
    """Scores of all cases, each under a fit that has seen nothing of its patient, once a repeat."""
    rows: list[tuple[int, int, NDArray[np.intp], Array]] = []
    for repeat in range(REPEATS):
        fold_of = deal(labels, patients, FOLDS, np.random.default_rng([seed, repeat]))
        for fold in range(FOLDS):
            kept = fold_of != fold
            score = _fit_and_ask(values, labels, patients, kept, seed)
            rows.append((repeat, fold, np.flatnonzero(~kept), score))
    index = np.concatenate([places for *_, places, _ in rows])
    return Scores(
        recipe=name,
        repeat=np.concatenate([np.full(len(places), repeat) for repeat, _, places, _ in rows]),
        fold=np.concatenate([np.full(len(places), fold) for _, fold, places, _ in rows]),
        part=np.full(index.size, "test"),
        case_id=index.astype(str),
        patient_id=np.asarray(patients)[index],
        label=labels[index],
        score=np.concatenate([score for *_, score in rows]),
    )


def _fit_and_ask(
    values: Array | Sequence[str], labels: Ints, patients: Sequence[str], kept: NDArray[np.bool_], seed: int
) -> Array:
    features = _features(values, kept)
    owners = [patient for patient, one in zip(patients, kept, strict=True) if one]
    penalty = PENALTY
    if features.shape[1] > 12:
        penalty = _chosen(features[kept], labels[kept], owners, seed)
    return _scored(features[kept], labels[kept], features[~kept], penalty)


def _scored(learnt: Array, labels: Ints, asked: Array, penalty: float) -> Array:
    standard = fit_standard(learnt)
    return log_odds(fit_ridge(standard(learnt), labels, penalty), standard(asked))


def _chosen(features: Array, labels: Ints, patients: Sequence[str], seed: int) -> float:
    """The penalty under which cases left out are most likely."""
    fold_of = deal(labels, patients, 3, np.random.default_rng([seed, 9]))
    costs = []
    for penalty in PENALTIES:
        cost = 0.0
        for fold in range(3):
            kept = fold_of != fold
            odds = _scored(features[kept], labels[kept], features[~kept], penalty)
            cost += float(np.sum(np.logaddexp(0.0, odds) - labels[~kept] * odds))
        costs.append(cost)
    return PENALTIES[int(np.argmin(costs))]


def _features(values: Array | Sequence[str], kept: NDArray[np.bool_]) -> Array:
    """(n, q) what a ridge is given: of words their own places; of few numbers also in which fifth each lies."""
    if not isinstance(values, np.ndarray):
        rows = [{"": word} for word in values]
        learnt = [row for row, one in zip(rows, kept, strict=True) if one]
        return fit_encoding(("",), frozenset(), learnt)(rows)
    unknown = np.isnan(values)
    parts: list[Floats] = [values]
    if unknown.any():
        parts.append(unknown.astype(np.float64))
    if values.shape[1] <= 2:
        parts += [_fifths(values[:, [column]], values[kept][:, column]) for column in range(values.shape[1])]
    return np.concatenate(parts, axis=1).astype(np.float64)


def _fifths(values: Array, learnt: Array) -> Array:
    """(n, k) in which fifth of the training cases a number lies: what is usual may be in the middle."""
    known = learnt[np.isfinite(learnt)]
    if known.size == 0:
        return np.empty((len(values), 0))
    limits = np.unique(np.quantile(known, (0.2, 0.4, 0.6, 0.8)))
    return (np.nan_to_num(values, nan=float(np.median(known))) > limits).astype(np.float64)
