import doctest
from math import ceil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import multivariate_normal, norm

from rarelesion import power
from rarelesion.compare import compare_roc_auc
from rarelesion.errors import InputError
from rarelesion.power import (
    AreaPair,
    cases_for_difference,
    cases_for_noninferiority,
    difference_power,
    noninferiority_power,
)
from rarelesion.sizing import auc_standard_error, divide
from score_rows import make_scores
from test_sizing import numbers

MODELS = ("binormal", "hanley", "obuchowski")
DIFFERENCES = numbers("sizing_differences.csv")


def test_examples_in_docstrings():
    results = doctest.testmod(power)
    assert results.attempted >= 6
    assert results.failed == 0


def test_power_agrees_with_proc_and_with_hanley_in_r():
    for row in DIFFERENCES:
        areas = row["a"], row["b"], row["correlation"]
        benign = round(30 * row["ratio"])
        fitted = difference_power(AreaPair(*areas, model="obuchowski"), 30, benign, row["alpha"])
        assert fitted == pytest.approx(row["power_30"], abs=1e-9)
        ranks = difference_power(AreaPair(*areas, "areas", model="hanley"), 30, benign, row["alpha"])
        assert ranks == pytest.approx(row["hanley_power_30"], abs=1e-9)


def test_cases_agree_with_proc():
    for row in DIFFERENCES:
        pair = AreaPair(row["a"], row["b"], row["correlation"], model="obuchowski")
        prevalence = 1 / (1 + row["ratio"])
        cases = cases_for_difference(pair, prevalence, row["power"], row["alpha"])
        exact = row["cases"] / prevalence
        assert exact - 2 / prevalence <= cases.total <= exact + 2 / prevalence
        if row["ratio"] == 1:
            assert max(2, ceil(row["cases"]) - 1) <= cases.malignant <= max(2, ceil(row["cases"]))


def test_noninferiority_agrees_with_procs_variances():
    for row in numbers("sizing_margins.csv"):
        pair = AreaPair(row["a"], row["b"], row["correlation"], model="obuchowski")
        if row["ratio"] == 1:
            cases = cases_for_noninferiority(pair, row["margin"], 0.5)
            assert ceil(row["cases"]) - 1 <= cases.malignant <= ceil(row["cases"])
        # whole cases near R's give the power of 0.8 but for the rounding
        malignant = ceil(row["cases"])
        found = noninferiority_power(pair, row["margin"], malignant, round(malignant * row["ratio"]))
        assert found == pytest.approx(0.8, abs=0.02)


@pytest.mark.parametrize("r", [-0.9, -0.3, 0.25, 0.5, 0.9])
def test_joint_chances_of_normal_scores_against_scipy(r):
    for h, k in ((0.3, 1.2), (0.9, 0.9), (-0.5, 2.0), (0.0, 0.0)):
        both = multivariate_normal([0, 0], [[1, r], [r, 1]]).cdf([h, k])
        assert power._joint_excess(h, k, r) == pytest.approx(both - norm.cdf(h) * norm.cdf(k), abs=1e-7)


def test_variances_of_chance_areas_are_mann_whitneys():
    first, second, common = power._moments(AreaPair(0.5, 0.5, 0.0), 7, 11)
    assert (first, second) == pytest.approx(((7 + 11 + 1) / (12 * 7 * 11),) * 2, rel=1e-9)
    assert common == pytest.approx(0, abs=1e-15)


def simulated_power(rng, pair, malignant, benign, shown, draws=250):
    label = np.repeat([1, 0], [malignant, benign])
    gap = np.sqrt(2) * norm.ppf([pair.auc_a, pair.auc_b])
    hits = 0
    for _ in range(draws):
        score = rng.multivariate_normal([0, 0], [[1, pair.correlation], [pair.correlation, 1]], label.size)
        score += np.outer(label, gap)
        hits += shown(compare_roc_auc(make_scores(label, score[:, 1]), make_scores(label, score[:, 0])))
    return hits / draws


def test_power_is_what_simulated_studies_of_this_program_show():
    rng = np.random.default_rng(0)
    pair = AreaPair(0.8, 0.9, correlation=0.5)
    seen = simulated_power(rng, pair, 40, 120, lambda found: found.low > 0)
    assert difference_power(pair, 40, 120) == pytest.approx(seen, abs=0.09)
    same = AreaPair(0.85, 0.85, correlation=0.5)
    seen = simulated_power(rng, same, 40, 120, lambda found: found.low > -0.1)
    assert noninferiority_power(same, 0.1, 40, 120) == pytest.approx(seen, abs=0.09)


PAIRS = st.builds(
    AreaPair,
    st.floats(0.5, 0.99),
    st.floats(0.5, 0.99),
    st.floats(-0.5, 0.95),
    st.sampled_from(["scores", "areas"]),
    st.sampled_from(MODELS),
    st.floats(1, 3),
)


