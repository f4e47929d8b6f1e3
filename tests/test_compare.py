import doctest

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from rarelesion import compare
from rarelesion.compare import as_scores, benjamini_hochberg, compare_roc_auc, compare_unpaired_roc_auc, holm
from rarelesion.errors import InputError
from rarelesion.folds import auc_influence, patient_variance, usable_folds
from rarelesion.intervals import roc_auc_estimate
from rarelesion.types import Scores
from score_rows import any_scores, make_scores, separable
from test_metrics import read, reference_cases


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


# --- different cases ------------------------------------------------------------------------------------------------


def in_hospital(name, label, score, **given):
    return as_scores(name, [f"{name}{i}" for i in range(len(label))], label, score, **given)


@pytest.mark.parametrize("row", read("compare_unpaired.csv"), ids=lambda row: f"{row['a']}-{row['b']}")
def test_unpaired_delong_agrees_with_proc(row):
    found = compare_unpaired_roc_auc(*(in_hospital(row[name], *reference_cases(row[name], name)) for name in "ab"))
    assert found.test == "unpaired DeLong with Welch's t"
    assert found.difference == pytest.approx(float(row["difference"]), abs=1e-12)
    assert (found.low, found.high) == pytest.approx((float(row["low"]), float(row["high"])), abs=1e-9)
    assert found.p == pytest.approx(float(row["p"]), abs=1e-9)


def unpaired_error(a, b):
    """The standard error that is behind an unpaired comparison, from the part of its p that is normal."""
    found = compare_unpaired_roc_auc(a, b, confidence=1e-6)
    return (found.high - found.low) / 2


def test_groups_of_the_same_cases_are_compared_as_pairs():
    one, two = pair("balanced")
    paired = compare_roc_auc(one, two, confidence=1e-6)
    # at this confidence Student's t and the normal differ by less than 1 in 200
    assert unpaired_error(one, two) == pytest.approx((paired.high - paired.low) / 2, rel=0.005)
    assert compare_unpaired_roc_auc(one, two).test == "120 patients in both, unpaired DeLong with Welch's t"


def test_shared_patients_add_their_covariance():
    one, two = pair("balanced")
    apart = renamed(
        two, "apart", patient_id=np.char.add("other ", two.patient_id), case_id=np.char.add("x", two.case_id)
    )
    half = np.arange(120) % 2 == 0
    mixed = renamed(apart, "half", patient_id=np.where(half, two.patient_id, apart.patient_id))
    full, some, none = (unpaired_error(one, other) for other in (two, mixed, apart))
    assert full < some < none
    influences = [auc_influence(usable_folds(scores))[1] for scores in (one, two)]
    covariance = float(np.sum((influences[0] * influences[1])[half]))
    assert (none**2 - some**2) / none**2 == pytest.approx(
        2 * covariance / sum(float(np.sum(influence**2)) for influence in influences), abs=1e-9
    )


def test_a_perfect_ranking_elsewhere_is_compared_by_both_intervals():
    perfect = in_hospital("north", [0] * 12 + [1] * 4, range(16))
    other = in_hospital("south", *separable(20, 10, seed=2))
    found = compare_unpaired_roc_auc(perfect, other)
    assert found.test == "score intervals combined as if independent, as an area shows no variance"
    areas = roc_auc_estimate(perfect), roc_auc_estimate(other)
    assert found.low == pytest.approx(found.difference - np.hypot(1 - areas[0].low, areas[1].high - areas[1].value))
    assert found.low < found.difference < found.high


@settings(max_examples=60, deadline=None)
@given(any_scores(), any_scores(), st.integers(0, 99))
def test_unpaired_comparison_is_honest_and_blind_to_order(one, two, seed):
    apart = renamed(two, "two", case_id=np.char.add("x", two.case_id))  # patients may be shared
    found, mirrored = compare_unpaired_roc_auc(one, apart), compare_unpaired_roc_auc(apart, one)
    assert (found.low, found.high, found.p) == pytest.approx((-mirrored.high, -mirrored.low, mirrored.p), abs=1e-9)
    assert -1 <= found.low <= found.difference <= found.high <= 1
    assert found.high - found.low > 1e-6
    assert 0 <= found.p <= 1
    shuffled = compare_unpaired_roc_auc(one.where(np.random.default_rng(seed).permutation(one.label.size)), apart)
    assert (shuffled.low, shuffled.high, shuffled.p) == pytest.approx((found.low, found.high, found.p), abs=1e-9)


def test_a_case_cannot_be_benign_in_one_group_and_malignant_in_the_other():
    one = as_scores("one", ["x", "y", "z"], [0, 1, 0], [1, 2, 3])
    with pytest.raises(InputError, match="one against two: label of case y; found 1 and 0; expected the same in both"):
        compare_unpaired_roc_auc(one, as_scores("two", ["y", "v", "w"], [0, 1, 0], [1, 2, 3]))


