"""Patches against known geometry and SimpleITK's resampling."""

from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import center_of_mass, distance_transform_edt
from scipy.spatial.transform import Rotation

from rarelesion.crop import COLOURS, Region, cut_patch, cut_region, cut_slices, resolve_channels
from rarelesion.errors import InputError
from rarelesion.settings import FeatureSettings, ImageSettings
from rarelesion.types import Floats, Image, Roi

ONE = dict.fromkeys(COLOURS, "T1")
TWO = {"blue": "T1", "green": "T2"}
SETTINGS = ImageSettings(side_px=60)
BALL_CENTRE, BALL_RADIUS = np.array([12.0, -7.0, 31.0]), 9.0


def affine(
    spacing: tuple[float, float, float], size: tuple[int, int, int], angles: tuple[float, float, float] = (0, 0, 0)
) -> Floats:
    """An axial volume, turned about its middle, which lies a little off the ball's centre."""
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()[:, ::-1] * spacing
    matrix[:3, 3] = BALL_CENTRE + np.array([3, -2, 1]) - matrix[:3, :3] @ ((np.array(size) - 1) / 2)
    return matrix


def places(image_affine: Floats, size: tuple[int, int, int]) -> Floats:
    """(3, slices, rows, columns) each pixel's centre in mm."""
    index = np.stack(np.meshgrid(*map(np.arange, size), indexing="ij"))
    return np.einsum("ij,jabc->iabc", image_affine[:3, :3], index) + image_affine[:3, 3, None, None, None]


def inside_ball(image_affine: Floats, size: tuple[int, int, int]) -> np.ndarray:
    return np.linalg.norm(places(image_affine, size) - BALL_CENTRE[:, None, None, None], axis=0) <= BALL_RADIUS


def ball(
    sequence: str, spacing: tuple[float, float, float], size: tuple[int, int, int], angles: tuple[float, float, float]
) -> tuple[Image, Roi]:
    """A bright ball with a soft rim in one sequence, and its mask on the same grid."""
    grid = affine(spacing, size, angles)
    distance = np.linalg.norm(places(grid, size) - BALL_CENTRE[:, None, None, None], axis=0)
    pixels = 100 + 900 / (1 + np.exp((distance - BALL_RADIUS) * 2))
    return Image(pixels.astype(np.float32), sequence, grid), Roi(mask=distance <= BALL_RADIUS, affine=grid)


def problem(*arguments: object, where: str = "T1") -> str:
    with pytest.raises(InputError) as caught:
        cut_patch(*arguments)  # pyright: ignore[reportArgumentType]
    assert {item.where for item in caught.value.problems} == {where}
    return str(caught.value)


def picture(size: tuple[int, int] = (40, 60), seed: int = 1) -> Image:
    return Image(np.random.default_rng(seed).random((1, *size)).astype(np.float32), "T1")


@pytest.mark.parametrize("angles", [(0, 0, 0), (0, 0, 30), (15, -20, 10), (90, 0, 0)])
def test_a_lesion_marked_on_one_sequence_is_found_in_another(angles: tuple[float, float, float]) -> None:
    first, roi = ball("T1", (3, 0.8, 0.8), (20, 60, 64), (0, 0, 0))
    second, _ = ball("T2", (1.2, 1.0, 1.5), (50, 60, 48), angles)
    patch = cut_patch({"T1": first, "T2": second}, {"T1": roi}, TWO, SETTINGS)
    assert patch.shape == (3, 60, 60)
    assert patch.dtype == np.float32
    assert not patch[0].any()
    for colour in (1, 2):
        np.testing.assert_allclose(center_of_mass(patch[colour] > 0.5), (29.5, 29.5), atol=1)


