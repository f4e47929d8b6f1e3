"""What is shown before a study starts."""

import json
import tomllib
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from fabricated import FabricatedMachine, make_cohort
from rarelesion import pace
from rarelesion.briefing import plan_text
from rarelesion.cli import app
from rarelesion.config import settings_toml
from rarelesion.pace import Pace
from rarelesion.planning import forecast, plan_study
from rarelesion.settings import CvaeSettings, Settings, SplitSettings, TrainingSettings

COHORT = make_cohort(42, 10)
SETTINGS = Settings(
    recipes=("tiny", "tiny+l2", "tiny+l2+lof", "cvae"),
    split=SplitSettings(folds=2),
    training=TrainingSettings(max_epochs=60, batch_size=16).resolved(),
    cvae=CvaeSettings(max_epochs=20),
)
MACHINE = FabricatedMachine({"tiny": 0.5, "cvae": 0.05}, bfloat16={"tiny": 0.5}, taught=100.0, detect=2.0)


def test_the_whole_plan_is_told():
    assert plan_text(plan_study(SETTINGS, COHORT, MACHINE, 2)).splitlines() == [
        "Plan: 52 cases, 2 folds; 30 to 31 train, 10 to 11 tune, 11 test",
        "  4 recipes from 6 networks",
        "  patches of 100 x 100 px, at most 60 epochs (CVAE: 20), profile fast, batches of 16",
        "  2 networks at a time, bfloat16 (measured: bfloat16 takes 0.50 of the time of float32)",
        "Time on this machine, measured just now, if no network stops early:",
        "  tiny, 4 networks                    15 min",
        "  cvae, 2 networks                      25 s",
        "  teaching tiny textures first    1 min 40 s",
        "  detectors                              4 s",
        "  in all, at most                     17 min",
        "  Usually it is less: a network stops where it no longer gets better on the tuning cases.",
        "  Reading the images and writing the report are not counted.",
    ]


def test_what_is_made_is_counted_and_no_early_stop_promised_where_there_is_none():
    plan = plan_study(replace(SETTINGS, training=replace(SETTINGS.training, max_epochs=20)), COHORT, MACHINE, 1)
    text = plan_text(forecast(plan.settings, COHORT, plan.splits, MACHINE, 1, {"tiny-r0f0", "tiny-r0f1"}))
    assert "4 recipes from 6 networks, 2 of them made already" in text
    assert "at most 20 epochs," in text
    assert "tiny, 2 networks" in text
    assert "measured: bfloat16" not in text
    assert "Usually" not in text


def test_a_frozen_network_is_not_said_to_be_trained_and_hides_no_epochs_of_others():
    frozen = plan_text(plan_study(replace(SETTINGS, recipes=("tiny+frozen+lof",)), COHORT, MACHINE, 2))
    assert "  patches of 100 x 100 px, nothing to be trained, profile fast, batches of 16" in frozen.splitlines()
    both = plan_text(plan_study(replace(SETTINGS, recipes=("tiny", "tiny+frozen+lof")), COHORT, MACHINE, 2))
    assert "px, at most 60 epochs, profile" in both


def test_repeats_and_a_budgets_changes_are_told():
    plan = plan_study(replace(SETTINGS, split=SplitSettings(folds=2, repeats=3)), COHORT, MACHINE, 1)
    text = plan_text(replace(plan, reason="It was too long.", changes=("one thing is less", "another too")))
    assert "2 folds x 3 repeats;" in text
    told = "It was too long.\nChanged to fit, and nothing that you named:\n  one thing is less\n  another too"
    assert text.endswith(told)


