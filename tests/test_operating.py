import numpy as np
import pytest

from rarelesion.errors import InputError
from rarelesion.operating import operating_point, tuned_calls
from rarelesion.proportions import proportion_interval
from rarelesion.types import Scores
from score_rows import make_scores


def two_folds(tune_scores):
    """Two folds on different scales, three test and two tuning cases each."""
    parts = [
        make_scores([0, 1, 1], [1, 3, 5], fold=0, case=["a", "b", "c"]),
        make_scores([0, 0, 1], [10, 50, 40], fold=1, case=["d", "e", "f"]),
        make_scores([0, 1], tune_scores[0], fold=0, part="tune", case=["d", "f"]),
        make_scores([0, 1], tune_scores[1], fold=1, part="tune", case=["a", "b"]),
    ]
    columns = ("repeat", "fold", "part", "case_id", "patient_id", "label", "score")
    return Scores("made-up", *(np.concatenate([getattr(part, name) for part in parts]) for name in columns))


def test_operating_point_pools_the_decisions_of_each_folds_own_threshold():
    scores = two_folds(tune_scores=([3, 5], [20, 30]))
    best = operating_point(scores, "test")
    assert best.threshold == (2 + 25) / 2
    assert (best.sensitivity.value, best.specificity.value) == pytest.approx((1, 2 / 3))
    assert best.sensitivity.method == "pooled over 2 folds, Wilson on 3 cases"
    tuned = operating_point(scores, "tune")
    assert tuned.threshold == (4 + 25) / 2
    assert (tuned.sensitivity.value, tuned.specificity.value) == pytest.approx((2 / 3, 2 / 3))
    assert (tuned.sensitivity.low, tuned.sensitivity.high) == pytest.approx(proportion_interval(2, 3))
    assert (best.chosen_on, tuned.chosen_on) == ("test", "tune")


def test_decisions_on_a_case_are_averaged_over_repeats():
    label, case = [0, 1, 1], ["a", "b", "c"]
    scores = make_scores(label * 2, [1, 3, 5, 4, 3, 5], repeat=[0, 0, 0, 1, 1, 1], case=case * 2)
    point = operating_point(scores, "test")
    assert point.sensitivity.value == pytest.approx((1 + 0.5) / 2)
    assert (point.sensitivity.low, point.sensitivity.high) == pytest.approx(proportion_interval(1.5, 2))


def test_without_tuning_cases_there_is_no_tuned_threshold():
    with pytest.raises(InputError, match="no threshold can be chosen on the tune cases; found 0 tune cases"):
        operating_point(make_scores([0, 1], [1, 2]), "tune")


def test_a_rule_places_every_folds_threshold():
    scores = two_folds(tune_scores=([3, 5], [20, 30]))
    all_called = operating_point(scores, "test", rule="Sensitivity >= 1")
    assert all_called.rule == "sensitivity>=1"
    assert all_called.sensitivity.value == 1
    with pytest.raises(InputError, match="threshold rule: unknown"):
        operating_point(scores, "test", rule="best")


def test_predictive_values_follow_from_the_pooled_decisions():
    scores = two_folds(tune_scores=([3, 5], [20, 30]))
    point = operating_point(scores, "tune", prevalence=0.1)
    found, spared = point.sensitivity.value, point.specificity.value
    values = point.at_prevalence
    assert values.ppv.value == pytest.approx(0.1 * found / (0.1 * found + 0.9 * (1 - spared)))
    assert values.npv.value == pytest.approx(0.9 * spared / (0.9 * spared + 0.1 * (1 - found)))
    assert operating_point(scores, "tune").at_prevalence is None


def test_the_calls_are_those_that_are_counted():
    scores = two_folds(tune_scores=([3, 5], [20, 30]))
    rows, called, thresholds = tuned_calls(scores, "tune")
    assert thresholds == [4, 25]
    assert dict(zip(rows.case_id.tolist(), called.tolist(), strict=True)) == {
        "a": False, "b": False, "c": True, "d": False, "e": True, "f": True,
    }  # fmt: skip
