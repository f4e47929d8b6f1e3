"""What is wrong or suspicious with a cohort, found before a second is spent on training."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from rarelesion.crop import resolve_channels
from rarelesion.errors import InputError, Problem
from rarelesion.images import load_roi
from rarelesion.patches import cut_case
from rarelesion.settings import Settings
from rarelesion.splits import make_splits
from rarelesion.types import CLASSES, Case, Cohort, Finding, Roi

FEWEST_PER_PART = 2
"""Patients of each class that a part should hold: with one, its sensitivity is 0 or 1."""
SMALLEST_SHARE = 0.2  # of the patients, in the tuning part and in the test part
SMALLEST_LESION_PX = 8
CODES = {
    "RL101": "an image or ROI cannot be used",
    "RL102": "few patients of a class",
    "RL103": "the same picture in two patients",
    "RL104": "a very small lesion",
}


def check_cohort(
    cohort: Cohort, settings: Settings, on_case: Callable[[int, int], None] | None = None
) -> tuple[Finding, ...]:
    """Try every case as a study would and say what is wrong (error) or suspicious (warning), worst first.

    `on_case` is told after each case how many are done, of how many. Each finding has one of the `CODES`. Raises
    InputError only where the sequences cannot be given colours.
    """
    channels = resolve_channels(cohort.sequences, settings.images.channels)
    errors: list[Finding] = []

    def usable() -> Iterator[tuple[Case, NDArray[np.float32]]]:
        for done, case in enumerate(cohort.cases, start=1):
            try:
                yield case, cut_case(case, channels, settings.images)
            except InputError as error:
                errors.extend(_as_error("RL101", problem) for problem in error.problems)
            if on_case is not None:
                on_case(done, len(cohort.cases))

    suspicions = find_suspicions(cohort, usable(), settings.split.folds)
    try:
        make_splits(cohort, settings.split, settings.seed)
    except InputError as error:
        errors += [_as_error("RL102", problem) for problem in error.problems]
    return (*errors, *suspicions)


def find_suspicions(
    cohort: Cohort, patches: Iterable[tuple[Case, NDArray[np.float32]]], folds: int
) -> tuple[Finding, ...]:
    """What is suspicious with a cohort, though it can be studied, given the patches of its usable cases, one by one."""
    findings = list(_few_patients(cohort, folds))
    same: dict[bytes, list[Case]] = defaultdict(list)
    for case, patch in patches:
        same[_fingerprint(patch)].append(case)
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
            yield Finding("RL102", "warning", f"{cohort.source.name}:1:label", message, remedy)


def _fingerprint(patch: NDArray[np.float32]) -> bytes:
    return sha256(patch.tobytes()).digest()


def _small_lesions(case: Case) -> Iterator[Finding]:
    for sequence, source in case.rois.items():
        side = _longer_side(load_roi(source))
        if side < SMALLEST_LESION_PX:
            message = f"the lesion is {side} pixels long; little can be seen of it"
            remedy = "Check the box or mask: rows come before columns, and row1, col1 are not a height and a width."
            yield Finding("RL104", "warning", f"case {case.case_id}, {sequence}", message, remedy)


def _longer_side(roi: Roi) -> int:
    """In pixels, along any axis but the one across slices; of a mask over all slices."""
    if roi.box is not None:
        return max(roi.box[2] - roi.box[0], roi.box[3] - roi.box[1])
    assert roi.mask is not None
    extents = [np.ptp(places) + 1 for places in np.nonzero(roi.mask)[1:]]
    return int(max(extents))


def _as_error(code: str, problem: Problem) -> Finding:
    message = str(Problem(problem.where, problem.what, problem.found, problem.expected))
    message = message.removeprefix(f"{problem.where}: ").removesuffix(".")
    return Finding(code, "error", problem.where, message, problem.remedy)


def _duplicates(groups: Iterator[list[Case]]) -> Iterator[Finding]:
    for cases in groups:
        if len({case.patient_id for case in cases}) > 1:
            names = " and ".join(case.case_id for case in cases)
            message = f"the cases {names} show the same picture, and are of different patients"
            message += ", even of different classes" if len({case.label for case in cases}) > 1 else ""
            remedy = "Take one out, or give both the same patient_id: else a picture is trained on and tested."
            yield Finding("RL103", "warning", f"case {cases[0].case_id}", message, remedy)
