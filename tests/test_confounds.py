"""What tells the label is found, and chance is not."""

import numpy as np
import pytest

from rarelesion.confounds import numbers_of, what_is_told, worth_asking

LABELS = np.array([1] * 40 + [0] * 80)
PATIENTS = [f"p{index}" for index in range(120)]


def told(questions, asked=1):
    return {one.name: one for one in what_is_told(questions, LABELS, PATIENTS, 0, asked)}


def test_a_number_in_the_middle_tells_as_well_as_a_large_one():
    rng = np.random.default_rng(0)
    large = (LABELS + 0.3 * rng.normal(size=120))[:, None]
    middle = np.where(LABELS == 1, 0, rng.choice([-2, 2], 120))[:, None] + 0.3 * rng.normal(size=(120, 1))
    found = told({"large": large, "middle": middle})
    assert found["large"].is_finding
    assert found["large"].auc.value > 0.95
    assert found["middle"].auc.value > 0.8


def test_a_word_tells():
    words = ["north" if label else ("south", "north")[index % 2] for index, label in enumerate(LABELS)]
    found = told({"site": words})["site"]
    assert found.is_finding
    assert found.auc.value == pytest.approx(0.75, abs=0.02)


def test_a_missing_value_may_tell():
    values = np.where(LABELS == 1, np.nan, 1.0)[:, None]
    assert told({"age": values})["age"].auc.value == 1


def test_chance_is_found_about_as_seldom_as_promised():
    rng = np.random.default_rng(1)
    false = sum(told({"x": rng.normal(size=(120, 1))})["x"].is_finding for _ in range(60))
    assert false <= 4


def test_more_questions_make_wider_intervals():
    values = np.random.default_rng(2).normal(size=(120, 3))
    one, ten = told({"x": values})["x"].auc, told({"x": values}, asked=10)["x"].auc
    assert one.value == ten.value
    assert ten.low < one.low < one.high < ten.high


def test_few_patients_are_not_asked_about():
    assert what_is_told({"x": np.arange(120.0)[:, None]}, LABELS, ["a"] * 40 + PATIENTS[40:], 0, 1) == ()


def test_what_is_worth_asking():
    assert not worth_asking(np.ones((5, 2)))
    assert worth_asking(np.array([[1.0], [2.0]]))
    assert not worth_asking(["a", "a", "a"])
    assert not worth_asking(["a", "b", "c"])
    assert worth_asking(["a", "a", "b", "b"])
    assert numbers_of(["1", "", "2.5"]) is not None
    assert numbers_of(["1", "two"]) is None
