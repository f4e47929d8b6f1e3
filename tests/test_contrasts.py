"""Contrasts: both classes heard, and what each computes, by hand or by another way."""

import numpy as np
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.neighbors import LocalOutlierFactor

from rarelesion.contrasts import CONTRASTS, SCORERS, fit_embedding_scorer
from rarelesion.detectors import DETECTORS, fit_detector
from rarelesion.errors import InputError
from rarelesion.metrics import roc_auc
from rarelesion.settings import DetectorSettings

RNG = np.random.default_rng(0)
BENIGN, MALIGNANT = RNG.normal(size=(60, 8)), RNG.normal(size=(15, 8)) + 2
CASES = np.concatenate([RNG.normal(size=(20, 8)), RNG.normal(size=(20, 8)) + 2])


@pytest.mark.parametrize("name", CONTRASTS)
def test_every_contrast_tells_the_classes_apart_where_a_detector_hardly_can(name):
    score = fit_embedding_scorer(name, BENIGN, MALIGNANT, DetectorSettings())(CASES)
    assert score.dtype == np.float64
    assert roc_auc(np.repeat([0, 1], 20), score) > 0.97
    # strange to the benign, stranger still to the malignant: far away on the benign side
    beyond = fit_embedding_scorer(name, BENIGN, MALIGNANT, DetectorSettings())(BENIGN[:5] - 6)
    assert beyond.max() < np.median(score[20:])


@pytest.mark.parametrize("name", CONTRASTS)
def test_classes_that_change_places_turn_the_score_round(name):
    there = fit_embedding_scorer(name, BENIGN, MALIGNANT, DetectorSettings())(CASES)
    back = fit_embedding_scorer(name, MALIGNANT, BENIGN, DetectorSettings())(CASES)
    np.testing.assert_allclose(there, -back, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", SCORERS)
def test_a_case_scores_alike_alone_and_among_others(name):
    score = fit_embedding_scorer(name, BENIGN, MALIGNANT, DetectorSettings())
    alone = np.concatenate([score(case[None]) for case in CASES[:5]])
    np.testing.assert_allclose(score(CASES[:5]), alone, rtol=1e-6)


@pytest.mark.parametrize("name", CONTRASTS)
def test_a_known_case_and_repeated_cases_give_finite_scores(name):
    few = np.concatenate([MALIGNANT[:2]] * 3)
    score = fit_embedding_scorer(name, np.concatenate([BENIGN] * 2), few, DetectorSettings(contrast_neighbours=2))
    assert np.isfinite(score(np.concatenate([BENIGN[:2], few]))).all()


@pytest.mark.parametrize("name", CONTRASTS)
def test_a_class_of_one_case_and_broken_embeddings_are_refused(name):
    with pytest.raises(InputError, match="too few malignant training cases; found 1"):
        fit_embedding_scorer(name, BENIGN, MALIGNANT[:1], DetectorSettings())
    with pytest.raises(InputError, match="not a finite number"):
        fit_embedding_scorer(name, BENIGN, np.full((5, 8), np.inf), DetectorSettings())


@pytest.mark.parametrize("name", DETECTORS)
def test_a_detector_never_sees_the_malignant(name):
    found = fit_embedding_scorer(name, BENIGN, np.full((3, 8), np.nan), DetectorSettings())(CASES)
    np.testing.assert_array_equal(found, fit_detector(name, BENIGN, DetectorSettings())(CASES))


def test_lofratio_is_the_log_ratio_of_two_factors_of_scikit_learn():
    factors = [
        LocalOutlierFactor(n_neighbors=k, algorithm="brute", metric="sqeuclidean", novelty=True).fit(vectors)
        for vectors, k in ((BENIGN, 20), (MALIGNANT, 14))
    ]
    benign, malignant = (-model.score_samples(CASES) for model in factors)
    found = fit_embedding_scorer("lofratio", BENIGN, MALIGNANT, DetectorSettings())(CASES)
    np.testing.assert_allclose(found, np.log(benign / malignant), rtol=1e-10)


def test_knnratio_by_hand():
    benign, malignant = np.array([[0.0], [1.0], [9.0]]), np.array([[5.0], [7.0]])
    score = fit_embedding_scorer("knnratio", benign, malignant, DetectorSettings(contrast_neighbours=2))
    np.testing.assert_allclose(score(np.array([[3.0]])), [np.log(2.5 / 3.0)])


def test_lda_orders_as_scikit_learns_with_the_same_shrinkage():
    labels = np.repeat([0, 1], [60, 15])
    model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto", priors=[0.5, 0.5])
    expected = model.fit(np.concatenate([BENIGN, MALIGNANT]), labels).decision_function(CASES)
    found = fit_embedding_scorer("lda", BENIGN, MALIGNANT, DetectorSettings())(CASES)
    assert np.corrcoef(found, expected)[0, 1] > 0.99
