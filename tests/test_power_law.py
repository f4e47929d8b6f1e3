"""The inverse power law: known curves come back, bounds hold, and what cannot be fitted says so."""

import doctest

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rarelesion import power_law
from rarelesion.errors import InputError
from rarelesion.power_law import RATES, fit_power_law

CASES = np.array([96, 134, 192, 273, 384])


def known(cases, ceiling=0.93, drop=1.2, rate=0.6):
    return ceiling - drop * np.asarray(cases, dtype=float) ** -rate


def test_the_example_runs():
    assert doctest.testmod(power_law).failed == 0


@pytest.mark.parametrize("rate", [RATES[0], 0.3, 0.6, 1.0, RATES[-1]])
def test_a_known_curve_comes_back_also_beyond_its_points(rate):
    drop = 0.1 * 96**rate
    law = fit_power_law(CASES, known(CASES, 0.9, drop, rate))
    np.testing.assert_allclose(law.at([*CASES, 768]), known([*CASES, 768], 0.9, drop, rate), atol=5e-4)
    assert law.rate == pytest.approx(rate, rel=0.05)


def test_many_resamples_at_once_are_fitted_as_each_alone():
    rows = np.clip(known(CASES) + np.random.default_rng(0).normal(0, 0.02, (20, 5)), 0, 1)
    together = fit_power_law(CASES, rows, CASES)
    for number, row in enumerate(rows):
        alone = fit_power_law(CASES, row, CASES)
        np.testing.assert_array_equal(together.at([100, 500])[number], alone.at([100, 500]))


def test_level_points_give_a_level_curve_and_falling_ones_their_weighted_mean():
    np.testing.assert_allclose(fit_power_law(CASES, np.full(5, 0.8)).at([50, 1000]), 0.8)
    falling = fit_power_law([1, 2, 4], [0.9, 0.8, 0.7], [1, 1, 2])
    np.testing.assert_allclose(falling.at([1, 8]), 0.775)
    assert falling.drop == 0


def test_points_that_race_towards_more_than_one_are_held_at_one():
    law = fit_power_law([10, 20, 40], [0.5, 0.75, 0.999])
    assert law.ceiling == 1.0
    assert law.at([1e9]).item() <= 1


def test_a_heavy_point_is_met_more_closely():
    areas = [0.7, 0.8, 0.78]
    light, heavy = (fit_power_law([10, 20, 40], areas, [1, 1, weight]).at([40]).item() for weight in (1, 100))
    assert abs(heavy - 0.78) < abs(light - 0.78)


@given(st.lists(st.floats(0, 1), min_size=3, max_size=6))
def test_the_curve_never_falls_and_stays_between_0_and_1(areas):
    cases = np.arange(1, len(areas) + 1) * 10
    curve = fit_power_law(cases, areas).at(np.geomspace(5, 1000, 50))
    assert ((curve >= 0) & (curve <= 1)).all()
    assert (np.diff(curve) >= -1e-12).all()


@given(st.lists(st.floats(0.1, 0.9), min_size=4, max_size=4))
def test_it_is_no_worse_than_any_curve_of_a_coarse_search(areas):
    cases = np.array([20, 40, 80, 160])
    law = fit_power_law(cases, areas)
    found = np.sum((law.at(cases) - areas) ** 2)
    for rate in RATES[::12]:
        for ceiling in (0.5, 0.8, 1.0):
            for drop in (0.0, 0.1, 0.3):
                curve = ceiling - drop * (cases / 160) ** -rate
                assert found <= np.sum((curve - areas) ** 2) + 1e-12


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (([10, 20, 20], [0.5, 0.6, 0.7]), "too few different numbers"),
        (([10, 20, 0], [0.5, 0.6, 0.7]), "number of cases cannot be used"),
        (([10, 20, 30], [0.5, 0.6, 1.2]), "area cannot be used"),
        (([10, 20, 30], [0.5, 0.6, np.nan]), "area cannot be used"),
        (([10, 20, 30], [0.5, 0.6, 0.7], [1, 0, 1]), "weight cannot be used"),
        (([10, 20, 30], [0.5, 0.6]), "must come together"),
    ],
)
def test_what_cannot_be_fitted_says_why(arguments, what):
    with pytest.raises(InputError, match=what):
        fit_power_law(*arguments)
