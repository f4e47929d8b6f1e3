"""The patterns materials are made of: spectra, lattices, cells, piles and light."""

import numpy as np
import pytest

from rarelesion.patterns import band, lit, octaves, photograph, pile, plane, power, strokes, tones, worley

SIDE_PX = 96


def _strongest_cycles(field: np.ndarray) -> float:
    power_at = np.abs(np.fft.fft2(field)) ** 2
    wave = np.fft.fftfreq(len(field)) * len(field)
    return float(np.average(np.hypot(*np.meshgrid(wave, wave)), weights=power_at))


@pytest.mark.parametrize("cycles", [4.0, 12.0])
def test_band_noise_has_its_wavelength(cycles: float) -> None:
    found = [_strongest_cycles(band(np.random.default_rng(seed), SIDE_PX, cycles)) for seed in range(10)]
    assert np.mean(found) == pytest.approx(cycles, rel=0.15)


def test_power_noise_falls_with_its_exponent() -> None:
    field = np.mean([np.abs(np.fft.rfft2(power(np.random.default_rng(k), 128, 1.0))) ** 2 for k in range(30)], axis=0)
    slope = np.polyfit(np.log(np.arange(2, 50)), np.log(field[0, 2:50]), 1)[0]
    assert slope == pytest.approx(-2.0, abs=0.3)


def test_noise_has_unit_variance_and_no_mean() -> None:
    for field in (power(np.random.default_rng(0), SIDE_PX, 1.5), band(np.random.default_rng(0), SIDE_PX, 8)):
        assert field.std() == pytest.approx(1, abs=1e-4)
        assert field.mean() == pytest.approx(0, abs=1e-4)


def test_a_plane_is_a_rotated_lattice() -> None:
    u, v = plane(np.random.default_rng(0), SIDE_PX, 6.0)
    step = np.hypot(np.diff(u, axis=0)[:, 0], np.diff(v, axis=0)[:, 0])
    np.testing.assert_allclose(step, step[0], rtol=1e-2)
    assert 6 * np.exp(-0.25) <= step[0] * SIDE_PX <= 6 * np.exp(0.25) * 1.01


def test_worley_distances_agree_with_brute_force() -> None:
    u, v = plane(np.random.default_rng(1), 24, 3.0)
    nearest, second, _ = worley(np.random.default_rng(2), u, v)
    offsets = np.random.default_rng(2).random((2, 64, 64), dtype=np.float32)
    rows, columns = np.indices((64, 64))
    seeds = np.stack([columns + offsets[0], rows + offsets[1]], axis=-1).reshape(-1, 2)
    distances = np.sort(np.hypot(u[..., None] - seeds[:, 0], v[..., None] - seeds[:, 1]), axis=-1)
    np.testing.assert_allclose(nearest, distances[..., 0], atol=1e-3)
    assert (second >= nearest).all()


def test_a_flat_surface_is_evenly_lit_and_a_slope_is_not() -> None:
    flat = lit(np.random.default_rng(0), np.zeros((8, 8)), 0.1)
    assert np.ptp(flat) == 0
    slope = lit(np.random.default_rng(0), np.tile(np.arange(8.0), (8, 1)), 0.1)
    assert slope[0, 0] != pytest.approx(flat[0, 0], abs=0.05)


def test_one_dome_of_a_pile_is_a_disc() -> None:
    height, tone = pile(np.random.default_rng(0), SIDE_PX, 1, (0.2, 0.2))
    assert (height > 0).sum() == pytest.approx(np.pi * (0.2 * SIDE_PX) ** 2, rel=0.02)
    assert height.max() == pytest.approx(1, abs=0.01)
    assert len(np.unique(tone[height > 0])) == 1


def test_one_stroke_covers_its_length_times_its_width() -> None:
    height, _ = strokes(np.random.default_rng(0), SIDE_PX, 1, 0.5, 0.08, 0.0)
    assert (height > 0).sum() == pytest.approx(0.5 * 0.08 * SIDE_PX**2, rel=0.3)


def test_tones_are_one_a_cell() -> None:
    rows = np.array([[0, 0, 1], [64, 2, 1]])
    found = tones(np.random.default_rng(0), rows, np.zeros_like(rows))
    assert found[0, 0] == found[0, 1] == found[1, 0]
    assert found[0, 2] == found[1, 2] != found[1, 1]


def test_octaves_of_one_roughness_zero_is_the_lowest_band() -> None:
    field = octaves(np.random.default_rng(0), SIDE_PX, np.abs, 0.0)
    np.testing.assert_allclose(field, np.abs(band(np.random.default_rng(0), SIDE_PX, 2.0)), atol=1e-6)


def test_a_photograph_keeps_to_its_range() -> None:
    picture = photograph(lambda rng, side: 1e4 * rng.standard_normal((side, side)), np.random.default_rng(0), 32)
    assert picture.dtype == np.float32
    assert 0 <= picture.min() < picture.max() <= 1
