import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rarelesion.metrics import METRICS
from rarelesion.resampling import (
    affordable_draws,
    average_precision_influence,
    patient_draws,
    weighted_average_precision,
    weighted_roc_auc,
)
from score_rows import any_scores, separable


@given(any_scores(), st.integers(0, 99))
def test_a_weight_is_a_number_of_copies(scores, seed):
    weights = np.random.default_rng(seed).integers(0, 3, (4, scores.label.size))
    malignant = scores.label == 1
    for weighted, metric in ((weighted_roc_auc, METRICS["roc_auc"]), (weighted_average_precision, METRICS["pr_auc"])):
        for counts, found in zip(weights, weighted(malignant, scores.score, weights.astype(float)), strict=True):
            labels, copies = np.repeat(scores.label, counts), np.repeat(scores.score, counts)
            if np.unique(labels).size == 2:
                assert found == pytest.approx(metric(labels, copies), abs=1e-12)
            else:
                assert np.isnan(found)


@given(any_scores())
def test_the_influence_is_the_derivative_of_the_average_precision(scores):
    malignant, step = scores.label == 1, 1e-6
    influence = average_precision_influence(malignant, scores.score)
    ones = np.ones((1, malignant.size))
    plain = weighted_average_precision(malignant, scores.score, ones)[0]
    moved = weighted_average_precision(malignant, scores.score, ones + step * np.eye(malignant.size))
    np.testing.assert_allclose(influence, (moved - plain) / step, atol=1e-5)
    assert influence.sum() == pytest.approx(0, abs=1e-12)


def test_the_influence_gives_the_spread_that_draws_show():
    label, score = separable(1600, 400, gain=1.2)
    malignant, patient = label == 1, np.arange(2000).astype(str)
    influence = average_precision_influence(malignant, score)
    draws = patient_draws(label, patient, 600, seed=0)
    drawn = np.concatenate([weighted_average_precision(malignant, score, weights) for weights in draws])
    linear = np.sqrt(sum(influence[own].var() * own.sum() for own in (malignant, ~malignant)))
    assert linear == pytest.approx(drawn.std(), rel=0.06)


def test_a_large_cohort_gets_fewer_draws():
    assert affordable_draws(640, 2000) == 2000
    assert affordable_draws(500_000, 2000) == 200
    assert affordable_draws(100_000_000, 2000) == 99
    assert affordable_draws(100_000_000, 50) == 50
