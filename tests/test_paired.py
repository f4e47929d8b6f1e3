import doctest

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from rarelesion import paired
from rarelesion.errors import InputError
from rarelesion.paired import (
    compare_sensitivity,
    compare_shares,
    compare_specificity,
    discordance,
    mcnemar,
    newcombe_interval,
    score_interval,
    score_statistic,
)
from test_metrics import read

TABLES = read("compare_shares.csv")


def decisions(both, only_a, only_b, neither):
    counts = [both, only_a, only_b, neither]
    return np.repeat([1, 1, 0, 0], counts), np.repeat([1, 0, 1, 0], counts)


def counts_of(row):
    return [int(row[name]) for name in ("both", "only_a", "only_b", "neither")]


def lesions():
    return np.array(
        [[int(row[name]) for row in read("compare_lesions.csv")] for name in ("right_a", "right_b", "patient")]
    )


@st.composite
def any_decisions(draw):
    n = draw(st.integers(1, 25))
    bits = st.lists(st.integers(0, 1), min_size=n, max_size=n)
    return (
        np.array(draw(bits)),
        np.array(draw(bits)),
        np.array(draw(st.lists(st.integers(0, n), min_size=n, max_size=n))),
    )


@pytest.mark.parametrize("row", TABLES, ids=lambda row: "-".join(map(str, counts_of(row))))
def test_shares_agree_with_r(row):
    expected = {name: float(number) for name, number in row.items()}
    right = decisions(*counts_of(row))
    exact, found = mcnemar(*right), compare_shares(*right)
    assert (exact.p_exact, exact.p_mid) == pytest.approx((expected["p_exact"], expected["p_mid"]), abs=1e-12)
    assert found.p == pytest.approx(expected["p"], abs=1e-12)
    # R searches for the constrained maximum, to about the square root of what a double holds
    assert (found.low, found.high) == pytest.approx((expected["tango_low"], expected["tango_high"]), abs=2e-6)
    closed = newcombe_interval(*counts_of(row))
    assert closed == pytest.approx((expected["newcombe_low"], expected["newcombe_high"]), abs=1e-12)


def test_published_examples():
    # airway hyper-responsiveness, Fagerland et al. 2013: 1, 1, 7, 12 of 21 children
    found = mcnemar(*decisions(1, 1, 7, 12))
    assert (found.only_a, found.only_b) == (1, 7)
    assert (round(found.p_exact, 4), round(found.p_mid, 4)) == (0.0703, 0.0391)
    assert round(compare_shares(*decisions(1, 1, 7, 12)).p, 4) == 0.0339
    # Newcombe 1998, method 10: 36, 12, 2, 0
    assert [round(bound, 4) for bound in newcombe_interval(36, 12, 2, 0)] == [0.0569, 0.3404]


def test_no_discordant_case_by_hand():
    """Tango's statistic is then -n d / sqrt(n d (1 - d)) for d > 0: z**2 / (n + z**2) to either side."""
    found = compare_shares(*decisions(5, 0, 0, 3))
    half = norm.ppf(0.975) ** 2 / (8 + norm.ppf(0.975) ** 2)
    assert (found.difference, found.low, found.high, found.p) == pytest.approx((0, -half, half, 1))
    assert mcnemar(*decisions(5, 0, 0, 3)).p_mid == 1.0


def test_lesions_of_patients_agree_with_obuchowski_in_r():
    expected = {name: float(number) for name, number in read("compare_clustered.csv")[0].items()}
    found = compare_shares(*lesions())
    assert (found.difference, found.p) == pytest.approx((expected["difference"], expected["p"]), abs=1e-12)
    assert (found.low, found.high) == pytest.approx((expected["low"], expected["high"]), abs=2e-6)
    assert found.test == "Tango's score interval on 64 pairs of 24 patients, with their design effect"
    alone = compare_shares(*lesions()[:2])
    assert found.high - found.low > alone.high - alone.low


def test_at_the_end_of_the_scale_every_other_difference_is_ruled_out():
    none, all_of_them = discordance([1, 0, 1], [1, 0, 1]), discordance([1, 1, 1], [0, 0, 0])
    assert score_statistic(none, 1.0) == -np.inf
    assert score_statistic(all_of_them, 1.0) == 0.0
    assert score_interval(all_of_them)[1] == 1.0


def test_copies_of_a_lesion_in_one_patient_add_no_certainty():
    a, b = decisions(6, 5, 1, 4)
    once = compare_shares(a, b)
    twice = compare_shares(np.tile(a, 2), np.tile(b, 2), np.tile(np.arange(16), 2))
    assert (twice.low, twice.high, twice.p) == pytest.approx((once.low, once.high, once.p), abs=1e-12)


def test_lesions_of_one_patient_show_nothing():
    found = compare_shares(*decisions(2, 12, 1, 0), patients=["p"] * 15)
    assert found.p > 0.3
    assert found.high - found.low > 1


