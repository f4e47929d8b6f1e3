import doctest
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit
from scipy.stats import binom, norm

from rarelesion import predictive
from rarelesion.errors import InputError
from rarelesion.operating import operating_point
from rarelesion.predictive import operating_point_of
from rarelesion.proportions import SHARE_INTERVALS, clopper_pearson_interval, proportion_interval
from score_rows import make_scores
from test_metrics import labelled_scores, read

RATIOS = ("positive_likelihood_ratio", "negative_likelihood_ratio")
CELLS = ("tp", "fn", "fp", "tn")


def from_table(tp, fn, fp, tn, **choices):
    labels, scores = np.repeat([1, 1, 0, 0], [tp, fn, fp, tn]), np.repeat([1.0, 0.0, 1.0, 0.0], [tp, fn, fp, tn])
    return operating_point_of(labels, scores, 0.5, **choices)


def estimates(point):
    """Six shares, then the two ratios."""
    values = [item for at in (point.in_sample, point.at_prevalence) for item in (at.ppv, at.npv)]
    return [point.sensitivity, point.specificity, *values, *(getattr(point, name) for name in RATIOS)]


def test_examples_run():
    assert doctest.testmod(predictive).failed == 0


@pytest.mark.parametrize("row", read("operating_tables.csv"), ids=lambda row: f"{row['tp']}-{row['statistic']}")
def test_shares_and_likelihood_ratios_agree_with_epir(row):
    interval = {"wilson": "wilson", "exact": "clopper-pearson"}[row["method"]]
    point = from_table(*(int(row[cell]) for cell in CELLS), interval=interval)
    found = getattr(point.in_sample if row["statistic"] in ("ppv", "npv") else point, row["statistic"])
    wanted = [float(row[name]) for name in ("value", "low", "high")]
    assert [found.value, found.low, found.high] == pytest.approx(wanted, rel=1e-9)


@pytest.mark.parametrize(
    "row", read("operating_predictive.csv"), ids=lambda row: f"{row['tp']}-{row['prevalence'][:4]}"
)
def test_predictive_values_at_a_stated_prevalence_agree_with_r(row):
    point = from_table(*(int(row[cell]) for cell in CELLS), prevalence=float(row["prevalence"]))
    for name in ("ppv", "npv"):
        found = getattr(point.at_prevalence, name)
        wanted = [float(row[name + end]) for end in ("", "_low", "_high")]
        assert [found.value, found.low, found.high] == pytest.approx(wanted, rel=1e-9)
    assert point.at_prevalence.prevalence == float(row["prevalence"])


def test_counts_and_method_are_told():
    point = from_table(9, 3, 4, 30)
    assert (point.true_positives, point.false_negatives, point.false_positives, point.true_negatives) == (9, 3, 4, 30)
    assert (point.threshold, point.in_sample.prevalence, point.at_prevalence) == (0.5, 12 / 46, None)
    assert point.sensitivity.method == "Wilson on 12 cases"
    assert from_table(9, 3, 4, 30, interval="clopper-pearson").specificity.method == "Clopper-Pearson on 34 cases"


def test_no_false_alarm_gives_a_finite_ratio_and_half_a_case_of_width():
    point = from_table(9, 3, 0, 34, prevalence=0.1)
    ratio, ppv = point.positive_likelihood_ratio, point.at_prevalence.ppv
    value, half = (9.5 / 13) / (0.5 / 35), norm.ppf(0.975) * math.sqrt(1 / 9.5 - 1 / 13 + 2 - 1 / 35)
    assert (ratio.value, ratio.low, ratio.high) == pytest.approx(
        (value, value * math.exp(-half), value * math.exp(half))
    )
    assert ratio.method == "Simel's log method, half a case added to each cell as one is empty"
    assert (ppv.value, ppv.high) == (1, 1)
    assert ppv.low == pytest.approx(expit(logit(0.1) + math.log(ratio.low)))
    assert (point.in_sample.ppv.low, point.in_sample.ppv.high) == pytest.approx(proportion_interval(9, 9))


def test_no_missed_malignancy_keeps_the_observed_ratio_of_0():
    point = from_table(12, 0, 4, 30, prevalence=0.1)
    ratio, npv = point.negative_likelihood_ratio, point.at_prevalence.npv
    half = norm.ppf(0.975) * math.sqrt(2 - 1 / 13 + 1 / 30.5 - 1 / 35)
    assert (ratio.value, ratio.low) == (0, 0)
    assert ratio.high == pytest.approx((0.5 / 13) / (30.5 / 35) * math.exp(half))
    assert (npv.value, npv.high) == (1, 1)
    assert npv.low == pytest.approx(expit(logit(0.9) - math.log(ratio.high)))


def test_calling_everyone_or_no_one_says_nothing_and_keeps_a_width():
    everyone, no_one = from_table(12, 0, 34, 0, prevalence=0.1), from_table(0, 12, 0, 34, prevalence=0.1)
    assert everyone.positive_likelihood_ratio.value == no_one.negative_likelihood_ratio.value == 1
    assert everyone.at_prevalence.ppv.value == pytest.approx(0.1)
    assert no_one.at_prevalence.npv.value == pytest.approx(0.9)
    for point, name in ((everyone, "npv"), (no_one, "ppv")):
        unknown = getattr(point.in_sample, name)
        assert unknown.high - unknown.low > 0.5
        assert "half a case" in unknown.method
    for point in (everyone, no_one):
        for estimate in estimates(point):
            assert estimate.low < estimate.high


