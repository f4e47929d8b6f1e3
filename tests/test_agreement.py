import doctest

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rarelesion import agreement
from rarelesion.agreement import cohen_kappa, fleiss_kappa, gwet_ac, percent_agreement
from rarelesion.errors import InputError
from rarelesion.proportions import proportion_interval
from test_metrics import read

NONE = np.nan
# Fleiss 1971, table 1: 30 patients, six psychiatrists each; how many chose depression, personality disorder,
# schizophrenia, neurosis, other
PSYCHIATRY = [
    "00060", "03003", "01401", "00006", "03030", "20400", "00402", "20310", "20040", "00006",
    "10050", "11040", "03300", "10050", "02031", "00501", "30012", "51000", "02040", "10203",
    "00006", "01050", "02013", "20040", "10041", "05010", "40002", "02040", "10500", "00006",
]  # fmt: skip
# Krippendorff's example of reliability data: four readers, twelve units, ratings missing
KRIPPENDORFF = np.array([
    [1, 2, 3, 3, 2, 1, 4, 1, 2, NONE, NONE, NONE],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, NONE, 3],
    [NONE, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, NONE],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, NONE],
]).T  # fmt: skip


def table_of(name):
    rows = [row for row in read("agreement_cases.csv") if row["dataset"] == name]
    readers = len({row["reader"] for row in rows})
    return np.array([float(row["rating"]) for row in rows]).reshape(readers, -1).T


def from_counts(counts):
    return np.array([np.repeat(np.arange(len(row)), [int(number) for number in row]) for row in counts], dtype=float)


def assert_honest(estimate, floor=-1):
    assert floor <= estimate.low <= estimate.value <= estimate.high <= 1
    assert estimate.high - estimate.low > 1e-6
    assert all(type(number) is float for number in (estimate.value, estimate.low, estimate.high))


# --- values -----------------------------------------------------------------------------------------------------------


def test_kappa_counted_by_hand():
    first, second = [1] * 25 + [1] * 10 + [2] * 15 + [2] * 50, [1] * 25 + [2] * 10 + [1] * 15 + [2] * 50
    assert percent_agreement(np.transpose([first, second])).value == pytest.approx(0.75)
    assert cohen_kappa(first, second).value == pytest.approx((0.75 - 0.53) / (1 - 0.53))
    assert fleiss_kappa(np.transpose([first, second])).value == pytest.approx((0.75 - 0.53125) / (1 - 0.53125))
    assert gwet_ac(np.transpose([first, second])).value == pytest.approx((0.75 - 0.46875) / (1 - 0.46875))


def test_weights_counted_by_hand():
    first, second = [1, 2, 3, 3], [1, 3, 3, 1]
    assert cohen_kappa(first, second, "linear").value == pytest.approx((2.5 / 4 - 0.5) / 0.5)
    assert cohen_kappa(first, second, "quadratic").value == pytest.approx((2.75 / 4 - 0.5625) / (1 - 0.5625))


def test_weights_go_by_the_whole_scale():
    first, second = [1, 1, 5, 5], [1, 5, 5, 5]
    assert cohen_kappa(first, second, "linear").value == cohen_kappa(first, second).value
    with_step = cohen_kappa([1, 3, 5, 5], [1, 5, 5, 5], "linear")
    whole = cohen_kappa([1, 3, 5, 5], [1, 5, 5, 5], "linear", categories=[1, 2, 3, 4, 5])
    assert with_step.value == pytest.approx(whole.value)
    assert cohen_kappa([1, 4, 5, 5], [1, 5, 5, 5], "linear", [1, 2, 3, 4, 5]).value > whole.value


def test_fleiss_example_of_1971():
    ratings = from_counts(PSYCHIATRY)
    assert np.bincount(ratings.astype(int).ravel()).tolist() == [26, 26, 30, 55, 43]
    estimate = fleiss_kappa(ratings)
    assert estimate.value == pytest.approx(0.430, abs=5e-4)
    assert percent_agreement(ratings).value == pytest.approx(0.556, abs=5e-4)
    assert_honest(estimate)


def test_missing_ratings_as_in_gwets_books():
    assert percent_agreement(KRIPPENDORFF).value == pytest.approx(9 / 11)
    assert fleiss_kappa(KRIPPENDORFF).value == pytest.approx(0.76117, abs=5e-6)
    assert gwet_ac(KRIPPENDORFF).value == pytest.approx(0.77544, abs=5e-6)
    assert "11 cases, 1 without two ratings left out" in gwet_ac(KRIPPENDORFF).method