def test_the_patch_is_simpleitks_resampling_of_the_same_square() -> None:
    first, roi = ball("T1", (3, 0.8, 0.8), (20, 60, 64), (0, 0, 0))
    size = (40, 100, 90)
    grid = affine((2, 0.6, 0.6), size, (15, -20, 10))
    smooth = np.sin(places(grid, size) / 5).sum(axis=0).astype(np.float32)
    second = Image(smooth, "T2", grid)
    patch = cut_patch({"T1": first, "T2": second}, {"T1": roi}, TWO, SETTINGS)

    assert roi.mask is not None
    assert first.affine is not None
    plane = int(roi.mask.sum(axis=(1, 2)).argmax())
    rows, columns = (np.flatnonzero(roi.mask[plane].any(axis=axis)) for axis in (1, 0))
    middle = first.affine @ [plane, (rows[0] + rows[-1]) / 2, (columns[0] + columns[-1]) / 2, 1]
    step = 0.8 * max(np.ptp(rows) + 1, np.ptp(columns) + 1) * 1.3 / 60
    source = sitk.GetImageFromArray(smooth)
    spacing = np.linalg.norm(grid[:3, :3], axis=0)
    source.SetSpacing(spacing[::-1].tolist())
    source.SetDirection((grid[:3, :3] / spacing)[:, ::-1].ravel().tolist())
    source.SetOrigin(grid[:3, 3].tolist())
    origin = (middle[:3] - [29.5 * step, 29.5 * step, 0]).tolist()
    sampled = sitk.Resample(source, (60, 60, 1), sitk.Transform(), sitk.sitkLinear, origin, (step, step, 1))
    nearest = np.linalg.inv(grid) @ middle
    low, high = np.percentile(smooth[round(nearest[0])], (1, 99))
    expected = np.clip((sitk.GetArrayFromImage(sampled)[0] - low) / (high - low), 0, 1)
    np.testing.assert_allclose(patch[1], expected, atol=1e-5)


def test_circles_stay_circles_with_unequal_pixel_spacing() -> None:
    image, roi = ball("T1", (2, 0.5, 1.6), (30, 110, 40), (0, 0, 0))
    disc = cut_patch({"T1": image}, {"T1": roi}, ONE, SETTINGS)[2] > 0.5
    rows, columns = np.flatnonzero(disc.any(axis=1)), np.flatnonzero(disc.any(axis=0))
    assert abs(np.ptp(rows) - np.ptp(columns)) <= 2


@pytest.mark.parametrize("margin", [0.0, 0.15, 0.5])
def test_the_margin_is_a_share_of_the_lesions_longer_side(margin: float) -> None:
    pixels = np.full((1, 200, 200), 0.1, dtype=np.float32)
    pixels[0, 80:120, 90:110] = 1
    settings = ImageSettings(side_px=80, margin=margin, scaling="patch")
    disc = cut_patch({"T1": Image(pixels, "T1")}, {"T1": Roi(box=(80, 90, 120, 110))}, ONE, settings)[0] > 0.5
    expected = 80 / (1 + 2 * margin)
    assert disc.any(axis=1).sum() == pytest.approx(expected, abs=1)
    assert disc.any(axis=0).sum() == pytest.approx(expected / 2, abs=1)


def test_without_margin_a_square_box_is_cut_pixel_for_pixel() -> None:
    image = picture()
    settings = ImageSettings(side_px=20, margin=0, percentiles=(0, 100))
    patch = cut_patch({"T1": image}, {"T1": Roi(box=(5, 10, 25, 30))}, ONE, settings)
    low, high = image.pixels.min(), image.pixels.max()
    expected = (image.pixels[0, 5:25, 10:30] - low) / (high - low)
    for colour in range(3):
        np.testing.assert_allclose(patch[colour], expected, atol=1e-6)


def test_at_the_edge_of_a_picture_the_window_is_shifted_inside() -> None:
    image = picture()
    settings = ImageSettings(side_px=26, margin=0.15, percentiles=(0, 100))
    patch = cut_patch({"T1": image}, {"T1": Roi(box=(0, 40, 20, 60))}, ONE, settings)
    low, high = image.pixels.min(), image.pixels.max()
    np.testing.assert_allclose(patch[0], (image.pixels[0, :26, 34:] - low) / (high - low), atol=1e-6)


