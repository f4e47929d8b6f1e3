"""`auto` on made-up scores: the one standard error rule, tuning cases alone, and a scale that all splits share."""

import doctest
from dataclasses import replace

import numpy as np
import pytest

from rarelesion import choosing, metrics
from rarelesion.choosing import CANDIDATES, auto_scores, check_candidates, choose, with_candidates
from rarelesion.contrasts import SCORERS
from rarelesion.errors import InputError
from rarelesion.folds import auc_influence, patient_variance, usable_folds
from rarelesion.recipes import parse_recipe
from rarelesion.types import Scores


def make_row(recipe, shift, n=60, folds=3, seed=0, scale=1.0):
    """Tuning and test cases of every fold, one in four malignant; the same cases whatever the recipe."""
    cases = np.random.default_rng(seed)
    own = np.random.default_rng([seed, sum(map(ord, recipe))])
    label = np.tile((np.arange(n) % 4 == 0).astype(int), 2 * folds)
    part = np.tile(np.repeat(["tune", "test"], n), folds)
    fold = np.repeat(np.arange(folds), 2 * n)
    score = cases.normal(size=label.size) + 0.3 * own.normal(size=label.size) + shift * label
    case = np.array([f"c{number:04d}" for number in range(label.size)])
    return Scores(recipe, np.zeros_like(fold), fold, part, case, case, label, scale * score)


def _reordered(row, order):
    return Scores(row.recipe, *(getattr(row, name)[order] for name in COLUMNS))


COLUMNS = ("repeat", "fold", "part", "case_id", "patient_id", "label", "score")


def test_the_example_runs():
    assert doctest.testmod(choosing).failed == 0


# --- the rule ------------------------------------------------------------------------------------------------------

LABEL = np.repeat([0, 1], [40, 20])
BEST = np.random.default_rng(0).normal(size=60) + 2 * LABEL


def test_a_first_that_is_hardly_worse_is_kept_and_a_clearly_worse_one_is_not():
    slightly = BEST + 0.2 * np.random.default_rng(1).normal(size=60)
    clearly = np.random.default_rng(2).normal(size=60)
    patient = np.arange(60)
    assert metrics.roc_auc(LABEL, slightly) < metrics.roc_auc(LABEL, BEST)
    assert choose(LABEL, np.stack([slightly, clearly, BEST]), patient)[0] == 0
    assert choose(LABEL, np.stack([clearly, slightly, BEST]), patient)[0] == 1
    assert choose(LABEL, np.stack([clearly, BEST, slightly]), patient)[0] == 1


def test_the_error_is_delongs_of_the_paired_difference_and_one_of_them_decides():
    """Around the border by the library's own error of a difference, with patients of several lesions."""
    rng = np.random.default_rng(3)
    patient = np.sort(rng.integers(0, 45, 60))
    patient[:40] += 100  # no patient has lesions of both classes
    row = Scores("x", *(np.zeros(60, dtype=int),) * 2, np.full(60, "test"), np.arange(60), patient, LABEL, BEST)
    chosen = []
    for noise in np.linspace(0.1, 1.5, 40):
        other = BEST + noise * rng.normal(size=60)
        (a, one), (b, two) = (auc_influence(usable_folds(replace(row, score=score))) for score in (other, BEST))
        behind, error = b - a, np.sqrt(patient_variance(row, one - two))
        index, areas = choose(LABEL, np.stack([other, BEST]), patient)
        np.testing.assert_allclose(areas, [a, b])
        if behind > 0:
            assert index == int(behind > error)
            chosen.append(index)
    assert set(chosen) == {0, 1}


def test_equal_candidates_mean_the_first():
    assert choose(LABEL, np.stack([BEST, BEST, BEST]), np.arange(60))[0] == 0


