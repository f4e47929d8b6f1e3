"""`auto` in a whole run: its row, choices.json, the report, new cases, going on, and misuse."""

import shutil
from dataclasses import replace

import numpy as np
import pytest

from conftest import GROWN
from rarelesion import metrics, store
from rarelesion.calibration import Platt
from rarelesion.choices import choice_sentences, read_choices
from rarelesion.choosing import Choice
from rarelesion.errors import InputError
from rarelesion.evaluation import evaluate
from rarelesion.prediction import predict_cases
from rarelesion.publish import closing_words, write_report
from rarelesion.settings import StatisticsSettings
from rarelesion.study import run_study


def silent(*_):
    """No progress."""


def rows_of(run):
    return {scores.recipe: scores for scores in store.read_scores(run / "scores.csv")}


def test_the_row_stands_beside_its_candidates_on_the_same_test_cases(grown_run):
    rows = rows_of(grown_run)
    assert list(rows) == ["tiny", "tiny+knnratio", "tiny+knn", "auto", "reader:anna"]
    for split in store.read_splits(grown_run / "splits.json"):
        own = (rows["auto"].fold == split.fold) & (rows["auto"].part == "test")
        assert set(rows["auto"].case_id[own].tolist()) == set(split.test)
    table = (grown_run / "table3.md").read_text(encoding="utf-8")
    assert [line.split("|")[1].strip() for line in table.splitlines() if line.startswith("| auto")] == ["auto"]


def test_in_each_fold_its_area_is_that_of_what_it_chose(grown_run):
    rows, splits = rows_of(grown_run), store.read_splits(grown_run / "splits.json")
    for choice in read_choices(grown_run, splits):
        areas = []
        for name in ("auto", choice.recipe):
            own = (rows[name].fold == choice.fold) & (rows[name].part == "test")
            areas.append(metrics.roc_auc(rows[name].label[own], rows[name].score[own]))
        assert areas[0] == areas[1]


def test_choices_json_says_what_was_chosen_and_how_stable_that_is(grown_run):
    found = store.read_json(grown_run / "choices.json")
    assert list(found["chosen"]) == ["tiny", "tiny+knnratio", "tiny+knn"]
    assert sum(found["chosen"].values()) == len(found["splits"]) == 2
    assert found["same_choice"] == max(found["chosen"].values()) / 2
    assert 0 < found["same_choice_in_resamples"] <= 1
    assert sum(found["chosen_in_resamples"].values()) == pytest.approx(1)
    assert "one standard error" in found["rule"]


def test_the_sentences_are_told_and_reported(grown_run):
    told = closing_words(grown_run)
    assert told[0].startswith("auto chose tiny")
    page = (grown_run / "report.html").read_text(encoding="utf-8")
    assert "What auto chose" in page
    assert told[0] in page.replace("&#39;", "'")
    assert store.read_json(grown_run / "evaluation.json")["choices"]["sentences"][0] == told[0]


def test_it_is_the_row_that_the_report_is_about_and_is_compared_with(grown_run):
    found = store.read_json(grown_run / "evaluation.json")
    assert {one["a"] for one in found["comparisons"] if one["b"] == "tiny"} == {"auto"}
    assert found["remarks"]["auto"]


def test_evaluate_knows_the_row_from_scores_alone(grown_run):
    evaluation = evaluate(store.read_scores(grown_run / "scores.csv"), StatisticsSettings(bootstrap=200), 0)
    stored = store.read_json(grown_run / "evaluation.json")["recipes"]["auto"]["roc_auc"]["value"]
    assert {result.recipe: result.roc_auc.value for result in evaluation.results}["auto"] == stored


