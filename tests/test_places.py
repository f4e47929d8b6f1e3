"""Where a lesion is, by hand-counted examples."""

import numpy as np
import pytest

from rarelesion.places import box_on, locate, plane_at
from rarelesion.types import Image, Roi


def affine(step=(4.0, 0.5, 1.0), origin=(10.0, 20.0, 30.0)):
    result = np.eye(4)
    result[:3, :3] = np.eye(3)[:, ::-1] * step
    result[:3, 3] = origin
    return result


def image(**changes):
    return Image(np.zeros((3, 20, 30), np.float32), "T1", changes.get("affine", affine()))


def test_a_mask_is_measured_on_its_largest_slice():
    mask = np.zeros((3, 20, 30), bool)
    mask[0, 5, 5] = True
    mask[1, 4:10, 6:9] = True
    place = locate(Roi(mask=mask), image())
    assert (place.plane, place.box, place.length_px, place.pieces) == (1, (4, 6, 10, 9), 6, 1)
    assert place.share == 18 / 600
    assert place.length_mm == 3.0
    assert not place.touches_border
    assert place.centre_mm == pytest.approx([10 + 7.0, 20 + 0.5 * 6.5, 30 + 4.0])


def test_pieces_far_apart_are_measured_in_lengths_of_the_largest():
    mask = np.zeros((3, 20, 30), bool)
    mask[1, 4:8, 2:6] = True
    mask[1, 4:6, 20:22] = True
    place = locate(Roi(mask=mask), image())
    assert place.pieces == 2
    assert place.gap == pytest.approx(15 / 4)


@pytest.mark.parametrize(
    ("box", "touches"), [((0, 3, 5, 9), True), ((1, 3, 20, 9), True), ((1, 3, 5, 30), True), ((1, 1, 19, 29), False)]
)
def test_a_box_at_the_border(box, touches):
    assert locate(Roi(box=box, slice_index=1), image()).touches_border == touches


def test_a_place_on_another_grid():
    place = locate(Roi(box=(4, 6, 10, 9), slice_index=1), image())
    finer = Image(np.zeros((5, 40, 60), np.float32), "T2", affine((2.0, 0.25, 0.5), (9.75, 19.875, 30.0)))
    assert plane_at(finer, place.centre_mm, 0) == 2
    assert box_on(finer, place, affine()) == (8, 12, 20, 18)
    assert plane_at(image(affine=None), None, 7) == 2
