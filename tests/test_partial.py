import doctest

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta

from rarelesion import partial
from rarelesion.errors import InputError
from rarelesion.folds import auc_influence, patient_variance, usable_folds
from rarelesion.metrics import roc_auc
from rarelesion.partial import _influence, partial_auc, partial_auc_estimate
from rarelesion.proportions import proportion_interval
from score_rows import any_scores, make_scores, separable
from test_metrics import read, reference_cases

RANGES = st.tuples(st.integers(0, 9), st.integers(1, 10)).filter(lambda ends: ends[0] < ends[1])
FOCI = st.sampled_from(["specificity", "sensitivity"])


def standard_error(labels, scores, low, high, focus):
    malignant = labels == 1
    if focus == "sensitivity":
        malignant, scores = ~malignant, -scores
    return np.sqrt(np.sum(_influence(malignant, scores, low, high) ** 2))


def ids(row):
    return "-".join(row[key][:4] for key in ("dataset", "score", "focus", "low", "high"))


@pytest.mark.parametrize("row", read("partial.csv"), ids=ids)
def test_area_agrees_with_proc(row):
    cases, place = reference_cases(row["dataset"], row["score"]), (float(row["low"]), float(row["high"]), row["focus"])
    assert partial_auc(*cases, *place) == pytest.approx(float(row["area"]), abs=1e-9)
    index = partial_auc(*cases, *place, standardised=True)
    if row["standardised"] == "NA":
        assert index < 0.5 + 1e-9  # where pROC leaves McClish's index undefined
    else:
        assert index == pytest.approx(float(row["standardised"]), abs=1e-9)


@pytest.mark.parametrize("row", [r for r in read("partial.csv") if r["bootstrap_deviation"] != "NA"], ids=ids)
def test_standard_error_is_near_procs_bootstrap(row):
    cases = reference_cases(row["dataset"], row["score"])
    error = standard_error(*cases, float(row["low"]), float(row["high"]), row["focus"])
    assert error == pytest.approx(float(row["bootstrap_deviation"]), rel=0.2)  # two estimates from few cases


@pytest.mark.parametrize("focus", ["specificity", "sensitivity"])
def test_standard_error_is_the_spread_over_samples(focus):
    rng, label = np.random.default_rng(4), np.repeat([0, 1], [800, 400])
    samples = rng.normal(size=(400, 1200)) * np.where(label == 1, 1.6, 1.0) + 1.2 * label
    areas = [partial_auc(label, score, 0.7, 0.9, focus) for score in samples]
    variances = [standard_error(label, score, 0.7, 0.9, focus) ** 2 for score in samples]
    assert np.sqrt(np.mean(variances)) == pytest.approx(np.std(areas), rel=0.1)


def test_counted_by_hand():
    labels, scores = [0, 0, 0, 0, 1, 1], [1, 2, 3, 5, 4, 6]
    # sensitivity .5 up to 1 - specificity .25, then 1
    assert partial_auc(labels, scores, 0.75, 1.0) == pytest.approx(0.125)
    assert partial_auc(labels, scores, 0.5, 1.0) == pytest.approx(0.375)
    assert partial_auc(labels, scores, 0.6, 0.9) == pytest.approx(0.15 * 0.5 + 0.15)
    # specificity 1 up to sensitivity .5, then .75
    assert partial_auc(labels, scores, 0.5, 1.0, focus="sensitivity") == pytest.approx(0.375)
    assert partial_auc(labels, scores, 0.0, 0.5, focus="sensitivity") == pytest.approx(0.5)


def test_mcclish_is_a_half_by_chance_and_one_when_perfect():
    flat = [0, 1, 0, 1], [7, 7, 7, 7]
    assert partial_auc(*flat, 0.8, 1.0) == pytest.approx(0.02)
    assert partial_auc(*flat, 0.8, 1.0, standardised=True) == pytest.approx(0.5)
    perfect = [0, 0, 1, 1], [1, 2, 3, 4]
    assert partial_auc(*perfect, 0.3, 0.4, standardised=True) == pytest.approx(1.0)


@settings(max_examples=40, deadline=None)
@given(any_scores())
def test_over_the_whole_range_it_is_the_roc_auc_with_delongs_influence(scores):
    rows = make_scores(scores.label, scores.score)
    malignant = rows.label == 1
    for focus in ("specificity", "sensitivity"):
        assert partial_auc(rows.label, rows.score, 0, 1, focus) == pytest.approx(roc_auc(rows.label, rows.score))
    if min(malignant.sum(), (~malignant).sum()) > 1:
        influence = _influence(malignant, rows.score, 0, 1)
        for own in (malignant, ~malignant):
            influence[own] *= np.sqrt(own.sum() / (own.sum() - 1))
        expected = auc_influence(usable_folds(rows))[1]
        np.testing.assert_allclose(influence, expected, atol=1e-12)