def run(*words):
    result = CliRunner().invoke(app, ["study", *map(str, words)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.fixture
def slow_machine(monkeypatch):
    """A second a training image of 100 x 100 pixels; the returned dict says how much faster than that it is."""
    times = {"faster": 1.0, "float32": 1.0, "bfloat16": 2.0}

    def measure(name, settings, workers, threads):
        share = times[settings.training.precision] * (settings.images.side_px / 100) ** 2
        return Pace(share / times["faster"], 0.0)

    monkeypatch.setattr(pace, "measure_pace", measure)
    monkeypatch.setattr(pace, "measure_teaching", lambda *_: 0.0)
    monkeypatch.setattr(pace.training, "has_bfloat16", lambda: True)
    return times


@pytest.fixture
def open_config(tmp_path):
    """Settings that leave a budget its freedom."""
    path = tmp_path / "open.toml"
    path.write_text('[weights]\nsource = "textures"\npretrain_images = 64\n', encoding="utf-8")
    return path


def test_the_plan_of_the_real_machine_comes_before_the_work_and_json_stays_json(
    picture_cohort, quick_settings, tmp_path
):
    config = tmp_path / "study.toml"
    config.write_text(settings_toml(replace(quick_settings, recipes=("tiny", "cvae"))), encoding="utf-8")
    said = run(picture_cohort, "--out", tmp_path / "run", "--config", config, "--folds", 1, "--workers", 1, "--json")
    assert list(json.loads(said.stdout)["recipes"]) == ["tiny", "cvae"]
    assert "Plan: 36 cases, 1 fold; 21 train, 7 tune, 8 test" in said.stderr
    assert "at most 2 epochs (CVAE: 1), profile fast" in said.stderr
    order = ["Plan:", "tiny, 1 network ", "in all, at most", "Reading images", "Training"]
    assert sorted(order, key=said.stderr.index) == order
    again = run(picture_cohort, "--out", tmp_path / "run", "--config", config, "--folds", 1, "--workers", 1)
    assert "Plan:" not in again.output, "nothing is left to do"


def test_a_budget_changes_what_is_free_says_so_and_is_kept_when_the_run_goes_on(
    slow_machine, picture_cohort, open_config, tmp_path
):
    run_folder = tmp_path / "run"
    words = (picture_cohort, "--out", run_folder, "--config", open_config, "--recipes", "tiny", "--workers", 1)
    said = run(*words, "--budget", "2m")
    assert said.exit_code == 0
    for change in ("images.side_px is 64, not 100", "split.folds is 1, not 5", "training.max_epochs is 12, not 60"):
        assert change in said.stderr
    stored = (run_folder / "study.toml").read_text(encoding="utf-8")
    settings = tomllib.loads(stored)
    assert (settings["images"]["side_px"], settings["split"]["folds"]) == (64, 1)
    assert (settings["training"]["max_epochs"], settings["training"]["precision"]) == (12, "float32")
    provenance = json.loads((run_folder / "provenance.json").read_text(encoding="utf-8"))
    assert provenance["seconds_a_training_image"] == {"float32": {"tiny": 0.41}, "bfloat16": {"tiny": 0.819}}
    assert "split.folds is 1, not 5" in provenance["changed_for_time"]

    (run_folder / "embeddings" / "tiny-r0f0.npz").unlink()
    (run_folder / "networks" / "tiny-r0f0" / "weights.safetensors").unlink()
    slow_machine |= {"faster": 1000.0, "float32": 3.0}
    again = run(*words, "--budget", "2m")
    assert again.exit_code == 0
    assert "This run goes on as it was planned when it began" in again.stderr
    assert "Changed to fit" not in again.stderr
    assert (run_folder / "study.toml").read_text(encoding="utf-8") == stored
    assert json.loads((run_folder / "provenance.json").read_text(encoding="utf-8")) == provenance

    refused = run(*words, "--budget", "2m", "--folds", 5)
    assert refused.exit_code == 2
    assert "split.folds: differs from the run in this folder; found 5; expected 1" in refused.stderr


def test_a_budget_that_is_too_small_ends_before_anything_is_written(
    slow_machine, picture_cohort, open_config, tmp_path
):
    words = (picture_cohort, "--out", tmp_path / "run", "--config", open_config, "--workers", 1, "--folds", 5)
    said = run(*words, "--recipes", "tiny", "--budget", "5m")
    assert (said.exit_code, said.stdout) == (2, "")
    assert "--budget: even the smallest plan takes longer" in said.stderr
    assert "or do not name --recipes, --folds yourself" in said.stderr
    assert not (tmp_path / "run").exists()


def test_a_budget_without_a_unit_is_refused(picture_cohort, tmp_path):
    for budget in ("20", ""):
        said = run(picture_cohort, "--out", tmp_path / "run", "--budget", budget)
        assert (said.exit_code, said.stdout) == (2, "")
        assert "expected a time such as 90s, 20m, 1h30m or 2h" in said.stderr
