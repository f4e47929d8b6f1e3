import doctest

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rarelesion import conformal
from rarelesion.conformal import (
    conformal_coverage,
    conformal_folds,
    conformal_sets,
    fit_conformal,
    patients_needed,
)
from rarelesion.errors import InputError
from rarelesion.proportions import proportion_interval
from score_rows import make_scores, separable
from test_metrics import labelled_scores

ALPHAS = st.sampled_from([0.05, 0.1, 0.2, 0.25, 1 / 3, 0.5])


def test_examples_in_the_docstrings_hold():
    assert doctest.testmod(conformal).failed == 0


@pytest.mark.parametrize(
    ("alpha", "needed"), [(0.01, 99), (0.05, 19), (0.1, 9), (0.15, 6), (0.2, 4), (1 / 3, 2), (0.5, 1), (0.9, 1)]
)
def test_patients_needed_is_one_over_alpha_less_one(alpha, needed):
    assert patients_needed(alpha) == needed
    enough = fit_conformal([0] * 200 + [1] * needed, [0] * 200 + [5] * needed, alpha)
    assert conformal_sets(enough, [4]).malignant.tolist() == [False]
    assert enough.note == ""


def test_counted_by_hand():
    # 9 of each class at 0.2: a class is out where fewer than 2 of 10, the new case counted, are as unusual
    rule = fit_conformal([0] * 9 + [1] * 9, [1, 2, 3, 4, 5, 6, 7, 8, 9, 5, 6, 7, 8, 9, 10, 11, 12, 13], alpha=0.2)
    found = conformal_sets(rule, [4, 5, 5.5, 6, 8, 8.5, 9, 9.5])
    assert found.malignant.tolist() == [False, False, False, True, True, True, True, True]
    assert found.benign.tolist() == [True, True, True, True, True, False, False, False]
    assert found.answers.tolist() == ["benign"] * 3 + ["unsure"] * 2 + ["malignant"] * 3


def test_scores_unusual_for_both_classes_get_no_answer():
    rule = fit_conformal([0] * 9 + [1] * 9, [*range(9), *range(20, 29)], alpha=0.1)
    assert conformal_sets(rule, [-99, 8, 14, 20, 99]).answers.tolist() == [
        "benign", "benign", "none", "malignant", "malignant"
    ]  # fmt: skip


def test_ties_count_as_unusual_as_the_new_case():
    rule = fit_conformal([0] * 9 + [1] * 9, [1] * 9 + [1, 1, 2, 2, 2, 2, 2, 2, 2], alpha=0.25)
    assert conformal_sets(rule, [1]).malignant.tolist() == [True]
    assert conformal_sets(rule, [0.9]).malignant.tolist() == [False]


def test_too_few_cases_of_a_class_are_named_and_never_rule_it_out():
    label, score = [0] * 30 + [1] * 8, [*range(30), *range(40, 48)]
    rule = fit_conformal(label, score, alpha=0.1)
    assert rule.note == "8 malignant tuning patients, 9 needed at alpha 0.1: malignant is never ruled out"
    found = conformal_sets(rule, [-5, 3, 35], seed=1)
    assert found.answers.tolist() == ["unsure", "unsure", "malignant"]
    assert found.note == rule.note
    both = fit_conformal([0, 1], [1, 2], alpha=0.1)
    assert conformal_sets(both, [-9, 1.5, 9]).answers.tolist() == ["unsure"] * 3
    assert both.note.count("9 needed") == 2


def test_a_patient_counts_with_the_hardest_lesion():
    label, score = [0, 0, 0, 1, 1, 1, 1], [1, 4, 2, 9, 3, 7, 8]
    patients = ["a", "a", "b", "c", "c", "d", "a"]
    rule = fit_conformal(label, score, alpha=0.5, patients=patients)
    assert rule.benign.tolist() == [2, 4]
    assert rule.malignant.tolist() == [3, 7, 8]


def held_by_new_patients(seed, by_patient, alpha=0.2, trials=300, tuning=14):
    """How often all malignant lesions of a new patient keep malignant, those with one being the harder ones."""
    rng, held = np.random.default_rng(seed), []
    for _ in range(trials):
        lesions = rng.choice([1, 12], tuning + 1)
        patient = np.repeat(np.arange(tuning + 1), lesions)
        own = rng.normal(size=tuning + 1) - 1.5 * (lesions == 1)
        score = own[patient] + 0.3 * rng.normal(size=patient.size)
        new = patient == tuning
        benign = np.full(20, -9.0)
        label = np.repeat([0, 1], [20, (~new).sum()])
        ids = np.concatenate([np.arange(20) + 1000, patient[~new]]) if by_patient else None
        rule = fit_conformal(label, np.concatenate([benign, score[~new]]), alpha, ids)
        held.append(conformal_sets(rule, score[new]).malignant.all())
    return float(np.mean(held))


