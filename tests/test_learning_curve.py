"""`--learning-curve` in a whole run: its networks, files and sentences; going on; misuse."""

import csv
import io
import shutil
from dataclasses import replace

import numpy as np
import pytest

from conftest import GROWN
from fabricated import FabricatedMachine, make_cohort
from rarelesion import store
from rarelesion.briefing import plan_text
from rarelesion.config import read_settings
from rarelesion.errors import InputError
from rarelesion.fitting import job_seed
from rarelesion.growth import Forecast, LearningCurve, Point
from rarelesion.learning_curve import check_curves, curve_jobs, curve_names, curve_sentence, read_curves
from rarelesion.planning import forecast, parse_recipes
from rarelesion.power_law import fit_power_law
from rarelesion.publish import closing_words
from rarelesion.settings import LearningCurveSettings, Settings, SplitSettings, TrainingSettings
from rarelesion.splits import make_splits
from rarelesion.study import run_study
from rarelesion.types import Estimate

NETWORKS = {f"tiny-r0f{fold}-share{share}-draw{draw}" for fold in (0, 1) for share, draw in ((40, 0), (40, 1), (70, 0))}


def silent(*_):
    """No progress."""


def wanted(*names, recipes=("tiny", "tiny+knn"), **others):
    return replace(Settings(recipes=recipes), learning_curve=LearningCurveSettings(recipes=names, **others))


# --- which networks ------------------------------------------------------------------------------------------------


def test_larger_shares_get_fewer_draws_and_none_gets_none():
    assert LearningCurveSettings().sizes() == {0.25: 3, 0.35: 2, 0.5: 2, 0.71: 1}
    assert LearningCurveSettings(shares=(0.1, 0.9), draws=2).sizes() == {0.1: 2, 0.9: 1}


def test_the_lead_is_the_reports_row_and_never_the_choice_among_rows():
    assert curve_names(wanted("lead")) == ("tiny",)
    assert curve_names(wanted("lead", recipes=("auto", "vgg16", "vgg16+texture+l2+lof"))) == ("vgg16+texture+l2+lof",)
    assert curve_names(wanted("tiny", "lead", "tiny", recipes=("tiny",))) == ("tiny",)
    assert curve_names(wanted()) == ()


def test_recipes_share_networks_and_each_has_its_own_seed_and_smaller_training_part():
    cohort = make_cohort(40, 20)
    settings = replace(wanted("tiny", "tiny+knn"), split=SplitSettings(folds=2))
    splits = make_splits(cohort, settings.split, 0)
    jobs = curve_jobs(settings, parse_recipes(settings), splits, cohort)
    assert len(jobs) == len({job.id for job in jobs}) == 2 * (3 + 2 + 2 + 1)
    assert len({job_seed(0, job) for job in jobs}) == len(jobs)
    for job in jobs:
        whole = next(split for split in splits if split.fold == job.split.fold)
        share = float(job.subset.partition("-")[0].removeprefix("share")) / 100
        assert set(job.split.train) < set(whole.train)
        assert len(job.split.train) == pytest.approx(share * len(whole.train), abs=2)
        assert (job.split.tune, job.split.test) == (whole.tune, whole.test)


def test_without_a_wish_nothing_is_trained_besides():
    cohort = make_cohort(40, 20)
    settings = wanted()
    splits = make_splits(cohort, settings.split, 0)
    assert curve_jobs(settings, parse_recipes(settings), splits, cohort) == ()


def test_the_forecast_of_time_counts_them_and_the_plan_names_them():
    cohort = make_cohort(40, 20)
    training = TrainingSettings(max_epochs=10, precision="float32").resolved()
    settings = replace(wanted("tiny", recipes=("tiny",)), split=SplitSettings(folds=1), training=training)
    splits = make_splits(cohort, settings.split, 0)
    machine = FabricatedMachine({"tiny": 0.1})
    without = forecast(replace(settings, learning_curve=LearningCurveSettings()), cohort, splits, machine, 1)
    plan = forecast(settings, cohort, splits, machine, 1)
    assert without.seconds == pytest.approx(10 * 36 * 0.1)
    smaller = sum(len(job.split.train) for job in plan.left if job.subset)
    assert plan.seconds == pytest.approx(10 * (36 + smaller) * 0.1)
    assert plan.n_networks == 9
    assert "learning curve of tiny: 8 networks of those left" in plan_text(plan)


