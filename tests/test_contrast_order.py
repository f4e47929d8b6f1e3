"""T1 series without a word on contrast: what the order of the study says."""

import pytest

from rarelesion.contrast_order import by_order
from series_rows import row


def roles(*timed):
    return [(one.role, one.confidence) for one in by_order(timed)]


def test_what_comes_after_a_series_with_contrast_is_after_contrast():
    plain, after = row("s-a", role="T1", confidence=0.9), row("s-b", role="T1C", contrast="yes", rows=20)
    assert roles((plain, 50.0), (after, 20.0)) == [("T1C", 0.6), ("T1C", 0.9)]
    assert "acquired after a series with contrast" in by_order([(plain, 50.0), (after, 20.0)])[0].reason


def test_what_comes_before_it_stays():
    assert roles((row("s-a"), 10.0), (row("s-b", role="T1C", rows=20), 20.0)) == [("T1", 0.9), ("T1C", 0.9)]


def test_the_repetition_of_an_acquisition_is_probably_after_contrast():
    first, again = row("s-a"), row("s-b", tr_ms=510.0)
    changed = by_order([(first, 10.0), (again, 500.0)])
    assert [(one.role, one.confidence) for one in changed] == [("T1", 0.9), ("T1C", 0.5)]
    assert "the same acquisition was made earlier" in changed[1].reason
    assert "no sign of contrast" not in changed[1].reason


@pytest.mark.parametrize(
    "other",
    [
        {"study": "s-9"},
        {"rows": 20},
        {"orientation": "coronal"},
        {"te_ms": 30.0},
        {"fat_saturation": "yes"},
        {"contrast": "no"},
        {"words": ("t1", "pre")},
        {"slices": 7},
        {"series": "s-a-2"},
    ],
)
def test_what_differs_or_says_so_itself_stays(other):
    assert roles((row("s-a"), 10.0), (row(**{"series": "s-b"} | other), 500.0))[1] == ("T1", 0.9)


def test_without_times_nothing_changes():
    assert roles((row("s-a"), None), (row("s-b"), None)) == [("T1", 0.9), ("T1", 0.9)]


def test_other_roles_are_left_alone():
    assert roles((row("s-a", role="T2"), 10.0), (row("s-b", role="T2"), 20.0)) == [("T2", 0.9), ("T2", 0.9)]
