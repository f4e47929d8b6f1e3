"""From scores to everything that is reported about them: one row a recipe, and the comparisons between recipes."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from rarelesion.compare import compare_roc_auc, holm
from rarelesion.errors import InputError, Problem
from rarelesion.intervals import pr_auc_estimate, roc_auc_estimate
from rarelesion.operating import operating_point
from rarelesion.recipes import READER_PREFIX, lead_recipe, row_order
from rarelesion.settings import StatisticsSettings
from rarelesion.types import Comparison, Evaluation, OperatingPoint, RecipeResult, Scores


def _tuned(scores: Scores, confidence: float) -> OperatingPoint | None:
    """The honest operating point, where the tuning cases allow one."""
    try:
        return operating_point(scores, "tune", confidence)
    except InputError:  # too few tuning cases is no reason to withhold the areas; broken scores were found before
        return None


def _result(scores: Scores, settings: StatisticsSettings, seed: int) -> RecipeResult:
    rows = scores.where(scores.part == "test")
    benign, malignant = (np.unique(rows.case_id[rows.label == label]).size for label in (0, 1))
    return RecipeResult(
        recipe=scores.recipe,
        n_benign=benign,
        n_malignant=malignant,
        roc_auc=roc_auc_estimate(scores, settings.confidence, settings.interval, settings.bootstrap, seed),
        pr_auc=pr_auc_estimate(scores, settings.confidence, settings.bootstrap, seed),
        youden=operating_point(scores, "test", settings.confidence),
        tuned=_tuned(scores, settings.confidence) if (scores.part == "tune").any() else None,
    )


def _reference(names: Sequence[str], wanted: str) -> str:
    """The recipe all others are compared with: the one asked for, else the lead."""
    if wanted and wanted not in names:
        remedy = "Correct statistics.reference, or leave it empty."
        raise InputError(Problem("statistics.reference", "no such recipe", repr(wanted), ", ".join(names), remedy))
    return wanted or lead_recipe(names) or names[0]


def _pairs(names: Sequence[str], reference: str) -> list[tuple[str, str]]:
    """The reference against all others, then every trained recipe against every reader, each pair once."""
    readers = [name for name in names if name.startswith(READER_PREFIX)]
    trained = [name for name in names if name not in readers]
    pairs = [(reference, name) for name in names if name != reference]
    pairs += [(name, reader) for reader in readers for name in trained if reference not in (name, reader)]
    return pairs


def _comparisons(recipes: Sequence[Scores], settings: StatisticsSettings) -> tuple[Comparison, ...]:
    by_name = {scores.recipe: scores for scores in recipes}
    pairs = _pairs(list(by_name), _reference(list(by_name), settings.reference))
    found = [compare_roc_auc(by_name[a], by_name[b], settings.confidence) for a, b in pairs]
    adjusted = holm([comparison.p for comparison in found])
    return tuple(replace(one, p_adjusted=p) for one, p in zip(found, adjusted, strict=True))


def evaluate(recipes: Sequence[Scores], settings: StatisticsSettings, seed: int) -> Evaluation:
    """Table 3 and the comparisons, from the scores alone.

    One `Scores` a recipe, tuning and test cases together; rows come out in the paper's order. The reference
    (`settings.reference`, else the paper's proposed recipe, else the first row) is compared with all others and every
    reader with every trained recipe; p-values are adjusted after Holm over all of them. `seed` is the bootstrap's.
    Raises InputError for no or doubled recipes, an unknown reference, a score that is not finite, one class only, and
    recipes whose folds or labels disagree.
    """
    ordered = sorted(recipes, key=lambda scores: row_order(scores.recipe))
    names = [scores.recipe for scores in ordered]
    if not names or len(set(names)) < len(names):
        raise InputError(Problem("scores", "recipes must be named once each", ", ".join(names) or "none"))
    _reference(names, settings.reference)  # before seconds are spent on the rest
    results = tuple(_result(scores, settings, seed) for scores in ordered)
    return Evaluation(results, _comparisons(ordered, settings))
