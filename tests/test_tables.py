import csv
import io
import json
from dataclasses import replace

import pytest

from rarelesion.evaluation import Evaluation, evaluation_json
from rarelesion.tables import (
    comparisons_csv,
    format_estimate,
    format_p,
    format_share,
    row_label,
    table3_csv,
    table3_latex,
    table3_markdown,
    table3_rows,
)
from rarelesion.types import Comparison, Estimate, OperatingPoint, PredictiveValues, RecipeResult


def estimate(value, low, high, method="made"):
    return Estimate(value, low, high, method)


PROPOSED = RecipeResult(
    recipe="vgg16+texture+l2+lof",
    n_benign=34,
    n_malignant=12,
    roc_auc=estimate(0.86, 0.73, 0.99, "DeLong on the logit scale"),
    pr_auc=estimate(0.77, 0.5701, 1.0, "bootstrap"),
    youden=OperatingPoint(1.5, estimate(0.75, 0.46, 0.91), estimate(0.8235, 0.66, 0.92), "test"),
    tuned=OperatingPoint(1.25, estimate(0.5, 0.25, 0.75), estimate(1.0, 0.9, 1.0), "tune"),
)
READER = RecipeResult(
    recipe="reader:a_b|50%",
    n_benign=34,
    n_malignant=12,
    roc_auc=estimate(0.74, 0.58, 0.9),
    pr_auc=estimate(0.51, 0.29, 0.76),
    youden=OperatingPoint(3.0, estimate(0.83, 0.5, 0.9), estimate(0.56, 0.4, 0.7), "test"),
    tuned=None,
)
COMPARISON = Comparison(PROPOSED.recipe, READER.recipe, 0.12, -0.0123456789, 0.25, 0.1, 0.2, "mean of 5 folds, paired")
EVALUATION = Evaluation((PROPOSED, READER), (COMPARISON,))


@pytest.mark.parametrize(
    ("value", "text"), [(0.86, ".86"), (1.0, "1.00"), (0.0, ".00"), (-0.054, "-.05"), (-0.001, ".00"), (0.996, "1.00")]
)
def test_shares_look_as_in_the_paper(value, text):
    assert format_share(value) == text
    assert format_estimate(Estimate(value, 0.1, 1.0, "")) == f"{format_share(value)} (.10–1.00)"


@pytest.mark.parametrize(
    ("recipe", "label"),
    [
        ("vgg16", "VGG16"),
        ("mobilenet+texture+l2+ocsvm", "MobileNet +texture +L2 +OCSVM"),
        ("cvae", "CVAE"),
        ("reader:Kim", "reader Kim"),
        ("densenet+new", "densenet +new"),
    ],
)
def test_recipes_are_named_as_people_write_them(recipe, label):
    assert row_label(recipe) == label


def test_rows_hold_every_number_in_full():
    first, second = table3_rows(EVALUATION)
    assert list(first) == list(second)
    assert (first["recipe"], first["n_benign"], first["n_malignant"]) == ("vgg16+texture+l2+lof", 34, 12)
    assert (first["pr_auc"], first["pr_auc_low"], first["pr_auc_high"]) == (0.77, 0.5701, 1.0)
    assert (first["threshold"], first["sensitivity"], first["specificity_low"]) == (1.5, 0.75, 0.66)
    assert (first["tuned_threshold"], first["tuned_sensitivity"], first["tuned_specificity_high"]) == (1.25, 0.5, 1.0)
    assert first["roc_auc_method"] == "DeLong on the logit scale"
    assert second["tuned_sensitivity"] is None


def test_csv_reads_back():
    rows = list(csv.DictReader(io.StringIO(table3_csv(EVALUATION))))
    assert [row["recipe"] for row in rows] == [PROPOSED.recipe, READER.recipe]
    assert float(rows[0]["specificity"]) == 0.8235
    assert rows[1]["tuned_threshold"] == ""


def test_comparisons_csv_reads_back():
    (row,) = csv.DictReader(io.StringIO(comparisons_csv(EVALUATION)))
    assert list(row) == ["a", "b", "difference", "low", "high", "p", "p_adjusted", "test", "measure"]
    assert (row["a"], float(row["low"]), row["test"]) == (PROPOSED.recipe, -0.0123456789, "mean of 5 folds, paired")
    assert comparisons_csv(Evaluation((PROPOSED,), ())).splitlines() == [
        "a,b,difference,low,high,p,p_adjusted,test,measure"
    ]


@pytest.mark.parametrize(("p", "text"), [(0.0409, ".041"), (1.0, "1.000"), (0.0009, "<.001"), (0.0, "<.001")])
def test_p_values_have_three_decimals(p, text):
    assert format_p(p) == text