def test_cases_that_one_of_two_readers_left_out_do_not_count():
    first, second = [1, 1, 2, 2, NONE, 1], [1, 2, 2, 2, 2, NONE]
    estimate, rest = cohen_kappa(first, second), cohen_kappa(first[:4], second[:4])
    assert (estimate.value, estimate.low, estimate.high) == (rest.value, rest.low, rest.high)
    assert estimate.method == "Wilson with Student's t on the agreement in 4 cases, 2 without two ratings left out"


# --- R ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", read("agreement_two.csv"), ids=lambda row: f"{row['dataset']}-{row['weights']}")
def test_two_readers_agree_with_psych_and_everitt(row):
    ratings = table_of(row["dataset"])
    assert cohen_kappa(*ratings.T, row["weights"]).value == pytest.approx(float(row["kappa"]), abs=1e-12)
    found = agreement._two_readers(agreement._check_ratings(ratings, None, None), row["weights"])
    assert found.variance() == pytest.approx(float(row["variance"]), rel=1e-9)


@pytest.mark.parametrize(
    "row", read("agreement_many.csv"), ids=lambda row: f"{row['dataset']}-{row['coefficient']}-{row['weights']}"
)
def test_many_readers_agree_with_gwets_formulas(row):
    ratings = table_of(row["dataset"])
    fleiss = row["coefficient"] == "fleiss"
    estimate = fleiss_kappa(ratings) if fleiss else gwet_ac(ratings, row["weights"])
    assert estimate.value == pytest.approx(float(row["value"]), abs=1e-12)
    table = agreement._check_ratings(ratings, None, None)
    slope = agreement.WEIGHTS[row["weights"]](table.steps).sum() / (table.steps * (table.steps - 1))
    chance_of = (lambda squares: squares) if fleiss else (lambda squares: slope * (1 - squares))
    found = agreement._many_readers(table, row["weights"], chance_of)
    assert found.observed == pytest.approx(float(row["agreement"]), abs=1e-12)
    assert found.variance() == pytest.approx(float(row["variance"]), rel=1e-9)


# --- intervals --------------------------------------------------------------------------------------------------------


def test_interval_of_the_percent_agreement_by_hand():
    ratings = [[1, 1]] * 24 + [[1, 2]] * 6
    estimate = percent_agreement(ratings)
    worth = 29 * (1.959964 / 2.045230) ** 2
    assert (estimate.low, estimate.high) == pytest.approx(proportion_interval(0.8 * worth, worth), abs=1e-6)


@pytest.mark.parametrize("weights", agreement.WEIGHTS)
def test_perfect_agreement_keeps_a_width(weights):
    ratings = np.repeat([[1, 1, 1], [2, 2, 2], [3, 3, 3]], 5, axis=0)
    estimates = [percent_agreement(ratings), fleiss_kappa(ratings), gwet_ac(ratings, weights)]
    for estimate in (*estimates, cohen_kappa(ratings[:, 0], ratings[:, 1], weights)):
        assert_honest(estimate)
        assert (estimate.value, estimate.high) == (1, 1)
        assert "as the ratings show no variance" in estimate.method


def test_more_patients_in_perfect_agreement_are_more_certain():
    lows = [cohen_kappa([1, 2] * n, [1, 2] * n).low for n in (2, 5, 10, 50, 500)]
    assert lows == sorted(lows)
    assert lows[-1] > 0.98


def test_full_disagreement_and_two_cases():
    assert_honest(cohen_kappa([1, 2], [2, 1]))
    assert cohen_kappa([1, 2], [2, 1]).value == -1
    assert_honest(cohen_kappa([1, 2], [1, 2], patients=["p", "p"]))


def test_one_category_is_full_agreement_only_where_chance_allows_it():
    ratings = np.zeros((20, 2))
    assert percent_agreement(ratings).value == 1
    assert_honest(percent_agreement(ratings), floor=0)
    estimate = gwet_ac(ratings, categories=[0, 1])
    assert estimate.value == 1
    assert_honest(estimate)
    for call in (lambda: cohen_kappa(*ratings.T), lambda: fleiss_kappa(ratings), lambda: gwet_ac(ratings)):
        with pytest.raises(InputError, match="every rating is of the same category"):
            call()


def test_readers_who_oppose_each_other_are_cut_at_minus_1():
    first, second = [1, 1, 2] * 4, [5, 4, 5] * 4
    estimate = gwet_ac(np.transpose([first, second]), "quadratic", [1, 2, 3, 4, 5])
    assert (estimate.value, estimate.low) == (-1, -1)
    assert estimate.method.endswith(", cut at -1")
    assert_honest(estimate)


