"""Rules that place a threshold on labelled cases: Youden's index, a demand, or what the two kinds of mistake cost.

Malignant is called where score >= threshold. A threshold chosen and judged on the same cases flatters: `optimism` says
by how much.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rarelesion.errors import InputError, Problem
from rarelesion.metrics import check_scores

Array = NDArray[np.float64]
Choice = Callable[[Array, Array], NDArray[np.intp]]
ROUNDING = 1e-12


@dataclass(frozen=True, slots=True)
class Rule:
    """How a threshold is chosen."""

    text: str
    """As it is written: "sensitivity>=0.95"."""
    choose: Choice
    """From the malignant and the benign cases (..., k + 1) that are called when none, the highest, the two highest ...
    of k distinct scores are called, to the number (...) of distinct scores to call."""


@dataclass(frozen=True, eq=False, slots=True)
class Called:
    """How many cases are called malignant at each place a threshold can have, in each of some resamples."""

    distinct: Array
    """(k,) the distinct scores, falling."""
    hits: Array
    """(b, k + 1) malignant cases called when none, the highest, the two highest ... of these scores are called."""
    alarms: Array
    """(b, k + 1) benign cases called."""
    there: NDArray[np.bool_]
    """(b, k) whether any case of the resample has this score."""


def count_called(malignant: NDArray[np.bool_], score: Array, weights: Array) -> Called:
    """The cases (n,), each counted `weights` (b, n) times, that each possible threshold calls malignant."""
    order = np.argsort(-score, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(score[order])), score.size - 1)
    weights = weights[:, order]
    hits, alarms = (
        np.concatenate([np.zeros((len(weights), 1)), np.cumsum(weights * own, axis=1)[:, ends]], axis=1)
        for own in (malignant[order], ~malignant[order])
    )
    return Called(score[order][ends], hits, alarms, np.diff(hits + alarms, axis=1) > 0)


def _above(distinct: Array, there: NDArray[np.bool_]) -> Array:
    """As far above the highest score that is there as half-way to the next would lie below it."""
    first = np.argmax(there, axis=-1)
    second = np.argmax(there & (np.arange(distinct.size) > first[..., None]), axis=-1)
    top = distinct[first]
    with np.errstate(over="ignore"):
        above, next_above = top + (top / 2 - distinct[second] / 2), np.nextafter(top, np.inf)
    return np.where((above > top) & np.isfinite(above), above, next_above)


def place(called: Called, entry: NDArray[np.intp]) -> Array:
    """The thresholds (b,) that call the `entry` (b,) highest distinct scores, half-way to the next score that is there.

    Where all are called it is the lowest score, where none is called it lies above the highest.
    """
    distinct, there = called.distinct, called.there
    above = there & (np.arange(distinct.size) < entry[:, None])
    lowest_called = distinct[distinct.size - 1 - np.argmax(above[:, ::-1], axis=1)]
    highest_left = distinct[np.argmax(there & ~above, axis=1)]
    middle = lowest_called / 2 + highest_left / 2
    cut = np.where((highest_left < middle) & (middle < lowest_called), middle, lowest_called)
    return np.where(above.any(axis=1), cut, _above(distinct, there))


def _last_best(worth: Array) -> NDArray[np.intp]:
    """The last entry (...) with the largest worth (..., k): of equally good thresholds the lowest."""
    near = worth >= worth.max(axis=-1, keepdims=True) - ROUNDING
    return near.shape[-1] - 1 - np.argmax(near[..., ::-1], axis=-1)


def _weigh(hits: Array, alarms: Array, slope: float | None, cost: float = 1.0) -> NDArray[np.intp]:
    """The largest sensitivity - slope (1 - specificity); without a slope that of the classes' sizes and the cost."""
    sizes = hits[..., -1:], alarms[..., -1:]
    steepness = sizes[1] / (cost * sizes[0]) if slope is None else slope
    return _last_best((hits / sizes[0] - steepness * (alarms / sizes[1])) / (1 + steepness))


def _demand_sensitivity(hits: Array, alarms: Array, least: float) -> NDArray[np.intp]:
    """The fewest false alarms among those that are sensitive enough, then the most malignant cases called."""
    malignant = hits[..., -1:]
    enough = hits >= malignant * (least - ROUNDING)
    return _last_best(np.where(enough, hits - alarms * (malignant + 1), -np.inf))


def _demand_specificity(hits: Array, alarms: Array, least: float) -> NDArray[np.intp]:
    """The most malignant cases called among those that are specific enough, then the fewest false alarms."""
    benign = alarms[..., -1:]
    enough = benign - alarms >= benign * (least - ROUNDING)
    return _last_best(np.where(enough, hits * (benign + 1) - alarms, -np.inf))


