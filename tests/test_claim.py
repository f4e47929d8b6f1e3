"""When a study may begin in a folder and when it goes on in it."""

from dataclasses import replace

import pytest

from rarelesion import store
from rarelesion.claim import check_inputs, claim_folder, going_on, planning_notes
from rarelesion.config import settings_toml
from rarelesion.errors import InputError
from rarelesion.planning import Plan
from rarelesion.settings import Settings, SplitSettings, TrainingSettings

STORED = Settings(recipes=("tiny",), split=SplitSettings(folds=3), training=TrainingSettings(precision="bfloat16"))


def test_a_new_folder_and_a_run_without_networks_are_free(tmp_path):
    assert claim_folder(tmp_path / "run") is None
    for name in ("splits.json", "provenance.json"):
        store.write_text(tmp_path / "run" / name, "{}")
    store.write_text(tmp_path / "run" / "study.toml", settings_toml(STORED))
    assert claim_folder(tmp_path / "run") is None
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["study.toml"]


@pytest.mark.parametrize("name", ["start-tiny/weights", "tiny-r0f0/checkpoint"])
def test_a_run_with_anything_learnt_goes_on(name, tmp_path):
    store.write_text(tmp_path / "study.toml", settings_toml(STORED))
    store.write_text(tmp_path / "networks" / f"{name}.safetensors", "")
    assert claim_folder(tmp_path) == STORED


def test_a_measured_precision_and_what_was_planned_need_not_be_asked_for_again(tmp_path):
    asked = replace(STORED, recipes=("tiny+lof",), training=TrainingSettings(), split=SplitSettings(folds=5))
    with pytest.raises(InputError, match=r"split.folds: differs from the run in this folder; found 5; expected 3"):
        going_on(tmp_path, STORED, asked, set())
    assert going_on(tmp_path, STORED, asked, {"split.folds"}) == replace(STORED, recipes=("tiny", "tiny+lof"))
    assert going_on(tmp_path, STORED, asked, {"split.folds", "recipes"}) == STORED


def test_another_precision_by_name_is_another_study(tmp_path):
    asked = replace(STORED, training=TrainingSettings(precision="float32"))
    with pytest.raises(InputError, match=r"training.precision: differs .* found 'float32'; expected 'bfloat16'"):
        going_on(tmp_path, STORED, asked, set())


def plan(**changes):
    return replace(Plan(STORED, (), 0, (), 1, {}, {}, 0.0), **changes)


def test_what_was_measured_is_noted_once(tmp_path):
    assert planning_notes(tmp_path, plan()) == {}
    measured = plan(measured={"float32": {"tiny": 0.123456}}, changes=("a is 1, not 2", "b is 3, not 4"))
    notes = {
        "seconds_a_training_image": {"float32": {"tiny": 0.123}},
        "changed_for_time": "a is 1, not 2; b is 3, not 4",
    }
    assert planning_notes(tmp_path, measured) == notes
    store.write_json(tmp_path / "provenance.json", {**notes, "seed": 0})
    assert planning_notes(tmp_path, plan(measured={"float32": {"tiny": 9.0}})) == notes


def test_other_pixels_are_another_run(tmp_path):
    inputs = {"cohort_sha256": "a", "patches_sha256": "b"}
    check_inputs(tmp_path, inputs)
    store.write_json(tmp_path / "provenance.json", inputs)
    check_inputs(tmp_path, inputs)
    with pytest.raises(InputError, match="the pixels of the lesions changed since this run began"):
        check_inputs(tmp_path, inputs | {"patches_sha256": "c"})
