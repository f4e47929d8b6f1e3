import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rarelesion import optimism
from rarelesion.errors import InputError
from rarelesion.metrics import sensitivity_specificity
from rarelesion.optimism import LEFT_OUT_WEIGHT, chosen_threshold, draw_thresholds
from rarelesion.patients import cases_to_draw
from rarelesion.proportions import proportion_interval
from rarelesion.resampling import patient_draws
from rarelesion.thresholds import RULES, choose_threshold, parse_rule
from score_rows import separable
from test_metrics import labelled_scores, read

PAGE = Path(__file__).parents[1] / "docs" / "concepts" / "operating-points.md"
PARTS = ("sensitivity", "specificity", "youden")


@pytest.mark.parametrize("rule", RULES)
def test_draws_are_those_of_a_loop_written_out(rule):
    labels, scores = separable(14, 7, seed=3)
    scores = scores.round(1)
    patients = [*range(0, 12), 0, 1, *range(12, 18), 0]
    malignant, score, patient = cases_to_draw(labels, scores, patients, 40)
    draws = draw_thresholds(malignant, score, patient, parse_rule(rule), 40, seed=5)
    weights = np.concatenate(list(patient_draws(malignant.astype(int), patient, 40, 5))).astype(int)
    for number, copies in enumerate(weights):
        drawn = np.repeat(malignant, copies), np.repeat(score, copies)
        threshold = choose_threshold(*drawn, rule)
        assert draws.threshold[number] == threshold
        assert draws.drawn[:, number] == pytest.approx(sensitivity_specificity(*drawn, threshold))
        assert draws.original[:, number] == pytest.approx(sensitivity_specificity(malignant, score, threshold))
        out = copies == 0
        for which, own in enumerate((malignant, ~malignant)):
            right = ((score >= threshold) == malignant)[out & own]
            assert draws.left_out[which, number] == pytest.approx(right.mean() if right.size else np.nan, nan_ok=True)


def test_correction_and_interval_written_out():
    labels, scores = separable(30, 12, seed=1)
    found = chosen_threshold(labels, scores, resamples=500, seed=2)
    draws = draw_thresholds(*cases_to_draw(labels, scores, None, 500), parse_rule("youden"), 500, 2)
    apparent = sensitivity_specificity(labels, scores, found.threshold)[0]
    flattery = LEFT_OUT_WEIGHT * np.nanmean(draws.drawn[0] - draws.left_out[0])
    part = found.sensitivity
    assert (part.apparent, part.optimism) == pytest.approx((apparent, flattery))
    assert part.expected.value == pytest.approx(apparent - flattery)
    spread = np.std(draws.drawn[0] - draws.original[0])
    worth = min(12, part.expected.value * (1 - part.expected.value) / spread**2)
    ends = [proportion_interval(value * worth, worth) for value in (part.expected.value, apparent)]
    assert (part.expected.low, part.expected.high) == pytest.approx(
        (min(ends[0][0], ends[1][0]), max(ends[0][1], ends[1][1]))
    )
    low, high = np.quantile(draws.threshold, [0.025, 0.975])
    assert (found.threshold_low, found.threshold_high) == pytest.approx((low, high))


def test_youden_is_the_sum_less_1_and_its_interval_combines_both():
    found = chosen_threshold(*separable(30, 12, seed=1), resamples=200)
    first, second, youden = (getattr(found, name).expected for name in PARTS)
    assert youden.value == pytest.approx(first.value + second.value - 1)
    assert youden.low == pytest.approx(youden.value - np.hypot(first.value - first.low, second.value - second.low))
    assert youden.high == pytest.approx(youden.value + np.hypot(first.high - first.value, second.high - second.value))
    assert found.youden.apparent == pytest.approx(found.sensitivity.apparent + found.specificity.apparent - 1)


def test_a_threshold_on_pure_noise_loses_most_of_its_index():
    apparent, expected = [], []
    for seed in range(60):
        found = chosen_threshold(*separable(34, 12, seed=seed, gain=0.0), resamples=100, seed=seed)
        apparent.append(found.youden.apparent)
        expected.append(found.youden.expected.value)
    assert np.mean(apparent) > 0.15
    assert abs(np.mean(expected)) < 0.05