# --- plain arrays ---------------------------------------------------------------------------------------------------


def test_arrays_become_rows():
    scores = as_scores("net", [1, 2, 3], [0, 1, 1], [0.1, 0.3, 0.2], patients=["p", "q", "q"])
    assert scores.patient_id.tolist() == ["p", "q", "q"]
    assert set(scores.part) == {"test"}
    assert as_scores("net", [1, 2, 3], [0, 1, 1], [0.1, 0.3, 0.2]).patient_id.tolist() == [1, 2, 3]
    assert roc_auc_estimate(scores).value == 1.0


def test_arrays_that_are_no_scores():
    with pytest.raises(InputError) as error:
        as_scores("net", [1, 2], [0, 1, 1], [1, 2, 3], folds=[0])
    assert [str(problem) for problem in error.value.problems] == [
        "net: as many cases as scores are needed; found 2; expected 3.",
        "net: as many patients as scores are needed; found 2; expected 3.",
        "net: as many folds as scores are needed; found 1; expected 3.",
    ]
    with pytest.raises(InputError, match="a case comes twice; found 2 rows of case 7"):
        as_scores("net", [7, 7, 8], [0, 1, 1], [1, 2, 3])
    assert as_scores("net", [7, 7, 8, 8], [0, 0, 1, 1], [1, 2, 3, 4], repeats=[0, 1, 0, 1]).label.size == 4
    with pytest.raises(InputError, match="only one class"):
        as_scores("net", [1, 2], [1, 1], [1, 2])
    with pytest.raises(InputError, match="a score is not a finite number"):
        as_scores("net", [1, 2], [0, 1], [1, float("nan")])


# --- cross-validated areas against R --------------------------------------------------------------------------------


def cross_validated(rows):
    columns = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    return as_scores(
        "net",
        columns["case"],
        columns["label"].astype(int),
        columns["score"].astype(float),
        columns["patient"],
        columns["fold"],
        columns["rep"],
    )


def test_repeated_areas_of_patients_agree_with_pairs_counted_in_r():
    folds = usable_folds(cross_validated(read("compare_folds.csv")))
    value, influence = auc_influence(folds)
    expected = read("compare_cvauc.csv")[0]
    assert value == pytest.approx(float(expected["repeated_auc"]), abs=1e-12)
    assert patient_variance(folds.rows, influence) == pytest.approx(float(expected["clustered_variance"]), abs=1e-12)


def test_how_the_variance_differs_from_that_of_ci_cvauc():
    """Ours adds the spread of the folds' areas, and n / (n - 1) of each class: checked for folds of equal make-up."""
    rows = [{**row, "patient": row["case"]} for row in read("compare_folds.csv") if row["rep"] == "1"]
    folds = usable_folds(cross_validated(rows))
    value, influence = auc_influence(folds)
    expected = {name: float(number) for name, number in read("compare_cvauc.csv")[0].items()}
    assert value == pytest.approx(expected["cv_auc"], abs=1e-12)
    variance = 0.0
    for label, n in ((0, 60), (1, 20)):
        own = influence[folds.rows.label == label] * np.sqrt((n - 1) / n)
        variance += float(np.sum(own**2)) - expected["fold_variance"] / n
    assert variance == pytest.approx(expected["ledell_variance"], abs=1e-12)
    assert patient_variance(folds.rows, influence) > expected["ledell_variance"]


# --- many comparisons -----------------------------------------------------------------------------------------------


def test_adjusted_p_agree_with_r():
    rows = read("compare_adjusted.csv")
    p = [float(row["p"]) for row in rows]
    assert holm(p) == pytest.approx([float(row["holm"]) for row in rows], abs=1e-12)
    assert benjamini_hochberg(p) == pytest.approx([float(row["bh"]) for row in rows], abs=1e-12)
    for adjust in (holm, benjamini_hochberg):
        assert adjust([]) == ()
        assert adjust([0.8, 0.9])[1] <= 1.0


@pytest.mark.parametrize("adjust", [holm, benjamini_hochberg])
def test_what_is_no_p_is_refused(adjust):
    with pytest.raises(InputError, match="not a p-value; found nan at position 1"):
        adjust([0.5, float("nan"), 2.0])


@given(st.lists(st.floats(0, 1), max_size=20))
def test_benjamini_hochberg_lies_between_p_and_holm(p):
    adjusted = np.array(benjamini_hochberg(p))
    assert np.all(adjusted >= np.array(p) - 1e-15)
    assert np.all(adjusted <= np.array(holm(p)) + 1e-15)


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
