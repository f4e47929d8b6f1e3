"""The three functions on plain arrays, as a user meets them."""

import doctest
import subprocess
import sys

import numpy as np
import pytest

import rarelesion
from rarelesion import auc, compare_aucs, operating_point, plain
from rarelesion.compare import compare_roc_auc
from rarelesion.errors import InputError
from rarelesion.intervals import pr_auc_estimate, roc_auc_estimate
from rarelesion.predictive import operating_point_of
from rarelesion.thresholds import choose_threshold
from score_rows import make_scores, separable


def test_the_examples_run():
    assert doctest.testmod(plain).failed == 0


def test_plain_arrays_give_what_tables_of_scores_give():
    label, score = separable(60, 20, seed=1)
    fold, patient = np.arange(80) % 4, [f"p{number // 2}" for number in range(80)]
    rows = make_scores(label, score, fold=fold, patient=patient)
    assert auc(label, score, folds=fold, patients=patient) == roc_auc_estimate(rows)
    assert auc(label.tolist(), score.tolist(), folds=list("abcd") * 20, patients=patient) == roc_auc_estimate(rows)
    assert auc(label, score, curve="pr", seed=3) == pr_auc_estimate(make_scores(label, score), seed=3)
    other = separable(60, 20, seed=2)[1]
    found, expected = (
        compare_aucs(label, score, other),
        compare_roc_auc(*(make_scores(label, s) for s in (score, other))),
    )
    assert (found.difference, found.low, found.p) == (expected.difference, expected.low, expected.p)


def test_repeats_need_to_know_the_cases():
    label, score = separable(20, 10)
    twice = {"repeats": np.repeat([0, 1], 30), "cases": np.tile(np.arange(30), 2)}
    area = auc(np.tile(label, 2), np.tile(score, 2), **twice)
    once = auc(label, score)
    assert (area.value, area.low) == pytest.approx((once.value, once.low), abs=0.01)
    with pytest.raises(InputError, match="cases: needed with repeats"):
        auc(np.tile(label, 2), np.tile(score, 2), repeats=twice["repeats"])


def test_every_problem_is_told_at_once():
    with pytest.raises(InputError) as told:
        auc([0, 1], [1, 2], patients=["a"], folds=[0, 0, 1])
    assert "patients" in str(told.value)
    assert "folds" in str(told.value)
    with pytest.raises(InputError, match="only one class"):
        compare_aucs([1, 1], [1, 2], [2, 3])
    with pytest.raises(InputError, match="not a finite number"):
        auc([0, 1], [float("nan"), 2])


def test_the_threshold_comes_from_elsewhere():
    label, score = separable(40, 20, seed=5)
    other = separable(40, 20, seed=6)
    by_rule = operating_point(label, score, tune=other, rule="sensitivity>=0.9", prevalence=0.05)
    given = operating_point(label, score, threshold=choose_threshold(*other, "sensitivity>=0.9"), prevalence=0.05)
    assert by_rule == given == operating_point_of(label, score, given.threshold, prevalence=0.05)
    for choice in ({}, {"threshold": 1.0, "tune": other}):
        with pytest.raises(InputError, match="where does the threshold come from"):
            operating_point(label, score, **choice)


def test_the_names_are_there_without_torch_and_matplotlib():
    code = (
        "import sys; from rarelesion import auc, compare_aucs, operating_point\n"
        "print(auc([0, 1, 0, 1], [1, 2, 3, 4]).value)\n"
        "assert not {'torch', 'matplotlib', 'pandas'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("0.75\n", "")


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'aucs'"):
        _ = rarelesion.aucs
