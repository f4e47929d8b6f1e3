"""Other lengths of the embedding, a margin, and averaged weights, on the tuning cases of the draws.

    python benchmarks/training_variants.py COHORT.csv OUT --weights MOBILENET.h5

trains MobileNet for each of `VARIANTS` on each draw of `small_draw.py` in profile `fast`, goes on where it was stopped,
and prints areas of the 48 tuning cases. These also stop every training by their loss, so all rows are flattered; no
test case is scored. Variants of a draw have one seed. Intervals take patients as the unit and know no other seed.

`mobilenet` is the plain softmax of two classes; the others have textures besides (`mobilenet+texture+l2`): `l2-80` and
`l2-16` at that alpha, `l2-learned` from 16 on, `cosine16-m0.2` scale 16 and margin 0.2. From the same training:
`last` epoch, `mean10` and `mean20`, the mean weights of the last epochs (SWA, https://arxiv.org/abs/1803.05407), and
`ema`, an exponential average over epochs where its own tuning loss is least.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from rarelesion import store, training
from rarelesion.cohort import read_cohort
from rarelesion.compare import as_scores, compare_roc_auc, holm
from rarelesion.epochs import MODEL, Snapshot, Watch
from rarelesion.intervals import pr_auc_estimate, roc_auc_estimate
from rarelesion.layers import Backbone
from rarelesion.losses import SMALLEST_LENGTH, Head, soft_cross_entropy
from rarelesion.metrics import roc_auc
from rarelesion.patches import load_patches
from rarelesion.settings import CohortSettings, ImageSettings, TextureSettings, TrainingSettings
from rarelesion.study import texture_pool
from rarelesion.types import CLASSES, Scores
from rarelesion.weights import load_backbone
from small_draw import draw

SETTINGS = TrainingSettings(precision="bfloat16")
EMA_DECAY, GAIN = 0.8, 50.0
"""GAIN: how much faster log(alpha) is learned than weights are, which Adam moves by some 2e-4 a step: by 1 %."""
PLAIN, L2 = "mobilenet", "l2-80"


class LearnedLength(Head):
    """The L2-constrained softmax whose alpha is learned (Ranjan et al. 2017, https://arxiv.org/abs/1703.09507)."""

    def __init__(self, dim: int, classes: int, alpha: float) -> None:
        super().__init__(dim, classes, alpha)
        self.growth = nn.Parameter(torch.zeros(()))

    def length(self) -> Tensor:
        """Alpha as it is now."""
        return (self.alpha or 0.0) * torch.exp(GAIN * self.growth)

    def forward(self, embedding: Tensor) -> Tensor:
        return self.linear(self.length() * functional.normalize(embedding.float(), dim=1, eps=SMALLEST_LENGTH))


class Cosine(Head):
    """Logits are alpha times the cosine to each class's direction, without bias: CosFace's head."""

    def forward(self, embedding: Tensor) -> Tensor:
        vectors = functional.normalize(embedding.float(), dim=1, eps=SMALLEST_LENGTH)
        return (self.alpha or 0.0) * vectors @ functional.normalize(self.linear.weight, dim=1).T


@dataclass(frozen=True)
class Variant:
    """One way to train."""

    alpha: float | None
    head: type[Head] = Head
    margin: float = 0.0

    def loss(self, logits: Tensor, targets: Tensor, weights: Tensor | None) -> Tensor:
        """Additive cosine margin (https://arxiv.org/abs/1801.09414), by the share a class has; none when tuning."""
        penalty = self.margin * (self.alpha or 0.0) if torch.is_grad_enabled() else 0.0
        return soft_cross_entropy(logits - penalty * targets, targets, weights)


VARIANTS = {
    PLAIN: Variant(None),
    L2: Variant(80.0),
    "l2-16": Variant(16.0),
    "l2-learned": Variant(16.0, LearnedLength),
    "cosine16-m0.2": Variant(16.0, Cosine, 0.2),
}
State = dict[str, Tensor]
Sets = tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float32], NDArray[np.int64]]


