"""The report: one self-contained HTML page that says in plain words what was found and how far to believe it."""

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from rarelesion import __version__
from rarelesion.recipes import READER_PREFIX, lead_recipe
from rarelesion.tables import format_estimate, format_share, row_label
from rarelesion.types import Comparison, Estimate, Evaluation, Finding, OperatingPoint, RecipeResult

CHANCE = 0.5
WIDE = 0.2
"""An interval wider than this is called wide."""
SYNTHETIC = "Synthetic cohort: these numbers mean nothing clinically"
RESEARCH = "Research use only: not for diagnosis"
PAPER = (
    "Matsuo H, Nishio M, Kanda T, et al. Diagnostic accuracy of deep-learning with anomaly detection for a small "
    "amount of imbalanced data: discriminating malignant parotid tumors in MRI. Sci Rep 2020;10:19388. "
    "doi:10.1038/s41598-020-76389-4"
)

FIGURES: dict[str, tuple[str, str]] = {
    "forest": (
        "The table as a picture",
        "Each square is an area under the ROC curve and each bar its interval. A bar that crosses the dashed line "
        "is not shown to be better than chance. Bars that overlap do not show that two rows are equal: see the "
        "comparisons.",
    ),
    "figure6": (
        "ROC curves of the test cases",
        "Each point of a curve is a threshold: how many malignant cases it finds (upwards) and how many benign "
        "cases it alarms about (to the right). The nearer to the upper left corner the better; the diagonal is "
        "chance. A reader's markers are the steps of the rating scale.",
    ),
    "pr_curves": (
        "Precision-recall curves of the test cases",
        "Of the cases called malignant, the share that is malignant (upwards), as more of the malignant cases are "
        "found (to the right). When malignancy is rare this shows false alarms better than the ROC curve. The "
        "dashed line is the share of malignant cases: what calling at random would give.",
    ),
    "figure4": (
        "The embeddings in two dimensions",
        "Each symbol is a case as the network describes it, flattened to the two directions in which the training "
        "cases differ most. Inside the dashed line lie 90 % of the benign training cases. Malignant cases inside "
        "it look benign to the network; ringed ones were missed. The detector works in all dimensions, so a case "
        "may be far away although it looks near here.",
    ),
    "patches": (
        "What the network is shown",
        "Examples of the pseudo-colour patches: each sequence in a colour of its own, cropped to the lesion. Look "
        "for lesions that were cut off, empty colours and labels burnt into the picture.",
    ),
    "training": (
        "Training",
        "The loss on the training cases (grey) and on the tuning cases (blue). The weights of the marked epoch "
        "were kept. Where blue rises while grey falls, the network learns the training cases by heart.",
    ),
}
"""What a figure is called and how to read it, by its file name in the run."""


@dataclass(frozen=True, slots=True)
class SmallTable:
    """A table of text with a heading, the first cell of each row naming the row."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class ReportFigure:
    """A figure as PNG; `kind` is a key of `FIGURES`, `detail` tells two of one kind apart."""

    kind: str
    png: bytes
    detail: str = ""


@dataclass(frozen=True, slots=True)
class SettingLine:
    """One resolved setting; `silent` is our decision in a line where the paper leaves it open, else empty."""

    key: str
    value: str
    silent: str = ""


@dataclass(frozen=True, slots=True)
class ReportContent:
    """All that stands in a report. Of patients it holds nothing but case ids."""

    title: str
    synthetic: bool
    evaluation: Evaluation
    split: str
    """How the cases were divided, in a sentence or two."""
    cohort: tuple[SmallTable, ...] = ()
    figures: tuple[ReportFigure, ...] = ()
    training: tuple[SmallTable, ...] = ()
    settings: tuple[SettingLine, ...] = ()
    provenance: tuple[tuple[str, str], ...] = ()
    findings: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()
    confidence: float = 0.95
    """Of all intervals, in 0..1."""
    reference: str = ""
    """The row the summary is about; empty: the paper's proposed one or the nearest to it by name."""


# -------------------------------------------------------------------------------------------- sentences from numbers


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


def format_p(p: float) -> str:
    """A p-value with two decimals, three below .01: ".28", ".004", "< .001"."""
    if p < 0.001:
        return "< .001"
    return f"{p:.3f}".removeprefix("0") if p < 0.01 else format_share(p)


