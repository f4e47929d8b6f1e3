"""Table 3 as rows, CSV, Markdown and LaTeX, and how numbers are written: text only, nothing is computed here."""

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rarelesion.evaluation import Evaluation
from rarelesion.recipes import READER_PREFIX
from rarelesion.types import Estimate, OperatingPoint, RecipeResult

WORDS = {
    "vgg16": "VGG16",
    "mobilenet": "MobileNet",
    "resnet50": "ResNet50",
    "resnet50-conv4": "ResNet50-conv4",
    "densenet169": "DenseNet169",
    "cvae": "CVAE",
    "l2": "L2",
    "lof": "LOF",
}
WORDS |= {"ocsvm": "OCSVM", "knn": "kNN"}
NOTE = (
    "Sensitivity and specificity at the Youden index of the test cases, as in the paper, are optimistic; "
    "those at the threshold chosen on the tuning cases are honest."
)
LATEX_ESCAPES = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
LATEX_ESCAPES |= {character: "\\" + character for character in "&%$#_{}"}


def row_label(recipe: str) -> str:
    """A recipe's name as people write it: `vgg16+texture+l2` becomes "VGG16 +texture +L2"."""
    if recipe.startswith(READER_PREFIX):
        return f"reader {recipe.removeprefix(READER_PREFIX)}"
    return " +".join(WORDS.get(part, part) for part in recipe.split("+"))


def format_share(value: float) -> str:
    """A share with two decimals and no leading zero, as the paper prints it: ".86", "1.00", "-.05"."""
    text = f"{value:.2f}" if round(value, 2) else "0.00"
    return text.replace("0.", ".", 1) if text.startswith(("0.", "-0.")) else text


def format_estimate(estimate: Estimate, between: str = "–") -> str:
    """The value and its interval: ".86 (.73–.99)"; where bounds may be negative a word between them reads better."""
    low, high = format_share(estimate.low), format_share(estimate.high)
    return f"{format_share(estimate.value)} ({low}{between}{high})"


def format_p(p: float) -> str:
    """A p-value with three decimals: ".041", "<.001"."""
    return "<.001" if p < 0.001 else f"{p:.3f}".removeprefix("0")


def _columns(name: str, estimate: Estimate | None) -> dict[str, float | None]:
    parts = ("value", "low", "high")
    return {f"{name}{'' if part == 'value' else f'_{part}'}": getattr(estimate, part, None) for part in parts}


def _point_columns(prefix: str, point: OperatingPoint | None) -> dict[str, float | None]:
    return {
        f"{prefix}threshold": point and point.threshold,
        **_columns(f"{prefix}sensitivity", point and point.sensitivity),
        **_columns(f"{prefix}specificity", point and point.specificity),
    }


def _predictive_columns(point: OperatingPoint | None) -> dict[str, float | None]:
    stated = point.at_prevalence if point else None
    return {
        "prevalence": stated and stated.prevalence,
        **_columns("tuned_ppv", stated and stated.ppv),
        **_columns("tuned_npv", stated and stated.npv),
    }


def table3_rows(evaluation: Evaluation) -> list[dict[str, Any]]:
    """Table 3 with every number in full: one dict a recipe, all with the same keys.

    Columns named `tuned_` are at the threshold chosen on the tuning cases, None where there are none; `sensitivity` and
    `specificity` alone are at the test cases' own Youden index, as in the paper. Shares are in 0..1.
    """
    return [
        {
            "recipe": result.recipe,
            "n_benign": result.n_benign,
            "n_malignant": result.n_malignant,
            **_point_columns("", result.youden),
            **_columns("roc_auc", result.roc_auc),
            "roc_auc_method": result.roc_auc.method,
            **_columns("pr_auc", result.pr_auc),
            "pr_auc_method": result.pr_auc.method,
            **_point_columns("tuned_", result.tuned),
            "tuned_rule": result.tuned and result.tuned.rule,
            **_predictive_columns(result.tuned),
        }
        for result in evaluation.results
    ]