def main() -> None:
    """Train what is not trained yet and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cohort", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--weights", required=True, type=Path, help="ImageNet weights of MobileNet")
    parser.add_argument("--draws", type=int, default=6)
    arguments = parser.parse_args()
    training.use_threads(1)
    cohort = read_cohort(arguments.cohort, CohortSettings())
    pixels, start = load_patches(cohort, ImageSettings()).pixels, load_backbone("mobilenet", arguments.weights)
    labels, ids = (np.array([getattr(case, name) for case in cohort.cases]) for name in ("label", "case_id"))
    for seed in range(arguments.draws):
        parts = np.array(draw([CLASSES[label] for label in labels.tolist()], np.random.default_rng(seed)))
        train, tune = parts == "train", parts == "tune"
        textures = texture_pool(TextureSettings(), ImageSettings().side_px, seed)
        for name in VARIANTS:
            path = arguments.out / f"draw{seed}-{name}.json"
            if not path.exists():
                found = trained(name, start, (pixels[train], labels[train], pixels[tune], labels[tune]), textures, seed)
                store.write_json(path, found | {"cases": ids[tune].tolist(), "labels": labels[tune].tolist()})
                print(path.stem, found["alpha"], len(found["tune_losses"]), "epochs", flush=True)
    print(table(gathered(arguments.out, arguments.draws)))


def trained(name: str, start: Backbone, sets: Sets, textures: NDArray[np.float32], seed: int) -> dict:
    """Log-odds of malignant of the tuning cases, by the weights that are taken, and how the training went."""
    variant, states = VARIANTS[name], []

    def keep(take: Callable[[], Snapshot]) -> None:
        states.append({key: value.clone() for key, value in take().tensors.items() if key.startswith(MODEL)})

    with mock.patch.multiple(training, Head=variant.head, soft_cross_entropy=variant.loss):
        pool, watch = None if variant.alpha is None else textures, Watch(keep=keep if name in (PLAIN, L2) else None)
        network = training.train_network(start, *sets, pool, SETTINGS, variant.alpha, seed, watch)
    best = {"best": log_odds(training.embed(network, sets[2], SETTINGS)[1])}
    alpha = network.head.length().item() if isinstance(network.head, LearnedLength) else variant.alpha
    scores = best | averages(network, states, sets) if states else best
    return {"scores": scores, "alpha": alpha, "tune_losses": [epoch.tune_loss for epoch in network.history]}


def log_odds(logits: NDArray[np.float32]) -> list[float]:
    """Of malignant against benign, as the classifier's rows have it."""
    return (logits[:, 1].astype(float) - logits[:, 0]).tolist()


def averages(network: training.TrainedNetwork, states: Sequence[State], sets: Sets) -> dict[str, list[float]]:
    """Log-odds with the weights of the last epoch, with means over epochs and with the best moving average."""
    parts = nn.ModuleList([network.backbone, network.head])

    def logits_with(weights: State) -> NDArray[np.float32]:
        parts.load_state_dict({key.removeprefix(MODEL): value for key, value in weights.items()})
        return training.embed(network, sets[2], SETTINGS)[1]

    def moved(old: State, new: State) -> State:
        return {key: EMA_DECAY * value + (1 - EMA_DECAY) * new[key] for key, value in old.items()}

    result = {}
    for way, count in {"last": 1, "mean10": 10, "mean20": 20}.items():
        mean = {key: torch.stack([one[key] for one in states[-count:]]).float().mean(0) for key in states[0]}
        result[way] = log_odds(logits_with(mean))
    tried, truth = [logits_with(weights) for weights in accumulate(states, moved)], torch.from_numpy(sets[3])
    losses = [functional.cross_entropy(torch.from_numpy(logits), truth).item() for logits in tried]
    return result | {"ema": log_odds(tried[int(np.argmin(losses))])}


def gathered(out: Path, draws: int) -> dict[str, Scores]:
    """The rows of the table, each draw as a repeat."""
    rows = {}
    for name in VARIANTS:
        each = [store.read_json(out / f"draw{seed}-{name}.json") for seed in range(draws)]
        cases, labels = (np.concatenate([one[key] for one in each]) for key in ("cases", "labels"))
        repeats = np.repeat(np.arange(draws), len(cases) // draws)
        for way in each[0]["scores"]:
            row, scores = f"{name} {way}".removesuffix(" best"), np.concatenate([one["scores"][way] for one in each])
            rows[row] = as_scores(row, cases, labels, scores, repeats=repeats)
    return rows


def table(rows: dict[str, Scores]) -> str:
    """Areas, the difference from the row that differs in one thing, and how it went in the single draws."""
    other = {row: row.split(" ")[0] if " " in row else {PLAIN: "", L2: PLAIN}.get(row, L2) for row in rows}
    compared = {row: compare_roc_auc(rows[row], rows[name]) for row, name in other.items() if name in rows}
    adjusted = dict(zip(compared, holm([one.p for one in compared.values()]), strict=True))
    lines = ["| | ROC-AUC | PR-AUC | less | difference | its SD over draws, higher in |", "|---|--:|--:|---|--:|--:|"]
    for row, one in rows.items():
        areas = roc_auc_estimate(one), pr_auc_estimate(one, resamples=500)
        cells = [row, *(f"{area.value:.3f} ({area.low:.3f} to {area.high:.3f})" for area in areas)]
        if row in compared:
            now, each = compared[row], _areas(one) - _areas(rows[other[row]])
            shown = f"{now.difference:+.3f} ({now.low:+.3f} to {now.high:+.3f}), p {adjusted[row]:.3f}"
            cells += [other[row], shown, f"{each.std(ddof=1):.3f}, {(each > 0).sum()} of {each.size}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _areas(one: Scores) -> NDArray[np.float64]:
    draws = [one.where(one.repeat == repeat) for repeat in np.unique(one.repeat)]
    return np.array([roc_auc(part.label, part.score) for part in draws])


if __name__ == "__main__":
    main()