def test_what_was_simulated_stands_on_the_page():
    rows = read("operating_optimism.csv")
    for row in rows:
        assert abs(float(row["corrected"])) <= 0.035
        assert abs(float(row["corrected"])) <= float(row["apparent"]) / 2
        assert float(row["rms_corrected"]) <= float(row["rms_one_out"])
        assert float(row["rms_sensitivity_corrected"]) <= float(row["rms_sensitivity_left_out"])
        assert min(float(row[f"holds_{name}"]) for name in PARTS) >= 0.93
    shown = re.findall(r"^\| (\d+) \+ (\d+) \| (\S+) \| (\S+) \| (\S+) \| (\S+) \|$", PAGE.read_text("utf-8"), re.M)
    columns = ("benign", "malignant", "apparent", "harrell", "corrected", "holds_youden")
    assert shown == [tuple(row[name] for name in columns) for row in rows if row["rule"] == "youden"]


@settings(max_examples=60, deadline=None)
@given(labelled_scores(), st.sampled_from(list(RULES)), st.sampled_from([0.5, 0.95, 0.99]), st.data())
def test_intervals_are_in_range_and_have_a_width_whatever_the_order(drawn, rule, confidence, data):
    labels, scores = drawn
    ids = st.lists(st.integers(0, 12), min_size=labels.size, max_size=labels.size)
    patients = data.draw(st.none() | ids)
    found = chosen_threshold(labels, scores, rule, patients, confidence, resamples=40)
    for name, least in zip(PARTS, (0, 0, -1), strict=True):
        part = getattr(found, name)
        assert least <= part.expected.low <= part.expected.value <= part.expected.high <= 1
        assert part.expected.high - part.expected.low > 1e-6
        assert part.expected.low <= part.apparent <= part.expected.high
        assert part.optimism == pytest.approx(part.apparent - part.expected.value)
    assert found.threshold_low <= found.threshold <= found.threshold_high
    assert found.threshold == choose_threshold(labels, scores, rule)
    order = np.random.default_rng(0).permutation(labels.size)
    own = None if patients is None else np.array(patients)[order]
    shuffled = chosen_threshold(labels[order], scores[order], rule, own, confidence, resamples=40)
    assert shuffled == found


def test_perfect_separation_keeps_a_width():
    found = chosen_threshold([0] * 12 + [1] * 4, range(16))
    assert found.sensitivity.apparent == found.specificity.apparent == found.youden.apparent == 1
    for name in PARTS:
        part = getattr(found, name).expected
        assert part.high == 1
        assert part.high - part.low > 0.1


def test_a_single_malignant_patient_cannot_be_left_out():
    part = chosen_threshold([0] * 8 + [1], [*range(8), 5.5], resamples=50).sensitivity
    assert part.optimism == 0
    assert (part.expected.low, part.expected.high) == pytest.approx(proportion_interval(1, 1))
    assert part.expected.method.startswith("not corrected, as no draw left out a patient of this class")


def test_lesions_of_a_patient_are_drawn_together():
    labels, scores = separable(20, 10, seed=4)
    single = chosen_threshold(labels, scores, patients=range(30), resamples=300).youden.expected
    doubled = chosen_threshold(np.tile(labels, 2), np.tile(scores, 2), patients=list(range(30)) * 2, resamples=300)
    both = doubled.youden.expected
    assert (both.value, both.low, both.high) == pytest.approx((single.value, single.low, single.high))


def test_the_seed_decides_the_draws():
    labels, scores = separable(30, 12, seed=6)
    assert chosen_threshold(labels, scores, seed=1) == chosen_threshold(labels, scores, seed=1)
    assert chosen_threshold(labels, scores, seed=1) != chosen_threshold(labels, scores, seed=2)


def test_broken_input_is_named():
    with pytest.raises(InputError, match="only one class"):
        chosen_threshold([1, 1], [0, 1])
    with pytest.raises(InputError, match="a score is not a finite number"):
        chosen_threshold([0, 1], [0, float("nan")])
    with pytest.raises(InputError, match="neither benign nor malignant"):
        chosen_threshold([0, 3], [0, 1])
    with pytest.raises(InputError, match="threshold rule: unknown"):
        chosen_threshold([0, 1], [0, 1], "best")
    with pytest.raises(InputError, match="too few draws; found 1"):
        chosen_threshold([0, 1], [0, 1], resamples=1)
    with pytest.raises(InputError, match="a number between 0 and 1"):
        chosen_threshold([0, 1], [0, 1], confidence=95)


def test_draws_without_a_benign_case_are_told(monkeypatch):
    # the only benign case is of a patient with a malignant one, and may be missed by every draw
    monkeypatch.setattr(optimism, "patient_draws", lambda *_: iter([np.array([[0.0, 0, 2, 1], [0, 0, 1, 2]])]))
    with pytest.raises(InputError, match="no draw has both classes; found 2 draws"):
        chosen_threshold([0, 1, 1, 1], range(4), patients=["a", "a", "b", "c"], resamples=2)
