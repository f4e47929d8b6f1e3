import doctest

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rarelesion import patients
from rarelesion.errors import InputError
from rarelesion.operating import operating_point
from rarelesion.patients import cases_to_draw, effective_cases, patient_numbers
from rarelesion.proportions import proportion_interval
from score_rows import make_scores


def test_examples_run():
    assert doctest.testmod(patients).failed == 0


def test_cases_are_numbered_by_patient():
    assert patient_numbers(["b", "a", "b"], 3).tolist() == [1, 0, 1]
    assert patient_numbers([7, 7, 3], 3).tolist() == [1, 1, 0]
    assert patient_numbers(None, 3).tolist() == [0, 1, 2]


@pytest.mark.parametrize("missing", [None, "", float("nan")])
def test_a_case_without_a_patient_is_named(missing):
    with pytest.raises(InputError, match="a case has no patient; found none at position 1 "):
        patient_numbers(np.array(["a", missing, "b"], dtype=object), 3)
    with pytest.raises(InputError, match="found 2 for 3 cases"):
        patient_numbers(["a", "b"], 3)


def test_effective_cases_counted_by_hand():
    assert effective_cases([1, 0, 1], ["a", "b", "c"]) == 3
    # share 1/2, spread 1; deviations by patient 1/2 + 1/2 and -1/2 - 1/2: 2 over 1
    assert effective_cases([1, 1, 0, 0], ["a", "a", "b", "b"]) == 2
    # both patients are half right: no more alike than strangers
    assert effective_cases([1, 0, 1, 0], ["a", "a", "b", "b"]) == 4
    assert effective_cases([1, 1, 1, 1], ["a", "a", "b", "b"]) == 2
    assert effective_cases([1, 0, 1, 0], ["a"] * 4) == 1


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 5)), min_size=1, max_size=30))
def test_effective_cases_are_above_0_and_never_more_than_the_cases(rows):
    right, patient = zip(*rows, strict=True)
    assert 0 < effective_cases(right, patient) <= len(rows)


@given(st.lists(st.integers(0, 1), min_size=2, max_size=12))
def test_a_second_lesion_that_says_the_same_adds_nothing(right):
    patient = list(range(len(right)))
    assert effective_cases(right * 2, patient * 2) == pytest.approx(len(right))


def test_worth_is_that_of_the_operating_point_of_a_recipe():
    label, score, patient = [0, 1, 1, 1, 1, 1], [0, 3, 3, 1, 4, 0], ["z", "a", "a", "b", "c", "c"]
    found = operating_point(make_scores(label, score, patient=patient), "test").sensitivity
    right = [1, 1, 1, 1, 0]
    assert found.value == 4 / 5
    worth = effective_cases(right, patient[1:])
    assert (found.low, found.high) == pytest.approx(proportion_interval(4 / 5 * worth, worth))


def test_cases_to_draw_come_in_one_order():
    order = [3, 0, 2, 1]
    labels, scores = np.array([0, 1, 1, 0]), np.array([1.0, 1.0, 2.0, 0.5])
    first, second = cases_to_draw(labels, scores, None, 2), cases_to_draw(labels[order], scores[order], None, 2)
    assert all((a == b).all() for a, b in zip(first, second, strict=True))
    owned = cases_to_draw(labels, scores, ["p", "q", "r", "s"], 2)[2]
    assert owned.tolist() == ["3", "0", "1", "2"]
    with pytest.raises(InputError, match="too few draws; found 1"):
        cases_to_draw(labels, scores, None, 1)