@settings(max_examples=60)
@given(PAIRS.filter(lambda pair: abs(pair.auc_a - pair.auc_b) > 0.03), st.integers(2, 80), st.integers(2, 80))
def test_power_is_a_chance_and_grows_with_cases(pair, malignant, benign):
    now = difference_power(pair, malignant, benign)
    assert 0 <= now <= 1
    if now > 0.5:
        assert difference_power(pair, 2 * malignant, 2 * benign) >= now
        assert difference_power(pair, malignant, benign, alpha=0.1) >= now


@settings(max_examples=40)
@given(PAIRS.filter(lambda pair: abs(pair.auc_a - pair.auc_b) > 0.03), st.floats(0.05, 0.95), st.floats(0.5, 0.95))
def test_cases_for_a_difference_are_just_enough(pair, prevalence, wanted):
    cases = cases_for_difference(pair, prevalence, wanted)
    assert cases.reached == difference_power(pair, cases.malignant, cases.benign) >= wanted
    if cases.total > 4:
        assert difference_power(pair, *divide(cases.total - 1, prevalence, 2)) < wanted


@settings(max_examples=40)
@given(PAIRS, st.floats(0.02, 0.3), st.floats(0.05, 0.95))
def test_a_wider_margin_needs_no_more_cases(pair, margin, prevalence):
    wide = pair.auc_a - pair.auc_b + margin if pair.auc_a > pair.auc_b else margin
    first = cases_for_noninferiority(pair, min(0.9, wide + 0.02), prevalence)
    second = cases_for_noninferiority(pair, min(0.95, wide + 0.05), prevalence)
    assert second.total <= first.total
    assert min(first.malignant, first.benign, second.malignant, second.benign) >= 2


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("of", ["scores", "areas"])
def test_pairing_saves_cases(model, of):
    totals = [
        cases_for_difference(AreaPair(0.75, 0.85, r, of, model), prevalence=0.3).total for r in (0, 0.3, 0.6, 0.9)
    ]
    assert totals == sorted(totals, reverse=True)
    assert totals[-1] < totals[0] / 2


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(("a", "b"), [(0.9, 1.0), (1.0, 0.9), (0.0, 1.0), (1.0, 1 - 1e-5), (0.5, 1.0)])
def test_perfect_areas_give_finite_plans(model, a, b):
    pair = AreaPair(a, b, 0.4, model=model)
    assert 0 <= difference_power(pair, 1, 1) <= 1
    cases = cases_for_difference(pair, 0.3)
    assert cases.malignant >= 2
    assert cases.reached >= 0.8
    assert cases_for_noninferiority(AreaPair(1.0, 1.0, 0.4, model=model), 0.05, 0.3).total == 4


def test_unpaired_is_the_sum_of_both_variances():
    pair = AreaPair(0.7, 0.8, 0.0, model="hanley")
    first, second = auc_standard_error(0.7, 50, 80), auc_standard_error(0.8, 50, 80)
    shown = (0.1 - norm.ppf(0.975) * np.sqrt(2) * first) / np.hypot(first, second)
    assert difference_power(pair, 50, 80) == pytest.approx(norm.cdf(shown), abs=1e-9)


def test_design_effect_of_two_doubles_the_cases():
    once = cases_for_difference(AreaPair(0.75, 0.85, 0.5), 0.5)
    twice = cases_for_difference(AreaPair(0.75, 0.85, 0.5, design_effect=2.0), 0.5)
    assert twice.total == pytest.approx(2 * once.total, abs=4)


def test_the_method_says_what_was_computed():
    cases = cases_for_noninferiority(AreaPair(0.8, 0.8, 0.5), 0.1, 0.3)
    assert cases.method == (
        "one-sided test at 0.025 of being no more than 0.1 worse, binormal variances, correlation of the scores 0.5"
    )


def test_what_no_study_can_show_is_an_error():
    same = AreaPair(0.8, 0.8, 0.5)
    with pytest.raises(InputError, match="pair: the areas don't differ; found equal areas"):
        cases_for_difference(same, 0.3)
    with pytest.raises(InputError, match=r"the new area is inferior by the margin; found 0.7 against 0.8 less 0.05"):
        noninferiority_power(AreaPair(0.8, 0.7, 0.5), 0.05, 30, 90)
    with pytest.raises(InputError, match="pair: out of reach"):
        cases_for_difference(AreaPair(0.7, 0.70001, 0.0), 0.5)
    with pytest.raises(InputError) as caught:
        AreaPair(1.5, float("nan"), 1.0, design_effect=0)
    assert [problem.where for problem in caught.value.problems] == ["auc_a", "auc_b", "correlation", "design_effect"]
    with pytest.raises(InputError) as caught:
        cases_for_noninferiority(same, 0.0, 1.0, 1.0, 0.0)
    assert [problem.where for problem in caught.value.problems] == ["margin", "prevalence", "power", "alpha"]
