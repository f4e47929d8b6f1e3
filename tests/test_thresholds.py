import doctest

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rarelesion import thresholds
from rarelesion.errors import InputError
from rarelesion.metrics import sensitivity_specificity
from rarelesion.thresholds import RULES, choose_threshold, count_called, parse_rule, place
from test_metrics import labelled_scores, read, reference_cases


def test_examples_run():
    assert doctest.testmod(thresholds).failed == 0


@pytest.mark.parametrize(
    "row", read("operating_rules.csv"), ids=lambda row: f"{row['dataset']}-{row['score']}-{row['rule']}"
)
def test_rules_agree_with_r(row):
    labels, scores = reference_cases(row["dataset"], row["score"])
    threshold = choose_threshold(labels, scores, row["rule"].replace(" ", ","))
    found = sensitivity_specificity(labels, scores, threshold)
    assert found == pytest.approx((float(row["sensitivity"]), float(row["specificity"])), abs=1e-12)


LABELS, SCORES = [0, 0, 0, 1, 0, 1, 1, 0, 1, 1], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]


@pytest.mark.parametrize(
    ("rule", "threshold"),
    [
        ("sensitivity>=1", 3.5),
        ("sensitivity>=0.8", 5.5),
        ("sensitivity>=0.81", 3.5),
        ("specificity>=0.8", 5.5),
        ("specificity>=0.81", 8.5),
        ("specificity>=0.6", 3.5),
        ("cost=100", 3.5),
        ("cost=0.4", 8.5),
        ("cost=1,prevalence=0.01", 8.5),
        ("cost=1,prevalence=0.99", 3.5),
    ],
)
def test_hand_counted_thresholds(rule, threshold):
    assert choose_threshold(LABELS, SCORES, rule) == threshold


def test_of_equally_specific_thresholds_the_most_sensitive_is_taken():
    assert choose_threshold([0, 1, 1, 1], [1, 2, 3, 4], "sensitivity>=0.3") == 1.5
    assert choose_threshold([0, 0, 0, 1], [1, 2, 3, 4], "specificity>=0.3") == 3.5


def test_demands_that_only_the_extremes_reach():
    assert choose_threshold([1, 0, 0, 1], [1, 2, 3, 4], "sensitivity>=0.9") == 1  # the lowest score calls all
    assert choose_threshold([1, 1, 0, 0], [1, 2, 3, 4], "specificity>=0.9") == 4.5  # above the highest calls none
    one_value = choose_threshold([1, 0], [2.0, 2.0], "specificity>=0.9")
    assert one_value == np.nextafter(2.0, 3.0)
    with pytest.raises(InputError, match="no number lies above the highest score"):
        choose_threshold([0, 1], [np.finfo(float).max] * 2, "specificity>=0.9")


def test_demands_are_not_missed_by_rounding():
    labels, scores = np.repeat([1, 0], [20, 1]), np.append(np.arange(20.0), -1.0)
    for share in np.arange(1, 21) / 20:  # 0.55 * 20 is a little above 11
        threshold = choose_threshold(labels, np.append(np.arange(20.0), 99.0), f"sensitivity>={share}")
        assert threshold <= 20 - round(20 * share)
    assert choose_threshold(1 - labels, -scores, "specificity>=0.55") < np.inf


@settings(max_examples=60, deadline=None)
@pytest.mark.parametrize("rule", RULES)
@given(labelled_scores(), st.integers(0, 99))
def test_every_rule_gives_a_finite_threshold_between_scores_whatever_the_order(rule, drawn, seed):
    labels, scores = drawn
    threshold = choose_threshold(labels, scores, rule)
    assert type(threshold) is float
    assert np.isfinite(threshold)
    assert threshold == scores.min() or threshold not in scores
    order = np.random.default_rng(seed).permutation(labels.size)
    assert choose_threshold(labels[order], scores[order], rule) == threshold


@given(labelled_scores(), st.integers(1, 20))
def test_demands_are_met_as_cheaply_as_can_be(drawn, twentieths):
    labels, scores = drawn
    least = twentieths / 20
    points = [sensitivity_specificity(labels, scores, cut) for cut in [*np.unique(scores), np.inf]]
    for which, name in enumerate(("sensitivity", "specificity")):
        found = sensitivity_specificity(labels, scores, choose_threshold(labels, scores, f"{name}>={least}"))
        assert found[which] >= least - 1e-9
        best = max((point[1 - which], point[which]) for point in points if point[which] >= least - 1e-9)
        assert (found[1 - which], found[which]) == pytest.approx(best)


@given(labelled_scores(), st.sampled_from([0.1, 0.5, 1.0, 3.0, 20.0]), st.sampled_from([0.02, 0.3, 0.8]))
def test_cost_rule_has_the_least_expected_cost(drawn, cost, prevalence):
    labels, scores = drawn

    def price(threshold, share):
        sensitivity, specificity = sensitivity_specificity(labels, scores, threshold)
        return share * cost * (1 - sensitivity) + (1 - share) * (1 - specificity)

    cuts = [*np.unique(scores), np.inf]
    for rule, share in ((f"cost={cost},prevalence={prevalence}", prevalence), (f"cost={cost}", labels.mean())):
        chosen = choose_threshold(labels, scores, rule)
        assert price(chosen, share) == pytest.approx(min(price(cut, share) for cut in cuts), abs=1e-9)


@given(labelled_scores(), st.sampled_from(list(RULES)), st.data())
def test_a_weight_is_a_number_of_copies(drawn, rule, data):
    labels, scores = drawn
    copies = np.array(data.draw(st.lists(st.integers(0, 2), min_size=labels.size, max_size=labels.size)))
    copies[[np.argmax(labels == 0), np.argmax(labels == 1)]] = 1
    called = count_called(labels == 1, scores, copies[None].astype(float))
    found = place(called, parse_rule(rule).choose(called.hits, called.alarms))
    assert found.tolist() == [choose_threshold(np.repeat(labels, copies), np.repeat(scores, copies), rule)]


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_is_known_by_its_own_name(rule):
    assert parse_rule(rule).text == rule
    assert parse_rule(f" {rule.upper().replace('=', ' = ').replace('> =', '>=')} ").text == rule


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("yuden", "unknown; found 'yuden'; expected one like youden, sensitivity>=0.95"),
        ("sensitivity>0.9", "unknown"),
        ("", "unknown"),
        (0.5, "unknown; found 0.5"),
        ("sensitivity>=95", r"the sensitivity is not a share; found 95; .* Write 0.95 for 95 %"),
        ("specificity>=0", "the specificity is not a share"),
        ("sensitivity>=-0.5", "the sensitivity is not a share"),
        ("cost=0", "the cost is not a ratio"),
        ("cost=1e999", "the cost is not a ratio"),
        ("cost=3,prevalence=1", "the prevalence is not a share"),
        ("cost=3,prevalence=20", "Write 0.2 for 20 %"),
    ],
)
def test_rules_that_cannot_be_say_why(text, message):
    with pytest.raises(InputError, match=message):
        choose_threshold([0, 1], [0.0, 1.0], text)


def test_broken_scores_are_named():
    with pytest.raises(InputError, match="only one class; found 2 malignant"):
        choose_threshold([1, 1], [0.0, 1.0])
    with pytest.raises(InputError, match="a score is not a finite number; found nan"):
        choose_threshold([0, 1], [0.0, float("nan")])
    with pytest.raises(InputError, match="neither benign nor malignant; found 2"):
        choose_threshold([0, 2], [0.0, 1.0])
