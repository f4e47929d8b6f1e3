"""How often the intervals of calibration hold the truth, with few cases.

    python benchmarks/calibration_coverage.py
    python benchmarks/calibration_coverage.py --samples 300

A case's true probability has log-odds that are normal; the probabilities that are judged have these log-odds stretched
and shifted, so that their true slope is known; true shift, Brier score and skill are those of a large population.
Printed is the coverage of nominal 95 % intervals in %, then their mean width; the skill's reference is the prevalence
of the test cases themselves, as the function has it. Samples of one class are drawn again.
"""

import argparse
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from rarelesion.miscalibration import brier_score, brier_skill, calibration_in_the_large, calibration_line
from rarelesion.types import Estimate

Array = NDArray[np.float64]
CASES = (20, 49, 128, 640)
SETTINGS = {"right": (1.0, 0.0), "too extreme": (0.5, 0.0), "too timid and too low": (2.0, 1.0)}
"""What is wrong -> the true slope, and what must be added to the probabilities' own log-odds beside it."""
MIDDLE, SPREAD = -1.6, 1.5
POPULATION, SAMPLES, SEED = 200_000, 600, 0
MEASURES: dict[str, Callable[[Any, Any], Estimate]] = {
    "shift": calibration_in_the_large,
    "slope": lambda label, probability: calibration_line(label, probability).slope,
    "Brier": brier_score,
    "skill": brier_skill,
}


def main() -> None:
    """Simulate and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=SAMPLES)
    samples = parser.parse_args().samples
    print(f"| probabilities | cases | {' | '.join(MEASURES)} |\n| --- | ---: |" + " ---: |" * len(MEASURES))
    for name, (slope, offset) in SETTINGS.items():
        rng = np.random.default_rng(SEED)
        everyone = draw(rng, POPULATION, slope, offset)
        truth = {measure: slope if measure == "slope" else make(*everyone).value for measure, make in MEASURES.items()}
        for cases in CASES:
            found = {measure: [] for measure in MEASURES}
            for _ in range(samples):
                label, probability = draw(rng, cases, slope, offset)
                for measure, make in MEASURES.items():
                    found[measure].append(make(label, probability))
            cells = [cell(found[measure], truth[measure]) for measure in MEASURES]
            print(f"| {name} | {cases} | {' | '.join(cells)} |", flush=True)


def draw(rng: np.random.Generator, cases: int, slope: float, offset: float) -> tuple[NDArray[np.int64], Array]:
    """Labels and the probabilities that are judged; the true log-odds are offset + slope times theirs."""
    while True:
        log_odds = rng.normal(MIDDLE, SPREAD, cases)
        label = (rng.random(cases) < expit(log_odds)).astype(np.int64)
        if 0 < label.sum() < cases:
            return label, expit((log_odds - offset) / slope)


def cell(found: list[Estimate], truth: float) -> str:
    """Coverage and mean width."""
    holds = np.mean([one.low <= truth <= one.high for one in found])
    return f"{100 * holds:.1f}, {np.mean([one.high - one.low for one in found]):.2f}"


if __name__ == "__main__":
    main()
