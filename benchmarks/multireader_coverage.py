"""How often the intervals of a multi-reader study hold the true value, with few cases and readers.

    python benchmarks/multireader_coverage.py --draws 2000 --seed 0

Scores are those of Roe and Metz's model (1997): case, reader and their interactions with modality, all normal. The true
areas are the model's; the two modalities are equal. Prints a Markdown table of nominal 95 % intervals with random
readers and cases: of a mean area on either scale, and of the difference.
"""

import argparse

import numpy as np
from scipy.stats import norm

from rarelesion.multireader import compare_modalities

CASE, READER, NOISE = 0.3, 0.01, 0.2
"""Variances: of the case; of reader by class; of case by modality and case by reader each. The rest is noise."""


def scores_of(rng, labels, readers, separation):
    """Scores (2, readers, n) whose variance within a class and reader is 1."""
    n = labels.size
    ability = rng.normal(size=(2, readers, 2)) * np.sqrt(READER)
    common = rng.normal(size=n) * np.sqrt(CASE)
    by_modality = rng.normal(size=(2, 1, n)) * np.sqrt(NOISE)
    by_reader = rng.normal(size=(1, readers, n)) * np.sqrt(NOISE)
    rest = rng.normal(size=(2, readers, n)) * np.sqrt(1 - CASE - 2 * NOISE)
    return separation * labels + ability[:, :, labels] + common + by_modality + by_reader + rest


def coverage(rng, readers, benign, malignant, separation, draws):
    """Coverage of a mean area's interval on the logit and the plain scale, and of the difference's."""
    truth = norm.cdf(separation / np.sqrt(2 + 2 * READER))
    labels, held = np.repeat([0, 1], [benign, malignant]), []
    for _ in range(draws):
        scores = scores_of(rng, labels, readers, separation)
        logit, plain = (compare_modalities(labels, scores, scale=scale) for scale in ("logit", "plain"))
        means = [study.means[0].low <= truth <= study.means[0].high for study in (logit, plain)]
        difference = logit.differences[0]
        held.append([*means, difference.low <= 0 <= difference.high])
    return truth, np.mean(held, axis=0)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    rng = np.random.default_rng(arguments.seed)
    print("| readers | benign + malignant | true area | mean, logit | mean, plain | difference |")
    print("|---|---|---|---|---|---|")
    for readers in (3, 6):
        for benign, malignant in ((15, 6), (35, 12), (60, 40)):
            for separation in (0.8, 1.8, 2.6):
                truth, held = coverage(rng, readers, benign, malignant, separation, arguments.draws)
                cells = " | ".join(f"{100 * share:.0f} %" for share in held)
                print(f"| {readers} | {benign} + {malignant} | {truth:.2f} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
