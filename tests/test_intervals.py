import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit
from scipy.stats import beta, norm, t

from rarelesion.errors import InputError
from rarelesion.folds import auc_influence, patient_variance, usable_folds
from rarelesion.intervals import pr_auc_estimate, roc_auc_estimate
from rarelesion.metrics import average_precision, roc_auc
from rarelesion.operating import operating_point
from rarelesion.proportions import proportion_interval
from score_rows import any_scores, make_scores, separable
from test_metrics import read, reference_cases

INTERVALS = ("logit", "delong", "bootstrap")


def assert_honest(estimate):
    assert 0 <= estimate.low <= estimate.value <= estimate.high <= 1
    assert estimate.high - estimate.low > 1e-6
    assert all(type(number) is float for number in (estimate.value, estimate.low, estimate.high))


@pytest.mark.parametrize("row", read("single.csv"), ids=lambda row: f"{row['dataset']}-{row['score']}")
def test_delong_agrees_with_proc(row):
    scores = make_scores(*reference_cases(row["dataset"], row["score"]))
    folds = usable_folds(scores)
    value, influence = auc_influence(folds)
    assert value == pytest.approx(float(row["auc"]), abs=1e-12)
    assert patient_variance(folds.rows, influence) == pytest.approx(float(row["variance"]), abs=1e-9)
    if float(row["variance"]) > 0:
        estimate = roc_auc_estimate(scores, interval="delong")
        assert (estimate.low, estimate.high) == pytest.approx((float(row["low"]), float(row["high"])), abs=1e-9)
        assert estimate.method == "plain DeLong, cut at 0 and 1"


def logit_delong(row, confidence):
    """DeLong on the logit scale with Satterthwaite's degrees of freedom, from pROC's area and variance."""
    label, score = reference_cases(row["dataset"], row["score"])
    auc, variance = float(row["auc"]), float(row["variance"])
    right = np.sign(score[label == 1][:, None] - score[label == 0]) / 2 + 0.5
    parts = [place.var(ddof=1) / place.size for place in (right.mean(1), right.mean(0))]
    assert sum(parts) == pytest.approx(variance, abs=1e-9)
    if min(parts) < 1e-20:
        return None
    freedom = variance**2 / sum(part**2 / (size - 1) for part, size in zip(parts, right.shape, strict=True))
    half = t.ppf(0.5 + confidence / 2, freedom) * np.sqrt(variance) / (auc * (1 - auc))
    return expit(logit(auc) - half), expit(logit(auc) + half)


def newcombe_excess(end, auc, m, n, confidence=0.95):
    """Zero at an end of Newcombe's method 5, below inside the interval."""
    pairs = (1 - end) / (2 - end) + end / (1 + end)
    variance = end * (1 - end) * (1 + ((m + n) / 2 - 1) * pairs) / (m * n)
    return (end - auc) ** 2 - norm.ppf(0.5 + confidence / 2) ** 2 * variance


@pytest.mark.parametrize("confidence", [0.9, 0.95])
@pytest.mark.parametrize("row", [r for r in read("single.csv") if float(r["variance"]) > 0], ids=lambda r: r["dataset"])
def test_each_end_is_the_farther_of_delongs_and_newcombes(row, confidence):
    label, score = reference_cases(row["dataset"], row["score"])
    auc, m, n = float(row["auc"]), label.sum(), (1 - label).sum()
    estimate, delongs = roc_auc_estimate(make_scores(label, score), confidence), logit_delong(row, confidence)
    if delongs is None:
        assert estimate.method.endswith("as the scores show no variance to build on")
        delongs = auc, auc
    else:
        assert estimate.method == (
            "DeLong on the logit scale (t quantile), no narrower than Newcombe's score interval (method 5)"
        )
    for side, end, delong in zip((-1, 1), (estimate.low, estimate.high), delongs, strict=True):
        excess = newcombe_excess(end, auc, m, n, confidence)
        if end == pytest.approx(delong, abs=1e-9):
            assert excess > -1e-9
        else:
            assert excess == pytest.approx(0, abs=1e-9)
            assert side * (end - delong) > 0


