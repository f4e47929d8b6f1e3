"""Copies are found whatever was done to them, and two patients are not taken for one."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, zoom

from rarelesion.duplicates import agreement, detail, near_pairs, perceptual_hash
from rarelesion.views import shrink


def picture(seed: int, side: int = 160) -> np.ndarray:
    rng = np.random.default_rng(seed)
    coarse = gaussian_filter(rng.normal(size=(side, side)), 14) * 14
    fine = gaussian_filter(rng.normal(size=(side, side)), 3) * 3
    return coarse + fine


CHANGES = {
    "resized": lambda one: zoom(one, 0.6),
    "brighter": lambda one: np.exp(0.3 * one),
    "noisy": lambda one: one + np.random.default_rng(0).normal(0, 0.3, one.shape),
    "cropped": lambda one: one[4:-3, 6:-1],
    "mirrored": lambda one: one[:, ::-1],
    "mirrored and cropped": lambda one: one[5:, 2:-4][:, ::-1],
    "blurred": lambda one: gaussian_filter(one, 1.5),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_copy_is_found_among_thirty_patients(name):
    pictures = [picture(seed) for seed in range(30)]
    pictures.append(CHANGES[name](pictures[12]))
    small = np.stack([shrink(one) for one in pictures])
    (pair,) = near_pairs(small, [f"p{index}" for index in range(31)])
    assert (pair.first, pair.second) == (12, 30)
    assert pair.mirrored == ("mirrored" in name)
    assert 0.62 <= pair.agreement <= 1.0001


def test_two_pictures_of_one_patient_are_no_finding():
    small = np.stack([shrink(picture(seed)) for seed in (0, 1, 2, 0)])
    assert near_pairs(small, ["a", "b", "c", "a"]) == []
    assert [(one.first, one.second) for one in near_pairs(small, ["a", "b", "c", "d"])] == [(0, 3)]


def test_an_even_picture_agrees_with_nothing():
    even = np.ones((64, 64))
    assert not detail(even).any()
    assert agreement(detail(even), detail(shrink(picture(1)))) == 0
    assert near_pairs(np.stack([even, even]), ["a", "b"]) == []
    assert near_pairs(even[None], ["a"]) == []


def test_the_hash_stays_when_a_picture_is_resized_and_made_brighter():
    one = picture(3)
    same = (perceptual_hash(shrink(one)) == perceptual_hash(shrink(2 * zoom(one, 0.7) + 5))).mean()
    other = (perceptual_hash(shrink(one)) == perceptual_hash(shrink(picture(4)))).mean()
    assert same > 0.95
    assert other < 0.75