def test_patients_with_several_lesions_keep_the_promise_only_as_units():
    assert held_by_new_patients(0, by_patient=True) > 0.8 - 0.03
    assert held_by_new_patients(0, by_patient=False) < 0.8 - 0.05


def simulated_errors(alpha, benign, malignant, decimals, seed, trials=400):
    """The share of new cases of each class whose set leaves out the truth, and its standard error at most."""
    rng, missed = np.random.default_rng(seed), np.zeros((2, trials))
    label = np.repeat([0, 1], [benign + 1, malignant + 1])
    new = [benign, benign + malignant + 1]
    tune = np.delete(np.arange(label.size), new)
    for trial in range(trials):
        score = (rng.normal(size=label.size) + label).round(decimals)
        found = conformal_sets(fit_conformal(label[tune], score[tune], alpha), score[new])
        missed[:, trial] = not found.benign[0], not found.malignant[1]
    return missed.mean(axis=1), np.sqrt(alpha * (1 - alpha) / trials)


@pytest.mark.parametrize("decimals", [0, 6])
@pytest.mark.parametrize(("alpha", "benign", "malignant"), [(0.1, 30, 9), (0.2, 12, 4), (0.25, 60, 25), (0.05, 40, 5)])
def test_the_truth_is_left_out_at_most_as_often_as_promised(alpha, benign, malignant, decimals):
    missed, error = simulated_errors(alpha, benign, malignant, decimals, seed=benign)
    assert (missed <= alpha + 3 * error).all()
    if decimals and malignant >= patients_needed(alpha):
        # continuous scores: exactly floor(alpha (n + 1)) / (n + 1)
        exact = np.floor(alpha * (np.array([benign, malignant]) + 1) + 1e-9) / (np.array([benign, malignant]) + 1)
        assert np.abs(missed - exact).max() < 4 * error


def test_random_ties_are_right_on_average_and_less_often_unsure():
    rng, missed, unsure = np.random.default_rng(0), [], []
    for trial in range(600):
        label = np.repeat([0, 1], 26)
        score = (rng.normal(size=52) + 2 * label).round()
        rule = fit_conformal(np.delete(label, [0, 51]), np.delete(score, [0, 51]), 0.2)
        safe, drawn = conformal_sets(rule, score[[0, 51]]), conformal_sets(rule, score[[0, 51]], seed=trial)
        missed += [not drawn.benign[0], not drawn.malignant[1]]
        unsure.append([(sets.answers == "unsure").mean() for sets in (safe, drawn)])
    assert np.mean(missed) == pytest.approx(0.2, abs=0.04)
    assert np.mean(unsure, axis=0)[1] < np.mean(unsure, axis=0)[0]


def test_lesions_of_a_patient_share_their_random_draw():
    rule = fit_conformal([0] * 20 + [1] * 20, [0] * 20 + [1] * 20, 0.5)
    drawn = conformal_sets(rule, np.ones(60), seed=3, patients=np.repeat(np.arange(20), 3)).malignant.reshape(20, 3)
    assert (drawn == drawn[:, :1]).all()
    assert 0 < drawn.mean() < 1


@settings(max_examples=80, deadline=None)
@given(labelled_scores(), ALPHAS, st.integers(0, 99))
def test_sets_follow_from_counting_in_any_order(cases, alpha, seed):
    label, score = cases
    order = np.random.default_rng(seed).permutation(label.size)
    new = np.arange(-7, 7.5, 0.5)
    found = conformal_sets(fit_conformal(label, score, alpha), new)
    again = conformal_sets(fit_conformal(label[order], score[order], alpha), new)
    assert found.answers.tolist() == again.answers.tolist()
    for x, benign, malignant in zip(new, found.benign, found.malignant, strict=True):
        as_benign, as_malignant = (score[label == 0] >= x).sum() + 1, (score[label == 1] <= x).sum() + 1
        assert benign == (as_benign > alpha * ((label == 0).sum() + 1) + 1e-9)
        assert malignant == (as_malignant > alpha * ((label == 1).sum() + 1) + 1e-9)


