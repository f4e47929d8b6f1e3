"""Each remark by a case that earns each of its lights."""

from dataclasses import replace

import numpy as np
import pytest

from rarelesion.evaluation import evaluate
from rarelesion.metrics import roc_auc
from rarelesion.optimism import chosen_threshold
from rarelesion.remarks import CODES, Context, remarks
from rarelesion.repeated import resampled_mean
from rarelesion.settings import StatisticsSettings
from rarelesion.types import Scores
from rarelesion.usefulness import usefulness
from score_rows import make_scores, separable


def joined(*parts):
    columns = ("repeat", "fold", "part", "case_id", "patient_id", "label", "score")
    return Scores(parts[0].recipe, *(np.concatenate([getattr(part, name) for part in parts]) for name in columns))


def rows(n_benign=40, n_malignant=20, gain=1.5, seed=0, **more):
    """Test cases, and tuning cases like them."""
    label, score = separable(n_benign, n_malignant, seed=seed, gain=gain)
    other, tuned = separable(n_benign, n_malignant, seed=seed + 100, gain=gain)
    tune = make_scores(other, tuned, part="tune", case=[f"tune{number}" for number in range(len(other))])
    return joined(make_scores(label, score, **more), tune)


def said(scores, **context):
    result = evaluate([scores], StatisticsSettings(bootstrap=50), seed=0).results[0]
    found = remarks(scores, result, Context(permutations=200, **context))
    return {remark.code: remark for remark in found}


def test_every_code_is_known_and_every_sentence_ends():
    useful = usefulness(rows(), StatisticsSettings())
    found = said(rows(), usefulness=useful, baselines=[replace(rows(seed=5), recipe="baseline:age")])
    assert list(found) == list(CODES)
    assert all(remark.meaning.endswith(".") and remark.fact for remark in found.values())


@pytest.mark.parametrize(("malignant", "light"), [(6, "red"), (15, "amber"), (35, "green")])
def test_the_rarer_class_decides_how_far_the_counts_carry(malignant, light):
    remark = said(rows(n_malignant=malignant))["RL201"]
    assert remark.light == light
    assert remark.fact == f"40 benign and {malignant} malignant test patients"


def test_patients_are_counted_not_lesions():
    patient = [f"p{number % 8}" for number in range(60)]
    assert said(rows(patient=patient))["RL201"].fact == "8 benign and 8 malignant test patients"


@pytest.mark.parametrize(("cases", "light"), [((15, 6), "red"), ((60, 60), "amber"), ((900, 600), "green")])
def test_the_width_of_the_interval(cases, light):
    assert said(rows(*cases))["RL202"].light == light


def test_one_split_and_one_repeat_say_what_is_not_known():
    assert said(rows())["RL203"].fact == "one split, one seed"
    in_folds = said(rows(fold=np.arange(60) % 2))["RL203"]
    assert in_folds.light == "amber"
    assert in_folds.fact.startswith("2 folds, ROC-AUC 0.")


@pytest.mark.parametrize(("gains", "light"), [((2.0, 2.0), "green"), ((2.0, 1.6), "amber"), ((2.5, 0.2), "red")])
def test_repeats_show_how_much_seeds_matter(gains, light):
    label = np.repeat([0, 1], 60)
    noise = np.random.default_rng(3).normal(size=120)
    parts = [make_scores(label, noise + gain * label, repeat=number) for number, gain in enumerate(gains)]
    assert said(joined(*parts, rows().where(rows().part == "tune")))["RL203"].light == light


def test_chance_is_told_from_a_finding():
    assert said(rows(gain=1.5))["RL204"].light == "green"
    assert "p < 0.005" in said(rows(gain=3))["RL204"].fact
    lost = said(rows(gain=0.0, seed=1))["RL204"]
    assert lost.light == "red"
    assert "not shown to be better than chance" in lost.meaning


def test_a_threshold_read_off_the_test_cases_flatters():
    flattered = said(make_scores(*separable(40, 20)))["RL205"]
    assert flattered.light == "red"
    youden = chosen_threshold(*separable(40, 20)).youden
    numbers = f"{youden.apparent:.2f} as found, {youden.expected.value:.2f} to be expected of new cases"
    assert flattered.fact == f"Youden index {numbers}"
    assert youden.expected.value < youden.apparent
    assert said(rows(n_benign=400, n_malignant=300))["RL205"].light == "green"
    shifted = rows(gain=2)
    score = np.where(shifted.part == "tune", shifted.score + 3, shifted.score)
    assert said(replace(shifted, score=score))["RL205"].light == "red"


@pytest.mark.parametrize(("folds", "light"), [(1, "green"), (5, "amber"), (20, "red")])
def test_small_test_sets_flatter_the_pr_auc(folds, light):
    place = np.concatenate([np.arange(160), np.arange(60)])
    remark = said(rows(160, 60, fold=place % folds))["RL209"]
    assert remark.light == light
    assert remark.fact.startswith(f"{60 / folds:.1f} malignant patients a test set")


def test_folds_say_what_networks_trained_anew_would_reach():
    label, score = separable(60, 40, gain=1.5)
    fold = np.arange(100) % 5
    scores = make_scores(label, score, fold=fold)
    areas = [roc_auc(label[fold == number], score[fold == number]) for number in range(5)]
    expected = resampled_mean(areas, n_test=20, n_train=80)
    words = f"Trained anew on other cases: {expected.low:.2f} to {expected.high:.2f} (corrected resampled t)."
    assert words in said(scores)["RL203"].meaning
    assert "Trained anew" not in said(make_scores(label, score))["RL203"].meaning


def test_looks_are_counted_and_forgiven_only_to_the_row_named_first():
    assert said(rows())["RL206"].light == "green"
    assert said(rows(), rows=16)["RL206"].light == "green"
    chosen = said(rows(), rows=16, named_first=False)["RL206"]
    assert chosen.light == "amber"
    assert "best of 16 equally good ones" in chosen.meaning
    again = said(rows(), rows=16, evaluations=3)["RL206"]
    assert (again.light, again.fact) == ("red", "16 trained rows, 3 evaluations")


@pytest.mark.parametrize(("gain", "light"), [(0.0, "green"), (1.4, "amber"), (4.0, "red")])
def test_a_column_that_does_as_well_is_named(gain, light):
    label = rows().label
    age = np.random.default_rng(8).normal(size=label.size) + gain * label
    remark = said(rows(), baselines=[replace(rows(), recipe="baseline:age", score=age)])["RL207"]
    assert remark.light == light
    assert "age" in remark.fact