def test_where_the_window_is_larger_than_the_picture_it_is_black_outside() -> None:
    image = Image(picture((20, 60)).pixels + 5, "T1")
    settings = ImageSettings(side_px=60, margin=0)
    patch = cut_patch({"T1": image}, {"T1": Roi(box=(0, 0, 20, 60))}, ONE, settings)[0]
    assert not patch[:20].any()
    assert not patch[40:].any()
    assert patch[20:40].mean() == pytest.approx(0.5, abs=0.05)


def test_a_lesion_thinner_than_a_pixel_of_the_patch_is_cut() -> None:
    patch = cut_patch({"T1": picture((300, 300))}, {"T1": Roi(box=(100, 20, 101, 280))}, ONE, ImageSettings(side_px=30))
    assert patch.shape == (3, 30, 30)


def test_fine_stripes_are_smoothed_and_not_turned_into_coarse_ones() -> None:
    ramp = np.broadcast_to(np.linspace(0, 1, 400), (400, 400))
    stripes = np.where(np.arange(400) % 2, ramp, 0).astype(np.float32)[None]
    settings = ImageSettings(side_px=30, margin=0, percentiles=(0, 100))
    patch = cut_patch({"T1": Image(stripes, "T1")}, {"T1": Roi(box=(50, 50, 350, 350))}, ONE, settings)[0]
    expected = np.interp(np.arange(30) * 10 + 54.5, np.arange(400), ramp[0]) / 2
    np.testing.assert_allclose(patch, np.broadcast_to(expected, (30, 30)), atol=0.005)


def test_intensities_are_stretched_over_the_slice_or_over_the_patch() -> None:
    pixels = np.linspace(0, 1000, 50 * 50, dtype=np.float32).reshape(1, 50, 50)
    images, rois = {"T1": Image(pixels, "T1")}, {"T1": Roi(box=(20, 20, 30, 30))}
    settings = ImageSettings(side_px=10, margin=0, percentiles=(0, 100))
    expected = pixels[0, 20:30, 20:30] / 1000
    np.testing.assert_allclose(cut_patch(images, rois, ONE, settings)[0], expected, atol=1e-6)
    own = (expected - expected.min()) / np.ptp(expected)
    np.testing.assert_allclose(cut_patch(images, rois, ONE, replace(settings, scaling="patch"))[0], own, atol=1e-5)


@settings(max_examples=30, deadline=None)
@given(slope=st.floats(0.01, 1000), offset=st.floats(-500, 500))
def test_the_patch_does_not_depend_on_the_scanners_units(slope: float, offset: float) -> None:
    image = picture()
    scaled = Image((image.pixels * slope + offset).astype(np.float32), "T1")
    rois, chosen = {"T1": Roi(box=(5, 10, 25, 30))}, ImageSettings(side_px=16)
    expected = cut_patch({"T1": image}, rois, ONE, chosen)
    assert expected.min() >= 0
    assert expected.max() <= 1
    np.testing.assert_allclose(cut_patch({"T1": scaled}, rois, ONE, chosen), expected, atol=2e-2 if slope < 1 else 1e-3)


@pytest.mark.parametrize("order", [(0, 1, 2), (0, 2, 1), (1, 2, 0), (2, 0, 1)])
@pytest.mark.parametrize("flips", [(), (1,), (0, 2), (0, 1, 2)])
def test_the_way_a_volume_is_stored_does_not_matter(order: tuple[int, int, int], flips: tuple[int, ...]) -> None:
    """Coronal, sagittal or upside-down storage of the same voxels gives the same axial patch."""
    image, roi = ball("T1", (3, 0.8, 1.1), (20, 60, 48), (5, 0, 0))
    assert roi.mask is not None
    assert image.affine is not None
    textured = image.pixels * (1 + 0.2 * np.random.default_rng(0).random(image.pixels.shape))
    expected = cut_patch({"T1": Image(textured.astype(np.float32), "T1", image.affine)}, {"T1": roi}, ONE, SETTINGS)
    stored = image.affine[:, [*order, 3]]
    pixels, mask = (np.flip(array.transpose(order), flips) for array in (textured.astype(np.float32), roi.mask))
    for axis in flips:
        stored[:3, 3] += stored[:3, axis] * (pixels.shape[axis] - 1)
        stored[:3, axis] *= -1
    patch = cut_patch({"T1": Image(pixels, "T1", stored)}, {"T1": Roi(mask=mask, affine=stored)}, ONE, SETTINGS)
    np.testing.assert_allclose(patch, expected, atol=1e-4)


