"""An image is odd against others that agree among themselves, and only then."""

import numpy as np
from scipy.ndimage import gaussian_filter

from rarelesion.oddities import contrary, exchange, fit, looks, outliers, turned


def test_one_of_the_other_sign_contradicts_the_rest():
    values = np.array([1.0, 1.2, 0.8, 0.9, 1.1, 1.0, 1.3, 0.7, -1.0])
    assert contrary(values).tolist() == [False] * 8 + [True]
    assert contrary(-values).tolist() == [False] * 8 + [True]
    assert contrary(np.append(values[:-1], np.nan)).tolist() == [False] * 9


def test_values_that_do_not_agree_contradict_nobody():
    assert not contrary(np.random.default_rng(0).normal(size=200)).any()
    assert not contrary(np.array([1.0, 1, 1, -1])).any()
    assert not contrary(np.zeros(20)).any()


def pictures(count: int, seed: int, bright_top: float) -> np.ndarray:
    rng = np.random.default_rng(seed)
    shade = np.linspace(bright_top, 1 - bright_top, 64)[:, None]
    return np.clip(shade + 0.5 * gaussian_filter(rng.normal(size=(count, 64, 64)), (0, 4, 4)), 0, 1)


def test_two_sequences_given_the_other_way_round():
    first, second = pictures(20, 1, 0.9), pictures(20, 2, 0.5) ** 2
    first[4], second[4] = second[4].copy(), first[4].copy()
    assert np.flatnonzero(contrary(exchange(looks(first), looks(second)))).tolist() == [4]
    assert not contrary(exchange(looks(pictures(20, 3, 0.5)), looks(pictures(20, 4, 0.5)))).any()


def test_upside_down():
    given = pictures(20, 1, 0.9)
    given[7] = given[7, ::-1]
    assert np.flatnonzero(contrary(turned(given))).tolist() == [7]


def test_a_mirrored_picture_fits_better_mirrored():
    rng = np.random.default_rng(0)
    one = gaussian_filter(rng.normal(size=(64, 64)), 3)
    affine = np.eye(4)
    affine[:3, :3] = np.eye(3)[:, ::-1]
    away = np.array(affine)
    away[0, 3] = 500
    assert fit(one, affine, one, affine) > 0.5
    assert fit(one, affine, one[:, ::-1], affine) < -0.5
    assert np.isnan(fit(one, affine, one, away))


def test_an_outlier_is_far_from_everything():
    rng = np.random.default_rng(0)
    described = rng.normal(size=(30, 5))
    assert not outliers(described).any()
    described[3] += 60
    far = outliers(described)
    assert np.flatnonzero(far).tolist() == [3]
    assert far[3] > 10
    assert not outliers(described[:8]).any()
