import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from scipy.stats import t as student

from rarelesion.compare import compare_roc_auc
from rarelesion.errors import InputError
from rarelesion.intervals import pr_auc_estimate
from rarelesion.metrics import average_precision, sensitivity_specificity
from rarelesion.paired_bootstrap import compare_bootstrap
from rarelesion.proportions import proportion_interval
from score_rows import any_scores, make_scores, separable
from test_compare import pair, renamed
from test_metrics import read


def test_difference_in_pr_auc_agrees_with_draws_made_in_r():
    expected = {name: float(number) for name, number in read("compare_bootstrap.csv")[0].items()}
    found = compare_bootstrap(*pair("paper_size"), resamples=6000)
    assert found.difference == pytest.approx(expected["difference"], abs=1e-12)
    # 12 malignant patients; two runs of 6000 draws differ by some per cent of an error
    error = expected["error"] * np.sqrt(12 / 11)
    assert (found.high - found.low) / 2 / student.ppf(0.975, 11) == pytest.approx(error, rel=0.04)
    assert found.test == "bootstrap of 6000 paired draws of patients"


@pytest.mark.parametrize(("dataset", "smaller"), [("balanced", 60), ("paper_size", 12), ("coarse", 15)])
def test_draws_of_the_roc_area_are_near_paired_delong(dataset, smaller):
    drawn, delong = compare_bootstrap(*pair(dataset), "roc_auc"), compare_roc_auc(*pair(dataset))
    assert drawn.difference == pytest.approx(delong.difference, abs=1e-12)
    errors = (drawn.high - drawn.low) / student.ppf(0.975, smaller - 1), (delong.high - delong.low) / norm.ppf(0.975)
    assert errors[0] == pytest.approx(errors[1], rel=0.08)


def test_p_agrees_with_the_interval():
    found = compare_bootstrap(*pair("below_chance"), confidence=0.9)
    error = (found.high - found.low) / 2 / student.ppf(0.95, 19)  # 20 malignant, 30 benign
    assert found.p == pytest.approx(2 * student.sf(abs(found.difference) / error, 19))
    assert (found.low < 0 < found.high) == (found.p > 0.1)


def test_any_measure_can_be_compared():
    one, two = pair("paper_size")
    by_name = compare_bootstrap(one, two, "pr_auc", resamples=100, seed=3)
    assert compare_bootstrap(one, two, average_precision, resamples=100, seed=3) == by_name
    called = compare_bootstrap(
        one, two, lambda label, score: sensitivity_specificity(label, score, 0.5)[0], resamples=200
    )
    expected = [np.mean(scores.score[scores.label == 1] >= 0.5) for scores in (one, two)]
    assert called.difference == pytest.approx(expected[0] - expected[1])
    assert called.low < called.difference < called.high


def test_each_fold_has_its_own_scale():
    label, score = separable(24, 12, seed=1)
    fold, other = np.arange(36) % 3, np.random.default_rng(0).normal(size=36)
    one = make_scores(label, score, fold=fold)
    two = renamed(one, "two", score=other)
    moved = make_scores(label, np.exp(score) + 100 * fold, fold=fold)
    first, second = (compare_bootstrap(scores, two, resamples=200) for scores in (one, moved))
    assert first == second
    expected = [
        average_precision(label[fold == k], score[fold == k]) - average_precision(label[fold == k], other[fold == k])
        for k in range(3)
    ]
    assert first.difference == pytest.approx(np.mean(expected), abs=1e-12)
    assert first.test == "mean of 3 folds, bootstrap of 200 paired draws of patients"


def test_copies_add_no_certainty():
    label, score = separable(20, 8, seed=5)
    other = np.random.default_rng(2).normal(size=28)
    case = [f"case{i}" for i in range(28)]
    once = [make_scores(label, values, case=case) for values in (score, other)]
    again = {"repeat": np.repeat([0, 1], 28), "case": case * 2}
    repeated = [make_scores(np.tile(label, 2), np.tile(values, 2), **again) for values in (score, other)]
    doubled = [make_scores(np.tile(label, 2), np.tile(values, 2), patient=case * 2) for values in (score, other)]
    found = compare_bootstrap(*once)
    for copies in (repeated, doubled):
        copied = compare_bootstrap(*copies)
        assert (copied.low, copied.high, copied.p) == pytest.approx((found.low, found.high, found.p), abs=1e-9)


def test_two_perfect_rankings_are_no_proof_of_equality():
    label = [0] * 12 + [1] * 4
    found = compare_bootstrap(make_scores(label, range(16)), make_scores(label, np.arange(16.0) ** 2))
    margin = 1 - proportion_interval(4, 4)[0]
    assert margin == pytest.approx(1 - pr_auc_estimate(make_scores(label, range(16))).low)
    assert (found.difference, found.low, found.high, found.p) == pytest.approx((0, -margin, margin, 1))
    assert found.test.startswith("Wilson on 4 patients combined as if independent")


def test_a_single_malignant_patient_gives_a_wide_interval():
    label, score = [0] * 8 + [1], [*range(8), 5.5]
    other = np.random.default_rng(1).normal(size=9)
    found = compare_bootstrap(make_scores(label, score), make_scores(label, other))
    assert "Wilson on 1 patients" in found.test
    assert found.high - found.low > 1


@settings(max_examples=60, deadline=None)
@given(any_scores(), st.integers(0, 999), st.sampled_from([0.5, 0.95, 0.99]))
def test_the_interval_is_honest_and_mirrored(scores, seed, confidence):
    rng = np.random.default_rng(seed)
    other = renamed(scores, "other", score=rng.integers(0, 4, scores.label.size).astype(float))
    found = compare_bootstrap(scores, other, confidence=confidence, resamples=50)
    mirrored = compare_bootstrap(other, scores, confidence=confidence, resamples=50)
    assert -1 <= found.low <= found.difference <= found.high <= 1
    assert found.high - found.low > 1e-6
    assert 0 <= found.p <= 1
    assert (found.low, found.high, found.p) == pytest.approx((-mirrored.high, -mirrored.low, mirrored.p), abs=1e-9)
    assert all(type(number) is float for number in (found.difference, found.low, found.high, found.p))


def test_the_seed_decides_and_order_does_not_matter():
    one, two = pair("paper_size")
    found = compare_bootstrap(one, two, seed=1, resamples=300)
    assert compare_bootstrap(one, two, seed=1, resamples=300) == found
    assert compare_bootstrap(one, two, seed=2, resamples=300) != found
    shuffled = one.where(np.random.default_rng(0).permutation(one.label.size))
    assert compare_bootstrap(shuffled, two, seed=1, resamples=300) == found


def test_what_cannot_be_compared():
    one, two = pair("tiny")
    with pytest.raises(InputError, match=r"metric: no such metric; found 'f1'; expected roc_auc, pr_auc or a function"):
        compare_bootstrap(one, two, "f1")
    with pytest.raises(InputError, match="a metric out of its range; found 7"):
        compare_bootstrap(one, two, lambda label, score: 7.0)
    with pytest.raises(InputError, match="too few draws; found 1"):
        compare_bootstrap(one, two, resamples=1)
    with pytest.raises(InputError, match="no common test cases"):
        compare_bootstrap(one, renamed(two, "other", case_id=np.char.add("x", two.case_id)))
    with pytest.raises(InputError, match="no fold tests both classes"):
        compare_bootstrap(make_scores([0, 0], [1, 2]), make_scores([0, 0], [1, 2]))
    with pytest.raises(InputError, match="score of case case1; found nan"):
        compare_bootstrap(make_scores([0, 1], [1, float("nan")]), make_scores([0, 1], [1, 2]))
