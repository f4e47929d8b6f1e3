"""`--learning-curve`: networks trained on fewer cases, their scores, and what the curve through them says."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from rarelesion import store
from rarelesion.errors import InputError, Problem
from rarelesion.growth import LearningCurve, Trained, fit_learning_curve, training_subset
from rarelesion.jobs import NetworkJob, network_jobs
from rarelesion.recipes import AUTO, READER_PREFIX, Recipe, lead_recipe
from rarelesion.settings import LearningCurveSettings, Settings
from rarelesion.tables import format_share, row_label
from rarelesion.types import Cohort, Epoch, Estimate, Scores, Split

LEAD = "lead"
SCORES = "learning_curve_scores.csv"
MORE = 100
"""Cases that the forecast adds, or as many as there are where these are fewer: never more than a doubling."""
SUBSET = "-share"
"""In the id of a network that learnt from a part of the training cases, and of no other."""
FLAT = 0.01
"""A gain in ROC-AUC that is surely below it is none to collect cases for."""
LATE = 0.9
"""The best epoch lies in the last tenth: the network had not finished learning."""
Score = Callable[[Recipe, Sequence[NetworkJob], Sequence[Split]], Scores]
"""From a recipe, the networks behind it, which are made, and the splits they learnt from, to scores."""


def curve_names(settings: Settings) -> tuple[str, ...]:
    """The recipes whose curve is wanted, "lead" by its name."""
    wanted = settings.learning_curve.recipes
    names = [name for name in settings.recipes if name != AUTO and not name.startswith(READER_PREFIX)]
    lead = lead_recipe(names) or (names[0] if names else LEAD)
    return tuple(dict.fromkeys(lead if name == LEAD else name for name in wanted))


def with_curves(settings: Settings, names: Sequence[str]) -> Settings:
    """The settings with these recipes' curves wanted."""
    return replace(settings, learning_curve=replace(settings.learning_curve, recipes=tuple(names)))


def check_curves(settings: Settings, recipes: Sequence[Recipe]) -> None:
    """Raises InputError where a curve is wanted of what is no recipe of the study or trains no network, or where there
    are too few sizes for a curve."""
    known = [recipe.name for recipe in recipes]
    where = "learning_curve.recipes"
    problems = []
    for name in curve_names(settings):
        if name.startswith(READER_PREFIX):
            problems.append(Problem(where, "a reader is not trained on the cases", repr(name), "a recipe that is"))
        elif name not in known:
            remedy = "Name it in --recipes too; a choice among recipes has no network of its own."
            problems.append(Problem(where, "is not in this study", repr(name), "one of " + ", ".join(known), remedy))
    if settings.learning_curve.recipes and len(settings.learning_curve.shares) < 2:
        found, expected = str(len(settings.learning_curve.shares)), "two or more beside the whole"
        problems.append(Problem("learning_curve.shares", "too few sizes for a curve", found, expected))
    if problems:
        raise InputError(problems)


def subset_name(share: float, draw: int) -> str:
    """What tells the network of a subset from that of all training cases."""
    return f"{SUBSET[1:]}{100 * share:g}-draw{draw}"


def curve_jobs(
    settings: Settings,
    recipes: Sequence[Recipe],
    splits: Sequence[Split],
    cohort: Cohort,
) -> tuple[NetworkJob, ...]:
    """The further networks that the learning curves need, each once; `recipes` are those of the study."""
    wanted = [recipe for recipe in recipes if recipe.name in curve_names(settings)]
    if not wanted:
        return ()
    subsets = _subsets(settings, splits, *_labels_and_patients(cohort))
    return tuple(job for share, draw, smaller in subsets for job in _jobs(wanted, share, draw, smaller))


def _jobs(recipes: Sequence[Recipe], share: float, draw: int, smaller: Sequence[Split]) -> list[NetworkJob]:
    return [replace(job, subset=subset_name(share, draw)) for job in network_jobs(recipes, smaller)]


def _labels_and_patients(cohort: Cohort) -> tuple[dict[str, int], dict[str, str]]:
    return (
        {case.case_id: case.label for case in cohort.cases},
        {case.case_id: case.patient_id for case in cohort.cases},
    )