def summary(content: ReportContent) -> list[str]:
    """The report in a few sentences, made from the numbers by rule."""
    result = _reference(content)
    name = row_label(result.recipe)
    name = name[0].upper() + name[1:]
    people = _against_readers(result.recipe, content.evaluation.comparisons)
    sentences = [
        cases_sentence(result),
        area_sentence(name, result.roc_auc, content.confidence),
        chance_sentence(result.roc_auc),
        width_sentence(result.roc_auc, result.n_malignant),
        threshold_sentence(result),
        *(comparison_sentence(one, row_label(one.b), content.confidence) for one in people),
        "" if people or _is_reader(result.recipe) else "No reader was compared: nothing here says how people would do.",
        _findings_sentence(content.findings),
    ]
    return [sentence for sentence in sentences if sentence]


def _findings_sentence(findings: tuple[Finding, ...]) -> str:
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
    return [one for one in turned if _is_reader(one.b)]


def _is_reader(recipe: str) -> bool:
    return recipe.startswith(READER_PREFIX)


def _reference(content: ReportContent) -> RecipeResult:
    results = {result.recipe: result for result in content.evaluation.results}
    return results[content.reference or lead_recipe(list(results)) or next(iter(results))]


# ------------------------------------------------------------------------------------------------------- the page


def render_report(content: ReportContent) -> str:
    """The report as one HTML page without scripts that loads nothing from elsewhere.

    Raises KeyError where `reference` is not a row of the evaluation or a figure's kind is not in `FIGURES`.
    """
    environment = Environment(
        loader=PackageLoader("rarelesion", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.jinja").render(
        content=content,
        percent=f"{100 * content.confidence:g} %",
        summary=summary(content),
        reference=row_label(_reference(content).recipe),
        rows=[_table_row(result, _reference(content).recipe) for result in content.evaluation.results],
        comparisons=[_comparison_row(comparison) for comparison in content.evaluation.comparisons],
        tests=list(dict.fromkeys(comparison.test for comparison in content.evaluation.comparisons)),
        methods=_methods(content.evaluation),
        figures=[_figure(figure) for figure in content.figures],
        synthetic=SYNTHETIC,
        research=RESEARCH,
        paper=PAPER,
        version=__version__,
    )


def _table_row(result: RecipeResult, reference: str) -> dict[str, Any]:
    return {
        "name": row_label(result.recipe),
        "kind": "reader" if _is_reader(result.recipe) else "reference" if result.recipe == reference else "",
        "areas": [_cell(result.roc_auc), _cell(result.pr_auc)],
        "honest": _point_cells(result.tuned),
        "optimistic": _point_cells(result.youden),
    }


def _point_cells(point: OperatingPoint | None) -> list[tuple[str, str]]:
    return [_cell(point.sensitivity), _cell(point.specificity)] if point else [("–", ""), ("–", "")]


def _cell(estimate: Estimate) -> tuple[str, str]:
    value, _, interval = format_estimate(estimate).partition(" ")
    return value, interval


def _comparison_row(comparison: Comparison) -> dict[str, str]:
    return {
        "a": row_label(comparison.a),
        "b": row_label(comparison.b),
        "difference": signed(comparison.difference),
        "interval": f"({signed(comparison.low)} to {signed(comparison.high)})",
        "p": format_p(comparison.p),
        "p_adjusted": format_p(comparison.p_adjusted),
    }


def _methods(evaluation: Evaluation) -> Mapping[str, list[str]]:
    """How each kind of number was made, every way named once."""
    results = evaluation.results
    points = [point for result in results for point in (result.youden, result.tuned) if point]
    ways = {
        "ROC-AUC": [result.roc_auc.method for result in results],
        "PR-AUC": [result.pr_auc.method for result in results],
        "Sensitivity and specificity": [point.sensitivity.method for point in points],
    }
    return {number: list(dict.fromkeys(methods)) for number, methods in ways.items()}


def _figure(figure: ReportFigure) -> dict[str, str]:
    title, caption = FIGURES[figure.kind]
    full = f"{title}: {row_label(figure.detail)}" if figure.detail else title
    return {"title": full, "caption": caption, "source": f"data:image/png;base64,{b64encode(figure.png).decode()}"}
