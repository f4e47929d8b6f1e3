"""The main job: from a cohort to scores, in a run folder that can be stopped and gone on with at any moment."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from rarelesion import store
from rarelesion.backbones import BACKBONES
from rarelesion.budget import Budget, plan_within
from rarelesion.checks import find_suspicions
from rarelesion.choices import choose_and_note
from rarelesion.choosing import check_candidates, with_candidates
from rarelesion.claim import check_inputs, claim_folder, goes_on, going_on, planning_notes
from rarelesion.cohort import read_cohort, read_ratings
from rarelesion.config import settings_toml
from rarelesion.crop import resolve_channels
from rarelesion.ensembles import join
from rarelesion.errors import InputError, Problem
from rarelesion.features import (
    check_table,
    examples_of_outlines,
    read_beside,
    with_columns,
    write_radiomics,
    write_table,
)
from rarelesion.figures import outline_examples, patch_examples
from rarelesion.fitting import Material
from rarelesion.fusion import FeaturePart
from rarelesion.jobs import NetworkJob, network_jobs
from rarelesion.layers import Backbone
from rarelesion.learning_curve import check_curves, curve_names, with_curves, write_curve_scores
from rarelesion.materials import read_materials
from rarelesion.pace import ThisMachine
from rarelesion.patches import write_patches
from rarelesion.planning import Plan, forecast, most_epochs, parse_recipes, plan_study
from rarelesion.readers import reader_scores
from rarelesion.recipes import PAPER_RECIPES, READER_PREFIX, Recipe
from rarelesion.results import write_figure
from rarelesion.scoring import score_recipe, split_rows
from rarelesion.settings import Settings, TextureSettings
from rarelesion.splits import make_splits
from rarelesion.starts import fetch_missing, is_to_be_taught, recorded_starts, starting_backbone
from rarelesion.texture import crop_textures, texture_set
from rarelesion.types import Cohort, Embeddings, Scores, Split
from rarelesion.workers import give_memory_back, train_all

PATCHES = ".patches.npy.part"
"""Where in its folder a running study keeps the patches: out of the memory, and removed when it ends."""
KEPT_PLAN = "This run goes on as it was planned when it began: --budget changes nothing in it."
TEXTURE_POOL = 600
"""Texture patches an epoch's are drawn from: some ten of each procedural material."""


class Progress(Protocol):
    """Told how far a stage is: `done` of `total`, in seconds where the stage is training."""

    def __call__(self, stage: str, detail: str, done: float, total: float) -> None: ...


def _check_words(settings: Settings) -> None:
    """Every recipe and backbone the settings name, before anything is read."""
    problems = [
        Problem(f"weights.files.{name}", "unknown backbone", repr(name), "one of " + ", ".join(BACKBONES))
        for name in settings.weights.files
        if name not in BACKBONES
    ]
    problems += [
        Problem(f"weights.files.{name}", "there is no such file", file, remedy="Check the path.")
        for name, file in settings.weights.files.items()
        if name in BACKBONES and not Path(file).is_file()
    ]
    try:
        parse_recipes(settings)
    except InputError as error:
        problems += error.problems
    if problems:
        raise InputError(problems)


def run_study(
    cohort_path: Path,
    folder: Path,
    settings: Settings,
    readers_path: Path | None,
    progress: Progress,
    workers: int = 1,
    budget: Budget | None = None,
    on_plan: Callable[[Plan], None] = lambda plan: None,
) -> None:
    """Train, embed, detect and score: writes everything in the run folder up to scores.csv.

    Before that the machine is timed and `on_plan` told what is left to do and how long it takes; a study that begins
    is first made to fit the `budget`. A second call on the same folder goes on where the first stopped, with the
    settings of the first; recipes may be added, any other setting that is named must be the same. `workers` networks
    are trained side by side, a process each. Raises InputError on bad input before anything is trained.
    """
    if not goes_on(folder):
        settings = replace(settings, recipes=with_candidates(settings.recipes))
    _check_words(settings)
    cohort = read_cohort(cohort_path, settings.cohort)
    ratings = read_ratings(readers_path, cohort) if readers_path else ()
    check_table(folder, cohort, settings, parse_recipes(settings))
    backbones = sorted({name for recipe in parse_recipes(settings) for name in recipe.backbones} - {"cvae"})
    fetch_missing(folder, backbones, settings, progress)
    plan = _plan(folder, _resolved(settings, cohort), cohort, workers, budget, progress)
    give_memory_back()
    settings = with_curves(plan.settings, curve_names(plan.settings))
    store.write_text(folder / "study.toml", settings_toml(settings))
    recipes = parse_recipes(settings)
    splits = _splits(folder, cohort, settings)
    readers = reader_scores(ratings, cohort, splits) if ratings else _stored_readers(folder)
    if settings.statistics.margin is not None and not readers:
        remedy = "Add --readers RATINGS.csv, or leave the margin out."
        raise InputError(Problem("statistics.margin", "there is no reader to be compared with", remedy=remedy))
    inputs = {
        "seed": settings.seed,
        "cohort_sha256": store.file_sha256(cohort_path),
        "readers_sha256": store.file_sha256(readers_path) if readers_path else None,
        **planning_notes(folder, plan),
    }
    if plan.left:
        on_plan(plan)
    jobs = network_jobs(recipes, splits)
    with store.needed_within(folder / PATCHES) as path:
        _make_networks(path, folder, cohort, inputs, jobs, plan, progress)
    scores = _score(folder, recipes, jobs, splits, cohort, settings, progress)
    store.write_scores(folder / "scores.csv", [*scores, *choose_and_note(folder, settings, scores), *readers])
    _score_curves(folder, recipes, splits, cohort, settings, progress)


