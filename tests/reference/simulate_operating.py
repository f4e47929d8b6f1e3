"""Writes what corrected thresholds and areas at a prevalence are held against: many made-up cohorts of known truth.

Run in this folder: python simulate_operating.py   (about a minute; the tests read the tables and don't run it)
"""

import csv
from collections.abc import Iterator

import numpy as np
from scipy.stats import norm

from rarelesion.optimism import chosen_threshold, draw_thresholds
from rarelesion.patients import cases_to_draw
from rarelesion.prevalence import pr_auc_at_prevalence
from rarelesion.thresholds import choose_threshold, count_called, parse_rule, place

COHORTS, RESAMPLES = 300, 200
SIZES = [(20, 6, 2.5), (34, 12, 1.5), (150, 10, 1.3), (60, 60, 1.0)]
"""Benign and malignant cases, and by how many standard deviations the malignant score higher on average."""
RULES = ["youden", "sensitivity>=0.9", "specificity>=0.9", "cost=5"]
PREVALENCES = [0.01, 0.05, 0.2, 0.5]


def cohorts(benign: int, malignant: int, gain: float) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    label = np.repeat([0, 1], [benign, malignant])
    for seed in range(COHORTS):
        yield seed, label, np.random.default_rng(seed).normal(size=label.size) + gain * label


def one_out(label: np.ndarray, score: np.ndarray, rule: str) -> float:
    """Youden's index where each case is judged at the threshold chosen on all others."""
    called = count_called(label == 1, score, 1 - np.eye(label.size))
    right = (score >= place(called, parse_rule(rule).choose(called.hits, called.alarms))) == (label == 1)
    return float(right[label == 1].mean() + right[label == 0].mean() - 1)


def optimism_row(rule: str, benign: int, malignant: int, gain: float) -> dict[str, object]:
    """How far estimates of Youden's index lie from the truth, and how often our intervals hold it.

    The first columns are mean errors, `rms_` root mean squares of them.
    """
    errors, sensitivity_errors, held = [], [], []
    for seed, label, score in cohorts(benign, malignant, gain):
        threshold = choose_threshold(label, score, rule)
        truth = norm.sf(threshold - gain), norm.cdf(threshold)
        index = sum(truth) - 1
        found = chosen_threshold(label, score, rule, resamples=RESAMPLES, seed=seed)
        draws = draw_thresholds(*cases_to_draw(label, score, None, RESAMPLES), parse_rule(rule), RESAMPLES, seed)
        apparent, left_out = found.youden.apparent, np.nanmean(draws.left_out, axis=1)
        usual = apparent - float(np.mean((draws.drawn - draws.original).sum(axis=0)))
        estimates = [apparent, usual, found.youden.expected.value, left_out.sum() - 1, one_out(label, score, rule)]
        errors.append(np.array(estimates) - index)
        sensitivity_errors.append(np.array([found.sensitivity.expected.value, left_out[0]]) - truth[0])
        expected = [part.expected for part in (found.sensitivity, found.specificity, found.youden)]
        held.append([part.low <= true <= part.high for part, true in zip(expected, (*truth, index), strict=True)])
    names = ("apparent", "harrell", "corrected", "left_out", "one_out")
    row: dict[str, object] = {"rule": rule, "benign": benign, "malignant": malignant, "gain": gain}
    row |= dict(zip(names, np.mean(errors, axis=0), strict=True))
    row |= dict(zip((f"rms_{name}" for name in names), root_mean_square(errors), strict=True))
    rms_names = ("rms_sensitivity_corrected", "rms_sensitivity_left_out")
    row |= dict(zip(rms_names, root_mean_square(sensitivity_errors), strict=True))
    return row | dict(
        zip(("holds_sensitivity", "holds_specificity", "holds_youden"), np.mean(held, axis=0), strict=True)
    )


def root_mean_square(errors: list[np.ndarray]) -> np.ndarray:
    return np.sqrt(np.mean(np.square(errors), axis=0))


def true_area(gain: float, prevalence: float) -> float:
    cut = np.linspace(gain + 8, -8, 200_001)
    hits, alarms = prevalence * norm.sf(cut - gain), (1 - prevalence) * norm.sf(cut)
    precision = hits / (hits + alarms)
    return float(np.sum(np.diff(norm.sf(cut - gain)) * (precision[1:] + precision[:-1]) / 2))


def prevalence_row(prevalence: float, benign: int, malignant: int, gain: float) -> dict[str, object]:
    """How far the area at a prevalence lies above the truth on average, and how often its interval holds it."""
    truth = true_area(gain, prevalence)
    found = [
        pr_auc_at_prevalence(label, score, prevalence, resamples=RESAMPLES, seed=seed)
        for seed, label, score in cohorts(benign, malignant, gain)
    ]
    return {
        "prevalence": prevalence,
        "benign": benign,
        "malignant": malignant,
        "gain": gain,
        "truth": truth,
        "too_high": np.mean([area.value for area in found]) - truth,
        "holds": np.mean([area.low <= truth <= area.high for area in found]),
    }


def write(name: str, rows: list[dict[str, object]]) -> None:
    with open(name, "w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, rows[0], lineterminator="\n")
        table.writeheader()
        for row in rows:
            table.writerow({key: f"{value:.3f}" if isinstance(value, float) else value for key, value in row.items()})


if __name__ == "__main__":
    write("operating_optimism.csv", [optimism_row(rule, *size) for rule in RULES for size in SIZES])
    write("operating_rare.csv", [prevalence_row(share, *size) for size in SIZES for share in PREVALENCES])
