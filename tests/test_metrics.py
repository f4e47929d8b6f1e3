import csv
import doctest
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from rarelesion import metrics
from rarelesion.errors import InputError
from rarelesion.metrics import (
    METRICS,
    average_precision,
    pr_curve,
    roc_auc,
    roc_curve,
    sensitivity_specificity,
)
from rarelesion.thresholds import choose_threshold

REFERENCE = Path(__file__).parent / "reference"


def read(name):
    with open(REFERENCE / name, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def reference_cases(dataset, score):
    rows = [row for row in read("cases.csv") if row["dataset"] == dataset]
    return np.array([int(row["label"]) for row in rows]), np.array([float(row[score]) for row in rows])


FEW_VALUES = st.integers(-6, 6)


@st.composite
def labelled_scores(draw, values=FEW_VALUES):
    """Few distinct values, so that ties are common, and at least one case of each class."""
    n = draw(st.integers(2, 40))
    labels = draw(st.lists(st.integers(0, 1), min_size=n, max_size=n).filter(lambda drawn: 0 < sum(drawn) < n))
    return np.array(labels), np.array(draw(st.lists(values, min_size=n, max_size=n)), dtype=float)


def pairwise_auc(labels, scores):
    difference = scores[labels == 1][:, None] - scores[labels == 0][None, :]
    return np.mean((difference > 0) + 0.5 * (difference == 0))


@pytest.mark.parametrize("row", read("single.csv"), ids=lambda row: f"{row['dataset']}-{row['score']}")
def test_area_and_youden_point_agree_with_proc(row):
    labels, scores = reference_cases(row["dataset"], row["score"])
    assert roc_auc(labels, scores) == pytest.approx(float(row["auc"]), abs=1e-12)
    found = sensitivity_specificity(labels, scores, choose_threshold(labels, scores))
    assert found == pytest.approx((float(row["sensitivity"]), float(row["specificity"])), abs=1e-12)


def test_hand_counted_areas():
    labels, scores = [0, 0, 1, 0, 1], [1.0, 2.0, 2.0, 3.0, 4.0]
    assert roc_auc(labels, scores) == pytest.approx((1.5 + 3) / 6)
    assert average_precision(labels, scores) == pytest.approx(0.5 * 1 + 0.5 * 2 / 4)


@given(labelled_scores())
def test_ties_are_midranks(data):
    assert roc_auc(*data) == pytest.approx(pairwise_auc(*data), abs=1e-12)


@given(labelled_scores())
def test_areas_agree_with_an_independent_library(data):
    assert roc_auc(*data) == pytest.approx(roc_auc_score(*data), abs=1e-12)
    assert average_precision(*data) == pytest.approx(average_precision_score(*data), abs=1e-12)


@given(labelled_scores())
def test_flipping_the_labels_mirrors_the_roc_area(data):
    labels, scores = data
    assert roc_auc(1 - labels, scores) == pytest.approx(1 - roc_auc(labels, scores), abs=1e-12)


@pytest.mark.parametrize("name", METRICS)
class TestEveryMetric:
    @given(data=labelled_scores(), seed=st.integers(0, 1000))
    def test_order_does_not_matter(self, name, data, seed):
        labels, scores = data
        order = np.random.default_rng(seed).permutation(labels.size)
        assert METRICS[name](labels[order], scores[order]) == pytest.approx(METRICS[name](*data), abs=1e-12)

    @given(data=labelled_scores())
    def test_only_the_ranking_counts(self, name, data):
        labels, scores = data
        assert METRICS[name](labels, 3 * np.exp(scores / 4) - 7) == pytest.approx(METRICS[name](*data), abs=1e-12)

    @given(data=labelled_scores())
    def test_lies_between_0_and_1(self, name, data):
        assert 0 <= METRICS[name](*data) <= 1

    def test_perfect_separation_is_1(self, name):
        assert METRICS[name]([0, 0, 0, 1, 1], [1, 2, 3, 4, 5]) == 1.0

    def test_computes_in_double_precision(self, name):
        scores = np.array([1.0, 1.0 + 1e-12])
        assert METRICS[name]([0, 1], scores) == 1.0
        assert METRICS[name]([0, 1], np.float32([0.25, 0.5])) == 1.0

    @pytest.mark.parametrize(
        ("labels", "scores", "sentence"),
        [
            ([0, 1, 1], [0.1, float("nan"), 0.3], "not a finite number; found nan at position 1"),
            ([0, 1, 1], [0.1, float("inf"), 0.3], "not a finite number; found inf"),
            ([1, 1], [0.1, 0.2], "only one class; found 2 malignant cases"),
            ([0, 0, 0], [0.1, 0.2, 0.2], "only one class; found 3 benign cases"),
            ([0, 2, 1], [0.1, 0.2, 0.3], "neither benign nor malignant; found 2"),
            (["0", "1"], [0.1, 0.2], "neither benign nor malignant; found '0', '1'"),
            ([0, 1], [0.1, 0.2, 0.3], "found 2 labels and 3 scores"),
            ([], [], "found 0 labels and 0 scores"),
        ],
    )
    def test_says_what_is_wrong_with_the_input(self, name, labels, scores, sentence):
        with pytest.raises(InputError, match=sentence):
            METRICS[name](labels, scores)

    def test_names_all_problems_at_once(self, name):
        with pytest.raises(InputError) as error:
            METRICS[name]([1, 1], [0.1, float("nan")])
        assert len(error.value.problems) == 2


@given(labelled_scores())
def test_the_roc_curve_holds_its_area_and_its_thresholds(data):
    curve = roc_curve(*data)
    assert np.sum(np.diff(curve.x) * (curve.y[1:] + curve.y[:-1]) / 2) == pytest.approx(roc_auc(*data), abs=1e-12)
    assert (curve.x[0], curve.y[0], curve.x[-1], curve.y[-1]) == (0, 0, 1, 1)
    for x, y, threshold in zip(curve.x, curve.y, curve.thresholds, strict=True):
        assert sensitivity_specificity(*data, threshold) == pytest.approx((y, 1 - x))


@given(labelled_scores())
def test_the_pr_curve_as_steps_holds_the_average_precision(data):
    curve = pr_curve(*data)
    assert np.sum(np.diff(curve.x, prepend=0) * curve.y) == pytest.approx(average_precision(*data), abs=1e-12)
    assert curve.x[-1] == 1
    assert curve.y[-1] == pytest.approx(data[0].mean())


@given(labelled_scores(values=st.floats(-1e300, 1e300)))
def test_no_other_threshold_has_a_larger_youden_index(data):
    threshold = choose_threshold(*data)
    assert np.isfinite(threshold)
    best = max(sum(sensitivity_specificity(*data, other)) for other in roc_curve(*data).thresholds)
    assert sum(sensitivity_specificity(*data, threshold)) == pytest.approx(best, abs=1e-12)


def test_threshold_lies_between_the_classes():
    assert choose_threshold([0, 0, 1, 1], [1, 2, 4, 5]) == 3.0


def test_of_equally_good_thresholds_the_most_sensitive_is_taken():
    labels, scores = [0, 1, 0, 1], [1, 2, 3, 4]
    assert choose_threshold(labels, scores) == 1.5
    assert sensitivity_specificity(labels, scores, 1.5) == (1.0, 0.5)


def test_useless_scores_call_everything_malignant():
    assert choose_threshold([0, 1, 0], [7, 7, 7]) == 7.0
    assert choose_threshold([1, 1, 0], [1, 2, 3]) == 1.0


def test_threshold_between_neighbouring_doubles_still_separates():
    low = 1.0
    high = np.nextafter(low, 2)
    assert sensitivity_specificity([0, 1], [low, high], choose_threshold([0, 1], [low, high])) == (1.0, 1.0)


def test_examples_in_the_docs_run():
    assert doctest.testmod(metrics).failed == 0
