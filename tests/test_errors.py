import pickle

from rarelesion.errors import InputError, Problem

WHOLE = Problem("a.csv:2:label", "the label is unknown", "x", "benign or malignant", "Correct it.")


def test_a_problem_is_one_sentence_and_its_remedy():
    assert str(WHOLE) == "a.csv:2:label: the label is unknown; found x; expected benign or malignant. Correct it."
    assert str(Problem("a.csv", "is empty")) == "a.csv: is empty."
    assert str(Problem("a.csv", "is empty", expected="rows")) == "a.csv: is empty; expected rows."


def test_an_error_holds_one_problem_or_all_of_them():
    other = Problem("b", "c")
    assert InputError(WHOLE).problems == (WHOLE,)
    assert InputError(problem for problem in (WHOLE, other)).problems == (WHOLE, other)
    assert str(InputError([WHOLE, other])) == f"{WHOLE}\n{other}"


def test_an_error_stays_the_same_on_the_way_from_another_process():
    again = pickle.loads(pickle.dumps(InputError([WHOLE, Problem("b", "c")])))
    assert again.problems == (WHOLE, Problem("b", "c"))
    assert str(again) == f"{WHOLE}\nb: c."
