import doctest

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, norm

from rarelesion import sizing
from rarelesion.errors import InputError
from rarelesion.proportions import proportion_interval
from rarelesion.sizing import (
    auc_standard_error,
    auc_width,
    cases_for_auc_width,
    cases_for_share_width,
    check_plan,
    design_effect_of,
    divide,
    share_width,
    smallest,
)
from test_metrics import read

AREAS = st.one_of(st.sampled_from([0.0, 1e-9, 0.5, 1 - 1e-9, 1.0]), st.floats(0, 1))
COUNTS = st.integers(1, 300)
CONFIDENCES = st.floats(0.01, 0.999)


def numbers(name):
    return [{key: float(value) for key, value in row.items()} for row in read(name)]


def test_examples_in_docstrings():
    results = doctest.testmod(sizing)
    assert results.attempted >= 8
    assert results.failed == 0


# --- the width of an area ------------------------------------------------------------------------------------------


def test_standard_errors_and_widths_agree_with_r():
    for row in numbers("sizing_widths.csv"):
        area, malignant, benign = row["area"], int(row["malignant"]), int(row["benign"])
        assert auc_standard_error(area, malignant, benign) == pytest.approx(row["error"], abs=1e-9)
        for interval in ("plain", "score"):
            found = auc_width(area, malignant, benign, row["confidence"], interval)
            assert found == pytest.approx(row[interval], abs=1e-9)


def test_standard_error_of_a_pair_of_cases_is_that_of_a_coin():
    assert auc_standard_error(0.8, 1, 1) == pytest.approx(np.sqrt(0.8 * 0.2))


def test_score_width_at_a_perfect_area_solves_newcombes_equation():
    low, m, n = 1 - auc_width(1.0, 4, 12), 4, 12
    inner = 1 + ((m + n) / 2 - 1) * ((1 - low) / (2 - low) + low / (1 + low))
    assert (1 - low) ** 2 == pytest.approx(norm.ppf(0.975) ** 2 * low * (1 - low) * inner / (m * n), rel=1e-9)


def test_folds_average_areas_of_their_own_cases():
    assert auc_width(0.8, 40, 120, interval="plain", folds=4) == pytest.approx(
        auc_width(0.8, 10, 30, interval="plain") / 2
    )
    assert auc_width(0.8, 3, 50, folds=5) == pytest.approx(auc_width(0.8, 1, 10, design_effect=1 / 3))


def test_a_design_effect_of_four_doubles_the_plain_width():
    assert auc_width(0.8, 40, 90, interval="plain", design_effect=4.0) == pytest.approx(
        2 * auc_width(0.8, 40, 90, interval="plain")
    )


@given(AREAS, COUNTS, COUNTS, CONFIDENCES, st.integers(1, 12), st.floats(0.2, 30))
def test_width_is_between_0_and_1_and_narrows_with_every_case(auc, malignant, benign, confidence, folds, inflation):
    def width(m, n):
        return auc_width(auc, m, n, confidence, folds=folds, design_effect=inflation)

    now = width(malignant, benign)
    assert 0 < now <= 1
    assert width(malignant + 1, benign) <= now + 1e-9
    assert width(malignant, benign + 1) <= now + 1e-9
    assert width(4 * malignant + folds, 4 * benign + folds) < now


def test_a_thousand_million_cases_leave_next_to_no_width():
    for auc in (0.0, 1e-9, 0.5, 0.9, 1 - 1e-9, 1.0):
        for confidence in (0.01, 0.95):
            assert 0 < auc_width(auc, 10**9, 10**9, confidence) < 1e-4


@given(AREAS, COUNTS, COUNTS, st.floats(1, 10))
def test_width_is_the_same_for_classes_exchanged_and_grows_with_the_design_effect(auc, malignant, benign, more):
    now = auc_width(auc, malignant, benign)
    assert auc_width(auc, benign, malignant) == pytest.approx(now, abs=1e-9)
    assert auc_width(1 - auc, malignant, benign) == pytest.approx(now, abs=1e-6)
    assert auc_width(auc, malignant, benign, design_effect=more) >= now - 1e-9


