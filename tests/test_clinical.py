"""Columns of the cohort as numbers, and what is said of those that cannot be."""

import numpy as np
import pytest

from rarelesion.clinical import check_new, choose_columns, fit_encoding, number_columns
from rarelesion.errors import InputError

AVAILABLE = ("sex", "age", "scanner", "subtype", "site", "pain", "synthetic")
ROWS = [
    {"age": age, "sex": sex, "scanner": scanner}
    for age, sex, scanner in zip(
        ["50", "", "60", "71.5"] * 4, ["F", "m", "M", "f"] * 4, ["A"] * 10 + ["B"] * 2 + ["C"] * 3 + [""], strict=True
    )
]
NUMBERS = frozenset({"age"})


def test_the_usual_columns_are_taken_and_a_scanner_is_not_among_them():
    assert choose_columns((), AVAILABLE, needed=True) == ("age", "sex")
    assert choose_columns((), ("lesion_mm", "age"), needed=True) == ("age", "lesion_mm")
    assert choose_columns((), ("scanner",), needed=False) == ()


def test_what_is_named_is_taken_even_a_scanner():
    assert choose_columns(("pain", "scanner", "pain"), AVAILABLE, needed=True) == ("pain", "scanner")


def test_without_a_clinical_column_the_columns_are_listed():
    with pytest.raises(InputError, match=r"none of the usual clinical columns; found scanner, site.*leave the recipes"):
        choose_columns((), ("scanner", "subtype", "site"), needed=True)
    with pytest.raises(InputError, match="found no further column"):
        choose_columns((), (), needed=True)


def test_every_wrong_name_is_said_with_the_right_ones():
    with pytest.raises(InputError) as caught:
        choose_columns(("agee", "subtype"), AVAILABLE, needed=True)
    first, second = map(str, caught.value.problems)
    assert "no such column; found 'agee'; expected sex, age, scanner, site, pain" in first
    assert "Did you mean age?" in first
    assert "names the diagnosis" in second


def test_numbers_and_words_are_told_apart_and_a_mixture_is_refused():
    assert number_columns(("age", "sex", "scanner"), ROWS, "cohort.csv") == NUMBERS
    mixed = [*ROWS, {"age": "unknown", "sex": "F"}]
    with pytest.raises(InputError, match=r"cohort.csv:age: some cells are no numbers; found 'unknown'"):
        number_columns(("age",), mixed, "cohort.csv")
    assert number_columns(("empty",), ROWS, "cohort.csv") == frozenset()


def test_numbers_stay_numbers_words_get_a_place_each_and_rare_ones_share_one():
    encode = fit_encoding(("age", "sex", "scanner"), NUMBERS, ROWS)
    asked = [
        {"age": "40", "sex": "F ", "scanner": "A"},
        {"age": "", "sex": "", "scanner": "B"},
        {"age": "9", "sex": "m", "scanner": "never seen"},
    ]
    # age, age missing | f, m, rare | a, rare
    np.testing.assert_array_equal(
        encode(asked),
        [[40, 0, 1, 0, 0, 1, 0], [np.nan, 1, 0, 0, 1, 0, 1], [9, 0, 0, 1, 0, 0, 1]],
    )
    assert encode([]).shape == (0, 7)


def test_a_new_case_needs_the_columns_but_not_their_content():
    check_new(("age", "sex"), NUMBERS, {"new": {"age": "", "sex": "never seen"}}, "new.csv")
    with pytest.raises(InputError, match=r"new.csv: the recipe reads columns that are not given: age; found sex"):
        check_new(("age", "sex"), NUMBERS, {"new": {"sex": "F"}}, "new.csv")
    with pytest.raises(InputError, match=r"new.csv: case new, age: is no number; found 'old'"):
        check_new(("age", "sex"), NUMBERS, {"new": {"age": "old", "sex": "F"}}, "new.csv")