def _subsets(
    settings: Settings, splits: Sequence[Split], label_of: Mapping[str, int], patient_of: Mapping[str, str]
) -> list[tuple[float, int, tuple[Split, ...]]]:
    """Every share and draw, with the splits as they are with no more training cases than that."""
    return [
        (
            share,
            draw,
            tuple(
                replace(split, train=training_subset(split, label_of, patient_of, share, draw, settings.seed))
                for split in splits
            ),
        )
        for share, draws in settings.learning_curve.sizes().items()
        for draw in range(draws)
    ]


def write_curve_scores(
    folder: Path,
    settings: Settings,
    recipes: Sequence[Recipe],
    splits: Sequence[Split],
    cohort: Cohort,
    score: Score,
    progress: Callable[[str, float, float], None],
) -> None:
    """Score the test cases by the networks of `curve_jobs`, which are made: writes learning_curve_scores.csv."""
    wanted = [recipe for recipe in recipes if recipe.name in curve_names(settings)]
    subsets = _subsets(settings, splits, *_labels_and_patients(cohort))
    rows = []
    for number, (recipe, (share, draw, smaller)) in enumerate(product(wanted, subsets), start=1):
        scores = score(recipe, _jobs([recipe], share, draw, smaller), smaller)
        rows.append(replace(scores.where(scores.part == "test"), recipe=_row_name(recipe.name, share, draw)))
        progress(recipe.name, number, len(wanted) * len(subsets))
    store.write_scores(folder / SCORES, rows)


def _row_name(recipe: str, share: float, draw: int) -> str:
    return f"{recipe} {subset_name(share, draw)}"


def read_curves(folder: Path, settings: Settings, scores: Sequence[Scores]) -> tuple[LearningCurve, ...]:
    """Fit the learning curves of a finished run from its files; `scores` are those of its scores.csv.

    Raises InputError where a file is missing or does not hold what the settings say.
    """
    if not settings.learning_curve.recipes:
        return ()
    smaller = {one.recipe: one for one in store.read_scores(folder / SCORES)}
    whole = {one.recipe: one for one in scores}
    table = store.read_case_table(folder / "cohort.csv")
    splits = store.read_splits(folder / "splits.json")
    statistics = settings.statistics
    try:
        return tuple(
            fit_learning_curve(
                name,
                _sizes(name, settings.learning_curve, whole[name], smaller, _counts(settings, splits, table)),
                min(MORE, len(table)),
                len(table),
                statistics.confidence,
                statistics.interval,
                statistics.bootstrap,
                settings.seed,
            )
            for name in curve_names(settings)
        )
    except KeyError as error:
        remedy = "Give the study's command again."
        raise InputError(Problem(str(folder / SCORES), "lacks a row", str(error), remedy=remedy)) from None


def _counts(settings: Settings, splits: Sequence[Split], table: Sequence[Mapping[str, str]]) -> dict[float, float]:
    """Share -> training cases, the mean over splits and draws."""
    label_of = {row["case_id"]: int(row["label"] == "malignant") for row in table}
    patient_of = {row["case_id"]: row["patient_id"] for row in table}
    counts = {1.0: [len(split.train) for split in splits]}
    for share, _, smaller in _subsets(settings, splits, label_of, patient_of):
        counts.setdefault(share, []).extend(len(split.train) for split in smaller)
    return {share: float(np.mean(found)) for share, found in counts.items()}


def _sizes(
    name: str,
    settings: LearningCurveSettings,
    whole: Scores,
    smaller: Mapping[str, Scores],
    counts: Mapping[float, float],
) -> list[Trained]:
    sizes = [
        Trained(
            share, counts[share], _as_repeats([smaller[_row_name(name, share, draw)] for draw in range(draws)]), draws
        )
        for share, draws in settings.sizes().items()
    ]
    return [*sizes, Trained(1.0, counts[1.0], whole.where(whole.part == "test"), 1)]


def _as_repeats(draws: Sequence[Scores]) -> Scores:
    """Scores of the same test cases by several draws of training cases, each draw a repeat of its own."""
    arrays = {
        name: np.concatenate([getattr(one, name) for one in draws])
        for name in ("fold", "part", "case_id", "patient_id", "label", "score")
    }
    repeat = np.concatenate([one.repeat * len(draws) + draw for draw, one in enumerate(draws)])
    return Scores(recipe=draws[0].recipe, repeat=repeat, **arrays)


