"""Sentences that follow from the numbers by rule."""

import pytest

from rarelesion.evaluation import Evaluation
from rarelesion.recipes import PROPOSED
from rarelesion.tables import format_p
from rarelesion.types import Comparison, Estimate, Finding, OperatingPoint, RecipeResult
from rarelesion.wording import (
    area_sentence,
    cases_sentence,
    chance_sentence,
    comparison_sentence,
    signed,
    summary,
    threshold_sentence,
    width_sentence,
)

AREA = Estimate(0.86, 0.73, 0.99, "DeLong")


def row(recipe: str = PROPOSED, area: Estimate = AREA, tuned: bool = True) -> RecipeResult:
    found, spared = Estimate(0.75, 0.47, 0.91, "Wilson"), Estimate(0.82, 0.66, 0.92, "Wilson")
    honest = OperatingPoint(0.2, found, spared, "tune") if tuned else None
    return RecipeResult(recipe, 34, 12, area, area, OperatingPoint(0.3, found, spared, "test"), honest)


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (0.51, 0.9, "better than chance on these cases"),
        (0.50, 0.9, "not shown to be better than chance"),
        (0.40, 0.6, "not shown to be better than chance"),
        (0.10, 0.5, "not shown to be better than chance"),
        (0.10, 0.49, "worse than chance"),
    ],
)
def test_chance_is_judged_by_the_interval(low, high, words):
    assert words in chance_sentence(Estimate((low + high) / 2, low, high, ""))


def test_a_wide_interval_is_named_with_the_number_of_malignant_cases():
    assert "with 12 malignant test cases" in width_sentence(AREA, 12)
    assert ".73 or as high as .99" in width_sentence(AREA, 12)
    assert width_sentence(Estimate(0.8, 0.71, 0.9, ""), 12) == ""


def test_cases_and_area_are_told_in_plain_numbers():
    assert cases_sentence(row()) == "There were 46 test cases, 12 of them malignant (26 %)."
    sentence = area_sentence("VGG16", AREA, 0.9)
    assert "of .86 (90 % interval .73 to .99)" in sentence
    assert sentence.endswith("in about 86.")


def test_the_honest_threshold_is_told_or_its_absence():
    sentence = threshold_sentence(row())
    assert "found 75 % of the malignant test cases (interval 47 to 91 %)" in sentence
    assert "no alarm about 82 % of the benign ones (interval 66 to 92 %)" in sentence
    assert "optimistic" in threshold_sentence(row(tuned=False))


@pytest.mark.parametrize(
    ("difference", "adjusted", "words"),
    [
        (0.12, 0.20, "larger by .12"),
        (0.12, 0.20, "no difference is shown, which does not show that the two are equal"),
        (0.12, 0.01, "better than reader A"),
        (-0.12, 0.01, "worse than reader A"),
    ],
)
def test_a_comparison_is_judged_by_the_adjusted_p(difference, adjusted, words):
    one = Comparison("a", "b", difference, difference - 0.1, difference + 0.1, 0.001, adjusted, "")
    assert words in comparison_sentence(one, "reader A", 0.95)


def test_numbers_are_printed_with_sign_and_small_p_with_three_decimals():
    assert [signed(value) for value in (0.05, -0.1, 0.0)] == ["+.05", "−.10", "+.00"]
    assert [format_p(p) for p in (0.0004, 0.0041, 0.28, 1.0)] == ["<.001", ".004", ".280", "1.000"]


def test_a_comparison_is_turned_so_that_the_row_of_the_summary_comes_first():
    turned = Comparison("reader:A", PROPOSED, -0.12, -0.3, 0.06, 0.2, 0.2, "")
    evaluation = Evaluation((row(), row("reader:A")), (turned,))
    text = " ".join(summary(evaluation, row()))
    assert "Against reader A on the same cases its area was larger by .12 (95 % interval −.06 to +.30" in text


def test_the_summary_says_when_no_reader_took_part_and_when_checks_found_something():
    finding = Finding("few-malignant", "warning", "cohort.csv", "few", "more")
    text = " ".join(summary(Evaluation((row(),), ()), row(), findings=(finding,)))
    assert "No reader was compared" in text
    assert "1 point to look at" in text
