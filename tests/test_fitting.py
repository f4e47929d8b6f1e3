import shutil
from dataclasses import replace

import numpy as np
import pytest

from rarelesion import fitting, store, weights
from rarelesion.backbones import BACKBONES
from rarelesion.cohort import read_cohort
from rarelesion.errors import InputError
from rarelesion.fitting import (
    Material,
    NetworkJob,
    fit_job,
    is_to_be_taught,
    job_seed,
    made_anew,
    network_jobs,
    restore_classifier,
    restore_cvae,
    starting_backbone,
)
from rarelesion.patches import load_patches
from rarelesion.recipes import parse_recipe
from rarelesion.settings import WeightSettings
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


def test_the_start_of_all_networks_has_no_embeddings_to_remove(tmp_path):
    assert "embeddings" not in made_anew(tmp_path / "start-tiny" / "weights.safetensors")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache folder for weight files, and a fetch that would be noticed."""
    folder = tmp_path / "cache"
    folder.mkdir()
    monkeypatch.setenv("RARELESION_CACHE", str(folder))
    return folder


@pytest.fixture
def texture_start(monkeypatch):
    """In the place of training on textures, an untrained backbone; the list says which were taught."""
    taught = []

    def pretrain(name, *_, **__):
        taught.append(name)
        return BACKBONES[name]()

    monkeypatch.setattr(fitting, "pretrain", pretrain)
    return taught


def weight_file(path, name):
    backbone = BACKBONES[name]()
    weights.save_state(path, backbone.state_dict(), weights.backbone_metadata(backbone))
    return path


def start(folder, settings, name="mobilenet"):
    return starting_backbone(folder, name, settings, silent)


def test_a_backbone_starts_from_the_named_file_then_the_cache_then_textures(
    cache, texture_start, quick_settings, tmp_path
):
    named = weight_file(tmp_path / "named.safetensors", "mobilenet")
    automatic = replace(quick_settings, weights=WeightSettings())
    assert start(tmp_path / "run", automatic)[1] == "trained on procedural textures in this run"
    assert texture_start == ["mobilenet"]
    official = cache / weights.official_file("mobilenet").name
    weight_file(official, "mobilenet")
    assert start(tmp_path / "run", automatic)[1].startswith(f"cached {official.name}, sha256 ")
    asked = replace(quick_settings, weights=WeightSettings(files={"mobilenet": str(named)}))
    backbone, origin = start(tmp_path / "run", asked)
    assert origin == f"file named.safetensors, sha256 {store.file_sha256(named)}"
    state, _ = weights.load_state(named)
    np.testing.assert_array_equal(backbone.state_dict()["conv1.weight"].numpy(), state["conv1.weight"].numpy())
    textures = replace(quick_settings, weights=WeightSettings(source="textures"))
    assert start(tmp_path / "other", textures)[1] == "trained on procedural textures in this run"


def test_a_backbone_is_to_be_taught_unless_a_file_or_the_run_has_its_start(
    cache, texture_start, quick_settings, tmp_path
):
    def taught(**weights_settings):
        settings = replace(quick_settings, weights=WeightSettings(**weights_settings))
        return is_to_be_taught(tmp_path / "run", "mobilenet", settings)

    assert taught()
    assert not taught(files={"mobilenet": "mine.h5"})
    assert not taught(source="imagenet")
    weight_file(cache / weights.official_file("mobilenet").name, "mobilenet")
    assert not taught()
    assert taught(source="textures")
    start(tmp_path / "run", quick_settings)
    assert not taught(source="textures")


def test_a_backbone_learns_textures_once_a_run(texture_start, cache, quick_settings, tmp_path):
    first, _ = start(tmp_path, quick_settings, "tiny")
    second, _ = start(tmp_path, quick_settings, "tiny")
    assert texture_start == ["tiny"]
    for key, value in first.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), second.state_dict()[key].numpy())


def test_without_the_network_the_file_and_its_place_are_named(cache, quick_settings, tmp_path, monkeypatch):
    def offline(*_, **__):
        raise OSError("no route to host")

    monkeypatch.setattr(weights.urllib.request, "urlopen", offline)
    asked = replace(quick_settings, weights=WeightSettings(source="imagenet"))
    with pytest.raises(InputError) as error:
        start(tmp_path, asked, "vgg16")
    file = weights.official_file("vgg16")
    assert file.url in str(error.value)
    assert str(cache / file.name) in str(error.value)


def test_a_backbone_nobody_publishes_says_what_to_do(cache, quick_settings, tmp_path):
    asked = replace(quick_settings, weights=WeightSettings(source="imagenet"))
    with pytest.raises(InputError, match=r"nobody publishes ImageNet weights of tiny\. Leave weights.source at auto"):
        start(tmp_path, asked, "tiny")
