import doctest
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit
from scipy.stats import t as student

from rarelesion import prevalence
from rarelesion.errors import InputError
from rarelesion.intervals import pr_auc_estimate
from rarelesion.metrics import average_precision, pr_curve
from rarelesion.prevalence import average_precision_at_prevalence, pr_auc_at_prevalence, pr_curve_at_prevalence
from rarelesion.proportions import proportion_interval
from score_rows import make_scores, separable
from test_metrics import labelled_scores, read, reference_cases

PAGE = Path(__file__).parents[1] / "docs" / "concepts" / "operating-points.md"


def test_examples_run():
    assert doctest.testmod(prevalence).failed == 0


@pytest.mark.parametrize(
    "row", read("operating_precision.csv"), ids=lambda row: f"{row['dataset']}-{row['score']}-{row['prevalence'][:4]}"
)
def test_area_agrees_with_r(row):
    labels, scores = reference_cases(row["dataset"], row["score"])
    found = average_precision_at_prevalence(labels, scores, float(row["prevalence"]))
    assert found == pytest.approx(float(row["area"]), abs=1e-12)


def test_hand_counted_precision():
    curve = pr_curve_at_prevalence([0, 0, 0, 0, 1], [1, 2, 3, 5, 4], prevalence=0.5)
    assert curve.x.tolist() == [0, 1, 1, 1, 1]
    assert curve.y.tolist() == pytest.approx([0, 1 / 1.25, 1 / 1.5, 1 / 1.75, 1 / 2])
    assert curve.thresholds.tolist() == [5, 4, 3, 2, 1]


@given(labelled_scores())
def test_at_the_samples_own_prevalence_it_is_the_plain_curve(drawn):
    labels, scores = drawn
    own, plain = pr_curve_at_prevalence(labels, scores, labels.mean()), pr_curve(labels, scores)
    for name in ("x", "y", "thresholds"):
        assert getattr(own, name) == pytest.approx(getattr(plain, name))
    found = average_precision_at_prevalence(labels, scores, labels.mean())
    assert found == pytest.approx(average_precision(labels, scores))


@given(labelled_scores(), st.integers(1, 9), st.integers(1, 9))
def test_a_prevalence_is_a_number_of_copies(drawn, of_benign, of_malignant):
    labels, scores = drawn
    copies = np.where(labels == 1, of_malignant, of_benign)
    repeated = np.repeat(labels, copies), np.repeat(scores, copies)
    found = average_precision_at_prevalence(labels, scores, repeated[0].mean())
    assert found == pytest.approx(average_precision(*repeated))


@given(labelled_scores(), st.floats(0.01, 0.98))
def test_where_malignancy_is_commoner_the_area_is_larger(drawn, rarer):
    assert average_precision_at_prevalence(*drawn, rarer) <= average_precision_at_prevalence(*drawn, rarer + 0.01)


def test_interval_spans_both_bootstraps_written_out():
    labels, scores = separable(40, 15, seed=7)
    rng, plain, guarded = np.random.default_rng(0), [], []

    def guarded_area(labels, scores):
        hits, others = np.sort(scores[labels == 1])[::-1], scores[labels == 0]
        precision = []
        for hit in hits:
            alarmed = (0.5 + (others >= hit).sum()) / (others.size + 1)
            reached = 0.1 * (hits >= hit).mean()
            precision.append(reached / (reached + 0.9 * alarmed))
        return np.mean(precision)

    for _ in range(1500):
        drawn = np.concatenate([rng.integers(0, 40, 40), rng.integers(40, 55, 15)])
        plain.append(average_precision_at_prevalence(labels[drawn], scores[drawn], 0.1))
        guarded.append(guarded_area(labels[drawn], scores[drawn]))
    value, other = average_precision_at_prevalence(labels, scores, 0.1), guarded_area(labels, scores)
    ends = []
    for centre, areas in ((value, plain), (other, guarded)):
        half = student.ppf(0.975, 14) * np.std(areas) / (centre * (1 - centre))
        ends.append((expit(logit(centre) - half), expit(logit(centre) + half)))
    found = pr_auc_at_prevalence(labels, scores, 0.1)
    assert found.value == value
    assert (found.low, found.high) == pytest.approx((min(*ends)[0], max(end[1] for end in ends)), abs=0.02)


