"""The picture of two sequences over each other."""

import numpy as np
import pytest
import SimpleITK as sitk

from rarelesion.overlay import ORANGE, write_overlay
from rarelesion.types import Image, Roi

AFFINE = np.diag([1.0, 1.0, 5.0, 1.0])[:, [2, 1, 0, 3]]


def disc(shift, name):
    rows, columns = np.indices((64, 64))
    inside = (rows - 32) ** 2 + (columns - 32 - shift) ** 2 < 300
    pixels = np.repeat(inside[None].astype(np.float32), 3, axis=0)
    return Image(pixels + 0.01 * rows, name, AFFINE)


def panels(path):
    picture = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
    height, width = (picture.shape[0] - 24) // 2, (picture.shape[1] - 6) // 2
    return picture, picture[-height:, :width], picture[-height:, -width:]


def test_edges_lie_on_the_contour_only_where_the_images_fit(tmp_path):
    before = {"T1": disc(0, "T1"), "T2": disc(9, "T2")}
    after = before | {"T2": disc(0, "T2")}
    write_overlay(tmp_path / "overlay.png", before, after, "T1", "T2")
    picture, left, right = panels(tmp_path / "overlay.png")
    assert picture.shape == (2 * 256 + 24, 2 * 256 + 6, 3)
    columns = [np.flatnonzero((side == ORANGE).all(axis=2).any(axis=0)).mean() for side in (left, right)]
    assert columns[0] - columns[1] == pytest.approx(9 * 4, abs=6)
    assert [item.name for item in tmp_path.iterdir()] == ["overlay.png"]


def test_the_slice_through_the_lesion_is_shown(tmp_path):
    pixels = np.zeros((5, 64, 64), np.float32)
    pixels[3, 10:50, 10:50] = 1
    images = {name: Image(pixels, name, AFFINE) for name in ("T1", "T2")}
    mask = np.zeros((5, 64, 64), bool)
    mask[3, 20:30, 20:30] = True
    for roi in (Roi(mask=mask), Roi(mask=mask, affine=AFFINE), Roi(box=(20, 20, 30, 30), slice_index=3)):
        write_overlay(tmp_path / "lesion.png", images, images, "T1", "T2", roi)
        assert (panels(tmp_path / "lesion.png")[1] == ORANGE).all(axis=2).any()
    write_overlay(tmp_path / "middle.png", images, images, "T1", "T2")
    assert not (panels(tmp_path / "middle.png")[1] == ORANGE).all(axis=2).any()


def test_images_without_coordinates_are_refused(tmp_path):
    images = {name: Image(np.ones((1, 9, 9), np.float32), name) for name in ("T1", "T2")}
    with pytest.raises(ValueError, match="coordinates"):
        write_overlay(tmp_path / "overlay.png", images, images, "T1", "T2")
