"""The main job: from a cohort to scores, in a run folder that can be stopped and gone on with at any moment."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from rarelesion import store
from rarelesion.backbones import BACKBONES
from rarelesion.checks import find_suspicions
from rarelesion.cohort import read_cohort, read_ratings
from rarelesion.config import flat_settings, read_settings, settings_toml
from rarelesion.crop import resolve_channels
from rarelesion.detectors import DETECTORS
from rarelesion.errors import InputError, Problem
from rarelesion.figures import patch_examples
from rarelesion.fitting import Material, NetworkJob, network_jobs, seconds_per_image, starting_backbone
from rarelesion.materials import read_materials
from rarelesion.patches import load_patches
from rarelesion.readers import reader_scores
from rarelesion.recipes import PAPER_RECIPES, READER_PREFIX, Recipe, parse_recipe
from rarelesion.results import write_figure
from rarelesion.scoring import score_recipe
from rarelesion.settings import Settings, TextureSettings
from rarelesion.splits import make_splits
from rarelesion.texture import crop_textures, texture_set
from rarelesion.types import Cohort, Patches, Scores, Split
from rarelesion.workers import train_all

TEXTURE_POOL = 600
"""Texture patches an epoch's are drawn from: some ten of each procedural material."""


class Progress(Protocol):
    """Told how far a stage is: `done` of `total`, in seconds where the stage is training."""

    def __call__(self, stage: str, detail: str, done: float, total: float) -> None: ...


def parse_recipes(settings: Settings) -> tuple[Recipe, ...]:
    """The recipes the settings name (none named: the paper's sixteen), every wrong one reported at once."""
    recipes, problems = [], []
    for name in dict.fromkeys(settings.recipes or PAPER_RECIPES):
        try:
            recipes.append(parse_recipe(name, tuple(BACKBONES), tuple(DETECTORS)))
        except InputError as error:
            problems += error.problems
    if problems:
        raise InputError(problems)
    return tuple(recipes)


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
) -> None:
    """Train, embed, detect and score: writes everything in the run folder up to scores.csv.

    A second call on the same folder goes on where the first stopped; recipes may be added, any other setting must be
    the same. `workers` networks are trained side by side, a process each. Raises InputError on bad input before
    anything is trained.
    """
    _check_words(settings)
    cohort = read_cohort(cohort_path, settings.cohort)
    ratings = read_ratings(readers_path, cohort) if readers_path else ()
    settings = _claim_folder(folder, _resolved(settings, cohort))
    recipes = parse_recipes(settings)
    splits = _splits(folder, cohort, settings)
    readers = reader_scores(ratings, cohort, splits) if ratings else _stored_readers(folder)
    patches = load_patches(cohort, settings.images, lambda done, total: progress("Reading images", "", done, total))
    inputs = {
        "seed": settings.seed,
        "cohort_sha256": store.file_sha256(cohort_path),
        "readers_sha256": store.file_sha256(readers_path) if readers_path else None,
        "patches_sha256": store.array_sha256(patches.pixels),
    }
    _check_inputs(folder, inputs)
    cases = list(zip(cohort.cases, patches.pixels, strict=True))
    findings = find_suspicions(cohort, cases, settings.split.folds)
    store.write_json(folder / "findings.json", [asdict(finding) for finding in findings])
    store.write_cohort(folder / "cohort.csv", cohort.cases, settings.cohort.subgroups)
    jobs = network_jobs(recipes, splits)
    material, origins = _material(folder, cohort, patches, jobs, settings, progress)
    some_textures = material.textures if len(material.textures) else None
    write_figure(folder, "patches", patch_examples(patches, cohort.labels, textures=some_textures))
    store.write_provenance(folder / "provenance.json", {**inputs, "weights": origins})
    _train(folder, jobs, material, workers, progress)
    scores = _score(folder, recipes, jobs, cohort, settings, progress)
    store.write_scores(folder / "scores.csv", [*scores, *readers])


def _stored_readers(folder: Path) -> tuple[Scores, ...]:
    """The readers' rows of an earlier call on the same run, which is not to lose them."""
    path = folder / "scores.csv"
    stored = store.read_scores(path) if path.exists() else ()
    return tuple(scores for scores in stored if scores.recipe.startswith(READER_PREFIX))


def _resolved(settings: Settings, cohort: Cohort) -> Settings:
    """The settings with everything filled in that the profile, the paper or the cohort decides."""
    channels = resolve_channels(cohort.sequences, settings.images.channels)
    return replace(
        settings,
        recipes=settings.recipes or PAPER_RECIPES,
        images=replace(settings.images, channels=channels),
        training=settings.training.resolved(),
    )


def _claim_folder(folder: Path, settings: Settings) -> Settings:
    """Make the run folder, or check that the run in it is this one; give the settings with all recipes of both.

    A run that has made no network yet is begun anew: it was stopped by wrong input, and the settings may be the cure.
    """
    path = folder / "study.toml"
    if path.exists() and not any((folder / "networks").glob("*/*.safetensors")):
        for name in ("splits.json", "provenance.json"):
            store.remove(folder / name)
    elif path.exists():
        stored = read_settings(path)
        _check_settings(path, flat_settings(stored), flat_settings(settings))
        settings = replace(settings, recipes=tuple(dict.fromkeys(stored.recipes + settings.recipes)))
    elif folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        what = "is a file" if folder.is_file() else "is not empty and holds no run"
        raise InputError(Problem(str(folder), what, expected="a new folder or a run's", remedy="Choose another --out."))
    store.write_text(path, settings_toml(settings))
    return settings