def test_value_is_the_plain_area_at_the_samples_prevalence():
    labels, scores = separable(150, 50, seed=2)
    found, plain = pr_auc_at_prevalence(labels, scores, 0.25), pr_auc_estimate(make_scores(labels, scores))
    assert found.value == pytest.approx(plain.value)
    assert found.high - found.low == pytest.approx(plain.high - plain.low, rel=0.3)


def test_perfect_ranking_where_malignancy_is_rare_promises_little():
    found = pr_auc_at_prevalence([0] * 34 + [1] * 12, range(46), prevalence=0.01)
    assert (found.value, found.high) == (1, 1)
    assert found.low < proportion_interval(12, 12)[0] / 2
    assert "34 benign are few for so low a prevalence, the value may well be too high" in found.method
    common = pr_auc_at_prevalence([0] * 34 + [1] * 12, range(46), prevalence=0.5)
    assert common.low <= proportion_interval(12, 12)[0]
    assert common.method == (
        "at a prevalence of 0.5, Wilson on 12 malignant patients, as the draws show no spread to build on, "
        "with and without half a benign case above all others"
    )


def test_a_class_of_one_patient_has_the_interval_of_one():
    found = pr_auc_at_prevalence([0] * 8 + [1], [*range(8), 5.5], prevalence=0.4, resamples=50)
    low, high = proportion_interval(found.value, 1)
    assert found.low <= low
    assert found.high >= high
    assert "Wilson on 1 malignant patients" in found.method


def test_simulated_intervals_hold_the_truth():
    rows = read("operating_rare.csv")
    assert min(float(row["holds"]) for row in rows) >= 0.94
    assert all(float(row["too_high"]) > 0.05 for row in rows if float(row["prevalence"]) == 0.01)
    quoted = next(row for row in rows if (row["prevalence"], row["benign"]) == ("0.010", "34"))
    page = " ".join(PAGE.read_text(encoding="utf-8").split())
    assert f"a true area of {quoted['truth']} was put too high by {quoted['too_high']} on average" in page


@settings(max_examples=60, deadline=None)
@given(labelled_scores(), st.floats(0.001, 0.999), st.sampled_from([0.5, 0.95, 0.99]), st.data())
def test_interval_is_inside_0_and_1_and_has_a_width_whatever_the_order(drawn, share, confidence, data):
    labels, scores = drawn
    ids = st.lists(st.integers(0, 12), min_size=labels.size, max_size=labels.size)
    patients = data.draw(st.none() | ids)
    found = pr_auc_at_prevalence(labels, scores, share, patients, confidence, resamples=30)
    assert 0 <= found.low <= found.value <= found.high <= 1
    assert found.low < found.high
    assert all(type(number) is float for number in (found.value, found.low, found.high))
    order = np.random.default_rng(0).permutation(labels.size)
    own = None if patients is None else np.array(patients)[order]
    again = pr_auc_at_prevalence(labels[order], scores[order], share, own, confidence, resamples=30)
    assert (again.value, again.low, again.high) == pytest.approx((found.value, found.low, found.high))


def test_the_seed_decides_the_bootstrap():
    labels, scores = separable(30, 12, seed=6)
    assert pr_auc_at_prevalence(labels, scores, 0.1, seed=1) == pr_auc_at_prevalence(labels, scores, 0.1, seed=1)
    assert pr_auc_at_prevalence(labels, scores, 0.1, seed=1) != pr_auc_at_prevalence(labels, scores, 0.1, seed=2)


@pytest.mark.parametrize("found", [pr_curve_at_prevalence, average_precision_at_prevalence, pr_auc_at_prevalence])
def test_broken_input_is_named(found):
    for share in (0, 1, 5, float("nan")):
        with pytest.raises(InputError, match="prevalence: not a share"):
            found([0, 1], [0, 1], share)
    with pytest.raises(InputError, match="only one class"):
        found([1, 1], [0, 1], 0.1)
    with pytest.raises(InputError, match="a score is not a finite number"):
        found([0, 1], [0, float("nan")], 0.1)
    with pytest.raises(InputError, match="neither benign nor malignant"):
        found([0, 3], [0, 1], 0.1)
