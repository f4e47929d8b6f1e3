import doctest
import importlib.util
from math import ceil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from rarelesion import widths
from rarelesion.errors import InputError
from rarelesion.intervals import pr_auc_estimate, roc_auc_estimate
from rarelesion.sizing import auc_width
from rarelesion.widths import repeat_rows, repeats_worth, simulated_width, what_would_help
from score_rows import make_scores


def test_examples_in_docstrings():
    results = doctest.testmod(widths)
    assert results.attempted >= 3
    assert results.failed == 0


# --- simulated -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", ["roc_auc", "pr_auc"])
def test_simulated_widths_are_those_of_this_programs_intervals(metric):
    malignant, benign, draws, rng = 8, 20, 20, np.random.default_rng(3)
    label = np.repeat([1, 0], [malignant, benign])
    found = []
    for _ in range(draws):
        patient, own = rng.normal(size=(2, label.size))
        score = np.sqrt(2) * norm.ppf(0.8) * label + np.sqrt(0.5) * (patient + own)
        scores = make_scores(label, score)
        one = roc_auc_estimate(scores) if metric == "roc_auc" else pr_auc_estimate(scores, resamples=50)
        found.append(one.high - one.low)
    width = simulated_width(malignant, benign, 0.8, metric, draws=draws, resamples=50, seed=3)
    assert (width.mean, width.limit) == pytest.approx((np.mean(found), np.quantile(found, 0.8)), abs=0.02)
    assert width.method == "20 simulated cohorts, normal scores"


def test_lesions_of_a_patient_stay_together():
    rows, patient = widths._blank(7, 12, lesions=2.5, folds=3)
    assert patient[:7].tolist() == [0, 0, 0, 1, 1, 2, 2]
    for number in np.unique(patient):
        assert np.unique(rows.fold[patient == number]).size == 1
        assert np.unique(rows.label[patient == number]).size == 1
    assert [np.unique(rows.label[rows.fold == fold]).size for fold in range(3)] == [2, 2, 2]


def test_closed_form_is_near_the_simulation_where_cases_are_not_few():
    for auc, malignant, benign in ((0.8, 60, 120), (0.9, 50, 150)):
        seen = simulated_width(malignant, benign, auc, draws=60)
        assert auc_width(auc, malignant, benign) == pytest.approx(seen.mean, rel=0.12)


def test_more_cases_and_single_lesions_narrow_the_simulated_width():
    for metric in ("roc_auc", "pr_auc"):
        few = simulated_width(10, 30, 0.85, metric, draws=30, resamples=100)
        many = simulated_width(60, 180, 0.85, metric, draws=30, resamples=100)
        assert many.mean < 0.7 * few.mean
        assert many.limit < few.limit
    crowded = simulated_width(60, 180, 0.85, lesions_per_patient=4.0, within_patient=0.9, draws=30)
    alone = simulated_width(60, 180, 0.85, draws=30)
    assert crowded.mean > 1.3 * alone.mean


def test_crowded_lesions_count_for_less_than_cases_and_for_no_less_than_patients():
    crowded = simulated_width(60, 120, 0.8, lesions_per_patient=3.0, within_patient=0.5, draws=40)
    assert auc_width(0.8, 60, 120) < crowded.mean < 1.1 * auc_width(0.8, 20, 40)


@settings(max_examples=25, deadline=None)
@given(
    st.integers(1, 9),
    st.integers(1, 20),
    st.sampled_from([0.0, 0.3, 0.85, 1.0]),
    st.sampled_from(["roc_auc", "pr_auc"]),
    st.integers(1, 12),
    st.sampled_from([1.0, 1.5, 30.0]),
    st.sampled_from([0.0, 1.0]),
)
def test_simulated_widths_are_between_0_and_1(malignant, benign, auc, metric, folds, lesions, within):
    width = simulated_width(malignant, benign, auc, metric, folds, lesions, within, draws=20, resamples=50)
    assert 0 < width.mean <= 1
    assert 0 < width.limit <= 1


def test_assurance_and_seed_decide_the_limit():
    most, half = (simulated_width(8, 20, 0.8, assurance=share, draws=40) for share in (0.9, 0.5))
    assert most.limit > half.limit
    assert most.mean == half.mean
    assert simulated_width(8, 20, 0.8, seed=1, draws=20) == simulated_width(8, 20, 0.8, seed=1, draws=20)
    assert simulated_width(8, 20, 0.8, seed=1, draws=20) != simulated_width(8, 20, 0.8, seed=2, draws=20)


def test_what_cannot_be_simulated_is_named():
    with pytest.raises(InputError) as caught:
        simulated_width(0, 30, 1.2, lesions_per_patient=0.5, within_patient=-1, resamples=3)
    assert [problem.where for problem in caught.value.problems] == [
        "n_malignant", "auc", "lesions_per_patient", "within_patient", "resamples",
    ]  # fmt: skip
    with pytest.raises(InputError, match=r"too many to simulate; found 50000(.|\n)*draws: .*found 3; expected 20"):
        simulated_width(20_000, 30_000, 0.8, draws=3)