def test_rows_run_to_the_back_and_columns_to_the_left() -> None:
    grid = affine((2, 1, 1), (9, 40, 40))
    x, y, _ = places(grid, (9, 40, 40))
    images = {"T1": Image(x.astype(np.float32), "T1", grid), "T2": Image(y.astype(np.float32), "T2", grid)}
    patch = cut_patch(images, {"T1": Roi(box=(10, 10, 30, 30), slice_index=4)}, TWO, SETTINGS)
    assert (np.diff(patch[2], axis=1) > 0).all()
    assert (np.diff(patch[1], axis=0) > 0).all()


def test_the_mask_slice_with_the_largest_cross_section_is_taken() -> None:
    pixels = np.zeros((4, 30, 30), dtype=np.float32)
    pixels += np.arange(4)[:, None, None] * 100 + np.random.default_rng(0).random((30, 30))
    mask = np.zeros((4, 30, 30), dtype=bool)
    mask[1, 10:14, 10:14] = mask[2, 8:18, 8:18] = True
    settings = ImageSettings(side_px=10, margin=0, percentiles=(0, 100))
    patch = cut_patch({"T1": Image(pixels, "T1")}, {"T1": Roi(mask=mask)}, ONE, settings)[0]
    chosen = pixels[2]
    np.testing.assert_allclose(patch, (chosen[8:18, 8:18] - chosen.min()) / np.ptp(chosen), atol=1e-5)


def test_a_mask_of_another_grid_counts_by_its_own_coordinates() -> None:
    image, own = ball("T1", (3, 0.8, 0.8), (20, 60, 64), (0, 0, 0))
    grid = affine((1.5, 1.1, 0.9), (30, 40, 50))
    other = Roi(mask=inside_ball(grid, (30, 40, 50)), affine=grid)
    patch = cut_patch({"T1": image}, {"T1": other}, ONE, SETTINGS)[0]
    np.testing.assert_allclose(center_of_mass(patch > 0.5), (29.5, 29.5), atol=1)
    assert own.mask is not None
    without = cut_patch({"T1": image}, {"T1": Roi(mask=own.mask)}, ONE, SETTINGS)
    np.testing.assert_array_equal(without, cut_patch({"T1": image}, {"T1": own}, ONE, SETTINGS))


def test_sequences_with_rois_of_their_own_are_cut_there() -> None:
    first, second = picture(), replace_sequence(picture(seed=2), "T2")
    chosen = ImageSettings(side_px=10, margin=0)
    both = cut_patch(
        {"T1": first, "T2": second}, {"T1": Roi(box=(0, 0, 10, 10)), "T2": Roi(box=(9, 9, 19, 19))}, TWO, chosen
    )
    alone = cut_patch({"T1": second}, {"T1": Roi(box=(9, 9, 19, 19))}, ONE, chosen)
    np.testing.assert_array_equal(both[1], alone[1])


def replace_sequence(image: Image, sequence: str) -> Image:
    return Image(image.pixels, sequence, image.affine)


def test_pictures_of_one_size_share_a_roi_and_others_do_not() -> None:
    rois = {"T1": Roi(box=(5, 5, 25, 25))}
    same = {"T1": picture(), "T2": replace_sequence(picture(seed=2), "T2")}
    assert cut_patch(same, rois, TWO, SETTINGS)[1].any()
    other = {"T1": picture(), "T2": replace_sequence(picture((41, 60)), "T2")}
    assert "box_T2" in problem(other, rois, TWO, SETTINGS, where="T2")
    grid = affine((2, 1, 1), (1, 40, 60))
    placed = {"T1": picture(), "T2": Image(picture().pixels, "T2", grid)}
    assert "not marked" in problem(placed, rois, TWO, SETTINGS, where="T2")