def test_copies_of_a_lesion_in_one_patient_add_no_certainty():
    ratings = table_of("panel")
    patients = np.tile(np.arange(len(ratings)), 3)
    for coefficient in (percent_agreement, fleiss_kappa, gwet_ac):
        one, three = coefficient(ratings), coefficient(np.tile(ratings, (3, 1)), patients=patients)
        assert (three.low, three.high) == pytest.approx((one.low, one.high), abs=1e-9)
        assert "90 cases of 30 patients" in three.method


def test_accidental_disagreement_about_a_rare_finding_does_not_look_certain():
    first, second = [1] + [0] * 14, [0] * 14 + [1]
    estimate = cohen_kappa(first, second)
    assert estimate.value < 0
    assert estimate.high > 0.5


# --- properties -------------------------------------------------------------------------------------------------------


@st.composite
def any_ratings(draw):
    """Some cases and readers, ratings missing, at least one case with two ratings, some patients with many cases."""
    n, readers = draw(st.integers(1, 12)), draw(st.integers(2, 4))
    rating = st.one_of(st.integers(1, 4), st.just(NONE))
    cells = draw(st.lists(rating, min_size=n * readers, max_size=n * readers))
    table = np.array(cells, dtype=float).reshape(n, readers)
    table[0, :2] = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    return table, draw(st.lists(st.integers(0, 5), min_size=n, max_size=n))


SCALE = [1, 2, 3, 4]


def estimates_of(table, patients, confidence=0.95):
    yield percent_agreement(table, SCALE, patients, confidence)
    for weights in agreement.WEIGHTS:
        yield gwet_ac(table, weights, SCALE, patients, confidence)
    both = table[~np.isnan(table[:, :2]).any(axis=1), :2]
    if np.unique(both).size > 1:
        yield cohen_kappa(table[:, 0], table[:, 1], "linear", SCALE, patients, confidence)
    if np.unique(table[~np.isnan(table)]).size > 1:
        yield fleiss_kappa(table, SCALE, patients, confidence)


@settings(max_examples=80, deadline=None)
@given(any_ratings(), st.sampled_from([0.5, 0.8, 0.95, 0.999]))
def test_interval_is_inside_the_range_holds_the_value_and_has_a_width(ratings, confidence):
    found = list(estimates_of(*ratings, confidence))
    assert len(found) >= 4
    for estimate in found:
        assert_honest(estimate)


@settings(max_examples=40, deadline=None)
@given(any_ratings(), st.integers(0, 99))
def test_order_of_cases_and_readers_does_not_matter(ratings, seed):
    table, patients = ratings
    rng = np.random.default_rng(seed)
    cases = rng.permutation(len(table))
    swapped = np.concatenate([table[:, 1::-1], table[:, 2:]], axis=1)[cases]
    for first, second in zip(
        estimates_of(table, patients), estimates_of(swapped, np.array(patients)[cases]), strict=True
    ):
        assert (first.value, first.low, first.high) == pytest.approx((second.value, second.low, second.high), abs=1e-6)


@settings(max_examples=40, deadline=None)
@given(any_ratings())
def test_names_of_the_categories_do_not_matter(ratings):
    table, patients = ratings
    renamed = 7 - 3 * table
    first = gwet_ac(table, "linear", SCALE, patients)
    second = gwet_ac(renamed, "linear", [7 - 3 * step for step in SCALE], patients)
    assert (first.value, first.low, first.high) == pytest.approx((second.value, second.low, second.high), abs=1e-9)


# --- what can't be judged ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("coefficient", [percent_agreement, fleiss_kappa, gwet_ac])
@pytest.mark.parametrize(
    ("ratings", "message"),
    [
        ([1, 2, 3], "not a table of cases and readers; found 3"),
        ([[1], [2]], "not a table of cases and readers; found 2 by 1"),
        ([["yes", "no"]], "not a table of numbers"),
        ([[1, 2], [1]], "not a table of numbers"),
        ([[1, NONE], [NONE, 2]], "no case was rated by two readers"),
        ([[1, 2], [np.inf, 2]], "a rating is not on the scale; found inf"),
    ],
)
def test_what_is_wrong_is_said(coefficient, ratings, message):
    with pytest.raises(InputError, match=message):
        coefficient(ratings)


def test_all_problems_are_told_at_once():
    with pytest.raises(InputError) as caught:
        gwet_ac([[1, 9], [2, 2]], categories=[1, 2, 2], patients=["a"])
    assert [problem.where for problem in caught.value.problems] == ["categories", "ratings", "patients"]


def test_two_readers_need_the_same_cases_and_a_confidence():
    with pytest.raises(InputError, match="3 and 2 ratings"):
        cohen_kappa([1, 2, 3], [1, 2])
    with pytest.raises(InputError, match="a number between 0 and 1"):
        cohen_kappa([1, 2], [1, 2], confidence=95)


def test_examples_run():
    assert doctest.testmod(agreement).failed == 0
