import json

import pytest

from rarelesion import weights
from rarelesion.backbones import BACKBONES
from rarelesion.downloads import OFFICIAL
from test_cli import invoke, refused


@pytest.fixture(autouse=True)
def places(tmp_path, monkeypatch):
    """An empty cache, and a package that comes with weights of `tiny`."""
    (tmp_path / "cache").mkdir()
    monkeypatch.setenv("RARELESION_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(weights, "EMBEDDED", tmp_path)
    backbone = BACKBONES["tiny"]()
    weights.save_state(tmp_path / "tiny.safetensors", backbone.state_dict(), weights.backbone_metadata(backbone))
    (tmp_path / "tiny.md").write_text("# Weights of tiny\n\nIt learnt\nfrom dots.\n\n* And more\n", encoding="utf-8")
    return tmp_path


def test_every_backbone_is_listed_with_what_it_would_start_from(places):
    (places / "cache" / OFFICIAL["mobilenet"].name).touch()
    said = invoke("weights").stdout
    assert said == invoke("weights", "list").stdout
    assert f"Cache: {places / 'cache'}\nSource: auto\n" in said
    blocks = {block.split("\n")[0]: block for block in said.split("\n\n")[1:]}
    assert list(blocks) == list(BACKBONES)
    assert f"starts from cached {OFFICIAL['mobilenet'].name}\n" in blocks["mobilenet"]
    assert f"official, in the cache: mobilenet, {OFFICIAL['mobilenet'].url}" in blocks["mobilenet"]
    assert f"official, not here: vgg16-torchvision, {OFFICIAL['vgg16-torchvision'].url}" in blocks["vgg16"]
    assert "if it can be fetched, else textures, taught in the run" in blocks["vgg16"]
    assert "starts from embedded tiny.safetensors" in blocks["tiny"]
    assert blocks["tiny"].rstrip().endswith("0.1 MB\n    It learnt\n    from dots.")


def test_the_settings_of_a_study_count(places):
    (places / "study.toml").write_text('[weights]\nsource = "embedded"\nfiles = { vgg16 = "my.h5" }\n', "utf-8")
    said = invoke("weights", "--config", places / "study.toml").stdout
    assert "Source: embedded" in said
    assert "starts from file my.h5\n  given: my.h5" in said
    assert "resnet50\n  starts from textures, taught in the run\n" in said


def test_as_json():
    found = json.loads(invoke("weights", "--json").stdout)
    assert found == json.loads(invoke("weights", "list", "--json").stdout)
    assert found["source"] == "auto"
    tiny = found["backbones"][-1]
    assert (tiny["backbone"], tiny["starts_from"]) == ("tiny", "embedded tiny.safetensors")
    assert tiny["card"].startswith("# Weights of tiny")
    assert found["backbones"][0]["official"][0] == {
        "name": "vgg16", "file": OFFICIAL["vgg16"].name, "url": OFFICIAL["vgg16"].url, "cached": False,
    }  # fmt: skip


def test_a_name_that_is_no_file_s_lists_those_there_are():
    assert "found 'nope'; expected vgg16, mobilenet, resnet50" in refused("weights", "fetch", "nope")


def test_what_cannot_be_fetched_says_how_to_bring_it_by_hand(places):
    said = refused("weights", "fetch", "vgg16", "--url", "http://127.0.0.1:9/vgg16.h5")
    assert "refused" in said
    assert str(places / "cache" / OFFICIAL["vgg16"].name) in said