@given(st.floats(0.001, 0.999), COUNTS, COUNTS)
def test_plain_width_narrows_too(auc, malignant, benign):
    now = auc_width(auc, malignant, benign, interval="plain")
    assert 0 < now <= 1
    assert auc_width(auc, malignant + 1, benign, interval="plain") <= now + 1e-12
    assert auc_width(auc, malignant, benign + 1, interval="plain") <= now + 1e-12


def test_plain_has_no_width_at_a_perfect_area():
    for auc in (0, 1):
        with pytest.raises(InputError, match=r'auc: the plain interval has no width here.*Take interval="score"'):
            auc_width(auc, 10, 30, interval="plain")
        with pytest.raises(InputError, match="has no width here"):
            cases_for_auc_width(0.1, auc, 0.3, interval="plain")


# --- cases for a width ---------------------------------------------------------------------------------------------


@settings(max_examples=60)
@given(st.floats(0.02, 0.9), AREAS, st.floats(0.01, 0.99), st.integers(1, 5))
def test_cases_for_a_width_are_just_enough(width, auc, prevalence, folds):
    cases = cases_for_auc_width(width, auc, prevalence, folds=folds)
    assert cases.reached == auc_width(auc, cases.malignant, cases.benign, folds=folds) <= width
    if cases.total > 2:
        assert auc_width(auc, *divide(cases.total - 1, prevalence), folds=folds) > width


def test_cases_for_a_width_against_counting_up():
    total = next(n for n in range(2, 10_000) if auc_width(0.9, *divide(n, 0.2), 0.9) <= 0.13)
    cases = cases_for_auc_width(0.13, 0.9, 0.2, 0.9)
    assert (cases.total, cases.malignant) == (total, divide(total, 0.2)[0])


@given(st.integers(2, 5000), st.floats(0.001, 0.999))
def test_division_keeps_the_total_and_neither_class_falls(total, prevalence):
    malignant, benign = divide(total, prevalence)
    later = divide(total + 1, prevalence)
    assert malignant + benign == total
    assert min(malignant, benign) >= 1
    assert malignant in (later[0], later[0] - 1)
    assert abs(malignant - total * prevalence) <= max(0.5 + 1e-9, 1.0)


@given(st.integers(1, 10**9), st.integers(1, 50))
def test_search_finds_the_smallest(answer, least):
    assert smallest(lambda n: n >= answer, least, "x") == max(answer, least)


def test_what_no_number_of_cases_reaches_is_an_error():
    with pytest.raises(InputError, match="width: out of reach; found more than 1000000000 cases"):
        cases_for_auc_width(1e-6, 0.7, 0.5)
    with pytest.raises(InputError, match="width: out of reach; found more than 1000000 cases"):
        cases_for_share_width(1e-4, 0.5)


# --- sensitivity and specificity -----------------------------------------------------------------------------------


def test_widths_of_shares_agree_with_r():
    for row in numbers("sizing_shares.csv"):
        width = share_width(int(row["n"]), row["share"], row["confidence"])
        assert (width.mean, width.limit) == pytest.approx((row["mean"], row["limit"]), abs=1e-9)


def test_width_of_a_share_is_the_mean_of_the_intervals():
    n, share = 17, 0.85
    each = [np.diff(proportion_interval(k, n))[0] for k in range(n + 1)]
    chance = binom.pmf(range(n + 1), n, share)
    width = share_width(n, share)
    assert width.mean == pytest.approx(float(chance @ each))
    assert chance[np.array(each) <= width.limit + 1e-9].sum() >= 0.8
    assert chance[np.array(each) < width.limit - 1e-9].sum() < 0.8


@pytest.mark.parametrize("share", [0, 0.01, 0.05, 0.3, 0.5, 0.9, 0.99, 1])
def test_mean_width_of_a_share_narrows_with_every_case(share):
    for inflation in (0.7, 1.0, 1.3, 3.5):
        means = [share_width(n, share, design_effect=inflation).mean for n in range(1, 40)]
        assert (np.diff(means) < 0).all()


