"""The texture class: many materials, told apart by simple features, the same again from the same seed."""

import numpy as np
import pytest

from rarelesion.texture import TEXTURES, crop_textures, procedural_texture, texture_set

SIDE_PX = 64


@pytest.mark.parametrize("name", TEXTURES)
def test_every_material_keeps_the_contract(name: str) -> None:
    draw = TEXTURES[name]
    first, again, other = (draw(np.random.default_rng(seed), SIDE_PX) for seed in (1, 1, 2))
    assert first.shape == (SIDE_PX, SIDE_PX)
    assert first.dtype == np.float32
    assert 0 <= first.min() < first.max() <= 1
    assert first.std() > 0.02
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).mean() > 0.01


@pytest.mark.parametrize("name", TEXTURES)
def test_every_material_draws_at_odd_and_small_sizes(name: str) -> None:
    assert np.isfinite(TEXTURES[name](np.random.default_rng(0), 33)).all()


def _features(picture: np.ndarray) -> np.ndarray:
    """A spectrum in rings and angles, a histogram, and slopes: none of it learnt."""
    picture = (picture - picture.mean()) / picture.std()
    power = np.abs(np.fft.fft2(picture)) ** 2
    wave = np.fft.fftfreq(len(picture)) * len(picture)
    ring = np.digitize(np.hypot(*np.meshgrid(wave, wave)), np.geomspace(1, 45, 12))
    rings = [np.log(power[ring == k].mean() + 1e-6) for k in range(1, 13)]
    peaks = [np.log(power[ring == k].max() / power[ring == k].mean()) for k in range(1, 12)]
    slopes = [np.abs(np.diff(picture, axis=axis)).mean() for axis in (0, 1)]
    moments = [np.mean(picture**3), np.log(np.mean(picture**4))]
    return np.array([*rings, *peaks, *moments, np.sum(slopes), *np.quantile(picture, np.linspace(0.05, 0.95, 9))])


def test_the_materials_are_told_apart_by_simple_features() -> None:
    draws = 10
    features = np.array(
        [
            [_features(procedural_texture(kind, np.random.default_rng([kind, draw]), SIDE_PX)) for draw in range(draws)]
            for kind in range(len(TEXTURES))
        ]
    )
    train, test = features[:, : draws // 2], features[:, draws // 2 :]
    spread = np.sqrt(train.var(axis=1).mean(axis=0))
    distance = np.linalg.norm((test[:, :, None] - train.mean(axis=1)) / spread, axis=-1)
    found = distance.argmin(axis=-1)
    assert (found == np.arange(len(TEXTURES))[:, None]).mean() > 0.6


def test_there_are_enough_materials() -> None:
    assert len(TEXTURES) >= 60


def test_a_texture_set_is_grey_balanced_and_repeatable() -> None:
    n = 2 * len(TEXTURES) + 5
    pictures = texture_set(n, 16, seed=3)
    assert pictures.shape == (n, 3, 16, 16)
    assert pictures.dtype == np.float32
    np.testing.assert_array_equal(pictures[:, 0], pictures[:, 1])
    np.testing.assert_array_equal(pictures[:, 0], pictures[:, 2])
    np.testing.assert_array_equal(pictures, texture_set(n, 16, seed=3))
    assert len(np.unique(pictures.reshape(n, -1), axis=0)) == n
    assert not np.array_equal(pictures, texture_set(n, 16, seed=4))
    assert texture_set(0, 16, seed=0).shape == (0, 3, 16, 16)


def test_crops_are_centres_taken_in_turn() -> None:
    wide = np.tile(np.arange(10) / 10, (6, 1))
    tall = np.full((8, 6), 0.25)
    pictures = crop_textures([wide, tall], n=5, side_px=4, seed=0)
    kinds = [bool(picture[0, 0, 0] != 0.25) for picture in pictures]
    assert sorted(kinds[:2]) == sorted(kinds[2:4]) == [False, True]
    np.testing.assert_allclose(pictures[kinds.index(True), 2], np.tile([0.3, 0.4, 0.5, 0.6], (4, 1)), atol=1e-6)


def test_a_small_photograph_is_enlarged() -> None:
    ramp = np.tile(np.linspace(0, 1, 5), (5, 1))
    picture = crop_textures([ramp], n=1, side_px=20, seed=0)[0, 0]
    assert picture.shape == (20, 20)
    assert (np.diff(picture, axis=1) >= 0).all()
    assert picture[:, 0].max() < 0.05
    assert picture[:, -1].min() > 0.95


def test_crops_need_a_photograph() -> None:
    with pytest.raises(ValueError, match="at least one"):
        crop_textures([], n=1, side_px=4, seed=0)
