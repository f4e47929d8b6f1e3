"""Areas within subgroups: only pairs inside count, and a missing class is no number."""

import numpy as np
import pytest

from rarelesion.errors import InputError
from rarelesion.intervals import roc_auc_estimate
from rarelesion.subgroups import MOST_ENTRIES, NOT_GIVEN, subgroup_results
from score_rows import make_scores, separable


def test_each_entry_is_evaluated_as_if_it_were_all():
    label, score = separable(40, 20, seed=4)
    scores = make_scores(label, score)
    site = {case_id: "AB"[number % 2] for number, case_id in enumerate(scores.case_id.tolist())}
    found = subgroup_results([scores], "site", site)
    assert [(one.recipe, one.column, one.entry, one.n_benign, one.n_malignant) for one in found] == [
        ("made-up", "site", "A", 20, 10),
        ("made-up", "site", "B", 20, 10),
    ]
    expected = roc_auc_estimate(make_scores(label[::2], score[::2]))
    assert found[0].roc_auc is not None
    assert (found[0].roc_auc.value, found[0].roc_auc.low) == pytest.approx((expected.value, expected.low))


def test_one_class_has_a_count_and_no_area():
    scores = make_scores([0, 0, 1, 0], [1, 2, 3, 4])
    entries = {"case0": "", "case1": "", "case2": "b", "case3": "b"}
    found = subgroup_results([scores], "sex", entries)
    assert [(one.entry, one.n_malignant, one.roc_auc is None) for one in found] == [
        ("b", 1, False),
        (NOT_GIVEN, 0, True),
    ]


def test_a_column_with_too_many_entries_or_missing_cases_is_no_grouping():
    scores = make_scores([0, 1] * 10, np.arange(20))
    ages = {f"case{number}": str(number) for number in range(19)}
    with pytest.raises(InputError) as told:
        subgroup_results([scores], "age", ages)
    assert f"at most {MOST_ENTRIES}" in str(told.value)
    assert "case19" in str(told.value)
