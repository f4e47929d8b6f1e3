"""What stands below Table 3."""

from dataclasses import replace

import numpy as np

from rarelesion.evaluation import Evaluation, evaluate
from rarelesion.sections import (
    comparisons_markdown,
    decisions_markdown,
    evaluation_markdown,
    noninferiority_markdown,
    useful_markdown,
)
from rarelesion.settings import StatisticsSettings
from rarelesion.types import Estimate
from test_evaluation import recipe
from test_tables import COMPARISON, EVALUATION, PROPOSED

SETTINGS = StatisticsSettings(bootstrap=100, permutations=99, prevalence=0.05, margin=0.2, conformal_alpha=0.2)
RECIPES = [recipe("vgg16", 1, gain=2.0), recipe("vgg16+texture", 2), recipe("reader:a|b", 3, gain=1.5)]


def test_comparisons_to_read():
    assert comparisons_markdown(EVALUATION).splitlines()[:3] == [
        "|  | compared with | Difference in ROC-AUC | p | p after Holm |",
        "| --- | --- | --- | --- | --- |",
        r"| VGG16 +texture +L2 +LOF | reader a_b\|50% | .12 (-.01 to .25) | .100 | .200 |",
    ]
    assert comparisons_markdown(Evaluation((PROPOSED,), ())) == ""


def test_after_folds_the_comparisons_say_what_that_does_to_them():
    one = EVALUATION.comparisons[0]
    folds = replace(EVALUATION, comparisons=(replace(one, test="mean of 5 folds, paired DeLong"),))
    assert comparisons_markdown(folds).endswith("p is somewhat too small.\n")
    single = replace(EVALUATION, comparisons=(replace(one, test="paired DeLong"),))
    assert "somewhat" not in comparisons_markdown(single)


def test_decisions_are_compared_beside_the_areas():
    decision = replace(COMPARISON, measure="sensitivity")
    head, _, row = decisions_markdown(replace(EVALUATION, decisions=(decision,))).splitlines()
    assert head == "|  | compared with | at the tuned thresholds | Difference | p | p after Holm |"
    assert row == r"| VGG16 +texture +L2 +LOF | reader a_b\|50% | sensitivity | .12 (-.01 to .25) | .100 | .200 |"
    assert decisions_markdown(EVALUATION) == ""


def test_the_heading_names_the_adjustment():
    screened = replace(EVALUATION, adjustment="Benjamini and Hochberg")
    assert "p after Benjamini and Hochberg" in comparisons_markdown(screened)


def test_what_a_margin_shows_is_said():
    evaluation = evaluate(RECIPES, SETTINGS, seed=0)
    (one,) = evaluation.noninferiority
    text = noninferiority_markdown(evaluation)
    assert "p (margin 0.2)" in text
    assert one.conclusion in text
    assert noninferiority_markdown(EVALUATION) == ""


def test_use_says_for_which_prevalence_and_which_rows_have_too_few_tuning_cases():
    text = useful_markdown(evaluate(RECIPES, SETTINGS, seed=0))
    assert "where 5 % are malignant" in text
    assert "at most 20 % of the patients" in text
    assert "ever to be ruled out" not in text
    strict = useful_markdown(evaluate(RECIPES, replace(SETTINGS, prevalence=None, conformal_alpha=0.05), seed=0))
    assert "in this cohort" in strict
    assert "too few tuning patients ever to be ruled out: VGG16 +texture, VGG16, reader a|b." in strict.replace(
        "VGG16, VGG16 +texture", "VGG16 +texture, VGG16"
    )
    assert useful_markdown(Evaluation((PROPOSED,), ())) == ""


def test_a_score_that_says_nothing_has_no_slope():
    flat = recipe("vgg16", 0)
    flat = replace(flat, score=np.zeros(flat.score.size))
    text = useful_markdown(evaluate([flat], replace(SETTINGS, margin=None), 0))
    rows = [line for line in text.splitlines() if line.startswith("| VGG16")]
    assert [cell.strip() for cell in rows[0].split("|")][4] == "–"
    assert rows[0].endswith("| nowhere |")


def test_a_slope_of_almost_equal_probabilities_is_not_written_out():
    evaluation = evaluate(RECIPES, SETTINGS, seed=0)
    found = evaluation.usefulness["vgg16"]
    steep = replace(found, slope=Estimate(99.3, -11.2, 232.6, "made"))
    text = useful_markdown(replace(evaluation, usefulness={"vgg16": steep}))
    assert "| >10 (from -11.20) |" in text


def test_everything_is_shown_together():
    text = evaluation_markdown(evaluate(RECIPES, SETTINGS, seed=0))
    headings = [
        "| Specificity, tuned | PPV at 5 %",
        "Difference in ROC-AUC",
        "at the tuned thresholds",
        "p (margin 0.2)",
        "As probabilities",
        "With unsure allowed",
        "Can I believe",
    ]
    places = [text.index(heading) for heading in headings]
    assert places == sorted(places)