def test_a_new_case_is_read_by_what_each_split_chose(grown_run, picture_cohort):
    """The study's own cases: what a fold says of its test cases stands in scores.csv."""
    splits = store.read_splits(grown_run / "splits.json")
    row = rows_of(grown_run)["auto"]
    predictions = {one.case_id: one for one in predict_cases(grown_run, picture_cohort, {}, {}, {}, None)}
    for split in splits:
        for case_id in split.test[:4]:
            reading = next(r for r in predictions[case_id].readings if r.fold == split.fold)
            stored = row.score[(row.case_id == case_id) & (row.fold == split.fold)].item()
            assert reading.score == pytest.approx(stored, rel=1e-3, abs=1e-3)
            assert predictions[case_id].recipe == "auto"
    named = predict_cases(grown_run, picture_cohort, {}, {}, {}, "tiny")
    assert named[0].recipe == "tiny"


def test_lost_choices_are_an_error_for_new_cases_that_says_the_remedy(grown_run, picture_cohort, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(grown_run, run)
    store.write_json(run / "choices.json", {"splits": []})
    with pytest.raises(InputError, match="does not say what was chosen in each split"):
        predict_cases(run, picture_cohort, {}, {}, {}, None)


def test_auto_may_be_added_to_a_finished_run_and_chooses_among_its_recipes(
    finished_run, picture_cohort, tmp_path, quick_settings
):
    run = tmp_path / "run"
    shutil.copytree(finished_run, run)
    before = {path: path.stat().st_mtime_ns for path in (run / "embeddings").iterdir()}
    run_study(picture_cohort, run, replace(quick_settings, recipes=("auto",)), None, silent)
    assert {path: path.stat().st_mtime_ns for path in (run / "embeddings").iterdir()} == before
    assert list(store.read_json(run / "choices.json")["chosen"]) == list(quick_settings.recipes)
    assert "auto" in rows_of(run)
    assert "reader:anna" in rows_of(run)


def test_the_same_command_again_gives_the_same_files(grown_run, picture_cohort, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(grown_run, run)
    run_study(picture_cohort, run, GROWN, picture_cohort.with_name("readers.csv"), silent)
    write_report(run)
    for name in ("scores.csv", "choices.json", "learning_curve_scores.csv", "learning_curve.csv", "study.toml"):
        assert (run / name).read_bytes() == (grown_run / name).read_bytes(), name


def test_auto_with_one_candidate_is_refused_before_anything_is_timed(picture_cohort, quick_settings, tmp_path):
    stages = []
    with pytest.raises(InputError, match="auto has nothing to choose from"):
        run_study(
            picture_cohort,
            tmp_path / "run",
            replace(quick_settings, recipes=("auto", "tiny")),
            None,
            lambda stage, *_: stages.append(stage),
        )
    assert stages == []


def made_choice(recipe, fold, often, optimism=0.0):
    areas = {"tiny": 0.8, "tiny+knn": 0.75}
    return Choice(0, fold, recipe, areas, {"tiny": often, "tiny+knn": 1 - often}, optimism, Platt(0, 1, 0, 1))


def test_the_sentences_in_words():
    steady = choice_sentences([made_choice("tiny", fold, 0.9) for fold in range(3)])
    assert steady[0].startswith("auto chose tiny in 3 of 3 splits, among 2 recipes")
    assert steady[1] == "Had the tuning patients been drawn anew, it would have chosen the same in 90 % of the draws."
    assert len(steady) == 2
    mixed = [
        made_choice("tiny", 0, 0.6, 0.03),
        made_choice("tiny", 1, 0.5, 0.02),
        made_choice("tiny+knn", 2, 0.6, 0.01),
    ]
    first, again, flattered = choice_sentences(mixed)
    assert first.startswith("auto chose tiny in 2, tiny +kNN in 1 of 3 splits")
    assert "in 50 % of the draws; so few cases hardly tell these recipes apart." in again
    assert "by about .02 in ROC-AUC" in flattered
    assert choice_sentences([made_choice("tiny", 0, 0.9)])[0].startswith("auto chose tiny, among 2 recipes")


def test_pooled_probabilities_of_the_row_are_usable(grown_run):
    """All splits share the scale: most log-odds are neither tiny nor huge, whatever the detectors' own units."""
    scores = rows_of(grown_run)["auto"].score
    assert np.isfinite(scores).all()
    assert np.median(np.abs(scores)) < 20
    assert "auto" in store.read_json(grown_run / "evaluation.json")["usefulness"]
