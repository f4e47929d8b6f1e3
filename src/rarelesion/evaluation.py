"""From scores to everything that is reported about them: one row a recipe, and the comparisons between recipes."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from rarelesion.baselines import baseline_scores
from rarelesion.compare import compare_roc_auc, holm
from rarelesion.errors import InputError, Problem
from rarelesion.intervals import pr_auc_estimate, roc_auc_estimate
from rarelesion.operating import operating_point
from rarelesion.recipes import READER_PREFIX, lead_recipe, row_order
from rarelesion.remarks import Context, remarks
from rarelesion.settings import StatisticsSettings
from rarelesion.subgroups import subgroup_results
from rarelesion.types import (
    CLASSES,
    Comparison,
    Evaluation,
    OperatingPoint,
    RecipeResult,
    Scores,
    Subgroup,
)

USUAL_BASELINES = ("age", "sex", "lesion_mm", "scanner", "field_strength_t", "site")
"""Columns that are set beside the networks without being asked for, where the table of cases has them."""
CaseTable = Sequence[Mapping[str, str]]
"""The table of cases: one row a case, text by column, among them `case_id` and `label` (benign or malignant)."""


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


def evaluate(
    recipes: Sequence[Scores],
    settings: StatisticsSettings,
    seed: int,
    cases: CaseTable = (),
    evaluations: int = 1,
) -> Evaluation:
    """Table 3, the comparisons, and what speaks for and against believing each row, from the scores alone.

    One `Scores` a recipe, tuning and test cases together; rows come out in the paper's order. The reference
    (`settings.reference`, else the paper's proposed recipe, else the first row) is compared with all others and every
    reader with every trained recipe; p-values are adjusted after Holm over all of them. `seed` is the bootstrap's and
    the permutations'. `cases` is the table of cases for baselines and subgroups; `evaluations` says how many different
    sets of scores of these cases were evaluated, this one included.
    Raises InputError for no or doubled recipes, an unknown reference, a score that is not finite, one class only,
    recipes whose folds or labels disagree, and a baseline or subgroup that the table of cases does not have.
    """
    ordered = sorted(recipes, key=lambda scores: row_order(scores.recipe))
    names = [scores.recipe for scores in ordered]
    if not names or len(set(names)) < len(names):
        raise InputError(Problem("scores", "recipes must be named once each", ", ".join(names) or "none"))
    reference = _reference(names, settings.reference)  # before seconds are spent on the rest
    _check_columns(settings, cases)
    results = tuple(_result(scores, settings, seed) for scores in ordered)
    trained = [scores for scores in ordered if not scores.recipe.startswith(READER_PREFIX)]
    by_name = {result.recipe: result for result in results}
    beside = Context(rows=len(trained), evaluations=evaluations, permutations=settings.permutations, seed=seed)
    said = {
        scores.recipe: remarks(
            scores,
            by_name[scores.recipe],
            replace(beside, named_first=scores.recipe == reference, baselines=_baselines(scores, settings, cases)),
        )
        for scores in trained
    }
    return Evaluation(results, _comparisons(ordered, settings), said, _subgroups(ordered, settings, cases, seed))


def _column(cases: CaseTable, name: str) -> dict[str, str]:
    return {case["case_id"]: case[name].strip() for case in cases}


def _check_columns(settings: StatisticsSettings, cases: CaseTable) -> None:
    known = list(cases[0]) if cases else []
    free = [name for name in known if name not in ("case_id", "patient_id", "label")]
    expected = "one of " + ", ".join(free) if free else "a table of cases with further columns (--cases)"
    problems = [
        Problem(f"statistics.{key}", "no such column in the table of cases", repr(name), expected)
        for key in ("baselines", "subgroups")
        for name in getattr(settings, key)
        if name not in free
    ]
    problems += [
        Problem("table of cases", "a label is neither word", repr(word), " or ".join(CLASSES[:2]))
        for word in sorted({case["label"] for case in cases} - set(CLASSES[:2]))
    ]
    if problems:
        raise InputError(problems)


def _baselines(scores: Scores, settings: StatisticsSettings, cases: CaseTable) -> list[Scores]:
    """The columns asked for; unasked, the usual ones that say something of every scored case."""
    label_of = {case["case_id"]: CLASSES.index(case["label"]) for case in cases}
    columns = settings.baselines or [name for name in USUAL_BASELINES if cases and name in cases[0]]
    found = []
    for name in columns:
        try:
            found.append(baseline_scores(name, _column(cases, name), label_of, scores))
        except InputError:
            if settings.baselines:
                raise
    return found


def _subgroups(
    recipes: Sequence[Scores], settings: StatisticsSettings, cases: CaseTable, seed: int
) -> tuple[Subgroup, ...]:
    return tuple(
        one
        for name in settings.subgroups
        for one in subgroup_results(
            recipes, name, _column(cases, name), settings.confidence, settings.interval, settings.bootstrap, seed
        )
    )
