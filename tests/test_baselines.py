"""A column as a row: it learns outside the test part only, and says what the column would have said."""

import numpy as np
import pytest

from rarelesion.baselines import baseline_scores
from rarelesion.errors import InputError
from rarelesion.intervals import roc_auc_estimate
from score_rows import make_scores

LABELS = {f"case{number}": number % 2 for number in range(12)}


def template(tested=range(4)):
    return make_scores([number % 2 for number in tested], [0.0] * len(tested), case=[f"case{n}" for n in tested])


def test_a_number_counts_in_the_direction_that_the_other_cases_show():
    older = {case_id: str(80 - 30 * label + int(case_id[4:])) for case_id, label in LABELS.items()}
    found = baseline_scores("age", older, LABELS, template())
    assert found.recipe == "baseline:age"
    assert found.score.tolist() == [-80.0, -51.0, -82.0, -53.0]
    assert roc_auc_estimate(found).value == 1.0


def test_the_direction_never_comes_from_the_test_cases():
    # Outside the test part malignant is higher, inside it is lower: the row must be as wrong as that.
    values = {i: str(label if int(i[4:]) > 3 else -label) for i, label in LABELS.items()}
    assert roc_auc_estimate(baseline_scores("size", values, LABELS, template())).value == 0.0


def test_a_word_counts_by_the_share_of_malignant_cases_that_have_it():
    words = {i: "old" if int(i[4:]) in (0, 4, 5) else "new" if int(i[4:]) < 9 else "" for i in LABELS}
    found = baseline_scores("scanner", words, LABELS, template(tested=range(4)))
    # Cases 4 to 11: half malignant. old: cases 4, 5; new: 6, 7, 8.
    assert found.score.tolist() == pytest.approx([(1 + 0.5) / 3, (1 + 0.5) / 4, (1 + 0.5) / 4, (1 + 0.5) / 4])


def test_an_unseen_word_is_worth_the_share_of_all():
    words = {i: f"site {int(i[4:])}" for i in LABELS}
    assert baseline_scores("site", words, LABELS, template()).score.tolist() == [0.5] * 4


def test_an_empty_cell_is_the_middle_of_the_numbers():
    ages = {i: "" if i == "case0" else str(int(i[4:])) for i in LABELS}
    assert abs(baseline_scores("age", ages, LABELS, template()).score[0]) == np.median(range(1, 12))


def test_each_fold_learns_for_itself():
    two = make_scores([0, 1, 0, 1], [0.0] * 4, fold=[0, 0, 1, 1], case=[f"case{n}" for n in range(4)])
    values = {i: str(label * (1 if int(i[4:]) % 4 > 1 else -1)) for i, label in LABELS.items()}
    found = baseline_scores("x", values, LABELS, two)
    assert found.fold.tolist() == [0, 0, 1, 1]
    assert np.isfinite(found.score).all()


@pytest.mark.parametrize(
    ("entries", "told"),
    [
        ({"case0": "1", "case1": "2"}, "2 scored cases are not in the table"),
        (dict.fromkeys(LABELS, "7"), "the same of"),
    ],
)
def test_a_column_that_cannot_serve_is_named(entries, told):
    with pytest.raises(InputError, match=told):
        baseline_scores("age", entries, LABELS, template())