def _check_settings(path: Path, stored: dict[str, Any], wanted: dict[str, Any]) -> None:
    problems = [
        Problem(f"{path}: {key}", "differs from the run in this folder", repr(wanted[key]), repr(stored[key]))
        for key in wanted
        if key != "recipes" and wanted[key] != stored[key]
    ]
    if problems:
        remedy = "Choose another --out for other settings, or repeat the ones of this run to go on with it."
        raise InputError([*problems[:-1], replace(problems[-1], remedy=remedy)])


def _check_inputs(folder: Path, inputs: dict[str, Any]) -> None:
    path = folder / "provenance.json"
    if not path.exists():
        return
    stored = store.read_provenance(path)
    for key, what in (("cohort_sha256", "the cohort"), ("patches_sha256", "the pixels of the lesions")):
        if stored.get(key) != inputs[key]:
            raise InputError(
                Problem(
                    str(folder),
                    f"{what} changed since this run began",
                    remedy="Choose another --out: one run holds one cohort.",
                )
            )


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


def _material(
    folder: Path, cohort: Cohort, patches: Patches, jobs: Sequence[NetworkJob], settings: Settings, progress: Progress
) -> tuple[Material, dict[str, str]]:
    needed = any(job.texture for job in jobs)
    textures = texture_pool(settings.textures, settings.images.side_px, settings.seed) if needed else None
    starts, origins = {}, {}
    backbones = dict.fromkeys(job.backbone for job in jobs if job.backbone != "cvae")
    # Files first: a wrong one is found before minutes are spent on teaching the others.
    for name in sorted(backbones, key=lambda name: name not in settings.weights.files):
        starts[name], origins[name] = starting_backbone(
            folder, name, settings, lambda stage, done, total: progress(stage, "", done, total)
        )
    empty = np.empty((0, *patches.pixels.shape[1:]), dtype=np.float32)
    label_of = {case.case_id: case.label for case in cohort.cases}
    return Material(patches, label_of, empty if textures is None else textures, starts, settings), origins


def texture_pool(settings: TextureSettings, side_px: int, seed: int) -> np.ndarray:
    """The images of the texture class, (m, 3, side, side) in 0..1, from the procedural library or a folder."""
    if settings.source == "procedural":
        return texture_set(TEXTURE_POOL, side_px, seed)
    images = read_materials(Path(settings.source))
    return crop_textures(images, len(images), side_px, seed)


def _train(folder: Path, jobs: Sequence[NetworkJob], material: Material, workers: int, progress: Progress) -> None:
    """Train what is not done yet, the longest first, and tell how far that is in seconds of this machine.

    A network's share is its epochs of the most it may take: the time left is what it would be without early stops.
    """
    left = [job for job in jobs if not (folder / "embeddings" / f"{job.id}.npz").exists()]
    if not left:
        return
    expected = _expected_seconds(left, material)
    most = {job.id: _most_epochs(job, material.settings) for job in left}
    share = dict.fromkeys(expected, 0.0)

    def on_epoch(job_id: str, number: int) -> None:
        done = sum((folder / "embeddings" / f"{name}.npz").exists() for name in share)
        share[job_id] = number / most[job_id]
        seconds = sum(share[name] * expected[name] for name in share)
        progress("Training", f"{job_id}, {done} of {len(left)} networks done", seconds, sum(expected.values()))

    longest_first = sorted(left, key=lambda job: -expected[job.id])
    train_all(folder, longest_first, material, min(workers, len(jobs)), on_epoch)
    progress("Training", f"{len(left)} networks done", sum(expected.values()), sum(expected.values()))


def _most_epochs(job: NetworkJob, settings: Settings) -> int:
    most = settings.cvae.max_epochs if job.backbone == "cvae" else settings.training.resolved().max_epochs
    assert most is not None
    return most


def _expected_seconds(jobs: Sequence[NetworkJob], material: Material) -> dict[str, float]:
    """Job id -> the most seconds it will take, from a few timed training steps of each kind of network."""
    side = material.settings.images.side_px
    timed = {
        name: seconds_per_image(name, material.starts.get(name), side, material.settings)
        for name in dict.fromkeys(job.backbone for job in jobs)
    }
    per_case = material.settings.textures.per_case
    return {
        job.id: timed[job.backbone]
        * len(job.split.train)
        * (1 + per_case * job.texture)
        * _most_epochs(job, material.settings)
        for job in jobs
    }


def _score(
    folder: Path,
    recipes: Sequence[Recipe],
    jobs: Sequence[NetworkJob],
    cohort: Cohort,
    settings: Settings,
    progress: Progress,
) -> list[Scores]:
    patient_of = {case.case_id: case.patient_id for case in cohort.cases}
    scores = []
    for number, recipe in enumerate(recipes, start=1):
        ids = [job.id for job in jobs if job.network == recipe.network]
        embeddings = [store.read_embeddings(folder / "embeddings" / f"{job_id}.npz") for job_id in ids]
        scores.append(score_recipe(recipe, embeddings, patient_of, settings.detectors))
        progress("Scoring", recipe.name, number, len(recipes))
    return scores