# --- nested --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def candidates():
    """The first is poor in fold 1, the second is as good as the third."""
    first, second, third = (make_row(name, shift) for name, shift in (("a", 1.6), ("b", 1.5), ("c", 1.7)))
    poor = first.score.copy()
    poor[first.fold == 1] = np.random.default_rng(9).normal(size=(first.fold == 1).sum())
    return [replace(first, score=poor), second, third]


@pytest.fixture(scope="module")
def chosen(candidates):
    return auto_scores(candidates, resamples=50)


def test_each_split_takes_what_is_best_there(chosen):
    scores, choices = chosen
    assert [choice.fold for choice in choices] == [0, 1, 2]
    assert choices[0].recipe == choices[2].recipe == "a"
    assert choices[1].recipe != "a"
    assert scores.recipe == "auto"


def test_neither_test_scores_nor_test_labels_change_a_choice_or_a_scale(candidates, chosen):
    rng = np.random.default_rng(5)
    test = candidates[0].part == "test"
    other = [replace(one, score=np.where(test, rng.normal(size=test.size), one.score)) for one in candidates]
    flipped = np.where(test, 1 - candidates[0].label, candidates[0].label)
    other = [replace(one, label=flipped) for one in other]
    _, choices = auto_scores(other, resamples=50)
    assert choices == chosen[1]


def test_another_folds_tuning_cases_change_no_choice(candidates, chosen):
    elsewhere = candidates[0].fold != 0
    rng = np.random.default_rng(6)
    other = [replace(one, score=np.where(elsewhere, rng.normal(size=elsewhere.size), one.score)) for one in candidates]
    assert auto_scores(other, resamples=50)[1][0] == chosen[1][0]


def test_the_scores_are_the_chosen_recipes_in_its_own_order(candidates, chosen):
    scores, choices = chosen
    by_name = {one.recipe: one for one in candidates}
    for choice in choices:
        own = by_name[choice.recipe]
        rows, theirs = scores.fold == choice.fold, own.fold == choice.fold
        by_case = dict(zip(own.case_id[theirs].tolist(), own.score[theirs].tolist(), strict=True))
        raw = np.array([by_case[case_id] for case_id in scores.case_id[rows].tolist()])
        np.testing.assert_allclose(scores.score[rows], choice.log_odds(raw))
        np.testing.assert_array_equal(np.argsort(scores.score[rows]), np.argsort(raw))
        for part in ("tune", "test"):
            own_part = (own.part == part) & theirs
            expected = metrics.roc_auc(own.label[own_part], own.score[own_part])
            found = (scores.part == part) & rows
            assert metrics.roc_auc(scores.label[found], scores.score[found]) == expected


def test_splits_of_different_units_share_a_scale():
    """The same cases in thousandths and in thousands come out as the same log-odds."""
    small, large = (auto_scores([make_row("a", 1.5, scale=scale)] * 2, resamples=5)[0] for scale in (1e-3, 1e3))
    np.testing.assert_allclose(small.score, large.score, rtol=1e-6)
    assert np.median(np.abs(small.score)) < 10


def test_a_recipe_that_ranks_the_tuning_cases_wrongly_keeps_its_order():
    wrong = [make_row("a", -1.0), make_row("b", -1.0)]
    scores, choices = auto_scores(wrong, resamples=5)
    own = next(one for one in wrong if one.recipe == choices[0].recipe)
    rows = scores.fold == 0
    np.testing.assert_array_equal(np.argsort(scores.score[rows]), np.argsort(own.score[own.fold == 0]))
    assert np.unique(scores.score[rows]).size == rows.sum()


def test_the_candidates_rows_may_come_in_any_order(candidates, chosen):
    order = np.random.default_rng(7).permutation(candidates[1].label.size)
    scores, choices = auto_scores([candidates[0], _reordered(candidates[1], order), candidates[2]], resamples=50)
    assert choices == chosen[1]
    np.testing.assert_array_equal(scores.score, chosen[0].score)


# --- stability and optimism ----------------------------------------------------------------------------------------


