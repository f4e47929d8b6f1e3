import doctest

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import logit
from sklearn.isotonic import IsotonicRegression

from rarelesion import calibration
from rarelesion.calibration import (
    Isotonic,
    at_prevalence,
    calibrate_folds,
    fit_isotonic,
    fit_platt,
    fit_venn_abers,
    one_case_each,
    rising_shares,
)
from rarelesion.errors import InputError
from score_rows import make_scores, separable
from test_metrics import labelled_scores, read

FITS = (fit_platt, fit_venn_abers)
DATASETS = sorted({row["dataset"] for row in read("calibration_cases.csv")})


def calibration_cases(dataset):
    """Labels, scores, probabilities and patients of a reference data set."""
    rows = [row for row in read("calibration_cases.csv") if row["dataset"] == dataset]
    label, patient = (np.array([int(row[name]) for row in rows]) for name in ("label", "patient"))
    score, probability = (np.array([float(row[name]) for row in rows]) for name in ("score", "probability"))
    return label, score, probability, patient


def many(n=2000, seed=0):
    return separable(n * 3 // 4, n // 4, seed, gain=1.5)


def test_examples_in_the_docstrings_hold():
    assert doctest.testmod(calibration).failed == 0


@pytest.mark.parametrize("row", read("calibration.csv"), ids=lambda row: row["dataset"])
def test_platt_agrees_with_glm(row):
    label, score, *_ = calibration_cases(row["dataset"])
    expected = [float(row["platt_at_0"]), float(row["platt_at_1"])]
    assert fit_platt(label, score)([0, 1]).tolist() == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("dataset", DATASETS)
def test_isotonic_agrees_with_isoreg(dataset):
    label, score, *_ = calibration_cases(dataset)
    rows = [row for row in read("calibration_isotonic.csv") if row["dataset"] == dataset]
    found = rising_shares(label == 1, score)
    assert found.knots.tolist() == [float(row["score"]) for row in rows]
    assert found.values.tolist() == pytest.approx([float(row["share"]) for row in rows], abs=1e-12)


def test_platt_stays_finite_where_the_classes_are_separated():
    # two cases: (1 + 1) / (1 + 2) and 1 / (1 + 2) are met exactly
    assert fit_platt([0, 1], [-5, 5])([-5, 0, 5]).tolist() == pytest.approx([1 / 3, 1 / 2, 2 / 3])
    wide = fit_platt(*np.array([[0] * 50 + [1] * 50, range(100)]))
    assert 0 < wide(0)[0] < 0.02
    assert np.isfinite([wide.slope, wide.intercept]).all()


def test_platt_is_level_rather_than_turning_the_order_round():
    label, score = separable(60, 30, seed=2, gain=1.5)
    upside_down = fit_platt(label, -score)
    assert upside_down.slope == 0
    assert upside_down([-9, 9]).tolist() == pytest.approx([1 / 3, 1 / 3], abs=0.01)
    assert fit_platt([0, 0, 1], [7, 7, 7])([0, 7]).tolist() == pytest.approx([4 / 9, 4 / 9], abs=0.06)


def test_isotonic_between_the_tuning_scores_is_scikit_learns():
    label, score = many()
    score = score.round(1)
    new = np.linspace(-6, 8, 301)
    theirs = IsotonicRegression(out_of_bounds="clip").fit(score, label).predict(new)
    assert fit_isotonic(label, score)(new) == pytest.approx(theirs, abs=1e-12)


@pytest.mark.parametrize(("benign", "malignant"), [(34, 12), (950, 99), (99, 1500)])
def test_isotonic_refuses_few_cases(benign, malignant):
    found = f"found {benign + malignant} cases, {min(benign, malignant)} of the rarer class"
    with pytest.raises(InputError, match=f"too few for isotonic regression; {found}; expected at least 1000 and 100"):
        fit_isotonic(*separable(benign, malignant))


def test_isotonic_on_few_cases_is_worse_than_platt():
    """The reason of the rule: probabilities of nearly 0 and 1, which cost most when they are wrong."""
    new_label, new_score = many(4000, seed=99)
    losses = []
    for seed in range(10):
        label, score = separable(60, 20, seed, gain=1.5)
        for fit in (fit_platt(label, score), rising_shares(label == 1, score)):
            given_to_truth = np.where(new_label == 1, fit(new_score), 1 - fit(new_score))
            losses.append(-np.log(given_to_truth.clip(1e-6)).mean())
    platt, isotonic = np.reshape(losses, (10, 2)).T
    assert (platt < isotonic).all()


def refitted(label, score, new, counted_as):
    """Isotonic regression with the new case among the tuning cases: what Venn-Abers does, written out."""
    return rising_shares(np.append(label, counted_as) == 1, np.append(score, new).astype(float))(new)[0]


@settings(max_examples=60, deadline=None)
@given(labelled_scores())
def test_venn_abers_is_isotonic_regression_with_the_new_case_counted_twice(cases):
    label, score = cases
    new = np.arange(-7.0, 7.5, 0.5)
    low, high = fit_venn_abers(label, score).bounds(new)
    assert low.tolist() == pytest.approx([refitted(label, score, x, 0) for x in new], abs=1e-12)
    assert high.tolist() == pytest.approx([refitted(label, score, x, 1) for x in new], abs=1e-12)


def test_venn_abers_holds_the_share_of_malignant_cases_on_average():
    lows, highs, hits = [], [], []
    for seed in range(200):
        label, score = separable(24, 8, seed, gain=1.5)
        drawn = np.random.default_rng(seed).permutation(32)
        tune, new = drawn[:31], drawn[31:]
        if np.unique(label[tune]).size == 2:
            low, high = fit_venn_abers(label[tune], score[tune]).bounds(score[new])
            lows, highs, hits = [*lows, low[0]], [*highs, high[0]], [*hits, label[new][0]]
    assert np.mean(lows) - 0.03 < np.mean(hits) < np.mean(highs) + 0.03
    assert np.mean(highs) - np.mean(lows) > 0.03


@settings(max_examples=60, deadline=None)
@given(labelled_scores(st.floats(-1e6, 1e6)), st.integers(0, 99))
def test_probabilities_rise_stay_inside_0_and_1_and_ignore_the_order_of_the_cases(cases, seed):
    label, score = cases
    new = np.sort(np.concatenate([score, [-1e300, -7.3, 0, 7.3, 1e300]]))
    order = np.random.default_rng(seed).permutation(label.size)
    for fit in FITS:
        found = fit(label, score)(new)
        assert ((found > 0) & (found < 1)).all() or fit is fit_platt
        assert ((found >= 0) & (found <= 1)).all()
        assert (np.diff(found) >= -1e-12).all()
        assert found == pytest.approx(fit(label[order], score[order])(new), abs=1e-6)
    low, high = fit_venn_abers(label, score).bounds(new)
    merged = fit_venn_abers(label, score)(new)
    assert (low < high).all()
    assert ((low <= merged + 1e-12) & (merged <= high + 1e-12)).all()


def test_extreme_scores_neither_overflow_nor_divide_by_zero():
    for score in ([-1e308, 1e308, 0, 5], [0, 5e-324, 0, 5e-324], [1e-300, 2e-300, 3e-300, 4e-300]):
        found = fit_platt([0, 1, 0, 1], score)([*score, -1e308, 1e308])
        assert ((found >= 0) & (found <= 1)).all()


@pytest.mark.parametrize("fit", [*FITS, fit_isotonic])
def test_broken_input_is_named(fit):
    with pytest.raises(InputError, match="tuning cases: only one class; found 3 benign cases"):
        fit([0, 0, 0], [1, 2, 3])
    with pytest.raises(InputError, match="tuning cases: a score is not a finite number; found nan at position 1"):
        fit([0, 1, 1], [1, float("nan"), 2])
    with pytest.raises(InputError, match="neither benign nor malignant"):
        fit([0, 1, 2], [1, 2, 3])


@pytest.mark.parametrize("apply", [fit_platt([0, 1], [1, 2]), fit_venn_abers([0, 1], [1, 2]), Isotonic(*np.eye(2))])
def test_new_scores_must_be_finite(apply):
    with pytest.raises(InputError, match="new scores: a score is not a finite number; found inf at position 1"):
        apply([1, float("inf")])
    assert apply([]).shape == (0,)


def test_one_case_of_every_patient_is_drawn():
    patients = ["b", "a", "a", "c", "a", "b"]
    drawn = [one_case_each(patients, seed) for seed in range(300)]
    assert all(sorted(np.array(patients)[rows]) == ["a", "b", "c"] for rows in drawn)
    assert one_case_each(patients, 5).tolist() == one_case_each(patients, 5).tolist()
    share = np.mean([[row in rows for row in range(6)] for rows in drawn], axis=0)
    assert share.tolist() == pytest.approx([1 / 2, 1 / 3, 1 / 3, 1, 1 / 3, 1 / 2], abs=0.1)
    with pytest.raises(InputError, match="a case has no patient"):
        one_case_each(["a", ""])


@given(st.floats(0.01, 0.99), st.floats(0.01, 0.99), st.floats(0.01, 0.99))
def test_another_prevalence_moves_the_odds_by_the_ratio_of_prior_odds(probability, new, old):
    found = at_prevalence([0.0, probability, 1.0], new, old)
    assert found[[0, 2]].tolist() == [0, 1]
    assert logit(found[1]) == pytest.approx(logit(probability) + logit(new) - logit(old), abs=1e-9)


def test_prevalence_must_be_a_share():
    with pytest.raises(InputError, match=r"(?s)^prevalence: not a share; found 5.*\ntuning_prevalence.*\nprobab"):
        at_prevalence([1.5], 5, 0)


def folds_of(label, score, fold, part, patient=None):
    return make_scores(label, score, fold=np.array(fold), part=np.array(part), patient=patient)


def test_each_fold_is_calibrated_on_its_own_tuning_cases():
    label, score = separable(60, 60, seed=1)
    drawn = np.random.default_rng(0).permutation(120)
    label, score, fold = label[drawn], score[drawn], np.arange(120) % 3
    part = np.where(np.arange(120) < 60, "tune", "test")
    moved = score * 10.0**fold + 100 * fold
    found = calibrate_folds(folds_of(label, moved, fold, part))
    assert set(found.part) == {"test"}
    assert found.score == pytest.approx(calibrate_folds(folds_of(label, score, fold, part)).score, abs=1e-6)
    own = (fold == 2) & (part == "tune")
    expected = fit_platt(label[own], score[own])(score[(fold == 2) & (part == "test")])
    assert found.score[found.fold == 2] == pytest.approx(expected, abs=1e-6)


def test_folds_that_cannot_be_calibrated_are_all_named():
    label, part = [0, 1, 0, 0, 1, 1, 0, 1, 0], ["tune", "tune", "test"] * 3
    scores = folds_of(label, range(9), np.repeat([0, 1, 2], 3), part)
    assert calibrate_folds(scores).score.size == 3
    broken = folds_of([0, 1, 0, 0, 0, 1, 1, 1, 0], range(9), np.repeat([0, 1, 2], 3), part)
    with pytest.raises(
        InputError, match=r"(?s)fold 1: .*found 2 benign and 0 malignant tuning.*fold 2: .*found 0 benign"
    ):
        calibrate_folds(broken)


def test_leaks_broken_scores_and_missing_test_cases_are_named():
    label, score, part = [0, 1, 0, 1], [1, 2, 3, 4], ["tune", "tune", "test", "test"]
    with pytest.raises(InputError, match="made-up, repeat 0, fold 0: a patient both tunes and tests; found p1"):
        calibrate_folds(folds_of(label, score, [0] * 4, part, ["p0", "p1", "p1", "p2"]))
    with pytest.raises(InputError, match=r"(?s)score of case case1; found nan.*label of case case0; found 3"):
        calibrate_folds(folds_of([3, 1, 0, 1], [1, float("nan"), 3, 4], [0] * 4, part))
    with pytest.raises(InputError, match="no test cases"):
        calibrate_folds(folds_of(label, score, [0] * 4, ["tune"] * 4))