def test_a_lesion_outside_the_other_sequence_is_reported() -> None:
    first, roi = ball("T1", (3, 0.8, 0.8), (20, 60, 64), (0, 0, 0))
    assert first.affine is not None
    far = first.affine.copy()
    far[2, 3] += 200
    images = {"T1": first, "T2": Image(first.pixels, "T2", far)}
    assert "100% of it outside" in problem(images, {"T1": roi}, TWO, SETTINGS, where="T2")


@pytest.mark.parametrize(
    ("image", "roi", "what"),
    [
        (picture(), Roi(box=(5, 5, 41, 25)), "the box lies outside the image"),
        (picture(), Roi(box=(5, 5, 15, 25), slice_index=1), "box 5 5 15 25 on slice 1"),
        (Image(np.ones((3, 9, 9), np.float32), "T1"), Roi(box=(1, 1, 3, 3)), "names none of the 3 slices"),
        (picture(), Roi(mask=np.zeros((1, 40, 60), bool)), "the mask is empty"),
        (picture(), Roi(mask=np.ones((1, 40, 61), bool)), "the mask does not fit the image"),
        (Image(np.full((1, 40, 60), 7, np.float32), "T1"), Roi(box=(5, 5, 15, 25)), "the image is one grey"),
        (Image(np.full((1, 40, 60), np.nan, np.float32), "T1"), Roi(box=(5, 5, 15, 25)), "not numbers"),
    ],
)
def test_what_cannot_be_cut_is_said(image: Image, roi: Roi, what: str) -> None:
    assert what in problem({"T1": image}, {"T1": roi}, ONE, SETTINGS)


def test_a_patch_of_one_grey_in_a_good_image_is_reported() -> None:
    pixels = picture().pixels.copy()
    pixels[0, 10:30, 10:30] = 0.5
    assert "the patch is one grey" in problem(
        {"T1": Image(pixels, "T1")}, {"T1": Roi(box=(15, 15, 25, 25))}, ONE, SETTINGS
    )


def test_the_problems_of_all_sequences_come_together() -> None:
    images = {"T1": picture(), "T2": replace_sequence(picture(), "T2")}
    rois = {"T1": Roi(box=(5, 5, 41, 25)), "T2": Roi(mask=np.zeros((1, 40, 60), bool))}
    with pytest.raises(InputError) as caught:
        cut_patch(images, rois, TWO, SETTINGS)
    assert [item.where for item in caught.value.problems] == ["T1", "T2"]


@pytest.mark.parametrize(
    ("sequences", "expected"),
    [
        (["US"], {"red": "US", "green": "US", "blue": "US"}),
        (["T1", "T2"], {"blue": "T1", "green": "T2"}),
        (["t2", "T1"], {"blue": "T1", "green": "t2"}),
        (["FLAIR", "T2", "T1"], {"blue": "T1", "green": "T2", "red": "FLAIR"}),
        (["view1", "view2"], {"blue": "view1", "green": "view2"}),
        (["c", "b", "a"], {"blue": "c", "green": "b", "red": "a"}),
    ],
)
def test_colours_by_default(sequences: list[str], expected: dict[str, str]) -> None:
    assert resolve_channels(sequences, {}) == expected


def test_colours_by_choice() -> None:
    assert resolve_channels(["a", "b", "c", "d"], {"red": "d"}) == {"red": "d"}
    with pytest.raises(InputError, match="too many sequences"):
        resolve_channels(["a", "b", "c", "d"], {})
    with pytest.raises(InputError) as caught:
        resolve_channels(["T1"], {"rot": "T1", "blue": "t1"})
    assert [(item.what, item.expected) for item in caught.value.problems] == [
        ("unknown colour", "red, green, blue"),
        ("the cohort has no such sequence", "T1"),
    ]


# --- regions -------------------------------------------------------------------------------------------------------


def region(sequence: str, images: dict[str, Image], rois: dict[str, Roi], **changes: float) -> Region:
    return cut_region(sequence, images, rois, SETTINGS, FeatureSettings(**changes))  # pyright: ignore[reportArgumentType]


