"""How often the forecast of a learning curve holds: simulated studies of which the truth is known.

    python benchmarks/learning_curve_coverage.py --studies 200

Lesions are drawn from two normal classes in 40 dimensions, whose means differ in ever smaller steps; the "network" is a
shrunken linear discriminant, whose true ROC-AUC follows from its weights. Each study divides its cases into five folds,
trains on the subsets that `rarelesion study --learning-curve` trains on, fits the curve and forecasts a larger cohort.
The truth of the larger cohort is the mean true area over many fresh ones. Printed: how often the interval of the area
and that of the gain hold it, their mean widths, and the mean error.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from rarelesion.growth import LearningCurve, Trained, fit_learning_curve, training_subset
from rarelesion.settings import LearningCurveSettings, SplitSettings
from rarelesion.splits import make_splits
from rarelesion.types import Case, Cohort, Scores

DIMENSIONS, MALIGNANT, SHRINKAGE = 40, 0.3, 0.2
Weights = NDArray[np.float64]


def main() -> None:
    """Simulate and print a line for each size and strength."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=200)
    parser.add_argument("--more", type=int, default=100)
    parser.add_argument("--cases", type=int, nargs="+", default=[120, 240, 640])
    arguments = parser.parse_args()
    print("| cases | signal | true area | with more | area held | width | gain held | width | error of the gain |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for n in arguments.cases:
        for signal in (0.0, 1.0, 2.0, 4.0):
            print(line(n, signal, arguments.studies, arguments.more), flush=True)


def line(n: int, signal: float, studies: int, more: int) -> str:
    """A row of the table."""
    means = signal / np.sqrt(DIMENSIONS) * np.linspace(1.5, 0.1, DIMENSIONS)
    now, then = (truth(size, means) for size in (n, n + more))
    curves = [simulate(n, means, more, seed) for seed in range(studies)]
    held = np.mean([curve.forecast.then.low <= then <= curve.forecast.then.high for curve in curves])
    gain_held = np.mean([curve.forecast.gain.low <= then - now <= curve.forecast.gain.high for curve in curves])
    width = np.mean([curve.forecast.then.high - curve.forecast.then.low for curve in curves])
    gain_width = np.mean([curve.forecast.gain.high - curve.forecast.gain.low for curve in curves])
    error = np.mean([curve.forecast.gain.value for curve in curves]) - (then - now)
    return (
        f"| {n} | {signal:g} | {now:.3f} | {then:.3f} | {held:.3f} | {width:.3f} | {gain_held:.3f} | {gain_width:.3f} "
        f"| {error:+.3f} |"
    )


def draw(n: int, means: Weights, rng: np.random.Generator) -> tuple[NDArray[np.int64], Weights]:
    """Labels (n,) and vectors (n, d)."""
    label = (np.arange(n) < round(MALIGNANT * n)).astype(np.int64)
    return label, rng.normal(size=(n, means.size)) + label[:, None] * means


def learn(label: NDArray[np.int64], vectors: Weights) -> Weights:
    """The direction of a shrunken linear discriminant."""
    centres = [vectors[label == one].mean(axis=0) for one in (0, 1)]
    within = vectors - np.stack(centres)[label]
    spread = within.T @ within / len(within)
    spread = (1 - SHRINKAGE) * spread + SHRINKAGE * np.trace(spread) / len(spread) * np.eye(len(spread))
    return np.linalg.solve(spread, centres[1] - centres[0])


def truth(n: int, means: Weights, fresh: int = 400) -> float:
    """The mean true area of a network that learnt from three fifths of a cohort of n cases."""
    rng = np.random.default_rng(n)
    areas = []
    for _ in range(fresh):
        direction = learn(*draw(round(0.6 * n), means, rng))
        areas.append(norm.cdf(direction @ means / np.sqrt(2 * direction @ direction)))
    return float(np.mean(areas))


def simulate(n: int, means: Weights, more: int, seed: int) -> LearningCurve:
    """The learning curve of one study."""
    label, vectors = draw(n, means, np.random.default_rng([seed, n]))
    cases = {f"c{i:04d}": Case(f"c{i:04d}", f"p{i:04d}", int(label[i]), {}, {}) for i in range(n)}
    splits = make_splits(Cohort(Path("made-up"), tuple(cases.values()), ()), SplitSettings(), seed)
    settings = LearningCurveSettings()
    row = {case_id: i for i, case_id in enumerate(cases)}
    label_of = {case_id: case.label for case_id, case in cases.items()}
    patient_of = {case_id: case.patient_id for case_id, case in cases.items()}
    sizes = []
    for share, draws in [*settings.sizes().items(), (1.0, 1)]:
        parts, counts = [], []
        for split in splits:
            for number in range(draws):
                train = training_subset(split, label_of, patient_of, share, number, seed)
                counts.append(len(train))
                own = [row[case_id] for case_id in train]
                direction = learn(label[own], vectors[own])
                parts.append((number, split.fold, split.test, direction))
        sizes.append(Trained(share, float(np.mean(counts)), _scores(parts, row, label, vectors), draws))
    return fit_learning_curve("made-up", sizes, more, n, resamples=500, seed=seed)


def _scores(parts: list, row: dict[str, int], label: NDArray[np.int64], vectors: Weights) -> Scores:
    def column(make: Callable) -> np.ndarray:
        return np.concatenate([make(*part) for part in parts])

    ids = column(lambda number, fold, test, direction: np.array(test))
    own = np.array([row[case_id] for case_id in ids])
    return Scores(
        recipe="made-up",
        repeat=column(lambda number, fold, test, direction: np.full(len(test), number)),
        fold=column(lambda number, fold, test, direction: np.full(len(test), fold)),
        part=np.full(ids.size, "test"),
        case_id=ids,
        patient_id=ids,
        label=label[own],
        score=column(lambda number, fold, test, direction: vectors[[row[name] for name in test]] @ direction),
    )


if __name__ == "__main__":
    main()
