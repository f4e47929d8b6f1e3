"""Can I believe this number? What speaks for a row of the table and what against it, each with a stable code."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from rarelesion.chance import permutation_p
from rarelesion.compare import compare_roc_auc
from rarelesion.errors import InputError
from rarelesion.folds import Array, Folds, usable_folds
from rarelesion.metrics import roc_auc
from rarelesion.operating import operating_point
from rarelesion.optimism import chosen_threshold
from rarelesion.recipes import BASELINE_PREFIX
from rarelesion.repeated import resampled_mean
from rarelesion.resampling import affordable_draws
from rarelesion.types import Light, OperatingPoint, RecipeResult, Remark, Scores
from rarelesion.usefulness import Usefulness

CODES = {
    "RL201": "how many test cases",
    "RL202": "how wide the interval",
    "RL203": "how much splits and seeds change it",
    "RL204": "could it be chance",
    "RL205": "how much the threshold flatters",
    "RL206": "how often the test cases were looked at",
    "RL207": "does a single column do as well",
    "RL208": "do the probabilities hold",
    "RL209": "how much the PR-AUC flatters",
}
FEW_PATIENTS, ENOUGH_PATIENTS = 10, 30
"""Of the rarer class: below the first one patient moves a sensitivity by more than .10, from the second on by .03."""
NARROW, WIDE = 0.1, 0.2
SMALL_SPREAD, LARGE_SPREAD = 0.03, 0.06
UNLIKELY, POSSIBLE = 0.01, 0.05
PR_ENOUGH, PR_FEW = 40, 5
"""Malignant patients a test set: from the first on a PR-AUC is hardly too high, below the second by up to a tenth."""
SMALL_OPTIMISM, LARGE_OPTIMISM = 0.05, 0.15


@dataclass(frozen=True, slots=True)
class Context:
    """What a row's numbers do not show: what stands beside it."""

    named_first: bool = True
    """The row was named before any result was seen."""
    rows: int = 1
    """How many trained rows were tested on the same cases."""
    evaluations: int = 1
    """How many different sets of scores of these cases were evaluated."""
    baselines: Sequence[Scores] = ()
    usefulness: Usefulness | None = None
    """None where the tuning cases give no probabilities."""
    permutations: int = 2000
    resamples: int = 2000
    seed: int = 0


def remarks(scores: Scores, result: RecipeResult, context: Context) -> tuple[Remark, ...]:
    """All that is to be said of one row, in the order of the `CODES`.

    A remark's light is green where nothing speaks against the row, amber where care is needed, red where the number
    should not be relied on. Raises InputError as `folds.usable_folds` does.
    """
    folds = usable_folds(scores)
    return (
        _counts(folds),
        _width(result),
        _spread(scores, folds),
        _chance(scores, result, context),
        _optimism(scores, result.tuned) if result.tuned else _optimism_of_one_part(folds, context),
        _looks(result, context),
        *_columns(scores, context),
        *_probabilities(context),
        _small_sets(folds),
    )


def _light(value: float, amber: float, red: float) -> Light:
    """Green below `amber`, red from `red` on."""
    return "green" if value < amber else "amber" if value < red else "red"


def _counts(folds: Folds) -> Remark:
    patients = [np.unique(folds.rows.patient_id[folds.rows.label == label]).size for label in (0, 1)]
    rarer, name = min(patients), "malignant" if patients[1] <= patients[0] else "benign"
    light = "green" if rarer >= ENOUGH_PATIENTS else "amber" if rarer >= FEW_PATIENTS else "red"
    meaning = {
        "green": "One patient more or less hardly changes the result.",
        "amber": f"Each {name} patient moves a share such as the sensitivity by {100 / rarer:.0f} points in a hundred.",
        "red": f"So few {name} patients cannot carry a conclusion, whatever the numbers say.",
    }[light]
    return Remark("RL201", light, f"{patients[0]} benign and {patients[1]} malignant test patients", meaning)


def _width(result: RecipeResult) -> Remark:
    area = result.roc_auc
    width = area.high - area.low
    meaning = {
        "green": "The interval is narrow.",
        "amber": "Quote the interval, not the number alone.",
        "red": "The interval holds both useful and useless: only more test cases narrow it.",
    }
    light = _light(width, NARROW, WIDE)
    return Remark("RL202", light, f"ROC-AUC between {area.low:.2f} and {area.high:.2f}", meaning[light])


