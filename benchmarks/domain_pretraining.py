"""What learning in the domain (`rarelesion pretrain --method domain`) brings on lesions it has not seen.

    python benchmarks/domain_pretraining.py COHORT.csv OUT --minutes 5 \
        --start imagenet=mobilenet_v1_imagenet_notop.h5 --start embedded=src/rarelesion/embedded/mobilenet.safetensors \
        --start random

divides the patients into halves, stratified by class. On the images of one half, in a table without labels, each start
goes on learning by the command line; the OTHER half's lesions are then described by the frozen network, as
`pretraining.py` does, and the halves are exchanged: no image that is judged was seen. ROC-AUC is the mean over both
halves' five folds, in three divisions into folds; the difference is paired, its unit of chance the patient. A control
takes the batch-norm statistics of the other half's images and learns nothing. OUT keeps the weights.
"""

import argparse
import csv
import subprocess
import sys
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning

from pretraining import SIDE_PX, lesion_scores
from rarelesion.album import PAGES, Album, piece
from rarelesion.cohort import read_cohort
from rarelesion.compare import as_scores, compare_roc_auc
from rarelesion.folds import auc_influence, usable_folds
from rarelesion.layers import Backbone
from rarelesion.learning import Extent, describe, going_on, learn, new_backbone
from rarelesion.patches import load_patches
from rarelesion.selfsupervised import SelfSupervised
from rarelesion.settings import CohortSettings, ImageSettings
from rarelesion.teaching import SCALE_CROPS
from rarelesion.types import Scores
from rarelesion.weights import load_backbone

BACKBONE, HALVES_SEED, DIVISIONS, SIDES_PX = "mobilenet", 0, 3, (64, 96)


def main() -> None:
    """Learn what is not there yet, then print one row a start."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cohort", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--start", action="append", required=True, metavar="NAME=FILE", help="or: random")
    parser.add_argument("--minutes", type=float, default=5.0)
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore", category=ConvergenceWarning)
    starts = {name: Path(file) if file else None for name, _, file in (word.partition("=") for word in arguments.start)}
    cohort = read_cohort(arguments.cohort, CohortSettings())
    labels = np.array([case.label for case in cohort.cases])
    patients = np.array([case.patient_id for case in cohort.cases])
    half = halves(labels, patients)
    for number in (0, 1):
        table = write_half(arguments.cohort, half == number, arguments.out / f"half{number}.csv")
        for name, start in starts.items():
            pretrain(start, table, arguments.out / f"{name}-half{number}.safetensors", arguments.minutes)
    patches = load_patches(cohort, ImageSettings(side_px=SIDE_PX)).pixels
    print("| start | before | after | difference (95 %) | p | dimensions |\n|---|---|---|---|---|---|", flush=True)
    for name, start in starts.items():
        albums = [Album(partial(drawn, patches[half == number]), 0, PAGES) for number in (0, 1)]
        begun = judged([begin(start, album) for album in albums], half, patches, labels, patients)
        for words, networks in (
            (name, [load_backbone(BACKBONE, arguments.out / f"{name}-half{number}.safetensors") for number in (0, 1)]),
            (f"{name}, statistics only", [settled(begin(start, album), album) for album in albums]),
        ):
            print(row(words, begun, judged(networks, half, patches, labels, patients)), flush=True)


def halves(labels: np.ndarray, patients: np.ndarray) -> np.ndarray:
    """(n,), 0 or 1: half of the patients of each class are 0; a patient is malignant where any lesion is."""
    ids, of = np.unique(patients, return_inverse=True)
    malignant = np.bincount(of, labels, len(ids)) > 0
    rng, number = np.random.default_rng(HALVES_SEED), np.ones(len(ids), int)
    for kind in (False, True):
        rows = rng.permutation(np.flatnonzero(malignant == kind))
        number[rows[: len(rows) // 2]] = 0
    return number[of]


def write_half(cohort: Path, chosen: np.ndarray, path: Path) -> Path:
    """The table of the chosen cases without its labels."""
    with cohort.open(encoding="utf-8", newline="") as file:
        rows = [line for line, kept in zip(csv.DictReader(file), chosen, strict=True) if kept]
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [column for column in rows[0] if column != "label"], extrasaction="ignore")
        writer.writeheader()
        images = [key for key in rows[0] if key.startswith("image_")]
        writer.writerows(line | {key: str((cohort.parent / line[key]).resolve()) for key in images} for line in rows)
    return path


def pretrain(start: Path | None, table: Path, out: Path, minutes: float) -> None:
    """As a user would, unless the weights are there."""
    if not out.exists():
        given = [] if start is None else ["--start", str(start)]
        words = ["pretrain", BACKBONE, "--method", "domain", *given, "--images", str(table), "--out", str(out)]
        extent = ["--minutes", f"{minutes:g}", "--side", ",".join(map(str, SIDES_PX))]
        subprocess.run([sys.executable, "-m", "rarelesion", *words, *extent], check=True)


def drawn(patches: np.ndarray, rng: np.random.Generator, side_px: int) -> tuple[np.ndarray, int]:
    """A page of the album, as `rarelesion pretrain` draws it."""
    return piece(patches[rng.integers(len(patches))], side_px, rng), 0


def begin(start: Path | None, album: Album) -> Backbone:
    """The file's network, or the very random start that `rarelesion pretrain` makes for this album."""
    if start is not None:
        return load_backbone(BACKBONE, start)
    return new_backbone(BACKBONE, 0, album.views(SCALE_CROPS, SIDES_PX[0], 0)[0])


def settled(backbone: Backbone, album: Album) -> Backbone:
    """The control: what pretraining does before its first step and after its last, and no step."""
    backbone = going_on(backbone, album.views(SCALE_CROPS, SIDES_PX[0], 0)[0])
    lesson = SelfSupervised(backbone, album, torch.device("cpu"), torch.float32)
    learn(lesson, Extent(None, 1, SIDES_PX), spent=1)
    return backbone


def row(name: str, before: tuple[Scores, float], after: tuple[Scores, float]) -> str:
    """One start: each half described by what learnt on the other one."""
    found = compare_roc_auc(after[0], before[0])
    areas = " | ".join(f"{auc_influence(usable_folds(one))[0]:.3f}" for one, _ in (before, after))
    interval = f"{found.difference:+.3f} ({found.low:+.3f} to {found.high:+.3f})"
    return f"| {name} | {areas} | {interval} | {found.p:.3f} | {before[1]:.1f} to {after[1]:.1f} |"


def judged(networks, half, patches, labels, patients) -> tuple[Scores, float]:
    """The test scores of all cases, and in how many directions embeddings vary (participation ratio): 1 is collapse."""
    columns, used = [], []
    for number, network in enumerate(networks):
        cases = np.flatnonzero(half != number)
        vectors = describe(network, patches[cases])
        spectrum = np.linalg.svd(vectors - vectors.mean(0), compute_uv=False) ** 2
        used.append(spectrum.sum() ** 2 / (spectrum**2).sum())
        for division in range(DIVISIONS):
            folds, scores = lesion_scores(vectors, labels[cases], patients[cases], division)
            columns.append((cases, scores, 5 * number + folds, np.full(len(cases), division)))
    cases, score, fold, repeat = (np.concatenate(column) for column in zip(*columns, strict=True))
    return as_scores("network", cases, labels[cases], score, patients[cases], fold, repeat), float(np.mean(used))


if __name__ == "__main__":
    main()
