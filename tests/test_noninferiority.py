import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from rarelesion.compare import compare_roc_auc
from rarelesion.errors import InputError
from rarelesion.noninferiority import non_inferior_roc_auc, non_inferior_sensitivity
from rarelesion.paired import compare_sensitivity
from score_rows import any_scores, make_scores
from test_compare import pair, renamed


def called(both, only_a, only_b, neither):
    counts = [both, only_a, only_b, neither]
    return np.ones(sum(counts), int), np.repeat([1, 1, 0, 0], counts), np.repeat([1, 0, 1, 0], counts)


def test_area_by_hand():
    one, two = pair("balanced")
    compared = compare_roc_auc(one, two)
    error = (compared.high - compared.low) / 2 / norm.ppf(0.975)
    found = non_inferior_roc_auc(one, two, margin=0.1)
    assert (found.difference, found.low, found.high) == (compared.difference, compared.low, compared.high)
    assert found.p == pytest.approx(norm.sf((compared.difference + 0.1) / error), abs=1e-12)
    assert found.p == pytest.approx(norm.sf((0.011388888888888893 + 0.1) / 0.0501034), abs=1e-5)  # pROC's numbers
    assert found.shown
    assert found.conclusion == "non-inferior: the whole interval lies above -0.1"
    strict = non_inferior_roc_auc(one, two, margin=0.02)
    assert not strict.shown
    assert strict.conclusion == "not shown to be non-inferior: the interval reaches -0.02 or below"


def test_sensitivity_by_hand():
    """Only a 2, only b 4 of 40: at -0.1 q21 solves 80 q**2 - 14.2 q + 0.44 = 0."""
    labels, a, b = called(30, 2, 4, 4)
    found = non_inferior_sensitivity(labels, a, b, margin=0.1)
    linear = -6 + (80 - 2 + 4) * -0.1
    only_b = (np.sqrt(linear**2 - 4 * 80 * (4 * 0.1 * 1.1)) - linear) / 160
    statistic = (2 - 4 + 40 * 0.1) / np.sqrt(40 * (2 * only_b - 0.1 * 1.1))
    assert found.p == pytest.approx(norm.sf(statistic), abs=1e-12)
    compared = compare_sensitivity(labels, a, b)
    assert (found.difference, found.low, found.high) == (-0.05, compared.low, compared.high)
    assert found.test == "Tango's score test on 40 malignant cases"


@pytest.mark.parametrize(
    ("counts", "margin", "words"),
    [
        ((30, 12, 1, 5), 0.1, "superior: the whole interval lies above 0"),
        ((60, 1, 1, 38), 0.1, "non-inferior: the whole interval lies above -0.1"),
        ((400, 2, 14, 84), 0.1, "non-inferior, yet worse: the whole interval lies between -0.1 and 0"),
        ((60, 1, 30, 9), 0.05, "inferior: the whole interval lies below -0.05"),
        ((6, 2, 2, 2), 0.05, "not shown to be non-inferior: the interval reaches -0.05 or below"),
    ],
)
def test_each_conclusion(counts, margin, words):
    found = non_inferior_sensitivity(*called(*counts), margin=margin)
    assert found.conclusion == words
    assert found.shown == (found.p < 0.025)


def test_lesions_of_a_patient_count_once():
    labels, a, b = called(30, 2, 4, 4)
    once = non_inferior_sensitivity(labels, a, b, 0.1)
    twice = non_inferior_sensitivity(*(np.tile(one, 2) for one in (labels, a, b)), 0.1, np.tile(np.arange(40), 2))
    assert (twice.low, twice.p) == pytest.approx((once.low, once.p), abs=1e-12)
    assert twice.test == "Tango's score test on 80 malignant cases of 40 patients, with their design effect"


@settings(max_examples=60, deadline=None)
@given(any_scores(), st.integers(0, 999), st.sampled_from([0.05, 0.3, 0.9]))
def test_p_agrees_with_the_interval(scores, seed, margin):
    values = np.random.default_rng(seed).integers(0, 4, scores.label.size).astype(float)
    found = non_inferior_roc_auc(scores, renamed(scores, "reader:x", score=values), margin, confidence=0.9)
    assert -1 <= found.low <= found.difference <= found.high <= 1
    assert 0 <= found.p <= 1
    if abs(found.p - 0.05) > 1e-9:
        assert found.shown == (found.p < 0.05)


def test_two_perfect_rankings_of_few_cases_do_not_show_it():
    label = [0] * 12 + [1] * 4
    found = non_inferior_roc_auc(make_scores(label, range(16)), make_scores(label, np.arange(16.0) ** 2), 0.05)
    assert not found.shown
    assert "as if independent" in found.test


@pytest.mark.parametrize("margin", [0, -0.05, 1, 5, float("nan")])
def test_a_margin_is_an_accepted_loss(margin):
    with pytest.raises(InputError, match="not an accepted loss"):
        non_inferior_roc_auc(*pair("tiny"), margin)
    with pytest.raises(InputError, match="not an accepted loss"):
        non_inferior_sensitivity([1, 1], [1, 0], [1, 1], margin)


def test_broken_input_is_named():
    with pytest.raises(InputError, match="no malignant case"):
        non_inferior_sensitivity([0, 0], [1, 0], [1, 1], 0.1)
    with pytest.raises(InputError, match="score of case case1; found nan"):
        non_inferior_roc_auc(make_scores([0, 1], [1, float("nan")]), make_scores([0, 1], [1, 2]), 0.1)