@settings(max_examples=100, deadline=None)
@given(any_decisions(), st.sampled_from([0.5, 0.9, 0.95, 0.999]), st.integers(0, 99))
def test_difference_of_shares_is_honest(drawn, confidence, seed):
    found = compare_shares(*drawn, confidence)
    assert -1 <= found.low <= found.difference <= found.high <= 1
    assert found.high - found.low > 1e-6
    assert 0 <= found.p <= 1
    mirrored = compare_shares(drawn[1], drawn[0], drawn[2], confidence)
    assert (mirrored.low, mirrored.high, mirrored.p) == pytest.approx((-found.high, -found.low, found.p), abs=1e-9)
    order = np.random.default_rng(seed).permutation(drawn[0].size)
    shuffled = compare_shares(*(column[order] for column in drawn), confidence)
    assert (shuffled.low, shuffled.high, shuffled.p) == pytest.approx((found.low, found.high, found.p), abs=1e-9)


@settings(max_examples=100, deadline=None)
@given(any_decisions(), st.sampled_from([0.5, 0.9, 0.95]))
def test_p_agrees_with_the_interval(drawn, confidence):
    found = compare_shares(*drawn[:2], confidence=confidence)
    if abs(found.p - (1 - confidence)) > 1e-6:
        assert (found.low < 0 < found.high) == (found.p > 1 - confidence)


@settings(max_examples=60, deadline=None)
@given(any_decisions())
def test_the_ends_of_the_interval_are_just_rejected(drawn):
    counts = discordance(*drawn)
    low, high = score_interval(counts)
    z = norm.ppf(0.975)
    if low > -1:
        assert score_statistic(counts, low) == pytest.approx(z, abs=1e-6)
    if high < 1:
        assert score_statistic(counts, high) == pytest.approx(-z, abs=1e-6)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 12), min_size=4, max_size=4).filter(any), st.sampled_from([0.5, 0.95]))
def test_newcombe_is_inside_the_range_and_has_a_width(counts, confidence):
    low, high = newcombe_interval(*counts, confidence)
    difference = (counts[1] - counts[2]) / sum(counts)
    assert -1 <= low <= difference <= high <= 1
    assert high - low > 1e-3


@settings(max_examples=100, deadline=None)
@given(any_decisions())
def test_mid_p_lies_below_the_exact_p(drawn):
    found, mirrored = mcnemar(*drawn[:2]), mcnemar(*drawn[1::-1])
    assert 0 < found.p_mid <= found.p_exact <= 1
    assert (found.p_mid, found.p_exact) == (mirrored.p_mid, mirrored.p_exact)


def test_sensitivity_counts_the_malignant_and_specificity_the_benign():
    labels = np.array([1, 1, 1, 1, 0, 0, 0])
    a, b = [1, 1, 1, 0, 1, 0, 0], [1, 0, 0, 0, 1, 1, 0]
    assert compare_sensitivity(labels, a, b) == compare_shares([1, 1, 1, 0], [1, 0, 0, 0])
    assert compare_specificity(labels, a, b) == compare_shares([0, 1, 1], [0, 0, 1])
    patients = ["p", "p", "q", "r", "p", "s", "s"]
    assert compare_sensitivity(labels, a, b, patients) == compare_shares([1, 1, 1, 0], [1, 0, 0, 0], patients[:4])


def test_what_is_no_decision_is_refused():
    with pytest.raises(InputError) as error:
        compare_shares([1, 0.5], [1, 2, 0])
    assert [str(problem) for problem in error.value.problems] == [
        "right_a: anything but right or wrong; found 0.5; expected 1 (right) or 0 (wrong).",
        "right_b: anything but right or wrong; found 2; expected 1 (right) or 0 (wrong).",
        "decisions: they must come in pairs; found 2 and 3 decisions, 2 patients; expected one of each for every case.",
    ]
    with pytest.raises(InputError, match="found nan; expected 1"):
        mcnemar([1, float("nan")], [1, 0])
    with pytest.raises(InputError, match="labels: no malignant case; found 2 cases"):
        compare_sensitivity([0, 0], [1, 0], [1, 1])
    with pytest.raises(InputError, match="found 2, 2, 1 entries, 2 patients"):
        compare_specificity([0, 0], [1, 0], [1])
    with pytest.raises(InputError, match="called_a: neither benign nor malignant; found 'yes'"):
        compare_sensitivity([0, 1], ["yes", "no"], [1, 0])
    with pytest.raises(InputError, match="not a table of cases"):
        newcombe_interval(0, 0, 0, 0)
    with pytest.raises(InputError, match="a number between 0 and 1"):
        compare_shares([1, 0], [0, 1], confidence=95)


def test_examples_in_the_docs_run():
    assert doctest.testmod(paired).failed == 0