def test_a_region_of_a_picture_is_its_pixels() -> None:
    image = picture()
    found = region("T1", {"T1": image}, {"T1": Roi(box=(10, 20, 18, 36))}, ring=0.25)
    low, high = np.percentile(image.pixels[0], SETTINGS.percentiles)
    np.testing.assert_allclose(found.values[found.lesion], (image.pixels[0, 10:18, 20:36].ravel() - low) / (high - low))
    assert found.lesion.shape == (8 + 8, 16 + 8)
    assert (found.size, found.pixel, found.outlined) == ((8, 16), 1.0, False)
    assert not (found.lesion & found.ring).any()
    # above the box as far as the ring is broad, and no further
    assert found.ring[0, 12]
    assert found.ring.sum() == pytest.approx(2 * 4 * (8 + 16) + np.pi * 4**2, rel=0.1)


def test_the_ring_ends_where_the_picture_does() -> None:
    found = region("T1", {"T1": picture()}, {"T1": Roi(box=(0, 0, 8, 8))}, ring=0.5)
    assert found.lesion.shape == (12, 12)
    assert found.lesion[:8, :8].all()
    assert found.lesion.sum() == 64


@pytest.mark.parametrize("angles", [(0, 0, 0), (0, 0, 30), (15, -20, 10)])
def test_a_region_measures_in_millimetres_and_finds_the_lesion_in_another_sequence(
    angles: tuple[float, float, float],
) -> None:
    first, roi = ball("T1", (3, 0.8, 0.8), (20, 60, 64), (0, 0, 0))
    second, _ = ball("T2", (1.2, 1.0, 1.5), (50, 60, 48), angles)
    for sequence in ("T1", "T2"):
        found = region(sequence, {"T1": first, "T2": second}, {"T1": roi}, pixel_mm=0.5)
        assert found.outlined
        assert found.lesion.sum() * 0.5**2 == pytest.approx(np.pi * BALL_RADIUS**2, rel=0.06)
        assert found.size == pytest.approx((2 * BALL_RADIUS, 2 * BALL_RADIUS), abs=1.0)
        assert found.values[found.lesion].mean() > found.values[found.ring].mean() + 0.5


def test_a_region_does_not_depend_on_the_scanners_units() -> None:
    image, roi = ball("T1", (3, 0.8, 0.8), (20, 60, 64), (0, 0, 0))
    other = replace(image, pixels=(image.pixels * 3.5 + 40).astype(np.float32))
    first, second = (region("T1", {"T1": one}, {"T1": roi}) for one in (image, other))
    np.testing.assert_allclose(second.values, first.values, atol=1e-4)


def test_a_region_that_cannot_be_cut_is_said() -> None:
    with pytest.raises(InputError, match="T2: the lesion is not marked on this image"):
        region("T2", {"T1": picture(), "T2": picture((30, 30))}, {"T1": Roi(box=(10, 20, 18, 36))})
    flat = Image(np.zeros((1, 20, 20), dtype=np.float32), "T1")
    with pytest.raises(InputError, match="T1: the image is one grey"):
        region("T1", {"T1": flat}, {"T1": Roi(box=(5, 5, 9, 9))})


def test_neighbouring_slices_show_the_ball_smaller_and_smaller_and_end_where_it_ends() -> None:
    image, roi = ball("T1", (4.0, 1.0, 1.0), (9, 60, 60), (0, 0, 0))
    slices = cut_slices({"T1": image}, {"T1": roi}, ONE, replace(SETTINGS, slices=9))
    assert slices.shape == (9, 3, 60, 60)
    np.testing.assert_array_equal(slices[0], cut_patch({"T1": image}, {"T1": roi}, ONE, SETTINGS))
    planes = roi.mask.any(axis=(1, 2)).sum()
    bright = (slices[:, 0] > 0.5).sum(axis=(1, 2))
    assert bright[0] == bright.max()
    # Beyond the ball its last slice is shown again.
    assert len({plane.tobytes() for plane in slices}) == planes
    assert bright.min() > 0


