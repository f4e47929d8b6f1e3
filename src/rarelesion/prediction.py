"""The next case: read by every fold of a finished study, and placed among the cases the study knows."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from scipy.stats import rankdata

from rarelesion import cvae, store, training
from rarelesion.backbones import BACKBONES
from rarelesion.calibration import at_prevalence, fit_platt
from rarelesion.choices import read_choices
from rarelesion.choosing import Choice
from rarelesion.cohort import make_case, read_new_cases
from rarelesion.config import read_settings
from rarelesion.conformal import conformal_sets, fit_conformal
from rarelesion.contrasts import SCORERS
from rarelesion.ensembles import Joined, first_width, fit_scales, join, part
from rarelesion.errors import InputError, Problem
from rarelesion.features import beside_new, read_beside
from rarelesion.fitting import of_cases, on_the_scale_of, restore_classifier, restore_cvae
from rarelesion.fusion import Beside
from rarelesion.jobs import NetworkJob, network_jobs
from rarelesion.patches import load_patches
from rarelesion.recipes import AUTO, Recipe, lead_recipe, parse_recipe
from rarelesion.scoring import CaseScorer, SplitScorer, fit_scorer, fit_split, split_rows, texture_probability
from rarelesion.settings import DetectorSettings, Settings
from rarelesion.starts import made_anew
from rarelesion.thresholds import choose_threshold
from rarelesion.types import CLASSES, Case, Cohort, Embeddings, Floats, Ints, Patches, Split

LEAVE_OUT_PARTS = 10
"""A detector's scores of its own training cases come from ten refits, each without the tenth it scores."""
NEIGHBOURS = 5
SAME_PICTURE = 1e-3
"""Embeddings nearer than this share of their length are of one picture."""


@dataclass(frozen=True, slots=True)
class FoldReading:
    """What the network of one fold says of a case."""

    repeat: int
    fold: int
    score: float
    """Higher is more suspicious; comparable within the fold only."""
    threshold: float
    """Chosen on the fold's tuning cases by the study's rule."""
    probability: float
    """Of malignancy, by Platt's curve of the fold's tuning cases; see `Prediction.prevalence`."""
    possible: tuple[str, ...]
    """The answers that the fold's tuning cases do not rule out, in the cohort's words."""
    percentile: float
    """Share of the fold's benign training cases that score lower, in 0..100."""
    texture_probability: float | None
    """Probability that the patch does not look like a lesion; None without a texture class."""


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A case of the study that looks like the new one to the networks."""

    case_id: str
    label: str
    """In the cohort's words."""
    subtype: str
    """Empty where the cohort names none."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a study says of a new case."""

    case_id: str
    recipe: str
    decision: str
    """malignant or benign, in the cohort's words: what more folds decide; malignant where they are even, so that no
    doubt is hidden."""
    unsure: bool
    """A third or more of the folds decide otherwise; or both answers, or neither, remain possible, where there are
    tuning cases enough to rule out either."""
    possible: tuple[str, ...]
    """The answers that half of the folds or more do not rule out."""
    conformal_alpha: float
    """A fold rules out the truth for at most this share of the patients of either class; most folds for at most twice
    that."""
    conformal_note: str
    """Which class has too few tuning patients ever to be ruled out; empty where neither."""
    probability: float
    """Of malignancy: the median over folds."""
    prevalence: float | None
    """The share of malignant lesions that the probabilities hold for; None: that of the study."""
    folds_malignant: int
    percentile: float
    """Mean over folds of the percentile among the benign training cases, in 0..100."""
    score: float
    """The median over folds."""
    neighbours: tuple[Neighbour, ...]
    """The study's cases whose embeddings are nearest over all folds, the nearest first."""
    known_as: str | None
    """The case of the study that is the same picture: then this is no reading of a new case."""
    readings: tuple[FoldReading, ...]


@dataclass(frozen=True, eq=False, slots=True)
class _Run:
    """What is known of the study that reads a case."""

    folder: Path
    recipe: Recipe
    settings: Settings
    patient_of: Mapping[str, str]
    label_of: Mapping[str, int]
    beside: Beside | None


@dataclass(frozen=True, eq=False, slots=True)
class _New:
    """What is known of the new cases, row by row."""

    patches: Patches
    beside: Beside | None


@dataclass(frozen=True, eq=False, slots=True)
class _Fold:
    """What one fold says of all new cases."""

    readings: list[FoldReading]
    note: str
    """Which class it can't rule out for want of tuning patients."""
    known: NDArray[np.str_]
    """(m,) ids of the study's cases."""
    distances: NDArray[np.float64]
    """(n, m) from each new case to each of the study's, as a share of the length of the new one's embedding; where
    there is no network, of its standardised features."""


