"""Table 3 and the comparisons as rows, CSV, Markdown, LaTeX and JSON: text only, nothing is computed here."""

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rarelesion.recipes import READER_PREFIX, lead_recipe
from rarelesion.types import Estimate, Evaluation, OperatingPoint, RecipeResult

WORDS = {
    "vgg16": "VGG16",
    "mobilenet": "MobileNet",
    "resnet50": "ResNet50",
    "resnet50-conv4": "ResNet50-conv4",
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
    """The comparisons as CSV, numbers in full: ROC-AUC of recipe a minus that of b, its interval, p and Holm's p."""
    columns = ("a", "b", "difference", "low", "high", "p", "p_adjusted", "test")
    return _csv((asdict(comparison) for comparison in evaluation.comparisons), columns)


def _headings(confidence: float) -> list[str]:
    interval = f"({100 * confidence:g} % CI)"
    areas = [f"ROC-AUC {interval}", f"PR-AUC {interval}"]
    return ["", "Sensitivity", "Specificity", *areas, "Sensitivity, tuned", "Specificity, tuned"]


def _cells(result: RecipeResult) -> list[str]:
    tuned = result.tuned
    return [
        row_label(result.recipe),
        format_share(result.youden.sensitivity.value),
        format_share(result.youden.specificity.value),
        format_estimate(result.roc_auc),
        format_estimate(result.pr_auc),
        format_estimate(tuned.sensitivity) if tuned else "–",
        format_estimate(tuned.specificity) if tuned else "–",
    ]


def _caption(evaluation: Evaluation) -> str:
    sizes = {(result.n_benign, result.n_malignant) for result in evaluation.results}
    counts = " or ".join(f"{benign} benign and {malignant} malignant" for benign, malignant in sorted(sizes))
    return f"Test cases: {counts}. {NOTE}"


def _lines(evaluation: Evaluation, confidence: float, escape: Callable[[str], str]) -> list[list[str]]:
    table = [_headings(confidence), *(_cells(result) for result in evaluation.results)]
    return [[escape(cell) for cell in cells] for cells in table]


def _escape_markdown(cell: str) -> str:
    return cell.replace("\\", "\\\\").replace("|", "\\|")


def _markdown(lines: Sequence[Sequence[str]]) -> str:
    head, *rows = lines
    return "".join(f"| {' | '.join(cells)} |\n" for cells in (head, ["---"] * len(head), *rows))


def table3_markdown(evaluation: Evaluation, confidence: float = 0.95) -> str:
    """Table 3 to read: the paper's columns with two decimals, then the honest operating point; `confidence` in 0..1."""
    lines = _lines(evaluation, confidence, _escape_markdown)
    return f"{_markdown(lines)}\n{_caption(evaluation)}\n"


def comparisons_note(evaluation: Evaluation) -> str:
    """What cross-validation does to the comparisons; empty after a single split."""
    if not any("folds" in one.test for one in evaluation.comparisons):
        return ""
    return (
        "The networks of different folds share training cases: with few cases these intervals are somewhat too short "
        "and p is somewhat too small."
    )


def comparisons_markdown(evaluation: Evaluation) -> str:
    """The comparisons to read: the difference of two ROC-AUC with its interval, p and Holm's p; empty without any."""
    if not evaluation.comparisons:
        return ""
    lines = [["", "compared with", "Difference in ROC-AUC", "p", "p after Holm"]]
    for one in evaluation.comparisons:
        difference = format_estimate(Estimate(one.difference, one.low, one.high, one.test), between=" to ")
        cells = [row_label(one.a), row_label(one.b), difference, format_p(one.p), format_p(one.p_adjusted)]
        lines.append([_escape_markdown(cell) for cell in cells])
    note = comparisons_note(evaluation)
    return _markdown(lines) + (f"\n{note}\n" if note else "")


def evaluation_markdown(evaluation: Evaluation, confidence: float = 0.95) -> str:
    """All that `rarelesion evaluate` shows: Table 3, the comparisons, what to believe, the subgroups."""
    lead = lead_recipe([result.recipe for result in evaluation.results]) or next(iter(evaluation.remarks), "")
    parts = (
        table3_markdown(evaluation, confidence),
        comparisons_markdown(evaluation),
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
    return _markdown([[_escape_markdown(cell) for cell in cells] for cells in lines])


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
        lines.append([_escape_markdown(cell) for cell in cells])
    return f"{_markdown(lines)}\n{subgroups_note(evaluation)}\n"


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


def _point(point: OperatingPoint | None) -> dict[str, Any] | None:
    if point is None:
        return None
    return {
        "threshold": point.threshold,
        "sensitivity": asdict(point.sensitivity),
        "specificity": asdict(point.specificity),
        "chosen_on": point.chosen_on,
    }


def evaluation_json(evaluation: Evaluation) -> dict[str, Any]:
    """Everything that was evaluated, as plain dicts and lists that `json` can write; shares in 0..1."""
    return {
        "recipes": {
            result.recipe: {
                "n_benign": result.n_benign,
                "n_malignant": result.n_malignant,
                "roc_auc": asdict(result.roc_auc),
                "pr_auc": asdict(result.pr_auc),
                "youden": _point(result.youden),
                "tuned": _point(result.tuned),
            }
            for result in evaluation.results
        },
        "comparisons": [asdict(comparison) for comparison in evaluation.comparisons],
        "remarks": {recipe: [asdict(remark) for remark in said] for recipe, said in evaluation.remarks.items()},
        "subgroups": [asdict(one) for one in evaluation.subgroups],
    }
