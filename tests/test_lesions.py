"""Lesions as places: measured by hand, and found again on other grids by their place in the patient."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from rarelesion.errors import InputError
from rarelesion.lesions import (
    axial_axis,
    components,
    cut_down,
    from_box,
    from_point,
    largest_diameter_mm,
    largest_slice,
    to_grid,
    volume_ml,
)
from rarelesion.types import Floats, Image, Roi

OBLIQUE = (25, -40, 70)


def turned(
    angles: tuple[float, float, float] = (0, 0, 0),
    spacing: tuple[float, float, float] = (1, 1, 1),
    origin: tuple[float, float, float] = (0, 0, 0),
) -> Floats:
    """An axial grid turned about x, y, z."""
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()[:, ::-1] * spacing
    affine[:3, 3] = origin
    return affine


def empty(shape: tuple[int, int, int], affine: Floats | None) -> Image:
    return Image(np.zeros(shape, np.float32), "T1", affine)


def centres(mask: NDArray[np.bool_], affine: Floats) -> Floats:
    """(voxels, 3) where the marked voxels are in the patient."""
    return np.argwhere(mask) @ affine[:3, :3].T + affine[:3, 3]


def drawn(inside: NDArray[np.bool_], slices: int = 3) -> NDArray[np.bool_]:
    """A shape on the middle slice."""
    mask = np.zeros((slices, *inside.shape), dtype=np.bool_)
    mask[slices // 2] = inside
    return mask


def test_a_rectangle_is_as_long_as_its_diagonal() -> None:
    shape = np.zeros((10, 12), dtype=np.bool_)
    shape[2:8, 1:9] = True
    assert largest_diameter_mm(drawn(shape), turned()) == pytest.approx(10)
    assert largest_diameter_mm(drawn(shape), turned(spacing=(5, 2.5, 0.5))) == pytest.approx(np.hypot(15, 4))
    single = np.zeros((3, 3), dtype=np.bool_)
    single[1, 1] = True
    assert largest_diameter_mm(drawn(single), turned(spacing=(5, 3, 4))) == pytest.approx(5)


def test_a_small_disc_counted_by_hand() -> None:
    """Rows of 3, 5, 5, 5, 3 pixels: the longest line joins corners of rows 0 and 4, or of columns."""
    row, column = np.mgrid[-2:3, -2:3]
    disc = row**2 + column**2 <= 5
    assert disc.sum(axis=1).tolist() == [3, 5, 5, 5, 3]
    assert largest_diameter_mm(drawn(np.pad(disc, 1)), turned()) == pytest.approx(np.hypot(5, 3))


@pytest.mark.parametrize("degrees", [0, 17, 30, 45, 80])
def test_a_turned_rectangle_and_ellipse_keep_their_length(degrees: float) -> None:
    spacing, angle = (3, 0.25, 0.4), np.deg2rad(degrees)
    row, column = np.mgrid[:240, :160]
    y, x = (row - 120) * 0.25, (column - 80) * 0.4
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    rectangle, ellipse = (abs(along) <= 10) & (abs(across) <= 5), (along / 12) ** 2 + (across / 6) ** 2 <= 1
    affine = turned((0, 0, 33), spacing)
    assert largest_diameter_mm(drawn(rectangle), affine) == pytest.approx(np.hypot(20, 10), abs=0.5)
    assert largest_diameter_mm(drawn(ellipse), affine) == pytest.approx(24, abs=0.5)


def test_the_diameter_lies_within_an_axial_slice() -> None:
    mask = np.zeros((4, 5, 6), dtype=np.bool_)
    mask[:, 1:4, 2] = True  # 4 slices, 3 rows, 1 column
    assert largest_diameter_mm(mask, turned()) == pytest.approx(np.hypot(3, 1))
    sagittal = np.eye(4)[[0, 2, 1, 3]] * [2, -1, 1, 1]  # slices along x, rows down, columns to the back
    sagittal[2, 1], sagittal[1, 2] = -1, 1
    assert axial_axis(mask, sagittal) == 1
    assert largest_diameter_mm(mask, sagittal) == pytest.approx(np.hypot(8, 1))
    assert axial_axis(mask[:1], sagittal) == 0


def test_parts_of_a_slice_are_measured_together_and_slices_apart() -> None:
    mask = np.zeros((3, 4, 20), dtype=np.bool_)
    mask[0, 0, [0, 9]] = True
    mask[1, 0, 19] = True
    assert largest_diameter_mm(mask, turned()) == pytest.approx(np.hypot(10, 1))


def test_the_largest_slice_has_the_most_pixels() -> None:
    mask = np.zeros((4, 5, 6), dtype=np.bool_)
    mask[1, 1:3, 1:3], mask[2, 1:4, 1:4] = True, True
    assert largest_slice(mask, turned()) == (0, 2)
    coronal = np.eye(4)[[2, 0, 1, 3]]
    assert largest_slice(mask, coronal) == (1, 1)


def test_volume_counts_voxels() -> None:
    mask = np.zeros((4, 5, 6), dtype=np.bool_)
    mask[1:3, 1:3, 1:6] = True
    assert volume_ml(mask, turned(OBLIQUE, (5, 2, 0.5))) == pytest.approx(20 * 5 / 1000)


@pytest.mark.parametrize("measure", [largest_diameter_mm, largest_slice])
def test_an_empty_mask_has_no_size(measure: object) -> None:
    assert callable(measure)
    with pytest.raises(ValueError, match="empty"):
        measure(np.zeros((2, 3, 4), dtype=np.bool_), turned())


def test_parts_touch_at_corners_and_specks_are_counted() -> None:
    mask = np.zeros((4, 12, 12), dtype=np.bool_)
    mask[0, 0, :2] = mask[1, 1, 2] = True  # three voxels, joined at a corner
    mask[2, 5:8, 5:8] = True
    mask[0, 10, 10] = mask[3, 0, 0] = mask[3, 0, 1] = True  # specks of one and of two
    affine = turned(OBLIQUE, (3, 0.7, 0.5), (5, 6, 7))
    parts = components(mask, affine)
    assert parts.dropped == 2
    assert [part.mask.shape for part in parts.rois if part.mask is not None] == [(1, 3, 3), (2, 2, 3)]
    places = [
        centres(part.mask, part.affine) for part in parts.rois if part.mask is not None and part.affine is not None
    ]
    np.testing.assert_allclose(places[0], centres(mask & (np.arange(4) == 2)[:, None, None], affine))
    whole = components(mask, None)
    assert [part.mask.shape for part in whole.rois if part.mask is not None] == [mask.shape] * 2
    assert components(np.zeros_like(mask), affine).rois == ()


def test_a_mask_cut_down_stays_in_its_place() -> None:
    mask = np.zeros((4, 12, 12), dtype=np.bool_)
    mask[1:3, 4, 5:9] = True
    affine = turned(OBLIQUE, (3, 0.7, 0.5), (5, 6, 7))
    small, placed = cut_down(mask, affine)
    assert placed is not None
    assert small.shape == (2, 1, 4)
    np.testing.assert_allclose(centres(small, placed), centres(mask, affine))
    assert cut_down(mask, None)[0] is mask


@pytest.mark.parametrize("angles", [(0, 0, 0), OBLIQUE])
def test_a_ball_holds_the_voxels_within_its_radius(angles: tuple[float, float, float]) -> None:
    image = empty((20, 40, 50), turned(angles, (2, 0.8, 0.6), (-10, 5, 3)))
    assert image.affine is not None
    point = image.affine[:3, :3] @ [8.3, 20.6, 22.2] + image.affine[:3, 3]
    ball = to_grid(from_point(point, 12, image), image)
    everywhere = centres(np.ones(ball.shape, dtype=np.bool_), image.affine).reshape(*ball.shape, 3)
    np.testing.assert_array_equal(ball, np.linalg.norm(everywhere - point, axis=-1) <= 6)
    assert volume_ml(ball, image.affine) == pytest.approx(np.pi * 12**3 / 6 / 1000, rel=0.05)


def test_a_ball_smaller_than_a_voxel_is_the_nearest_voxel() -> None:
    image = empty((5, 6, 7), turned(OBLIQUE, (5, 5, 5)))
    assert image.affine is not None
    point = image.affine[:3, :3] @ [2.4, 3.3, 4.45]
    assert np.argwhere(to_grid(from_point(point, 0.1, image), image)).tolist() == [[2, 3, 4]]


def test_a_box_lies_along_the_patient() -> None:
    image = empty((10, 20, 30), turned((0, 0, 90), (2, 1, 1)))
    assert image.affine is not None
    box = from_box((-12, 3, 4), (-5.5, 8, 8.5), image)
    assert box.mask is not None
    assert box.affine is not None
    places = centres(box.mask, box.affine)
    np.testing.assert_allclose(places.min(axis=0), (-12, 3, 4), atol=1e-9)
    np.testing.assert_allclose(places.max(axis=0), (-6, 8, 8), atol=1e-9)
    assert box.mask.sum() == 7 * 6 * 3


def test_points_outside_and_images_without_a_place_are_refused() -> None:
    image = empty((10, 20, 30), turned())
    with pytest.raises(InputError, match="T1: the point lies outside the image"):
        from_point((35, 3, 3), 10, image)
    with pytest.raises(InputError, match="T1: the middle of the box lies outside the image"):
        from_box((50, 3, 3), (60, 5, 5), image)
    with pytest.raises(InputError, match="T1: not a diameter; found 0"):
        from_point((3, 3, 3), 0, image)
    with pytest.raises(InputError, match="T1: the image has no patient coordinates"):
        from_point((3, 3, 3), 5, empty((10, 20, 30), None))


@given(
    st.tuples(*[st.floats(-180, 180)] * 3), st.tuples(*[st.floats(-180, 180)] * 3), st.tuples(*[st.floats(-4, 4)] * 3)
)
def test_every_voxel_asks_for_the_nearest_of_the_mask(
    angles: tuple[float, float, float], other: tuple[float, float, float], shift: tuple[float, float, float]
) -> None:
    affine, onto = turned(angles, (3, 1, 0.8)), turned(other, (2, 0.9, 1.2), shift)
    mask = np.random.default_rng(0).random((5, 9, 8)) < 0.5
    image = empty((7, 8, 6), onto)
    found = to_grid(Roi(mask=mask, affine=affine), image)
    everywhere = centres(np.ones(found.shape, dtype=np.bool_), onto)
    index = np.linalg.solve(affine, np.column_stack([everywhere, np.ones(len(everywhere))]).T)[:3].T
    sure = (np.abs(index - np.floor(index) - 0.5) > 1e-4).all(axis=1)  # not halfway between two
    nearest = np.rint(index).astype(int)
    inside = ((nearest >= 0) & (nearest < mask.shape)).all(axis=1)
    expected = np.zeros(len(index), dtype=np.bool_)
    expected[inside] = mask[tuple(nearest[inside].T)]
    if expected.any():
        np.testing.assert_array_equal(found.ravel()[sure], expected[sure])


def test_a_mask_thinner_than_the_image_is_not_lost() -> None:
    mask = np.zeros((1, 4, 4), dtype=np.bool_)
    mask[0, 1:3, 1:3] = True
    image = empty((4, 8, 8), turned((0, 0, 0), (6, 1, 1)))
    found = to_grid(Roi(mask=mask, affine=turned((0, 0, 0), (1, 1, 1), (2, 2, 8.5))), image)
    assert np.argwhere(found).tolist() == [[1, 3, 3], [1, 3, 4], [1, 4, 3], [1, 4, 4]]


def test_a_mask_elsewhere_marks_nothing() -> None:
    roi = Roi(mask=np.ones((2, 2, 2), dtype=np.bool_), affine=turned(origin=(100, 0, 0)))
    assert not to_grid(roi, empty((4, 8, 8), turned())).any()


def test_without_coordinates_sizes_must_agree() -> None:
    mask = np.random.default_rng(0).random((2, 3, 4)) < 0.5
    for image in (empty((2, 3, 4), None), empty((2, 3, 4), turned())):
        np.testing.assert_array_equal(to_grid(Roi(mask=mask), image), mask)
    with pytest.raises(InputError, match="T1: the mask does not fit the image; found mask 2 x 3 x 4, image 2 x 3 x 5"):
        to_grid(Roi(mask=mask), empty((2, 3, 5), turned()))


def test_a_box_in_pixels_is_on_its_slice() -> None:
    image = empty((3, 5, 6), turned())
    found = to_grid(Roi(box=(1, 2, 3, 5), slice_index=2), image)
    assert found[2, 1:3, 2:5].all()
    assert found.sum() == 6
    for roi in (Roi(box=(1, 2, 3, 5)), Roi(box=(1, 2, 6, 5), slice_index=0), Roi(box=(1, 2, 3, 5), slice_index=3)):
        with pytest.raises(InputError, match="the box lies outside"):
            to_grid(roi, image)
