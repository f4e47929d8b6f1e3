"""The published multi-reader study of Van Dyke et al. (1993) from its ratings: our figures beside the printed ones.

    python benchmarks/van_dyke.py VanDyke.lrc

The ratings (114 patients, five readers, spin-echo and cine MRI for aortic dissection) aren't ours to ship. The file
comes with the University of Iowa's OR-DBM MRMC, and with the R package RJafroc, whose licence is the GPL. The printed
figures are those of OR-DBM MRMC 2.51 (build 20181028) for trapezoidal areas and the jackknife.
"""

import argparse
from pathlib import Path

import numpy as np

from rarelesion.multireader import Random, compare_modalities

PRINTED: dict[Random, tuple[float, ...]] = {
    "readers and cases": (4.46, 15.26, 0.0517, -0.04380, -0.08796, 0.00036, 0.82522360, 0.96885048),
    "cases": (5.47595, np.inf, 0.0193, -0.04380, -0.08049, -0.00711, 0.84943008, 0.94464399),
    "readers": (8.70, 4, 0.0420, -0.04380, -0.08502, -0.00258, 0.82809808, 0.96597599),
}
ROWS = ("F", "degrees of freedom", "p", "difference", "its low end", "its high end", "first mean, low", "high")


def read_lrc(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Labels (n,) and scores (2, readers, n) of a file that holds reader by reader, benign cases first."""
    blocks, rows = [], []
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("*"):
            blocks.append(rows)
            rows = []
        words = line.split()[:2]
        if len(words) == 2 and all(word.replace(".", "", 1).isdigit() for word in words):
            rows.append([float(word) for word in words])
    readers = [np.array(benign + malignant).T for benign, malignant in zip(blocks[::2], blocks[1::2], strict=True)]
    labels = np.repeat([0, 1], [len(blocks[0]), len(blocks[1])])
    return labels, np.stack(readers, axis=1)


def main() -> None:
    """Print both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("ratings", type=Path)
    labels, scores = read_lrc(parser.parse_args().ratings)
    for random, printed in PRINTED.items():
        study = compare_modalities(labels, scores, random=random, covariance="jackknife", scale="plain")
        (difference,), mean, test = study.differences, study.means[0], study.test
        ends = difference.difference, difference.low, difference.high, mean.low, mean.high
        found = (test.statistic, test.df_error, test.p, *ends)
        print(f"random {random}")
        for name, ours, theirs in zip(ROWS, found, printed, strict=True):
            print(f"  {name:20} {ours:12.8f} {theirs:12.8f}")


if __name__ == "__main__":
    main()
