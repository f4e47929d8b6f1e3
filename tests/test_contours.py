"""Outlines filled in the patient, against matplotlib's points in polygons and shapes whose voxels are known."""

import numpy as np
import pytest
from matplotlib.path import Path as Polygon
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from rarelesion.contours import fill
from rarelesion.errors import InputError
from rarelesion.types import Floats

SIZE = (6, 40, 50)
ANGLES = [(0.0, 0.0, 0.0), (25.0, -40.0, 70.0)]


def turned(angles: tuple[float, float, float], spacing: tuple[float, float, float] = (3, 0.8, 0.5)) -> Floats:
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()[:, ::-1] * spacing
    affine[:3, 3] = (-12.5, 30, 4)
    return affine


def outline(slice_index: float, points: Floats, affine: Floats) -> Floats:
    """(row, column) points on a slice as patient millimetres."""
    places = np.column_stack([np.full(len(points), slice_index), points])
    return places @ affine[:3, :3].T + affine[:3, 3]


def circle(row: float, column: float, radius: float, n: int = 90) -> Floats:
    angle = np.linspace(0, 2 * np.pi, n, endpoint=False)
    return np.column_stack([row + radius * np.sin(angle), column + radius * np.cos(angle)])


def box(row0: float, column0: float, row1: float, column1: float) -> Floats:
    return np.array([[row0, column0], [row0, column1], [row1, column1], [row1, column0]])


def within(points: Floats) -> NDArray[np.bool_]:
    """(rows, columns) by another program."""
    pixels = np.stack(np.meshgrid(np.arange(SIZE[1]), np.arange(SIZE[2]), indexing="ij"), axis=-1)
    return Polygon(points).contains_points(pixels.reshape(-1, 2)).reshape(SIZE[1:])


@pytest.mark.parametrize("angles", ANGLES)
@pytest.mark.parametrize("seed", range(5))
def test_any_outline_holds_the_pixels_within_it(seed: int, angles: tuple[float, float, float]) -> None:
    points = np.random.default_rng(seed).uniform((-5, -5), (44, 54), (12, 2))  # crosses itself and the border
    affine = turned(angles)
    mask = fill([outline(2, points, affine)], affine, SIZE, "s-abc")
    closed = np.vstack([points, points[:1]])
    # Matplotlib counts windings of a crossing outline by the even-odd rule too.
    np.testing.assert_array_equal(mask[2], within(closed))
    assert not mask[[0, 1, 3, 4, 5]].any()


@pytest.mark.parametrize("angles", ANGLES)
def test_an_outline_within_another_is_a_hole_and_an_island_in_it_is_none(angles: tuple[float, float, float]) -> None:
    affine = turned(angles)
    radii = (14.3, 9.3, 4.3)
    mask = fill([outline(3, circle(20.1, 24.2, radius), affine) for radius in radii], affine, SIZE, "s-abc")
    big, middle, small = (within(circle(20.1, 24.2, radius)) for radius in radii)
    np.testing.assert_array_equal(mask[3], big & ~middle | small)


def test_an_outline_that_runs_in_and_out_along_a_line_cuts_a_hole() -> None:
    affine = turned(ANGLES[1])
    outer, inner = circle(20.1, 24.2, 14.3), circle(20.1, 24.2, 6.3)[::-1]
    keyhole = np.vstack([outer, outer[:1], inner[-1:], inner, outer[:1]])
    mask = fill([outline(3, keyhole, affine)], affine, SIZE, "s-abc")
    expected = within(circle(20.1, 24.2, 14.3)) & ~within(circle(20.1, 24.2, 6.3))
    assert np.count_nonzero(mask[3] != expected) <= 1  # of pixels on the line itself


def test_an_outline_through_pixel_centres_takes_each_edge_once() -> None:
    affine = turned(ANGLES[1])
    both = [outline(1, box(5, 5, 9, 12), affine), outline(1, box(9, 5, 15, 12), affine)]
    first, second = (fill([one], affine, SIZE, "s-abc") for one in both)
    assert (first.sum(), second.sum(), (first & second).sum()) == (4 * 7, 6 * 7, 0)


@pytest.mark.parametrize(
    ("planes", "filled"),
    [
        ([2], [2]),
        ([1, 2, 3], [1, 2, 3]),
        ([1, 3, 5], [0, 1, 2, 3, 4, 5]),  # drawn on every second slice
        ([1, 2, 4], [1, 2, 4]),  # a slice left out on purpose
        ([1.5, 2.5, 3.5], [1, 2, 3]),  # between the slices
        ([1, 1.25, 1.5, 1.75, 2, 2.25], [1, 2]),  # finer than them
        ([-1, 0], [0]),
    ],
)
@pytest.mark.parametrize("angles", ANGLES)
def test_planes_fill_the_slices_next_to_them(
    planes: list[float], filled: list[int], angles: tuple[float, float, float]
) -> None:
    affine = turned(angles)
    mask = fill([outline(plane, box(4.5, 4.5, 10.5, 10.5), affine) for plane in planes], affine, SIZE, "s-abc")
    assert np.flatnonzero(mask.any(axis=(1, 2))).tolist() == filled
    assert (mask[filled].sum(axis=(1, 2)) == 36).all()


@pytest.mark.parametrize("angles", [(90.0, 0.0, 0.0), (30.0, 20.0, 10.0)])
def test_outlines_of_another_direction_fill_the_same_place(angles: tuple[float, float, float]) -> None:
    """A ball of 9 mm, outlined on slices of one image, filled on the grid of another."""
    affine, drawn = turned((0, 0, 0), (1, 0.9, 0.8)), turned(angles, (1.5, 1, 1))
    size = (40, 40, 50)
    middle = affine[:3, :3] @ [20, 20, 25] + affine[:3, 3]
    drawn[:3, 3] = middle
    contours = [outline(index, circle(0, 0, np.sqrt(81 - (1.5 * index) ** 2)), drawn) for index in range(-5, 6)]
    mask = fill(contours, affine, size, "s-abc")
    places = np.argwhere(np.ones(size)) @ affine[:3, :3].T + affine[:3, 3]
    distance = np.linalg.norm(places - middle, axis=1).reshape(size)
    assert mask[distance < 7.5].all()
    assert not mask[distance > 10].any()
    assert mask.sum() * 0.72 == pytest.approx(4 / 3 * np.pi * 9**3, rel=0.04)


def test_an_outline_smaller_than_a_pixel_marks_the_nearest() -> None:
    affine = turned(ANGLES[1])
    mask = fill([outline(2, box(7.1, 8.1, 7.4, 8.4), affine)], affine, SIZE, "s-abc")
    assert np.argwhere(mask).tolist() == [[2, 7, 8]]
    assert not fill([outline(20, box(7, 8, 9, 10), affine)], affine, SIZE, "s-abc").any()


def test_outlines_that_are_not_flat_are_refused() -> None:
    affine = turned(ANGLES[1])
    bent = outline(2, circle(20, 20, 9), affine)
    bent[::2] += affine[:3, 0]
    with pytest.raises(InputError, match="s-abc: outlines that are not flat, or of several directions"):
        fill([bent], affine, SIZE, "s-abc")
