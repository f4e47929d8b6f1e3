"""Train, tune and test parts: stratified by class (and subtype), never splitting a patient."""

from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np

from rarelesion.errors import InputError, Problem
from rarelesion.settings import SplitSettings
from rarelesion.types import CLASSES, PARTS, Case, Cohort, Split

SHARE_PARTS = 5
"""A fifth of the patients is the paper's 20 %: one part tests, the next tunes, three train."""


def make_splits(cohort: Cohort, settings: SplitSettings, seed: int) -> tuple[Split, ...]:
    """Divide the cases so that every patient is in one part only and each part holds both classes.

    Up to five folds, each is 60 % train, 20 % tune, 20 % test, and no case is tested twice in a repeat; `folds = 1`
    is the paper's single split. Beyond five, the test part is 1/folds and the tune part 20 %. A `split` column in the
    cohort goes before all that. The same cohort and seed give the same splits.

    Raises InputError where a part would be left without one of the classes.
    """
    if settings.folds < 1 or settings.repeats < 1:
        where = "folds" if settings.folds < 1 else "repeats"
        raise InputError(Problem(f"[split] {where}", "is too small", "less than 1", "1 or more"))
    if any(case.split for case in cohort.cases):
        splits: tuple[Split, ...] = (_split_of_column(cohort.cases),)
    else:
        splits = tuple(
            split for repeat in range(settings.repeats) for split in _folds(cohort.cases, repeat, settings, seed)
        )
    _check_classes(cohort.cases, splits)
    return splits


def _split_of_column(cases: Sequence[Case]) -> Split:
    train, tune, test = (tuple(case.case_id for case in cases if case.split == part) for part in PARTS)
    return Split(repeat=0, fold=0, train=train, tune=tune, test=test)


def _folds(cases: Sequence[Case], repeat: int, settings: SplitSettings, seed: int) -> list[Split]:
    n_parts = max(SHARE_PARTS, settings.folds)
    part_of = _deal(cases, n_parts, np.random.default_rng([seed, repeat]))
    n_tune = round(n_parts / SHARE_PARTS)

    def ids(fold: int, offsets: range) -> tuple[str, ...]:
        wanted = {(fold + offset) % n_parts for offset in offsets}
        return tuple(case.case_id for case in cases if part_of[case.patient_id] in wanted)

    return [
        Split(
            repeat=repeat,
            fold=fold,
            train=ids(fold, range(n_tune + 1, n_parts)),
            tune=ids(fold, range(1, n_tune + 1)),
            test=ids(fold, range(1)),
        )
        for fold in range(settings.folds)
    ]


def _deal(cases: Sequence[Case], n_parts: int, rng: np.random.Generator) -> dict[str, int]:
    """Patient -> part: the rarest class first, each patient to the part that has least of its kind."""
    lesions: dict[str, list[Case]] = defaultdict(list)
    for case in cases:
        lesions[case.patient_id].append(case)
    stratum = {
        patient: max((c.label, c.columns.get("subtype", "")) for c in group) for patient, group in lesions.items()
    }
    patients = sorted(lesions)
    rng.shuffle(patients)
    patients.sort(key=lambda patient: (-stratum[patient][0], -len(lesions[patient]), stratum[patient][1]))
    counts = [Counter[object]() for _ in range(n_parts)]
    part_of = {}
    for patient in patients:
        label, subtype = stratum[patient]
        part = min(range(n_parts), key=lambda p: (counts[p][label], counts[p][label, subtype], sum(counts[p].values())))
        part_of[patient] = part
        counts[part][label] += len(lesions[patient])
        counts[part][label, subtype] += len(lesions[patient])
    return part_of


def _check_classes(cases: Sequence[Case], splits: Sequence[Split]) -> None:
    label = {case.case_id: case.label for case in cases}
    problems = [
        Problem(
            where=f"split, repeat {split.repeat}, fold {split.fold}, {part}",
            what=f"no {CLASSES[wanted]} case is left for this part",
            found=f"{sum(case.label == wanted for case in cases)} {CLASSES[wanted]} cases in the cohort",
            expected="patients of both classes for every part of every fold",
            remedy="Use fewer folds (folds = 1 needs three patients of each class) or add cases.",
        )
        for split in splits
        for part in PARTS
        for wanted in (0, 1)
        if all(label[case_id] != wanted for case_id in getattr(split, part))
    ]
    if problems:
        raise InputError(problems)
