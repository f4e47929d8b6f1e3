"""The radiomics of a case: names, surroundings, and what must not change them."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from rarelesion.crop import cut_region
from rarelesion.errors import InputError
from rarelesion.radiomics import case_features, region_features
from rarelesion.settings import FeatureSettings, ImageSettings
from rarelesion.types import Image, Roi

SCALE, SETTINGS = ImageSettings(), FeatureSettings()
SIDE = 64


def tissue(seed: int = 0, lesion: float = -2.0) -> np.ndarray:
    """A mottled picture with a darker lesion in its middle, 24 x 16."""
    pixels = gaussian_filter(np.random.default_rng(seed).normal(size=(SIDE, SIDE)), 1) * 3
    pixels[20:44, 24:40] += lesion
    return pixels.astype(np.float32)


def picture(pixels: np.ndarray, sequence: str = "view1") -> Image:
    return Image(pixels[None].astype(np.float32), sequence)


BOX = Roi(box=(20, 24, 44, 40))
MASK = Roi(mask=np.pad(np.ones((1, 24, 16), dtype=bool), ((0, 0), (20, 20), (24, 24))))


def features(pixels: np.ndarray, roi: Roi = BOX) -> dict[str, float]:
    return case_features({"view1": picture(pixels)}, {"view1": roi}, SCALE, SETTINGS)


def test_a_box_gives_some_forty_numbers_and_a_mask_its_outline_as_well():
    box, mask = features(tissue()), features(tissue(), MASK)
    assert list(box) == list(mask)
    missing = {name for name, value in box.items() if np.isnan(value)}
    assert len(box) - len(missing) == 43
    assert len(missing) == 9
    assert {"view1_circularity", "view1_area_density_convex_hull"} <= missing
    assert not np.isnan(list(mask.values())).any()
    assert (box["view1_height"], box["view1_width"]) == (24, 16)
    assert box["view1_log_height_to_width"] == pytest.approx(np.log(1.5))


@pytest.mark.parametrize(("gain", "offset"), [(2000.0, 0.0), (0.25, 700.0), (1.0, -90.0)])
def test_the_gain_and_the_offset_of_a_scanner_change_nothing(gain, offset):
    pixels = np.rint(20 * tissue())  # whole numbers, or rounding moves one across the border of a grey level
    assert features(gain * pixels + offset, MASK) == pytest.approx(features(pixels, MASK), abs=1e-6)


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_turned_by_right_angles_only_what_has_a_direction_changes(turns):
    turned = Roi(mask=np.rot90(np.asarray(MASK.mask), turns, axes=(1, 2)).copy())
    before, after = features(tissue(), MASK), features(np.rot90(tissue(), turns).copy(), turned)
    directed = ("_height", "_width", "_log_height_to_width", "_ring_below_difference")
    for name, value in before.items():
        if not name.endswith(directed):
            assert after[name] == pytest.approx(value, abs=1e-6), name
    assert {after["view1_height"], after["view1_width"]} == {24.0, 16.0}


def test_the_ring_tells_a_dark_lesion_from_a_bright_one():
    dark, bright = features(tissue(lesion=-3)), features(tissue(lesion=3))
    assert dark["view1_ring_mean_difference"] < -0.2 < 0.2 < bright["view1_ring_mean_difference"]
    assert dark["view1_ring_log_mean_ratio"] < 0 < bright["view1_ring_log_mean_ratio"]


def test_a_shadow_below_the_lesion_is_below_and_nowhere_else():
    shadow = tissue()
    shadow[44:50, 24:40] -= 5
    above = tissue()
    above[14:20, 24:40] -= 5
    plain = features(tissue())["view1_ring_below_difference"]
    assert features(shadow)["view1_ring_below_difference"] < plain - 0.3
    assert features(above)["view1_ring_below_difference"] == pytest.approx(plain, abs=0.1)


def test_a_sharp_edge_is_steeper_than_a_blurred_one():
    flat = np.where(np.pad(np.ones((24, 16)), ((20, 20), (24, 24))) > 0, -4.0, 0.0)
    noise = tissue(lesion=0) / 10
    sharp, blurred = (
        features(edge + noise, MASK)["view1_ring_edge_gradient"] for edge in (flat, gaussian_filter(flat, 4))
    )
    assert sharp > 2 * blurred


def test_every_sequence_is_measured_at_a_roi_of_its_own_or_a_shared_one():
    images = {name: picture(tissue(seed), name) for seed, name in enumerate(("view1", "view2", "view3"))}
    found = case_features(images, {"view1": BOX, "view3": Roi(box=(20, 24, 40, 40))}, SCALE, SETTINGS)
    assert len(found) == 3 * 52
    assert (found["view2_height"], found["view3_height"]) == (24, 20)
    assert found["view1_mean_intensity"] != found["view2_mean_intensity"]


def test_a_lesion_of_three_pixels_and_one_grey_give_nan_and_no_error():
    tiny = features(tissue(), Roi(box=(30, 30, 31, 33)))
    assert tiny["view1_width"] == 3
    assert np.isnan(tiny["view1_cooccurrence_contrast"])
    flat = tissue()
    flat[20:44, 24:40] = 1.0
    found = features(flat)
    assert np.isnan(found["view1_intensity_skewness"])
    assert found["view1_cooccurrence_contrast"] == 0
    assert not np.isinf(list(found.values())).any()


def test_finer_pixels_of_the_same_lesion_measure_the_same_size():
    def measured(step: float) -> dict[str, float]:
        n = int(40 / step)
        row, column = (np.mgrid[:n, :n] - n / 2) * step
        affine = np.diag([3.0, step, step, 1.0])[[2, 1, 0, 3]]
        inside = (row / 12) ** 2 + (column / 8) ** 2 <= 1
        image = Image((inside * 100.0 + row + 20)[None].astype(np.float32), "T1", affine)
        roi = Roi(mask=inside[None], affine=affine)
        return region_features(cut_region("T1", {"T1": image}, {"T1": roi}, SCALE, SETTINGS), SETTINGS.bins)

    coarse, fine = measured(1.0), measured(0.25)
    assert fine["log_area"] == pytest.approx(np.log(np.pi * 12 * 8), abs=0.03)
    assert coarse["log_area"] == pytest.approx(fine["log_area"], abs=0.06)
    assert coarse["elongation"] == pytest.approx(fine["elongation"], abs=0.03)


def test_what_cannot_be_measured_is_said_of_all_sequences():
    images = {"view1": picture(tissue()), "view2": picture(tissue()[:30])}
    with pytest.raises(InputError) as caught:
        case_features(images, {"view1": Roi(box=(60, 60, 70, 70))}, SCALE, SETTINGS)
    assert {problem.where for problem in caught.value.problems} == {"view1", "view2"}
