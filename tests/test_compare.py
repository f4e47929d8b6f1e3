import doctest

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from rarelesion import compare
from rarelesion.compare import compare_roc_auc, holm
from rarelesion.errors import InputError
from rarelesion.intervals import roc_auc_estimate
from rarelesion.types import Scores
from score_rows import any_scores, make_scores, separable
from test_metrics import read


def pair(dataset):
    rows = [row for row in read("cases.csv") if row["dataset"] == dataset]
    label = [int(row["label"]) for row in rows]
    return tuple(make_scores(label, [float(row[name]) for row in rows]) for name in ("a", "b"))


def renamed(scores, recipe, **changed):
    names = ("repeat", "fold", "part", "case_id", "patient_id", "label", "score")
    return Scores(recipe, *(changed.get(name, getattr(scores, name)) for name in names))


@pytest.mark.parametrize("row", read("paired.csv"), ids=lambda row: row["dataset"])
def test_paired_delong_agrees_with_proc(row):
    found = compare_roc_auc(*pair(row["dataset"]))
    assert found.test == "paired DeLong"
    assert found.difference == pytest.approx(float(row["difference"]), abs=1e-12)
    assert (found.low, found.high) == pytest.approx((float(row["low"]), float(row["high"])), abs=1e-9)
    assert found.p == found.p_adjusted == pytest.approx(float(row["p"]), abs=1e-9)


def test_identical_scores_differ_by_0_and_still_have_an_interval():
    scores = make_scores(*separable(20, 8))
    found = compare_roc_auc(scores, renamed(scores, "copy"))
    assert (found.a, found.b, found.difference, found.p) == ("made-up", "copy", 0.0, 1.0)
    assert -1 < found.low < 0 < found.high < 1
    assert "as if independent" in found.test


def test_two_perfect_rankings_are_no_proof_of_equality():
    label = [0] * 12 + [1] * 4
    found = compare_roc_auc(make_scores(label, range(16)), make_scores(label, np.arange(16.0) ** 2))
    margin = 1 - roc_auc_estimate(make_scores(label, range(16))).low
    assert (found.difference, found.low, found.high, found.p) == pytest.approx((0, -margin, margin, 1))


def test_perfect_against_perfectly_wrong():
    label, score = np.repeat([0, 1], [12, 8]), np.arange(20)
    found = compare_roc_auc(make_scores(label, score), make_scores(label, -score))
    assert (found.difference, found.high) == (1.0, 1.0)
    assert 0.5 < found.low < 1
    assert 0 < found.p < 1e-4


@settings(max_examples=60, deadline=None)
@given(any_scores(), st.integers(0, 999))
def test_swapping_the_recipes_mirrors_the_comparison(scores, seed):
    rng = np.random.default_rng(seed)
    other = renamed(scores, "other", score=rng.integers(0, 4, scores.label.size).astype(float))
    one, two = compare_roc_auc(scores, other), compare_roc_auc(other, scores)
    assert (one.difference, one.low, one.high) == pytest.approx((-two.difference, -two.high, -two.low), abs=1e-9)
    assert one.p == pytest.approx(two.p, abs=1e-9)
    assert -1 <= one.low <= one.difference <= one.high <= 1
    assert one.low < one.high
    assert 0 <= one.p <= 1


@settings(max_examples=30, deadline=None)
@given(any_scores(), st.integers(0, 999))
def test_order_of_the_rows_does_not_matter(scores, seed):
    rng = np.random.default_rng(seed)
    other = renamed(scores, "other", score=rng.normal(size=scores.label.size))
    one = compare_roc_auc(scores, other)
    two = compare_roc_auc(scores.where(rng.permutation(scores.label.size)), other)
    assert (one.difference, one.low, one.high, one.p) == pytest.approx((two.difference, two.low, two.high, two.p))


def test_p_agrees_with_the_interval():
    found = compare_roc_auc(*pair("below_chance"), confidence=0.9)
    error = (found.high - found.low) / 2 / norm.ppf(0.95)
    assert found.p == pytest.approx(2 * norm.sf(abs(found.difference) / error))
    assert (found.low < 0 < found.high) == (found.p > 0.1)


def test_only_common_cases_count():
    scores = make_scores([0, 0, 1, 1, 0, 1], [1, 2, 3, 4, 9, 0])
    partial = renamed(scores, "reader:x", score=np.array([2.0, 1, 3, 2, 0, 0])).where(np.arange(6) < 4)
    found = compare_roc_auc(scores, partial)
    assert found.difference == pytest.approx(1.0 - 3.5 / 4)


def test_areas_of_folds_are_averaged_and_tuning_cases_ignored():
    label, score = separable(20, 10, seed=1)
    fold = np.arange(30) % 2
    part = np.where(np.arange(30) < 28, "test", "tune")
    one = make_scores(label, score + 10 * fold, fold=fold, part=part)
    two = renamed(one, "two", score=np.random.default_rng(0).normal(size=30))
    found = compare_roc_auc(one, two)
    assert found.difference == pytest.approx(roc_auc_estimate(one).value - roc_auc_estimate(two).value)
    assert found.test == "mean of 2 folds, paired DeLong"


def test_repeating_the_same_scores_does_not_lower_p():
    label, score = separable(30, 10, seed=3)
    case = [f"case{i}" for i in range(40)]
    other = np.random.default_rng(1).normal(size=40)
    once = compare_roc_auc(make_scores(label, score, case=case), make_scores(label, other, case=case))
    again = {"repeat": np.repeat([0, 1], 40), "case": case * 2}
    twice = compare_roc_auc(*(make_scores(np.tile(label, 2), np.tile(values, 2), **again) for values in (score, other)))
    assert twice.p == pytest.approx(once.p, abs=1e-12)


def test_recipes_that_cannot_be_compared():
    scores = make_scores([0, 1, 0, 1], [1, 2, 3, 4])
    with pytest.raises(InputError, match="made-up against other: no common test cases; found 4 and 4"):
        compare_roc_auc(scores, renamed(scores, "other", case_id=np.array(list("abcd"))))
    with pytest.raises(InputError) as error:
        compare_roc_auc(scores, renamed(scores, "other", fold=np.array([0, 0, 1, 0]), label=np.array([0, 1, 1, 1])))
    assert [problem.what for problem in error.value.problems] == ["fold of case case2", "label of case case2"]


def test_holm_agrees_with_r():
    # p.adjust(c(0.01, 0.04, 0.03, 0.005, 0.7), "holm")
    assert holm([0.01, 0.04, 0.03, 0.005, 0.7]) == pytest.approx((0.04, 0.09, 0.09, 0.025, 0.7))
    assert holm([]) == ()
    assert holm([0.8, 0.9]) == (1.0, 1.0)


@given(st.lists(st.floats(0, 1), max_size=20))
def test_holm_never_lowers_a_p_and_keeps_their_order(p):
    adjusted = np.array(holm(p))
    assert np.all(adjusted >= np.array(p) - 1e-15)
    assert np.all(adjusted <= 1)
    assert np.all(np.diff(adjusted[np.argsort(p)]) >= 0)


def test_examples_in_the_docs_run():
    assert doctest.testmod(compare).failed == 0
