import doctest

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit
from sklearn.metrics import brier_score_loss

from rarelesion import miscalibration
from rarelesion.errors import InputError
from rarelesion.logistic import offset_interval
from rarelesion.miscalibration import (
    brier_score,
    brier_skill,
    calibration_in_the_large,
    calibration_line,
    reliability_curve,
)
from rarelesion.proportions import proportion_interval
from test_calibration import calibration_cases
from test_metrics import labelled_scores, read

MEASURES = (calibration_in_the_large, brier_score, brier_skill, calibration_line, reliability_curve)
TENTHS = st.integers(0, 10).map(lambda tenths: tenths / 10)


def numbers(estimate):
    return estimate.value, estimate.low, estimate.high


def assert_honest(estimate, least=-np.inf, most=np.inf):
    assert least <= estimate.low <= estimate.value <= estimate.high <= most
    assert np.isfinite(numbers(estimate)).all()
    assert estimate.high - estimate.low > 1e-6
    assert all(type(number) is float for number in numbers(estimate))


def estimates_of(labels, probabilities, patients=None, confidence=0.95):
    line = calibration_line(labels, probabilities, patients, confidence)
    return [
        measure(labels, probabilities, patients, confidence)
        for measure in (calibration_in_the_large, brier_score, brier_skill)
    ] + [line.intercept, line.slope]


def test_too_extreme_probabilities_make_the_interval_of_the_shift_wider_not_too_short():
    rng, held, plain = np.random.default_rng(0), 0, 0
    for _ in range(200):
        odds = rng.normal(-1.6, 1.5, 120)
        label = (rng.random(120) < expit(odds)).astype(int)
        found = calibration_in_the_large(label, expit(2 * odds))
        held += found.low <= 0.748 <= found.high
        low, high = offset_interval(2 * odds, label.astype(float), 0.95, 1.0)
        plain += low <= 0.748 <= high
    assert held / 200 > 0.92 > plain / 200


def test_examples_in_the_docstrings_hold():
    assert doctest.testmod(miscalibration).failed == 0


@pytest.mark.parametrize("row", read("calibration.csv"), ids=lambda row: row["dataset"])
def test_all_measures_agree_with_r(row):
    label, _, probability, patient = calibration_cases(row["dataset"])
    large, brier, skill, intercept, slope = estimates_of(label, probability, patient)
    for name, found in (("intercept", intercept), ("slope", slope)):
        expected = [float(row[name + end]) for end in ("", "_low", "_high")]
        assert numbers(found) == pytest.approx(expected, abs=1e-6), name
    value, low, high = (float(row["large" + end]) for end in ("", "_low", "_high"))
    assert large.value == pytest.approx(value, abs=1e-6)
    share = expit(logit(np.clip(probability, 1e-6, 1 - 1e-6)) + value)
    sums = np.bincount(np.unique(patient, return_inverse=True)[1], weights=label - share)
    if np.sum(sums**2) <= np.sum(share * (1 - share)):  # no more spread than the probabilities imply
        assert (large.low, large.high) == pytest.approx((low, high), abs=1e-6)
    else:
        assert large.low <= low + 1e-6
        assert large.high >= high - 1e-6
    for name, found in (("brier", brier), ("skill", skill)):
        assert numbers(found) == pytest.approx([float(row[name + end]) for end in ("", "_low", "_high")], abs=1e-9)
    assert ("Firth" in slope.method) == (row["firth"] == "TRUE")
    assert slope.method.endswith(", 120 cases of 40 patients") == (row["dataset"] == "lesions")


def test_brier_is_scikit_learns():
    label, _, probability, _ = calibration_cases("coarse")
    assert brier_score(label, probability).value == pytest.approx(brier_score_loss(label, probability), abs=1e-12)


def test_probabilities_that_are_right_on_average_have_slope_1_and_no_intercept():
    probability = np.repeat([0.2, 0.5, 0.8], 10)
    label = np.repeat([0, 1, 0, 1, 0, 1], [8, 2, 5, 5, 2, 8])
    large, _, _, intercept, slope = estimates_of(label, probability)
    assert (large.value, intercept.value, slope.value) == pytest.approx((0, 0, 1), abs=1e-9)