def exact_coverage(n1, n0, share, other, added=None):
    """How often the interval of a ratio of shares holds the true one, over all tables of this size."""
    held = 0.0
    for hits in range(n1 + 1):
        for others in range(n0 + 1):
            found = predictive._ratio(hits / n1, n1, others / n0, n0, norm.ppf(0.975))
            centre, half = found.log, found.half
            if added and found.note:
                a, b = hits + added, others + added
                centre = math.log(a / (n1 + 2 * added)) - math.log(b / (n0 + 2 * added))
                half = norm.ppf(0.975) * math.sqrt(1 / a - 1 / (n1 + 2 * added) + 1 / b - 1 / (n0 + 2 * added))
            inside = abs(math.log(share / other) - centre) <= half
            held += inside * binom.pmf(hits, n1, share) * binom.pmf(others, n0, other)
    return held


def test_half_a_case_holds_the_truth_where_more_would_not():
    # sensitivity and 1 - specificity; the other rule is that of Mercaldo's adjusted interval, z^2 / 2 to each cell
    truths = [(0.7, 0.3), (0.9, 0.2), (0.95, 0.05), (0.8, 0.02), (0.99, 0.01)]
    halves = [exact_coverage(12, 34, *truth) for truth in truths]
    assert min(halves) > 0.94
    assert exact_coverage(12, 34, 0.99, 0.01, added=norm.ppf(0.975) ** 2 / 2) < 0.3
    assert min(exact_coverage(12, 34, 1 - a, 1 - b) for a, b in truths) > 0.88


@settings(max_examples=80, deadline=None)
@given(
    labelled_scores(),
    st.integers(-7, 7),
    st.sampled_from(list(SHARE_INTERVALS)),
    st.sampled_from([0.5, 0.95, 0.99]),
    st.floats(0.001, 0.999),
    st.data(),
)
def test_all_is_finite_in_range_and_has_a_width_whatever_the_order(drawn, cut, interval, confidence, prevalence, data):
    labels, scores = drawn
    ids = st.lists(st.integers(0, 12), min_size=labels.size, max_size=labels.size)
    patients = np.array(data.draw(st.none() | ids) or range(labels.size))
    choices = {"confidence": confidence, "interval": interval, "prevalence": prevalence}
    point = operating_point_of(labels, scores, cut, patients, **choices)
    for estimate, top in zip(estimates(point), [1.0] * 6 + [math.inf] * 2, strict=True):
        assert all(type(number) is float for number in (estimate.value, estimate.low, estimate.high))
        assert 0 <= estimate.low <= estimate.value <= estimate.high <= top
        assert math.isfinite(estimate.high)
        assert estimate.low < estimate.high
    order = np.random.default_rng(0).permutation(labels.size)
    shuffled = operating_point_of(labels[order], scores[order], cut, patients[order], **choices)
    for first, second in zip(estimates(point), estimates(shuffled), strict=True):
        assert (first.value, first.low, first.high) == pytest.approx((second.value, second.low, second.high))


def test_a_second_lesion_that_says_the_same_adds_nothing():
    labels, scores = [0, 0, 0, 0, 1, 1, 1], [1, 2, 5, 3, 4, 6, 2]
    once = operating_point_of(labels, scores, 3.5, prevalence=0.2)
    twice = operating_point_of(labels * 2, scores * 2, 3.5, list(range(7)) * 2, prevalence=0.2)
    for first, second in zip(estimates(once), estimates(twice), strict=True):
        assert (first.value, first.low, first.high) == pytest.approx((second.value, second.low, second.high))
    assert twice.sensitivity.method == "Wilson on 6 cases of 3 patients"
    assert twice.at_prevalence.ppv.method.endswith("lesions counted for what each patient's are worth")


def test_shares_are_those_of_the_operating_point_of_a_recipe():
    label, score, patient = [0, 0, 1, 1, 1, 0], [1, 4, 3, 5, 6, 2], ["a", "a", "b", "b", "c", "d"]
    recipe = operating_point(make_scores(label, score, patient=patient), "test")
    point = operating_point_of(label, score, recipe.threshold, patient)
    assert (point.sensitivity, point.specificity) == (recipe.sensitivity, recipe.specificity)


def test_exact_interval_is_the_one_asked_for():
    found = from_table(9, 3, 4, 30, interval="clopper-pearson").sensitivity
    assert (found.low, found.high) == clopper_pearson_interval(9, 12)


def test_broken_input_is_named_at_once():
    with pytest.raises(InputError) as caught:
        operating_point_of([0, 1], [0, 1], float("nan"), interval="wald", prevalence=5)
    message = str(caught.value)
    assert "threshold: not a number; found nan" in message
    assert "interval: unknown; found 'wald'; expected one of wilson, clopper-pearson" in message
    assert "prevalence: not a share; found 5" in message
    for prevalence in (0, 1, -0.1, float("nan")):
        with pytest.raises(InputError, match="prevalence: not a share"):
            operating_point_of([0, 1], [0, 1], 0.5, prevalence=prevalence)
    with pytest.raises(InputError, match="only one class"):
        operating_point_of([1, 1], [0, 1], 0.5)
    with pytest.raises(InputError, match="a score is not a finite number"):
        operating_point_of([0, 1], [0, float("inf")], 0.5)
    with pytest.raises(InputError, match="found 1 for 2 cases"):
        operating_point_of([0, 1], [0, 1], 0.5, patients=["a"])
    with pytest.raises(InputError, match="a number between 0 and 1"):
        operating_point_of([0, 1], [0, 1], 0.5, confidence=95)