def test_few_malignant_cases_are_decided_by_delongs_t_and_smooth_scores_by_newcombe():
    reference = {(row["dataset"], row["score"]): row for row in read("single.csv")}
    few, smooth = reference["imbalanced", "a"], reference["saturated", "a"]
    estimate = roc_auc_estimate(make_scores(*reference_cases("imbalanced", "a")))
    assert (estimate.low, estimate.high) == pytest.approx(logit_delong(few, 0.95), abs=1e-9)
    estimate, (low, high) = (
        roc_auc_estimate(make_scores(*reference_cases("saturated", "a"))),
        logit_delong(smooth, 0.95),
    )
    assert estimate.low < low - 0.03
    assert estimate.high > high + 0.01


@pytest.mark.parametrize("interval", INTERVALS)
def test_a_class_of_one_patient_is_wilson_on_that_one(interval):
    label, score = [0] * 8 + [1], [*range(8), 5.5]
    estimate = roc_auc_estimate(make_scores(label, score), interval=interval)
    assert (estimate.low, estimate.high) == pytest.approx(proportion_interval(6 / 8, 1))
    assert estimate.method == "Wilson on the only malignant patient"
    turned = roc_auc_estimate(make_scores(1 - np.array(label), score), interval=interval)
    assert turned.method == "Wilson on the only benign patient"
    lesions = make_scores([0] * 8 + [1, 1], [*range(8), 5.5, 6.5], patient=[*"abcdefgh", "x", "x"])
    assert roc_auc_estimate(lesions, interval=interval).method == "Wilson on the only malignant patient"


def test_near_perfect_ranking_of_4_in_16_stays_below_1():
    label, score = [0] * 12 + [1] * 4, [*range(12), 10.5, 21, 22, 23]
    for interval in INTERVALS:
        assert_honest(roc_auc_estimate(make_scores(label, score), interval=interval))
    assert roc_auc_estimate(make_scores(label, score)).high < 1


@pytest.mark.parametrize("interval", INTERVALS)
def test_perfect_separation_keeps_a_width(interval):
    estimate = roc_auc_estimate(make_scores([0] * 12 + [1] * 4, range(16)), interval=interval)
    assert_honest(estimate)
    assert (estimate.value, estimate.high) == (1.0, 1.0)
    assert "Newcombe" in estimate.method


def test_perfect_separation_solves_newcombes_equation():
    low = roc_auc_estimate(make_scores([0] * 12 + [1] * 4, range(16))).low
    m, n = 4, 12
    inner = 1 + ((m + n) / 2 - 1) * ((1 - low) / (2 - low) + low / (1 + low))
    assert (1 - low) ** 2 == pytest.approx(norm.ppf(0.975) ** 2 * low * (1 - low) * inner / (m * n), rel=1e-9)


def test_perfectly_wrong_ranking_mirrors_the_perfect_one():
    label, score = np.repeat([0, 1], [12, 4]), np.arange(16)
    right, wrong = roc_auc_estimate(make_scores(label, score)), roc_auc_estimate(make_scores(label, -score))
    assert (wrong.value, wrong.low, wrong.high) == pytest.approx((0, 0, 1 - right.low), abs=1e-9)


def test_a_single_malignant_case_has_an_interval():
    assert_honest(roc_auc_estimate(make_scores([0] * 8 + [1], [*range(8), 5.5])))


@settings(max_examples=60, deadline=None)
@given(any_scores(), st.sampled_from(INTERVALS), st.sampled_from([0.5, 0.8, 0.95, 0.99]))
def test_interval_is_inside_0_and_1_holds_the_value_and_has_a_width(scores, interval, confidence):
    assert_honest(roc_auc_estimate(scores, confidence, interval, resamples=50))
    assert_honest(pr_auc_estimate(scores, confidence, resamples=50))
    point = operating_point(scores, "test", confidence)
    assert_honest(point.sensitivity)
    assert_honest(point.specificity)


@settings(max_examples=30, deadline=None)
@given(any_scores(), st.integers(0, 99))
def test_order_of_the_rows_does_not_matter(scores, seed):
    order = np.random.default_rng(seed).permutation(scores.label.size)
    shuffled = scores.where(order)
    for interval in ("logit", "delong"):
        first, second = roc_auc_estimate(scores, interval=interval), roc_auc_estimate(shuffled, interval=interval)
        assert (first.value, first.low, first.high) == pytest.approx((second.value, second.low, second.high), abs=1e-9)


@settings(max_examples=30, deadline=None)
@given(any_scores())
def test_each_fold_has_its_own_scale(scores):
    moved = make_scores(
        scores.label, np.exp(scores.score) * 5.0**scores.fold - scores.fold, scores.fold, patient=scores.patient_id
    )
    for estimate in (roc_auc_estimate, pr_auc_estimate):
        first, second = estimate(scores, resamples=50), estimate(moved, resamples=50)
        assert (first.value, first.low, first.high) == pytest.approx((second.value, second.low, second.high), abs=1e-9)