@given(st.integers(1, 200), st.floats(0, 1), CONFIDENCES, st.floats(0.01, 0.99), st.floats(1, 300))
def test_width_of_a_share_is_between_0_and_1(n, share, confidence, assurance, inflation):
    width = share_width(n, share, confidence, assurance, inflation)
    assert 0 < width.mean <= 1
    assert 0 < width.limit <= 1
    assert share_width(n, 1 - share, confidence, assurance, inflation).mean == pytest.approx(width.mean, abs=1e-9)


def test_a_design_effect_of_two_halves_the_cases():
    first, second = share_width(40, 0.9, design_effect=2.0), share_width(20, 0.9)
    assert (first.mean, first.limit) == pytest.approx((second.mean, second.limit))
    assert first.method == "Wilson, every count of 40 cases worth 20.0"


@pytest.mark.parametrize("share", [1e-307, 1e-13, 0.0])
def test_a_share_next_to_nothing_is_nothing(share):
    assert share_width(11, share).mean == pytest.approx(np.diff(proportion_interval(0, 11))[0])
    assert share_width(11, 1 - share).mean == pytest.approx(np.diff(proportion_interval(0, 11))[0])


@pytest.mark.parametrize(("width", "share"), [(0.2, 0.9), (0.1, 0.5), (0.4, 1.0), (0.99, 0.5)])
def test_cases_for_the_width_of_a_share_are_just_enough(width, share):
    cases = cases_for_share_width(width, share)
    assert share_width(cases, share).mean <= width
    assert cases == 1 or share_width(cases - 1, share).mean > width
    assert cases_for_share_width(width, share, design_effect=2.0) >= cases


def test_too_many_cases_to_go_through_are_named():
    with pytest.raises(InputError, match="n_cases: too many to go through; found 1000001; expected at most 1000000"):
        share_width(1_000_001, 0.9)


# --- several lesions a patient, and what can't be planned with -----------------------------------------------------


def test_design_effect_by_hand():
    assert design_effect_of(1, 0.9) == 1
    assert design_effect_of(3, 0.5) == 2
    assert design_effect_of([1, 3], 1.0) == pytest.approx(1 + (10 / 4 - 1))
    assert design_effect_of([1, 3, 2], 0.3) == design_effect_of([2, 1, 3], 0.3)


@pytest.mark.parametrize(
    ("lesions", "found"), [([], "no patient"), ([1, 0.5], "0.5"), ([2, float("nan")], "nan"), (float("inf"), "inf")]
)
def test_lesions_that_cannot_be_are_named(lesions, found):
    with pytest.raises(InputError, match=f"lesions: not a number of lesions; found {found}; expected at least 1"):
        design_effect_of(lesions, 0.5)


@pytest.mark.parametrize("bad", [-0.1, 1.1, float("nan")])
def test_areas_outside_0_to_1_are_named(bad):
    for plan in (
        lambda: auc_standard_error(bad, 10, 30),
        lambda: auc_width(bad, 10, 30),
        lambda: cases_for_auc_width(0.1, bad, 0.3),
    ):
        with pytest.raises(InputError, match=r"auc: no study can be planned with this; found .*a number from 0 to 1"):
            plan()


def test_everything_wrong_is_reported_at_once():
    with pytest.raises(InputError) as caught:
        auc_width(2.0, 0, -1, 95, folds=0, design_effect=float("inf"))
    assert [problem.where for problem in caught.value.problems] == [
        "auc", "n_malignant", "n_benign", "confidence", "folds", "design_effect",
    ]  # fmt: skip
    with pytest.raises(InputError, match=r"n_benign: .*found 12\.5; expected a whole number"):
        check_plan(n_benign=12.5)
    with pytest.raises(InputError, match=r"prevalence: .*found 1; expected a number between 0 and 1"):
        cases_for_auc_width(0.1, 0.8, 1)
