from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rarelesion.errors import InputError
from rarelesion.settings import SplitSettings
from rarelesion.splits import make_splits
from rarelesion.types import Case, Cohort


def cohort(labels, patients=None, subtypes=None, splits=None):
    patients = patients or [f"p{i:03d}" for i in range(len(labels))]
    subtypes = subtypes or [""] * len(labels)
    splits = splits or [None] * len(labels)
    rows = zip(labels, patients, subtypes, splits, strict=True)
    cases = tuple(
        Case(f"c{i:03d}", patient, label, {}, {}, split, {"subtype": subtype} if subtype else {})
        for i, (label, patient, subtype, split) in enumerate(rows)
    )
    return Cohort(Path("cohort.csv"), cases, ())


def test_the_papers_cohort_is_split_60_20_20_in_both_classes():
    (split,) = make_splits(cohort([0] * 190 + [1] * 55), SplitSettings(folds=1), seed=0)
    counts = [Counter(int(case_id[1:]) >= 190 for case_id in part) for part in (split.train, split.tune, split.test)]
    assert counts == [{False: 114, True: 33}, {False: 38, True: 11}, {False: 38, True: 11}]


def test_five_folds_test_every_case_once():
    splits = make_splits(cohort([0] * 40 + [1] * 11), SplitSettings(folds=5, repeats=2), seed=3)
    for repeat in (0, 1):
        tested = [case for split in splits if split.repeat == repeat for case in split.test]
        assert sorted(tested) == [f"c{i:03d}" for i in range(51)]


def test_ten_folds_keep_a_fifth_for_tuning():
    splits = make_splits(cohort([0] * 80 + [1] * 20), SplitSettings(folds=10), seed=0)
    assert {(len(s.train), len(s.tune), len(s.test)) for s in splits} == {(70, 20, 10)}


def test_repeats_and_seeds_differ_and_the_same_seed_agrees():
    cases = cohort([0] * 40 + [1] * 10)
    first, second = make_splits(cases, SplitSettings(folds=1, repeats=2), seed=0)
    assert first.test != second.test
    assert make_splits(cases, SplitSettings(folds=1), seed=1)[0].test != first.test
    assert make_splits(cases, SplitSettings(folds=1), seed=0) == (first,)


def test_subtypes_are_spread_over_the_parts():
    subtypes = ["adenoma"] * 30 + ["cyst"] * 10 + ["carcinoma"] * 10
    splits = make_splits(cohort([0] * 40 + [1] * 10, subtypes=subtypes), SplitSettings(folds=5), seed=0)
    for split in splits:
        assert Counter(subtypes[int(c[1:])] for c in split.test) == {"adenoma": 6, "cyst": 2, "carcinoma": 2}


def test_a_split_column_is_obeyed():
    words = ["train", "tune", "test"] * 2
    (split,) = make_splits(cohort([0, 0, 0, 1, 1, 1], splits=words), SplitSettings(folds=5), seed=0)
    assert (split.train, split.tune, split.test) == (("c000", "c003"), ("c001", "c004"), ("c002", "c005"))


@pytest.mark.parametrize(("labels", "folds"), [([0] * 20 + [1] * 4, 5), ([0] * 20 + [1] * 2, 1)])
def test_too_few_malignant_cases_is_an_error_with_a_remedy(labels, folds):
    with pytest.raises(InputError, match=r"no malignant case is left.*Use fewer folds"):
        make_splits(cohort(labels), SplitSettings(folds=folds), seed=0)


def test_no_folds_is_an_error():
    with pytest.raises(InputError, match=r"\[split\] folds"):
        make_splits(cohort([0, 1]), SplitSettings(folds=0), seed=0)


@given(st.integers(0, 10**6), st.integers(1, 7), st.integers(8, 30))
def test_no_patient_is_ever_in_two_parts(seed, folds, n_malignant_patients):
    rng = np.random.default_rng(seed)
    labels, patients = [], []
    for patient in range(n_malignant_patients + 40):
        for _ in range(rng.integers(1, 4)):
            labels.append(int(patient < n_malignant_patients))
            patients.append(f"p{patient}")
    cases = cohort(labels, patients)
    patient_of = {case.case_id: case.patient_id for case in cases.cases}
    for split in make_splits(cases, SplitSettings(folds=folds), seed=seed):
        parts = [{patient_of[c] for c in part} for part in (split.train, split.tune, split.test)]
        assert not parts[0] & parts[1]
        assert not parts[0] & parts[2]
        assert not parts[1] & parts[2]
        assert len(split.train) + len(split.tune) + len(split.test) == len(labels)