def test_flipping_labels_and_scores_changes_nothing():
    label, score = separable(20, 9, seed=4)
    first, second = roc_auc_estimate(make_scores(label, score)), roc_auc_estimate(make_scores(1 - label, -score))
    assert (first.value, first.low, first.high) == pytest.approx((second.value, second.low, second.high), abs=1e-12)


def test_areas_are_means_over_folds():
    label, score = separable(40, 20, seed=1)
    fold = np.arange(60) % 5
    scores = make_scores(label, score + 100 * fold, fold=fold)
    for estimate, metric in ((roc_auc_estimate, roc_auc), (pr_auc_estimate, average_precision)):
        expected = np.mean([metric(label[fold == number], score[fold == number]) for number in range(5)])
        assert estimate(scores).value == pytest.approx(expected, abs=1e-12)
        assert estimate(scores).method.startswith("mean of 5 folds, ")


def test_repeating_the_same_scores_does_not_narrow_the_interval():
    label, score = separable(30, 10, seed=3)
    case = [f"case{i}" for i in range(40)]
    once = make_scores(label, score, case=case)
    thrice = make_scores(np.tile(label, 3), np.tile(score, 3), repeat=np.repeat(range(3), 40), case=case * 3)
    for estimate in (roc_auc_estimate, pr_auc_estimate):
        first, second = estimate(once), estimate(thrice)
        assert (first.value, first.low, first.high) == pytest.approx((second.value, second.low, second.high), abs=1e-9)
    assert roc_auc_estimate(thrice).method.startswith("mean of 3 folds (3 repeats), ")
    first, second = operating_point(once, "test"), operating_point(thrice, "test")
    assert first.sensitivity.low == pytest.approx(second.sensitivity.low)
    assert first.threshold == pytest.approx(second.threshold)


def test_perfect_repeats_do_not_narrow_newcombes_interval():
    label, score = np.repeat([0, 1], [12, 4]), np.arange(16)
    case = [f"case{i}" for i in range(16)]
    thrice = make_scores(np.tile(label, 3), np.tile(score, 3), repeat=np.repeat(range(3), 16), case=case * 3)
    assert roc_auc_estimate(thrice).low == pytest.approx(roc_auc_estimate(make_scores(label, score)).low, abs=1e-9)


def test_copies_of_a_lesion_in_one_patient_add_no_certainty():
    label, score = separable(30, 10, seed=3)
    patient = [f"p{i}" for i in range(40)]
    single = make_scores(label, score, patient=patient)
    doubled = make_scores(np.tile(label, 2), np.tile(score, 2), patient=patient * 2)
    for estimate in (roc_auc_estimate, pr_auc_estimate):
        first, second = estimate(single), estimate(doubled)
        assert (first.value, first.low, first.high) == pytest.approx((second.value, second.low, second.high), abs=1e-9)
    first, second = operating_point(single, "test").sensitivity, operating_point(doubled, "test").sensitivity
    assert (first.low, first.high) == pytest.approx((second.low, second.high))
    assert second.method == "Wilson on 20 cases of 10 patients"


def test_folds_of_one_class_are_left_out_and_named():
    label, score = [0, 1, 0, 1, 0, 0], [1, 2, 4, 3, 9, 9]
    estimate = roc_auc_estimate(make_scores(label, score, fold=[0, 0, 1, 1, 2, 2]))
    assert estimate.value == 0.5
    assert estimate.method.startswith("mean of 2 folds (1 with one class only left out), ")
    with pytest.raises(InputError, match="no fold tests both classes; found 2 benign and 1 malignant test cases"):
        roc_auc_estimate(make_scores([0, 1, 0], [1, 2, 3], fold=[0, 1, 0]))


@pytest.mark.parametrize(
    "estimate", [roc_auc_estimate, pr_auc_estimate, lambda scores: operating_point(scores, "test")]
)
def test_broken_scores_are_named(estimate):
    with pytest.raises(InputError, match="made-up: score of case case1; found nan"):
        estimate(make_scores([0, 1, 1], [1, float("nan"), 2]))
    with pytest.raises(InputError, match="label of case case2; found 7"):
        estimate(make_scores([0, 1, 7], [1, 2, 3]))
    with pytest.raises(InputError, match="found 3 benign and 0 malignant test cases"):
        estimate(make_scores([0, 0, 0], [1, 2, 3]))
    with pytest.raises(InputError, match="found 0 benign and 0 malignant test cases"):
        estimate(make_scores([0, 1], [1, 2], part="tune"))