def predict_cases(
    folder: Path,
    table: Path | None,
    images: Mapping[str, str],
    masks: Mapping[str, str],
    boxes: Mapping[str, str],
    recipe_name: str | None,
) -> tuple[Prediction, ...]:
    """Read new cases with a finished run: rows of a cohort table, or one case given by its files.

    `images`, `masks` and `boxes` map sequences to paths and box texts. Without a `recipe_name` the run's `auto` reads
    the case, else the paper's proposed recipe, else the first. A recipe with clinical columns needs a table that has
    them.
    Raises InputError where the case, the run or the recipe is unusable.
    """
    if not (folder / "splits.json").exists():
        raise InputError(Problem(str(folder), "holds no run", remedy="Give the folder a study wrote with --out."))
    settings = read_settings(folder / "study.toml")
    name = _recipe_name(settings, recipe_name)
    cases = _new_cases(table, images, masks, boxes, settings)
    splits = store.read_splits(folder / "splits.json")
    choices = read_choices(folder, splits) if name == AUTO else ()
    names = [choice.recipe for choice in choices] or [name] * len(splits)
    recipes = [parse_recipe(name, tuple(BACKBONES), SCORERS) for name in names]
    words = {CLASSES[0]: settings.cohort.negative, CLASSES[1]: settings.cohort.positive}
    table_rows = store.read_case_table(folder / "cohort.csv")
    known = {
        row["case_id"]: Neighbour(row["case_id"], words.get(row["label"], row["label"]), row.get("subtype", ""))
        for row in table_rows
    }
    patient_of = {row["case_id"]: row["patient_id"] for row in table_rows}
    label_of = {row["case_id"]: CLASSES.index(row["label"]) for row in table_rows}
    beside = read_beside(folder, {row["case_id"]: row for row in table_rows}, settings, recipes)
    further = None if beside is None else beside_new(beside, cases, settings)
    new = _New(load_patches(cases, settings.images, None), further)
    runs = (_Run(folder, recipe, settings, patient_of, label_of, beside) for recipe in recipes)
    folds = [_read_fold(run, split, new) for run, split in zip(runs, splits, strict=True)]
    folds = [_on_log_odds(*pair) for pair in zip(folds, choices, strict=True)] if choices else folds
    recipe = replace(min(recipes, key=lambda one: bool(one.network or one.radiomics or one.table)), name=name)
    return tuple(_summary(case, recipe, row, folds, known, settings) for row, case in enumerate(cases.cases))


def _new_cases(
    table: Path | None,
    images: Mapping[str, str],
    masks: Mapping[str, str],
    boxes: Mapping[str, str],
    settings: Settings,
) -> Cohort:
    if (table is None) == (not (images or masks or boxes)):
        what = "needs either a CASE table or --image options" + (", not both" if table else "")
        raise InputError(Problem("predict", what, remedy="See the examples in rarelesion predict --help."))
    if table is not None:
        cases = read_new_cases(table, settings.cohort)
    else:
        paths = {sequence: Path(path) for sequence, path in images.items()}
        case = _case_of_options(paths, {sequence: Path(path) for sequence, path in masks.items()}, boxes)
        cases = Cohort(Path("new case"), (case,), tuple(paths))
    needed = list(dict.fromkeys(settings.images.channels.values()))
    missing = [sequence for sequence in needed if sequence not in cases.sequences]
    if missing:
        what = f"the study reads the sequences {', '.join(needed)}, and not all of them are given"
        remedy = f"Add {' and '.join(f'--image {name}=FILE, or a column image_{name}' for name in missing)}."
        raise InputError(Problem(cases.source.name, what, ", ".join(cases.sequences), ", ".join(needed), remedy))
    return cases


def _case_of_options(images: Mapping[str, Path], masks: Mapping[str, Path], boxes: Mapping[str, str]) -> Case:
    try:
        return make_case("new case", images, masks, boxes)
    except InputError as error:
        # A table's cell `new case:1:box_T1` is here what was given as --box T1=...
        places = [problem.where.rpartition(":")[2].replace("_", " ", 1).strip() for problem in error.problems]
        raise InputError(
            replace(problem, where=f"--{place}") for problem, place in zip(error.problems, places, strict=True)
        ) from None


def _recipe_name(settings: Settings, name: str | None) -> str:
    if name is not None and name not in settings.recipes:
        raise InputError(Problem("--recipe", "is not in this run", repr(name), "one of " + ", ".join(settings.recipes)))
    return name or lead_recipe(settings.recipes) or settings.recipes[0]


