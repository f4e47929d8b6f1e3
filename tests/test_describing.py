"""One row a stack, with days and years as intervals."""

from dataclasses import replace

from rarelesion.describing import OTHER_PERSON, describe, doubtful_patients, since_first
from series_rows import row
from test_gathering import frame


def test_a_row_says_what_most_frames_say():
    frames = [frame(3.0 * n, n, words=("t1",), technique=("SE",)) for n in range(5)]
    frames[0] = replace(frames[0], facts=replace(frames[0].facts, tr_ms=510.0))
    found = describe("s-x", frames, 5)
    assert (found.series, found.patient, found.slices, found.files) == ("s-x", "p-1", 5, 5)
    assert (found.orientation, found.spacing_slice_mm, found.thickness_mm, found.tr_ms) == ("axial", 3.0, 3.0, 500.0)
    assert (found.role, found.remarks) == ("T1", ())


def test_a_mask_has_no_remarks_on_slices():
    found = describe("s-x", [frame(0.0, 1, kind="segmentation", modality="SEG", refers_to=("s-a",))], 1)
    assert (found.role, found.remarks, found.refers_to, found.orientation) == ("mask", (), ("s-a",), "")


def test_few_slices_in_several_directions_are_a_localiser():
    frames = [frame(9.0 * n, n, technique=("GR",), words=("t1",)) for n in range(3)]
    assert describe("s-x", frames, 3, directions=3).role == "other"
    assert "localiser" in describe("s-x", frames, 3, directions=3).reason
    assert describe("s-x", frames, 3, directions=1).role == "T1"


def test_text_in_the_pixels_is_told():
    assert describe("s-x", [frame(0.0, 1, burnt_in=True)], 1).remarks[-1] == (
        "the header says that text is burnt into the pixels"
    )


def test_days_and_years_are_intervals():
    rows = [
        row("s-a", day=1000, year=None),
        row("s-b", day=1040, year=None),
        row("s-c", patient="p-2", day=2000, year=None),
        row("s-d", patient="p-2", day=None, year=None),
    ]
    assert [(one.day, one.year) for one in since_first(rows)] == [(0, 0), (40, 0), (0, 2), (None, None)]
    assert since_first([]) == ()


def test_two_people_under_one_number_are_told():
    def told(**other):
        rows = doubtful_patients([row("s-a", day=1000, age=50), row("s-b", **{"day": 1700, "age": 52} | other)])
        return [OTHER_PERSON in one.remarks for one in rows]

    assert told() == [False, False]
    assert told(age=51) == told(age=None) == told(sex="") == told(patient="p-2", sex="M") == [False, False]
    assert told(sex="M") == told(age=30) == [True, True]
    assert doubtful_patients([row("s-a", patient="", sex="M"), row("s-b", patient="")])[0].remarks == ()