# --- a run ---------------------------------------------------------------------------------------------------------


def test_its_networks_and_scores_lie_in_the_run(grown_run):
    made = {path.parent.name for path in (grown_run / "networks").glob("tiny-*/weights.safetensors")}
    assert made == NETWORKS | {"tiny-r0f0", "tiny-r0f1"}
    assert {path.stem for path in (grown_run / "embeddings").iterdir()} == made
    names = {scores.recipe for scores in store.read_scores(grown_run / "learning_curve_scores.csv")}
    assert names == {"tiny share40-draw0", "tiny share40-draw1", "tiny share70-draw0"}
    assert read_settings(grown_run / "study.toml").learning_curve.recipes == ("tiny",)


def test_all_sizes_are_tested_on_the_same_cases(grown_run):
    whole = next(one for one in store.read_scores(grown_run / "scores.csv") if one.recipe == "tiny")
    whole = whole.where(whole.part == "test")
    for scores in store.read_scores(grown_run / "learning_curve_scores.csv"):
        for name in ("case_id", "fold", "label", "part"):
            np.testing.assert_array_equal(getattr(scores, name), getattr(whole, name))
        assert not np.array_equal(scores.score, whole.score)


def test_learning_curve_csv_holds_the_points_and_the_forecast(grown_run):
    rows = list(csv.DictReader(io.StringIO(store.read_text(grown_run / "learning_curve.csv"))))
    assert [(row["what"], row["share"], row["draws"]) for row in rows[:-1]] == [
        ("measured", "0.4", "2"),
        ("measured", "0.7", "1"),
        ("measured", "1.0", "1"),
    ]
    assert rows[-1]["what"] == "forecast"
    found = store.read_json(grown_run / "evaluation.json")
    assert float(rows[2]["roc_auc"]) == found["recipes"]["tiny"]["roc_auc"]["value"]
    ahead = found["learning_curve"]["recipes"]["tiny"]["forecast"]
    assert ahead["more"] == 36
    assert float(rows[-1]["training_cases"]) == ahead["cases_then"] == 2 * ahead["cases_now"]
    for row in rows[:3]:
        assert float(row["low"]) <= float(row["roc_auc"]) <= float(row["high"])


def test_the_curve_is_told_and_reported_with_its_figure(grown_run):
    assert {path.suffix for path in (grown_run / "figures").glob("learning_curve.*")} == {".png", ".svg"}
    page = store.read_text(grown_run / "report.html")
    assert "Would more cases help?" in page
    assert "The learning curve" in page
    assert "share40" not in page
    (sentence,) = [one for one in closing_words(grown_run) if "another 36 cases" in one.lower()]
    assert "tiny" in sentence


