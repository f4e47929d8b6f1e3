"""`auto`: in each split the recipe that its own tuning cases speak for, and how much that choice is worth.

Tuning cases are few, and the best of many recipes on them is best mostly by luck. So the choice is the recipe that was
named first among those that are not clearly worse than the best: by one standard error of the difference.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rarelesion.calibration import FAR, Platt, check_new_scores, fit_platt
from rarelesion.errors import InputError, Problem
from rarelesion.folds import broken_rows, split_rows
from rarelesion.metrics import placements
from rarelesion.recipes import AUTO, READER_PREFIX
from rarelesion.resampling import affordable_draws, patient_draws
from rarelesion.types import Floats, Ints, Scores

Array = NDArray[np.float64]
CANDIDATES = tuple(
    f"mobilenet{network}{scorer}"
    for scorer in ("", "+logistic", "+knnratio", "+lofratio")
    for network in ("", "+texture", "+texture+l2")
)
"""What is chosen among where nothing else is named: three networks, each read in four ways."""
STEPS = 1.0
"""How many standard errors behind the best one a recipe that was named earlier may be."""
ROUNDING = 1e-12
RESAMPLES = 200
LEAST_SLOPE = 0.01
"""Of the log-odds over the tuning scores, in halves of their range: so that scores of any use keep their order."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What was chosen in one split, from its tuning cases alone."""

    repeat: int
    fold: int
    recipe: str
    areas: Mapping[str, float]
    """Candidate -> ROC-AUC on the tuning cases."""
    often: Mapping[str, float]
    """Candidate -> share of the resamples of the tuning patients in which it would have been chosen."""
    optimism: float
    """By how much the ROC-AUC of what is chosen is higher on the cases it was chosen on than on others, estimated."""
    scale: Platt
    """From the chosen recipe's scores to log-odds of malignancy, fitted on the tuning cases."""

    def log_odds(self, scores: Floats) -> Array:
        """The scores (n,) of the chosen recipe on a scale that all splits share; their order stays."""
        place = (check_new_scores(scores) - self.scale.centre) / self.scale.scale
        return self.scale.intercept + self.scale.slope * np.clip(place, -FAR, FAR)


def with_candidates(recipes: Sequence[str]) -> tuple[str, ...]:
    """The recipes of a study that begins: where `auto` stands alone, with those it chooses among by default."""
    return (*recipes, *CANDIDATES) if list(recipes) == [AUTO] else tuple(recipes)


def check_candidates(recipes: Sequence[str]) -> None:
    """Raises InputError where `auto` is among the recipes of a study and has less than two others to choose from."""
    others = [name for name in recipes if name != AUTO and not name.startswith(READER_PREFIX)]
    if AUTO in recipes and len(others) < 2:
        found = ", ".join(others) or "none"
        remedy = f"Name more of them, or {AUTO} alone: it then chooses among {len(CANDIDATES)}."
        raise InputError(Problem("recipes", f"{AUTO} has nothing to choose from", found, "two recipes or more", remedy))


def choose(label: Ints, scores: Floats, patient: Ints) -> tuple[int, Array]:
    """Which of k candidates is chosen on n labelled cases, and the ROC-AUC (k,) of each.

    `label` (n,) 0 benign, 1 malignant, both there; `scores` (k, n), higher = more suspicious; `patient` (n,) whole
    numbers. Of the candidates whose area is at most one standard error of the paired difference below the best, the
    first: the "one standard error rule" of Breiman, Friedman, Olshen & Stone 1984 (Classification and Regression
    Trees, section 3.4.3), with DeLong's error (doi:10.2307/2531595), patients as the unit.

    >>> scores = np.array([[5, 4, 3, 2, 1], [1, 2, 3, 2, 4], [1, 2, 3, 4, 5]])
    >>> choose(np.array([0, 0, 0, 1, 1]), scores, np.arange(5))[0]
    1
    """
    malignant = label == 1
    place = np.stack([placements(malignant, one) for one in np.asarray(scores, dtype=np.float64)])
    areas = place[:, malignant].mean(axis=1)
    influence = np.zeros_like(place)
    for own in (malignant, ~malignant):
        patients = np.unique(patient[own]).size
        factor = np.sqrt(patients / (patients - 1)) if patients > 1 else 1.0
        influence[:, own] = factor * (place[:, own] - areas[:, None]) / own.sum()
    best = int(np.argmax(areas))
    sums = np.stack([np.bincount(patient, weights=one) for one in influence - influence[best]])
    error = np.sqrt(np.sum(sums**2, axis=1))
    return int(np.argmax(areas >= areas[best] - STEPS * error - ROUNDING)), areas