def _spread(scores: Scores, folds: Folds) -> Remark:
    """Between repeats, where there are any: they differ by training and splitting alone, not by their cases."""
    rows = folds.rows
    areas = np.array([roc_auc(rows.label[index], rows.score[index]) for index in folds.used])
    repeat = np.array([rows.repeat[index[0]] for index in folds.used])
    means = [float(areas[repeat == number].mean()) for number in np.unique(repeat)]
    if len(means) > 1:
        light = _light(float(np.std(means, ddof=1)), SMALL_SPREAD, LARGE_SPREAD)
        fact = f"{len(means)} repeats, ROC-AUC {min(means):.2f} to {max(means):.2f}"
        meaning = (
            "Other seeds and other splits give "
            + {
                "green": "nearly the same.",
                "amber": "visibly different numbers; the mean is what counts.",
                "red": "very different numbers: one of them alone would mislead.",
            }[light]
            + _trained_anew(scores, folds, areas)
        )
    elif areas.size > 1:
        light, fact = "amber", f"{areas.size} folds, ROC-AUC {areas.min():.2f} to {areas.max():.2f}, one repeat"
        meaning = "How much the seed and the division into folds matter is not known: --repeats would show it."
        meaning += _trained_anew(scores, folds, areas)
    else:
        light, fact = "amber", "one split, one seed"
        meaning = "Another split or seed would give another number, and nobody knows how different: use folds."
    return Remark("RL203", light, fact, meaning)


def _trained_anew(scores: Scores, folds: Folds, areas: Array) -> str:
    """Nadeau and Bengio's interval of the area of networks trained on other cases; empty where it can't be had."""
    tested = float(np.mean([index.size for index in folds.used]))
    others = [np.unique(scores.case_id[_of_fold(scores, folds, index)]).size for index in folds.used]
    learnt = np.unique(scores.case_id).size - float(np.mean(others))
    try:
        found = resampled_mean(areas, tested, learnt)
    except InputError:  # no spread over the folds, or no cases beside those of a fold
        return ""
    return f" Trained anew on other cases: {found.low:.2f} to {found.high:.2f} (corrected resampled t)."


def _of_fold(scores: Scores, folds: Folds, index: NDArray[np.intp]) -> NDArray[np.bool_]:
    """The tuning and test rows of the fold that these test rows are of."""
    first = index[0]
    return (scores.repeat == folds.rows.repeat[first]) & (scores.fold == folds.rows.fold[first])


def _chance(scores: Scores, result: RecipeResult, context: Context) -> Remark:
    permutations = affordable_draws(scores.score.size, context.permutations)
    p = permutation_p(scores, permutations, context.seed)
    light = _light(p, UNLIKELY, POSSIBLE)
    smallest = 1 / (permutations + 1)
    fact = f"permutation p {'<' if p <= smallest else '='} {max(p, smallest):.2g}"
    times = max(1, round(1000 * p))
    often = "about once in 1000" if times == 1 else f"about {times} times in 1000"
    if p <= smallest:
        often = f"less than once in {min(1000, permutations)}"
    tail = {
        "green": "",
        "amber": " That is not rare among the many rows one looks at.",
        "red": " It is not shown to be better than chance.",
    }
    return Remark("RL204", light, fact, f"Labels handed out at random do as well {often}.{tail[light]}")


def _optimism_of_one_part(folds: Folds, context: Context) -> Remark:
    """Where there is no tuning part: how much of the Youden index goes on patients the threshold was not chosen on."""
    rows = folds.rows
    found = [
        chosen_threshold(
            rows.label[index],
            rows.score[index],
            patients=rows.patient_id[index],
            resamples=affordable_draws(rows.score.size, context.resamples),
            seed=context.seed,
        ).youden
        for index in folds.used
    ]
    apparent = float(np.mean([one.apparent for one in found]))
    expected = float(np.mean([one.expected.value for one in found]))
    fact = f"Youden index {apparent:.2f} as found, {expected:.2f} to be expected of new cases"
    meaning = "The threshold was chosen on the very cases it is judged by: do not quote what it does to them."
    return Remark("RL205", "red", fact, meaning)


