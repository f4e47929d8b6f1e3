"""The report: one self-contained HTML page that says in plain words what was found and how far to believe it."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from rarelesion import __version__
from rarelesion.evaluation import Evaluation
from rarelesion.noninferiority import NonInferiority
from rarelesion.recipes import lead_recipe
from rarelesion.remarks import CODES
from rarelesion.sections import (
    LIGHTS,
    PROBABILITY_HEADINGS,
    UNSURE_HEADINGS,
    comparisons_note,
    probability_cells,
    probability_note,
    subgroups_note,
    unsure_cells,
    unsure_note,
)
from rarelesion.tables import chance_note, format_estimate, format_p, row_label, rule_note, stated_prevalence
from rarelesion.types import (
    Comparison,
    Estimate,
    Finding,
    OperatingPoint,
    RecipeResult,
    Remark,
    Subgroup,
)
from rarelesion.wording import is_reader, signed, summary

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
    "reliability": (
        "Do the probabilities hold?",
        "Each square is a group of test cases that were given about the same probability of malignancy (to the right); "
        "how many of them are malignant stands upwards. On the dashed line both agree. The bars below show how many "
        "cases each square stands for. With few cases nearly any square is compatible with the line: look at the "
        "intervals.",
    ),
    "decision_curve": (
        "Does acting on it do more good than harm?",
        "Net benefit is the share of malignancies found, less the false alarms at what they are worth. Choose on the "
        "lower scale from which probability of malignancy you would act (a biopsy, say); the upper scale shows how "
        "many false alarms that is worth. The row is of use where its line lies above both treating everyone and "
        "treating no one. The band is its interval.",
    ),
    "figure4": (
        "The embeddings in two dimensions",
        "Each symbol is a case as the network describes it, flattened to the two directions in which the training "
        "cases differ most. Inside the dashed line lie 90 % of the benign training cases. Malignant cases inside "
        "it look benign to the network; ringed ones were missed. The detector works in all dimensions, so a case "
        "may be far away although it looks near here.",
    ),
    "learning_curve": (
        "The learning curve",
        "Each point is what networks reach that learnt from so many cases (to the right, on a logarithmic scale), with "
        "its interval; the line is the inverse power law through them, and the band its interval. All points stand on "
        "the same test cases, so they rise and fall together. Right of the dotted line nothing was measured.",
    ),
    "patches": (
        "What the network is shown",
        "Examples of the pseudo-colour patches: each sequence in a colour of its own, cropped to the lesion. Look "
        "for lesions that were cut off, empty colours and labels burnt into the picture.",
    ),
    "outlines": (
        "Which outlines were found",
        "Radiomics measure the lesion inside the orange line and the tissue between it and the blue one. The outline "
        "was looked for in the box that was drawn: where it runs wrong in many lesions, take the box "
        '(features.outline = "marked") or draw masks.',
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
class Section:
    """A question of its own with the answer in sentences and, where there are any, tables."""

    key: str
    title: str
    sentences: tuple[str, ...]
    tables: tuple[SmallTable, ...] = ()


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
    told: tuple[Section, ...] = ()
    """What this run was asked beside its table."""


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
        summary=summary(content.evaluation, _reference(content), content.confidence, content.findings),
        reference=row_label(_reference(content).recipe),
        rows=[_table_row(result, _reference(content).recipe) for result in content.evaluation.results],
        comparisons=[_comparison_row(comparison) for comparison in content.evaluation.comparisons],
        tests=list(dict.fromkeys(comparison.test for comparison in content.evaluation.comparisons)),
        comparisons_note=comparisons_note(content.evaluation),
        methods=_methods(content.evaluation),
        believe=content.evaluation.remarks.get(_reference(content).recipe, ()),
        lights=LIGHTS,
        questions=CODES,
        decisions=[_comparison_row(one) for one in content.evaluation.decisions],
        noninferiority=[_noninferiority_row(one) for one in content.evaluation.noninferiority],
        margin=f"{content.evaluation.noninferiority[0].margin:g}" if content.evaluation.noninferiority else "",
        useful=_useful_tables(content.evaluation),
        prevalence=stated_prevalence(content.evaluation),
        rule_note=rule_note(content.evaluation),
        chance_note=chance_note(content.evaluation),
        all_lights=[_lights(recipe, said) for recipe, said in content.evaluation.remarks.items()],
        subgroups=[_subgroup_row(one) for one in content.evaluation.subgroups],
        subgroups_note=subgroups_note(content.evaluation),
        figures=[_figure(figure) for figure in content.figures],
        synthetic=SYNTHETIC,
        research=RESEARCH,
        paper=PAPER,
        version=__version__,
    )


def _table_row(result: RecipeResult, reference: str) -> dict[str, Any]:
    return {
        "name": row_label(result.recipe),
        "kind": "reader" if is_reader(result.recipe) else "reference" if result.recipe == reference else "",
        "areas": [_cell(result.roc_auc), _cell(result.pr_auc)],
        "honest": _point_cells(result.tuned),
        "stated": _stated_cells(result.tuned),
        "optimistic": _point_cells(result.youden),
    }


def _point_cells(point: OperatingPoint | None) -> list[tuple[str, str]]:
    return [_cell(point.sensitivity), _cell(point.specificity)] if point else [("–", ""), ("–", "")]


def _stated_cells(point: OperatingPoint | None) -> list[tuple[str, str]]:
    """PPV and NPV at the stated prevalence."""
    stated = point.at_prevalence if point else None
    return [_cell(stated.ppv), _cell(stated.npv)] if stated else [("–", ""), ("–", "")]


def _cell(estimate: Estimate) -> tuple[str, str]:
    return _apart(format_estimate(estimate))


def _comparison_row(comparison: Comparison) -> dict[str, str]:
    return {
        "a": row_label(comparison.a),
        "b": row_label(comparison.b),
        "measure": comparison.measure,
        "difference": signed(comparison.difference),
        "interval": f"({signed(comparison.low)} to {signed(comparison.high)})",
        "p": format_p(comparison.p),
        "p_adjusted": format_p(comparison.p_adjusted),
    }


def _noninferiority_row(one: NonInferiority) -> dict[str, str]:
    return {
        "a": row_label(one.a),
        "b": row_label(one.b),
        "difference": signed(one.difference),
        "interval": f"({signed(one.low)} to {signed(one.high)})",
        "p": format_p(one.p),
        "conclusion": one.conclusion,
    }


def _useful_tables(evaluation: Evaluation) -> list[dict[str, Any]]:
    """The two tables of what the scores are worth in use, every cell with its interval apart."""
    if not evaluation.usefulness:
        return []
    kinds = (
        ("As probabilities", PROBABILITY_HEADINGS, probability_cells, probability_note(evaluation)),
        ("With “unsure” allowed", UNSURE_HEADINGS, unsure_cells, unsure_note(evaluation)),
    )
    return [
        {
            "title": title,
            "headings": headings,
            "note": note,
            "rows": [(row_label(name), list(map(_apart, cells(f)))) for name, f in evaluation.usefulness.items()],
        }
        for title, headings, cells, note in kinds
    ]


def _apart(text: str) -> tuple[str, str]:
    value, bracket, interval = text.partition(" (")
    return value, bracket[1:] + interval


def _lights(recipe: str, said: Sequence[Remark]) -> tuple[str, list[Remark | None]]:
    """A row's name and its remark on each question, the gravest where there are several."""
    gravest = {remark.code: remark for light in LIGHTS for remark in said if remark.light == light}
    return row_label(recipe), [gravest.get(code) for code in CODES]


