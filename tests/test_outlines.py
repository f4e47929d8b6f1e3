"""Shape: against circles, ellipses and rectangles, whose values are known."""

import numpy as np
import pytest

from rarelesion.outlines import box_shape, mask_shape, perimeter


def ellipse(down: float, across: float) -> np.ndarray:
    """An ellipse with these half axes in pixels."""
    row, column = np.mgrid[-60:61, -60:61]
    return (row / down) ** 2 + (column / across) ** 2 <= 1


def test_a_disc_has_the_circumference_and_area_of_a_circle():
    found = mask_shape(ellipse(40, 40), 0.5)
    assert found["log_area"] == pytest.approx(np.log(np.pi * 20**2), abs=0.01)
    assert found["log_perimeter"] == pytest.approx(np.log(2 * np.pi * 20), abs=0.02)
    assert found["circularity"] == pytest.approx(1, abs=0.05)
    assert found["elongation"] == pytest.approx(1, abs=1e-6)
    assert found["maximum_diameter"] == pytest.approx(40.5, abs=0.6)
    assert found["area_density_bounding_box"] == pytest.approx(np.pi / 4, abs=0.02)
    assert found["area_density_convex_hull"] == pytest.approx(1, abs=0.03)


def test_an_ellipse_has_its_axes():
    found = mask_shape(ellipse(20, 50), 1.0)
    assert found["major_axis_length"] == pytest.approx(100, rel=0.01)
    assert found["minor_axis_length"] == pytest.approx(40, rel=0.01)
    assert found["elongation"] == pytest.approx(0.4, rel=0.01)


def test_a_rectangle_fills_its_box_and_a_cross_does_not():
    block, cross = np.ones((6, 9), dtype=bool), np.zeros((9, 9), dtype=bool)
    cross[4], cross[:, 4] = True, True
    assert mask_shape(block, 2.0)["area_density_bounding_box"] == pytest.approx(1)
    assert mask_shape(block, 2.0)["area_density_convex_hull"] == pytest.approx(1)
    assert mask_shape(cross, 1.0)["area_density_bounding_box"] == pytest.approx(17 / 81)
    # the hull of the cross is the square less its four corners, triangles of legs 4
    assert mask_shape(cross, 1.0)["area_density_convex_hull"] == pytest.approx(17 / (81 - 4 * 8))
    assert mask_shape(cross, 1.0)["circularity"] < mask_shape(block, 1.0)["circularity"]


def test_the_perimeter_does_not_count_the_staircase():
    triangle = np.tri(40, dtype=bool)  # 160 edges of pixels are on its outline
    assert perimeter(triangle) == pytest.approx(40 * (2 + np.sqrt(2)), rel=0.07)


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_an_outline_does_not_change_when_it_is_turned(turns):
    mask = ellipse(20, 40) & ~np.roll(ellipse(12, 12), 25, axis=1)
    assert mask_shape(np.rot90(mask, turns), 0.7) == pytest.approx(mask_shape(mask, 0.7))


def test_size_scales_with_the_pixel_and_proportions_do_not():
    small, large = mask_shape(ellipse(15, 30), 1.0), mask_shape(ellipse(15, 30), 3.0)
    assert large["log_area"] - small["log_area"] == pytest.approx(2 * np.log(3))
    assert large["major_axis_length"] == pytest.approx(3 * small["major_axis_length"])
    for name in ("circularity", "elongation", "area_density_bounding_box", "area_density_convex_hull"):
        assert large[name] == pytest.approx(small[name])


def test_a_box_that_is_taller_than_wide_has_a_log_proportion_above_0():
    found = box_shape(12.0, 6.0)
    assert found["log_height_to_width"] == pytest.approx(np.log(2))
    assert found["log_diameter"] == pytest.approx(np.log(12))
    assert box_shape(6.0, 12.0)["log_height_to_width"] == pytest.approx(-np.log(2))
