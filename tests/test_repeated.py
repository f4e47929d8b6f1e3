import doctest

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.stats import t as student

from rarelesion import repeated
from rarelesion.errors import InputError
from rarelesion.repeated import compare_resampled, resampled_mean
from test_metrics import read

SHARES = st.lists(st.floats(0, 1), min_size=2, max_size=20)


def fold_values():
    return ([float(row[name]) for row in read("compare_fold_values.csv")] for name in ("a", "b"))


def test_mean_and_difference_agree_with_r():
    expected = {name: float(number) for name, number in read("compare_resampled.csv")[0].items()}
    a, b = fold_values()
    mean, found = resampled_mean(a, n_test=9, n_train=36), compare_resampled(a, b, n_test=9, n_train=36)
    bounds = expected["mean"], expected["mean_low"], expected["mean_high"]
    assert (mean.value, mean.low, mean.high) == pytest.approx(bounds, abs=1e-12)
    assert (found.low, found.high, found.p) == pytest.approx(
        (expected["low"], expected["high"], expected["p"]), abs=1e-12
    )
    assert found.test == "mean of 15 folds, corrected resampled t"


def test_two_folds_by_hand():
    """Mean 0.6, variance 0.08, corrected by 1/2 + 1/4, t of one degree of freedom."""
    found = resampled_mean([0.4, 0.8], n_test=10, n_train=40, confidence=0.5)
    half = np.sqrt(0.08 * 0.75) * np.tan(np.pi / 4)
    assert (found.value, found.low, found.high) == pytest.approx((0.6, 0.6 - half, 0.6 + half))


def test_more_repeats_do_not_take_the_interval_below_the_correction():
    values = np.tile([0.7, 0.8, 0.9, 0.8, 0.6], 2000)
    found = resampled_mean(values, n_test=20, n_train=80)
    floor = student.ppf(0.975, values.size - 1) * np.std(values) * np.sqrt(20 / 80)
    assert (found.high - found.low) / 2 == pytest.approx(floor, rel=1e-3)


@settings(max_examples=80, deadline=None)
@given(SHARES, st.randoms(), st.sampled_from([0.5, 0.95]), st.sampled_from([0.1, 0.25, 1.0]))
def test_the_interval_is_honest(values, random, confidence, ratio):
    assume(np.var(values) > 1e-12)
    found = resampled_mean(values, ratio, 1.0, confidence)
    assert 0 <= found.low <= found.value <= found.high <= 1
    assert found.low < found.high
    random.shuffle(values)
    assert resampled_mean(values, ratio, 1.0, confidence).low == pytest.approx(found.low, abs=1e-9)


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=2, max_size=20))
def test_swapping_the_recipes_mirrors_the_comparison(pairs):
    a, b = np.array(pairs).T
    assume(np.var(a - b) > 1e-12)
    one, two = compare_resampled(a, b, 10, 40), compare_resampled(b, a, 10, 40)
    assert (one.low, one.high, one.p) == pytest.approx((-two.high, -two.low, two.p), abs=1e-9)
    assert -1 <= one.low <= one.difference <= one.high <= 1
    assert one.low < one.high
    if abs(one.p - 0.05) > 1e-6:
        assert (one.low <= 0 <= one.high) == (one.p > 0.05)


def test_what_cannot_be_judged():
    with pytest.raises(InputError, match=r"values: too few folds; found 1 values"):
        resampled_mean([0.5], 10, 40)
    with pytest.raises(InputError, match="found nan at position 1"):
        resampled_mean([0.5, float("nan")], 10, 40)
    with pytest.raises(InputError, match=r"found 1.2 at position 0"):
        compare_resampled([1.2, 0.5], [0.5, 0.6], 10, 40)
    with pytest.raises(InputError, match="no spread between the folds; found 3 times 1;"):
        resampled_mean([1, 1, 1], 10, 40)
    with pytest.raises(InputError, match="no spread between the folds; found 2 times 0;"):
        compare_resampled([0.5, 0.6], [0.5, 0.6], 10, 40)
    with pytest.raises(InputError) as error:
        resampled_mean([0.5, 0.6], 0, float("nan"))
    assert [problem.where for problem in error.value.problems] == ["n_test", "n_train"]
    with pytest.raises(InputError, match="values must come in pairs; found 2 and 3 values"):
        compare_resampled([0.5, 0.6], [0.5, 0.6, 0.7], 10, 40)
    with pytest.raises(InputError, match="a number between 0 and 1"):
        resampled_mean([0.5, 0.6], 10, 40, confidence=95)


def test_examples_in_the_docs_run():
    assert doctest.testmod(repeated).failed == 0