def auto_scores(candidates: Sequence[Scores], seed: int = 0, resamples: int = RESAMPLES) -> tuple[Scores, list[Choice]]:
    """The row `auto`: the tuning and test cases of each split as scored by what is chosen on its tuning cases.

    `candidates` are whole rows of at least two recipes on the same splits, those to be preferred first. Nothing but
    the tuning cases of a split enters its choice: neither its test cases nor another fold's tuning cases, some of
    which are its test cases. The scores are the chosen recipe's as log-odds (Platt's curve of the split's tuning cases,
    its slope held above 0), so that splits that chose differently share a scale; within a split their order is the
    recipe's own. `seed` is that of the resamples, which change no score.
    Raises InputError where the candidates' cases differ, a score is not finite, or a split has tuning cases of one
    class only.
    """
    problems = [problem for one in candidates for problem in broken_rows(one)]
    if problems:
        raise InputError(problems)
    sorted_ones = [_sorted(one) for one in candidates]
    first = sorted_ones[0]
    for other in sorted_ones[1:]:
        _check_same_cases(first, other)
    choices, score = [], np.empty(first.label.size)
    for rows in split_rows(first):
        choice = _choose_in_split([one.where(_marked(rows, first)) for one in sorted_ones], seed, resamples)
        chosen = next(one for one in sorted_ones if one.recipe == choice.recipe)
        score[rows] = choice.log_odds(chosen.score[rows])
        choices.append(choice)
    return replace(first, recipe=AUTO, score=score), choices


def _marked(rows: NDArray[np.intp], scores: Scores) -> NDArray[np.bool_]:
    """(n,) the tuning cases among these rows."""
    marked = np.zeros(scores.label.size, dtype=bool)
    marked[rows] = True
    return marked & (scores.part == "tune")


def _sorted(scores: Scores) -> Scores:
    """The same rows in an order that all recipes share."""
    order = np.lexsort((scores.case_id, scores.part == "test", scores.fold, scores.repeat))
    names = ("repeat", "fold", "part", "case_id", "patient_id", "label", "score")
    return Scores(recipe=scores.recipe, **{name: getattr(scores, name)[order] for name in names})


def _check_same_cases(one: Scores, other: Scores) -> None:
    for name in ("repeat", "fold", "part", "case_id", "label"):
        if not np.array_equal(getattr(one, name), getattr(other, name)):
            what = f"{AUTO} can only choose among recipes that scored the same cases"
            found = f"{one.recipe} and {other.recipe} differ in {name}"
            raise InputError(Problem("scores", what, found, remedy="Give the study's command again."))


def _choose_in_split(tuning: Sequence[Scores], seed: int, resamples: int) -> Choice:
    first, names = tuning[0], [one.recipe for one in tuning]
    if np.unique(first.label).size < 2:
        found = f"{first.label.size} tuning cases of one class"
        raise InputError(
            Problem(f"{AUTO}, tuning cases", "nothing can be chosen", found, "both classes in every split")
        )
    scores = np.stack([one.score for one in tuning])
    patient = np.unique(first.patient_id, return_inverse=True)[1]
    chosen, areas = choose(first.label, scores, patient)
    again, flattered = [], []
    for rows, own in _resampled(first.label, patient, affordable_draws(scores.size, resamples), seed):
        index, drawn = choose(first.label[rows], scores[:, rows], own)
        again.append(names[index])
        flattered.append(drawn[index] - areas[index])
    counts = Counter(again)
    return Choice(
        repeat=int(first.repeat[0]),
        fold=int(first.fold[0]),
        recipe=names[chosen],
        areas=dict(zip(names, areas.tolist(), strict=True)),
        often={name: counts[name] / len(again) for name in names},
        optimism=float(np.mean(flattered)),
        scale=_rising(fit_platt(first.label, tuning[chosen].score)),
    )


def _resampled(
    label: Ints, patient: Ints, resamples: int, seed: int
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """The rows of each draw of patients, and whose they are: a patient drawn twice counts as two."""
    for block in patient_draws(label, patient, resamples, seed):
        for weights in block.astype(np.intp):
            rows = np.repeat(np.arange(label.size), weights)
            copy = np.arange(rows.size) - np.repeat(np.cumsum(weights) - weights, weights)
            yield rows, np.unique(patient[rows] + copy * (patient.max() + 1), return_inverse=True)[1]


def _rising(curve: Platt) -> Platt:
    return replace(curve, slope=max(curve.slope, LEAST_SLOPE))