def _optimism(scores: Scores, tuned: OperatingPoint) -> Remark:
    """Where the tuning cases chose the threshold: how far behind that which the same rule chooses on the test cases."""
    points = operating_point(scores, "test", rule=tuned.rule), tuned
    best, honest = (point.sensitivity.value + point.specificity.value - 1 for point in points)
    light = _light(best - honest, SMALL_OPTIMISM, LARGE_OPTIMISM)
    meaning = {
        "green": "The threshold chosen on the tuning cases does as well on the test cases as their own best.",
        "amber": "Quote the numbers at the tuned threshold; the others flatter.",
        "red": "The tuned threshold does much worse than the test cases' own best: there are too few tuning cases to "
        "choose one, or they differ from the test cases.",
    }
    return Remark(
        "RL205", light, f"Youden index {best:.2f} with the answer in hand, {honest:.2f} without", meaning[light]
    )


def _looks(result: RecipeResult, context: Context) -> Remark:
    """The expected gain of the best of so many equal rows, were they independent: an upper bound."""
    looks = context.rows * context.evaluations
    fact = f"{context.rows} trained rows" + f", {context.evaluations} evaluations" * (context.evaluations > 1)
    if looks == 1:
        return Remark("RL206", "green", "one look", "Nothing was chosen by these test cases.")
    area = result.roc_auc
    gain = (area.high - area.low) / 2 / norm.ppf(0.975) * _expected_maximum(looks)
    if context.named_first and context.evaluations == 1:
        return Remark("RL206", "green", fact, "This row was named before the results were seen, so it was not chosen.")
    light = "amber" if looks < 20 else "red"
    meaning = f"The best of {looks} equally good ones would look better than it is by up to {gain:.2f}."
    return Remark("RL206", light, fact, meaning)


def _expected_maximum(number: int) -> float:
    """Of so many standard normal numbers (Blom 1958's approximation)."""
    return float(norm.ppf((number - 0.375) / (number + 0.25)))


def _columns(scores: Scores, context: Context) -> Iterator[Remark]:
    for baseline in context.baselines:
        found = compare_roc_auc(scores, baseline)
        name = baseline.recipe.removeprefix(BASELINE_PREFIX)
        fact = f"{found.difference:+.2f} ({found.low:+.2f} to {found.high:+.2f}) against {name}"
        light = "green" if found.low > 0 else "amber" if found.difference > 0 else "red"
        meaning = {
            "green": f"It does better than {name} alone.",
            "amber": f"It is not shown to do better than {name} alone.",
            "red": f"{name.capitalize()} alone does as well or better: the pictures add nothing that shows.",
        }
        yield Remark("RL207", light, fact, meaning[light])


def _probabilities(context: Context) -> Iterator[Remark]:
    """Whether probabilities made of the scores are right: by slope and calibration in the large."""
    found = context.usefulness
    if found is None:
        return
    shift, slope = found.in_the_large, found.slope
    skill = round(found.skill.value, 2) + 0.0  # no minus before a zero
    fact = f"skill {skill:.2f}, shift {shift.value:+.2f} ({shift.low:+.2f} to {shift.high:+.2f})"
    if slope is None:
        yield Remark("RL208", "red", f"{fact}, no slope", "Every case is given the same: the score says nothing.")
        return
    fact += f", slope {slope.value:.2f} ({slope.low:.2f} to {slope.high:.2f})"
    faults = {
        "too extreme": slope.high < 1,
        "too timid": slope.low > 1,
        "too low": shift.low > 0,
        "too high": shift.high < 0,
    }
    wrong = " and ".join(name for name, found_so in faults.items() if found_so)
    if found.skill.value <= 0:
        light, meaning = "red", "no better than giving every case the share of malignant ones."
    elif wrong:
        light, meaning = "amber", f"{wrong} on the test cases."
    else:
        light, meaning = "green", "not shown to be wrong on the test cases."
    yield Remark("RL208", light, fact, f"Probabilities of malignancy made of the scores are {meaning}")


def _small_sets(folds: Folds) -> Remark:
    """The fewer malignant cases a test set holds, the more its average precision lies above that of the population."""
    rows = folds.rows
    counts = [np.unique(rows.patient_id[index][rows.label[index] == 1]).size for index in folds.used]
    few = float(np.mean(counts))
    light = "green" if few >= PR_ENOUGH else "amber" if few >= PR_FEW else "red"
    meaning = {
        "green": "With so many the PR-AUC of a test set is hardly above that of all patients.",
        "amber": "With so few the PR-AUC of a test set lies above that of all patients, mostly by .01 to .06.",
        "red": "With so few the PR-AUC of a test set lies well above that of all patients, by up to about .1.",
    }
    sets = "test set" if len(counts) == 1 else "test set on average"
    return Remark("RL209", light, f"{few:.{0 if few >= 100 else 1}f} malignant patients a {sets}", meaning[light])
