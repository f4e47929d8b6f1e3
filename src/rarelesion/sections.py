"""What stands below Table 3: comparisons, use, what to believe, subgroups, each as Markdown with the note it needs."""

from rarelesion.evaluation import Evaluation
from rarelesion.recipes import lead_recipe
from rarelesion.tables import (
    escape_markdown,
    format_estimate,
    format_p,
    format_share,
    markdown,
    row_label,
    stated_prevalence,
    table3_markdown,
)
from rarelesion.types import Comparison, Estimate
from rarelesion.usefulness import Usefulness


def comparisons_note(evaluation: Evaluation) -> str:
    """What cross-validation does to the comparisons; empty after a single split."""
    if not any("folds" in one.test for one in evaluation.comparisons):
        return ""
    return (
        "The networks of different folds share training cases: with few cases these intervals are somewhat too short "
        "and p is somewhat too small."
    )


def comparisons_markdown(evaluation: Evaluation) -> str:
    """The comparisons to read: the differences of two ROC-AUC with interval, p and adjusted p; empty without any."""
    if not evaluation.comparisons:
        return ""
    lines = [["", "compared with", "Difference in ROC-AUC", "p", f"p after {evaluation.adjustment}"]]
    lines += [_comparison_cells(one) for one in evaluation.comparisons]
    note = comparisons_note(evaluation)
    return markdown(lines) + (f"\n{note}\n" if note else "")


def _comparison_cells(one: Comparison) -> list[str]:
    difference = format_estimate(Estimate(one.difference, one.low, one.high, one.test), between=" to ")
    cells = [row_label(one.a), row_label(one.b), difference, format_p(one.p), format_p(one.p_adjusted)]
    return [escape_markdown(cell) for cell in cells]


def decisions_markdown(evaluation: Evaluation) -> str:
    """Sensitivity and specificity beside the readers', each at its tuned threshold, to read; empty without any."""
    if not evaluation.decisions:
        return ""
    lines = [["", "compared with", "at the tuned thresholds", "Difference", "p", f"p after {evaluation.adjustment}"]]
    for one in evaluation.decisions:
        cells = _comparison_cells(one)
        lines.append([*cells[:2], one.measure, *cells[2:]])
    return markdown(lines)


def noninferiority_markdown(evaluation: Evaluation) -> str:
    """Whether it is not worse than a reader by more than the margin, to read; empty where no margin was stated."""
    if not evaluation.noninferiority:
        return ""
    lines = [["", "compared with", "Difference in ROC-AUC", f"p (margin {evaluation.noninferiority[0].margin:g})", ""]]
    for one in evaluation.noninferiority:
        difference = format_estimate(Estimate(one.difference, one.low, one.high, one.test), between=" to ")
        cells = [row_label(one.a), row_label(one.b), difference, format_p(one.p), one.conclusion]
        lines.append([escape_markdown(cell) for cell in cells])
    return markdown(lines)


STEEPEST = 10
PROBABILITY_HEADINGS = ("ROC-AUC, pooled", "Brier skill", "Slope", "Shift", "Worth acting on")
UNSURE_HEADINGS = ("Unsure", "Wrong, benign", "Wrong, malignant")


def probability_cells(found: Usefulness) -> list[str]:
    """The columns `PROBABILITY_HEADINGS` of one row."""
    return [
        format_estimate(found.pooled_roc_auc),
        format_estimate(found.skill, between=" to "),
        _slope(found.slope) if found.slope else "–",
        format_estimate(found.in_the_large, between=" to "),
        f"{_run(found.helps)} (shown {_run(found.shown_to_help)})" if found.helps else "nowhere",
    ]


def unsure_cells(found: Usefulness) -> list[str]:
    """The columns `UNSURE_HEADINGS` of one row."""
    sets = found.conformal
    missed = [Estimate(1 - one.value, 1 - one.high, 1 - one.low, one.method) for one in (sets.benign, sets.malignant)]
    return [format_estimate(one) for one in (sets.unsure, *missed)]


def _slope(slope: Estimate) -> str:
    """Probabilities that are all but the same have any slope at all: its digits beyond `STEEPEST` say nothing."""
    if abs(slope.value) < STEEPEST:
        return format_estimate(slope, between=" to ")
    return f"{'<-' if slope.value < 0 else '>'}{STEEPEST} (from {format_share(slope.low)})"


def _run(thresholds: tuple[float, float] | None) -> str:
    if thresholds is None:
        return "nowhere"
    low, high = (f"{100 * end:.0f}" for end in thresholds)
    return f"{low} %" if low == high else f"{low} to {high} %"


