from dataclasses import replace

import numpy as np
import pytest

from rarelesion.compare import benjamini_hochberg, compare_roc_auc, compare_unpaired_roc_auc, holm
from rarelesion.errors import InputError
from rarelesion.evaluation import evaluate
from rarelesion.intervals import pr_auc_estimate, roc_auc_estimate
from rarelesion.operating import operating_point
from rarelesion.settings import StatisticsSettings
from rarelesion.types import Scores
from score_rows import make_scores, separable

SETTINGS = StatisticsSettings(bootstrap=200, confidence=0.9)


def recipe(name, seed, gain=1.0, tune=True):
    """A recipe on two folds of 20 cases; each fold's tuning cases are the other fold's test cases."""
    fold, rng = np.arange(40) % 2, np.random.default_rng(seed)
    label = (np.arange(40) % 8 > 5).astype(int)
    scores = [rng.normal(size=40) + gain * label + 5 * number for number in (0, 1)]
    columns = []
    for number in (0, 1):
        for part, here in (("test", fold == number), ("tune", fold != number))[: 1 + tune]:
            index = np.flatnonzero(here)
            case = np.array([f"case{i}" for i in index])
            n = index.size
            columns.append(
                (
                    np.zeros(n, int),
                    np.full(n, number),
                    np.full(n, part),
                    case,
                    case,
                    label[index],
                    scores[number][index],
                )
            )
    return Scores(name, *(np.concatenate(column) for column in zip(*columns, strict=True)))


def pairs(evaluation):
    return [(comparison.a, comparison.b) for comparison in evaluation.comparisons]


def test_one_row_a_recipe_in_the_papers_order():
    recipes = [recipe(name, i) for i, name in enumerate(["reader:jo", "cvae", "vgg16+texture", "vgg16"])]
    results = evaluate(recipes, SETTINGS, seed=3).results
    assert [result.recipe for result in results] == ["vgg16", "vgg16+texture", "cvae", "reader:jo"]
    for result, scores in zip(results, recipes[::-1], strict=True):
        assert (result.n_benign, result.n_malignant) == (30, 10)
        assert result.roc_auc == roc_auc_estimate(scores, 0.9)
        assert result.pr_auc == pr_auc_estimate(scores, 0.9, 200, seed=3)
        assert result.youden == operating_point(scores, "test", 0.9)
        assert result.tuned == operating_point(scores, "tune", 0.9)


def test_settings_choose_the_interval():
    scores = recipe("vgg16", 0)
    for interval in ("delong", "bootstrap"):
        found = evaluate([scores], StatisticsSettings(interval=interval, bootstrap=100), seed=5).results[0].roc_auc
        assert found == roc_auc_estimate(scores, 0.95, interval, 100, seed=5)


def test_the_proposed_recipe_is_compared_with_all_and_readers_with_every_trained_one():
    names = ["vgg16", "vgg16+texture+l2+lof", "cvae", "reader:a", "reader:b"]
    recipes = {name: recipe(name, i) for i, name in enumerate(names)}
    evaluation = evaluate(list(recipes.values()), SETTINGS, seed=0)
    proposed = "vgg16+texture+l2+lof"
    assert pairs(evaluation) == [
        *((proposed, name) for name in names if name != proposed),
        ("vgg16", "reader:a"),
        ("cvae", "reader:a"),
        ("vgg16", "reader:b"),
        ("cvae", "reader:b"),
    ]
    raw = [compare_roc_auc(recipes[a], recipes[b], 0.9) for a, b in pairs(evaluation)]
    assert [comparison.p for comparison in evaluation.comparisons] == [comparison.p for comparison in raw]
    assert [comparison.p_adjusted for comparison in evaluation.comparisons] == list(
        holm([comparison.p for comparison in raw])
    )


def test_reference_can_be_named_and_is_else_the_first_row():
    recipes = [recipe(name, i) for i, name in enumerate(["resnet50", "vgg16", "reader:a"])]
    assert pairs(evaluate(recipes, SETTINGS, 0)) == [
        ("vgg16", "resnet50"),
        ("vgg16", "reader:a"),
        ("resnet50", "reader:a"),
    ]
    named = StatisticsSettings(bootstrap=50, reference="reader:a")
    assert pairs(evaluate(recipes, named, 0)) == [("reader:a", "vgg16"), ("reader:a", "resnet50")]
    with pytest.raises(
        InputError, match=r"statistics.reference: no such recipe; found 'vgg'; expected vgg16, resnet50"
    ):
        evaluate(recipes, StatisticsSettings(reference="vgg"), 0)


def test_a_single_recipe_has_no_comparisons():
    assert evaluate([recipe("vgg16", 0)], SETTINGS, 0).comparisons == ()


def test_without_usable_tuning_cases_there_is_no_tuned_point():
    assert evaluate([recipe("vgg16", 0, tune=False)], SETTINGS, 0).results[0].tuned is None
    scores = recipe("vgg16", 0)
    benign_only = scores.where((scores.part == "test") | (scores.label == 0))
    assert evaluate([benign_only], SETTINGS, 0).results[0].tuned is None


