"""The album: what is shown follows from the seed and from how much was shown before, whenever one looks."""

import numpy as np
import pytest
import torch

from rarelesion import album as album_module
from rarelesion.album import CROPS_A_PICTURE, PICTURE_PX, Album, crop, piece, recoloured, relit, view


def numbered(rng, side_px):
    """A picture of one grey, whose class is the grey in bytes."""
    kind = int(rng.integers(1, 255))
    return np.full((3, side_px, side_px), kind / 255, np.float32), kind


def test_opened_late_it_lies_open_at_the_same_pages_as_one_leafed_through():
    leafed, late = Album(numbered, seed=1, pages=8), Album(numbered, seed=1, pages=8)
    leafed_to = [leafed.crops(16, 16, seen) for seen in range(0, 10 * CROPS_A_PICTURE, 16)]
    shown, again = leafed_to[-1], late.crops(16, 16, 10 * CROPS_A_PICTURE - 16)
    for first, second in zip(shown, again, strict=True):
        assert torch.equal(first, second)
    np.testing.assert_array_equal(leafed.kinds, late.kinds)


def test_one_page_is_drawn_anew_for_so_many_crops():
    album = Album(numbered, seed=0, pages=4)
    album.open_at(0)
    before = album.pictures.copy()
    album.open_at(CROPS_A_PICTURE - 1)
    np.testing.assert_array_equal(album.pictures, before)
    album.open_at(CROPS_A_PICTURE)
    changed = (album.pictures != before).any(axis=(1, 2, 3))
    assert changed.tolist() == [True, False, False, False]


def test_progress_counts_the_pages():
    told = []
    Album(numbered, seed=0, pages=3).open_at(0, lambda *counts: told.append(counts))
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_a_crop_has_the_class_of_its_picture(monkeypatch):
    monkeypatch.setattr(album_module, "recoloured", lambda pixels, rng: pixels)
    shown, kinds = Album(numbered, seed=0, pages=16).crops(12, 24, 0)
    assert shown.shape == (12, 3, 24, 24)
    torch.testing.assert_close(shown.amax((1, 2, 3)) * 255, kinds.float(), atol=1e-3, rtol=0)


def test_both_views_are_of_the_same_picture(monkeypatch):
    monkeypatch.setattr(album_module, "relit", lambda pixels, rng: pixels)
    first, second = Album(numbered, seed=0, pages=16).views(12, 24, 0)
    assert first.shape == second.shape == (12, 3, 24, 24)
    assert len(first.amax((1, 2, 3)).unique()) > 4
    torch.testing.assert_close(first.amax((1, 2, 3)), second.amax((1, 2, 3)), atol=1e-5, rtol=0)


def test_a_view_shows_most_of_a_picture_upright():
    ramp = np.tile(np.arange(PICTURE_PX, dtype=np.uint8), (3, PICTURE_PX, 1))
    rng = np.random.default_rng(0)
    views = [view(ramp, 32, rng) for _ in range(40)]
    widths = [float(255 * (one.amax() - one.amin())) for one in views]
    assert min(widths) > 0.55 * PICTURE_PX
    assert max(widths) > 0.9 * PICTURE_PX
    assert all(one.diff(dim=1).abs().amax() < 1e-3 for one in views)
    mirrored = [bool(one[0, 0, 0] > one[0, 0, -1]) for one in views]
    assert 8 < sum(mirrored) < 32


def test_relit_pictures_keep_their_colours_nearly_and_their_range():
    pixels = torch.rand(200, 1, 16, 16, generator=torch.Generator().manual_seed(0)).expand(-1, 3, -1, -1)
    shown = relit(pixels, np.random.default_rng(0))
    assert shown.min() >= 0
    assert shown.max() <= 1
    assert (shown.amax(1) - shown.amin(1)).max() < 0.3
    assert shown.flatten(1).mean(1).std() > 2 * pixels.flatten(1).mean(1).std()


def test_a_crop_comes_from_within_at_any_size_and_turn():
    ramp = np.tile(np.arange(PICTURE_PX, dtype=np.uint8), (3, PICTURE_PX, 1))
    rng = np.random.default_rng(0)
    crops = [crop(ramp, 32, rng) for _ in range(40)]
    widths = [float(255 * (one.amax() - one.amin())) for one in crops]
    assert all(one.shape == (3, 32, 32) for one in crops)
    assert 15 < min(widths) < 25
    assert 60 < max(widths) < 75
    upright = [bool(one.diff(dim=1).abs().amax() < 1e-3) for one in crops]
    assert 5 < sum(upright) < 35


def test_colours_stay_in_range_and_some_channels_are_emptied():
    pixels = torch.rand(400, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    shown = recoloured(pixels, np.random.default_rng(0))
    assert shown.min() >= 0
    assert shown.max() <= 1
    assert (shown.flatten(2).amax(2) == 0).any(1).float().mean() == pytest.approx(0.2, abs=0.06)
    assert shown.is_contiguous(memory_format=torch.channels_last)
    grey = (shown.flatten(2).std(1) < 0.06).all(1)
    assert 0.1 < grey.float().mean() < 0.5


def test_a_piece_is_at_least_half_the_picture_wide_and_has_the_side_asked_for():
    picture = np.broadcast_to(np.linspace(0, 1, 60, dtype=np.float32), (3, 40, 60))
    rng = np.random.default_rng(0)
    spans = [float(np.ptp(piece(picture, 24, rng)[0, 0])) for _ in range(30)]
    assert piece(picture, 24, rng).shape == (3, 24, 24)
    assert min(spans) > 0.28
    assert max(spans) < 0.70
