"""What a study of so many cases can be expected to show, before a single network is trained or case collected."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from rarelesion.errors import InputError, Problem
from rarelesion.power import AreaPair, cases_for_difference
from rarelesion.settings import Settings
from rarelesion.sizing import Cases, Width, cases_for_auc_width, share_width
from rarelesion.splits import SHARE_PARTS, make_splits
from rarelesion.types import Cohort
from rarelesion.widths import Change, simulated_width, what_would_help

Metric = Literal["roc_auc", "pr_auc"]
WANTED_WIDTH = 0.1
SHARE = 0.85
"""The sensitivity and specificity whose intervals are foretold."""
READER, LIKENESS = 0.05, 0.5
"""The advantage over a reader that one would like to show, and how their scores go together within a class."""
DRAWS = 200


@dataclass(frozen=True, slots=True)
class Counts:
    """What a cohort holds, or is to hold."""

    malignant: int
    benign: int
    patients: int
    tested_malignant: int
    """By all folds together."""
    tested_benign: int
    folds: int


@dataclass(frozen=True, slots=True)
class Prospect:
    """How wide the intervals will be at an expected ROC-AUC, and what would make them narrower."""

    counts: Counts
    auc: float
    confidence: float
    roc_auc: Width
    pr_auc: Width
    sensitivity: Width
    specificity: Width
    changes: tuple[Change, ...]
    narrow: Cases
    """Tested cases for an interval of the ROC-AUC no wider than `WANTED_WIDTH`."""
    beat_reader: Cases | None
    """Tested cases to show an area larger than a reader's by `READER`; None where the area leaves no room for it."""


def count_cohort(cohort: Cohort, settings: Settings) -> Counts:
    """The cases of a cohort and those its folds would test. Raises InputError where it cannot be split."""
    splits = make_splits(cohort, settings.split, settings.seed)
    tested = {case_id for split in splits for case_id in split.test}
    labels = np.array([case.label for case in cohort.cases])
    inside = np.array([case.case_id in tested for case in cohort.cases])
    patients = len({case.patient_id for case in cohort.cases})
    malignant, benign = int(labels.sum()), int((labels == 0).sum())
    found = (int((inside & (labels == label)).sum()) for label in (1, 0))
    return Counts(malignant, benign, patients, *found, folds=len({split.fold for split in splits}))


def counts_of(malignant: int, benign: int, folds: int) -> Counts:
    """Cases still to be collected, one a patient: each of up to five folds tests a fifth of them."""
    problems = [
        Problem(name, "too few cases to plan with", str(number), "at least 1")
        for name, number in (("--malignant", malignant), ("--benign", benign))
        if number < 1
    ]
    if problems:
        raise InputError(problems)
    tested = (max(1, round(number * min(1.0, folds / SHARE_PARTS))) for number in (malignant, benign))
    return Counts(malignant, benign, malignant + benign, *tested, folds=folds)


def look_ahead(counts: Counts, auc: float, settings: Settings) -> Prospect:
    """What to expect of a study at a ROC-AUC of `auc` (0.5..1, a guess from a pilot or from the literature).

    Widths go from the lower to the upper end. Raises InputError for an area outside 0.5 to 1.
    """
    if not 0.5 <= auc <= 1:
        raise InputError(Problem("--auc", "no area to hope for", f"{auc:g}", "0.5 (chance) to 1 (perfect)"))
    folds, confidence = counts.folds, settings.statistics.confidence
    m, n = counts.tested_malignant, counts.tested_benign
    lesions = (counts.malignant + counts.benign) / counts.patients
    prevalence = counts.malignant / (counts.malignant + counts.benign)
    # Of one split a fifth of what is collected is tested; with folds the change is one of the tested cases.
    changed = (counts.malignant, counts.benign) if folds == 1 else (m, n)
    patients = min(sum(changed), max(1, round(sum(changed) / lesions)))

    def simulated(metric: Metric) -> Width:
        return simulated_width(
            m, n, auc, metric, folds, lesions, confidence=confidence, draws=DRAWS, seed=settings.seed
        )

    pair = AreaPair(auc_a=auc - READER, auc_b=auc, correlation=LIKENESS)
    return Prospect(
        counts=counts,
        auc=auc,
        confidence=confidence,
        roc_auc=simulated("roc_auc"),
        pr_auc=simulated("pr_auc"),
        sensitivity=share_width(m, SHARE, confidence),
        specificity=share_width(n, SHARE, confidence),
        changes=what_would_help(*changed, auc, patients, folds, confidence=confidence),
        narrow=cases_for_auc_width(WANTED_WIDTH, auc, prevalence, confidence),
        beat_reader=cases_for_difference(pair, prevalence) if auc < 1 else None,
    )
