"""Which rows are compared with which, at the areas and at the tuned thresholds, and what a margin shows."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from rarelesion.compare import (
    benjamini_hochberg,
    common_rows,
    compare_roc_auc,
    compare_unpaired_roc_auc,
    holm,
)
from rarelesion.errors import InputError, Problem
from rarelesion.noninferiority import NonInferiority, non_inferior_roc_auc
from rarelesion.operating import tuned_calls
from rarelesion.paired import compare_sensitivity, compare_specificity
from rarelesion.recipes import READER_PREFIX, lead_recipe
from rarelesion.settings import StatisticsSettings
from rarelesion.types import Comparison, OperatingPoint, Scores

ADJUSTMENTS: dict[str, tuple[str, Callable[[Sequence[float]], tuple[float, ...]]]] = {
    "holm": ("Holm", holm),
    "benjamini-hochberg": ("Benjamini and Hochberg", benjamini_hochberg),
}
"""Setting -> after whom p-values are adjusted over all comparisons, and how."""


def reference_of(names: Sequence[str], wanted: str) -> str:
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


def compare_areas(recipes: Sequence[Scores], settings: StatisticsSettings) -> tuple[Comparison, ...]:
    """The ROC-AUC of the reference beside all others', and of each trained recipe beside each reader's."""
    by_name = {scores.recipe: scores for scores in recipes}
    pairs = _pairs(list(by_name), reference_of(list(by_name), settings.reference))
    return _adjusted([_compared(by_name[a], by_name[b], settings.confidence) for a, b in pairs], settings)


def _compared(a: Scores, b: Scores, confidence: float) -> Comparison:
    """Paired on the cases that both scored; where there is none, as two groups."""
    return (compare_roc_auc if _in_common(a, b) else compare_unpaired_roc_auc)(a, b, confidence)


def _in_common(a: Scores, b: Scores) -> bool:
    """Whether any case is in the test part of both."""
    return bool(np.intersect1d(a.case_id[a.part == "test"], b.case_id[b.part == "test"]).size)


def _adjusted(found: Sequence[Comparison], settings: StatisticsSettings) -> tuple[Comparison, ...]:
    _, adjust = ADJUSTMENTS[settings.adjust]
    adjusted = adjust([comparison.p for comparison in found])
    return tuple(replace(one, p_adjusted=p) for one, p in zip(found, adjusted, strict=True))


def against_readers(recipes: Sequence[Scores], reference: str) -> list[tuple[Scores, Scores]]:
    """The reference against each reader of the same cases; each trained recipe against it where it is a reader."""
    readers = [scores for scores in recipes if scores.recipe.startswith(READER_PREFIX)]
    trained = [scores for scores in recipes if scores not in readers]
    if reference.startswith(READER_PREFIX):
        readers = [scores for scores in readers if scores.recipe == reference]
    else:
        trained = [scores for scores in trained if scores.recipe == reference]
    return [(one, reader) for one in trained for reader in readers if _in_common(one, reader)]


def compare_decisions(
    pairs: Sequence[tuple[Scores, Scores]], tuned: Mapping[str, OperatingPoint | None], settings: StatisticsSettings
) -> tuple[Comparison, ...]:
    """Sensitivity and specificity compared, each recipe calling at its own tuned thresholds."""
    measures = {"sensitivity": compare_sensitivity, "specificity": compare_specificity}
    found = []
    for one, reader in pairs:
        if tuned[one.recipe] is None or tuned[reader.recipe] is None:
            continue
        a, b = common_rows(*(_as_called(scores, settings.threshold) for scores in (one, reader)))
        for name, compare in measures.items():
            if np.unique(a.label).size == 2:
                comparison = compare(a.label, a.score, b.score, a.patient_id, settings.confidence)
                found.append(replace(comparison, a=a.recipe, b=b.recipe, measure=name))
    return _adjusted(found, settings)


def _as_called(scores: Scores, rule: str) -> Scores:
    """The test cases with their calls at the tuned thresholds, 0 or 1, for scores."""
    rows, called, _ = tuned_calls(scores, "tune", rule)
    return replace(rows, score=called.astype(np.float64))


def judge_margin(pairs: Sequence[tuple[Scores, Scores]], settings: StatisticsSettings) -> tuple[NonInferiority, ...]:
    """Whether the first of each pair is not worse than the second by more than the margin; empty without a margin."""
    if settings.margin is None:
        return ()
    return tuple(non_inferior_roc_auc(one, reader, settings.margin, settings.confidence) for one, reader in pairs)


def check_margin(settings: StatisticsSettings, pairs: Sequence[tuple[Scores, Scores]]) -> None:
    """Raises InputError where a margin was stated and there is nobody to be measured by it."""
    if settings.margin is not None and not pairs:
        remedy = f"Add rows of a reader, their recipe written {READER_PREFIX}NAME, or leave the margin out."
        what = "there is no reader of the same cases to be compared with"
        raise InputError(Problem("statistics.margin", what, f"{settings.margin:g}", "", remedy))
