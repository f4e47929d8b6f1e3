"""The choice among a patient's series."""

from dataclasses import replace

from rarelesion.candidates import Chosen, choose_series
from rarelesion.series import Series

PLAIN = Series(
    series="s-a", patient="p-a", study="s-first", frame="f-a", modality="MR", orientation="axial", slices=20, files=20,
    rows=256, columns=256, spacing_row_mm=0.8, spacing_column_mm=0.8, spacing_slice_mm=5.0, thickness_mm=4.0,
    field_strength_t=1.5, tr_ms=500.0, te_ms=11.0, ti_ms=None, flip_degrees=90.0, b_value=None, contrast="",
    fat_saturation="", words=(), vendor="siemens", scanner="s-x", sex="F", age=50, day=0, year=0, role="T1",
    confidence=0.9, reason="", remarks=(), refers_to=(),
)  # fmt: skip
T2 = replace(PLAIN, series="s-t2", role="T2")
BOTH = ("T1", "T2")


def chosen(found, marked=frozenset(), study=""):
    one = choose_series(found, BOTH, marked, study)
    assert isinstance(one, Chosen)
    return {sequence: series.series for sequence, series in one.series.items()}


def test_finer_pixels_go_before_coarser_ones_and_axial_before_both():
    fine = replace(PLAIN, series="s-fine", spacing_row_mm=0.5)
    tilted = replace(PLAIN, series="s-cor", spacing_row_mm=0.3, orientation="coronal")
    assert chosen([PLAIN, tilted, fine, T2]) == {"T1": "s-fine", "T2": "s-t2"}


def test_the_marked_series_goes_before_all_others():
    coarse = replace(PLAIN, series="s-drawn-2", spacing_row_mm=2.0, orientation="coronal", confidence=0.4)
    assert chosen([PLAIN, coarse, T2], marked={"s-drawn"})["T1"] == "s-drawn-2"


def test_a_localiser_of_two_slices_goes_last():
    short = replace(PLAIN, series="s-0", slices=2, spacing_row_mm=0.1)
    assert chosen([short, PLAIN, T2])["T1"] == "s-a"


def test_sequences_come_from_one_study_the_earliest_that_has_them_all():
    later = [replace(one, study="s-0later", series=f"{one.series}9", day=400) for one in (PLAIN, T2)]
    lone = replace(T2, study="s-alone", series="s-lone", day=-5)
    found = choose_series([*later, PLAIN, T2, lone], BOTH, set())
    assert isinstance(found, Chosen)
    assert found.study == "s-first"
    assert found.notes == ("1 other study has these sequences too; the earliest was taken",)
    assert chosen([*later, PLAIN, T2], study="s-0later")["T1"] == "s-a9"


def test_what_is_lacking_is_said():
    assert choose_series([PLAIN], BOTH, set())[0] == "no series is T2 (roles found: T1)"
    apart = [PLAIN, replace(T2, study="s-other")]
    assert choose_series(apart, BOTH, set())[0] == "no study has all of T1, T2"
    assert "not in the archive" in choose_series([PLAIN, T2], BOTH, set(), "s-none")[0]


def test_the_choice_does_not_hang_on_the_order():
    twins = [replace(PLAIN, series=name) for name in ("s-c", "s-b")]
    assert chosen([*twins, T2]) == chosen([T2, *twins[::-1]]) == {"T1": "s-b", "T2": "s-t2"}
