"""Which backbone, margin, side and colours suit a backbone taken as it starts, on the tuning cases of the draws.

    python benchmarks/frozen_inputs.py COHORT.csv --weights resnet50-conv4=FILE.h5 mobilenet=FILE.h5 densenet169=FILE.h5

embeds every lesion by every way of `WAYS`, learns `logistic` from the 151 training cases of each of ten draws
(`small_draw.py`) and prints the mean ROC-AUC of their 48 tuning cases. Test cases are embedded and not scored.
`views` gives each sequence a grey patch of its own and averages the scores in place of one pseudo-colour patch.
"""

import argparse
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rarelesion.cohort import read_cohort
from rarelesion.contrasts import fit_embedding_scorer
from rarelesion.crop import resolve_channels
from rarelesion.metrics import roc_auc
from rarelesion.patches import write_patches
from rarelesion.settings import CohortSettings, DetectorSettings, ImageSettings
from rarelesion.training import embed, untrained
from rarelesion.types import CLASSES, Cohort
from rarelesion.weights import load_backbone
from small_draw import draw

DRAWS = 10


@dataclass(frozen=True)
class Way:
    """One way from lesions to embeddings."""

    backbone: str = "resnet50-conv4"
    side_px: int = 100
    margin: float = 0.15
    views: bool = False


WAYS = (
    Way(),
    Way(margin=0.0),
    Way(margin=0.05),
    Way(margin=0.4),
    Way(side_px=80),
    Way(side_px=128),
    Way(side_px=160),
    Way(views=True),
    Way("mobilenet"),
    Way("mobilenet", views=True),
    Way("densenet169"),
)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cohort", type=Path)
    parser.add_argument("--weights", required=True, nargs="+", metavar="BACKBONE=FILE")
    arguments = parser.parse_args()
    files = dict(item.split("=", 1) for item in arguments.weights)
    cohort = read_cohort(arguments.cohort, CohortSettings())
    labels = np.array([case.label for case in cohort.cases])
    words = [CLASSES[label] for label in labels.tolist()]
    draws = [np.array(draw(words, np.random.default_rng(seed))) for seed in range(DRAWS)]
    print("| backbone | side | margin | input | ROC-AUC |\n| --- | ---: | ---: | --- | ---: |")
    for way in WAYS:
        vectors = embedded(cohort, way, Path(files[way.backbone]))
        mean = float(np.mean([area(vectors, labels, parts) for parts in draws]))
        shown = "a grey patch a view" if way.views else "pseudo-colour"
        print(f"| {way.backbone} | {way.side_px} | {way.margin:g} | {shown} | {mean:.3f} |", flush=True)


def embedded(cohort: Cohort, way: Way, weights: Path) -> NDArray[np.float32]:
    """(inputs a lesion, lesions, dim)."""
    channels = resolve_channels(cohort.sequences, {})
    settings = replace(ImageSettings(), side_px=way.side_px, margin=way.margin, channels=channels)
    network = untrained(load_backbone(way.backbone, weights))
    with tempfile.TemporaryDirectory() as folder:
        patches = write_patches(Path(folder) / "patches.npy", cohort, settings, lambda done, total: None)
        pixels = np.array(patches.pixels)
    if not way.views:
        return embed(network, pixels)[0][None]
    planes = [("red", "green", "blue").index(colour) for colour in channels]
    return np.stack([embed(network, np.repeat(pixels[:, [plane]], 3, axis=1))[0] for plane in planes])


def area(vectors: NDArray[np.float32], labels: NDArray[np.integer], parts: NDArray[np.str_]) -> float:
    """ROC-AUC of the tuning cases; every input of a training lesion is a case to learn from."""
    train, tune = parts == "train", parts == "tune"
    benign, malignant = (np.concatenate(vectors[:, train & (labels == label)]) for label in (0, 1))
    score = fit_embedding_scorer("logistic", benign, malignant, DetectorSettings())
    return roc_auc(labels[tune], np.mean([score(one[tune]) for one in vectors], axis=0))


if __name__ == "__main__":
    main()
