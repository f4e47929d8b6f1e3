"""How many malignant cases it takes before knowing them beats knowing the benign alone.

    python benchmarks/few_malignant.py OUT

reads the frozen embeddings that `accuracy.py` left in OUT, gives each scorer the benign training cases of a draw and a
few of its malignant ones (three times at random), and prints the mean ROC-AUC of the tuning cases. A detector does
not look at the malignant ones: its column is the same in every row. Test cases are not read.
"""

import argparse
from pathlib import Path

import numpy as np

from rarelesion.contrasts import CONTRASTS, fit_embedding_scorer
from rarelesion.detectors import DETECTORS
from rarelesion.metrics import roc_auc
from rarelesion.settings import DetectorSettings
from rarelesion.store import read_embeddings
from rarelesion.types import Embeddings

NETWORK = "resnet50-conv4+frozen-r0f0.npz"
SIZES, TIMES = (2, 3, 5, 8, 12, 20, 33), 3
SCORERS = (*DETECTORS, *(name for name in CONTRASTS if name != "lda"))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    draws = [read_embeddings(path) for path in sorted(arguments.out.glob(f"draw*/fast/embeddings/{NETWORK}"))]
    print(f"{len(draws)} draws")
    print(f"| malignant training cases | {' | '.join(SCORERS)} |")
    print("| ---: |" + " ---: |" * len(SCORERS))
    rng = np.random.default_rng(0)
    detected = {name: float(np.mean([area(draw, name, 0, rng) for draw in draws])) for name in DETECTORS}
    for size in SIZES:
        found = detected | {
            name: float(np.mean([area(draw, name, size, rng) for draw in draws for _ in range(TIMES)]))
            for name in CONTRASTS
            if name in SCORERS
        }
        print(f"| {size} | {' | '.join(f'{found[name]:.3f}' for name in SCORERS)} |", flush=True)


def area(known: Embeddings, name: str, size: int, rng: np.random.Generator) -> float:
    """ROC-AUC of the tuning cases with `size` malignant training cases, drawn at random."""
    train, tune = known.parts == "train", known.parts == "tune"
    benign, malignant = (known.vectors[train & (known.labels == label)] for label in (0, 1))
    few = malignant[rng.permutation(len(malignant))[:size]]
    score = fit_embedding_scorer(name, benign, few, DetectorSettings())
    return roc_auc(known.labels[tune], score(known.vectors[tune]))


if __name__ == "__main__":
    main()
