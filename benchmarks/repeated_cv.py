"""How often three intervals err after (repeated) 5-fold cross-validation of small cohorts.

    python benchmarks/repeated_cv.py --draws 1000

draws cohorts of ten normal features. Recipe a is a linear discriminant on the first five, recipe b on the last five,
which say as much: the two recipes are equally good, and so is every difference found chance. Prints two tables of the
share of 95 % intervals that miss the truth, which should be .05. The truth is either what the recipe reaches on
average when trained on such a cohort anew ("recipe"), or what the networks of this very cohort reach ("networks");
for known features both are exact but for the average over the draws.

naive: Student's t on the folds' areas. corrected: rarelesion.repeated. cases: compare_roc_auc and roc_auc_estimate.
"""

import argparse
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm
from scipy.stats import t as student

from rarelesion.compare import as_scores, compare_roc_auc
from rarelesion.intervals import roc_auc_estimate
from rarelesion.metrics import roc_auc
from rarelesion.repeated import compare_resampled, resampled_mean
from rarelesion.types import Scores

Array = NDArray[np.float64]
SIZES = ((46, 12), (100, 25), (200, 50))
"""All cases and the malignant ones of a cohort."""
REPEATS = (1, 10)
FOLDS, FEATURES, SHIFT = 5, 5, 0.5
"""Each of a recipe's features is higher by SHIFT standard deviations in malignant cases."""
METHODS = ("naive", "corrected", "cases")


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    rows = [
        (cases, malignant, repeats, *missed(cases, malignant, repeats, arguments.draws, arguments.seed))
        for cases, malignant in SIZES
        for repeats in REPEATS
    ]
    for title, place in (("difference of two ROC-AUC", 3), ("ROC-AUC of one recipe", 4)):
        truths = [f"{method}, {truth}" for truth in ("recipe", "networks") for method in METHODS]
        print(f"\nMissed by the 95 % interval: {title}\n")
        print(f"| cases (malignant) | repeats | {' | '.join(truths)} |")
        print("|---" * (2 + len(truths)) + "|")
        for row in rows:
            print(f"| {row[0]} ({row[1]}) | {row[2]} | {' | '.join(f'{share:.3f}' for share in row[place])} |")


def missed(cases: int, malignant: int, repeats: int, draws: int, seed: int) -> tuple[Array, Array]:
    """The shares of intervals that miss: of the difference and of one area, (6,) each, in the order of the table."""
    rng = np.random.default_rng([seed, cases, repeats])
    label = np.arange(cases) < malignant
    intervals, networks = zip(*(one_cohort(label, repeats, rng) for _ in range(draws)), strict=True)
    bounds = np.array(intervals)  # (draws, difference or area, method, low or high)
    own = np.array(networks)  # (draws, recipe): the true area of the networks, the mean over folds
    truths = np.stack([own[:, 0] - own[:, 1], own[:, 0]], axis=1)[:, :, None]
    anew = np.array([0.0, own.mean()])[None, :, None]
    shares = [((bounds[..., 0] > truth) | (bounds[..., 1] < truth)).mean(axis=0) for truth in (anew, truths)]
    return np.concatenate([shares[0][0], shares[1][0]]), np.concatenate([shares[0][1], shares[1][1]])


def one_cohort(label: NDArray[np.bool_], repeats: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """The intervals (2, 3, 2) found in one cohort, and what its networks truly reach (2,)."""
    features = rng.normal(size=(label.size, 2 * FEATURES)) + SHIFT * label[:, None]
    splits = list(cross_validation(label, repeats, rng))
    found = [
        cross_validated(features[:, columns], label, splits) for columns in (slice(FEATURES), slice(FEATURES, None))
    ]
    (scores_a, areas_a, true_a), (scores_b, areas_b, true_b) = found
    n_test, n_train = label.size / FOLDS, label.size * (1 - 1 / FOLDS)
    paired = compare_roc_auc(scores_a, scores_b)
    corrected = compare_resampled(areas_a, areas_b, n_test, n_train)
    area, mean = roc_auc_estimate(scores_a), resampled_mean(areas_a, n_test, n_train)
    differences = [naive(areas_a - areas_b), (corrected.low, corrected.high), (paired.low, paired.high)]
    areas = [naive(areas_a), (mean.low, mean.high), (area.low, area.high)]
    return np.array([differences, areas]), np.array([true_a, true_b])


def cross_validation(
    label: NDArray[np.bool_], repeats: int, rng: np.random.Generator
) -> Iterator[tuple[int, int, NDArray[np.bool_]]]:
    """The repeat, the fold and its test cases; each fold has its share of both classes."""
    for repeat in range(repeats):
        fold = np.empty(label.size, dtype=int)
        for members in (label, ~label):
            fold[members] = rng.permutation(np.arange(members.sum()) % FOLDS)
        yield from ((repeat, number, fold == number) for number in range(FOLDS))


def cross_validated(
    features: Array, label: NDArray[np.bool_], splits: list[tuple[int, int, NDArray[np.bool_]]]
) -> tuple[Scores, Array, float]:
    """The test scores, the area in each fold, and the mean of the true areas of the folds' discriminants."""
    rows, areas, true = [], [], []
    for repeat, fold, tested in splits:
        weights = discriminant(features[~tested], label[~tested])
        score = features[tested] @ weights
        areas.append(roc_auc(label[tested], score))
        true.append(norm.cdf(SHIFT * weights.sum() / np.sqrt(2 * weights @ weights)))
        case = np.flatnonzero(tested)
        rows.append((case, label[tested], score, np.full(case.size, fold), np.full(case.size, repeat)))
    case, labels, score, fold, repeat = (np.concatenate(column) for column in zip(*rows, strict=True))
    return as_scores("recipe", case, labels, score, folds=fold, repeats=repeat), np.array(areas), float(np.mean(true))


def discriminant(features: Array, label: NDArray[np.bool_]) -> Array:
    """Fisher's linear discriminant."""
    means = [features[members].mean(axis=0) for members in (label, ~label)]
    centred = features - np.where(label[:, None], *means)
    return np.linalg.solve(centred.T @ centred / (label.size - 2), means[0] - means[1])


def naive(values: Array) -> tuple[float, float]:
    """Student's interval of the folds' values, as if they were independent."""
    half = student.ppf(0.975, values.size - 1) * values.std(ddof=1) / np.sqrt(values.size)
    return float(values.mean() - half), float(values.mean() + half)


if __name__ == "__main__":
    main()
