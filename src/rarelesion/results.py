"""Everything right of the second waist: from scores and embeddings on disk to tables and figures, without torch."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from rarelesion import figures, store, tables
from rarelesion.choices import CHOICES
from rarelesion.config import read_settings
from rarelesion.errors import InputError, Problem
from rarelesion.evaluation import Evaluation, evaluate, evaluation_json
from rarelesion.growth import LearningCurve
from rarelesion.learning_curve import curve_sentence, curves_csv, curves_json, read_curves, unfinished_sentence
from rarelesion.learning_figure import learning_figure
from rarelesion.recipes import PROPOSED, lead_recipe
from rarelesion.settings import Settings, StatisticsSettings
from rarelesion.types import Scores
from rarelesion.use_figures import decision_figure, reliability_figure


def write_results(folder: Path) -> Evaluation:
    """Evaluate a run's scores and write its tables and figures anew.

    Raises InputError where the folder holds no scores.
    """
    path = folder / "scores.csv"
    if not path.exists():
        remedy = "Finish the study first: give its command again."
        raise InputError(Problem(str(folder), "holds no scores.csv", remedy=remedy))
    settings = read_settings(folder / "study.toml" if (folder / "study.toml").exists() else None)
    recipes = store.read_scores(path)
    cases = store.read_case_table(folder / "cohort.csv") if (folder / "cohort.csv").exists() else ()
    looks = _count_look(folder / "looks.json", store.file_sha256(path))
    evaluation = evaluate(recipes, settings.statistics, settings.seed, cases, looks)
    confidence = settings.statistics.confidence
    store.write_text(folder / "table3.csv", tables.table3_csv(evaluation))
    store.write_text(folder / "table3.md", tables.table3_markdown(evaluation, confidence))
    store.write_text(folder / "table3.tex", tables.table3_latex(evaluation, confidence))
    store.write_text(folder / "comparisons.csv", tables.comparisons_csv(evaluation))
    curves = read_curves(folder, settings, recipes)
    store.write_json(folder / "evaluation.json", evaluation_json(evaluation) | _told(folder, settings, curves))
    if curves:
        store.write_text(folder / "learning_curve.csv", curves_csv(curves))
        write_figure(folder, "learning_curve", learning_figure(curves))
    for name, figure in _figures(folder, recipes, evaluation, settings.statistics):
        write_figure(folder, name, figure)
    return evaluation


def _told(folder: Path, settings: Settings, curves: Sequence[LearningCurve]) -> dict[str, Any]:
    """What the run knows beside its evaluation, each part with its sentences."""
    told = {}
    if (folder / CHOICES).exists():
        told["choices"] = store.read_json(folder / CHOICES)
    if not curves:
        return told
    sentences = [*(curve_sentence(curve, settings.statistics.confidence) for curve in curves)]
    sentences += filter(None, [unfinished_sentence(folder, settings)])
    return told | {"learning_curve": curves_json(curves, sentences)}


def _count_look(path: Path, scores: str) -> int:
    """How many different scores of this run were evaluated so far, these included; kept in `path` by their hashes."""
    seen = store.read_json(path) if path.exists() else []
    if scores not in seen:
        store.write_json(path, [*seen, scores])
    return len({*seen, scores})


def write_figure(folder: Path, name: str, figure: Figure) -> None:
    """Write a figure as PNG and as SVG."""
    store.write_bytes(folder / "figures" / f"{name}.png", figures.to_png(figure))
    store.write_bytes(folder / "figures" / f"{name}.svg", figures.to_svg(figure))


def _figures(
    folder: Path, recipes: Sequence[Scores], evaluation: Evaluation, statistics: StatisticsSettings
) -> Iterator[tuple[str, Figure]]:
    yield "forest", figures.forest(evaluation)
    yield "figure6", figures.figure6(recipes, evaluation)
    yield "pr_curves", figures.pr_curves(recipes, evaluation)
    names = [result.recipe for result in evaluation.results]
    reference = statistics.reference or lead_recipe(names) or names[0]
    if reference in evaluation.usefulness:
        yield "reliability", reliability_figure(reference, evaluation.usefulness[reference])
        yield "decision_curve", decision_figure(evaluation.usefulness, reference)
    shown = _shown_in_two_dimensions(folder, recipes)
    if shown is not None:
        scores, path = shown
        yield "figure4", figures.figure4(store.read_embeddings(path), scores, statistics.threshold)
    paths = sorted((folder / "networks").glob("*/history.csv"))
    first_split = {path.parent.name.removesuffix("-r0f0"): path for path in paths if path.parent.name.endswith("-r0f0")}
    if first_split:
        histories = {name: store.read_history(path) for name, path in first_split.items()}
        yield "training", figures.training_curves(histories)


def _shown_in_two_dimensions(folder: Path, recipes: Sequence[Scores]) -> tuple[Scores, Path] | None:
    """The recipe whose embeddings are drawn, never chosen by its result: the proposed one, else the first LOF row,
    else the first whose network is there; and the embeddings of its first split."""
    ranked = sorted(recipes, key=lambda scores: (scores.recipe != PROPOSED, not scores.recipe.endswith("+lof")))
    for scores in ranked:
        words = scores.recipe.split("+")
        for network in ("+".join(words[:end]) for end in range(len(words), 0, -1)):
            path = folder / "embeddings" / f"{network}-r0f0.npz"
            if network != "cvae" and path.exists():
                return scores, path
    return None
