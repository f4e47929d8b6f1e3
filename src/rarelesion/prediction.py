"""The next case: read by every fold of a finished study, and placed among the cases the study knows."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rarelesion import cvae, store, training, weights
from rarelesion.backbones import BACKBONES
from rarelesion.cohort import make_case, read_new_cases
from rarelesion.config import read_settings
from rarelesion.detectors import DETECTORS
from rarelesion.errors import InputError, Problem
from rarelesion.fitting import NetworkJob, network_jobs, restore_classifier
from rarelesion.metrics import youden_threshold
from rarelesion.patches import load_patches
from rarelesion.recipes import Recipe, lead_recipe, parse_recipe
from rarelesion.scoring import CaseScorer, fit_scorer, texture_probability
from rarelesion.settings import DetectorSettings, Settings
from rarelesion.types import Case, Cohort, Embeddings, Patches

LEAVE_OUT_PARTS = 10
"""A detector's scores of its own training cases come from ten refits, each without the tenth it scores."""


@dataclass(frozen=True, slots=True)
class FoldReading:
    """What the network of one fold says of a case."""

    repeat: int
    fold: int
    score: float
    """Higher is more suspicious; comparable within the fold only."""
    threshold: float
    """Chosen at the Youden index of the fold's tuning cases."""
    percentile: float
    """Share of the fold's benign training cases that score lower, in 0..100."""
    texture_probability: float | None
    """Probability that the patch does not look like a lesion; None without a texture class."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a study says of a new case."""

    case_id: str
    recipe: str
    decision: str
    """malignant or benign: what more folds decide; malignant where they are even, so that no doubt is hidden."""
    folds_malignant: int
    percentile: float
    """Mean over folds of the percentile among the benign training cases, in 0..100."""
    score: float
    """The median over folds."""
    readings: tuple[FoldReading, ...]


def predict_cases(
    folder: Path,
    table: Path | None,
    images: Mapping[str, str],
    masks: Mapping[str, str],
    boxes: Mapping[str, str],
    recipe_name: str | None,
) -> tuple[Prediction, ...]:
    """Read new cases with a finished run: rows of a cohort table, or one case given by its files.

    `images`, `masks` and `boxes` map sequences to paths and box texts. Without a `recipe_name` the paper's proposed
    recipe reads the case, or the run's first. Raises InputError where the case, the run or the recipe is unusable.
    """
    if not (folder / "splits.json").exists():
        raise InputError(Problem(str(folder), "holds no run", remedy="Give the folder a study wrote with --out."))
    if (table is None) == (not images):
        raise InputError(Problem("predict", "needs either a CASE table or --image options"))
    settings = read_settings(folder / "study.toml")
    recipe = _recipe(settings, recipe_name)
    if table is not None:
        cases = read_new_cases(table, settings.cohort)
    else:
        paths = {sequence: Path(path) for sequence, path in images.items()}
        case = make_case("new case", paths, {sequence: Path(path) for sequence, path in masks.items()}, boxes)
        cases = Cohort(Path("new case"), (case,), tuple(paths))
    patches = load_patches(cases, settings.images, None)
    jobs = network_jobs([recipe], store.read_splits(folder / "splits.json"))
    readings = [_read_fold(folder, job, recipe, settings, patches) for job in jobs]
    return tuple(
        _summary(case, recipe, [fold[row] for fold in readings], settings) for row, case in enumerate(cases.cases)
    )


def _recipe(settings: Settings, name: str | None) -> Recipe:
    if name is not None and name not in settings.recipes:
        raise InputError(Problem("--recipe", "is not in this run", repr(name), "one of " + ", ".join(settings.recipes)))
    chosen = name or (lead_recipe(settings.recipes) or settings.recipes[0])
    return parse_recipe(chosen, tuple(BACKBONES), tuple(DETECTORS))


