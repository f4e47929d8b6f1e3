"""Small pictures keep what they average, and hang as radiologists hang them."""

import numpy as np
import pytest

from rarelesion.outlined import COLOUR, lesion_picture, slice_picture
from rarelesion.pixel_traits import BACKGROUND, background, is_written, traits
from rarelesion.views import hang, shrink, shrunk_affine, stretch


def test_parts_of_pixels_are_counted():
    assert shrink(np.array([[0.0, 3.0, 6.0]]), 2).tolist() == [[1.0, 5.0], [1.0, 5.0]]
    plane = np.random.default_rng(0).random((50, 70))
    assert shrink(plane, 64).mean() == pytest.approx(plane.mean(), abs=1e-3)
    assert np.ptp(stretch(np.ones((4, 4)))) == 0


@pytest.mark.parametrize("flips", [(1, 1), (-1, 1), (1, -1), (-1, -1)])
@pytest.mark.parametrize("transposed", [False, True])
def test_however_a_slice_is_stored_it_hangs_in_one_way(flips, transposed):
    plane = np.arange(12.0).reshape(3, 4)
    affine = np.eye(4)
    affine[:3, :3] = np.eye(3)[:, ::-1] * [4, 1, 2]
    stored, given = plane[:: flips[0], :: flips[1]], np.array(affine)
    for axis, flip in enumerate(flips):
        if flip < 0:
            given[:3, 3] += given[:3, 1 + axis] * (plane.shape[axis] - 1)
            given[:3, 1 + axis] *= -1
    if transposed:
        stored, given = stored.T, given[:, [0, 2, 1, 3]]
    hung, turned = hang(stored, given)
    assert hung.tolist() == plane.tolist()
    assert np.allclose(turned, affine)


def test_a_shrunk_picture_keeps_its_middle():
    affine = np.eye(4)
    small = shrunk_affine(affine, 128, 256, 64)
    assert np.allclose(small @ [0, 31.5, 31.5, 1], affine @ [0, 63.5, 127.5, 1])


def test_the_background_does_not_see_the_lesion():
    plane = np.random.default_rng(0).random((60, 80))
    other = np.array(plane)
    other[20:30, 30:44] += 50
    first, second = background(plane, (20, 30, 30, 44)), background(other, (20, 30, 30, 44))
    assert len(first) == len(BACKGROUND)
    assert np.allclose(first, second, equal_nan=True)
    assert np.isnan(background(plane, (0, 0, 60, 80))).all()


def test_traits_by_hand():
    plane = np.zeros((10, 10))
    plane[0, :5] = 255
    found = traits(plane)
    assert (found.clipped, found.flat, found.eight_bits) == (0.05, 0.95, True)
    assert not traits(plane + 0.5).eight_bits
    assert is_written(plane, (0, 0, 2, 6))
    assert not is_written(np.random.default_rng(0).random((40, 40)), (0, 0, 9, 9))


def test_an_outline_is_drawn_in_its_colour():
    plane, lesion = np.random.default_rng(0).random((40, 60)), np.zeros((40, 60), bool)
    lesion[10:20, 20:40] = True
    for png in (slice_picture(plane, lesion), lesion_picture(plane, lesion, (1.0, 0.5))):
        assert png.startswith(b"\x89PNG")
        assert bytes(COLOUR) in png