def probability_note(evaluation: Evaluation) -> str:
    """What the columns `PROBABILITY_HEADINGS` mean."""
    share = stated_prevalence(evaluation)
    where = "in this cohort" if share is None else f"where {100 * share:g} % are malignant"
    return (
        "Scores turned into probabilities on the tuning cases, judged on the test cases of all folds together, as "
        "scores themselves may not be. Brier skill: 1 is perfect, 0 no better than knowing how many are malignant. "
        "Slope: below 1 the probabilities are too extreme. Shift: above 0 they are too low. Worth acting on: the "
        f"threshold probabilities at which, {where}, acting on it does more good than treating all or none; shown: "
        "where even the lower end of its interval does."
    )


def unsure_note(evaluation: Evaluation) -> str:
    """What the columns `UNSURE_HEADINGS` mean, and for which rows there were too few tuning cases."""
    found = evaluation.usefulness
    alphas = {one.conformal_alpha for one in found.values()}
    allowed = ", ".join(f"{100 * alpha:g} %" for alpha in sorted(alphas))
    few = [row_label(name) for name, one in found.items() if one.conformal_note]
    text = (
        f"Each case is called where the other answer is unusual, so that at most {allowed} of the patients of either "
        "class are judged wrong on average; else it is left unsure. Beside it, how many were judged wrong here."
    )
    if few:
        text += f" In some folds a class has too few tuning patients ever to be ruled out: {', '.join(few)}."
    return text


def useful_markdown(evaluation: Evaluation) -> str:
    """What the scores are worth in use, to read; empty where no row has tuning cases for it."""
    rows = [(escape_markdown(row_label(name)), found) for name, found in evaluation.usefulness.items()]
    if not rows:
        return ""
    probabilities = [["As probabilities", *PROBABILITY_HEADINGS], *([name, *probability_cells(f)] for name, f in rows)]
    unsure = [["With unsure allowed", *UNSURE_HEADINGS], *([name, *unsure_cells(f)] for name, f in rows)]
    return (
        f"{markdown(probabilities)}\n{probability_note(evaluation)}\n\n{markdown(unsure)}\n{unsure_note(evaluation)}\n"
    )


def evaluation_markdown(evaluation: Evaluation, confidence: float = 0.95) -> str:
    """All that `rarelesion evaluate` shows: Table 3, the comparisons, what to believe, the subgroups."""
    lead = lead_recipe([result.recipe for result in evaluation.results]) or next(iter(evaluation.remarks), "")
    parts = (
        table3_markdown(evaluation, confidence),
        comparisons_markdown(evaluation),
        decisions_markdown(evaluation),
        noninferiority_markdown(evaluation),
        useful_markdown(evaluation),
        remarks_markdown(evaluation, lead),
        subgroups_markdown(evaluation, confidence),
    )
    return "\n".join(part for part in parts if part)


LIGHTS = {"green": "good", "amber": "care", "red": "doubt"}
"""What a remark's light is called where there is no colour."""


def remarks_markdown(evaluation: Evaluation, recipe: str) -> str:
    """What speaks for and against believing a row, to read; empty for a row without remarks."""
    remarks = evaluation.remarks.get(recipe, ())
    if not remarks:
        return ""
    lines = [[f"Can I believe {row_label(recipe)}?", "", "", ""]]
    lines += [[LIGHTS[remark.light], remark.fact, remark.meaning, remark.code] for remark in remarks]
    return markdown([[escape_markdown(cell) for cell in cells] for cells in lines])


def subgroups_note(evaluation: Evaluation) -> str:
    """How many subgroups were looked at, and what that means; empty where there are none."""
    number = len({(one.column, one.entry) for one in evaluation.subgroups})
    if not number:
        return ""
    return (
        f"{number} subgroups were looked at. One in twenty differs visibly by chance alone, and each holds few cases: "
        "take a difference as a question for the next study, not as a finding."
    )


def subgroups_markdown(evaluation: Evaluation, confidence: float = 0.95) -> str:
    """The areas within subgroups, to read; empty where there are none."""
    if not evaluation.subgroups:
        return ""
    lines = [["", "subgroup", "benign", "malignant", f"ROC-AUC ({100 * confidence:g} % CI)"]]
    for one in evaluation.subgroups:
        area = format_estimate(one.roc_auc) if one.roc_auc else "–"
        cells = [row_label(one.recipe), f"{one.column}: {one.entry}", str(one.n_benign), str(one.n_malignant), area]
        lines.append([escape_markdown(cell) for cell in cells])
    return f"{markdown(lines)}\n{subgroups_note(evaluation)}\n"