def _csv(rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def table3_csv(evaluation: Evaluation) -> str:
    """`table3_rows` as CSV, numbers in full, an empty cell where there is none."""
    rows = table3_rows(evaluation)
    return _csv(rows, list(rows[0]))


def comparisons_csv(evaluation: Evaluation) -> str:
    """All comparisons as CSV, numbers in full: the measure of recipe a minus that of b, its interval, both p."""
    columns = ("a", "b", "difference", "low", "high", "p", "p_adjusted", "test", "measure")
    return _csv((asdict(comparison) for comparison in (*evaluation.comparisons, *evaluation.decisions)), columns)


def stated_prevalence(evaluation: Evaluation) -> float | None:
    """The prevalence that PPV and NPV hold for; None where none was stated."""
    points = [result.tuned for result in evaluation.results if result.tuned and result.tuned.at_prevalence]
    return points[0].at_prevalence.prevalence if points and points[0].at_prevalence else None


def _headings(evaluation: Evaluation, confidence: float) -> list[str]:
    interval, share = f"({100 * confidence:g} % CI)", stated_prevalence(evaluation)
    areas = [f"ROC-AUC {interval}", f"PR-AUC {interval}"]
    values = [] if share is None else [f"{name} at {100 * share:g} %" for name in ("PPV", "NPV")]
    return ["", "Sensitivity", "Specificity", *areas, "Sensitivity, tuned", "Specificity, tuned", *values]


def _cells(result: RecipeResult, predictive: bool) -> list[str]:
    tuned = result.tuned
    values = tuned.at_prevalence if tuned else None
    stated = (values.ppv, values.npv) if values else (None, None)
    return [
        row_label(result.recipe),
        format_share(result.youden.sensitivity.value),
        format_share(result.youden.specificity.value),
        format_estimate(result.roc_auc),
        format_estimate(result.pr_auc),
        format_estimate(tuned.sensitivity) if tuned else "–",
        format_estimate(tuned.specificity) if tuned else "–",
        *([format_estimate(value) if value else "–" for value in stated] if predictive else []),
    ]


def _caption(evaluation: Evaluation) -> str:
    sizes = {(result.n_benign, result.n_malignant) for result in evaluation.results}
    counts = " or ".join(f"{benign} benign and {malignant} malignant" for benign, malignant in sorted(sizes))
    return f"Test cases: {counts}. {chance_note(evaluation)} {NOTE}{rule_note(evaluation)}"


def chance_note(evaluation: Evaluation) -> str:
    """What a score that knows nothing would reach: the PR-AUC of chance is the share of malignant cases."""
    sizes = [(result.n_malignant, result.n_malignant + result.n_benign) for result in evaluation.results]
    shares = sorted({format_share(malignant / cases) for malignant, cases in sizes})
    return f"By chance the ROC-AUC is .50 and the PR-AUC about {' or '.join(shares)}."


def rule_note(evaluation: Evaluation) -> str:
    """How the tuned thresholds were chosen, where it wasn't by the Youden index."""
    rules = sorted({result.tuned.rule for result in evaluation.results if result.tuned} - {"youden"})
    return f" The tuning cases chose it by the rule {', '.join(rules)}." if rules else ""


def _lines(evaluation: Evaluation, confidence: float, escape: Callable[[str], str]) -> list[list[str]]:
    predictive = stated_prevalence(evaluation) is not None
    table = [_headings(evaluation, confidence), *(_cells(result, predictive) for result in evaluation.results)]
    return [[escape(cell) for cell in cells] for cells in table]


def escape_markdown(cell: str) -> str:
    """A cell's text as Markdown takes it in a table."""
    return cell.replace("\\", "\\\\").replace("|", "\\|")


def markdown(lines: Sequence[Sequence[str]]) -> str:
    """A table of cells, the first line its headings."""
    head, *rows = lines
    return "".join(f"| {' | '.join(cells)} |\n" for cells in (head, ["---"] * len(head), *rows))


def table3_markdown(evaluation: Evaluation, confidence: float = 0.95) -> str:
    """Table 3 to read: the paper's columns with two decimals, then the honest operating point; `confidence` in 0..1."""
    lines = _lines(evaluation, confidence, escape_markdown)
    return f"{markdown(lines)}\n{_caption(evaluation)}\n"


def _latex(text: str) -> str:
    return "".join(LATEX_ESCAPES.get(character, character) for character in text).replace("–", "--")


def table3_latex(evaluation: Evaluation, confidence: float = 0.95) -> str:
    """Table 3 as a LaTeX table for the package booktabs, the cells as in `table3_markdown`."""
    head, *rows = _lines(evaluation, confidence, _latex)
    return "\n".join(
        [
            r"\begin{table}",
            rf"\caption{{{_latex(_caption(evaluation))}}}",
            rf"\begin{{tabular}}{{l{'r' * (len(head) - 1)}}}",
            r"\toprule",
            " & ".join(head) + r" \\",
            r"\midrule",
            *(" & ".join(cells) + r" \\" for cells in rows),
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        ]
    )