def curves_json(curves: Sequence[LearningCurve], sentences: Sequence[str]) -> dict[str, Any]:
    """The curves as plain values, with what they say in words."""
    return {
        "sentences": list(sentences),
        "recipes": {
            curve.recipe: {
                "points": [asdict(point) for point in curve.points],
                "forecast": asdict(curve.forecast),
                "ceiling": float(curve.law.ceiling),
                "drop": float(curve.law.drop),
                "rate": float(curve.law.rate),
                "unit": curve.law.unit,
                **{name: getattr(curve, name).tolist() for name in ("cases", "fitted", "low", "high")},
            }
            for curve in curves
        },
    }


def curves_csv(curves: Sequence[LearningCurve]) -> str:
    """One row for each measured size, and one for the forecast, of each recipe."""
    header = ("recipe", "what", "share", "training_cases", "draws", "roc_auc", "low", "high", "fitted")
    rows: list[tuple[object, ...]] = []
    for curve in curves:
        for point in curve.points:
            area, (fitted,) = point.roc_auc, curve.law.at([point.cases]).tolist()
            measured = point.share, point.cases, point.draws, area.value, area.low, area.high
            rows.append((curve.recipe, "measured", *measured, fitted))
        ahead = curve.forecast
        share, area = ahead.cases_then / ahead.cases_now, ahead.then
        rows.append((curve.recipe, "forecast", share, ahead.cases_then, "", "", area.low, area.high, area.value))
    return store.csv_text(header, rows)


def curve_sentence(curve: LearningCurve, confidence: float) -> str:
    """What more cases would be expected to bring, or why that cannot be said."""
    ahead, name = curve.forecast, row_label(curve.recipe)
    more = f"another {ahead.more} cases ({round(ahead.cases_then - ahead.cases_now)} of them to train on)"
    level = f"{100 * confidence:g} % interval"
    doubling = f"each doubling of the training cases brought {_words(ahead.slope, level)}"
    if ahead.slope.high < 0:
        return (
            f"The ROC-AUC of {name} fell as training cases were added: {doubling}. That is not how learning looks; "
            "check the labels and whether the training failed. Nothing is forecast."
        )
    if ahead.gain.high < FLAT:
        return (
            f"The learning curve of {name} is flat: {more} would be expected to change its ROC-AUC of "
            f"{format_share(ahead.now.value)} by less than {format_share(FLAT)}. They would still narrow the intervals."
        )
    if ahead.slope.low <= 0:
        return (
            f"Whether more cases would help {name} is not shown: {doubling}, and the fitted curve leaves open a gain "
            f"of {format_share(ahead.gain.low)} to {format_share(ahead.gain.high)} in ROC-AUC from {more}."
        )
    measured, now = (format_share(one) for one in (curve.points[-1].roc_auc.value, ahead.now.value))
    beside = "" if measured == now else f" (measured: {measured})"
    return (
        f"{more[0].upper()}{more[1:]} would be expected to bring the ROC-AUC of {name} from {now}{beside} to "
        f"{_words(ahead.then, level)}: a gain of {format_share(ahead.gain.value)} ({format_share(ahead.gain.low)} to "
        f"{format_share(ahead.gain.high)})."
    )


def _words(estimate: Estimate, level: str) -> str:
    return f"{format_share(estimate.value)} ({level} {format_share(estimate.low)} to {format_share(estimate.high)})"


def unfinished_sentence(folder: Path, settings: Settings) -> str:
    """A warning where networks of few cases were still learning at their last epoch; empty where none was."""
    histories = [store.read_history(path) for path in sorted((folder / "networks").glob(f"*{SUBSET}*/history.csv"))]
    most = {settings.training.resolved().max_epochs, settings.cvae.max_epochs}
    cut = sum(len(one) in most and _kept(one) > LATE * len(one) for one in histories)
    if not cut:
        return ""
    return (
        f"{cut} of the {len(histories)} networks that learnt from fewer cases were still getting better when their "
        "epochs ran out: part of the rise is longer training, which --epochs gives without a new case."
    )


def _kept(history: Sequence[Epoch]) -> int:
    return min(history, key=lambda epoch: epoch.tune_loss).epoch
