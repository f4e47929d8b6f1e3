import doctest

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit
from scipy.stats import norm

from rarelesion import decision
from rarelesion.calibration import calibrate_folds
from rarelesion.decision import decision_curve, net_benefit, standardised
from rarelesion.errors import InputError
from rarelesion.proportions import proportion_interval
from score_rows import make_scores, separable
from test_calibration import calibration_cases
from test_metrics import labelled_scores, read

DATASETS = sorted({row["dataset"] for row in read("decision.csv")})
TENTHS = st.integers(0, 10).map(lambda tenths: tenths / 10)


def test_examples_in_the_docstrings_hold():
    assert doctest.testmod(decision).failed == 0


@pytest.mark.parametrize("dataset", DATASETS)
def test_net_benefit_agrees_with_the_formula_in_r(dataset):
    label, _, probability, patient = calibration_cases(dataset)
    rows = [row for row in read("decision.csv") if row["dataset"] == dataset]
    thresholds = [float(row["threshold"]) for row in rows]
    curve = decision_curve(label, probability, patient, thresholds)
    assert curve.model.tolist() == pytest.approx([float(row["model"]) for row in rows], abs=1e-12)
    assert curve.treat_all.tolist() == pytest.approx([float(row["all"]) for row in rows], abs=1e-12)
    rare = net_benefit(label, probability, thresholds, prevalence=0.05)
    assert rare.tolist() == pytest.approx([float(row["rare"]) for row in rows], abs=1e-12)


def test_counted_by_hand():
    # 10 cases, 4 malignant; at 0.25 a false alarm counts a third: 3/10 - 2/10/3
    label = [1, 1, 1, 1, 0, 0, 0, 0, 0, 0]
    probability = [0.9, 0.6, 0.25, 0.1, 0.7, 0.3, 0.2, 0.2, 0.1, 0.0]
    curve = decision_curve(label, probability, thresholds=[0.25])
    assert curve.model.tolist() == pytest.approx([3 / 10 - 2 / 30])
    assert curve.treat_all.tolist() == pytest.approx([4 / 10 - 6 / 30])
    assert curve.treat_none.tolist() == [0]
    assert curve.prevalence == 0.4
    shares = standardised(curve)
    assert shares.model.tolist() == pytest.approx([(3 / 10 - 2 / 30) / 0.4])
    assert shares.method.endswith("; divided by the prevalence")
    assert (shares.high - shares.low).tolist() == pytest.approx(((curve.high - curve.low) / 0.4).tolist())


def test_the_interval_combines_those_of_sensitivity_and_specificity():
    label, probability = np.repeat([1, 0], [4, 6]), np.repeat([0.9, 0.1, 0.9, 0.1], [3, 1, 2, 4])
    curve = decision_curve(label, probability, thresholds=[0.5], prevalence=0.3)
    (low, high), (quiet, loud) = proportion_interval(3, 4), proportion_interval(2, 6)
    down = np.hypot(0.3 * (0.75 - low), 0.7 * (loud - 1 / 3))
    up = np.hypot(0.3 * (high - 0.75), 0.7 * (1 / 3 - quiet))
    assert (curve.low[0], curve.high[0]) == pytest.approx((curve.model[0] - down, curve.model[0] + up))
    assert curve.method == "Wilson of sensitivity and specificity, combined"


def test_treating_all_is_a_model_that_calls_every_case():
    label, probability = separable(30, 10)[0], np.ones(40)
    curve = decision_curve(label, probability)
    assert curve.model == pytest.approx(curve.treat_all)
    assert curve.thresholds.size == 99
    assert decision_curve(label, np.zeros(40)).model.tolist() == [0] * 99


def test_pooling_is_not_averaging_the_curves_of_folds():
    """Folds of different size: the mean of their curves gives a case of a small fold a larger say."""
    label = np.array([1, 0, 0, 0, 0, 0, 1, 0])
    probability = np.array([0.2, 0.6, 0.1, 0.1, 0.1, 0.1, 0.9, 0.1])
    fold = np.array([0, 0, 0, 0, 0, 0, 1, 1])
    pooled = net_benefit(label, probability, [0.5])[0]
    mean = np.mean([net_benefit(label[fold == k], probability[fold == k], [0.5])[0] for k in (0, 1)])
    assert pooled == pytest.approx(1 / 8 - 1 / 8)
    assert mean == pytest.approx((-1 / 6 + 1 / 2) / 2)


def test_folds_of_one_test_class_have_a_place_in_the_pool_but_no_curve():
    label, score = separable(60, 60, seed=1, gain=2)
    drawn = np.random.default_rng(0).permutation(120)
    label, score = label[drawn], score[drawn]
    fold, part = np.arange(120) % 4, np.where(np.arange(120) < 80, "tune", "test")
    fold[80:] = label[80:] + 2 * (np.arange(40) % 2)
    found = calibrate_folds(make_scores(label, score + 9 * fold, fold=fold, part=part))
    assert {np.unique(found.label[found.fold == k]).size for k in range(4)} == {1}
    pooled = decision_curve(found.label, found.score, found.patient_id, [0.3])
    assert pooled.model[0] > max(0, pooled.treat_all[0])
    one = found.fold == 0
    with pytest.raises(InputError, match="only one class"):
        decision_curve(found.label[one], found.score[one], thresholds=[0.3])