def _share(text: str, name: str) -> float:
    value = float(text)
    if not 0 < value <= 1 or (name == "prevalence" and value == 1):
        expected = "a share between 0 and 1" if name == "prevalence" else "a share above 0, up to 1"
        remedy = f"Write {value / 100:g} for {value:g} %." if 1 < value <= 100 else ""
        raise InputError(Problem("threshold rule", f"the {name} is not a share", text, expected, remedy))
    return value


def _cost(text: str) -> float:
    if not 0 < float(text) < np.inf:
        expected = "how many false alarms one missed malignancy is worth, above 0"
        raise InputError(Problem("threshold rule", "the cost is not a ratio", text, expected))
    return float(text)


def _at_cost(cost: str, prevalence: str | None) -> Choice:
    if prevalence is None:
        return partial(_weigh, slope=None, cost=_cost(cost))
    share = _share(prevalence, "prevalence")
    return partial(_weigh, slope=(1 - share) / share / _cost(cost))


NUMBER = r"([-+]?\d*\.?\d+(?:e[-+]?\d+)?)"
RULES: dict[str, tuple[str, Callable[..., Choice]]] = {
    "youden": ("youden", lambda: partial(_weigh, slope=1.0)),
    "sensitivity>=0.95": (
        rf"sensitivity>={NUMBER}",
        lambda least: partial(_demand_sensitivity, least=_share(least, "sensitivity")),
    ),
    "specificity>=0.90": (
        rf"specificity>={NUMBER}",
        lambda least: partial(_demand_specificity, least=_share(least, "specificity")),
    ),
    "cost=10": (rf"cost={NUMBER}", lambda cost: _at_cost(cost, None)),
    "cost=10,prevalence=0.2": (rf"cost={NUMBER},prevalence={NUMBER}", _at_cost),
}
"""An example of each rule, its pattern and what makes it of the pattern's numbers: add a rule here."""


def parse_rule(text: str) -> Rule:
    """The rule that a text names: how a threshold is to be chosen.

    * `youden`: the largest sensitivity + specificity - 1; of equally good thresholds the lowest.
    * `sensitivity>=0.95`: of the thresholds that reach this sensitivity the most specific, of equally specific ones
      the most sensitive. The lowest score reaches any.
    * `specificity>=0.90`: of the thresholds that reach this specificity the most sensitive, of equally sensitive ones
      the most specific. Calling none malignant reaches any.
    * `cost=10`: the least cost where a missed malignancy costs as much as 10 false alarms, at the cases' own
      prevalence; `cost=10,prevalence=0.2`: at this one. It is where a line of slope
      (1 - prevalence) / (prevalence x cost) touches the ROC curve (Metz 1978, doi:10.1016/S0001-2998(78)80014-2;
      Zweig & Campbell 1993, doi:10.1093/clinchem/39.4.561). Of equally good thresholds the lowest.

    Spaces and capitals don't matter. Raises InputError that lists the rules, or says which number can't be.

    >>> parse_rule("Sensitivity >= 0.95").text
    'sensitivity>=0.95'
    """
    written = "".join(text.lower().split()) if isinstance(text, str) else repr(text)
    for pattern, make in RULES.values():
        if match := re.fullmatch(pattern, written):
            return Rule(written, make(*match.groups()))
    known = ", ".join(RULES)
    raise InputError(Problem("threshold rule", "unknown", repr(text), f"one like {known}"))


def choose_threshold(labels: ArrayLike, scores: ArrayLike, rule: str | Rule = "youden") -> float:
    """The threshold that a rule chooses on labelled cases; malignant is called where score >= threshold.

    `labels` (n,) 0 benign, 1 malignant; `scores` (n,), higher = more suspicious; `rule` as for `parse_rule`. The
    threshold lies half-way between two neighbouring scores. Where every case is to be called malignant it is the
    lowest score; where none is, it lies as far above the highest score as half-way to the second would lie below it.
    Always finite. Raises InputError for one class only, a score that is not finite, or a rule that isn't known.

    >>> choose_threshold([0, 0, 1, 0, 1], [1.0, 2.0, 3.0, 4.0, 5.0], "sensitivity>=0.9")
    2.5
    >>> choose_threshold([0, 0, 1, 0, 1], [1.0, 2.0, 3.0, 4.0, 5.0], "specificity>=0.9")
    4.5
    """
    how = rule if isinstance(rule, Rule) else parse_rule(rule)
    malignant, score = check_scores(labels, scores)
    called = count_called(malignant, score, np.ones((1, score.size)))
    threshold = float(place(called, how.choose(called.hits, called.alarms))[0])
    if not np.isfinite(threshold):
        remedy = "Bring the scores onto a smaller scale."
        raise InputError(Problem("scores", "no number lies above the highest score", f"{score.max()}", "", remedy))
    return threshold
