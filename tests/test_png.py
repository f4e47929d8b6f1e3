"""PNG as SimpleITK and matplotlib read it back."""

import io

import matplotlib.image
import numpy as np
import pytest
import SimpleITK as sitk

from rarelesion.png import encode


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 3), (1, 1)])
def test_what_is_encoded_is_read_back_by_another_library(shape, tmp_path):
    pixels = np.random.default_rng(0).integers(256, size=shape).astype(np.uint8)
    (tmp_path / "a.png").write_bytes(encode(pixels))
    assert np.array_equal(sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "a.png"))), pixels)


def test_a_palette_gives_each_number_its_colour():
    colours = np.array([[0, 0, 0], [255, 150, 0], [7, 8, 9]], np.uint8)
    pixels = np.array([[0, 1, 2], [2, 1, 0]], np.uint8)
    shown = matplotlib.image.imread(io.BytesIO(encode(pixels, colours.tobytes())))
    assert np.array_equal(np.rint(shown[..., :3] * 255).astype(np.uint8), colours[pixels])
