"""Ridge logistic regression for few cases: standardised features, the penalty chosen without looking at new cases."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from rarelesion.types import Floats, Ints

Array = NDArray[np.float64]
PENALTIES = tuple(float(penalty) for penalty in 10.0 ** np.arange(4.0, -1.5, -0.5))
"""From no say at all to nearly free, on standardised features; half the squared length of the weights costs so much."""
FOLDS, DEALS = 5, 4
"""The penalty is chosen in five folds of the training patients, dealt out four times: one deal is a matter of luck."""
LEFT_OUT_PARTS = 10
"""The training cases' own log-odds come from ten fits, each without the tenth it scores."""
MOST_SPREADS = 4.0
"""A standardised feature counts for no more than so many spreads: one freak value is not to decide a case."""
STEPS, CLOSE = 50, 1e-8


@dataclass(frozen=True, eq=False, slots=True)
class Standard:
    """What the training cases say a feature usually is."""

    middle: Array
    """(p,) the median: it stands in for what is missing."""
    mean: Array
    """(p,) after that."""
    spread: Array
    """(p,) standard deviation, infinite where all training cases are alike: such a feature says nothing."""

    def __call__(self, features: Floats) -> Array:
        """(n, p) standardised, the missing (NaN) filled in, cut off at `MOST_SPREADS`."""
        filled = np.where(np.isnan(features), self.middle, features)
        return np.clip((filled - self.mean) / self.spread, -MOST_SPREADS, MOST_SPREADS)


def fit_standard(features: Floats) -> Standard:
    """Learn from training cases (n, p), NaN where missing; a feature that no case has says nothing."""
    held = ~np.isnan(features).all(axis=0)
    middle = np.zeros(features.shape[1])
    middle[held] = np.nanmedian(features[:, held], axis=0)
    filled = np.where(np.isnan(features), middle, features)
    spread = filled.std(axis=0)
    alike = spread <= 1e-9 * np.maximum(np.abs(filled).max(axis=0, initial=0.0), 1e-300)
    return Standard(middle, filled.mean(axis=0), np.where(alike, np.inf, spread))


def fit_ridge(
    features: Floats, labels: Ints, penalty: float, towards: Array | None = None, start: Array | None = None
) -> Array:
    """Intercept and weights (1 + p,) of log-odds = intercept + features @ weights, by Newton's method.

    `features` (n, p), `labels` (n,) 0 or 1, both there. `penalty` times half the squared distance of the weights from
    `towards` (p,), by default 0, is added to the negative log-likelihood; the intercept is free. The search begins at
    `start` (1 + p,), which changes how long it takes and nothing else.
    """
    n, p = features.shape
    columns = np.column_stack([np.ones(n), features])
    aim = np.concatenate([[0.0], np.zeros(p) if towards is None else towards])
    cost = np.diag(np.concatenate([[0.0], np.full(p, penalty)]))
    share = (labels.sum() + 0.5) / (n + 1)
    weights = aim.copy()
    weights[0] = np.log(share / (1 - share)) - float((features @ aim[1:]).mean())
    weights = weights if start is None else start

    def loss(candidate: Array) -> float:
        log_odds = columns @ candidate
        away = candidate - aim
        return float(np.sum(np.logaddexp(0.0, log_odds) - labels * log_odds) + away @ cost @ away / 2)

    reached = loss(weights)
    for _ in range(STEPS):
        chance = expit(columns @ weights)
        gradient = columns.T @ (chance - labels) + cost @ (weights - aim)
        curvature = (columns * (chance * (1 - chance))[:, None]).T @ columns + cost + 1e-10 * np.eye(p + 1)
        step = np.linalg.solve(curvature, gradient)
        while (new := loss(weights - step)) > reached and np.abs(step).max() > CLOSE:
            step /= 2
        weights, reached = weights - step, min(new, reached)
        if np.abs(step).max() < CLOSE * (1 + np.abs(weights).max()):
            break
    return weights


def log_odds(weights: Array, features: Floats) -> Array:
    """(n,) of features (n, p) under weights (1 + p,), intercept first."""
    return weights[0] + features @ weights[1:]


def deal(labels: Ints, patients: Sequence[str], folds: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Which of the folds each case is in (n,), patients kept together, each class spread evenly."""
    malignant = dict.fromkeys(patients, 0)
    for patient, one in zip(patients, labels.tolist(), strict=True):
        malignant[patient] = max(malignant[patient], one)
    names = np.array(sorted(malignant))
    names = names[rng.permutation(len(names))]
    ordered = sorted(names.tolist(), key=lambda name: malignant[name])
    fold_of = {name: place % folds for place, name in enumerate(ordered)}
    return np.array([fold_of[patient] for patient in patients])


def choose_penalty(features: Floats, labels: Ints, patients: Sequence[str], seed: int) -> float:
    """The penalty of `PENALTIES` that serves cases left out best, by their log-likelihood; ties go to the stronger.

    `features` (n, p) are not standardised yet: that too is learnt without the cases left out.
    """
    costs = np.zeros(len(PENALTIES))
    for number in range(DEALS):
        fold_of = deal(labels, patients, FOLDS, np.random.default_rng([seed, number]))
        for fold in range(FOLDS):
            kept = fold_of != fold
            if len(np.unique(labels[kept])) == 2 and not kept.all():
                costs += _left_out(features, labels, kept)
    return PENALTIES[int(np.argmin(np.round(costs, 9)))]


def _left_out(features: Floats, labels: Ints, kept: NDArray[np.bool_]) -> Array:
    """Of each penalty, the negative log-likelihood of the cases not kept."""
    standard = fit_standard(features[kept])
    learnt, asked = standard(features[kept]), standard(features[~kept])
    costs, weights = [], None
    for penalty in PENALTIES:
        weights = fit_ridge(learnt, labels[kept], penalty, start=weights)
        odds = log_odds(weights, asked)
        costs.append(np.sum(np.logaddexp(0.0, odds) - labels[~kept] * odds))
    return np.array(costs)


@dataclass(frozen=True, eq=False, slots=True)
class Part:
    """What was learnt from one kind of features."""

    standard: Standard
    weights: Array
    """(1 + p,) of standardised features, intercept first."""
    left_out: Array
    """(n,) log-odds of the training cases, each under weights learnt without it: as if it were new."""

    def score(self, features: Floats) -> Array:
        """The log-odds of malignancy (m,) of cases with these features (m, p); higher is more suspicious."""
        return log_odds(self.weights, self.standard(features))


def fit_part(features: Floats, labels: Ints, patients: Sequence[str], seed: int) -> Part:
    """Learn the log-odds of malignancy from the features of the training cases (n, p), NaN where one is missing.

    Everything, the standard, the penalty and the weights, comes from these cases alone. Both classes must be there.
    """
    penalty = choose_penalty(features, labels, patients, seed)
    standard = fit_standard(features)
    fold_of = deal(labels, patients, LEFT_OUT_PARTS, np.random.default_rng([seed, DEALS]))
    left_out = np.empty(len(labels))
    for fold in np.unique(fold_of):
        kept = fold_of != fold
        without = fit_standard(features[kept])
        weights = fit_ridge(without(features[kept]), labels[kept], penalty)
        left_out[~kept] = log_odds(weights, without(features[~kept]))
    return Part(standard, fit_ridge(standard(features), labels, penalty), left_out)
