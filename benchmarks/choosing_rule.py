"""How `auto` should choose: rules judged on simulated studies of which the truth is known.

    python benchmarks/choosing_rule.py --studies 400

Twelve candidates score the same tuning cases. Their noise is mostly shared (0.75 of its variance by all, 0.10 by those
of the same network); how far apart the classes lie follows from the true ROC-AUC. Each study has five splits. Printed,
for each rule: the mean true area of what is chosen, how often the splits agree, and how much the tuning cases flatter.
"""

import argparse
from collections.abc import Callable
from statistics import fmean

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, rankdata

from rarelesion import choosing
from rarelesion.metrics import average_precision

SHARED, OF_NETWORK, NETWORKS, SPLITS = 0.75, 0.10, 3, 5
Array = NDArray[np.float64]
TRUTHS = {
    "all .87": [0.87] * 12,
    "first .87, others .85": [0.87] + [0.85] * 11,
    "first .85, best .88, others .86": [0.85, *[0.86] * 4, 0.88, *[0.86] * 6],
    "detectors of .60 to .80 among them": [0.87, 0.87, 0.87, 0.86, 0.85, 0.85, 0.84, 0.80, 0.75, 0.67, 0.66, 0.60],
    "first .67, others mostly .86": [0.67, 0.87, 0.87, 0.86, 0.86, 0.86, 0.85, 0.85, 0.85, 0.84, 0.70, 0.66],
    "first .81, all others .87": [0.81] + [0.87] * 11,
}


def within(steps: float) -> Callable[[NDArray[np.int64], Array], int]:
    """The rule of `choosing.choose` with so many standard errors."""

    def rule(label: NDArray[np.int64], scores: Array) -> int:
        choosing.STEPS = steps
        return choosing.choose(label, scores, np.arange(label.size))[0]

    return rule


def best_rank(label: NDArray[np.int64], scores: Array) -> int:
    """The best mean rank by ROC-AUC and PR-AUC."""
    areas = choosing.choose(label, scores, np.arange(label.size))[1]
    precision = np.array([average_precision(label, one) for one in scores])
    return int(np.argmin(rankdata(-areas) + rankdata(-precision)))


RULES = {
    "the best": within(0.0),
    "half an error": within(0.5),
    "one error": within(1.0),
    "two errors": within(2.0),
    "best mean rank": best_rank,
}


def draw(truth: Array, n: int, malignant: int, rng: np.random.Generator) -> tuple[NDArray[np.int64], Array]:
    """Labels (n,) and the scores (k, n) of all candidates."""
    label = (np.arange(n) < malignant).astype(np.int64)
    of_network = rng.normal(size=(NETWORKS, n))[np.arange(truth.size) % NETWORKS]
    own = rng.normal(size=(truth.size, n))
    noise = np.sqrt(SHARED) * rng.normal(size=n) + np.sqrt(OF_NETWORK) * of_network
    noise += np.sqrt(1 - SHARED - OF_NETWORK) * own
    return label, noise + np.sqrt(2) * norm.ppf(truth)[:, None] * label


def main() -> None:
    """Print a table for each number of tuning cases."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=400)
    studies = parser.parse_args().studies
    for n, malignant in ((48, 10), (128, 42)):
        print(f"| {n} tuning cases | {' | '.join(RULES)} |")
        print("| --- " * (1 + len(RULES)) + "|")
        for name, truth in TRUTHS.items():
            rng = np.random.default_rng(0)
            splits = [draw(np.array(truth), n, malignant, rng) for _ in range(studies * SPLITS)]
            print(
                f"| {name} | {' | '.join(cell(rule, splits, np.array(truth)) for rule in RULES.values())} |", flush=True
            )


def cell(rule: Callable[[NDArray[np.int64], Array], int], splits: list, truth: Array) -> str:
    """What a rule does, over all studies."""
    chosen = [rule(label, scores) for label, scores in splits]
    areas = [choosing.choose(label, scores, np.arange(label.size))[1] for label, scores in splits]
    studies = [chosen[start : start + SPLITS] for start in range(0, len(chosen), SPLITS)]
    agree = fmean(max(map(study.count, study)) / SPLITS for study in studies)
    flattered = fmean(area[one] - truth[one] for area, one in zip(areas, chosen, strict=True))
    return f"{truth[chosen].mean():.3f}, {100 * agree:.0f} %, {flattered:+.3f}"


if __name__ == "__main__":
    main()