def _subgroup_row(one: Subgroup) -> dict[str, Any]:
    area = _cell(one.roc_auc) if one.roc_auc else ("–", "")
    cases = (str(one.n_benign), str(one.n_malignant))
    return {"name": row_label(one.recipe), "group": f"{one.column}: {one.entry}", "cases": cases, "area": area}


def _methods(evaluation: Evaluation) -> Mapping[str, list[str]]:
    """How each kind of number was made, every way named once."""
    results = evaluation.results
    points = [point for result in results for point in (result.youden, result.tuned) if point]
    ways = {
        "ROC-AUC": [result.roc_auc.method for result in results],
        "PR-AUC": [result.pr_auc.method for result in results],
        "Sensitivity": [point.sensitivity.method for point in points],
        "Specificity": [point.specificity.method for point in points],
    }
    return {number: list(dict.fromkeys(methods)) for number, methods in ways.items()}


def _figure(figure: ReportFigure) -> dict[str, str]:
    title, caption = FIGURES[figure.kind]
    full = f"{title}: {row_label(figure.detail)}" if figure.detail else title
    return {"title": full, "caption": caption, "source": f"data:image/png;base64,{b64encode(figure.png).decode()}"}


def _reference(content: ReportContent) -> RecipeResult:
    results = {result.recipe: result for result in content.evaluation.results}
    return results[content.reference or lead_recipe(list(results)) or next(iter(results))]