# --- what would help -----------------------------------------------------------------------------------------------


def test_what_would_help_by_its_parts():
    found = {change.what: change for change in what_would_help(20, 80, 0.85, n_patients=50, folds=1)}
    assert found["10 more malignant cases"].before == auc_width(0.85, 4, 16, design_effect=1.5)
    assert {name: change.after for name, change in found.items()} == {
        "10 more malignant cases": auc_width(0.85, 6, 16, design_effect=1.5),
        "50 more benign cases": auc_width(0.85, 4, 26, design_effect=1.5),
        "twice as many cases of both classes": auc_width(0.85, 8, 32, design_effect=1.5),
        "the mean of two readers instead of one": auc_width(0.85, 4, 16, design_effect=1.5 * 0.75),
        "five folds instead of one split": auc_width(0.85, 20, 80, folds=5, design_effect=1.5),
        "each case from a patient of its own": auc_width(0.85, 4, 16),
    }


def test_what_is_done_already_is_not_proposed():
    names = [change.what for change in what_would_help(20, 80, 0.85)]
    assert "five folds instead of one split" not in names
    assert "each case from a patient of its own" not in names


@given(st.integers(1, 200), st.integers(1, 400), st.floats(0, 1), st.floats(0.1, 1), st.integers(1, 10))
def test_nothing_proposed_makes_it_wider(malignant, benign, auc, crowd, folds):
    patients = ceil((malignant + benign) * crowd)
    changes = what_would_help(malignant, benign, auc, n_patients=patients, folds=folds)
    assert all(0 < change.after < change.before <= 1 for change in changes)
    assert [change.after for change in changes] == sorted(change.after for change in changes)


def test_more_patients_than_cases_are_an_error():
    with pytest.raises(InputError, match="n_patients: more patients than cases; found 101 of 100 cases"):
        what_would_help(20, 80, 0.85, n_patients=101)
    with pytest.raises(InputError) as caught:
        what_would_help(20, 0, 2.0, test_share=0.0)
    assert [problem.where for problem in caught.value.problems] == ["n_benign", "auc", "test_share"]


# --- repeats -------------------------------------------------------------------------------------------------------


def test_repeats_by_hand():
    rows = repeat_rows(0.03, 0.04, folds=5, seconds_per_network=60.0, repeats=(1, 4))
    assert [(row.networks, row.seconds) for row in rows] == [(5, 300.0), (20, 1200.0)]
    assert [row.spread for row in rows] == pytest.approx([0.05, np.sqrt(0.0009 + 0.0004)])
    assert rows[0].excess == pytest.approx(0.05 / 0.03 - 1)


@given(st.floats(0.001, 0.3), st.floats(0, 0.3), st.floats(0.01, 0.5))
def test_repeats_worth_are_the_fewest(cases_sd, repeat_sd, more):
    worth = repeats_worth(cases_sd, repeat_sd, more)
    here, before = (
        repeat_rows(cases_sd, repeat_sd, 5, 1.0, repeats=(number,))[0].excess for number in (worth, max(1, worth - 1))
    )
    assert here <= more + 1e-6
    assert worth == 1 or before > more - 1e-6


@given(st.floats(0.001, 0.3), st.floats(0, 0.3))
def test_every_repeat_steadies_and_never_below_the_cases(cases_sd, repeat_sd):
    spreads = [row.spread for row in repeat_rows(cases_sd, repeat_sd, 5, 1.0, repeats=range(1, 30))]
    assert spreads == sorted(spreads, reverse=True)
    assert min(spreads) >= cases_sd


def test_repeats_that_cannot_be_are_named():
    with pytest.raises(InputError) as caught:
        repeat_rows(0.0, float("nan"), 0, -1.0, repeats=(1, 0))
    assert [problem.where for problem in caught.value.problems] == [
        "cases_sd", "repeat_sd", "folds", "seconds_per_network", "repeats",
    ]  # fmt: skip
    with pytest.raises(InputError, match=r"repeats: .*found 0"):
        repeat_rows(0.1, 0.1, 5, 1.0, repeats=())
    with pytest.raises(InputError, match=r"more: .*found 0"):
        repeats_worth(0.1, 0.1, more=0)


def load_benchmark():
    spec = importlib.util.spec_from_file_location("repeats", Path(__file__).parents[1] / "benchmarks" / "repeats.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_two_sources_are_found_again():
    rng = np.random.default_rng(0)
    areas = 0.8 + 0.05 * rng.normal(size=(4000, 1)) + 0.03 * rng.normal(size=(4000, 2))
    assert load_benchmark().two_sources(areas) == pytest.approx((0.05, 0.03), rel=0.05)


def test_a_cohort_of_the_benchmark_is_classified_better_than_by_chance():
    areas = load_benchmark().cohort_areas(folds=3, seed=0)
    assert areas.shape == (20,)
    assert 0.6 < areas.mean() < 1
    assert areas.std() > 0
