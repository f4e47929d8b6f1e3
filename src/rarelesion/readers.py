"""Human readers as rows of the table: their ratings become scores on the cases they rated."""

from collections.abc import Sequence

import numpy as np

from rarelesion.errors import InputError, Problem
from rarelesion.recipes import READER_PREFIX
from rarelesion.types import CLASSES, Cohort, Rating, Scores, Split


def reader_scores(ratings: Sequence[Rating], cohort: Cohort, splits: Sequence[Split]) -> tuple[Scores, ...]:
    """One `reader:<name>` row a reader, over the same folds as the trained rows, so that both can be compared.

    A rating is a score as it stands: higher is more suspicious. Cases a reader did not rate are left out of that row.
    Raises InputError where a reader rated no case of one class in the test part of every split.
    """
    rows = [_scores_of(reader, ratings, cohort, splits) for reader in dict.fromkeys(r.reader for r in ratings)]
    problems = [
        Problem(
            where=f"readers.csv, reader {scores.recipe.removeprefix(READER_PREFIX)!r}",
            what=f"rated no {CLASSES[label]} test case",
            remedy="Leave the reader out or complete the ratings.",
        )
        for scores in rows
        for label in (0, 1)
        if not ((scores.part == "test") & (scores.label == label)).any()
    ]
    if problems:
        raise InputError(problems)
    return tuple(rows)


def _scores_of(reader: str, ratings: Sequence[Rating], cohort: Cohort, splits: Sequence[Split]) -> Scores:
    case_of = {case.case_id: case for case in cohort.cases}
    rating_of = {rating.case_id: rating.rating for rating in ratings if rating.reader == reader}
    entries = [
        (split.repeat, split.fold, part, case_of[case_id])
        for split in splits
        for part, case_ids in (("tune", split.tune), ("test", split.test))
        for case_id in case_ids
        if case_id in rating_of
    ]
    return Scores(
        recipe=READER_PREFIX + reader,
        repeat=np.array([repeat for repeat, _, _, _ in entries], dtype=np.int64),
        fold=np.array([fold for _, fold, _, _ in entries], dtype=np.int64),
        part=np.array([part for _, _, part, _ in entries], dtype=np.str_),
        case_id=np.array([case.case_id for *_, case in entries], dtype=np.str_),
        patient_id=np.array([case.patient_id for *_, case in entries], dtype=np.str_),
        label=np.array([case.label for *_, case in entries], dtype=np.int64),
        score=np.array([rating_of[case.case_id] for *_, case in entries], dtype=np.float64),
    )
