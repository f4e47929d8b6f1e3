"""How much frozen starting weights know: of materials on photographs, and of lesions on a cohort.

    python benchmarks/pretraining.py COHORT.csv TEXTURES --weights vgg16=vgg16.safetensors --weights mobilenet=keras.h5

prints a table: each file beside its backbone with random weights. TEXTURES is a folder of photographs, one subfolder a
material (KTH-TIPS). Every photograph is one picture, 100 pixels wide: half of each material's are known, the others
are named by their five nearest neighbours and by a logistic regression, over ten such divisions. On the cohort, patches
of 100 pixels: five folds grouped by patient, logistic regression on standardised embeddings, its strength chosen by the
area in five folds inside the training part; the area is over all test scores of each fold, averaged over the folds.
"""

import argparse
import warnings
from pathlib import Path

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from rarelesion.cohort import read_cohort
from rarelesion.learning import describe, new_backbone
from rarelesion.materials import read_labelled
from rarelesion.patches import load_patches
from rarelesion.probe import probe
from rarelesion.settings import CohortSettings, ImageSettings
from rarelesion.weights import load_backbone

SIDE_PX, DIVISIONS = 100, 10
STRENGTHS = [1e-5, 1e-4, 1e-3, 1e-2, 1e-1]


def main() -> None:
    """Print one row a set of weights as soon as it is there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cohort", type=Path)
    parser.add_argument("textures", type=Path)
    parser.add_argument("--weights", action="append", default=[], metavar="BACKBONE=FILE")
    parser.add_argument("--random", action="append", default=[], metavar="BACKBONE", help="random weights as well")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore", category=ConvergenceWarning)
    cohort = read_cohort(arguments.cohort, CohortSettings())
    patches = load_patches(cohort, ImageSettings(side_px=SIDE_PX)).pixels
    labels = np.array([case.label for case in cohort.cases])
    patients = np.array([case.patient_id for case in cohort.cases])
    photographs, materials = read_labelled(arguments.textures, SIDE_PX)
    print("| backbone | start | KTH-TIPS nearest | KTH-TIPS linear | BUS-BRA AUC (lowest to highest fold) |")
    print("|---|---|---|---|---|", flush=True)
    for name in arguments.random:
        pixels = torch.from_numpy(photographs[:64]).contiguous(memory_format=torch.channels_last)
        with torch.inference_mode():
            backbone = new_backbone(name, 0, pixels)
        _row(name, "random", backbone, (photographs, materials), (patches, labels, patients))
    for name, _, file in (word.partition("=") for word in arguments.weights):
        backbone = load_backbone(name, Path(file))
        _row(name, Path(file).name, backbone, (photographs, materials), (patches, labels, patients))


def _row(name, start, backbone, textures, lesions) -> None:
    nearest, linear = texture_accuracy(describe(backbone, textures[0]), textures[1])
    areas = lesion_areas(describe(backbone, lesions[0]), lesions[1], lesions[2])
    spread = f"{np.mean(areas):.3f} ({min(areas):.3f} to {max(areas):.3f})"
    print(f"| {name} | {start} | {100 * nearest:.1f} % | {100 * linear:.1f} % | {spread} |", flush=True)


def texture_accuracy(vectors: np.ndarray, materials: np.ndarray) -> tuple[float, float]:
    """Share of photographs named rightly by neighbours and by a line, over all divisions of the photographs."""
    found = []
    for division in range(DIVISIONS):
        known = half_of_each(materials, np.random.default_rng(division))
        found.append(probe(vectors[known], materials[known], vectors[~known], materials[~known]))
    return float(np.mean([item.nearest for item in found])), float(np.mean([item.linear for item in found]))


def half_of_each(materials: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(n,), true for half of the photographs of each material."""
    known = np.zeros(len(materials), bool)
    for material in np.unique(materials):
        rows = rng.permutation(np.flatnonzero(materials == material))
        known[rows[: len(rows) // 2]] = True
    return known


def lesion_areas(vectors: np.ndarray, labels: np.ndarray, patients: np.ndarray) -> list[float]:
    """ROC-AUC in each of five folds grouped by patient; nothing is chosen or scaled on the cases that are tested."""
    folds, scores = lesion_scores(vectors, labels, patients)
    return [float(roc_auc_score(labels[folds == fold], scores[folds == fold])) for fold in range(5)]


def lesion_scores(
    vectors: np.ndarray, labels: np.ndarray, patients: np.ndarray, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """In which fold each lesion (n,) is tested, and the score it gets there."""
    folds, scores = np.empty(len(labels), int), np.empty(len(labels))
    outer = StratifiedGroupKFold(5, shuffle=True, random_state=seed).split(vectors, labels, patients)
    for fold, (train, test) in enumerate(outer):
        inner = list(
            StratifiedGroupKFold(5, shuffle=True, random_state=1).split(vectors[train], labels[train], patients[train])
        )
        line = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
        search = GridSearchCV(line, {"logisticregression__C": STRENGTHS}, scoring="roc_auc", cv=inner)
        search.fit(vectors[train], labels[train])
        folds[test], scores[test] = fold, search.predict_proba(vectors[test])[:, 1]
    return folds, scores


if __name__ == "__main__":
    main()
