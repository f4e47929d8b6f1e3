"""A run's folder: whether a study may begin in it, or goes on in it with the same settings and the same cases."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from rarelesion import store
from rarelesion.config import flat_settings, read_settings
from rarelesion.errors import InputError, Problem
from rarelesion.learning_curve import curve_names, with_curves
from rarelesion.planning import Plan, parse_recipes
from rarelesion.settings import Settings

ADDED_TO = ("recipes", "learning_curve.recipes")
"""What a run may be given more of."""


def goes_on(folder: Path) -> bool:
    """Whether the folder holds a run that has made a network or scores."""
    made = any((folder / "networks").glob("*/*.safetensors")) or (folder / "scores.csv").exists()
    return made and (folder / "study.toml").exists()


def claim_folder(folder: Path) -> Settings | None:
    """The settings of the run in the folder, None where there is none and one may be made.

    A run that has made neither a network nor scores yet is begun anew: it was stopped by wrong input, and the settings
    may be the cure.
    """
    path = folder / "study.toml"
    if goes_on(folder):
        return read_settings(path)
    if path.exists():
        for name in ("splits.json", "provenance.json"):
            store.remove(folder / name)
    elif folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        what = "is a file" if folder.is_file() else "is not empty and holds no run"
        raise InputError(Problem(str(folder), what, expected="a new folder or a run's", remedy="Choose another --out."))
    return None


def going_on(path: Path, stored: Settings, asked: Settings, planned: set[str]) -> Settings:
    """The stored settings with the recipes of both; what was `planned` or measured need not be asked for again.

    A weight file may be added for a backbone that the run has not used yet.
    """
    used = {name for recipe in parse_recipes(stored) for name in recipe.backbones}
    added = {name: file for name, file in asked.weights.files.items() if name not in used}
    stored = replace(stored, weights=replace(stored.weights, files={**stored.weights.files, **added}))
    kept, wanted = flat_settings(stored), flat_settings(asked)
    wanted |= {name: kept[name] for name in planned}
    if asked.training.precision is None:
        wanted["training.precision"] = stored.training.precision
    if not (stored.learning_curve.recipes and asked.learning_curve.recipes):
        kept |= {name: value for name, value in wanted.items() if name.startswith("learning_curve.")}
    _check_settings(path, kept, wanted)
    curves = stored.learning_curve if stored.learning_curve.recipes else asked.learning_curve
    named = curve_names(replace(asked, recipes=wanted["recipes"]))
    both = replace(stored, recipes=tuple(dict.fromkeys((*stored.recipes, *wanted["recipes"]))), learning_curve=curves)
    return with_curves(both, tuple(dict.fromkeys((*stored.learning_curve.recipes, *named))))


def planning_notes(folder: Path, plan: Plan) -> dict[str, Any]:
    """What was measured and changed when the run began, for its provenance."""
    path = folder / "provenance.json"
    if path.exists():
        stored = store.read_provenance(path)
        return {key: stored[key] for key in ("seconds_a_training_image", "changed_for_time") if key in stored}
    rounded = {
        precision: {name: float(f"{seconds:.3g}") for name, seconds in paces.items()}
        for precision, paces in plan.measured.items()
    }
    notes = {"seconds_a_training_image": rounded, "changed_for_time": "; ".join(plan.changes)}
    return {key: note for key, note in notes.items() if note}


def _check_settings(path: Path, stored: dict[str, Any], wanted: dict[str, Any]) -> None:
    problems = [
        Problem(f"{path}: {key}", "differs from the run in this folder", repr(wanted[key]), repr(stored[key]))
        for key in wanted
        if key not in ADDED_TO and wanted[key] != stored[key]
    ]
    if problems:
        remedy = "Choose another --out for other settings, or repeat the ones of this run to go on with it."
        raise InputError([*problems[:-1], replace(problems[-1], remedy=remedy)])


def check_inputs(folder: Path, inputs: dict[str, Any]) -> None:
    """InputError where the run in the folder was begun with another cohort or other pixels than these hashes'."""
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
