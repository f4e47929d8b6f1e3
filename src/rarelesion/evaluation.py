"""From scores to everything that is reported about them: one row a recipe, and the comparisons between recipes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from rarelesion.baselines import baseline_scores
from rarelesion.comparisons import (
    ADJUSTMENTS,
    against_readers,
    check_margin,
    compare_areas,
    compare_decisions,
    judge_margin,
    reference_of,
)
from rarelesion.errors import InputError, Problem
from rarelesion.intervals import pr_auc_estimate, roc_auc_estimate
from rarelesion.noninferiority import NonInferiority
from rarelesion.operating import operating_point
from rarelesion.recipes import READER_PREFIX, row_order
from rarelesion.remarks import Context, remarks
from rarelesion.settings import StatisticsSettings
from rarelesion.subgroups import subgroup_results
from rarelesion.types import (
    CLASSES,
    Comparison,
    OperatingPoint,
    RecipeResult,
    Remark,
    Scores,
    Subgroup,
)
from rarelesion.usefulness import Usefulness, usefulness

USUAL_BASELINES = ("age", "sex", "lesion_mm", "scanner", "field_strength_t", "site")
"""Columns that are set beside the networks without being asked for, where the table of cases has them."""
CaseTable = Sequence[Mapping[str, str]]
"""The table of cases: one row a case, text by column, among them `case_id` and `label` (benign or malignant)."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Everything that follows from scores alone."""

    results: tuple[RecipeResult, ...]
    comparisons: tuple[Comparison, ...]
    """Of the ROC-AUC."""
    remarks: Mapping[str, tuple[Remark, ...]] = field(default_factory=dict)
    """Recipe -> what speaks for and against believing its row."""
    subgroups: tuple[Subgroup, ...] = ()
    decisions: tuple[Comparison, ...] = ()
    """Of sensitivity and specificity, the reference against every reader, each at its tuned threshold."""
    noninferiority: tuple[NonInferiority, ...] = ()
    """Trained recipes against readers, where a margin was stated."""
    usefulness: Mapping[str, Usefulness] = field(default_factory=dict)
    """Recipe -> what its scores are worth in use; without those whose tuning cases give no probabilities."""
    adjustment: str = "Holm"
    """After whom the p-values of the comparisons are adjusted."""


def _tuned(scores: Scores, settings: StatisticsSettings) -> OperatingPoint | None:
    """The honest operating point, where the tuning cases allow one."""
    try:
        return operating_point(scores, "tune", settings.confidence, settings.threshold, settings.prevalence)
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
        tuned=_tuned(scores, settings) if (scores.part == "tune").any() else None,
    )


def _usefulness(recipes: Sequence[Scores], settings: StatisticsSettings) -> Iterator[tuple[str, Usefulness]]:
    for scores in recipes:
        if (scores.part == "tune").any():
            try:
                yield scores.recipe, usefulness(scores, settings)
            except InputError:  # too few tuning cases, or patients of the test cases among them: no probabilities
                continue


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
    reader with every trained recipe; p-values are adjusted over all of them. `seed` is the bootstrap's and the
    permutations'. `cases` is the table of cases for baselines and subgroups; `evaluations` says how many different
    sets of scores of these cases were evaluated, this one included.
    Raises InputError for no or doubled recipes, an unknown reference, a score that is not finite, one class only,
    recipes whose folds or labels disagree, and a baseline or subgroup that the table of cases does not have.
    """
    ordered = sorted(recipes, key=lambda scores: row_order(scores.recipe))
    names = [scores.recipe for scores in ordered]
    if not names or len(set(names)) < len(names):
        raise InputError(Problem("scores", "recipes must be named once each", ", ".join(names) or "none"))
    reference = reference_of(names, settings.reference)  # before seconds are spent on the rest
    pairs = against_readers(ordered, reference)
    check_margin(settings, pairs)
    _check_columns(settings, cases)
    results = tuple(_result(scores, settings, seed) for scores in ordered)
    trained = [scores for scores in ordered if not scores.recipe.startswith(READER_PREFIX)]
    by_name = {result.recipe: result for result in results}
    useful = dict(_usefulness(ordered, settings))
    beside = Context(
        rows=len(trained),
        evaluations=evaluations,
        permutations=settings.permutations,
        resamples=settings.bootstrap,
        seed=seed,
    )
    said = {
        scores.recipe: remarks(
            scores,
            by_name[scores.recipe],
            replace(
                beside,
                named_first=scores.recipe == reference,
                baselines=_baselines(scores, settings, cases),
                usefulness=useful.get(scores.recipe),
            ),
        )
        for scores in trained
    }
    return Evaluation(
        results=results,
        comparisons=compare_areas(ordered, settings),
        remarks=said,
        subgroups=_subgroups(ordered, settings, cases, seed),
        decisions=compare_decisions(pairs, {result.recipe: result.tuned for result in results}, settings),
        noninferiority=judge_margin(pairs, settings),
        usefulness=useful,
        adjustment=ADJUSTMENTS[settings.adjust][0],
    )


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


def _point(point: OperatingPoint | None) -> dict[str, Any] | None:
    if point is None:
        return None
    return {
        "threshold": point.threshold,
        "sensitivity": asdict(point.sensitivity),
        "specificity": asdict(point.specificity),
        "chosen_on": point.chosen_on,
        "rule": point.rule,
        "at_prevalence": asdict(point.at_prevalence) if point.at_prevalence else None,
    }


def _useful(found: Usefulness) -> dict[str, Any]:
    """Numbers and curves as plain values."""
    curves = {"reliability": found.reliability, "decision": found.decision}
    return {
        "in_the_large": asdict(found.in_the_large),
        "slope": asdict(found.slope) if found.slope else None,
        "brier": asdict(found.brier),
        "skill": asdict(found.skill),
        "pooled_roc_auc": asdict(found.pooled_roc_auc),
        "helps": found.helps,
        "shown_to_help": found.shown_to_help,
        "conformal": {**asdict(found.conformal), "alpha": found.conformal_alpha, "note": found.conformal_note},
        **{
            name: {key: getattr(value, "tolist", lambda value=value: value)() for key, value in asdict(curve).items()}
            for name, curve in curves.items()
        },
    }


def evaluation_json(evaluation: Evaluation) -> dict[str, Any]:
    """Everything that was evaluated, as plain dicts and lists that `json` can write; shares in 0..1."""
    return {
        "recipes": {
            result.recipe: {
                "n_benign": result.n_benign,
                "n_malignant": result.n_malignant,
                "roc_auc": asdict(result.roc_auc),
                "pr_auc": asdict(result.pr_auc),
                "youden": _point(result.youden),
                "tuned": _point(result.tuned),
            }
            for result in evaluation.results
        },
        "comparisons": [asdict(comparison) for comparison in evaluation.comparisons],
        "decisions": [asdict(comparison) for comparison in evaluation.decisions],
        "adjustment": evaluation.adjustment,
        "noninferiority": [asdict(one) for one in evaluation.noninferiority],
        "usefulness": {recipe: _useful(found) for recipe, found in evaluation.usefulness.items()},
        "remarks": {recipe: [asdict(remark) for remark in said] for recipe, said in evaluation.remarks.items()},
        "subgroups": [asdict(one) for one in evaluation.subgroups],
    }
