import shutil
from dataclasses import replace

import numpy as np
import pytest

from rarelesion import store
from rarelesion.backbones import BACKBONES
from rarelesion.cohort import read_cohort
from rarelesion.errors import InputError
from rarelesion.fitting import (
    Material,
    fit_job,
    job_seed,
    restore_classifier,
    restore_cvae,
)
from rarelesion.jobs import NetworkJob, network_jobs
from rarelesion.patches import load_patches
from rarelesion.recipes import parse_recipe
from rarelesion.training import embed
from rarelesion.types import Split

SPLITS = (Split(0, 0, ("a",), ("b",), ("c",)), Split(1, 2, ("b",), ("c",), ("a",)))


def recipes(*names):
    return [parse_recipe(name, tuple(BACKBONES), ("lof", "knn")) for name in names]


def silent(*_):
    """No progress."""


def test_recipes_that_share_a_network_train_it_once_a_split():
    jobs = network_jobs(recipes("tiny", "tiny+lof", "tiny+texture+l2", "tiny+texture+l2+knn", "cvae"), SPLITS)
    assert [job.id for job in jobs] == [
        "tiny-r0f0", "tiny+texture+l2-r0f0", "cvae-r0f0", "tiny-r1f2", "tiny+texture+l2-r1f2", "cvae-r1f2",
    ]  # fmt: skip
    assert [(job.backbone, job.texture, job.l2) for job in jobs[:3]] == [
        ("tiny", False, False), ("tiny", True, True), ("cvae", False, False),
    ]  # fmt: skip


def test_a_networks_seed_is_its_own_whatever_else_is_trained():
    alone = network_jobs(recipes("tiny+l2"), SPLITS[1:])[0]
    among = next(job for job in network_jobs(recipes("cvae", "tiny", "tiny+l2"), SPLITS) if job.id == alone.id)
    assert job_seed(3, alone) == job_seed(3, among)
    jobs = network_jobs(recipes("tiny", "tiny+l2", "tiny+texture", "cvae"), SPLITS)
    assert len({job_seed(seed, job) for seed in (0, 1) for job in jobs}) == 2 * len(jobs)


@pytest.fixture(scope="module")
def patches(picture_cohort, quick_settings):
    cohort = read_cohort(picture_cohort, quick_settings.cohort)
    channels = {"blue": "view1", "green": "view2"}
    return load_patches(cohort, replace(quick_settings.images, channels=channels))


@pytest.mark.parametrize("network", ["tiny", "tiny+texture+l2"])
def test_a_network_fetched_back_gives_the_embeddings_it_gave(network, finished_run, patches):
    network_again = restore_classifier(finished_run / "networks" / f"{network}-r0f1" / "weights.safetensors", "tiny")
    vectors, logits = embed(network_again, patches.pixels)
    stored = store.read_embeddings(finished_run / "embeddings" / f"{network}-r0f1.npz")
    row_of = {case_id: row for row, case_id in enumerate(patches.case_ids)}
    rows = [row_of[case_id] for case_id in stored.case_ids.tolist()]
    np.testing.assert_allclose(vectors[rows], stored.vectors, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(logits[rows], stored.logits, rtol=1e-4, atol=1e-4)
    if network.endswith("l2"):
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 80, rtol=1e-4)


def test_embeddings_know_the_part_and_label_of_every_case_of_the_split(finished_run):
    stored = store.read_embeddings(finished_run / "embeddings" / "tiny-r0f0.npz")
    split = next(split for split in store.read_splits(finished_run / "splits.json") if split.fold == 0)
    for part in ("train", "tune", "test"):
        assert set(stored.case_ids[stored.parts == part].tolist()) == set(getattr(split, part))
    assert {case_id for case_id, label in zip(stored.case_ids.tolist(), stored.labels, strict=True) if label} == {
        f"c{number}" for number in range(24, 36)
    }


def test_a_finished_network_is_not_touched(finished_run, tmp_path, quick_settings):
    shutil.copytree(finished_run / "embeddings", tmp_path / "embeddings")
    job = NetworkJob("tiny", "tiny", False, False, replace(SPLITS[0], fold=0))
    fit_job(tmp_path, job, Material(None, {}, np.empty(0), {}, quick_settings), silent)  # pyright: ignore[reportArgumentType]
    assert not (tmp_path / "networks").exists()


@pytest.mark.parametrize("restore", [lambda path: restore_classifier(path, "tiny"), restore_cvae])
def test_a_damaged_network_of_a_run_is_to_be_made_again_not_downloaded(restore, finished_run, tmp_path):
    path = tmp_path / "networks" / "tiny-r0f0" / "weights.safetensors"
    path.parent.mkdir(parents=True)
    start = finished_run / "networks" / "start-tiny" / "weights.safetensors"
    for content in (b"", b"x" * 50, start.read_bytes()[:2000], start.read_bytes()):
        path.write_bytes(content)
        with pytest.raises(InputError, match="is damaged or another network's") as error:
            restore(path)
        assert "Remove it and embeddings/tiny-r0f0.npz" in error.value.problems[0].remedy
        assert "download" not in str(error.value)