@settings(max_examples=60, deadline=None)
@given(labelled_scores(), ALPHAS, st.integers(0, 99), st.integers(1, 20))
def test_random_sets_are_never_larger_and_coverage_is_honest(cases, alpha, seed, patients):
    label, score = cases
    rule = fit_conformal(label, score, alpha)
    safe, drawn = conformal_sets(rule, score), conformal_sets(rule, score, seed=seed)
    assert (drawn.benign <= safe.benign).all()
    assert (drawn.malignant <= safe.malignant).all()
    patient = np.random.default_rng(seed).integers(0, patients, label.size)
    coverage = conformal_coverage(label, drawn, patient)
    for estimate in (coverage.benign, coverage.malignant, coverage.unsure, coverage.none):
        assert 0 <= estimate.low <= estimate.value <= estimate.high <= 1
        assert estimate.high - estimate.low > 1e-6


def test_coverage_counted_by_hand():
    rule = fit_conformal([0] * 4 + [1] * 4, [1, 2, 3, 6, 5, 7, 8, 9], alpha=0.25)
    found = conformal_sets(rule, [2, 5.5, 8, 3, 8])
    assert found.answers.tolist() == ["benign", "unsure", "malignant", "benign", "malignant"]
    coverage = conformal_coverage([0, 0, 0, 1, 1], found)
    assert (coverage.benign.value, coverage.malignant.value) == (2 / 3, 1 / 2)
    assert (coverage.unsure.value, coverage.none.value) == (1 / 5, 0)
    assert (coverage.benign.low, coverage.benign.high) == pytest.approx(proportion_interval(2, 3))
    clustered = conformal_coverage([0, 0, 0, 1, 1], found, ["a", "a", "b", "c", "c"])
    assert clustered.benign.method == "Wilson on 3 cases of 2 patients"


def test_each_fold_has_its_own_rule_and_the_decisions_are_pooled():
    label, score = separable(90, 90, seed=2, gain=2)
    drawn = np.random.default_rng(0).permutation(180)
    label, score, fold = label[drawn], score[drawn], np.arange(180) % 3
    part = np.where(np.arange(180) < 120, "tune", "test")
    rows, found = conformal_folds(make_scores(label, score, fold=fold, part=part), 0.1)
    _, moved = conformal_folds(make_scores(label, score * 2.0**fold - 50 * fold, fold=fold, part=part), 0.1)
    assert rows.label.tolist() == label[part == "test"].tolist()
    assert found.answers.tolist() == moved.answers.tolist()
    tune, test = (fold == 1) & (part == "tune"), (fold == 1) & (part == "test")
    own = conformal_sets(fit_conformal(label[tune], score[tune], 0.1), score[test])
    assert found.answers[rows.fold == 1].tolist() == own.answers.tolist()
    assert conformal_coverage(rows.label, found, rows.patient_id).malignant.value > 0.75
    first, second = (
        conformal_folds(make_scores(label, score.round(), fold=fold, part=part), 0.1, s)[1] for s in (1, 1)
    )
    assert first.answers.tolist() == second.answers.tolist()


def test_folds_with_too_few_tuning_cases_are_named():
    label, part = np.array([0] * 10 + [1] * 2 + [0, 1]), ["tune"] * 12 + ["test"] * 2
    _, found = conformal_folds(make_scores(label, range(14), part=np.array(part)), 0.1)
    assert found.note == (
        "made-up, repeat 0, fold 0: 2 malignant tuning patients, 9 needed at alpha 0.1: malignant is never ruled out"
    )
    assert found.malignant.tolist() == [True, True]
    _, without = conformal_folds(make_scores([0, 1], [1, 2]), 0.1)
    assert without.answers.tolist() == ["unsure", "unsure"]


def test_broken_input_is_named():
    with pytest.raises(InputError, match="tuning cases: only one class; found 2 benign cases"):
        fit_conformal([0, 0], [1, 2])
    with pytest.raises(InputError, match="a score is not a finite number; found nan"):
        fit_conformal([0, 1], [1, float("nan")])
    with pytest.raises(InputError, match="neither benign nor malignant"):
        fit_conformal([0, 4], [1, 2])
    with pytest.raises(InputError, match="1 for 2 cases"):
        fit_conformal([0, 1], [1, 2], patients=["a"])
    for alpha in (0, 1, 5, float("nan")):
        with pytest.raises(InputError, match="alpha: not a share of wrong answers"):
            fit_conformal([0, 1], [1, 2], alpha)
    rule = fit_conformal([0, 1], [1, 2])
    with pytest.raises(InputError, match="new scores: a score is not a finite number"):
        conformal_sets(rule, [float("inf")])
    with pytest.raises(InputError, match="labels and scores must come in pairs"):
        conformal_coverage([0, 1, 1], conformal_sets(rule, [1, 2]))
    with pytest.raises(InputError, match="label of case case1; found 7"):
        conformal_folds(make_scores([0, 7], [1, 2]))