def test_doubled_log_odds_halve_the_slope():
    label, _, probability, _ = calibration_cases("timid")
    odds = probability / (1 - probability)
    first, second = calibration_line(label, probability), calibration_line(label, odds**2 / (1 + odds**2))
    assert numbers(second.slope) == pytest.approx([end / 2 for end in numbers(first.slope)], abs=1e-6)
    assert numbers(second.intercept) == pytest.approx(numbers(first.intercept), abs=1e-6)


@pytest.mark.parametrize("probability", [[0.1, 0.2, 0.8, 0.9], [0.0, 0.0, 1.0, 1.0], [0.9, 0.8, 0.2, 0.1]])
def test_separated_classes_have_a_finite_slope_with_an_interval(probability):
    line = calibration_line([0, 0, 1, 1], probability)
    assert_honest(line.slope)
    assert_honest(line.intercept)
    assert "Firth" in line.slope.method
    assert ("4 probabilities moved to 1e-06 from 0 or 1" in line.slope.method) == (0.0 in probability)


def test_classes_that_overlap_by_a_hair_count_as_separated():
    line = calibration_line([0, 0, 0, 1, 1, 1], [0.1, 0.2, 0.5 + 1e-9, 0.5, 0.8, 0.9])
    assert "Firth" in line.slope.method
    assert_honest(line.slope)


def test_equal_probabilities_have_no_slope_but_the_rest():
    label, probability = [0, 0, 0, 1], [0.25] * 4
    with pytest.raises(InputError, match=r"all the same, so they have no slope; found 0\.25 for every case"):
        calibration_line(label, probability)
    assert calibration_in_the_large(label, probability).value == pytest.approx(0, abs=1e-12)
    skill = brier_skill(label, probability)
    assert skill.value == pytest.approx(0, abs=1e-12)
    assert_honest(skill, most=1)
    assert skill.method == "Wilson on the patients, as they show no spread"


def test_perfect_probabilities_keep_a_width():
    label = [0, 0, 1, 1]
    brier, skill = brier_score(label, label), brier_skill(label, label)
    assert (brier.low, brier.high) == pytest.approx(proportion_interval(0, 4))
    assert numbers(skill) == pytest.approx((1, 1 - brier.high / 0.25, 1))


def test_copies_of_a_lesion_in_one_patient_add_no_certainty():
    label, _, probability, patient = calibration_cases("few")
    once = estimates_of(label, probability, patient)
    twice = estimates_of(np.tile(label, 2), np.tile(probability, 2), np.tile(patient, 2))
    for first, second in zip(once, twice, strict=True):
        assert numbers(first) == pytest.approx(numbers(second), abs=1e-6)
        assert second.method.endswith("60 cases of 30 patients")
    as_if_alone = brier_score(np.tile(label, 2), np.tile(probability, 2))
    assert as_if_alone.high - as_if_alone.low < once[1].high - once[1].low


@settings(max_examples=60, deadline=None)
@given(labelled_scores(TENTHS), st.integers(2, 30), st.integers(0, 99), st.sampled_from([0.5, 0.95, 0.99]))
def test_intervals_hold_the_value_inside_the_range_in_any_order(cases, patients, seed, confidence):
    label, probability = cases
    rng = np.random.default_rng(seed)
    order, patient = rng.permutation(label.size), rng.integers(0, patients, label.size)
    assume(np.unique(patient).size > 1)
    found = [
        (measure(label, probability, patient, confidence), least, most, tolerance)
        for measure, least, most, tolerance in (
            (calibration_in_the_large, -np.inf, np.inf, 1e-6),
            (brier_score, 0, 1, 1e-9),
            (brier_skill, -np.inf, 1, 1e-6),
        )
    ]
    for estimate, least, most, _ in found:
        assert_honest(estimate, least, most)
    mixed = [
        measure(label[order], probability[order], patient[order], confidence)
        for measure in (calibration_in_the_large, brier_score, brier_skill)
    ]
    for (first, _, _, tolerance), second in zip(found, mixed, strict=True):
        assert numbers(first) == pytest.approx(numbers(second), abs=tolerance, rel=1e-6)


