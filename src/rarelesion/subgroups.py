"""The ROC-AUC among the test cases that share an entry of a column: a scanner, a sex, a subtype."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from rarelesion.errors import InputError, Problem
from rarelesion.intervals import Interval, roc_auc_estimate
from rarelesion.types import Estimate, Scores, Subgroup

MOST_ENTRIES = 12
"""A column with more different entries is no grouping."""
NOT_GIVEN = "not given"


def subgroup_results(
    recipes: Sequence[Scores],
    column: str,
    entries: Mapping[str, str],
    confidence: float = 0.95,
    interval: Interval = "logit",
    resamples: int = 2000,
    seed: int = 0,
) -> tuple[Subgroup, ...]:
    """Every recipe in every subgroup; `entries` is case id -> the column's text.

    `interval`, `resamples` and `seed` as in `intervals.roc_auc_estimate`. A pair of cases counts only where both are of
    the subgroup. Raises InputError where the column has more than `MOST_ENTRIES` different entries or a scored case is
    not in the table.
    """
    scored = sorted({case_id for scores in recipes for case_id in scores.case_id.tolist()})
    missing = [case_id for case_id in scored if case_id not in entries]
    groups = sorted({entries[case_id] or NOT_GIVEN for case_id in scored if case_id in entries})
    problems = []
    if missing:
        found = f"{len(missing)} of {len(scored)}, first {missing[0]}"
        problems.append(Problem(column, "scored cases are not in the table", found, "all of them"))
    if len(groups) > MOST_ENTRIES:
        remedy = "Group the entries in a column of their own."
        problems.append(Problem(column, "too many entries", str(len(groups)), f"at most {MOST_ENTRIES}", remedy))
    if problems:
        raise InputError(problems)
    return tuple(
        _result(
            scores, column, entry, entries, lambda rows: roc_auc_estimate(rows, confidence, interval, resamples, seed)
        )
        for entry in groups
        for scores in recipes
    )


def _result(
    scores: Scores, column: str, entry: str, entries: Mapping[str, str], estimate: Callable[[Scores], Estimate]
) -> Subgroup:
    inside = np.array([(entries[case_id] or NOT_GIVEN) == entry for case_id in scores.case_id.tolist()], dtype=bool)
    rows = scores.where(inside & (scores.part == "test"))
    benign, malignant = (np.unique(rows.case_id[rows.label == label]).size for label in (0, 1))
    try:
        area = estimate(rows)
    except InputError:  # broken scores were found with the whole row: here a class is missing
        area = None
    return Subgroup(scores.recipe, column, entry, benign, malignant, area)
