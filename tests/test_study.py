import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from conftest import SECRET, write_picture_cohort
from rarelesion import fitting, pace, store, training
from rarelesion.errors import InputError
from rarelesion.pace import Pace
from rarelesion.patches import load_patches
from rarelesion.settings import SplitSettings, TextureSettings
from rarelesion.study import PATCHES, TEXTURE_POOL, run_study, texture_pool


def silent(*_):
    """No progress."""


def test_a_run_holds_every_file_of_the_contract(finished_run):
    expected = {
        "study.toml", "cohort.csv", "splits.json", "scores.csv", "table3.csv", "table3.md", "table3.tex",
        "comparisons.csv", "report.html", "provenance.json",
    }  # fmt: skip
    assert expected <= {path.name for path in finished_run.iterdir()}
    jobs = {
        f"{network}-r0f{fold}" for network in ("tiny", "tiny+texture", "tiny+texture+l2", "cvae") for fold in (0, 1)
    }
    assert {path.stem for path in (finished_run / "embeddings").iterdir()} == jobs
    for job in jobs:
        names = {path.name for path in (finished_run / "networks" / job).iterdir()}
        assert names == {"weights.safetensors", "history.csv"}
    figures = {path.stem for path in (finished_run / "figures").glob("*.png")}
    use = {"reliability", "decision_curve"}
    assert figures == {"forest", "figure6", "pr_curves", "figure4", "patches", "training", *use}


def test_scores_hold_every_recipe_and_reader_on_the_same_test_cases(finished_run, quick_settings):
    recipes = {scores.recipe: scores for scores in store.read_scores(finished_run / "scores.csv")}
    assert set(recipes) == {*quick_settings.recipes, "reader:anna"}
    splits = store.read_splits(finished_run / "splits.json")
    for scores in recipes.values():
        for split in splits:
            rows = (scores.fold == split.fold) & (scores.part == "test")
            assert set(scores.case_id[rows].tolist()) == set(split.test)


def test_the_classifier_learns_what_can_be_learnt(finished_run):
    results = json.loads((finished_run / "evaluation.json").read_text(encoding="utf-8"))["recipes"]
    assert max(result["roc_auc"]["value"] for result in results.values()) > 0.8


def test_nothing_of_the_patient_but_the_id_is_in_a_run(finished_run):
    for path in finished_run.rglob("*"):
        assert SECRET not in path.name
        if path.is_file():
            assert SECRET.encode() not in path.read_bytes(), path


def test_the_same_seed_gives_the_same_scores_and_another_seed_others(
    picture_cohort, finished_run, quick_settings, tmp_path
):
    readers = picture_cohort.with_name("readers.csv")
    run_study(picture_cohort, tmp_path / "again", quick_settings, readers, silent)
    first = (finished_run / "scores.csv").read_bytes()
    assert (tmp_path / "again" / "scores.csv").read_bytes() == first
    other = replace(quick_settings, recipes=("tiny",), seed=1)
    run_study(picture_cohort, tmp_path / "other", other, None, silent)
    assert (tmp_path / "other" / "scores.csv").read_bytes() != first


def test_a_stopped_study_goes_on_and_ends_with_the_same_scores(picture_cohort, finished_run, quick_settings, tmp_path):
    trained = []

    def stop_in_the_third(stage, detail, done, total):
        trained.extend([detail.partition(",")[0]] if stage == "Training" else [])
        if len(set(trained)) == 3:
            raise KeyboardInterrupt

    arguments = picture_cohort, tmp_path / "run", quick_settings, picture_cohort.with_name("readers.csv")
    with pytest.raises(KeyboardInterrupt):
        run_study(*arguments, stop_in_the_third)
    assert not (tmp_path / "run" / "scores.csv").exists()
    first_two = list(dict.fromkeys(trained))[:2]
    trained.clear()
    run_study(*arguments, lambda stage, detail, *_: trained.append(detail.partition(",")[0]))
    assert not set(trained) & set(first_two)
    assert len({name for name in trained if name.endswith(("f0", "f1"))}) == 6
    assert (tmp_path / "run" / "scores.csv").read_bytes() == (finished_run / "scores.csv").read_bytes()


def test_lost_embeddings_are_made_from_the_stored_network(
    picture_cohort, finished_run, quick_settings, tmp_path, monkeypatch
):
    folder = tmp_path / "run"
    shutil.copytree(finished_run, folder)
    for path in (folder / "embeddings").iterdir():
        path.unlink()
    monkeypatch.setattr(pace, "measure_pace", lambda *_: Pace(1.0, 1.0))
    monkeypatch.setattr(training, "train_network", lambda *_, **__: pytest.fail("a finished network is trained again"))
    run_study(picture_cohort, folder, quick_settings, picture_cohort.with_name("readers.csv"), silent)
    assert (folder / "scores.csv").read_bytes() == (finished_run / "scores.csv").read_bytes()


def test_recipes_may_be_added_to_a_run_and_the_old_ones_stay(picture_cohort, quick_settings, tmp_path):
    run_study(picture_cohort, tmp_path / "run", replace(quick_settings, recipes=("tiny",)), None, silent)
    before = store.read_scores(tmp_path / "run" / "scores.csv")[0]
    run_study(picture_cohort, tmp_path / "run", replace(quick_settings, recipes=("tiny+knn",)), None, silent)
    after = store.read_scores(tmp_path / "run" / "scores.csv")
    assert [scores.recipe for scores in after] == ["tiny", "tiny+knn"]
    np.testing.assert_array_equal(after[0].score, before.score)