@pytest.mark.parametrize("confidence", [0, 1, 95, float("nan")])
def test_confidence_is_a_share(confidence):
    with pytest.raises(InputError, match="a number between 0 and 1"):
        roc_auc_estimate(make_scores([0, 1], [1, 2]), confidence)


def test_bootstrap_of_the_roc_area_is_near_delong():
    scores = make_scores(*separable(120, 60, seed=5))
    delong, drawn = (roc_auc_estimate(scores, interval=interval) for interval in ("logit", "bootstrap"))
    assert (drawn.low, drawn.high) == pytest.approx((delong.low, delong.high), abs=0.01)
    assert drawn.method == "bootstrap of 2000 draws of patients on the logit scale"


def test_bootstrap_of_the_pr_area_against_one_written_out():
    label, score = separable(40, 15, seed=7)
    rng, areas = np.random.default_rng(0), []
    for _ in range(1500):
        drawn = np.concatenate([rng.integers(0, 40, 40), rng.integers(40, 55, 15)])
        areas.append(average_precision(label[drawn], score[drawn]))
    value = average_precision(label, score)
    half = t.ppf(0.975, 14) * np.std(areas) / (value * (1 - value))
    wilson = proportion_interval(15 * value, 15)
    estimate = pr_auc_estimate(make_scores(label, score))
    assert estimate.low == pytest.approx(min(wilson[0], expit(logit(value) - half)), abs=0.02)
    assert estimate.high == pytest.approx(max(wilson[1], expit(logit(value) + half)), abs=0.02)
    assert estimate.method == (
        "bootstrap of 2000 draws of patients on the logit scale (t quantile), "
        "no narrower than Wilson on 15 malignant patients"
    )


def test_few_malignant_cases_widen_the_pr_interval_by_the_t_quantile():
    scores = make_scores(*separable(30, 4, seed=11))
    estimate, wilson = pr_auc_estimate(scores), proportion_interval(4 * pr_auc_estimate(scores).value, 4)
    assert estimate.low < wilson[0] - 0.01
    assert estimate.high > wilson[1] + 0.01


def test_the_seed_decides_the_bootstrap():
    scores = make_scores(*separable(30, 4, seed=11))
    assert pr_auc_estimate(scores, seed=1) == pr_auc_estimate(scores, seed=1)
    assert pr_auc_estimate(scores, seed=1) != pr_auc_estimate(scores, seed=2)


@pytest.mark.parametrize(("score", "hits"), [([1, 2, 3, 4, 9], 1), ([1, 2, 3, 9, 4], 1 / 2)])
def test_pr_area_of_one_malignant_patient_is_clopper_and_pearson(score, hits):
    estimate = pr_auc_estimate(make_scores([0, 0, 0, 0, 1], score))
    assert estimate.value == hits
    assert estimate.low == pytest.approx(beta.ppf(0.025, hits, 2 - hits))
    assert estimate.high == pytest.approx(1.0 if hits == 1 else beta.ppf(0.975, hits + 1, 1 - hits))
    assert estimate.method == "Clopper and Pearson on 1 malignant patient"


def test_perfect_pr_area_is_wilson_on_the_malignant():
    estimate = pr_auc_estimate(make_scores([0] * 12 + [1] * 4, range(16)))
    assert (estimate.low, estimate.high) == pytest.approx(proportion_interval(4, 4))
    assert "Wilson" in estimate.method


def test_of_very_many_cases_the_spread_is_computed_without_drawing(monkeypatch):
    label, score = separable(300, 120, gain=1.5)
    patient = [f"p{number // 2}" for number in range(420)]
    scores = make_scores(label, score, fold=np.arange(420) // 2 % 2, patient=patient)
    drawn = pr_auc_estimate(scores)
    monkeypatch.setattr("rarelesion.intervals.MANY", 420)
    found = pr_auc_estimate(scores)
    assert found.method.startswith("mean of 2 folds, infinitesimal jackknife over patients on the logit scale")
    assert found.value == drawn.value
    assert (found.low, found.high) == pytest.approx((drawn.low, drawn.high), abs=0.01)
