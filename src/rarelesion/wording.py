"""What the numbers mean in plain words, by rule: every sentence follows from an estimate and its interval."""

from collections.abc import Sequence

from rarelesion.evaluation import Evaluation
from rarelesion.recipes import READER_PREFIX
from rarelesion.tables import format_p, format_share, row_label
from rarelesion.types import Comparison, Estimate, Finding, RecipeResult

CHANCE = 0.5
WIDE = 0.2
"""An interval wider than this is called wide."""


def cases_sentence(result: RecipeResult) -> str:
    """How many test cases there were and how rare the malignant ones."""
    total = result.n_benign + result.n_malignant
    share = round(100 * result.n_malignant / total)
    return f"There were {total} test cases, {result.n_malignant} of them malignant ({share} %)."


def area_sentence(name: str, area: Estimate, confidence: float) -> str:
    """The area under the ROC curve and what it means for a pair of cases."""
    return (
        f"{name} reached an area under the ROC curve of {format_share(area.value)} ({100 * confidence:g} % interval "
        f"{format_share(area.low)} to {format_share(area.high)}): of 100 pairs of a malignant and a benign case, it "
        f"gives the malignant one the higher score in about {round(100 * area.value)}."
    )


def chance_sentence(area: Estimate) -> str:
    """Whether the interval of the area includes chance; an end that touches .50 counts as including it."""
    if area.low > CHANCE:
        return "The whole interval lies above .50: better than chance on these cases."
    if area.high < CHANCE:
        return (
            "The whole interval lies below .50: worse than chance. Check that the two labels are not swapped and that "
            "higher ratings mean more suspicious."
        )
    return "The interval includes .50: it is not shown to be better than chance."


def width_sentence(area: Estimate, n_malignant: int) -> str:
    """A warning where the interval is wider than 0.2; empty where it is not."""
    if area.high - area.low <= WIDE:
        return ""
    return (
        f"The interval is wide: with {n_malignant} malignant test cases the true value may be as low as "
        f"{format_share(area.low)} or as high as {format_share(area.high)}."
    )


def threshold_sentence(result: RecipeResult) -> str:
    """What the honest operating point does, or that there is none."""
    if result.tuned is None:
        return (
            "No threshold could be chosen on tuning cases; sensitivity and specificity below were read off the test "
            "cases themselves and are optimistic."
        )
    found, spared = result.tuned.sensitivity, result.tuned.specificity
    return (
        f"At the threshold chosen on the tuning cases it found {round(100 * found.value)} % of the malignant test "
        f"cases (interval {_span(found)}) and raised no alarm about {round(100 * spared.value)} % of the benign ones "
        f"(interval {_span(spared)})."
    )


def _span(estimate: Estimate) -> str:
    return f"{round(100 * estimate.low)} to {round(100 * estimate.high)} %"


def comparison_sentence(comparison: Comparison, against: str, confidence: float) -> str:
    """How the row compares with another on the same cases, after adjusting p for the number of comparisons.

    `comparison.difference` is the row's area minus that of `against`.
    """
    size = f"{'smaller' if comparison.difference < 0 else 'larger'} by {format_share(abs(comparison.difference))}"
    interval = f"{100 * confidence:g} % interval {signed(comparison.low)} to {signed(comparison.high)}"
    adjusted = f"adjusted p: {format_p(comparison.p_adjusted)}"
    start = f"Against {against} on the same cases its area was {size} ({interval}; {adjusted})"
    if comparison.p_adjusted < 1 - confidence:
        return f"{start}: {'worse' if comparison.difference < 0 else 'better'} than {against} in this study."
    return f"{start}: no difference is shown, which does not show that the two are equal."


def signed(value: float) -> str:
    """A difference with its sign, as the tables print shares: "+.05", "−.10"."""
    return f"{'−' if value < 0 else '+'}{format_share(abs(value))}"


def summary(
    evaluation: Evaluation, result: RecipeResult, confidence: float = 0.95, findings: Sequence[Finding] = ()
) -> list[str]:
    """A row of the evaluation in a few sentences, made from the numbers by rule."""
    name = row_label(result.recipe)
    name = name[0].upper() + name[1:]
    people = _against_readers(result.recipe, evaluation.comparisons)
    sentences = [
        cases_sentence(result),
        area_sentence(name, result.roc_auc, confidence),
        chance_sentence(result.roc_auc),
        width_sentence(result.roc_auc, result.n_malignant),
        threshold_sentence(result),
        *(comparison_sentence(one, row_label(one.b), confidence) for one in people),
        "" if people or is_reader(result.recipe) else "No reader was compared: nothing here says how people would do.",
        _findings_sentence(findings),
    ]
    return [sentence for sentence in sentences if sentence]


def _findings_sentence(findings: Sequence[Finding]) -> str:
    serious = sum(finding.severity != "note" for finding in findings)
    if not serious:
        return ""
    return (
        f"The checks of the data found {serious} {'points' if serious > 1 else 'point'} to look at before believing it."
    )


def _against_readers(recipe: str, comparisons: tuple[Comparison, ...]) -> list[Comparison]:
    """The comparisons of a row with readers, each turned so that the row comes first."""
    turned = [
        Comparison(one.b, one.a, -one.difference, -one.high, -one.low, one.p, one.p_adjusted, one.test)
        if one.b == recipe
        else one
        for one in comparisons
        if recipe in (one.a, one.b)
    ]
    return [one for one in turned if is_reader(one.b)]


def is_reader(recipe: str) -> bool:
    """Whether a row is a person's."""
    return recipe.startswith(READER_PREFIX)
