import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit
from scipy.stats import chi2

from rarelesion.logistic import (
    INTERCEPT,
    SLOPE,
    fit_line,
    fit_offset,
    line_interval,
    log_likelihood,
    offset_interval,
    separated,
)


@pytest.mark.parametrize(
    ("benign", "malignant", "expected"),
    [
        ([1, 2], [3, 4], True),
        ([3, 4], [1, 2], True),
        ([1, 2], [2, 3], True),
        ([1, 3], [2, 4], False),
        ([1, 4], [2, 3], False),
    ],
)
def test_separated_means_that_a_threshold_divides_the_classes(benign, malignant, expected):
    x, label = np.array(benign + malignant, dtype=float), np.array([False] * 2 + [True] * 2)
    assert separated(x, label) == expected


def test_four_cells_have_their_log_odds_as_the_line():
    x, y = np.repeat([0.0, 1.0], 10), np.repeat([0.0, 1.0, 0.0, 1.0], [8, 2, 3, 7])
    assert fit_line(x, y) == pytest.approx((logit(0.2), logit(0.7) - logit(0.2)), abs=1e-10)


def test_firths_penalty_adds_half_a_case_to_each_of_four_cells():
    x, y = np.repeat([0.0, 1.0], 10), np.repeat([0.0, 1.0], [10, 10])
    assert fit_line(x, y, penalised=True) == pytest.approx((logit(0.5 / 11), 2 * logit(10.5 / 11)), abs=1e-9)


def test_offset_fit_is_the_share_where_all_offsets_are_equal():
    assert fit_offset(np.full(4, 0.3), np.array([0.0, 0, 0, 1])) == pytest.approx(logit(0.25) - 0.3)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(-4, 4), st.booleans()), min_size=4, max_size=25),
    st.sampled_from([INTERCEPT, SLOPE]),
    st.booleans(),
)
def test_the_likelihood_has_fallen_by_half_a_chi_square_at_both_ends(cases, which, penalised):
    x, malignant = (np.array(column) for column in zip(*cases, strict=True))
    x, y = x.astype(float), malignant.astype(float)
    assume(np.unique(x).size > 1 and np.unique(y).size > 1)
    assume(penalised or not separated(x, malignant))
    line = fit_line(x, y, penalised)
    best = log_likelihood(x, y, line[0] + line[1] * x, penalised)
    ends = line_interval(x, y, which, 0.9, 1.0, penalised)
    assert ends[0] < line[which] < ends[1]
    for end in ends:
        fixed, other = (end * x, np.ones(x.size)) if which == SLOPE else (np.full(x.size, end), x)
        highest = max(log_likelihood(x, y, fixed + free * other, penalised) for free in np.linspace(-20, 20, 401))
        assert highest <= best - chi2.ppf(0.9, 1) / 2 + (0.05 if penalised else 1e-6)


def test_a_design_effect_divides_the_likelihood():
    x, y = np.array([0.0, 1, 2, 3, 4, 5]), np.array([0.0, 1, 0, 1, 0, 1])
    once = line_interval(x, y, SLOPE, 0.95, 1.0)
    twice = line_interval(np.tile(x, 2), np.tile(y, 2), SLOPE, 0.95, 2.0)
    assert once == pytest.approx(twice, abs=1e-8)
    assert offset_interval(x, y, 0.95, 1.0) == pytest.approx(offset_interval(np.tile(x, 2), np.tile(y, 2), 0.95, 2.0))


def test_separated_classes_have_no_end_without_the_penalty():
    x, y = np.array([0.0, 1, 2, 3 + 1e-7, 3, 4]), np.array([0.0, 0, 0, 0, 1, 1])
    low, high = line_interval(x, y, SLOPE, 0.95, 1.0)
    assert np.isfinite(low)
    assert high == np.inf
    assert np.isfinite(line_interval(x, y, SLOPE, 0.95, 1.0, penalised=True)).all()


def test_the_unit_of_the_number_only_changes_the_unit_of_the_slope():
    rng = np.random.default_rng(0)
    x = rng.normal(size=40)
    y = (rng.uniform(size=40) < expit(x)).astype(float)
    for penalised in (False, True):
        low, high = line_interval(x, y, SLOPE, 0.95, 1.0, penalised)
        assert line_interval(x * 1e6, y, SLOPE, 0.95, 1.0, penalised) == pytest.approx((low / 1e6, high / 1e6))
