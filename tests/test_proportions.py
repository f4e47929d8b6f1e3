import csv
import doctest
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from rarelesion import proportions
from rarelesion.errors import InputError
from rarelesion.proportions import SHARE_INTERVALS, clopper_pearson_interval, proportion_interval

SHARES = Path(__file__).parent / "reference" / "operating_shares.csv"


def read_shares():
    with open(SHARES, encoding="utf-8", newline="") as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


def test_examples_run():
    assert doctest.testmod(proportions).failed == 0


def test_wilson_agrees_with_the_published_example():
    # Newcombe 1998, doi:10.1002/(SICI)1097-0258(19980430)17:8<857::AID-SIM777>3.0.CO;2-E, Table I, method 3
    published = {
        (81, 263): (0.2553, 0.3662),
        (15, 148): (0.0624, 0.1605),
        (0, 20): (0, 0.1611),
        (1, 29): (0.0061, 0.1718),
    }
    for (successes, n), bounds in published.items():
        assert proportion_interval(successes, n) == pytest.approx(bounds, abs=5e-5)


def test_clopper_pearson_agrees_with_the_published_example():
    # the same table, method 5
    published = {
        (81, 263): (0.2527, 0.3676),
        (15, 148): (0.0578, 0.1617),
        (0, 20): (0, 0.1684),
        (1, 29): (0.0009, 0.1776),
    }
    for (successes, n), bounds in published.items():
        assert clopper_pearson_interval(successes, n) == pytest.approx(bounds, abs=5e-5)


def test_both_agree_with_r():
    rows = read_shares()
    assert len(rows) > 50
    for row in rows:
        given_ = row["successes"], row["n"], row["confidence"]
        assert proportion_interval(*given_) == pytest.approx((row["wilson_low"], row["wilson_high"]), abs=1e-12)
        assert clopper_pearson_interval(*given_) == pytest.approx((row["exact_low"], row["exact_high"]), abs=1e-12)


@pytest.mark.parametrize("name", SHARE_INTERVALS)
@given(st.integers(1, 500), st.floats(0, 1), st.floats(0.01, 0.999))
def test_intervals_are_inside_0_and_1_and_mirror(name, n, share, confidence):
    interval = SHARE_INTERVALS[name]
    low, high = interval(share * n, n, confidence)
    assert 0 <= low <= share * n / n <= high <= 1
    assert high > low
    mirrored = interval(n - share * n, n, confidence)
    assert (1 - mirrored[1], 1 - mirrored[0]) == pytest.approx((low, high), abs=1e-9)


@settings(deadline=None)
@given(st.integers(1, 60), st.floats(0.001, 0.999), st.sampled_from([0.8, 0.95]))
def test_clopper_pearson_never_holds_less_than_it_promises(n, truth, confidence):
    counts = np.arange(n + 1)
    held = [low <= truth <= high for low, high in (clopper_pearson_interval(k, n, confidence) for k in counts)]
    assert binom.pmf(counts, n, truth)[held].sum() >= confidence - 1e-9


@pytest.mark.parametrize("name", SHARE_INTERVALS)
@pytest.mark.parametrize(
    ("successes", "n"), [(5, 4), (-1, 4), (0, 0), (1, -2), (float("nan"), 4), (1, float("nan")), (1, float("inf"))]
)
def test_counts_that_cannot_be_are_refused(name, successes, n):
    with pytest.raises(InputError, match="not a number of cases out of some"):
        SHARE_INTERVALS[name](successes, n, 0.95)
    with pytest.raises(InputError, match="a number between 0 and 1"):
        SHARE_INTERVALS[name](1, 2, 95)