def _make_networks(
    path: Path,
    folder: Path,
    cohort: Cohort,
    inputs: dict[str, Any],
    jobs: Sequence[NetworkJob],
    plan: Plan,
    progress: Progress,
) -> None:
    """All that needs pixels, which lie in the file `path`.

    No name for them may outlive this call: Windows removes no file that is mapped.
    """
    settings = plan.settings
    patches = write_patches(path, cohort, settings.images, partial(progress, "Reading images", ""))
    inputs = {**inputs, "patches_sha256": store.array_sha256(patches.pixels)}
    check_inputs(folder, inputs)
    findings = find_suspicions(cohort, zip(cohort.cases, patches.largest, strict=True), settings.split.folds)
    store.write_json(folder / "findings.json", [asdict(finding) for finding in findings])
    kept = (*settings.cohort.subgroups, *settings.features.clinical)
    store.write_cohort(folder / "cohort.csv", cohort.cases, kept)
    measuring = partial(progress, "Measuring radiomics", "")
    write_radiomics(folder, cohort, settings, parse_recipes(settings), measuring)
    if outlines := examples_of_outlines(cohort, settings, parse_recipes(settings)):
        write_figure(folder, "outlines", outline_examples(outlines))
    write_table(folder, cohort, settings, parse_recipes(settings))
    # A wrong folder is found before minutes are spent on what networks start from.
    needed = any(job.texture for job in jobs)
    textures = texture_pool(settings.textures, settings.images.side_px, settings.seed) if needed else None
    write_figure(folder, "patches", patch_examples(patches, cohort.labels, textures=textures))
    starts, origins = _starts(folder, plan, progress)
    if textures is None:
        textures = np.empty((0, *patches.pixels.shape[1:]), dtype=np.float32)
    material = Material(patches, {case.case_id: case.label for case in cohort.cases}, textures, starts, settings)
    store.write_provenance(folder / "provenance.json", {**inputs, "weights": origins})
    _train(folder, plan, material, progress)


def _stored_readers(folder: Path) -> tuple[Scores, ...]:
    """The readers' rows of an earlier call on the same run, which is not to lose them."""
    path = folder / "scores.csv"
    stored = store.read_scores(path) if path.exists() else ()
    return tuple(scores for scores in stored if scores.recipe.startswith(READER_PREFIX))


def _resolved(settings: Settings, cohort: Cohort) -> Settings:
    """The settings with everything filled in that the profile, the paper or the cohort decides."""
    channels = resolve_channels(cohort.sequences, settings.images.channels)
    return replace(
        with_columns(settings, cohort, parse_recipes(settings)),
        recipes=settings.recipes or PAPER_RECIPES,
        images=replace(settings.images, channels=channels),
        training=settings.training.resolved(),
    )


def _plan(
    folder: Path, asked: Settings, cohort: Cohort, workers: int, budget: Budget | None, progress: Progress
) -> Plan:
    """What is to be done: as asked where the study begins, as stored where it goes on, with the recipes of both."""
    stage = "Timing this machine"
    machine = ThisMachine(folder, lambda what: progress(stage, what, 0, 1))
    stored = claim_folder(folder)
    settings = asked
    if stored is not None:
        settings = going_on(folder / "study.toml", stored, asked, budget.free(asked, cohort) if budget else set())
    check_candidates(settings.recipes)
    check_curves(settings, parse_recipes(settings))
    if stored is not None:
        done = {path.stem for path in (folder / "embeddings").glob("*.npz")}
        trained = {path.parent.name for path in (folder / "networks").glob("*/weights.safetensors")}
        splits = _splits(folder, cohort, settings)
        plan = forecast(settings, cohort, splits, machine, workers, done, trained)
        plan = replace(plan, reason=KEPT_PLAN if budget else "")
    elif budget is not None:
        plan = plan_within(budget, asked, cohort, machine, workers)
    else:
        plan = plan_study(asked, cohort, machine, workers)
    if plan.left:
        progress(stage, "", 1, 1)
    return plan