def test_a_clear_choice_is_stable_and_one_among_equals_is_not():
    clear = auto_scores([make_row("a", 0.0), make_row("b", 3.0)], resamples=60)[1]
    assert min(choice.often["b"] for choice in clear) > 0.95
    equal = [make_row(name, 1.0, n=32, seed=0) for name in "efghij"]
    unclear = auto_scores(equal, resamples=60)[1]
    assert np.mean([choice.often[choice.recipe] for choice in unclear]) < 0.9
    for choice in [*clear, *unclear]:
        assert sum(choice.often.values()) == pytest.approx(1)


def test_the_optimism_is_about_what_new_cases_show():
    """Of ten equal recipes on few cases; the truth from 40 cohorts."""
    told, found = [], []
    for seed in range(40):
        rows = [make_row(name, 1.0, n=40, folds=1, seed=seed) for name in "abcdefghij"]
        own = [np.random.default_rng([seed, number]).normal(size=80) for number in range(10)]
        rows = [replace(row, score=row.score + noise) for row, noise in zip(rows, own, strict=True)]
        scores, (choice,) = auto_scores(rows, seed=seed, resamples=40)
        test = scores.part == "test"
        told.append(choice.optimism)
        found.append(choice.areas[choice.recipe] - metrics.roc_auc(scores.label[test], scores.score[test]))
    assert np.mean(found) > 0.02
    assert np.mean(told) == pytest.approx(np.mean(found), abs=0.025)


def test_one_candidate_by_name_has_no_optimism_to_speak_of():
    choices = auto_scores([make_row("a", 1.0), make_row("b", -2.0)], resamples=200)[1]
    assert np.mean([choice.optimism for choice in choices]) == pytest.approx(0, abs=0.01)


def test_the_seed_changes_the_resamples_and_no_score(candidates, chosen):
    scores, choices = auto_scores(candidates, seed=1, resamples=50)
    np.testing.assert_array_equal(scores.score, chosen[0].score)
    assert [one.recipe for one in choices] == [one.recipe for one in chosen[1]]
    assert choices != chosen[1]


# --- misuse --------------------------------------------------------------------------------------------------------


def test_alone_it_chooses_among_a_list_of_three_networks():
    names = with_candidates(("auto",))
    assert names == ("auto", *CANDIDATES)
    assert CANDIDATES[0] == "mobilenet"
    networks = {parse_recipe(name, ("mobilenet",), SCORERS).network for name in CANDIDATES}
    assert networks == {"mobilenet", "mobilenet+texture", "mobilenet+texture+l2"}
    assert with_candidates(("auto", "tiny")) == ("auto", "tiny")


@pytest.mark.parametrize("names", [("auto",), ("auto", "tiny"), ("auto", "tiny", "reader:anna")])
def test_it_needs_two_to_choose_from(names):
    with pytest.raises(InputError, match="auto has nothing to choose from"):
        check_candidates(names)


@pytest.mark.parametrize("names", [("tiny",), ("auto", "tiny", "tiny+knn")])
def test_two_are_enough_and_without_auto_nothing_is_asked(names):
    check_candidates(names)


def test_recipes_of_other_cases_cannot_be_chosen_among():
    with pytest.raises(InputError, match="a and b differ in case_id"):
        auto_scores([make_row("a", 1.0), replace(make_row("b", 1.0), case_id=make_row("b", 1.0).case_id[::-1])])


def test_tuning_cases_of_one_class_and_broken_scores_are_errors():
    rows = [make_row("a", 1.0), make_row("b", 1.0)]
    benign = [replace(row, label=np.where((row.fold == 1) & (row.part == "tune"), 0, row.label)) for row in rows]
    with pytest.raises(InputError, match="tuning cases of one class"):
        auto_scores(benign)
    with pytest.raises(InputError, match="finite"):
        auto_scores([rows[0], replace(rows[1], score=np.full(rows[1].score.size, np.nan))])
