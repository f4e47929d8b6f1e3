import json
import math
from dataclasses import replace

import numpy as np
import pytest

from fabricated import make_prediction as prediction
from rarelesion import store
from rarelesion.errors import InputError
from rarelesion.prediction import (
    benign_training_scores,
    predict_cases,
    prediction_json,
)
from rarelesion.recipes import Recipe, parse_recipe
from rarelesion.settings import DetectorSettings
from rarelesion.thresholds import choose_threshold
from rarelesion.types import Embeddings

WORDS = ("benign", "malignant")
RECIPES = ("tiny", "tiny+texture", "tiny+texture+l2+lof", "tiny+texture+l2+ocsvm", "cvae")


def predict(run, table, recipe):
    return predict_cases(run, table, {}, {}, {}, recipe)


@pytest.fixture(scope="module")
def readings(finished_run, picture_cohort):
    """Recipe -> the prediction of every case of the study, fed in as if it were new."""
    return {recipe: predict(finished_run, picture_cohort, recipe) for recipe in RECIPES}


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_case_fed_in_again_gets_the_score_it_had_in_the_study(recipe, readings, finished_run):
    scores = next(item for item in store.read_scores(finished_run / "scores.csv") if item.recipe == recipe)
    stored = dict(zip(zip(scores.fold.tolist(), scores.case_id.tolist(), strict=True), scores.score, strict=True))
    again = {(r.fold, one.case_id): r.score for one in readings[recipe] for r in one.readings}
    splits = store.read_splits(finished_run / "splits.json")
    assert len(stored) == sum(len(split.tune) + len(split.test) for split in splits)
    np.testing.assert_allclose([again[key] for key in stored], list(stored.values()), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("recipe", RECIPES)
def test_each_fold_decides_at_the_youden_threshold_of_its_tuning_cases(recipe, readings, finished_run, quick_settings):
    scores = next(item for item in store.read_scores(finished_run / "scores.csv") if item.recipe == recipe)
    for fold in (0, 1):
        rows = (scores.fold == fold) & (scores.part == "tune")
        expected = choose_threshold(scores.label[rows], scores.score[rows])
        np.testing.assert_allclose([one.readings[fold].threshold for one in readings[recipe]], expected)
    for one in readings[recipe]:
        assert one.folds_malignant == sum(r.score >= r.threshold for r in one.readings)
        assert one.decision == ("malignant" if one.folds_malignant >= 1 else "benign")
        assert one.unsure == (one.folds_malignant == 1 or (not one.conformal_note and len(one.possible) != 1))
        assert one.probability == pytest.approx(np.median([r.probability for r in one.readings]))
        assert set(one.possible) == {w for w in WORDS if sum(w in r.possible for r in one.readings) >= 1}
        assert one.score == pytest.approx(np.median([r.score for r in one.readings]))


def test_the_percentile_counts_the_benign_training_cases_that_score_lower(readings, finished_run):
    known = store.read_embeddings(finished_run / "embeddings" / "tiny-r0f0.npz")
    benign = (known.parts == "train") & (known.labels == 0)
    odds = [float(row[1]) - float(row[0]) for row in known.logits[benign]]
    new = next(one for one in readings["tiny"] if one.case_id not in known.case_ids[benign])
    lower = sum(value < new.readings[0].score for value in odds)
    assert new.readings[0].percentile == pytest.approx(100 * lower / len(odds))
    assert new.percentile == pytest.approx(np.mean([r.percentile for r in new.readings]))


def test_a_case_of_the_study_is_recognised_and_is_not_its_own_neighbour(readings):
    for recipe in ("tiny", "tiny+texture+l2+lof"):
        for one in readings[recipe]:
            assert one.known_as == one.case_id
            assert one.case_id not in [neighbour.case_id for neighbour in one.neighbours]
            assert len(one.neighbours) == 5


def test_neighbours_are_the_nearest_embeddings_with_what_is_known_of_them(readings, finished_run):
    ranks = {}
    for fold in (0, 1):
        known = store.read_embeddings(finished_run / "embeddings" / f"tiny-r0f{fold}.npz")
        own = known.vectors[known.case_ids == "c03"][0]
        order = np.argsort(np.linalg.norm(known.vectors - own, axis=1))
        for rank, case_id in enumerate(known.case_ids[order].tolist()):
            ranks[case_id] = ranks.get(case_id, 0) + rank
    expected = sorted(ranks, key=lambda case_id: (ranks[case_id], case_id))[1:6]
    found = next(one for one in readings["tiny"] if one.case_id == "c03").neighbours
    assert [neighbour.case_id for neighbour in found] == expected
    for neighbour in found:
        malignant = int(neighbour.case_id[1:]) >= 24
        assert neighbour.label == ("malignant" if malignant else "benign")
        assert neighbour.subtype == ("spotted" if malignant else "plain")


def made_up() -> Embeddings:
    rng = np.random.default_rng(3)
    return Embeddings(
        network="tiny",
        repeat=0,
        fold=0,
        case_ids=np.array([f"c{i}" for i in range(60)]),
        parts=np.array(["train"] * 50 + ["tune"] * 10),
        labels=np.array([0] * 40 + [1] * 10 + [0, 1] * 5),
        vectors=rng.normal(size=(60, 4)).astype(np.float32),
        logits=rng.normal(size=(60, 2)).astype(np.float32),
    )


def recipe_of(name: str) -> Recipe:
    return parse_recipe(name, ("tiny",), ("lof", "knn"))


def test_a_benign_training_case_is_scored_by_a_detector_that_never_saw_it():
    known, settings = made_up(), DetectorSettings(knn_neighbours=1)
    scores = benign_training_scores(recipe_of("tiny+knn"), known, settings)
    assert len(scores) == 40
    benign = known.vectors[:40].astype(float)
    part_of = np.arange(40) % 10
    expected = [
        min(np.linalg.norm(benign[i] - benign[j]) for j in range(40) if part_of[j] != part_of[i]) for i in range(40)
    ]
    np.testing.assert_allclose(scores, expected, rtol=1e-5)
    assert scores.min() > 0  # a detector fitted on all of them finds each at distance 0 of itself


def test_few_benign_cases_are_left_out_one_by_one():
    known = made_up()
    few = replace(known, labels=np.where(np.arange(60) < 4, 0, 1))
    assert len(benign_training_scores(recipe_of("tiny+knn"), few, DetectorSettings(knn_neighbours=1))) == 4


def test_a_classifiers_benign_scores_are_its_log_odds():
    known = made_up()
    scores = benign_training_scores(recipe_of("tiny"), known, DetectorSettings())
    np.testing.assert_allclose(scores, known.logits[:40, 1].astype(float) - known.logits[:40, 0].astype(float))


def test_json_holds_the_same_as_plain_values():
    content = json.loads(json.dumps(prediction_json(prediction(0.9, 0.2))))
    assert set(content) == {
        "case_id", "recipe", "decision", "unsure", "possible", "conformal_alpha", "conformal_note", "probability",
        "prevalence", "folds_malignant", "percentile", "score", "neighbours", "known_as", "readings",
    }  # fmt: skip
    assert content["readings"][1]["score"] == 0.2
    assert content["neighbours"][0] == {"case_id": "c7", "label": "benign", "subtype": "pleomorphic adenoma"}
    assert math.isclose(content["percentile"], 55)


def test_the_texture_probability_stands_beside_recipes_that_know_textures(readings):
    assert all(r.texture_probability is None for one in readings["tiny"] for r in one.readings)
    assert all(0 <= r.texture_probability <= 1 for one in readings["tiny+texture"] for r in one.readings)


def test_an_unknown_recipe_is_named_with_those_of_the_run(finished_run, picture_cohort):
    with pytest.raises(InputError, match="--recipe: is not in this run; found 'vgg16'; expected one of tiny, "):
        predict(finished_run, picture_cohort, "vgg16")