def test_another_call_without_the_wish_keeps_the_curve(grown_run, picture_cohort, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(grown_run, run)
    run_study(picture_cohort, run, replace(GROWN, learning_curve=LearningCurveSettings()), None, silent)
    assert read_settings(run / "study.toml").learning_curve == replace(GROWN.learning_curve, recipes=("tiny",))
    scores = "learning_curve_scores.csv"
    assert (run / scores).read_bytes() == (grown_run / scores).read_bytes()


def test_a_curve_may_be_added_to_a_finished_run(finished_run, grown_run, picture_cohort, quick_settings, tmp_path):
    """Its networks are those of a study that had the wish from the start, and no other is trained."""
    run = tmp_path / "run"
    shutil.copytree(finished_run, run)
    before = {path: path.stat().st_mtime_ns for path in (run / "networks").glob("*/weights.safetensors")}
    curve = replace(GROWN.learning_curve, recipes=("tiny",))
    run_study(picture_cohort, run, replace(quick_settings, learning_curve=curve), None, silent)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    scores = "learning_curve_scores.csv"
    assert (run / scores).read_bytes() == (grown_run / scores).read_bytes()


def test_lost_scores_are_an_error_that_says_the_remedy(grown_run, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(grown_run, run)
    settings = read_settings(run / "study.toml")
    scores = store.read_scores(run / "scores.csv")
    store.write_scores(run / "learning_curve_scores.csv", store.read_scores(run / "learning_curve_scores.csv")[:1])
    with pytest.raises(InputError, match="lacks a row"):
        read_curves(run, settings, scores)


# --- words ---------------------------------------------------------------------------------------------------------


def made(value, low, high):
    return Estimate(value, low, high, "made up")


def curve_with(gain, slope, now=0.84, measured=0.84):
    areas = (0.7, 0.78, measured)
    points = tuple(
        Point(n / 300, n, 1, made(area, area - 0.05, area + 0.05))
        for n, area in zip((75, 150, 300), areas, strict=True)
    )
    ahead = Forecast(100, 300.0, 360.0, made(now, 0.8, 0.88), made(now + gain[0], 0.82, 0.9), made(*gain), made(*slope))
    law = fit_power_law([75, 150, 300], areas)
    nothing = np.empty(0)
    return LearningCurve("vgg16+texture", points, law, ahead, nothing, nothing, nothing, nothing)


RISE, LEVEL, UNSEEN, FALL = (0.06, 0.02, 0.1), (0.002, -0.004, 0.006), (0.03, -0.01, 0.08), (-0.05, -0.09, -0.01)


def test_a_rising_curve_says_what_another_hundred_cases_would_bring():
    assert curve_sentence(curve_with((0.03, 0.01, 0.05), RISE), 0.95) == (
        "Another 100 cases (60 of them to train on) would be expected to bring the ROC-AUC of VGG16 +texture from .84 "
        "to .87 (95 % interval .82 to .90): a gain of .03 (.01 to .05)."
    )
    beside = curve_sentence(curve_with((0.03, 0.01, 0.05), RISE, measured=0.86), 0.9)
    assert "from .84 (measured: .86) to .87 (90 % interval" in beside


def test_a_flat_curve_says_that_more_cases_would_not_help():
    sentence = curve_sentence(curve_with((0.001, 0.0, 0.006), LEVEL), 0.95)
    assert sentence.startswith("The learning curve of VGG16 +texture is flat: another 100 cases")
    assert "by less than .01" in sentence
    assert "narrow the intervals" in sentence


def test_a_curve_that_says_nothing_says_so():
    sentence = curve_sentence(curve_with((0.02, 0.0, 0.06), UNSEEN), 0.95)
    assert sentence.startswith("Whether more cases would help VGG16 +texture is not shown")
    assert "a gain of .00 to .06" in sentence
    assert "would be expected" not in sentence


def test_a_falling_curve_forecasts_nothing():
    sentence = curve_sentence(curve_with((0.0, 0.0, 0.0), FALL), 0.95)
    assert "fell as training cases were added" in sentence
    assert sentence.endswith("Nothing is forecast.")


# --- misuse --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("reader:anna", "a reader is not trained on the cases"),
        ("vgg16", "is not in this study"),
        ("auto", "a choice among recipes has no network of its own"),
    ],
)
def test_what_has_no_curve_is_refused_by_name(name, what):
    settings = wanted(name, recipes=("auto", "tiny", "tiny+knn"))
    with pytest.raises(InputError, match=what):
        check_curves(settings, parse_recipes(settings))


def test_one_share_is_too_few():
    settings = wanted("tiny", shares=(0.5,))
    with pytest.raises(InputError, match="too few sizes for a curve"):
        check_curves(settings, parse_recipes(settings))


def test_shares_are_shares(tmp_path):
    for words in ("[0.5, 1.2]", "[0.5, 0.25]"):
        (tmp_path / "study.toml").write_text(f"[learning_curve]\nshares = {words}\n", encoding="utf-8")
        with pytest.raises(InputError, match=r"learning_curve\.shares"):
            read_settings(tmp_path / "study.toml")


def test_a_wrong_wish_is_found_before_anything_is_timed(picture_cohort, quick_settings, tmp_path):
    stages = []
    settings = replace(quick_settings, learning_curve=LearningCurveSettings(recipes=("reader:anna",)))
    with pytest.raises(InputError, match="a reader is not trained"):
        run_study(picture_cohort, tmp_path / "run", settings, None, lambda stage, *_: stages.append(stage))
    assert stages == []
