"""Where networks start from: which file goes first, what is fetched, and that a run keeps to what it began with."""

from dataclasses import replace

import numpy as np
import pytest

from rarelesion import downloads, starts, store, weights
from rarelesion.backbones import BACKBONES
from rarelesion.errors import InputError
from rarelesion.settings import WeightSettings
from rarelesion.starts import (
    TAUGHT,
    fetch_missing,
    is_to_be_taught,
    list_choices,
    made_anew,
    recorded_starts,
    starting_backbone,
)


def silent(*_):
    """No progress."""


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache folder for weight files."""
    folder = tmp_path / "cache"
    folder.mkdir()
    monkeypatch.setenv("RARELESION_CACHE", str(folder))
    return folder


@pytest.fixture(autouse=True)
def embedded(tmp_path, monkeypatch):
    """A package that comes with no weight files yet."""
    folder = tmp_path / "embedded"
    folder.mkdir()
    monkeypatch.setattr(weights, "EMBEDDED", folder)
    return folder


@pytest.fixture(autouse=True)
def texture_start(monkeypatch):
    """In the place of training on textures, an untrained backbone; the list says which were taught."""
    taught = []

    def pretrain(name, *_, **__):
        taught.append(name)
        return BACKBONES[name]()

    monkeypatch.setattr(starts, "pretrain", pretrain)
    return taught


@pytest.fixture
def asked_for(monkeypatch):
    """In the place of the network: what would answer each address, and the addresses asked for in order."""
    answers, asked = {}, []

    def download(url, part, progress, patience):
        asked.append(url)
        progress(0, None)
        if url not in answers:
            raise OSError(None, "no route to host")
        part.write(answers[url])

    monkeypatch.setattr(downloads, "_download", download)
    return answers, asked


def weight_file(path, name):
    backbone = BACKBONES[name]()
    weights.save_state(path, backbone.state_dict(), weights.backbone_metadata(backbone))
    return path


def with_weights(settings, **chosen):
    return replace(settings, weights=WeightSettings(**chosen))


def start(folder, settings, name="mobilenet"):
    return starting_backbone(folder, name, settings, silent)


def begun(folder, name, origin):
    """A run that has made a network from that origin."""
    weight_file(folder / "networks" / f"{name}-r0f0" / "weights.safetensors", "tiny")
    store.write_json(folder / "provenance.json", {"weights": {name: origin}})
    return folder


def test_the_start_of_all_networks_has_no_embeddings_to_remove(tmp_path):
    assert "embeddings" not in made_anew(tmp_path / "start-tiny" / "weights.safetensors")


def test_a_named_file_goes_before_the_cache_that_before_the_embedded_that_before_textures(
    cache, embedded, texture_start, quick_settings, tmp_path
):
    automatic = with_weights(quick_settings)
    assert start(tmp_path / "run", automatic)[1] == TAUGHT
    assert texture_start == ["mobilenet"]
    with_it = weight_file(embedded / "mobilenet.safetensors", "mobilenet")
    assert start(tmp_path / "run", automatic)[1] == f"embedded {with_it.name}, sha256 {store.file_sha256(with_it)}"
    official = cache / downloads.official_file("mobilenet").name
    weight_file(official, "mobilenet")
    assert start(tmp_path / "run", automatic)[1] == f"cached {official.name}, sha256 {store.file_sha256(official)}"
    named = weight_file(tmp_path / "named.safetensors", "mobilenet")
    backbone, origin = start(tmp_path / "run", with_weights(quick_settings, files={"mobilenet": str(named)}))
    assert origin == f"file named.safetensors, sha256 {store.file_sha256(named)}"
    state, _ = weights.load_state(named)
    np.testing.assert_array_equal(backbone.state_dict()["conv1.weight"].numpy(), state["conv1.weight"].numpy())


@pytest.mark.parametrize(
    ("source", "kind"), [("imagenet", "cached"), ("embedded", "embedded"), ("textures", "trained")]
)
def test_another_source_than_auto_takes_that_source(source, kind, cache, embedded, quick_settings, tmp_path):
    weight_file(cache / downloads.official_file("mobilenet").name, "mobilenet")
    weight_file(embedded / "mobilenet.safetensors", "mobilenet")
    assert start(tmp_path, with_weights(quick_settings, source=source))[1].split()[0] == kind


def test_without_an_embedded_file_its_source_teaches_textures(cache, quick_settings, tmp_path):
    weight_file(cache / downloads.official_file("mobilenet").name, "mobilenet")
    assert start(tmp_path, with_weights(quick_settings, source="embedded"))[1] == TAUGHT


def test_an_embedded_file_is_trusted_no_more_than_another(embedded, quick_settings, tmp_path):
    weight_file(embedded / "mobilenet.safetensors", "tiny")
    with pytest.raises(InputError, match="the weights do not fit mobilenet"):
        start(tmp_path, with_weights(quick_settings, source="embedded"))
    (embedded / "mobilenet.safetensors").write_bytes(b"<html>")
    with pytest.raises(InputError, match="not a readable weight file"):
        start(tmp_path, with_weights(quick_settings, source="embedded"))


def test_a_backbone_is_to_be_taught_unless_a_file_or_the_run_has_its_start(cache, embedded, quick_settings, tmp_path):
    def taught(**chosen):
        return is_to_be_taught(tmp_path / "run", "mobilenet", with_weights(quick_settings, **chosen))

    assert taught()
    assert taught(source="embedded")
    assert not taught(files={"mobilenet": "mine.h5"})
    assert not taught(source="imagenet")
    weight_file(embedded / "mobilenet.safetensors", "mobilenet")
    assert not taught()
    assert not taught(source="embedded")
    assert taught(source="textures")
    start(tmp_path / "run", quick_settings)
    assert not taught(source="textures")


def test_a_backbone_learns_textures_once_a_run(texture_start, cache, quick_settings, tmp_path):
    first, _ = start(tmp_path, quick_settings, "tiny")
    second, _ = start(tmp_path, quick_settings, "tiny")
    assert texture_start == ["tiny"]
    for key, value in first.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), second.state_dict()[key].numpy())


class TestGoingOn:
    def test_a_run_keeps_to_textures_where_a_file_has_come_since(
        self, cache, embedded, texture_start, quick_settings, tmp_path
    ):
        run, automatic = begun(tmp_path / "run", "mobilenet", TAUGHT), with_weights(quick_settings)
        weight_file(embedded / "mobilenet.safetensors", "mobilenet")
        assert is_to_be_taught(run, "mobilenet", automatic)
        assert start(run, automatic)[1] == TAUGHT
        assert texture_start == ["mobilenet"]
        assert not is_to_be_taught(run, "mobilenet", automatic)

    def test_a_run_keeps_to_the_embedded_file_where_a_better_one_has_come_since(
        self, cache, embedded, quick_settings, tmp_path
    ):
        path = weight_file(embedded / "mobilenet.safetensors", "mobilenet")
        origin = f"embedded {path.name}, sha256 {store.file_sha256(path)}"
        run = begun(tmp_path / "run", "mobilenet", origin)
        weight_file(cache / downloads.official_file("mobilenet").name, "mobilenet")
        assert start(run, with_weights(quick_settings))[1] == origin
        assert start(tmp_path / "other", with_weights(quick_settings))[1].startswith("cached")

    def test_a_file_that_was_fetched_is_the_same_in_the_cache(self, cache, quick_settings, tmp_path):
        path = weight_file(cache / downloads.official_file("mobilenet").name, "mobilenet")
        run = begun(tmp_path / "run", "mobilenet", f"official {path.name}, sha256 {store.file_sha256(path)}")
        assert start(run, with_weights(quick_settings, source="imagenet"))[1].startswith(f"cached {path.name}")

    def test_what_is_gone_or_changed_is_named(self, cache, embedded, asked_for, quick_settings, tmp_path):
        origin = f"embedded mobilenet.safetensors, sha256 {'0' * 64}"
        run = begun(tmp_path / "run", "mobilenet", origin)
        for source in ("auto", "imagenet"):
            with pytest.raises(InputError, match="weights of mobilenet that this run began with are gone") as error:
                start(run, with_weights(quick_settings, source=source))
            assert origin in str(error.value)
        weight_file(embedded / "mobilenet.safetensors", "mobilenet")
        with pytest.raises(InputError, match="are gone"):
            start(run, with_weights(quick_settings))
        assert fetch_missing(run, ["mobilenet"], with_weights(quick_settings), silent) == {}
        assert asked_for[1] == []

    def test_a_run_without_a_network_begins_anew(self, tmp_path):
        store.write_json(tmp_path / "provenance.json", {"weights": {"mobilenet": TAUGHT}})
        assert recorded_starts(tmp_path) == {}
        assert recorded_starts(begun(tmp_path, "tiny", TAUGHT)) == {"tiny": TAUGHT}


class TestFetching:
    def test_auto_fetches_what_nothing_is_known_of_and_puts_it_into_the_cache(
        self, cache, embedded, asked_for, quick_settings, tmp_path
    ):
        file = downloads.official_file("mobilenet")
        answers, asked = asked_for
        answers[file.url] = weight_file(tmp_path / "m.safetensors", "mobilenet").read_bytes()
        weight_file(embedded / "mobilenet.safetensors", "mobilenet")
        automatic = with_weights(quick_settings, files={"vgg16": "mine.h5"})
        assert fetch_missing(tmp_path / "run", ["vgg16", "mobilenet", "tiny"], automatic, silent) == {}
        assert asked == [file.url]
        assert fetch_missing(tmp_path / "run", ["mobilenet"], automatic, silent) == {}
        assert asked == [file.url]
        assert start(tmp_path / "run", automatic)[1].startswith(f"cached {file.name}")

    def test_without_a_network_auto_asks_once_says_so_and_goes_on(self, cache, asked_for, quick_settings, tmp_path):
        said = []
        names = ["vgg16", "mobilenet", "resnet50", "tiny"]
        failed = fetch_missing(tmp_path, names, with_weights(quick_settings), lambda *words: said.append(words))
        assert failed == dict.fromkeys(("vgg16", "mobilenet", "resnet50"), "no route to host")
        assert asked_for[1] == [downloads.official_file("vgg16").url]
        assert said[-1][:2] == (
            "Looking for ImageNet weights",
            "not fetched for vgg16, mobilenet, resnet50: no route to host",
        )
        assert list(cache.iterdir()) == []

    def test_auto_gives_up_a_file_that_takes_too_long(self, cache, asked_for, quick_settings, tmp_path, monkeypatch):
        monkeypatch.setattr(starts, "FETCH_SECONDS", -1.0)
        failed = fetch_missing(tmp_path, ["vgg16"], with_weights(quick_settings), silent)
        assert failed == {"vgg16": "not done in -1 seconds"}

    @pytest.mark.parametrize("source", ["embedded", "textures"])
    def test_other_sources_never_go_to_the_network(self, source, cache, asked_for, quick_settings, tmp_path):
        chosen = with_weights(quick_settings, source=source)
        assert fetch_missing(tmp_path, ["vgg16", "mobilenet"], chosen, silent) == {}
        start(tmp_path, chosen, "tiny")
        assert asked_for[1] == []

    def test_imagenet_offline_names_the_file_and_its_place(self, cache, asked_for, quick_settings, tmp_path):
        asked, file = with_weights(quick_settings, source="imagenet"), downloads.official_file("vgg16")
        for do in (lambda: start(tmp_path, asked, "vgg16"), lambda: fetch_missing(tmp_path, ["vgg16"], asked, silent)):
            with pytest.raises(InputError) as error:
                do()
            assert file.url in str(error.value)
            assert str(cache / file.name) in str(error.value)

    def test_a_backbone_nobody_publishes_says_what_to_do(self, cache, quick_settings, tmp_path):
        asked = with_weights(quick_settings, source="imagenet")
        expected = r"nobody publishes ImageNet weights of tiny\. Leave weights.source at auto"
        with pytest.raises(InputError, match=expected):
            start(tmp_path, asked, "tiny")


def test_choices_say_what_is_here_and_what_would_be_taken(cache, embedded):
    weight_file(embedded / "tiny.safetensors", "tiny")
    (embedded / "tiny.md").write_text("# Starting weights of tiny\n\nMade up.\n", encoding="utf-8")
    cached = weight_file(cache / downloads.official_file("mobilenet").name, "mobilenet")
    choices = {choice.backbone: choice for choice in list_choices(WeightSettings(files={"vgg16": "mine.h5"}))}
    assert list(choices) == list(BACKBONES)
    assert choices["tiny"].start == "embedded tiny.safetensors"
    assert choices["tiny"].card.endswith("Made up.\n")
    assert choices["tiny"].official == ()
    assert choices["mobilenet"].start == f"cached {cached.name}"
    assert [path for _, path in choices["mobilenet"].official] == [cached]
    assert (choices["vgg16"].start, str(choices["vgg16"].given)) == ("file mine.h5", "mine.h5")
    resnet = downloads.official_file("resnet50").name
    assert choices["resnet50"].start == f"{resnet} if it can be fetched, else textures, taught in the run"
    strict = {choice.backbone: choice.start for choice in list_choices(WeightSettings(source="imagenet"))}
    assert strict["resnet50"] == f"{resnet}, to be fetched"
    assert strict["tiny"] == "none: nobody publishes ImageNet weights of it"
