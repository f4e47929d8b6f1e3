"""Drawn pictures: each kind keeps its range and its seed, and the whole has the statistics it is drawn for."""

import numpy as np
import pytest

from rarelesion.pictures import HELD_OUT, PICTURES, SHARES, SHOWN, draw_picture, exposed, palette, tint
from rarelesion.texture import TEXTURES


@pytest.mark.parametrize("kind", list(PICTURES))
def test_every_kind_draws_colour_pictures_that_follow_from_the_seed(kind):
    first, again, other = (
        exposed(np.random.default_rng(seed), PICTURES[kind](np.random.default_rng(seed), 48)) for seed in (3, 3, 4)
    )
    assert first.shape == (3, 48, 48)
    assert first.dtype == np.float32
    assert first.min() >= 0
    assert first.max() <= 1
    assert first.std() > 0.02
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).mean() > 0.01


def test_every_kind_has_a_share():
    assert set(SHARES) == set(PICTURES)
    assert min(SHARES.values()) > 0


def test_materials_kept_for_probing_are_never_shown(monkeypatch):
    drawn = []
    monkeypatch.setattr(
        "rarelesion.pictures.procedural_texture", lambda kind, rng, side: drawn.append(kind) or rng.random((side, side))
    )
    rng = np.random.default_rng(0)
    for _ in range(40):
        PICTURES["material"](rng, 16)
    assert set(drawn) <= set(SHOWN)
    assert not set(SHOWN) & set(HELD_OUT)
    assert sorted([*SHOWN, *HELD_OUT]) == list(range(len(TEXTURES)))


def test_strength_falls_with_frequency_as_in_natural_pictures():
    rng = np.random.default_rng(1)
    grey = np.stack([draw_picture(rng, 64).mean(0) for _ in range(40)])
    spectrum = np.abs(np.fft.fft2(grey - grey.mean((1, 2), keepdims=True))).mean(0)
    cycles = np.hypot(*np.meshgrid(*[np.fft.fftfreq(64) * 64] * 2))
    octaves = [spectrum[(cycles >= low) & (cycles < 2 * low)].mean() for low in (1, 2, 4, 8, 16)]
    slope = np.polyfit(np.arange(5), np.log2(octaves), 1)[0]
    assert -1.6 < slope < -0.6


def test_a_palette_has_dull_colours_and_a_tint_keeps_the_order_of_greys():
    colours = np.concatenate([palette(np.random.default_rng(seed), 5) for seed in range(200)])
    assert colours.min() >= 0
    assert colours.max() <= 1
    assert np.median(colours.max(1) - colours.min(1)) < 0.35
    ramp = np.linspace(0, 1, 16 * 16).reshape(16, 16)
    picture = tint(np.random.default_rng(0), ramp)
    assert picture.shape == (3, 16, 16)
    assert len(np.unique(picture.reshape(3, -1), axis=1).T) > 100