def _on_log_odds(fold: _Fold, choice: Choice) -> _Fold:
    """What a fold says on the scale of the row `auto`: all else stays, as the scale keeps the order of scores."""
    scores = choice.log_odds(np.array([(reading.score, reading.threshold) for reading in fold.readings]))
    scales = zip(fold.readings, scores.reshape(-1, 2).tolist(), strict=True)
    readings = [replace(reading, score=score, threshold=threshold) for reading, (score, threshold) in scales]
    return replace(fold, readings=readings)


def _embed(
    folder: Path, job: NetworkJob, settings: Settings, patches: Patches
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Embeddings (n, dim) and logits (n, classes) of the new cases."""
    path = job.weights_path(folder)
    if not path.exists():
        raise InputError(Problem(str(path), "is missing", remedy=made_anew(path)))
    pixels = on_the_scale_of(folder, job, patches)
    if job.backbone != "cvae":
        return of_cases(patches, *training.embed(restore_classifier(path, job.backbone), pixels, settings.training))
    vectors, scores = cvae.score_cvae(restore_cvae(path), pixels)
    return of_cases(patches, vectors, scores.astype(np.float32)[:, None])


def _embed_fold(run: _Run, split: Split, new: _New) -> tuple[Embeddings, Floats, Floats]:
    """What is known of the fold's cases, and embeddings (n, dim) and logits (n, classes) of the new ones."""
    jobs = network_jobs([run.recipe], [split])
    if not jobs:
        nothing = np.empty((len(new.patches.case_ids), 0))
        return split_rows(split, run.label_of), nothing, nothing
    vectors, logits = zip(*(_embed(run.folder, job, run.settings, new.patches) for job in jobs), strict=True)
    known = join([store.read_embeddings(run.folder / "embeddings" / f"{job.id}.npz") for job in jobs])
    return known, np.hstack(vectors), np.hstack(logits)


def _read_fold(run: _Run, split: Split, new: _New) -> _Fold:
    recipe, settings, names = run.recipe, run.settings, new.patches.case_ids
    known, vectors, logits = _embed_fold(run, split, new)
    scorer = fit_split(recipe, known, settings.detectors, run.beside, run.patient_of)
    tune = known.parts == "tune"
    tuning = known.labels[tune], scorer.tune
    threshold = choose_threshold(*tuning, settings.statistics.threshold)
    patients = [run.patient_of[case_id] for case_id in known.case_ids[tune].tolist()]
    scores = scorer.score(vectors, logits, new.beside, names)
    probabilities = _probabilities(*tuning, scores, settings.statistics.prevalence)
    possible, note = _possible(*tuning, patients, scores, settings)
    benign = _benign_scores(recipe, known, scorer, settings.detectors)
    textures = texture_probability(logits) if recipe.texture else [None] * len(logits)
    readings = [
        FoldReading(
            repeat=split.repeat,
            fold=split.fold,
            score=float(score),
            threshold=threshold,
            probability=float(probability),
            possible=answers,
            percentile=100 * float(np.mean(benign < score)),
            texture_probability=None if texture is None else float(texture),
        )
        for score, texture, probability, answers in zip(scores, textures, probabilities, possible, strict=True)
    ]
    # An ensemble's neighbours are those that its first network finds: embeddings of two have no common unit.
    length = first_width(known)
    vectors, others = vectors[:, :length], known.vectors[:, :length]
    if scorer.network is None and scorer.fused is not None and run.beside is not None and new.beside is not None:
        vectors = scorer.fused.standardised(new.beside, names)
        others = scorer.fused.standardised(run.beside, known.case_ids.tolist())
    lengths = np.maximum(np.linalg.norm(vectors, axis=1), np.finfo(np.float32).tiny)
    return _Fold(readings, note, known.case_ids, cdist(vectors, others) / lengths[:, None])


def _probabilities(labels: Ints, tuning: Floats, scores: Floats, prevalence: float | None) -> NDArray[np.float64]:
    """The probability of malignancy of new scores (n,), at a stated prevalence or that of the tuning cases."""
    found = fit_platt(labels, tuning)(scores)
    return found if prevalence is None else at_prevalence(found, prevalence, float(np.mean(labels)))


def _possible(
    labels: Ints, tuning: Floats, patients: Sequence[str], scores: Floats, settings: Settings
) -> tuple[list[tuple[str, ...]], str]:
    """The answers that remain for each new score, and which class can't be ruled out for want of tuning patients."""
    rule = fit_conformal(labels, tuning, settings.statistics.conformal_alpha, patients)
    sets = conformal_sets(rule, scores)
    words = settings.cohort.negative, settings.cohort.positive
    kept = np.stack([sets.benign, sets.malignant], axis=1)
    return [tuple(word for word, still in zip(words, row, strict=True) if still) for row in kept], rule.note


def _benign_scores(
    recipe: Recipe, known: Embeddings, scorer: SplitScorer, settings: DetectorSettings
) -> NDArray[np.float64]:
    """Scores of the benign training cases, as far as can be as if each had been new."""
    own = benign_training_scores(recipe, known, settings) if recipe.network else None
    if scorer.fused is not None:
        return scorer.fused.training(own, known.labels[known.parts == "train"] == 0)
    assert own is not None
    return own


def benign_training_scores(recipe: Recipe, known: Embeddings, settings: DetectorSettings) -> NDArray[np.float64]:
    """Scores of the benign training cases (n,), in their order, by the network of a recipe as if each had been new.

    A detector finds no distance between a case and itself, so each tenth is scored by a refit on the others. A
    classifier can't be retrained here: its scores of its own training cases are taken, and lie lower than those of
    new benign cases would.
    """
    rows = np.flatnonzero((known.parts == "train") & (known.labels == 0))
    if recipe.members:
        assert isinstance(known, Joined)
        pairs = list(zip(recipe.members, part(known), strict=True))
        tuned = [_scores_of(fit_scorer(one, its, settings), its, known.parts == "tune") for one, its in pairs]
        return fit_scales(tuned).mean([benign_training_scores(one, its, settings) for one, its in pairs])
    if recipe.detector is None:
        return _scores_of(fit_scorer(recipe, known, settings), known, rows)
    parts = [rows[start::LEAVE_OUT_PARTS] for start in range(min(LEAVE_OUT_PARTS, len(rows)))]
    found = [_scores_of(fit_scorer(recipe, _without(known, part), settings), known, part) for part in parts]
    return np.concatenate(found)[np.argsort(np.concatenate(parts))]


def _scores_of(scorer: CaseScorer, known: Embeddings, rows: NDArray[Any]) -> NDArray[np.float64]:
    return scorer(known.vectors[rows], known.logits[rows])


def _without(known: Embeddings, rows: NDArray[np.intp]) -> Embeddings:
    keep = np.ones(len(known.labels), dtype=bool)
    keep[rows] = False
    arrays = {name: getattr(known, name)[keep] for name in ("case_ids", "parts", "labels", "vectors", "logits")}
    return Embeddings(network=known.network, repeat=known.repeat, fold=known.fold, **arrays)


def _summary(
    case: Case, recipe: Recipe, row: int, folds: Sequence[_Fold], known: Mapping[str, Neighbour], settings: Settings
) -> Prediction:
    readings = tuple(fold.readings[row] for fold in folds)
    malignant = sum(reading.score >= reading.threshold for reading in readings)
    nearest = _nearest(row, folds)
    same = [np.min(fold.distances[row][fold.known == nearest[0]], initial=np.inf) < SAME_PICTURE for fold in folds]
    # Two patients may be of one age and sex; two pictures are not alike in all their pixels.
    known_as = nearest.pop(0) if all(same) and (recipe.network or recipe.radiomics or recipe.table) else None
    words = settings.cohort.negative, settings.cohort.positive
    possible = tuple(word for word in words if 2 * sum(word in one.possible for one in readings) >= len(readings))
    notes = list(dict.fromkeys(fold.note for fold in folds if fold.note))
    split = 3 * min(malignant, len(readings) - malignant) >= len(readings)
    return Prediction(
        case_id=case.case_id,
        recipe=recipe.name,
        decision=settings.cohort.positive if 2 * malignant >= len(readings) else settings.cohort.negative,
        unsure=split or (not notes and len(possible) != 1),
        possible=possible,
        conformal_alpha=settings.statistics.conformal_alpha,
        conformal_note=notes[0] if notes else "",
        probability=float(np.median([reading.probability for reading in readings])),
        prevalence=settings.statistics.prevalence,
        folds_malignant=malignant,
        percentile=float(np.mean([reading.percentile for reading in readings])),
        score=float(np.median([reading.score for reading in readings])),
        neighbours=tuple(known[name] for name in nearest[:NEIGHBOURS] if name in known),
        known_as=known_as,
        readings=readings,
    )


def _nearest(row: int, folds: Sequence[_Fold]) -> list[str]:
    """The study's cases by their mean rank of distance over the folds; each fold measures in its own units."""
    ranks: dict[str, list[float]] = {}
    for fold in folds:
        for case_id, rank in zip(fold.known.tolist(), rankdata(fold.distances[row]), strict=True):
            ranks.setdefault(case_id, []).append(float(rank))
    return sorted(ranks, key=lambda case_id: (np.mean(ranks[case_id]), case_id))


def prediction_json(prediction: Prediction) -> dict[str, Any]:
    """A prediction as plain values."""
    return asdict(prediction)
