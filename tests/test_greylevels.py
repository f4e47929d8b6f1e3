"""Texture against the reference values of the IBSI: its manual's digital phantom, 2D, directions merged by slice."""

import numpy as np
import pytest

from ibsi_phantom import PHANTOM, as_published
from rarelesion.greylevels import cooccurrences, runs, texture_features, zones

PUBLISHED = {
    "cooccurrence_joint_maximum": 0.512,
    "cooccurrence_joint_variance": 2.71,
    "cooccurrence_joint_entropy": 2.24,
    "cooccurrence_difference_entropy": 1.49,
    "cooccurrence_angular_second_moment": 0.352,
    "cooccurrence_contrast": 5.19,
    "cooccurrence_inverse_difference_moment": 0.625,
    "cooccurrence_correlation": 0.0173,
    "cooccurrence_cluster_shade": 6.98,
    "cooccurrence_information_correlation_1": -0.0341,
    "run_length_short_runs_emphasis": 0.661,
    "run_length_long_runs_emphasis": 3.51,
    "run_length_normalised_grey_level_non_uniformity": 0.456,
    "run_length_run_percentage": 0.627,
    "run_length_run_entropy": 2.57,
    "size_zone_small_zone_emphasis": 0.363,
    "size_zone_zone_percentage": 0.240,
    "size_zone_zone_size_entropy": 1.93,
    "tone_difference_coarseness": 0.121,
    "tone_difference_contrast": 0.925,
    "tone_difference_busyness": 2.99,
    "tone_difference_complexity": 10.4,
}
"""Each the mean over the four slices, as the manual's aggregation "2D, merged directions" has it."""
MERGED = [
    {(1, 1): 22, (1, 4): 17, (1, 6): 6, (4, 4): 16, (4, 6): 11, (6, 6): 4},
    {(1, 1): 42, (1, 3): 5, (1, 4): 8, (1, 6): 8, (3, 4): 1, (3, 6): 2, (4, 4): 4, (4, 6): 3},
    {(1, 1): 56, (1, 4): 7, (1, 6): 4, (4, 4): 2},
    {(1, 1): 70, (1, 4): 7, (1, 6): 5, (4, 4): 2},
]
"""The manual's merged co-occurrence matrices of the phantom's slices, upper triangle."""


def noisy_disc(seed: int = 0) -> np.ndarray:
    """Grey levels 1..8 in a disc of no symmetry, 0 outside."""
    row, column = np.mgrid[:17, :14]
    levels = np.random.default_rng(seed).integers(1, 9, (17, 14))
    return np.where((row - 8) ** 2 + (column - 6) ** 2 + row < 60, levels, 0)


def test_there_is_a_published_value_for_every_feature():
    assert list(texture_features(PHANTOM[0])) == list(PUBLISHED)


@pytest.mark.parametrize("name", PUBLISHED)
def test_texture_of_the_phantom(name):
    found = float(np.mean([texture_features(piece)[name] for piece in PHANTOM]))
    assert as_published(found, PUBLISHED[name])


@pytest.mark.parametrize("number", range(4))
def test_cooccurrences_of_the_phantom_are_those_of_the_manual(number):
    matrix = cooccurrences(PHANTOM[number])
    counted = {(i, j): matrix[i - 1, j - 1] for i in range(1, 7) for j in range(i, 7) if matrix[i - 1, j - 1]}
    assert counted == MERGED[number]
    np.testing.assert_array_equal(matrix, matrix.T)


def test_runs_and_zones_by_hand():
    levels = np.array([[2, 2, 0], [1, 2, 1]])
    grey, length = runs(levels)
    across, down = [(2, 2), (1, 1), (2, 1), (1, 1)], [(2, 1), (1, 1), (2, 2), (1, 1)]
    falling, rising = [(2, 2), (2, 1), (1, 1), (1, 1)], [(2, 1), (1, 1), (2, 1), (2, 1), (1, 1)]
    found = sorted(zip(grey.tolist(), length.tolist(), strict=True))
    assert found == sorted([*across, *down, *falling, *rising])
    grey, size = zones(levels)
    assert sorted(zip(grey.tolist(), size.tolist(), strict=True)) == [(1, 1), (1, 1), (2, 3)]


@pytest.mark.parametrize("turns", [1, 2, 3])
@pytest.mark.parametrize("mirrored", [False, True])
def test_texture_does_not_change_when_the_slice_is_turned_or_mirrored(turns, mirrored):
    levels = noisy_disc()
    turned = np.rot90(np.fliplr(levels) if mirrored else levels, turns)
    assert texture_features(turned) == pytest.approx(texture_features(levels))


def test_texture_does_not_see_how_much_lies_around_the_lesion():
    assert texture_features(np.pad(noisy_disc(), ((2, 5), (1, 3)))) == pytest.approx(texture_features(noisy_disc()))


def test_one_grey_and_single_pixels_give_numbers_or_nan_and_no_error():
    flat = texture_features(np.ones((5, 5), dtype=np.int64))
    assert flat["cooccurrence_contrast"] == 0
    assert flat["size_zone_zone_percentage"] == pytest.approx(1 / 25)
    assert np.isnan(flat["cooccurrence_correlation"])
    apart = np.zeros((5, 5), dtype=np.int64)
    apart[::2, ::2] = 3
    found = texture_features(apart)
    assert np.isnan(found["cooccurrence_contrast"])
    assert np.isnan(found["tone_difference_busyness"])
    assert found["run_length_short_runs_emphasis"] == 1
