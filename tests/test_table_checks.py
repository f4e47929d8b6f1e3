"""What two ways of writing have in common."""

import pytest

from rarelesion.identifying import is_name
from rarelesion.table_checks import ids_alike, listed, words_alike


@pytest.mark.parametrize("other", ["P-007", "p7", "P 07", "ｐ７", "p\u200b007"])
def test_one_id_written_in_several_ways(other):
    assert ids_alike(other) == ids_alike("P007")


@pytest.mark.parametrize("other", ["p70", "p1-7", "q7", "p7a"])
def test_other_ids_stay_other(other):
    assert ids_alike(other) != ids_alike("p7")


def test_leading_zeros_count_in_words_only():
    assert words_alike("grade 01") != words_alike("grade 1")
    assert words_alike("Warthin  Tumour") == words_alike("warthin-tumour")


def test_long_lists_are_cut():
    assert listed("abcdefg") == "a, b, c, d, e and 2 more"
    assert listed("aab") == "a, b"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Doe^John^^Dr.^", True),
        ("Müller-Lüdenscheidt, Eva", True),
        ("O'Neil^Sean", True),
        ("van der Berg, Piet", True),
        ("p-7k3qxa2m5c-1", False),
        ("Subject-A", False),
        ("case_01", False),
    ],
)
def test_what_is_written_as_names_are(text, expected):
    assert is_name(text) is expected
