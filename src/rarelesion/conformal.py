""" "Unsure" with a guarantee: conformal sets that hold the right answer of each class as often as promised."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rarelesion.calibration import check_new_scores, fold_name, tuning_of_folds
from rarelesion.errors import InputError, Problem
from rarelesion.metrics import check_scores
from rarelesion.patients import effective_cases, patient_numbers
from rarelesion.proportions import proportion_interval
from rarelesion.types import Estimate, Ids, Scores

Array = NDArray[np.float64]
ROUNDING = 1e-12
"""How far alpha times a count may miss it."""


@dataclass(frozen=True, eq=False, slots=True)
class ConformalRule:
    """What the tuning cases say about which scores are unusual for a class."""

    benign: Array
    """(patients,) the highest benign score of each patient, rising: a benign lesion is unusual above them."""
    malignant: Array
    """(patients,) the lowest malignant score of each patient, rising: a malignant one is unusual below them."""
    alpha: float
    """How often the answer may leave out the truth, in each class."""

    @property
    def note(self) -> str:
        """Which class has too few tuning patients ever to be ruled out, and how many it needs; empty if neither."""
        counts = {"benign": self.benign.size, "malignant": self.malignant.size}
        needed = patients_needed(self.alpha)
        return "; ".join(
            f"{n} {name} tuning patients, {needed} needed at alpha {self.alpha:g}: {name} is never ruled out"
            for name, n in counts.items()
            if n < needed
        )


@dataclass(frozen=True, eq=False, slots=True)
class ConformalSets:
    """Which answers remain possible for each new case. Arrays (n,)."""

    benign: NDArray[np.bool_]
    """Whether benign can't be ruled out."""
    malignant: NDArray[np.bool_]
    note: str
    """Why a class is never ruled out, where that is so."""

    @property
    def answers(self) -> NDArray[np.str_]:
        """(n,) "benign", "malignant", "unsure" (both remain) or "none" (the score is unusual for either)."""
        return np.array(["none", "benign", "malignant", "unsure"])[self.benign + 2 * self.malignant]


@dataclass(frozen=True, slots=True)
class ConformalCoverage:
    """What conformal sets did on cases whose truth is known."""

    benign: Estimate
    """The share of benign cases whose set holds benign."""
    malignant: Estimate
    unsure: Estimate
    """The share of all cases that are left with both answers."""
    none: Estimate
    """The share of all cases that are left without an answer."""


def _check_alpha(alpha: float) -> None:
    if not 0 < alpha < 1:
        expected = "a number between 0 and 1, like 0.1"
        raise InputError(Problem("alpha", "not a share of wrong answers", repr(alpha), expected))


def patients_needed(alpha: float) -> int:
    """How many tuning patients of a class it takes before that class can ever be ruled out: 1 / alpha - 1, rounded up.

    Raises InputError where alpha is not between 0 and 1.

    >>> patients_needed(0.1), patients_needed(0.05)
    (9, 19)
    """
    _check_alpha(alpha)
    return int(np.ceil((1 / alpha - 1) * (1 - ROUNDING)))


def fit_conformal(
    labels: ArrayLike, scores: ArrayLike, alpha: float = 0.1, patients: ArrayLike | None = None
) -> ConformalRule:
    """A rule that rules out benign, malignant, both or neither, and is wrong on at most a share `alpha` of each class.

    `labels` (n,) 0 benign, 1 malignant; `scores` (n,), higher = more suspicious, of tuning cases that the network was
    not trained on; `patients` (n,) says which lesions belong together. Lesions of one patient are alike, so the patient
    is the unit: each counts, in a class, with its hardest lesion of that class. The promise then holds for all lesions
    of a new patient at once: of the patients with malignant lesions, in at most `alpha` any of these has malignant
    ruled out. It needs tuning and new patients of the same kind, and is an average over tuning sets.
    Vovk 2013, doi:10.1007/s10994-013-5355-6. A class with fewer than `patients_needed(alpha)` patients is never ruled
    out, and `note` says so. Raises InputError for one class only, a score that is not finite, or lengths that differ.
    """
    _check_alpha(alpha)
    malignant, score = check_scores(labels, scores, "tuning cases")
    return _rule(malignant, score, patient_numbers(patients, score.size), alpha)


def _rule(malignant: NDArray[np.bool_], score: Array, patient: Ids, alpha: float) -> ConformalRule:
    benign = -_lowest_of_patients(-score[~malignant], patient[~malignant])
    return ConformalRule(np.sort(benign), np.sort(_lowest_of_patients(score[malignant], patient[malignant])), alpha)


