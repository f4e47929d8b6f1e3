"""Ridge logistic regression: against scikit-learn, by its own definition, and what it may not know."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from rarelesion.metrics import roc_auc
from rarelesion.ridge import (
    DEALS,
    LEFT_OUT_PARTS,
    PENALTIES,
    choose_penalty,
    deal,
    fit_part,
    fit_ridge,
    fit_standard,
    log_odds,
)


def cases(n: int, p: int, seed: int, strength: float = 1.0) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Features of which the first two tell the classes apart; a fifth is malignant."""
    rng = np.random.default_rng(seed)
    labels = (np.arange(n) % 5 == 0).astype(np.int64)
    features = rng.normal(size=(n, p))
    features[:, :2] += strength * labels[:, None]
    return features, labels, [f"p{number:03d}" for number in range(n)]


@pytest.mark.parametrize("penalty", [0.1, 1.0, 30.0])
def test_the_fit_is_scikit_learns(penalty):
    features, labels, _ = cases(80, 6, 0)
    expected = LogisticRegression(C=1 / penalty, tol=1e-10, max_iter=10_000).fit(features, labels)
    found = fit_ridge(features, labels, penalty)
    np.testing.assert_allclose(found[1:], expected.coef_[0], atol=1e-6)
    np.testing.assert_allclose(found[0], expected.intercept_[0], atol=1e-6)


def test_a_strong_penalty_leaves_the_weights_where_they_are_drawn_to():
    features, labels, _ = cases(80, 3, 1)
    aim = np.array([2.0, -1.0, 0.5])
    np.testing.assert_allclose(fit_ridge(features, labels, 1e7, aim)[1:], aim, atol=1e-3)
    weak = fit_ridge(features, labels, 1e-6, aim)
    np.testing.assert_allclose(weak, fit_ridge(features, labels, 1e-6), atol=1e-3)


def test_classes_that_are_separated_have_finite_weights_and_the_start_does_not_matter():
    features, labels = np.array([[-2.0], [-1.0], [1.0], [2.0]]), np.array([0, 0, 1, 1])
    found = fit_ridge(features, labels, 0.03)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(fit_ridge(features, labels, 0.03, start=np.array([3.0, -4.0])), found, atol=1e-6)


def test_the_standard_is_that_of_the_training_cases_and_missing_counts_as_their_median():
    features = np.array([[1.0, 5.0, np.nan], [3.0, 5.0, np.nan], [np.nan, 5.0, np.nan], [8.0, 5.0, np.nan]])
    standard = fit_standard(features)
    np.testing.assert_allclose(standard(features)[:, 0].mean(), 0, atol=1e-12)
    np.testing.assert_allclose(standard(features)[:, 0].std(), 1)
    np.testing.assert_allclose(standard(np.array([[np.nan, 5.0, 1.0]])), standard(np.array([[3.0, 7.0, np.nan]])))
    assert standard(np.array([[1e9, 9.0, 9.0]])).tolist() == [[4.0, 0.0, 0.0]]


def test_patients_stay_together_and_classes_are_spread():
    labels = np.array([1, 0, 1, 0] * 10)
    patients = [f"p{number // 2:02d}" for number in range(40)]
    fold_of = deal(labels, patients, 5, np.random.default_rng(0))
    assert all(fold_of[place] == fold_of[place + 1] for place in range(0, 40, 2))
    assert np.bincount(fold_of).tolist() == [8] * 5
    alone = deal(np.repeat([0, 1], [30, 10]), [f"p{number}" for number in range(40)], 5, np.random.default_rng(0))
    assert [int((np.repeat([0, 1], [30, 10])[alone == fold]).sum()) for fold in range(5)] == [2] * 5


def test_noise_is_silenced_and_a_signal_is_not():
    noise, labels, patients = cases(100, 40, 2, strength=0.0)
    assert choose_penalty(noise, labels, patients, 0) >= 100
    signal, labels, patients = cases(100, 4, 3, strength=2.0)
    assert choose_penalty(signal, labels, patients, 0) <= 10
    assert PENALTIES[0] == max(PENALTIES)


def test_a_part_learns_and_scores_new_cases_and_its_own_as_if_they_were_new():
    features, labels, patients = cases(150, 30, 4)
    part = fit_part(features, labels, patients, 0)
    new, new_labels, _ = cases(400, 30, 5)
    assert roc_auc(new_labels, part.score(new)) > 0.75
    own, left_out = roc_auc(labels, part.score(features)), roc_auc(labels, part.left_out)
    assert own > left_out
    assert abs(left_out - roc_auc(new_labels, part.score(new))) < 0.1
    np.testing.assert_array_equal(fit_part(features, labels, patients, 0).score(new), part.score(new))


def test_a_training_case_is_left_out_of_the_weights_that_score_it():
    features, labels, patients = cases(60, 3, 6)
    part, penalty = fit_part(features, labels, patients, 0), choose_penalty(features, labels, patients, 0)
    fold_of = deal(labels, patients, LEFT_OUT_PARTS, np.random.default_rng([0, DEALS]))
    for fold in range(LEFT_OUT_PARTS):
        kept = fold_of != fold
        standard = fit_standard(features[kept])
        weights = fit_ridge(standard(features[kept]), labels[kept], penalty)
        np.testing.assert_allclose(part.left_out[~kept], log_odds(weights, standard(features[~kept])))


def test_a_feature_without_any_value_says_nothing():
    features, labels, patients = cases(60, 3, 7)
    empty = np.column_stack([features, np.full(60, np.nan)])
    np.testing.assert_allclose(
        fit_part(empty, labels, patients, 0).score(np.column_stack([features, np.arange(60.0)])),
        fit_part(features, labels, patients, 0).score(features),
        atol=1e-8,
    )


def test_log_odds_is_the_line():
    np.testing.assert_allclose(log_odds(np.array([1.0, 2.0, -1.0]), np.array([[3.0, 4.0]])), [3.0])
