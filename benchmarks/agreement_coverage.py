"""How often the intervals of the agreement coefficients hold the true value, beside two that are commonly used.

    python benchmarks/agreement_coverage.py --draws 2000 --seed 0

Readers see a normal variable with noise and cut it into categories. The truth is the coefficient of 400,000 cases.
Prints a Markdown table: coverage of nominal 95 % and the mean width. Draws in which a kappa isn't defined are left out.
"""

import argparse

import numpy as np
from scipy.stats import norm
from scipy.stats import t as student

from rarelesion import agreement
from rarelesion.errors import InputError

HALF, RARE, FIVE = [0.0], [1.0], [-1.0, 0.0, 0.8, 1.5]
SETTINGS = [
    ("Cohen's kappa, 2 categories", "cohen", 2, "none", HALF),
    ("Cohen's kappa, a finding in 16 %", "cohen", 2, "none", RARE),
    ("Cohen's kappa, quadratic, 5 steps", "cohen", 2, "quadratic", FIVE),
    ("Fleiss' kappa, 4 readers, 5 categories", "fleiss", 4, "none", FIVE),
    ("Fleiss' kappa, 4 readers, a finding in 16 %", "fleiss", 4, "none", RARE),
    ("Gwet's AC1, 2 readers, a finding in 16 %", "gwet", 2, "none", RARE),
    ("Gwet's AC2, quadratic, 4 readers, 5 steps", "gwet", 4, "quadratic", FIVE),
]


def read(rng, cases, readers, cuts, reliability):
    """Ratings (cases, readers) of readers whose noise leaves this correlation between them."""
    seen = rng.normal(size=(cases, 1)) * np.sqrt(reliability)
    return np.searchsorted(cuts, seen + rng.normal(size=(cases, readers)) * np.sqrt(1 - reliability)).astype(float)


def coefficient(kind, ratings, weights, steps):
    """The coefficient before it has an interval."""
    table = agreement._check_ratings(ratings, range(steps), None)
    if kind == "cohen":
        return agreement._defined(agreement._two_readers(table, weights))
    slope = agreement.WEIGHTS[weights](steps).sum() / (steps * (steps - 1))
    chance_of = (lambda squares: squares) if kind == "fleiss" else (lambda squares: slope * (1 - squares))
    return agreement._defined(agreement._many_readers(table, weights, chance_of))


def intervals(found, cases):
    """Wald's, Fisher's and our interval."""
    value, error = found.value, np.sqrt(found.variance())
    wald = value + norm.ppf(0.975) * error * np.array([-1, 1])
    fisher = wald
    if abs(value) < 1:
        half = student.ppf(0.975, cases - 1) * error * np.sqrt(cases / (cases - 1)) / (1 - value**2)
        fisher = np.tanh(np.arctanh(value) + half * np.array([-1, 1]))
    ours = agreement._estimate(found, cases, 0.95)
    return np.array([wald, fisher, [ours.low, ours.high]])


def coverage(rng, setting, reliability, cases, draws):
    """The truth, the coverage and the width of each interval."""
    _, kind, readers, weights, cuts = setting
    steps = len(cuts) + 1
    truth = coefficient(kind, read(rng, 400_000, readers, cuts, reliability), weights, steps).value
    ends = []
    for _ in range(draws):
        try:
            found = coefficient(kind, read(rng, cases, readers, cuts, reliability), weights, steps)
        except InputError:
            continue
        ends.append(intervals(found, cases))
    low, high = np.moveaxis(ends, 2, 0)
    return truth, ((low <= truth) & (truth <= high)).mean(axis=0), (high - low).mean(axis=0)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    rng = np.random.default_rng(arguments.seed)
    print("| coefficient | true | cases | Wald | Fisher's z | ours | widths |\n|---|---|---|---|---|---|---|")
    for setting in SETTINGS:
        for reliability in (0.5, 0.9):
            for cases in (15, 40):
                truth, held, width = coverage(rng, setting, reliability, cases, arguments.draws)
                cells = " | ".join(f"{100 * share:.0f} %" for share in held)
                widths = " / ".join(f"{one:.2f}" for one in width)
                print(f"| {setting[0]} | {truth:.2f} | {cases} | {cells} | {widths} |", flush=True)


if __name__ == "__main__":
    main()