def _lowest_of_patients(score: Array, patient: Ids) -> Array:
    """The lowest score of each patient (n,) of scores (n,)."""
    order = np.argsort(score, kind="stable")
    return score[order][np.unique(patient[order], return_index=True)[1]]


def conformal_sets(
    rule: ConformalRule, scores: ArrayLike, seed: int | None = None, patients: ArrayLike | None = None
) -> ConformalSets:
    """Which answers remain possible for new cases with these scores (n,).

    Tuning scores equal to a new one count as at least as unusual, which keeps the promise and, with many ties, leaves
    more cases unsure than needed. With a `seed` ties, and the new case among its equals, are broken at random, with one
    draw for all lesions of a patient (`patients` (n,)): the share of wrong answers is then `alpha` on average rather
    than at most that. Raises InputError where a score is not finite.

    >>> rule = fit_conformal([0] * 4 + [1] * 4, [1, 2, 3, 6, 5, 7, 8, 9], alpha=0.25)
    >>> conformal_sets(rule, [2, 5.5, 8]).answers.tolist()
    ['benign', 'unsure', 'malignant']
    """
    score = check_new_scores(scores)
    patient = patient_numbers(patients, score.size)
    drawn = np.ones((2, score.size)) if seed is None else np.random.default_rng(seed).uniform(size=(2, score.size))
    share = drawn[:, patient]
    benign = _possible(-rule.benign[::-1], -score, rule.alpha, share[0])
    return ConformalSets(benign, _possible(rule.malignant, score, rule.alpha, share[1]), rule.note)


def _possible(known: Array, score: Array, alpha: float, share: Array) -> NDArray[np.bool_]:
    """Whether low scores (n,) are usual enough beside the known ones (m,), rising, for the class to be possible.

    `share` (n,) of the cases equal to a new one, itself included, counts as more unusual; 1 is safe.
    """
    if known.size < patients_needed(alpha):
        return np.ones(score.size, dtype=bool)
    below, upto = (np.searchsorted(known, score, side=side) for side in ("left", "right"))
    unusual = below + share * (upto - below + 1)
    return unusual > alpha * (known.size + 1) * (1 + ROUNDING)


def conformal_folds(scores: Scores, alpha: float = 0.1, seed: int | None = None) -> tuple[Scores, ConformalSets]:
    """All test cases of a recipe and their sets, each fold by the rule of its own tuning cases.

    Scores of different folds have no common scale; decisions have. `alpha` and `seed` as above; patients are those of
    the scores. A class that a fold has too few tuning patients of is never ruled out there, and `note` names the fold.
    Raises InputError where there is no test case, a score is not finite, a label unknown, or a patient is in the tuning
    and the test cases of a fold.
    """
    _check_alpha(alpha)
    rows, pairs = tuning_of_folds(scores)
    seeds = [None] * len(pairs) if seed is None else np.random.SeedSequence(seed).generate_state(len(pairs)).tolist()
    possible, notes = np.empty((2, rows.label.size), dtype=bool), []
    for (index, own), drawn in zip(pairs, seeds, strict=True):
        rule = _rule(own.label == 1, own.score, own.patient_id, alpha)
        sets = conformal_sets(rule, rows.score[index], drawn, rows.patient_id[index])
        possible[:, index] = sets.benign, sets.malignant
        notes += [f"{fold_name(rows, index[0])}: {sets.note}"] if sets.note else []
    return rows, ConformalSets(possible[0], possible[1], "\n".join(notes))


def conformal_coverage(
    labels: ArrayLike, sets: ConformalSets, patients: ArrayLike | None = None, confidence: float = 0.95
) -> ConformalCoverage:
    """How often the sets held the truth, class by class, and how often they left a case unsure or without an answer.

    `labels` (n,) of the cases the sets are of; `patients` (n,) says which lesions belong together. The intervals are
    Wilson's, a patient's lesions counted for what they are worth. Raises InputError for one class only or lengths
    that differ.
    """
    malignant, _ = check_scores(labels, sets.benign, "conformal sets")
    patient = patient_numbers(patients, malignant.size)
    everyone = np.ones(malignant.size, dtype=bool)

    def share(held: NDArray[np.bool_], members: NDArray[np.bool_]) -> Estimate:
        right, own = held[members], patient[members]
        worth = effective_cases(right, own)
        seen = np.unique(own).size
        method = f"Wilson on {right.size} cases" + (f" of {seen} patients" if seen < right.size else "")
        return Estimate(
            float(right.mean()), *proportion_interval(float(right.mean()) * worth, worth, confidence), method
        )

    return ConformalCoverage(
        benign=share(sets.benign, ~malignant),
        malignant=share(sets.malignant, malignant),
        unsure=share(sets.benign & sets.malignant, everyone),
        none=share(~(sets.benign | sets.malignant), everyone),
    )
