"""Slices put onto an even grid: what goes in comes out at its place, whatever the order."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from rarelesion.errors import InputError
from rarelesion.stack import Stack, even, lattice
from rarelesion.types import Floats

PIXEL_MM = np.array([0.7, 0.5])


def stack(
    heights: list[float], angles: tuple[float, float, float] = (0, 0, 0), size: tuple[int, int] = (6, 5)
) -> Stack:
    """Slices at these heights in mm, each filled with ten times its height."""
    directions = Rotation.from_euler("xyz", angles, degrees=True).as_matrix().T
    positions = np.array([5.0, -6.0, 7.0]) + np.array(heights)[:, None] * np.cross(directions[0], directions[1])
    planes = np.repeat(10 * np.array(heights), np.prod(size)).reshape(-1, *size).astype(np.float32)
    return Stack(planes, positions, directions[:2], PIXEL_MM)


ANGLES = st.tuples(*[st.floats(-180, 180)] * 3)


@given(st.permutations(range(9)), st.floats(0.3, 12), ANGLES, st.sets(st.integers(1, 7), max_size=4))
def test_slices_in_any_order_and_with_gaps_come_out_in_theirs(
    order: list[int], step: float, angles: tuple[float, float, float], missing: set[int]
) -> None:
    heights = [number * step for number in order if number not in missing]
    pixels, affine, notes = even("s-abc", stack(heights, angles), None)
    places = np.sort(heights) / step
    if (np.diff(places) > 1.5).all():  # nothing says how far apart the missing ones were
        return
    assert pixels.shape == (9, 6, 5)
    np.testing.assert_allclose(pixels[:, 0, 0], 10 * step * np.arange(9), rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(np.linalg.norm(affine[:3, :3], axis=0), [step, *PIXEL_MM], rtol=1e-6)
    assert len(notes) == bool(missing)


@given(st.lists(st.floats(0.8, 1.6), min_size=3, max_size=9), ANGLES)
def test_uneven_slices_become_even_and_keep_their_values(gaps: list[float], angles: tuple[float, float, float]) -> None:
    heights = np.concatenate([[0], np.cumsum(gaps)])
    pixels, affine, _ = even("s-abc", stack(list(heights), angles), None)
    step = np.linalg.norm(affine[:3, 0])
    there = np.arange(len(pixels)) * step
    within = there <= heights[-1]
    # Slices that are even up to a tenth of their distance stay as they are.
    np.testing.assert_allclose(pixels[within, 0, 0], 10 * there[within], atol=10 * 0.21 * step)
    assert abs(there[-1] - heights[-1]) <= 0.71 * step


@pytest.mark.parametrize(
    ("height", "step", "places"),
    [
        ([0, 4, 8, 12], 4, [0, 1, 2, 3]),
        ([0, 4, 12, 16], 4, [0, 1, 3, 4]),
        ([0, 4.1, 7.9, 12], 4, [0, 1, 2, 3]),
        ([0, 8], 8, [0, 1]),
        ([0, 4, 10], None, None),
        ([0, 4, 8, 14, 18], None, None),
    ],
)
def test_the_step_of_which_all_distances_are_multiples(
    height: list[float], step: float | None, places: list[int] | None
) -> None:
    found = lattice(np.array(height, dtype=np.float64))
    if step is None:
        assert found is None
    else:
        assert found is not None
        assert found[0] == pytest.approx(step, rel=0.01)
        assert found[1].tolist() == places


def test_a_slice_twice_and_a_single_one() -> None:
    pixels, affine, notes = even("s-abc", stack([3.0, 3.0, 3.0]), 4.5)
    assert notes == ("2 duplicate slices dropped",)
    assert pixels.shape == (1, 6, 5)
    assert np.linalg.norm(affine[:3, 0]) == pytest.approx(4.5)
    different = stack([0.0, 3.0, 3.0])
    different.planes[2, 0, 0] += 1
    with pytest.raises(InputError, match="s-abc: several images at one place; found 1 of 3 slices"):
        even("s-abc", different, None)


def test_the_same_height_beside_another_is_not_the_same_place() -> None:
    beside = stack([0.0, 3.0, 3.0])
    beside.positions[2] += [20, 0, 0]
    with pytest.raises(InputError, match="several images at one place"):
        even("s-abc", beside, None)


def test_the_corners_of_tilted_slices_keep_their_values() -> None:
    tilted = stack([0.0, 3.0, 6.0])
    tilted.positions[:, 1] -= np.arange(3) * 2 * PIXEL_MM[0]  # two rows a slice
    pixels, affine, (note,) = even("s-abc", tilted, None)
    assert note == "a tilt of 25.0 degrees resampled to right angles"
    assert pixels.shape == (3, 10, 5)
    for number, first in enumerate((4, 2, 0)):
        np.testing.assert_array_equal(pixels[number, first : first + 6], 30 * number)
    outside = [pixels[0, :4], pixels[1, :2], pixels[1, 8:], pixels[2, 6:]]
    assert all((part == 0).all() for part in outside)
    np.testing.assert_allclose(affine[:3, 3], tilted.positions[0] - [0, 4 * PIXEL_MM[0], 0])


@pytest.mark.parametrize(
    ("orientation", "pixel_mm"),
    [
        ([[1, 0, 0], [0.5, 0.87, 0]], PIXEL_MM),
        ([[1, 0, 0], [1, 0, 0]], PIXEL_MM),
        ([[0, 0, 0], [0, 1, 0]], PIXEL_MM),
        ([[1, 0, 0], [0, 1, 0]], np.array([0.0, 0.5])),
    ],
)
def test_directions_that_span_no_plane_are_refused(orientation: list[list[float]], pixel_mm: Floats) -> None:
    one = stack([0.0, 3.0])
    with pytest.raises(InputError, match="s-abc: the pixel spacing or the slice directions are not usable"):
        even("s-abc", Stack(one.planes, one.positions, np.array(orientation, dtype=np.float64), pixel_mm), None)


def test_rounded_directions_are_made_right_angled() -> None:
    one = stack([0.0, 3.0], (20, 30, 40))
    rounded = np.round(one.orientation, 3)
    _, affine, notes = even("s-abc", Stack(one.planes, one.positions, rounded, PIXEL_MM), None)
    sides = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    np.testing.assert_allclose(sides.T @ sides, np.eye(3), atol=1e-9)
    assert notes == ()
