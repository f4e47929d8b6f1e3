"""Scores as probabilities, to act on, and with "unsure": what is put together, and what it says of made-up scores."""

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit, logit

from rarelesion.calibration import calibrate_folds
from rarelesion.conformal import conformal_coverage, conformal_folds
from rarelesion.decision import decision_curve
from rarelesion.errors import InputError
from rarelesion.evaluation import evaluate, evaluation_json
from rarelesion.metrics import roc_auc
from rarelesion.miscalibration import brier_skill, calibration_in_the_large, calibration_line
from rarelesion.settings import StatisticsSettings
from rarelesion.usefulness import usefulness
from test_evaluation import recipe
from test_remarks import rows, said

SETTINGS = StatisticsSettings(bootstrap=100, permutations=99)


def test_it_is_the_parts_on_each_folds_own_probabilities():
    scores = recipe("vgg16", 0)
    found, made = usefulness(scores, SETTINGS), calibrate_folds(scores)
    given = made.label, made.score, made.patient_id
    assert found.in_the_large == calibration_in_the_large(*given)
    assert found.slope == calibration_line(*given).slope
    assert found.skill == brier_skill(*given)
    assert found.pooled_roc_auc.value == roc_auc(made.label, made.score)
    assert found.pooled_roc_auc.method.startswith("probabilities of all folds pooled, DeLong")
    np.testing.assert_array_equal(found.decision.model, decision_curve(*given).model)
    tested, sets = conformal_folds(scores, 0.1)
    assert found.conformal == conformal_coverage(tested.label, sets, tested.patient_id)


def test_a_stated_prevalence_moves_the_decision_curve_and_nothing_else():
    scores = rows(200, 100)
    here, there = (usefulness(scores, replace(SETTINGS, prevalence=share)) for share in (None, 0.05))
    assert (here.in_the_large, here.slope, here.skill) == (there.in_the_large, there.slope, there.skill)
    assert there.decision.prevalence == 0.05
    made = calibrate_folds(scores)
    odds = logit(made.score) + logit(0.05) - logit(1 / 3)
    expected = decision_curve(made.label, expit(odds), prevalence=0.05)
    np.testing.assert_allclose(there.decision.model, expected.model, atol=1e-12)


def test_good_scores_are_worth_acting_on_and_useless_ones_are_not():
    good, useless = (usefulness(rows(300, 150, gain=gain), SETTINGS) for gain in (3.0, 0.0))
    assert good.shown_to_help is not None
    assert good.helps is not None
    assert good.helps[0] <= good.shown_to_help[0] < good.shown_to_help[1] <= good.helps[1]
    assert good.shown_to_help[1] - good.shown_to_help[0] > 0.5
    assert useless.shown_to_help is None or useless.shown_to_help[1] - useless.shown_to_help[0] < 0.05
    assert useless.conformal.unsure.value > 0.7
    assert good.conformal.unsure.value < 0.2


def test_without_a_run_of_thresholds_nothing_helps():
    found = usefulness(rows(300, 150), SETTINGS)
    worthless = replace(found.decision, model=found.decision.treat_all, low=found.decision.treat_all)
    assert replace(found, decision=worthless).helps is None
    assert replace(found, decision=worthless).shown_to_help is None


def test_constant_scores_have_no_slope():
    scores = recipe("vgg16", 0)
    found = usefulness(replace(scores, score=np.ones(scores.score.size)), SETTINGS)
    assert found.slope is None
    assert found.helps is None
    assert found.conformal.unsure.value == 1


def test_tuning_cases_of_one_class_give_no_probabilities_and_take_nothing_else_away():
    scores = recipe("vgg16", 0)
    benign = scores.where((scores.part == "test") | (scores.label == 0))
    with pytest.raises(InputError, match="no probability can be made of the scores"):
        usefulness(benign, SETTINGS)
    evaluation = evaluate([benign, recipe("cvae", 1)], SETTINGS, 0)
    assert list(evaluation.usefulness) == ["cvae"]
    assert len(evaluation.results) == 2
    assert "RL208" not in {remark.code for remark in evaluation.remarks["vgg16"]}


@pytest.mark.parametrize(
    ("shift", "stretch", "light", "word"),
    [(0.0, 1.0, "green", "not shown to be wrong"), (0.7, 1.0, "amber", "too high"), (0.0, 4.0, "amber", "too extreme")],
)
def test_wrong_probabilities_are_told(shift, stretch, light, word):
    scores = rows(300, 150, gain=1.5)
    test = scores.part == "test"
    middle = float(np.median(scores.score))
    score = np.where(test, middle + stretch * (scores.score - middle) + shift, scores.score)
    wrong = replace(scores, score=score)
    remark = said(wrong, usefulness=usefulness(wrong, SETTINGS))["RL208"]
    assert remark.light == light
    assert word in remark.meaning


def test_probabilities_worse_than_the_prevalence_are_red():
    scores = rows(100, 50, gain=1.5)
    turned = replace(scores, score=np.where(scores.part == "test", -scores.score, scores.score))
    assert said(turned, usefulness=usefulness(turned, SETTINGS))["RL208"].light == "red"
    flat = replace(scores, score=np.zeros(scores.score.size))
    assert "the score says nothing" in said(flat, usefulness=usefulness(flat, SETTINGS))["RL208"].meaning


def test_json_holds_the_curves_as_plain_numbers():
    recipes = [recipe("vgg16", 0), recipe("reader:a", 1)]
    found = json.loads(json.dumps(evaluation_json(evaluate(recipes, SETTINGS, 0)), allow_nan=False))
    one = found["usefulness"]["vgg16"]
    assert len(one["decision"]["model"]) == len(one["decision"]["thresholds"]) == 99
    assert sum(one["reliability"]["cases"]) == 40
    assert one["conformal"]["alpha"] == 0.1
    assert set(one["skill"]) == {"value", "low", "high", "method"}