def test_where_the_other_sequence_ends_its_last_slice_is_shown_again() -> None:
    image, roi = ball("T1", (4.0, 1.0, 1.0), (9, 60, 60), (0, 0, 0))
    largest = int(roi.mask.sum(axis=(1, 2)).argmax())
    short = Image(image.pixels[: largest + 1], "T2", image.affine)
    both = cut_slices({"T1": image, "T2": short}, {"T1": roi}, TWO, replace(SETTINGS, slices=3))
    above = next(place for place in (1, 2) if np.array_equal(both[place, 1], both[0, 1]))
    assert not np.array_equal(both[above, 2], both[0, 2])
    assert not np.array_equal(both[3 - above, 1], both[0, 1])


def ringed(lesion: float, low: float = 90.0, high: float = 110.0) -> tuple[Image, Roi]:
    """A square of one grey in stripes of two others, far from which is something very bright."""
    pixels = np.where(np.arange(80) % 2 == 0, low, high)[None, None].repeat(80, axis=1).astype(np.float32)
    pixels[0, 32:48, 32:48] = lesion
    pixels[0, :4] = 9000
    return Image(pixels, "T1"), Roi(box=(32, 32, 48, 48))


@pytest.mark.parametrize(("lesion", "grey"), [(100.0, 0.5), (110.0, 0.75), (90.0, 0.25), (115.0, 0.875), (300.0, 1.0)])
def test_greys_can_be_told_by_what_surrounds_the_lesion(lesion: float, grey: float) -> None:
    image, roi = ringed(lesion)
    scaling = ImageSettings(side_px=32, margin=0.5, scaling="surroundings", percentiles=(0.0, 100.0))
    patch = cut_patch({"T1": image}, {"T1": roi}, ONE, scaling)[0]
    assert patch[16, 16] == pytest.approx(grey, abs=1e-5)
    assert patch[2, 2] == pytest.approx(0.25, abs=1e-5)


def test_surroundings_come_from_the_mask_of_another_sequence() -> None:
    shape = (5, 40, 40)
    own = affine((4, 1, 1), shape)
    ball_mask = inside_ball(own, shape)
    rng = np.random.default_rng(0)
    pixels = np.where(ball_mask, 200.0, 100.0 + rng.standard_normal(shape)).astype(np.float32)
    images = {"T1": Image(pixels, "T1", own), "T2": Image(1000 - pixels, "T2", own)}
    rois = {"T1": Roi(mask=ball_mask, affine=own)}
    settings = ImageSettings(side_px=40, margin=0.3, scaling="surroundings")
    patch = cut_patch(images, rois, {"red": "T1", "green": "T2"}, settings)
    assert patch[0, 20, 20] == 1.0
    assert patch[1, 20, 20] == 0.0
    assert np.median(patch[0, :3]) == pytest.approx(0.5, abs=0.1)


def test_a_box_at_the_edge_keeps_its_own_surroundings() -> None:
    image = picture((60, 60))
    marked = np.zeros((60, 60), bool)
    marked[2:18, 0:16] = True
    settings = ImageSettings(side_px=32, margin=0.5, scaling="surroundings")
    patch = cut_patch({"T1": image}, {"T1": Roi(box=(2, 0, 18, 16))}, ONE, settings)[0]
    distance = np.asarray(distance_transform_edt(~marked))
    around = image.pixels[0][(distance <= 8) & ~marked]
    low, high = np.percentile(around, (1, 99))
    expected = 0.5 + (image.pixels[0, :32, :32] - np.median(around)) / (high - low) / 2
    assert patch == pytest.approx(np.clip(expected, 0, 1), abs=0.02)


def test_a_box_of_the_whole_picture_has_no_surroundings() -> None:
    image = picture()
    whole = Roi(box=(0, 0, *image.pixels.shape[1:]))
    with pytest.raises(InputError, match=r"too little around the lesion.*slice"):
        cut_patch({"T1": image}, {"T1": whole}, ONE, ImageSettings(side_px=32, scaling="surroundings"))