@settings(max_examples=40, deadline=None)
@given(labelled_scores(TENTHS), st.integers(2, 30), st.integers(0, 99))
def test_lines_are_finite_whatever_the_cases(cases, patients, seed):
    label, probability = cases
    assume(np.unique(probability).size > 1)
    patient = np.random.default_rng(seed).integers(0, patients, label.size)
    assume(np.unique(patient).size > 1)
    line = calibration_line(label, probability, patient)
    assert_honest(line.slope)
    assert_honest(line.intercept)


def test_reliability_counted_by_hand():
    # 10 of the rarer class: two bins; the equal probabilities of the middle stay together
    probability = np.repeat([0.1, 0.4, 0.9], [8, 8, 8])
    label = np.repeat([1, 0, 1, 0, 1, 0], [1, 7, 3, 5, 6, 2])
    found = reliability_curve(label, probability)
    assert found.cases.tolist() == [8, 16]
    assert found.predicted.tolist() == pytest.approx([0.1, 0.65])
    assert found.observed.tolist() == pytest.approx([1 / 8, 9 / 16])
    assert (found.low[1], found.high[1]) == pytest.approx(proportion_interval(9, 16))
    assert found.method == "Wilson in each of 2 quantile bins"


@pytest.mark.parametrize(("rarer", "bins"), [(1, 2), (14, 2), (15, 3), (49, 9), (50, 10), (500, 10)])
def test_the_number_of_bins_follows_the_rarer_class(rarer, bins):
    n = 4 * rarer
    label = np.arange(n) % 4 == 0
    assert reliability_curve(label, np.linspace(0.1, 0.9, n)).cases.size == bins


@settings(max_examples=60, deadline=None)
@given(labelled_scores(TENTHS), st.integers(0, 99))
def test_reliability_bins_hold_all_cases_and_their_intervals_the_share(cases, seed):
    label, probability = cases
    order = np.random.default_rng(seed).permutation(label.size)
    found, mixed = reliability_curve(label, probability), reliability_curve(label[order], probability[order])
    assert found.cases.sum() == label.size
    assert (np.diff(found.predicted) > 0).all()
    assert ((found.low >= 0) & (found.low <= found.observed) & (found.observed <= found.high)).all()
    assert (found.high <= 1).all()
    assert (found.high - found.low > 1e-6).all()
    assert found.predicted == pytest.approx(mixed.predicted)
    assert found.observed == pytest.approx(mixed.observed)


def test_a_patients_lesions_widen_the_reliability_intervals():
    label, _, probability, patient = calibration_cases("lesions")
    alone, together = reliability_curve(label, probability), reliability_curve(label, probability, patient)
    assert (together.high - together.low).sum() > (alone.high - alone.low).sum()
    assert together.method.endswith(", 120 cases of 40 patients")


@pytest.mark.parametrize("measure", MEASURES)
def test_broken_input_is_named(measure):
    with pytest.raises(InputError, match="only one class; found 3 malignant cases"):
        measure([1, 1, 1], [0.1, 0.2, 0.3])
    with pytest.raises(InputError, match=r"(?s)neither benign nor malignant; found 2.*not a probability; found 1.5 at"):
        measure([0, 1, 2], [0.1, 1.5, 0.2])
    with pytest.raises(InputError, match="a score is not a finite number; found nan"):
        measure([0, 1, 1], [0.1, float("nan"), 0.2])
    with pytest.raises(InputError, match="labels and scores must come in pairs"):
        measure([0, 1], [0.5])
    with pytest.raises(InputError, match="2 for 3 cases"):
        measure([0, 1, 1], [0.1, 0.3, 0.2], ["a", "b"])
    with pytest.raises(InputError, match="a number between 0 and 1"):
        measure([0, 1, 1], [0.1, 0.3, 0.2], confidence=95)


@pytest.mark.parametrize("measure", [calibration_in_the_large, calibration_line])
def test_one_patient_is_no_basis_for_an_interval(measure):
    with pytest.raises(InputError, match="too few for an interval; found 3 lesions of one patient"):
        measure([0, 1, 1], [0.1, 0.5, 0.4], ["only"] * 3)


def test_many_separated_cases_still_have_an_interval():
    probability = np.linspace(0.01, 0.99, 1000)
    line = calibration_line(probability > 0.5, probability)
    assert_honest(line.slope)
    assert line.slope.low > 1
