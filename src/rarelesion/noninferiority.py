"""Is a recipe not worse than a reader by more than a margin that was fixed beforehand?"""

from dataclasses import dataclass

from numpy.typing import ArrayLike
from scipy.stats import norm

from rarelesion.compare import paired_difference
from rarelesion.errors import InputError, Problem
from rarelesion.paired import discordance, right_on_class, score_interval, score_statistic
from rarelesion.proportions import normal_quantile
from rarelesion.types import Scores


@dataclass(frozen=True, slots=True)
class NonInferiority:
    """How much worse than b recipe a may be, and what the interval says of it."""

    a: str
    b: str
    difference: float
    """a minus b: above 0 where a is better."""
    low: float
    high: float
    margin: float
    """The largest loss that would be accepted, above 0."""
    p: float
    """One-sided p of the test that a is worse than b by the margin or more."""
    conclusion: str
    """In words, by the two-sided interval."""
    test: str

    @property
    def shown(self) -> bool:
        """Whether a is shown not to be worse by more than the margin."""
        return self.low > -self.margin


def non_inferior_roc_auc(a: Scores, b: Scores, margin: float, confidence: float = 0.95) -> NonInferiority:
    """Whether a separates the classes no worse than b by more than `margin` of ROC-AUC, on the cases both scored.

    `margin` in 0..1 must have been fixed before the scores were seen. The interval is that of
    `compare.compare_roc_auc`, two-sided; non-inferiority is shown where its lower end lies above -margin, which is a
    one-sided test at (1 - confidence) / 2. Reported after the extension of CONSORT, Piaggio et al. 2012,
    doi:10.1001/jama.2012.87802. Raises InputError as `compare_roc_auc` does, and for a margin out of range.
    """
    _check(margin, confidence)
    found = paired_difference(a, b, confidence)
    low, high = found.interval(confidence)
    words = _conclusion(low, high, margin)
    p = found.p_above(-margin)
    return NonInferiority(a.recipe, b.recipe, found.value, low, high, margin, p, words, found.test)


def non_inferior_sensitivity(
    labels: ArrayLike,
    called_a: ArrayLike,
    called_b: ArrayLike,
    margin: float,
    patients: ArrayLike | None = None,
    confidence: float = 0.95,
) -> NonInferiority:
    """Whether a finds no fewer of the malignant cases than b by more than `margin`, on the same cases.

    Arguments as for `paired.compare_sensitivity`; p is that of Tango's score test of a difference of -margin
    (1998, Statistics in Medicine 17:891), for several lesions a patient with their design effect, and the interval is
    the one that agrees with it. For the specificity swap the classes: 1 - labels, 1 - calls.
    Raises InputError as `compare_sensitivity` does, and for a margin out of range.
    """
    _check(margin, confidence)
    counts = discordance(*right_on_class(1, labels, called_a, called_b, patients))
    low, high = score_interval(counts, confidence)
    p = float(norm.sf(score_statistic(counts, -margin)))
    test = f"Tango's score test on {counts.n} malignant cases"
    test += f" of {counts.patient_sizes.size} patients, with their design effect" if counts.clustered else ""
    return NonInferiority("a", "b", counts.difference, low, high, margin, p, _conclusion(low, high, margin), test)


def _check(margin: float, confidence: float) -> None:
    normal_quantile(confidence)
    if not 0 < margin < 1:
        remedy = "Fix it before looking at the scores."
        raise InputError(Problem("margin", "not an accepted loss", repr(margin), "a number between 0 and 1", remedy))


def _conclusion(low: float, high: float, margin: float) -> str:
    if low > 0:
        return "superior: the whole interval lies above 0"
    if low > -margin and high < 0:
        return f"non-inferior, yet worse: the whole interval lies between -{margin:g} and 0"
    if low > -margin:
        return f"non-inferior: the whole interval lies above -{margin:g}"
    if high < -margin:
        return f"inferior: the whole interval lies below -{margin:g}"
    return f"not shown to be non-inferior: the interval reaches -{margin:g} or below"