def test_intervals_hold_what_they_promise_where_percentiles_alone_do_not():
    """5 malignant of 55, at a threshold that finds nearly all of them: the draws hardly vary."""
    gain, threshold, prevalence, label = 1.5, 0.05, 5 / 55, np.repeat([0, 1], [50, 5])
    price = (1 - prevalence) * threshold / (1 - threshold)
    cut = (logit(threshold) - logit(prevalence) + gain**2 / 2) / gain
    truth = norm.sf(cut - gain) * prevalence - norm.sf(cut) * price
    held, rng = {"wilson": 0, "bootstrap": 0, "percentiles alone": 0}, np.random.default_rng(3)
    for _ in range(300):
        probability = expit(logit(prevalence) + gain * (rng.normal(size=55) + gain * label) - gain**2 / 2)
        for interval in ("wilson", "bootstrap"):
            curve = decision_curve(label, probability, None, [threshold], interval=interval, resamples=200)
            held[interval] += bool(curve.low[0] <= truth <= curve.high[0])
        shares = [(probability[label == k] >= threshold).mean() for k in (1, 0)]
        found, alarms = rng.binomial(5, shares[0], 400) / 5, rng.binomial(50, shares[1], 400) / 50
        low, high = np.quantile(found * prevalence - alarms * price, [0.025, 0.975])
        held["percentiles alone"] += bool(low <= truth <= high)
    assert held["wilson"] / 300 > 0.93
    assert held["bootstrap"] / 300 > 0.93
    assert held["percentiles alone"] / 300 < 0.6


def test_bootstrap_against_one_written_out():
    label, score = separable(60, 30, seed=5, gain=1.5)
    probability, rng, drawn = expit(score - 1), np.random.default_rng(0), []
    for _ in range(2000):
        rows = np.concatenate([rng.integers(0, 60, 60), rng.integers(60, 90, 30)])
        drawn.append(net_benefit(label[rows], probability[rows], [0.4])[0])
    curve = decision_curve(label, probability, None, [0.4], interval="bootstrap")
    assert (curve.low[0], curve.high[0]) == pytest.approx(np.quantile(drawn, [0.025, 0.975]), abs=0.01)
    assert curve.method.startswith("percentiles of 2000 draws of patients; at 0 of 1 thresholds")
    wilson = decision_curve(label, probability, None, [0.4])
    assert (wilson.low[0], wilson.high[0]) == pytest.approx((curve.low[0], curve.high[0]), abs=0.02)


def test_the_seed_decides_the_draws():
    label, score = separable(30, 12, seed=6)
    curves = [decision_curve(label, expit(score), interval="bootstrap", resamples=50, seed=seed) for seed in (1, 1, 2)]
    assert curves[0].low.tolist() == curves[1].low.tolist() != curves[2].low.tolist()


def test_copies_of_a_lesion_in_one_patient_add_no_certainty():
    label, score = separable(30, 10, seed=3)
    patient = np.arange(40)
    for interval in ("wilson", "bootstrap"):
        once = decision_curve(label, expit(score), patient, interval=interval, resamples=100)
        doubled = (np.tile(values, 2) for values in (label, expit(score), patient))
        twice = decision_curve(*doubled, interval=interval, resamples=100)
        assert once.low == pytest.approx(twice.low)
        assert once.high == pytest.approx(twice.high)


@settings(max_examples=60, deadline=None)
@given(
    labelled_scores(TENTHS),
    st.integers(1, 20),
    st.integers(0, 99),
    st.sampled_from(["wilson", "bootstrap"]),
    st.sampled_from([None, 0.01, 0.5]),
)
def test_intervals_hold_the_curve_and_have_a_width_in_any_order(cases, patients, seed, interval, prevalence):
    label, probability = cases
    rng = np.random.default_rng(seed)
    patient, order = rng.integers(0, patients, label.size), rng.permutation(label.size)
    thresholds = [0.01, 0.1, 0.5, 0.9]
    curve = decision_curve(label, probability, patient, thresholds, prevalence, 0.9, interval, resamples=40)
    assert (curve.low <= curve.model).all()
    assert (curve.model <= curve.high).all()
    assert (curve.high - curve.low > 1e-9).all()
    assert (curve.high <= curve.prevalence + 1e-12).all()
    assert (curve.low >= curve.treat_all - curve.prevalence - 1e-12).all()
    mixed = decision_curve(label[order], probability[order], patient[order], thresholds, prevalence, 0.9)
    assert mixed.model == pytest.approx(curve.model)
    if interval == "wilson":
        assert mixed.low == pytest.approx(curve.low)


@pytest.mark.parametrize("judge", [lambda y, p, t: net_benefit(y, p, t), lambda y, p, t: decision_curve(y, p, None, t)])
def test_broken_input_is_named(judge):
    with pytest.raises(InputError, match="only one class"):
        judge([1, 1], [0.1, 0.2], [0.5])
    with pytest.raises(InputError, match=r"not a probability; found 2\.0"):
        judge([1, 0], [0.1, 2], [0.5])
    with pytest.raises(InputError, match="a score is not a finite number"):
        judge([1, 0], [0.1, float("nan")], [0.5])
    for thresholds, found in (([0.5, 1.0], "1.0"), ([0.0], "0.0"), ([float("nan")], "nan"), ([], "none")):
        with pytest.raises(InputError, match=f"not a threshold probability; found {found}"):
            judge([1, 0], [0.1, 0.2], thresholds)


def test_prevalence_and_thresholds_are_both_named():
    with pytest.raises(InputError, match=r"(?s)prevalence: not a share; found 30.*thresholds: not a threshold"):
        decision_curve([0, 1], [0.1, 0.2], None, [2], prevalence=30)
