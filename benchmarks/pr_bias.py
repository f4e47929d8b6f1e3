"""By how much the PR-AUC of few cases flatters: its mean over small test sets less that of the whole population.

    python benchmarks/pr_bias.py

Normal scores of equal spread, 22 % of the cases malignant, three true ROC-AUC. The average precision of a test set is
taken as `metrics.average_precision` has it. A mean over folds is a mean of such small sets and flatters as they do.
"""

import numpy as np
from scipy.stats import norm

from rarelesion.metrics import average_precision

SIZES = ((10, 2), (20, 4), (49, 11), (100, 22), (200, 44), (400, 88))
ROC_AUCS = (0.76, 0.86, 0.92)
POPULATION, SETS, SEED = 400_000, 3000, 0


def main() -> None:
    """Print the table."""
    rng = np.random.default_rng(SEED)
    gains = [float(np.sqrt(2) * norm.ppf(area)) for area in ROC_AUCS]
    label = (np.arange(POPULATION) < 0.22 * POPULATION).astype(int)
    true = [average_precision(label, rng.normal(size=POPULATION) + gain * label) for gain in gains]
    heads = [f"ROC-AUC {area:g}, PR-AUC {value:.2f}" for area, value in zip(ROC_AUCS, true, strict=True)]
    print(f"| test cases, malignant among them | {' | '.join(heads)} |\n| --- |{' ---: |' * len(heads)}")
    for n_cases, n_malignant in SIZES:
        small = (np.arange(n_cases) < n_malignant).astype(int)
        cells = []
        for gain, value in zip(gains, true, strict=True):
            found = [average_precision(small, rng.normal(size=n_cases) + gain * small) for _ in range(SETS)]
            cells.append(f"{np.mean(found) - value:+.3f} ± {2 * np.std(found) / np.sqrt(SETS):.3f}")
        print(f"| {n_cases}, {n_malignant} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
