"""Writing burnt into pictures: found on tissue and beside it, in any size and grey, and not where there is none."""

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from rarelesion.anatomy import SUBTYPES, draw_patient
from rarelesion.burnt_in import blank, text_regions
from rarelesion.phantom import Grid, acquire, draw_image

WORDS = ("DOE JANE", "12.03.1967", "SYN 0042 T1", "TE 90 TR 4000")


def slice_of(seed, matrix=256):
    rng = np.random.default_rng(seed)
    patient = draw_patient(list(SUBTYPES)[seed % len(SUBTYPES)], rng)
    pixel = (2 * max(patient.half_axes) + 30) / matrix
    affine = np.diag([0.0, 0.0, 0.0, 1.0])
    affine[2, 0], affine[1, 1], affine[0, 2] = 5.0, pixel, pixel
    affine[:3, 3] = -pixel * (matrix - 1) / 2, -pixel * (matrix - 1) / 2, patient.lesion.centre[2]
    grid = Grid((1, matrix, matrix), affine)
    return acquire(draw_image(patient, ("T1", "T2")[seed % 2], grid), grid, 900.0, 0.04, 0.1, rng)[0].astype(float)


def as_8_bit(pixels):
    return np.clip(pixels / np.percentile(pixels, 99.5) * 255, 0, 255).astype(np.uint8).astype(float)


def letters(text, size):
    font = ImageFont.load_default(size)
    sheet = Image.new("L", (size * len(text) + 8, 2 * size))
    ImageDraw.Draw(sheet).text((4, 4), text, fill=255, font=font)
    ink = np.asarray(sheet, dtype=float) / 255
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def burnt(pixels, text, size, place, grey):
    ink, burnt = letters(text, size), pixels.copy()
    row, column = place
    part = burnt[row : row + ink.shape[0], column : column + ink.shape[1]]
    part[:] = part * (1 - ink) + grey * ink
    return burnt, (row, column, row + ink.shape[0], column + ink.shape[1])


def share_found(shape, boxes, true):
    hidden = np.zeros(shape, bool)
    for row0, col0, row1, col1 in boxes:
        hidden[row0:row1, col0:col1] = True
    return hidden[true[0] : true[2], true[1] : true[3]].mean()


def found_at(place, bits, size):
    """Which of the words, each burnt into another slice, are found for the most part."""
    for seed, text in enumerate(WORDS):
        pixels = slice_of(seed) if bits == 16 else as_8_bit(slice_of(seed))
        picture, true = burnt(pixels, text, size, place, pixels.max())
        yield share_found(picture.shape, text_regions(picture), true) > 0.7


@pytest.mark.parametrize("size", [12, 16, 24])
@pytest.mark.parametrize("bits", [8, 16])
def test_writing_is_found_beside_the_patient(size, bits):
    assert all(found_at((3, 4), bits, size))


def test_most_writing_is_found_on_tissue():
    found = {bits: [one for size in (12, 16, 24) for one in found_at((150, 90), bits, size)] for bits in (8, 16)}
    assert np.mean(found[16]) >= 0.6
    # In 8 bit white letters on fat that was cut off at white leave no trace.
    assert np.mean(found[8]) >= 0.4


@pytest.mark.parametrize("grey", [0.6, 1.0, 2.0])
def test_writing_of_any_grey_is_found_beside_the_patient(grey):
    pixels = slice_of(3)
    picture, true = burnt(pixels, WORDS[0], 14, (4, 5), grey * pixels.max())
    (box,) = text_regions(picture)
    assert share_found(picture.shape, [box], true) == 1
    assert (box[2] - box[0]) * (box[3] - box[1]) < 2.5 * (true[2] - true[0]) * (true[3] - true[1])


@pytest.mark.parametrize("window", [lambda pixels: pixels, as_8_bit])
def test_clean_slices_raise_no_alarm(window):
    assert [seed for seed in range(30) if text_regions(window(slice_of(seed)))] == []


def test_a_scale_bar_and_a_calliper_cross_are_found():
    picture = slice_of(5)
    picture[240:243, 30:90] = picture.max()
    picture[100, 104:119], picture[93:108, 111] = picture.max(), picture.max()
    bar, cross = (240, 30, 243, 90), (93, 104, 108, 119)
    boxes = text_regions(picture)
    assert len(boxes) == 2
    assert share_found(picture.shape, boxes, bar) == share_found(picture.shape, boxes, cross) == 1


def test_units_and_offset_of_the_pixels_do_not_matter():
    picture, _ = burnt(slice_of(1), WORDS[2], 14, (6, 100), slice_of(1).max())
    assert text_regions(picture * 0.01 - 1000) == text_regions(picture) != ()


@pytest.mark.parametrize("letter", ["R", "L"])
def test_the_mark_of_a_side_is_found_in_the_dark(letter):
    for seed in range(4):
        picture, true = burnt(slice_of(seed), letter, 16, (6, 8), slice_of(seed).max())
        assert share_found(picture.shape, text_regions(picture), true) == 1


def test_tissue_beside_the_writing_is_left_alone():
    for seed in range(12):
        picture, true = burnt(slice_of(seed), WORDS[seed % 4], 14, (150, 90), 1.5 * slice_of(seed).max())
        for row0, col0, row1, col1 in text_regions(picture):
            assert true[0] - 8 < row0
            assert row1 < true[2] + 8
            assert true[1] - 20 < col0
            assert col1 < true[3] + 20


def test_an_empty_or_even_picture_has_no_writing():
    assert text_regions(np.full((40, 50), 7.0)) == ()
    assert text_regions(np.zeros((0, 5))) == ()
    assert text_regions(np.ones((1, 1))) == ()


def test_more_dimensions_or_nan_are_refused():
    with pytest.raises(ValueError, match="one picture"):
        text_regions(np.zeros((2, 8, 8)))
    with pytest.raises(ValueError, match="finite"):
        text_regions(np.full((8, 8), np.nan))


def test_blanking_removes_the_writing_and_nothing_else():
    picture, true = burnt(slice_of(2), WORDS[0], 16, (4, 5), 9000.0)
    boxes = text_regions(picture)
    blanked = blank(picture, boxes)
    outside = np.ones(picture.shape, bool)
    for row0, col0, row1, col1 in boxes:
        outside[row0:row1, col0:col1] = False
    assert np.array_equal(blanked[outside], picture[outside])
    ground = slice_of(2)[true[0] : true[2], true[1] : true[3]]
    assert blanked[true[0] : true[2], true[1] : true[3]].max() <= ground.max()
    assert text_regions(blanked) == ()


def test_blanking_keeps_the_kind_of_the_pixels_and_the_input():
    picture = np.full((20, 20), 3, dtype=np.uint8)
    picture[5:9, 5:15] = 255
    blanked = blank(picture, [(4, 4, 10, 16)])
    assert blanked.dtype == np.uint8
    assert np.all(blanked == 3)
    assert picture.max() == 255
