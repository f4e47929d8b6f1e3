"""The permutation test against one written out, and against what it must not be fooled by."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rarelesion.chance import permutation_p
from rarelesion.errors import InputError
from rarelesion.metrics import roc_auc
from score_rows import any_scores, make_scores, separable


def test_close_to_all_labellings_counted():
    label, score = separable(7, 4, seed=3, gain=1.0)
    found = roc_auc(label, score)
    areas = [roc_auc(np.isin(np.arange(11), chosen).astype(int), score) for chosen in combinations(range(11), 4)]
    exact = np.mean(np.array(areas) >= found - 1e-12)
    assert permutation_p(make_scores(label, score), permutations=20_000) == pytest.approx(exact, abs=0.015)


def test_the_smallest_p_is_one_in_the_permutations_and_one_more():
    scores = make_scores([0] * 30 + [1] * 30, range(60))
    assert permutation_p(scores, permutations=99) == 1 / 100


def test_constant_scores_are_chance():
    assert permutation_p(make_scores([0, 0, 1, 1], [1, 1, 1, 1])) == 1.0


def test_labels_stay_in_their_fold():
    label, fold = [0, 1, 0, 0, 0, 1, 1, 1], [0, 0, 0, 0, 1, 1, 1, 1]
    scores = make_scores(label, [1, 2, 3, 4, 5, 6, 7, 8], fold=fold)
    p = permutation_p(scores, permutations=4000)
    # In each fold the one case of its kind stands at any of four places: areas 0, 1/3, 2/3, 1. Found: 1/3 and 1.
    pairs = [(a, b) for a in range(4) for b in range(4)]
    assert p == pytest.approx(np.mean([a + b >= 4 for a, b in pairs]), abs=0.03)


def test_lesions_of_a_patient_are_not_torn_apart():
    label = np.repeat([0, 1], [40, 40])
    patient = np.repeat([f"p{number}" for number in range(8)], 10)
    rng = np.random.default_rng(0)
    score = np.repeat(rng.normal(size=8), 10) + np.repeat([0.0, 0.7], 40)
    together = permutation_p(make_scores(label, score, patient=patient))
    apart = permutation_p(make_scores(label, score))
    assert together >= 1 / 70 - 0.01
    assert apart < together


def test_repeats_of_a_case_share_its_label():
    label, score = separable(20, 20, seed=1, gain=0.6)
    case = [f"c{number}" for number in range(40)]
    once = permutation_p(make_scores(label, score, case=case))
    twice = make_scores(
        np.tile(label, 2), np.tile(score, 2), repeat=np.repeat([0, 1], 40), case=case * 2, patient=case * 2
    )
    assert permutation_p(twice) == pytest.approx(once, abs=0.02)


@settings(max_examples=40, deadline=None)
@given(any_scores(), st.integers(0, 9))
def test_p_is_above_0_and_at_most_1_and_the_seed_decides(scores, seed):
    p = permutation_p(scores, permutations=50, seed=seed)
    assert 0 < p <= 1
    assert p == permutation_p(scores, permutations=50, seed=seed)


def test_one_class_is_an_error_that_says_so():
    with pytest.raises(InputError, match="no fold tests both classes"):
        permutation_p(make_scores([1, 1], [1, 2]))
