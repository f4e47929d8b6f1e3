"""How much do repeats steady a cross-validated ROC-AUC, and does `widths.repeat_rows` foretell it?

    python benchmarks/repeats.py

makes up cohorts of 100 cases, 25 of them malignant, ten features each, whose best possible ROC-AUC is 0.90, and judges
on each a small network (one layer of random units, the last layer fitted) in 3, 5 and 10 folds, 20 times with another
division and another seed. From the first two repeats of all cohorts come the two standard deviations that the model
needs; the table holds what it foretells from them for more repeats against what the cohorts show. Takes a minute of
one core.
"""

import argparse
from math import sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from rarelesion.metrics import roc_auc
from rarelesion.sizing import auc_standard_error
from rarelesion.widths import repeat_rows

Array = NDArray[np.float64]
N_BENIGN, N_MALIGNANT, N_FEATURES, BEST_AREA = 75, 25, 10, 0.9
UNITS, PENALTY = 50, 10.0
FOLDS, SHOWN, REPEATS = (3, 5, 10), (1, 2, 5, 10, 20), 20


def main() -> None:
    """Simulate and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cohorts", type=int, default=400)
    arguments = parser.parse_args()
    print("| folds | repeats | networks | mean area | spread seen | spread foretold |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: |")
    notes = []
    for folds in FOLDS:
        areas = np.array([cohort_areas(folds, seed) for seed in range(arguments.cohorts)])
        cases_sd, repeat_sd = two_sources(areas[:, :2])
        for row in repeat_rows(cases_sd, repeat_sd, folds, seconds_per_network=1.0, repeats=SHOWN):
            seen = areas[:, : row.repeats].mean(axis=1)
            shown = f"{seen.mean():.3f} | {seen.std(ddof=1):.4f} | {row.spread:.4f}"
            print(f"| {folds} | {row.repeats} | {row.networks} | {shown} |", flush=True)
        formula = auc_standard_error(float(areas.mean()), N_MALIGNANT, N_BENIGN)
        notes.append(f"{folds} folds: cases {cases_sd:.4f} (formula {formula:.4f}), repeats {repeat_sd:.4f}")
    print("\n" + "\n".join(notes))


def two_sources(areas: Array) -> tuple[float, float]:
    """Standard deviations from cases and from repeats, of areas (cohorts, repeats): an analysis of variance."""
    within = float(np.mean(areas.var(axis=1, ddof=1)))
    between = float(areas.mean(axis=1).var(ddof=1)) - within / areas.shape[1]
    return sqrt(max(0.0, between)), sqrt(within)


def cohort_areas(folds: int, seed: int) -> Array:
    """(REPEATS,) the mean area over the folds, on one cohort."""
    rng = np.random.default_rng(seed)
    label = np.repeat([0, 1], [N_BENIGN, N_MALIGNANT])
    gap = sqrt(2) * float(ndtri(BEST_AREA))
    features = rng.normal(size=(label.size, N_FEATURES)) + gap / sqrt(N_FEATURES) * label[:, None]
    return np.array([repeat_area(label, features, folds, rng) for _ in range(REPEATS)])


def repeat_area(label: NDArray[np.int64], features: Array, folds: int, rng: np.random.Generator) -> float:
    """The mean area over the folds of one new division, each fold with a network of its own seed."""
    fold = np.empty(label.size, dtype=int)
    for members in (label == 0, label == 1):
        fold[members] = rng.permutation(members.sum()) % folds
    areas = []
    for number in range(folds):
        tested = fold == number
        score = fit_and_score(label[~tested], features[~tested], features[tested], rng)
        areas.append(roc_auc(label[tested], score))
    return float(np.mean(areas))


def fit_and_score(label: NDArray[np.int64], known: Array, new: Array, rng: np.random.Generator) -> Array:
    """Scores (m,) of new cases, higher = more suspicious."""
    weights = rng.normal(size=(N_FEATURES, UNITS)) / sqrt(N_FEATURES)
    hidden = np.tanh(known @ weights)
    fitted = np.linalg.solve(hidden.T @ hidden + PENALTY * np.eye(UNITS), hidden.T @ (label - label.mean()))
    return np.tanh(new @ weights) @ fitted


if __name__ == "__main__":
    main()