def test_markdown_has_the_papers_columns_and_then_the_honest_ones():
    head, _, first, second, _, note = table3_markdown(EVALUATION).splitlines()
    columns = (
        "Sensitivity | Specificity | ROC-AUC (95 % CI) | PR-AUC (95 % CI) | Sensitivity, tuned | Specificity, tuned"
    )
    assert head == f"|  | {columns} |"
    assert first == (
        "| VGG16 +texture +L2 +LOF | .75 | .82 | .86 (.73–.99) | .77 (.57–1.00) | .50 (.25–.75) | 1.00 (.90–1.00) |"
    )
    assert second == r"| reader a_b\|50% | .83 | .56 | .74 (.58–.90) | .51 (.29–.76) | – | – |"
    assert note.startswith(
        "Test cases: 34 benign and 12 malignant. By chance the ROC-AUC is .50 and the PR-AUC about .26. "
    )
    assert "optimistic" in note
    assert "(90 % CI)" in table3_markdown(EVALUATION, confidence=0.9)


def test_latex_is_escaped_and_balanced():
    text = table3_latex(EVALUATION)
    assert r"reader a\_b|50\% & .83 & .56 & .74 (.58--.90) & .51 (.29--.76) & -- & -- \\" in text
    assert r"ROC-AUC (95 \% CI)" in text
    assert text.count(r"\begin{") == text.count(r"\end{") == 2
    assert [text.count(rule) for rule in (r"\toprule", r"\midrule", r"\bottomrule")] == [1, 1, 1]
    hostile = Evaluation((RecipeResult("reader:\\{x}^~#$&", 1, 1, *[READER.roc_auc] * 2, READER.youden, None),), ())
    assert r"reader \textbackslash{}\{x\}\textasciicircum{}\textasciitilde{}\#\$\&" in table3_latex(hostile)


def test_json_has_the_agreed_shape():
    found = json.loads(json.dumps(evaluation_json(EVALUATION), allow_nan=False))
    assert found["recipes"][PROPOSED.recipe] == {
        "n_benign": 34,
        "n_malignant": 12,
        "roc_auc": {"value": 0.86, "low": 0.73, "high": 0.99, "method": "DeLong on the logit scale"},
        "pr_auc": {"value": 0.77, "low": 0.5701, "high": 1.0, "method": "bootstrap"},
        "youden": {
            "threshold": 1.5,
            "sensitivity": {"value": 0.75, "low": 0.46, "high": 0.91, "method": "made"},
            "specificity": {"value": 0.8235, "low": 0.66, "high": 0.92, "method": "made"},
            "chosen_on": "test",
            "rule": "youden",
            "at_prevalence": None,
        },
        "tuned": {
            "threshold": 1.25,
            "sensitivity": {"value": 0.5, "low": 0.25, "high": 0.75, "method": "made"},
            "specificity": {"value": 1.0, "low": 0.9, "high": 1.0, "method": "made"},
            "chosen_on": "tune",
            "rule": "youden",
            "at_prevalence": None,
        },
    }
    assert found["recipes"][READER.recipe]["tuned"] is None
    assert found["comparisons"] == [
        {
            "a": PROPOSED.recipe,
            "b": READER.recipe,
            "difference": 0.12,
            "low": -0.0123456789,
            "high": 0.25,
            "p": 0.1,
            "p_adjusted": 0.2,
            "test": "mean of 5 folds, paired",
            "measure": "ROC-AUC",
        }
    ]


def test_predictive_values_stand_beside_the_tuned_point_where_a_prevalence_was_stated():
    values = PredictiveValues(0.05, estimate(0.2, 0.1, 0.4), estimate(0.98, 0.9, 1.0))
    stated = replace(PROPOSED, tuned=replace(PROPOSED.tuned, at_prevalence=values, rule="sensitivity>=0.95"))
    evaluation = Evaluation((stated, READER), ())
    head, _, first, second, _, note = table3_markdown(evaluation).splitlines()
    assert head.endswith("| Specificity, tuned | PPV at 5 % | NPV at 5 % |")
    assert first.endswith("| .20 (.10–.40) | .98 (.90–1.00) |")
    assert second.endswith("| – | – | – | – |")
    assert note.endswith("The tuning cases chose it by the rule sensitivity>=0.95.")
    one, other = table3_rows(evaluation)
    assert (one["prevalence"], one["tuned_ppv_low"], one["tuned_npv"]) == (0.05, 0.1, 0.98)
    assert one["tuned_rule"] == "sensitivity>=0.95"
    assert (other["prevalence"], other["tuned_ppv"], other["tuned_rule"]) == (None, None, None)