def _read_fold(
    folder: Path, job: NetworkJob, recipe: Recipe, settings: Settings, patches: Patches
) -> list[FoldReading]:
    path = folder / "networks" / job.id / "weights.safetensors"
    if not path.exists():
        raise InputError(Problem(str(path), "is missing", remedy="Finish the study first: give its command again."))
    if job.backbone == "cvae":
        vectors, scores = cvae.score_cvae(cvae.rebuild(weights.load_state(path)[0]), patches.pixels)
        logits = scores.astype(np.float32)[:, None]
    else:
        vectors, logits = training.embed(restore_classifier(path, job.backbone), patches.pixels)
    known = store.read_embeddings(folder / "embeddings" / f"{job.id}.npz")
    scorer = fit_scorer(recipe, known, settings.detectors)
    tune = known.parts == "tune"
    threshold = youden_threshold(known.labels[tune], scorer(known.vectors[tune], known.logits[tune]))
    benign = benign_training_scores(recipe, known, settings.detectors)
    textures = texture_probability(logits) if recipe.texture else [None] * len(logits)
    return [
        FoldReading(
            repeat=job.split.repeat,
            fold=job.split.fold,
            score=float(score),
            threshold=threshold,
            percentile=100 * float(np.mean(benign < score)),
            texture_probability=None if texture is None else float(texture),
        )
        for score, texture in zip(scorer(vectors, logits), textures, strict=True)
    ]


def benign_training_scores(recipe: Recipe, known: Embeddings, settings: DetectorSettings) -> NDArray[np.float64]:
    """Scores of the benign training cases as if each had been new.

    A detector finds no distance between a case and itself, so each tenth is scored by a refit on the others. A
    classifier can't be retrained here: its scores of its own training cases are taken, and lie lower than those of
    new benign cases would.
    """
    rows = np.flatnonzero((known.parts == "train") & (known.labels == 0))
    if recipe.detector is None:
        return _scores_of(fit_scorer(recipe, known, settings), known, rows)
    parts = [rows[start::LEAVE_OUT_PARTS] for start in range(min(LEAVE_OUT_PARTS, len(rows)))]
    return np.concatenate(
        [_scores_of(fit_scorer(recipe, _without(known, part), settings), known, part) for part in parts]
    )


def _scores_of(scorer: CaseScorer, known: Embeddings, rows: NDArray[np.intp]) -> NDArray[np.float64]:
    return scorer(known.vectors[rows], known.logits[rows])


def _without(known: Embeddings, rows: NDArray[np.intp]) -> Embeddings:
    keep = np.ones(len(known.labels), dtype=bool)
    keep[rows] = False
    arrays = {name: getattr(known, name)[keep] for name in ("case_ids", "parts", "labels", "vectors", "logits")}
    return Embeddings(network=known.network, repeat=known.repeat, fold=known.fold, **arrays)


def _summary(case: Case, recipe: Recipe, readings: Sequence[FoldReading], settings: Settings) -> Prediction:
    malignant = sum(reading.score >= reading.threshold for reading in readings)
    words = settings.cohort.positive, settings.cohort.negative
    return Prediction(
        case_id=case.case_id,
        recipe=recipe.name,
        decision=words[0] if 2 * malignant >= len(readings) else words[1],
        folds_malignant=malignant,
        percentile=float(np.mean([reading.percentile for reading in readings])),
        score=float(np.median([reading.score for reading in readings])),
        readings=tuple(readings),
    )


def prediction_json(prediction: Prediction) -> dict[str, Any]:
    """A prediction as plain values."""
    return asdict(prediction)


def prediction_text(prediction: Prediction) -> str:
    """A prediction in words, for a person."""
    n = len(prediction.readings)
    lines = [
        f"{prediction.case_id}: {prediction.decision} ({prediction.recipe}; research use only)",
        f"  {prediction.folds_malignant} of {n} networks call it malignant, each at the threshold of its tuning cases",
        f"  more suspicious than {prediction.percentile:.0f} % of the benign training cases",
        "  fold      score  threshold  percentile",
    ]
    lines += [
        f"  r{r.repeat}f{r.fold}  {r.score:9.3f}  {r.threshold:9.3f}  {r.percentile:8.0f} %"
        for r in prediction.readings
    ]
    textures = [r.texture_probability for r in prediction.readings if r.texture_probability is not None]
    if textures and np.mean(textures) > 0.5:
        lines.append(
            f"  Look at the crop: it does not look like a lesion (texture probability {np.mean(textures):.2f})."
        )
    return "\n".join(lines)
