"""What is wrong or suspicious with a cohort, found before a second is spent on training."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rarelesion.case_facts import CaseFacts, look_at
from rarelesion.cohort import read_leniently
from rarelesion.confound_checks import check_confounds, check_counts
from rarelesion.crop import resolve_channels
from rarelesion.errors import InputError
from rarelesion.findings import CODES, found, worst_first
from rarelesion.geometry_checks import check_case_geometry, check_geometry
from rarelesion.image_checks import (
    SMALLEST_LESION_PX,
    as_finding,
    check_greys,
    check_marks,
    check_text,
    problem_finding,
)
from rarelesion.images import load_roi
from rarelesion.likeness_checks import check_copies, check_oddities
from rarelesion.settings import Settings
from rarelesion.splits import make_splits
from rarelesion.table_checks import check_table
from rarelesion.types import CLASSES, Case, Cohort, Finding, Roi

__all__ = ["CODES", "check_cohort", "check_file", "find_suspicions"]
FEWEST_PER_PART = 2
"""Patients of each class that a part should hold: with one, its sensitivity is 0 or 1."""
SMALLEST_SHARE = 0.2  # of the patients, in the tuning part and in the test part
_LOST = frozenset(("RL101", "RL109", "RL117", "RL302", "RL401", "RL405", "RL407"))
CONSEQUENCES = {
    "RL111": frozenset(("RL105",)),
    "RL114": frozenset(("RL112",)),
    "RL303": _LOST,
    "RL304": _LOST,
    "RL305": _LOST | {"RL106", "RL111", "RL403"},
    "RL306": _LOST | {"RL106", "RL111", "RL403"},
    "RL406": frozenset(("RL407",)),
}
"""Code -> those that explain it, where a case has one of them."""
Progress = Callable[[str, int, int], None]
"""Told the stage, how much of it is done, and of how much."""


def check_file(path: Path, settings: Settings, progress: Progress | None = None) -> tuple[Finding, ...]:
    """Everything that is wrong or suspicious with the cohort of a table, worst first, as far as it can be read.

    Raises InputError where there is no such table, a column is missing, or the sequences cannot be given colours.
    """
    cohort, problems, table = read_leniently(path, settings.cohort)
    findings = list(check_table(table, settings.cohort))
    private = [finding.where.rpartition(":")[2] for finding in findings if finding.code == "RL707"]
    findings += [problem_finding("RL701", problem) for problem in problems]
    return worst_first([*findings, *check_cohort(cohort, settings, progress, private)])


def check_cohort(
    cohort: Cohort, settings: Settings, progress: Progress | None = None, private: Sequence[str] = ()
) -> tuple[Finding, ...]:
    """Try every case as a study would, compare all with each other, and say what is wrong or suspicious, worst first.

    `progress` is told the stage, how much of it is done, and of how much. Columns in `private` may identify a patient:
    no finding repeats their cells. Raises InputError only where the sequences cannot be given colours.
    """
    channels = resolve_channels(cohort.sequences, settings.images.channels)
    facts: list[CaseFacts] = []
    for done, case in enumerate(cohort.cases, start=1):
        facts.append(look_at(case, channels, settings.images))
        if progress is not None:
            progress("Reading images", done, len(cohort.cases))
    findings = [as_finding(problem, case) for case in facts for problem in case.problems]
    findings += _splits(cohort, settings)
    for case in facts:
        findings += [*check_marks(case), *check_case_geometry(case)]
    for sequence in cohort.sequences:
        findings += [*check_greys(sequence, facts), *check_text(sequence, facts), *check_geometry(sequence, facts)]
    stages: tuple[Callable[[], Iterator[Finding]], ...] = (
        lambda: check_copies(facts),
        lambda: check_oddities(facts, cohort.sequences),
        lambda: check_counts(cohort, settings.split.folds, private),
        lambda: check_confounds(cohort, facts, settings.seed, private),
    )
    for done, stage in enumerate(stages, start=1):
        findings += stage()
        if progress is not None:
            progress("Comparing cases", done, len(stages))
    return worst_first(_unexplained(findings))


def _unexplained(findings: Sequence[Finding]) -> Iterator[Finding]:
    """The findings without those that follow from another of the same case: an image that lost its place looks odd."""
    codes: dict[str, set[str]] = defaultdict(set)
    for one in findings:
        for case_id in one.cases:
            codes[case_id].add(one.code)
    for one in findings:
        causes = CONSEQUENCES.get(one.code, frozenset())
        if not one.cases or not all(causes & codes[case_id] for case_id in one.cases):
            yield one


def _splits(cohort: Cohort, settings: Settings) -> Iterator[Finding]:
    known = replace(cohort, cases=tuple(case for case in cohort.cases if case.label in (0, 1)))
    if len(set(known.labels.tolist())) < 2:  # the table's own finding says so
        return
    yield from _few_patients(known, settings.split.folds)
    try:
        make_splits(known, settings.split, settings.seed)
    except InputError as error:
        yield from (problem_finding("RL102", problem) for problem in error.problems)


def find_suspicions(
    cohort: Cohort, patches: Iterable[tuple[Case, NDArray[np.float32]]], folds: int
) -> tuple[Finding, ...]:
    """What can be told of a cohort from its patches alone, one by one, as a study starts: cheap, no image is read."""
    findings = list(_few_patients(cohort, folds))
    same: dict[bytes, list[Case]] = defaultdict(list)
    for case, patch in patches:
        same[sha256(patch.tobytes()).digest()].append(case)
        findings += _small_lesions(case)
    findings += _duplicates(cases for cases in same.values() if len(cases) > 1)
    return tuple(sorted(findings, key=lambda finding: finding.code))


def _few_patients(cohort: Cohort, folds: int) -> Iterator[Finding]:
    share = min(SMALLEST_SHARE, 1 / folds)
    needed = round(FEWEST_PER_PART / share)
    for label, name in enumerate(CLASSES[:2]):
        patients = len({case.patient_id for case in cohort.cases if case.label == label})
        if patients < needed:
            message = f"{patients} {name} patients; {needed} put {FEWEST_PER_PART} into every test part"
            remedy = "Expect wide intervals; use fewer folds or collect more cases."
            yield found("RL102", f"{cohort.source.name}:1:label", message, remedy=remedy)


def _small_lesions(case: Case) -> Iterator[Finding]:
    for sequence, source in case.rois.items():
        side = _longer_side(load_roi(source))
        if side < SMALLEST_LESION_PX:
            message = f"the lesion is {side} pixels long; little can be seen of it"
            yield found("RL104", f"case {case.case_id}, {sequence}", message, [case.case_id])


def _longer_side(roi: Roi) -> int:
    """In pixels, along any axis but the one across slices; of a mask over all slices."""
    if roi.box is not None:
        return max(roi.box[2] - roi.box[0], roi.box[3] - roi.box[1])
    assert roi.mask is not None
    extents = [np.ptp(places) + 1 for places in np.nonzero(roi.mask)[1:]]
    return int(max(extents))


def _duplicates(groups: Iterator[list[Case]]) -> Iterator[Finding]:
    for cases in groups:
        if len({case.patient_id for case in cases}) > 1:
            names = [case.case_id for case in cases]
            message = f"the cases {' and '.join(names)} show the same picture, and are of different patients"
            message += ", even of different classes" if len({case.label for case in cases}) > 1 else ""
            yield found("RL103", f"case {names[0]}", message, names)