@settings(max_examples=60, deadline=None)
@given(any_scores(), RANGES, FOCI, st.booleans())
def test_neighbouring_ranges_add_up_and_order_does_not_matter(scores, ends, focus, standardised):
    label, score = scores.label, scores.score
    low, high = ends[0] / 10, ends[1] / 10
    middle = (2 * low + high) / 3
    whole = partial_auc(label, score, low, high, focus)
    parts = partial_auc(label, score, low, middle, focus) + partial_auc(label, score, middle, high, focus)
    assert whole == pytest.approx(parts, abs=1e-12)
    order = np.random.default_rng(0).permutation(label.size)
    patients = scores.patient_id
    first = partial_auc_estimate(label, score, low, high, focus, standardised, patients)
    second = partial_auc_estimate(label[order], score[order], low, high, focus, standardised, patients[order])
    assert (first.value, first.low, first.high) == pytest.approx((second.value, second.low, second.high), abs=1e-9)


@settings(max_examples=100, deadline=None)
@given(any_scores(), RANGES, FOCI, st.booleans(), st.sampled_from([0.5, 0.95, 0.99]))
def test_interval_is_inside_the_range_holds_the_value_and_has_a_width(scores, ends, focus, standardised, confidence):
    low, high = ends[0] / 10, ends[1] / 10
    found = partial_auc_estimate(
        scores.label, scores.score, low, high, focus, standardised, scores.patient_id, confidence
    )
    least, most = (0.0, high - low) if not standardised else (0.5 - (2 - low - high) / (2 * (low + high)), 1.0)
    assert least - 1e-12 <= found.low <= found.value <= found.high <= most + 1e-12
    assert found.high - found.low > 1e-6
    assert all(type(number) is float for number in (found.value, found.low, found.high))


def test_lesions_of_a_patient_count_together():
    label, score = separable(30, 14, seed=3)
    patient = np.arange(44)
    once = partial_auc_estimate(label, score, 0.5, 0.9, patients=patient)
    twice = partial_auc_estimate(*(np.tile(each, 2) for each in (label, score)), 0.5, 0.9, patients=np.tile(patient, 2))
    alone = partial_auc_estimate(*(np.tile(each, 2) for each in (label, score)), 0.5, 0.9)
    assert (once.value, once.low, once.high) == pytest.approx((twice.value, twice.low, twice.high), abs=1e-9)
    assert alone.high - alone.low < 0.8 * (once.high - once.low)


def test_variance_counts_patients_with_lesions_of_both_kinds_once():
    label, score = separable(20, 20, seed=5)
    patient = np.tile(np.arange(20), 2)
    rows = make_scores(label, score, patient=patient.astype(str))
    _, influence = auc_influence(usable_folds(rows))
    variance = patient_variance(rows, influence)
    own = _influence(label == 1, score, 0, 1) * np.sqrt(20 / 19)
    assert np.sum(np.bincount(patient, weights=own) ** 2) == pytest.approx(variance, rel=1e-12)


def test_method_says_how_it_was_made():
    label, score = separable(40, 12, seed=1)
    found = partial_auc_estimate(label, score, 0.8, 1.0, standardised=True)
    assert found.method == (
        "specificity 0.8 to 1, McClish's index, DeLong over the range on the logit scale (t quantile), "
        "no narrower than Wilson on 12 patients"
    )


def test_perfect_ranking_is_binomial_on_what_the_range_holds():
    label, score = [0] * 10 + [1] * 6, np.arange(16)
    found = partial_auc_estimate(label, score, 0.5, 1.0)  # five benign patients in the range
    assert (found.low, found.high) == pytest.approx([0.5 * end for end in proportion_interval(5, 5)])
    assert found.method.endswith("Wilson on 5 patients, as the scores show no variance to build on in the range")
    found = partial_auc_estimate(label, score, 0.8, 1.0)
    assert (found.low, found.high) == pytest.approx((0.2 * beta.ppf(0.025, 2, 1), 0.2))
    assert ", Clopper and Pearson on 2 patients, as the scores show no variance" in found.method
    narrow = partial_auc_estimate(label, score, 0.99, 1.0)
    assert narrow.high - narrow.low > 0.007
    assert partial_auc_estimate([0, 0, 0, 1], [1, 2, 4, 3], 0.0, 1.0).method.endswith("in the range")


def test_what_is_wrong_is_said():
    good = [0, 1, 0, 1], [1, 2, 3, 4]
    with pytest.raises(InputError, match=r"specificity range: not a range; found 0\.9 to 0\.2") as caught:
        partial_auc(*good, 0.9, 0.2)
    assert len(caught.value.problems) == 1
    with pytest.raises(InputError, match="found nan to 1"):
        partial_auc(*good, float("nan"), 1.0)
    with pytest.raises(InputError, match="focus: unknown; found 'accuracy'"):
        partial_auc(*good, 0.2, 0.9, focus="accuracy")
    with pytest.raises(InputError, match="only one class"):
        partial_auc_estimate([0, 0], [1, 2], 0.2, 0.9)
    with pytest.raises(InputError, match="a score is not a finite number"):
        partial_auc_estimate([0, 1], [1, float("nan")], 0.2, 0.9)
    with pytest.raises(InputError, match="neither benign nor malignant"):
        partial_auc([0, 2], [1, 2], 0.2, 0.9)
    with pytest.raises(InputError, match="found 3 for 4 cases"):
        partial_auc_estimate(*good, 0.2, 0.9, patients=["a", "b", "c"])
    with pytest.raises(InputError, match="a number between 0 and 1"):
        partial_auc_estimate(*good, 0.2, 0.9, confidence=95)


def test_examples_in_docstrings():
    assert doctest.testmod(partial).failed == 0
