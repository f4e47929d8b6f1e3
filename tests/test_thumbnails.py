"""Thumbnails: small, in their true shape, and nothing written in them can be read."""

import numpy as np
import pytest
from PIL import Image as Picture
from PIL import ImageDraw, ImageFont
from scipy.ndimage import gaussian_filter

from dicom_archive import enhanced_tags, slice_tags, write_dicom
from rarelesion.thumbnails import WIDEST_PX, shrunk, thumbnail


def tissue(rows, columns=None):
    return gaussian_filter(np.random.default_rng(0).normal(size=(rows, columns or rows)), rows / 20).astype(np.float32)


@pytest.mark.parametrize(
    ("shape", "aspect", "expected"),
    [
        ((512, 512), 1.0, (96, 96)),
        ((512, 256), 1.0, (96, 48)),
        ((256, 256), 2.0, (96, 48)),
        ((256, 256), 0.5, (48, 96)),
        ((100, 100), 1.0, (50, 50)),
        ((1, 1), 1.0, (1, 1)),
        ((3000, 20), 1.0, (96, 1)),
    ],
)
def test_shape(shape, aspect, expected):
    small = shrunk(np.random.default_rng(0).normal(size=shape).astype(np.float32), aspect)
    assert small.shape == expected
    assert max(small.shape) <= WIDEST_PX


def test_greys_go_from_black_to_white_in_the_order_of_the_values():
    small = shrunk(np.repeat(np.linspace(-50, 700, 192, dtype=np.float32)[:, None], 192, axis=1))
    assert (small[0, 0], small[-1, 0]) == (0, 255)
    assert (np.diff(small[:, 0].astype(int)) >= 0).all()
    assert set(np.unique(shrunk(np.full((64, 64), 7.0, np.float32)))) == {0}


@pytest.mark.parametrize("letters_px", [12, 24, 48])
@pytest.mark.parametrize("size", [256, 512])
def test_writing_is_lost(size, letters_px):
    ground = tissue(size)
    ground = 600 * (ground - ground.min()) / np.ptp(ground)
    words = []
    for text in ("ERIKA", "MARIA"):
        picture = Picture.new("L", (size, size))
        ImageDraw.Draw(picture).text((9, size // 3), text, fill=255, font=ImageFont.load_default(letters_px))
        share = np.asarray(picture, np.float32) / 255
        words.append(shrunk(ground * (1 - share) + 900 * share).astype(float))
    apart = np.abs(words[0] - words[1])
    assert np.percentile(apart, 99) < 40


def test_of_a_file(tmp_path):
    path = write_dicom(tmp_path / "a", slice_tags(PixelSpacing=[1.0, 0.5]), np.arange(64 * 64).reshape(64, 64))
    small = thumbnail(path, 0)
    assert small is not None
    assert (small.shape, small.dtype) == ((32, 16), np.uint8)
    assert small[-1, -1] > small[0, 0]


def test_of_a_frame_of_a_file(tmp_path):
    frames = [{"position": (0, 0, 3.0 * n)} for n in range(2)]
    pixels = np.stack([np.zeros((32, 32)), np.arange(1024).reshape(32, 32)])
    path = write_dicom(tmp_path / "a", enhanced_tags(frames), pixels)
    first, second = thumbnail(path, 0), thumbnail(path, 1)
    assert first is not None
    assert second is not None
    assert (first.max(), second.max()) == (0, 255)
    assert thumbnail(path, 2) is None


def test_what_cannot_be_shown_is_none(tmp_path):
    (tmp_path / "text").write_text("T1 " * 99)
    assert thumbnail(tmp_path / "text", 0) is None
    assert thumbnail(tmp_path / "gone", 0) is None
    path = write_dicom(tmp_path / "a", slice_tags())
    path.write_bytes(path.read_bytes()[:-99])
    assert thumbnail(path, 0) is None