def _splits(folder: Path, cohort: Cohort, settings: Settings) -> tuple[Split, ...]:
    path = folder / "splits.json"
    if not path.exists():
        store.write_splits(path, make_splits(cohort, settings.split, settings.seed))
    splits = store.read_splits(path)
    known = {case.case_id for case in cohort.cases}
    strangers = {case_id for split in splits for case_id in split.train + split.tune + split.test} - known
    if strangers:
        raise InputError(
            Problem(
                str(path),
                "names cases that are not in the cohort",
                ", ".join(sorted(strangers)[:5]),
                remedy="Choose another --out: one run holds one cohort.",
            )
        )
    return splits


def _starts(folder: Path, plan: Plan, progress: Progress) -> tuple[dict[str, Backbone], dict[str, str]]:
    """What the networks that are left start from, and where each backbone of the run has it from."""
    starts, origins, settings = {}, recorded_starts(folder), plan.settings
    names = {job.backbone for job in plan.left} - {"cvae"}
    # Files first: a wrong one is found before minutes are spent on teaching the others.
    for name in sorted(names, key=lambda name: (is_to_be_taught(folder, name, settings), name)):
        starts[name], origins[name] = starting_backbone(
            folder, name, settings, lambda stage, done, total: progress(stage, "", done, total)
        )
        progress(f"Start of {name}", origins[name].partition(", sha256")[0], 1, 1)
        give_memory_back()
    return starts, origins


def texture_pool(settings: TextureSettings, side_px: int, seed: int) -> np.ndarray:
    """The images of the texture class, (m, 3, side, side) in 0..1, from the procedural library or a folder."""
    if settings.source == "procedural":
        return texture_set(TEXTURE_POOL, side_px, seed)
    images = read_materials(Path(settings.source))
    return crop_textures(images, len(images), side_px, seed)


def _train(folder: Path, plan: Plan, material: Material, progress: Progress) -> None:
    """Train what is not done yet, the longest first, and tell how far that is in seconds of this machine.

    A network's share is its epochs of the most it may take: the time left is what it would be without early stops.
    """
    if not plan.left:
        return
    expected, total, count = plan.seconds_of, sum(plan.seconds_of.values()), len(plan.left)
    most = {job.id: most_epochs(job, plan.settings) for job in plan.left}
    share = dict.fromkeys(expected, 0.0)

    def on_epoch(job_id: str, number: int) -> None:
        done = sum((folder / "embeddings" / f"{name}.npz").exists() for name in share)
        share[job_id] = number / most[job_id]
        seconds = sum(share[name] * expected[name] for name in share)
        progress("Training", f"{job_id}, {done} of {count} networks done", seconds, total)

    longest_first = sorted(plan.left, key=lambda job: -expected[job.id])
    train_all(folder, longest_first, material, plan.workers, plan.threads, on_epoch)
    progress("Training", f"{count} networks done", total, total)


def _score_curves(
    folder: Path,
    recipes: Sequence[Recipe],
    splits: Sequence[Split],
    cohort: Cohort,
    settings: Settings,
    progress: Progress,
) -> None:
    """What the networks that learnt from fewer cases say of the test cases, where a learning curve is wanted."""
    if not settings.learning_curve.recipes:
        return

    def score(recipe: Recipe, jobs: Sequence[NetworkJob], smaller: Sequence[Split]) -> Scores:
        return _score(folder, [recipe], jobs, smaller, cohort, settings, lambda stage, detail, done, total: None)[0]

    on_scored = partial(progress, "Scoring the learning curve")
    write_curve_scores(folder, settings, recipes, splits, cohort, score, on_scored)


def _score(
    folder: Path,
    recipes: Sequence[Recipe],
    jobs: Sequence[NetworkJob],
    splits: Sequence[Split],
    cohort: Cohort,
    settings: Settings,
    progress: Progress,
) -> list[Scores]:
    patient_of = {case.case_id: case.patient_id for case in cohort.cases}
    label_of = {case.case_id: case.label for case in cohort.cases}
    beside = read_beside(folder, {case.case_id: case.columns for case in cohort.cases}, settings, recipes)
    learnt: dict[tuple[str, int, int], FeaturePart] = {}
    scores = []
    for number, recipe in enumerate(recipes, start=1):
        # One by one: those of all splits of 10,000 cases would fill the memory.
        rows = (_read_rows(folder, recipe, split, jobs, label_of) for split in splits)
        scores.append(score_recipe(recipe, rows, patient_of, settings.detectors, beside, learnt))
        progress("Scoring", recipe.name, number, len(recipes))
    return scores


def _read_rows(
    folder: Path, recipe: Recipe, split: Split, jobs: Sequence[NetworkJob], label_of: Mapping[str, int]
) -> Embeddings:
    """What the networks of a recipe say of the cases of a split; nothing but who they are, where it has none."""
    id_of = {job.network: job.id for job in jobs if (job.split.repeat, job.split.fold) == (split.repeat, split.fold)}
    ids = [id_of[one.network] for one in recipe.networks]
    found = [store.read_embeddings(folder / "embeddings" / f"{job_id}.npz") for job_id in ids]
    return join(found) if found else split_rows(split, label_of)
