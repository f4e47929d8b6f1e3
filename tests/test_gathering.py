"""Frames of a series gathered to stacks, and what is uneven about a stack."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rarelesion.gathering import direction, geometry, middle_of, stacks
from rarelesion.series import Facts, Header

AXIAL, CORONAL, SAGITTAL = (1, 0, 0, 0, 1, 0), (1, 0, 0, 0, 0, -1), (0, 1, 0, 0, 0, -1)
PLAIN = Facts(modality="MR", rows=16, columns=16, orientation=AXIAL, spacing_row_mm=0.5, spacing_column_mm=0.5,
              thickness_mm=3.0, te_ms=11.0, tr_ms=500.0)  # fmt: skip


def frame(z=0.0, number=1, x=0.0, y=0.0, **more):
    own = {key: more.pop(key) for key in list(more) if key in ("acquisition", "time_point", "moment", "instance")}
    return Header("p-1", "s-1", "s-2", "f-1", own.pop("instance", f"i-{number}"), 0, replace(PLAIN, **more),
                  (x, y, z), number, **own)  # fmt: skip


def sizes(frames):
    return [len(part) for part in stacks(frames)]


def test_one_plain_series_is_one_stack():
    assert stacks([frame(3.0 * z, z) for z in range(5)]) == [[0, 1, 2, 3, 4]]


@pytest.mark.parametrize(
    "other",
    [
        {"orientation": CORONAL},
        {"rows": 20},
        {"spacing_row_mm": 0.6},
        {"te_ms": 80.0},
        {"b_value": 800.0},
        {"types": ("ORIGINAL", "P")},
        {"types": ("WATER",)},
        {"ti_ms": 2500.0},
    ],
)
def test_what_was_made_otherwise_is_another_stack(other):
    frames = [frame(3.0 * z, z) for z in range(4)] + [frame(3.0 * z, 9 + z, y=3.0 * z, **other) for z in range(4)]
    assert sizes(frames) == [4, 4]
    assert {frozenset(part) for part in stacks(frames)} == {frozenset(range(4)), frozenset(range(4, 8))}


def test_two_people_of_one_series_uid_are_never_in_one_stack():
    frames = [frame(3.0 * z, z, instance=f"i-{z * 7 % 5}") for z in range(5)]
    frames += [replace(frame(3.0 * z, z, instance=f"i-{z * 3 % 5}"), patient="p-2") for z in range(5)]
    assert {frozenset(part) for part in stacks(frames)} == {frozenset(range(5)), frozenset(range(5, 10))}


@pytest.mark.parametrize("attribute", ["time_point", "acquisition"])
def test_time_points_are_stacks(attribute):
    frames = [frame(3.0 * z, t * 10 + z, **{attribute: t}) for t in (1, 2, 3) for z in range(4)]
    assert stacks(frames) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]


def test_time_points_without_a_tag_go_by_the_order_in_time():
    frames = [frame(3.0 * z, 1 + 3 * z + t, moment=100.0 * t + z) for z in range(4) for t in range(3)]
    assert stacks(frames) == [[0, 3, 6, 9], [1, 4, 7, 10], [2, 5, 8, 11]]


def test_acquisitions_that_interleave_one_volume_stay_together():
    frames = [frame(3.0 * z, z, acquisition=1 + z % 2) for z in range(6)]
    assert sizes(frames) == [6]


def test_two_slices_at_one_place_by_mistake_stay_and_are_told():
    frames = [frame(3.0 * z, z) for z in range(6)] + [frame(3.0, 9)]
    assert sizes(frames) == [7]
    found = geometry(frames)
    assert (found.slices, found.remarks) == (6, ("1 slices share their place with another",))


def test_slightly_different_direction_cosines_are_one_direction():
    tilted = (1.0, 0.0, 0.0, 0.0, 0.9999, 0.0105)
    assert sizes([frame(0, 1), frame(3, 2, orientation=tilted)]) == [2]


def test_a_radial_scan_stays_one_stack():
    turns = np.radians(np.arange(0, 180, 15))
    frames = [frame(0, n, orientation=(np.cos(a), np.sin(a), 0, 0, 0, -1)) for n, a in enumerate(turns)]
    assert sizes(frames) == [12]
    assert geometry(frames).orientation == "several"


def test_frames_without_positions_are_one_stack():
    frames = [replace(frame(0, n), position=()) for n in range(5)]
    assert sizes(frames) == [5]
    assert geometry(frames).remarks == ("no patient coordinates",)


@given(st.permutations(range(8)))
def test_the_order_of_frames_does_not_matter(order):
    frames = [frame(3.0 * z, t * 10 + z, time_point=t) for t in (1, 2) for z in range(4)]
    shuffled = [frames[index] for index in order]
    parts = [{shuffled[index].instance_number for index in part} for part in stacks(shuffled)]
    assert parts == [{10, 11, 12, 13}, {20, 21, 22, 23}]
    first = [shuffled[index] for index in stacks(shuffled)[0]]
    assert geometry(first) == geometry(frames[:4])


@pytest.mark.parametrize(
    ("places", "remarks"),
    [
        ([0, 3, 6, 9], ()),
        ([9, 6, 3, 0], ()),
        ([0, 3, 9, 12], ("1 slice is missing",)),
        ([0, 3, 6, 15, 18, 21], ("2 slices are missing",)),
        ([0, 3, 6, 10, 13], ("uneven distances of slices, 3.00 to 4.00 mm",)),
        ([5], ("a single slice",)),
    ],
)
def test_remarks_on_distances(places, remarks):
    found = geometry([frame(float(z), n) for n, z in enumerate(places)])
    assert found.remarks == remarks
    assert found.slices == len(places)
    assert found.spacing_mm == (None if len(places) == 1 else 3.0)


def test_tilt_is_told_with_its_angle():
    frames = [frame(3.0 * n, n, y=3.0 * n * np.tan(np.radians(15))) for n in range(6)]
    assert geometry(frames).remarks == ("slices shifted sideways, tilt 15 degrees",)


def test_no_thickness_is_told():
    assert geometry([frame(3.0 * n, n, thickness_mm=None) for n in range(4)]).remarks == ("no slice thickness",)


@pytest.mark.parametrize(
    ("orientation", "name"),
    [
        (AXIAL, "axial"),
        (CORONAL, "coronal"),
        (SAGITTAL, "sagittal"),
        ((1, 0, 0, 0, 0.9, 0.436), "oblique axial"),
        ((1, 0, 0, 0, 0.98, 0.199), "axial"),
        ((), ""),
        ((1, 0, 0, 1, 0, 0), ""),
    ],
)
def test_direction(orientation, name):
    assert direction(orientation) == name


def test_the_middle_is_by_place_not_by_number():
    frames = [frame(z, n) for n, z in enumerate([20.0, 0.0, 10.0, 30.0, 40.0])]
    assert middle_of(frames) == 0
    assert middle_of([replace(one, position=()) for one in frames]) == 2