def test_cases_are_counted_once_over_repeats():
    label, score = separable(12, 5)
    case = [f"case{i}" for i in range(17)]
    repeated = make_scores(np.tile(label, 2), np.tile(score, 2), repeat=np.repeat([0, 1], 17), case=case * 2)
    result = evaluate([repeated], SETTINGS, 0).results[0]
    assert (result.n_benign, result.n_malignant) == (12, 5)


def test_bad_input():
    with pytest.raises(InputError, match="recipes must be named once each; found none"):
        evaluate([], SETTINGS, 0)
    with pytest.raises(InputError, match="recipes must be named once each; found vgg16, vgg16"):
        evaluate([recipe("vgg16", 0), recipe("vgg16", 1)], SETTINGS, 0)
    broken = make_scores([0, 1, 1], [0.5, float("nan"), 1.0])
    with pytest.raises(InputError, match="score of case case1; found nan"):
        evaluate([broken], SETTINGS, 0)


def test_settings_place_the_tuned_threshold_and_state_the_prevalence():
    scores = recipe("vgg16", 0)
    settings = replace(SETTINGS, threshold="sensitivity>=0.9", prevalence=0.05)
    found = evaluate([scores], settings, 0).results[0]
    assert found.tuned == operating_point(scores, "tune", 0.9, "sensitivity>=0.9", 0.05)
    assert found.tuned.at_prevalence.prevalence == 0.05
    assert found.youden.rule == "youden"


def test_decisions_of_the_reference_are_compared_with_every_readers():
    recipes = {name: recipe(name, i) for i, name in enumerate(["vgg16", "cvae", "reader:a", "reader:b"])}
    found = evaluate(list(recipes.values()), SETTINGS, 0).decisions
    assert [(one.a, one.b, one.measure) for one in found] == [
        ("vgg16", reader, measure) for reader in ("reader:a", "reader:b") for measure in ("sensitivity", "specificity")
    ]
    points = {name: operating_point(scores, "tune", 0.9) for name, scores in recipes.items()}
    for one in found:
        a, b = (getattr(points[name], one.measure).value for name in (one.a, one.b))
        assert one.difference == pytest.approx(a - b)
    assert [one.p_adjusted for one in found] == list(holm([one.p for one in found]))
    assert evaluate([recipe("vgg16", 0, tune=False), recipes["reader:a"]], SETTINGS, 0).decisions == ()


def test_recipes_of_other_cases_are_compared_as_two_groups():
    here, elsewhere = recipe("vgg16", 0), recipe("cvae", 1)
    others = np.array([f"other {name}" for name in elsewhere.case_id])
    elsewhere = replace(elsewhere, case_id=others, patient_id=others)
    reader = replace(recipe("reader:a", 2), case_id=others, patient_id=others)
    evaluation = evaluate([here, elsewhere, reader], SETTINGS, 0)
    first, _, last = evaluation.comparisons
    assert first == replace(compare_unpaired_roc_auc(here, elsewhere, 0.9), p_adjusted=first.p_adjusted)
    assert "unpaired DeLong" in first.test
    assert last.test == "mean of 2 folds, paired DeLong"
    assert evaluation.decisions == ()
    with pytest.raises(InputError, match="no reader of the same cases"):
        evaluate([here, elsewhere, reader], replace(SETTINGS, margin=0.1), 0)


def test_cases_that_one_of_two_has_not_are_left_out_and_that_is_said():
    whole, part = recipe("vgg16", 0), recipe("cvae", 1)
    part = part.where(np.char.find(part.case_id, "3") < 0)
    (found,) = evaluate([whole, part], SETTINGS, 0).comparisons
    assert found.test == "mean of 2 folds, paired DeLong on the 27 cases that both scored"


def test_a_reader_as_reference_meets_every_trained_recipe():
    recipes = [recipe(name, i) for i, name in enumerate(["vgg16", "cvae", "reader:a"])]
    evaluation = evaluate(recipes, replace(SETTINGS, reference="reader:a", margin=0.1), 0)
    assert [(one.a, one.b) for one in evaluation.noninferiority] == [("vgg16", "reader:a"), ("cvae", "reader:a")]


def test_p_values_can_be_adjusted_for_screening():
    recipes = [recipe(name, i) for i, name in enumerate(["vgg16", "vgg16+texture", "cvae", "reader:a"])]
    evaluation = evaluate(recipes, replace(SETTINGS, adjust="benjamini-hochberg"), 0)
    assert evaluation.adjustment == "Benjamini and Hochberg"
    expected = benjamini_hochberg([one.p for one in evaluation.comparisons])
    assert [one.p_adjusted for one in evaluation.comparisons] == list(expected)


def test_a_margin_needs_a_reader():
    with pytest.raises(InputError, match="there is no reader of the same cases"):
        evaluate([recipe("vgg16", 0), recipe("cvae", 1)], replace(SETTINGS, margin=0.05), 0)
