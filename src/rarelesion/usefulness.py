"""What a recipe's scores are good for on the test cases: as probabilities, to act on, and to say "unsure"."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rarelesion.calibration import at_prevalence, calibrate_folds, tuning_of_folds
from rarelesion.conformal import ConformalCoverage, conformal_coverage, conformal_folds
from rarelesion.decision import DecisionCurve, decision_curve
from rarelesion.errors import InputError
from rarelesion.intervals import roc_auc_estimate
from rarelesion.miscalibration import (
    ReliabilityCurve,
    brier_score,
    brier_skill,
    calibration_in_the_large,
    calibration_line,
    reliability_curve,
)
from rarelesion.settings import StatisticsSettings
from rarelesion.types import Estimate, Scores


@dataclass(frozen=True, eq=False, slots=True)
class Usefulness:
    """The scores of a recipe turned into probabilities on each fold's tuning cases, judged on its test cases."""

    in_the_large: Estimate
    """Log-odds to be added to all probabilities: 0 is perfect, above 0 malignancy is commoner than they say."""
    slope: Estimate | None
    """1 is perfect, below 1 they are too extreme; None where all cases were given the same."""
    brier: Estimate
    skill: Estimate
    """The share of the Brier score of knowing the prevalence alone that is saved; 0 is no help."""
    pooled_roc_auc: Estimate
    """Of the probabilities of all folds as if they were one network's, which only calibrated ones may be taken for."""
    reliability: ReliabilityCurve
    decision: DecisionCurve
    conformal: ConformalCoverage
    conformal_alpha: float
    conformal_note: str
    """Why a class is never ruled out, where that is so."""

    @property
    def shown_to_help(self) -> tuple[float, float] | None:
        """Between which threshold probabilities acting on it is worth more than treating all and treating none.

        The longest run of neighbouring thresholds at which even the lower end of its interval is; None where none is.
        """
        return max(_runs(self.decision, self.decision.low), key=_length, default=None)

    @property
    def helps(self) -> tuple[float, float] | None:
        """The same as found, without the interval: the run that holds `shown_to_help`, else the longest."""
        shown, runs = self.shown_to_help, _runs(self.decision, self.decision.model)
        around = [run for run in runs if shown and run[0] <= shown[0] and shown[1] <= run[1]]
        return max(around or runs, key=_length, default=None)


def _runs(curve: DecisionCurve, worth: NDArray[np.float64]) -> list[tuple[float, float]]:
    """The first and last of neighbouring thresholds at which a net benefit (t,) is above treating all and none."""
    better = worth > np.maximum(curve.treat_all, curve.treat_none)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], better, [0]])))
    ends = zip(edges[::2], edges[1::2] - 1, strict=True)
    return [(float(curve.thresholds[first]), float(curve.thresholds[last])) for first, last in ends]


def _length(run: tuple[float, float]) -> float:
    return run[1] - run[0]


def usefulness(scores: Scores, settings: StatisticsSettings) -> Usefulness:
    """Judge a recipe's scores, with its tuning cases, as what a hospital would use.

    Each fold's scores become probabilities on its own tuning cases (Platt's curve), so that the test cases of all folds
    may be pooled. Where `settings.prevalence` is stated the decision curve is that of a place with this share of
    malignant cases. Raises InputError where a fold's tuning cases are of one class, or of patients of its test cases.
    """
    rows = calibrate_folds(scores)
    given = (rows.label, rows.score, rows.patient_id, settings.confidence)
    tested, sets = conformal_folds(scores, settings.conformal_alpha)
    return Usefulness(
        in_the_large=calibration_in_the_large(*given),
        slope=_slope(rows, settings.confidence),
        brier=brier_score(*given),
        skill=brier_skill(*given),
        pooled_roc_auc=_pooled_roc_auc(rows, settings.confidence),
        reliability=reliability_curve(*given),
        decision=_decision(scores, rows, settings),
        conformal=conformal_coverage(tested.label, sets, tested.patient_id, settings.confidence),
        conformal_alpha=settings.conformal_alpha,
        conformal_note=sets.note,
    )


def _pooled_roc_auc(rows: Scores, confidence: float) -> Estimate:
    pooled = replace(rows, fold=np.zeros_like(rows.fold))
    found = roc_auc_estimate(pooled, confidence)
    return replace(found, method=f"probabilities of all folds pooled, {found.method}")


def _slope(rows: Scores, confidence: float) -> Estimate | None:
    try:
        return calibration_line(rows.label, rows.score, rows.patient_id, confidence).slope
    except InputError:  # all probabilities are the same; whatever else may be wrong was found before
        return None


def _decision(scores: Scores, rows: Scores, settings: StatisticsSettings) -> DecisionCurve:
    """The decision curve of the test cases `rows` with probabilities for scores, at the stated prevalence."""
    stated = settings.prevalence
    probability = rows.score if stated is None else _moved(scores, rows, stated)
    confidence = settings.confidence
    return decision_curve(rows.label, probability, rows.patient_id, prevalence=stated, confidence=confidence)


def _moved(scores: Scores, rows: Scores, prevalence: float) -> NDArray[np.float64]:
    """The probabilities (n,) as they are at this prevalence, each fold's moved there from that of its tuning cases."""
    moved = rows.score.copy()
    for index, own in tuning_of_folds(scores)[1]:
        moved[index] = at_prevalence(rows.score[index], prevalence, float(own.label.mean()))
    return moved
