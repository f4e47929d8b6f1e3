"""First-order radiomics against the reference values of the IBSI (manual, digital phantom)."""

import numpy as np
import pytest

from ibsi_phantom import PHANTOM, as_published
from rarelesion.intensities import discretise, entropy, histogram_statistics, intensity_statistics, ratio

VALUES = PHANTOM[PHANTOM > 0].astype(float)
PUBLISHED = {
    "mean_intensity": 2.15,
    "intensity_variance": 3.05,
    "intensity_skewness": 1.08,
    "excess_intensity_kurtosis": -0.355,
    "median_intensity": 1,
    "10th_intensity_percentile": 1,
    "90th_intensity_percentile": 4,
    "intensity_interquartile_range": 3,
    "robust_mean_absolute_deviation": 1.11,
    "coefficient_of_variation": 0.812,
}
PUBLISHED_HISTOGRAM = {"discretised_intensity_entropy": 1.27, "discretised_intensity_uniformity": 0.512}


def test_there_is_a_published_value_for_every_feature():
    assert list(intensity_statistics(VALUES)) == list(PUBLISHED)
    assert list(histogram_statistics(VALUES.astype(int))) == list(PUBLISHED_HISTOGRAM)


@pytest.mark.parametrize("name", PUBLISHED)
def test_intensity_statistics_of_the_phantom(name):
    assert as_published(intensity_statistics(VALUES)[name], PUBLISHED[name])


@pytest.mark.parametrize("name", PUBLISHED_HISTOGRAM)
def test_histogram_of_the_phantom(name):
    assert as_published(histogram_statistics(VALUES.astype(int))[name], PUBLISHED_HISTOGRAM[name])


def test_six_bins_leave_the_phantom_as_it_is():
    np.testing.assert_array_equal(discretise(VALUES, 6), VALUES)


def test_bins_are_of_equal_width_and_the_highest_value_is_in_the_last():
    np.testing.assert_array_equal(discretise(np.array([0.0, 0.24, 0.25, 0.5, 0.99, 1.0]), 4), [1, 1, 2, 3, 4, 4])
    np.testing.assert_array_equal(discretise(np.full(3, 7.0), 4), [1, 1, 1])


@pytest.mark.parametrize(("gain", "offset"), [(250.0, 0.0), (0.01, -3.0)])
def test_grey_levels_do_not_know_the_gain(gain, offset):
    values = np.random.default_rng(0).normal(size=200)
    np.testing.assert_array_equal(discretise(gain * values + offset, 32), discretise(values, 32))


def test_what_divides_by_nothing_is_undefined_and_not_infinite():
    assert np.isnan(ratio(1.0, 0.0))
    alike = intensity_statistics(np.full(9, 2.0))
    assert np.isnan(alike["intensity_skewness"])
    assert alike["coefficient_of_variation"] == 0


def test_entropy_is_in_bits():
    assert entropy(np.full(8, 1 / 8)) == pytest.approx(3)
    assert entropy(np.array([1.0, 0.0])) == 0
