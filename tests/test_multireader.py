import doctest
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit
from scipy.stats import norm, ttest_rel

from rarelesion import multireader
from rarelesion.compare import as_scores, compare_roc_auc
from rarelesion.errors import InputError
from rarelesion.metrics import roc_auc
from rarelesion.multireader import compare_modalities, compare_with_model
from test_metrics import read

RANDOM = ("readers and cases", "cases", "readers")


def study_of(name):
    rows = [row for row in read("multireader_cases.csv") if row["study"] == name]
    shape = tuple(len({row[column] for row in rows}) for column in ("modality", "reader", "case"))
    scores = np.array([float(row["score"]) for row in rows]).reshape(shape)
    cases = rows[: shape[2]]
    return np.array([int(row["label"]) for row in cases]), scores, [row["patient"] for row in cases]


def made_up(modalities=2, readers=3, n=24, seed=0, gain=1.0):
    rng = np.random.default_rng(seed)
    labels = np.repeat([0, 1], [n - n // 3, n // 3])
    return labels, rng.normal(size=(modalities, readers, n)) + rng.normal(size=n) + gain * labels


def assert_honest(study):
    for mean in study.means:
        assert 0 <= mean.low <= mean.value <= mean.high <= 1
        assert mean.high - mean.low > 1e-9
        assert mean.method
    for difference in study.differences:
        assert -1 <= difference.low <= difference.difference <= difference.high <= 1
        assert difference.high - difference.low > 1e-9
        assert 0 <= difference.p <= difference.p_adjusted <= 1
    if study.test:
        assert 0 <= study.test.p <= 1


# --- Van Dyke et al. 1993: cine MRI against spin-echo MRI for aortic dissection, 114 patients, five readers -----------
# As printed by OR-DBM MRMC 2.51 (build 20181028, trapezoidal areas, jackknife), the analysis of Hillis 2007 and 2014.

VAN_DYKE_AREAS = [
    [0.91964573, 0.85877617, 0.90386473, 0.97310789, 0.82979066],
    [0.94782609, 0.90531401, 0.92173913, 0.99935588, 0.92995169],
]
VAN_DYKE = {
    "readers and cases": {
        "f": 4.46, "df": 15.26, "p": 0.0517, "low": -0.08796, "high": 0.00036,
        "means": [(0.82522360, 0.96885048), (0.89413783, 0.98753689)],
    },
    "cases": {
        "f": 5.47595, "df": np.inf, "p": 0.0193, "low": -0.08049, "high": -0.00711,
        "means": [(0.84943008, 0.94464399), (0.90795637, 0.97371835)],
    },
    "readers": {
        "f": 8.70, "df": 4, "p": 0.0420, "low": -0.08502, "high": -0.00258,
        "means": [(0.82809808, 0.96597599), (0.89598936, 0.98568536)],
    },
}  # fmt: skip


def van_dyke_covariances():
    """The averages that are printed, put where they were averaged over: the ratings themselves are not needed."""
    covariance = np.full((2, 5, 2, 5), 0.00023903)
    for i, (variance, cov2) in enumerate([(0.00101410, 0.00048396), (0.00059047, 0.00020419)]):
        covariance[i, :, i, :] = cov2
        covariance[i, range(5), i, range(5)] = variance
        covariance[i, range(5), 1 - i, range(5)] = 0.00034661
    return covariance.reshape(10, 10)


@pytest.mark.parametrize("random", RANDOM)
def test_the_van_dyke_study_comes_out_as_published(random, monkeypatch):
    published = VAN_DYKE[random]
    given_areas = np.ravel(VAN_DYKE_AREAS), van_dyke_covariances()
    monkeypatch.setitem(multireader.COVARIANCES, "jackknife", lambda study: given_areas)
    study = compare_modalities(*made_up(readers=5), random=random, covariance="jackknife", scale="plain")
    assert study.terms.ms_modality == pytest.approx(0.00479617, abs=5e-9)
    assert study.terms.ms_reader == pytest.approx(0.00383620, abs=5e-9)
    assert study.terms.ms_interaction == pytest.approx(0.00055103, abs=5e-9)
    assert study.terms.variance == pytest.approx(0.00080229, abs=1e-8)
    assert study.terms.cov2 == pytest.approx(0.00034407, abs=1e-8)
    assert study.test.statistic == pytest.approx(published["f"], abs=0.005)
    assert study.test.df_error == pytest.approx(published["df"], abs=0.005)
    assert study.test.p == pytest.approx(published["p"], abs=5e-5)
    (difference,) = study.differences
    assert difference.difference == pytest.approx(-0.04380032, abs=5e-9)
    assert (difference.low, difference.high) == pytest.approx((published["low"], published["high"]), abs=6e-6)
    assert [mean.value for mean in study.means] == pytest.approx([0.89703704, 0.94083736], abs=5e-9)
    for mean, ends in zip(study.means, published["means"], strict=True):
        assert (mean.low, mean.high) == pytest.approx(ends, abs=2e-6)


# --- R ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "row", read("multireader.csv"), ids=lambda row: f"{row['study']}-{row['covariance']}-{row['random']}"
)
def test_agrees_with_r(row):
    labels, scores, patients = study_of(row["study"])
    study = compare_modalities(
        labels, scores, patients=patients, random=row["random"], covariance=row["covariance"], scale="plain"
    )
    expected = {name: float(value) for name, value in row.items() if name not in ("study", "covariance", "random")}
    last = study.differences[len(scores) - 2]
    found = {name: getattr(study.terms, name) for name in ("variance", "cov1", "cov2", "cov3", "ms_interaction")}
    found |= {"f": study.test.statistic, "df": study.test.df_error, "p": study.test.p}
    found |= {"difference": last.difference, "low": last.low, "high": last.high, "p_pair": last.p}
    found |= {"mean": study.means[0].value, "mean_low": study.means[0].low, "mean_high": study.means[0].high}
    assert found == pytest.approx(expected, rel=1e-7, abs=1e-9)


# --- identities -------------------------------------------------------------------------------------------------------


def test_areas_are_those_of_each_reader():
    labels, scores = made_up()
    study = compare_modalities(labels, scores, ["aided", "unaided"])
    expected = [[roc_auc(labels, score) for score in modality] for modality in scores]
    assert np.array(study.areas) == pytest.approx(np.array(expected), abs=1e-12)
    assert study.modalities == ("aided", "unaided")
    assert (study.differences[0].a, study.differences[0].b) == ("aided", "unaided")
    assert study.differences[0].difference == pytest.approx(np.mean(expected[0]) - np.mean(expected[1]), abs=1e-12)


def test_one_fixed_reader_is_paired_delong():
    labels, scores, patients = study_of("lesions")
    study = compare_modalities(labels, scores[:, :1], patients=patients, random="cases")
    cases = range(labels.size)
    a, b = (as_scores(name, cases, labels, scores[i, 0], patients) for i, name in enumerate("ab"))
    delong = compare_roc_auc(a, b)
    (found,) = study.differences
    assert (found.difference, found.low, found.high, found.p) == pytest.approx(
        (delong.difference, delong.low, delong.high, delong.p), abs=1e-9
    )


def test_fixed_cases_are_a_paired_t_test_of_the_areas():
    study = compare_modalities(*made_up(readers=5), random="readers")
    expected = ttest_rel(study.areas[0], study.areas[1])
    assert study.differences[0].p == pytest.approx(expected.pvalue)
    interval = expected.confidence_interval(0.95)
    assert (study.differences[0].low, study.differences[0].high) == pytest.approx((interval.low, interval.high))
    assert "covariances" not in study.differences[0].test


@pytest.mark.parametrize("random", RANDOM)
def test_f_test_and_difference_agree_for_two_modalities(random):
    study = compare_modalities(*made_up(seed=3), random=random)
    assert study.test.p == pytest.approx(study.differences[0].p, rel=1e-9)


def test_pairs_of_three_modalities_are_adjusted_after_holm():
    study = compare_modalities(*made_up(modalities=3))
    assert [(one.a, one.b) for one in study.differences] == [
        ("modality1", "modality2"), ("modality1", "modality3"), ("modality2", "modality3")
    ]  # fmt: skip
    smallest = min(study.differences, key=lambda one: one.p)
    assert smallest.p_adjusted == pytest.approx(min(1, 3 * smallest.p))


def test_one_modality_has_a_mean_and_no_test():
    labels, scores = made_up(modalities=1)
    study = compare_modalities(labels, scores)
    assert (study.differences, study.test, len(study.means)) == ((), None, 1)
    assert (
        study.means[0].method
        == "Obuchowski-Rockette, random readers and cases, DeLong's covariances, on the logit scale"
    )


def test_mean_of_one_fixed_reader_on_the_logit_scale_by_hand():
    labels, scores = made_up(modalities=1, readers=1)
    study = compare_modalities(labels, scores, random="cases")
    area = study.areas[0][0]
    half = norm.ppf(0.975) * np.sqrt(study.terms.variance) / (area * (1 - area))
    ends = expit(logit(area) - half), expit(logit(area) + half)
    assert (study.means[0].low, study.means[0].high) == pytest.approx(ends)


def test_a_model_is_a_modality_in_which_all_readers_agree():
    labels, scores = made_up(readers=4)
    readers, model = scores[0], scores[1, 0]
    study = compare_with_model(labels, readers, model)
    assert study.modalities == ("readers", "model")
    areas = np.array(study.areas)
    gaps = areas[0] - areas[1, 0]
    assert study.differences[0].difference == pytest.approx(gaps.mean())
    assert 2 * study.terms.ms_interaction == pytest.approx(np.var(gaps, ddof=1))
    assert study.means[1].value == pytest.approx(roc_auc(labels, model))
    assert study.means[1].low == pytest.approx(
        compare_modalities(labels, model[None, None], random="cases").means[0].low, abs=1e-9
    )
    assert_honest(study)


def test_lesions_of_one_patient_are_less_than_lesions_of_many():
    labels, scores = made_up(n=30)
    doubled = np.tile(labels, 2), np.tile(scores, (1, 1, 2)), np.tile(np.arange(30), 2)
    one, two = compare_modalities(labels, scores), compare_modalities(*doubled[:2], patients=doubled[2])
    assert (two.means[0].low, two.test.p) == pytest.approx((one.means[0].low, one.test.p), abs=1e-9)


# --- nothing varies ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("random", RANDOM)
@pytest.mark.parametrize("covariance", ["delong", "jackknife"])
def test_perfect_readers_keep_a_width(random, covariance):
    labels = np.repeat([0, 1], [12, 4])
    scores = np.tile(np.arange(16.0), (2, 3, 1))
    study = compare_modalities(labels, scores, random=random, covariance=covariance)
    assert_honest(study)
    assert (study.means[0].value, study.differences[0].difference, study.differences[0].p) == (1, 0, 1)
    assert (study.test.statistic, study.test.p) == (None, 1)
    assert "outermost ends" in study.means[0].method
    assert "as if independent" in study.differences[0].test


def test_identical_readers_on_fixed_cases_keep_a_width():
    labels, scores = made_up(readers=1)
    study = compare_modalities(labels, np.repeat(scores, 3, axis=1), random="readers")
    assert_honest(study)
    assert "outermost ends" in study.means[0].method


def test_perfect_against_perfectly_wrong():
    labels = np.repeat([0, 1], [6, 5])
    scores = np.stack([np.tile(np.arange(11.0), (2, 1)), np.tile(-np.arange(11.0), (2, 1))])
    study = compare_modalities(labels, scores)
    assert_honest(study)
    assert study.differences[0].difference == 1
    assert study.differences[0].p < 0.05


# --- properties -------------------------------------------------------------------------------------------------------


@st.composite
def any_study(draw):
    """A small study with ties, some patients with several lesions, and two patients of each class."""
    modalities, readers, n = draw(st.integers(1, 3)), draw(st.integers(2, 4)), draw(st.integers(4, 10))
    labels = np.array([0, 0, 1, 1, *draw(st.lists(st.integers(0, 1), min_size=n - 4, max_size=n - 4))])
    cells = draw(st.lists(st.integers(1, 5), min_size=modalities * readers * n, max_size=modalities * readers * n))
    patients = [0, 1, 2, 3, *draw(st.lists(st.integers(0, 6), min_size=n - 4, max_size=n - 4))]
    return labels, np.reshape(cells, (modalities, readers, n)).astype(float), np.array(patients)


@settings(max_examples=60, deadline=None)
@given(any_study(), st.sampled_from(list(product(RANDOM, ("delong", "jackknife"), ("logit", "plain")))))
def test_every_study_has_honest_intervals(study, how):
    labels, scores, patients = study
    random, covariance, scale = how
    assert_honest(compare_modalities(labels, scores, None, patients, random, covariance, scale))


@settings(max_examples=30, deadline=None)
@given(any_study(), st.integers(0, 99))
def test_order_of_cases_and_readers_does_not_matter(study, seed):
    labels, scores, patients = study
    rng = np.random.default_rng(seed)
    cases, readers = rng.permutation(labels.size), rng.permutation(scores.shape[1])
    first = compare_modalities(labels, scores, patients=patients)
    second = compare_modalities(labels[cases], scores[:, readers][:, :, cases], patients=patients[cases])
    for one, two in zip(first.means, second.means, strict=True):
        assert (one.value, one.low, one.high) == pytest.approx((two.value, two.low, two.high), abs=1e-6)


@settings(max_examples=30, deadline=None)
@given(any_study())
def test_swapping_the_modalities_swaps_the_sign(study):
    labels, scores, patients = study
    first = compare_modalities(labels, scores, patients=patients)
    second = compare_modalities(labels, scores[::-1], patients=patients)
    ends = {(round(one.low, 6), round(one.high, 6)) for one in first.differences}
    assert ends == {(round(-one.high, 6) + 0.0, round(-one.low, 6) + 0.0) for one in second.differences}


# --- what can't be analysed -------------------------------------------------------------------------------------------


def test_all_problems_are_told_at_once():
    labels, scores = made_up()
    scores[0, 1, 3], scores[1, 0, 0] = np.nan, np.inf
    with pytest.raises(InputError) as caught:
        compare_modalities(labels, scores, ["a", "a"], patients=[1, 2])
    assert [problem.where for problem in caught.value.problems] == [
        "modality",
        "a, reader 2",
        "a, reader 1",
        "patients",
    ]
    assert "nan at position 3" in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": np.zeros(24, int)}, "only one class"),
        ({"labels": np.repeat([0, 2], 12)}, "neither benign nor malignant"),
        ({"labels": np.repeat([0, 1], [23, 1])}, "one patient with malignant cases"),
        ({"labels": [0, 1]}, "labels and scores must come in pairs"),
        ({"scores": np.zeros((3, 24))}, "not a table of modalities, readers and cases"),
        ({"scores": np.zeros((2, 0, 24))}, "not a table of modalities, readers and cases"),
        ({"modalities": ["only one"]}, "names don't fit"),
        ({"patients": np.repeat(["p", "q"], [16, 8])}, "one patient with benign cases"),
        ({"confidence": 95}, "a number between 0 and 1"),
    ],
)
def test_what_is_wrong_is_said(change, message):
    labels, scores = made_up()
    with pytest.raises(InputError, match=message):
        compare_modalities(**({"labels": labels, "scores": scores} | change))


def test_one_reader_is_no_sample_of_readers():
    labels, scores = made_up(readers=1)
    with pytest.raises(InputError, match='Use random="cases"'):
        compare_modalities(labels, scores)


def test_model_and_readers_need_the_same_cases():
    labels, scores = made_up()
    with pytest.raises(InputError, match="23 of the model, 24 of the readers"):
        compare_with_model(labels, scores[0], scores[1, 0, 1:])
    with pytest.raises(InputError, match="readers' scores of"):
        compare_with_model(labels, scores[0, 0], scores[1, 0])


def test_examples_run():
    assert doctest.testmod(multireader).failed == 0
