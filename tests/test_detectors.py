import numpy as np
import pytest
from sklearn.neighbors import LocalOutlierFactor

from rarelesion.detectors import DETECTORS, fit_detector
from rarelesion.errors import InputError
from rarelesion.settings import DetectorSettings

RNG = np.random.default_rng(0)
NORMAL = RNG.normal(size=(60, 12)).astype(np.float32)


@pytest.mark.parametrize("name", DETECTORS)
def test_every_detector_ranks_far_cases_above_near_ones(name):
    score = fit_detector(name, NORMAL, DetectorSettings())
    near, far = RNG.normal(size=(20, 12)), RNG.normal(size=(20, 12)) + 4
    scores = score(np.concatenate([near, far]))
    assert scores.dtype == np.float64
    assert scores.shape == (40,)
    assert scores[:20].max() < scores[20:].min()


@pytest.mark.parametrize("name", DETECTORS)
def test_every_detector_scores_a_case_alike_alone_and_among_others(name):
    score = fit_detector(name, NORMAL, DetectorSettings())
    cases = RNG.normal(size=(5, 12))
    np.testing.assert_allclose(score(cases), np.concatenate([score(case[None]) for case in cases]), rtol=1e-6)


@pytest.mark.parametrize("name", DETECTORS)
def test_every_detector_bears_repeated_cases(name):
    repeated = np.concatenate([NORMAL[:8]] * 6)
    score = fit_detector(name, repeated, DetectorSettings())
    itself, far = score(repeated[:1])[0], score(repeated[:1] + 10)[0]
    assert np.isfinite([itself, far]).all()
    assert itself < far


@pytest.mark.parametrize("name", DETECTORS)
def test_every_detector_refuses_nan_and_too_few_cases(name):
    with pytest.raises(InputError, match="not a finite number"):
        fit_detector(name, np.full((5, 3), np.nan), DetectorSettings())
    with pytest.raises(InputError, match="too few benign training cases"):
        fit_detector(name, np.ones((4, 3)), DetectorSettings())


def test_lof_is_scikit_learns_with_the_papers_settings():
    cases = RNG.normal(size=(10, 12))
    model = LocalOutlierFactor(n_neighbors=5, algorithm="brute", metric="sqeuclidean", novelty=True)
    expected = -model.fit(NORMAL.astype(float)).score_samples(cases)
    np.testing.assert_allclose(fit_detector("lof", NORMAL, DetectorSettings())(cases), expected, rtol=1e-12)


def test_lof_of_a_hand_counted_line():
    # 0, 1, 2 and k = 1, squared distances: the reachability of every normal case is 1, of the case at 5 it is 9.
    score = fit_detector("lof", np.array([[0.0], [1.0], [2.0]]), DetectorSettings(lof_neighbours=1))
    np.testing.assert_allclose(score(np.array([[5.0], [1.0]])), [9.0, 1.0], rtol=1e-6)


def test_knn_is_the_mean_distance_to_the_nearest():
    score = fit_detector("knn", np.array([[0.0], [1.0], [9.0]]), DetectorSettings(knn_neighbours=2))
    np.testing.assert_allclose(score(np.array([[3.0]])), [2.5])


def test_ocsvm_ties_far_away():
    score = fit_detector("ocsvm", NORMAL, DetectorSettings())
    far = score(np.array([[1e3] * 12, [-1e3] * 12]))
    assert far[0] == far[1] > 0