def test_other_settings_need_another_folder(picture_cohort, finished_run, quick_settings):
    other = replace(quick_settings, seed=5, split=SplitSettings(folds=1))
    before = (finished_run / "study.toml").read_bytes()
    with pytest.raises(InputError) as error:
        run_study(picture_cohort, finished_run, other, None, silent)
    assert {problem.where.rpartition(": ")[2] for problem in error.value.problems} == {"seed", "split.folds"}
    assert "another --out" in str(error.value)
    assert (finished_run / "study.toml").read_bytes() == before


def test_another_cohort_needs_another_folder(finished_run, quick_settings, tmp_path):
    cohort = write_picture_cohort(tmp_path / "cohort", 25, 12)
    before = (finished_run / "scores.csv").read_bytes()
    with pytest.raises(InputError, match="cohort changed since this run began"):
        run_study(cohort, finished_run, quick_settings, None, silent)
    assert (finished_run / "scores.csv").read_bytes() == before


def test_a_folder_of_other_things_is_not_touched(picture_cohort, quick_settings, tmp_path):
    (tmp_path / "thesis.doc").write_text("mine", encoding="utf-8")
    with pytest.raises(InputError, match="not empty and holds no run"):
        run_study(picture_cohort, tmp_path, quick_settings, None, silent)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.doc"]


def test_every_wrong_recipe_is_named_before_anything_is_read(quick_settings, tmp_path):
    with pytest.raises(InputError) as error:
        run_study(
            tmp_path / "none.csv", tmp_path / "run", replace(quick_settings, recipes=("vgg19", "lof")), None, silent
        )
    assert len(error.value.problems) == 2


def test_the_texture_pool_is_procedural_or_a_folders(shared_data):
    pool = texture_pool(TextureSettings(), 24, seed=0)
    assert pool.shape == (TEXTURE_POOL, 3, 24, 24)
    photographs = texture_pool(TextureSettings(source=str(shared_data / "textures" / "kth_tips_grey")), 24, seed=0)
    assert photographs.shape == (810, 3, 24, 24)


def test_readers_of_an_earlier_call_stay(picture_cohort, quick_settings, tmp_path):
    settings = replace(quick_settings, recipes=("tiny",))
    run_study(picture_cohort, tmp_path / "run", settings, picture_cohort.with_name("readers.csv"), silent)
    run_study(picture_cohort, tmp_path / "run", settings, None, silent)
    assert [s.recipe for s in store.read_scores(tmp_path / "run" / "scores.csv")] == ["tiny", "reader:anna"]


def test_patches_are_in_a_file_while_the_networks_are_made_and_in_none_after(
    picture_cohort, quick_settings, tmp_path, monkeypatch
):
    """And the numbers are those of patches in memory."""
    settings = replace(quick_settings, recipes=("tiny+texture+lof", "cvae"), split=SplitSettings(folds=1))
    seen = []

    def fit_job(folder, job, material, on_epoch):
        part, _ = fitting._part(material, job.split.train, job.split.train)
        seen.append((type(material.patches.pixels), type(part.pixels), (folder / PATCHES).exists()))
        fitting.fit_job(folder, job, material, on_epoch)

    monkeypatch.setattr("rarelesion.workers.fit_job", fit_job)
    run_study(picture_cohort, tmp_path / "mapped", settings, None, silent)
    assert seen == 2 * [(np.memmap, np.memmap, True)]
    assert not (tmp_path / "mapped" / PATCHES).exists()
    monkeypatch.setattr("rarelesion.study.write_patches", lambda _, *rest: load_patches(*rest))
    run_study(picture_cohort, tmp_path / "memory", settings, None, silent)
    assert seen[2:] == 2 * [(np.ndarray, np.ndarray, False)]
    for name in ("scores.csv", "provenance.json", "findings.json"):
        assert (tmp_path / "mapped" / name).read_bytes() == (tmp_path / "memory" / name).read_bytes()


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("stop", [KeyboardInterrupt(), InputError([])])
def test_a_study_that_is_stopped_leaves_no_file_of_patches_nor_a_stale_one(
    stop, workers, picture_cohort, quick_settings, tmp_path
):
    settings = replace(quick_settings, recipes=("tiny", "tiny+l2"), split=SplitSettings(folds=1))
    stages = []

    def stop_when_training(stage, *_):
        stages.append((stage, (tmp_path / "run" / PATCHES).exists()))
        if stage == "Training":
            raise stop

    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "study.toml").touch()
    (tmp_path / "run" / PATCHES).write_bytes(b"of a run that was killed")
    with pytest.raises(type(stop)):
        run_study(picture_cohort, tmp_path / "run", settings, None, stop_when_training, workers)
    assert ("Reading images", True) in stages
    assert stages[-1] == ("Training", True)
    assert not (tmp_path / "run" / PATCHES).exists()


def test_a_case_that_cannot_be_read_leaves_no_file_of_patches(quick_settings, tmp_path):
    cohort = write_picture_cohort(tmp_path / "cohort", 24, 12)
    next(cohort.parent.glob("*_05_view1.png")).write_bytes(b"torn")
    with pytest.raises(InputError, match="case c05, view1"):
        run_study(cohort, tmp_path / "run", quick_settings, None, silent)
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["splits.json", "study.toml"]
