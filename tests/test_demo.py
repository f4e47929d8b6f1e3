import pytest

from rarelesion import weights
from rarelesion.demo import TAUGHT_RATE, demo_settings
from rarelesion.planning import parse_recipes


@pytest.fixture
def embedded(tmp_path, monkeypatch):
    """A package without weight files."""
    monkeypatch.setattr(weights, "EMBEDDED", tmp_path)
    return tmp_path


def test_the_quick_one_has_the_rows_of_one_backbone_the_other_all_of_the_paper_s():
    assert {recipe.backbone for recipe in parse_recipes(demo_settings(quick=True))} == {"mobilenet"}
    assert len(parse_recipes(demo_settings(quick=True))) == 5
    assert len(parse_recipes(demo_settings(quick=False))) == 16


def test_a_start_that_knows_more_than_textures_is_treated_with_more_care(embedded):
    assert demo_settings(quick=True).training.learning_rate == TAUGHT_RATE
    (embedded / "mobilenet.safetensors").touch()
    assert demo_settings(quick=True).training.resolved().learning_rate == 2e-4
    assert demo_settings(quick=True).weights.source == "embedded"
    # All rows of one table start alike.
    assert demo_settings(quick=False).training.learning_rate == TAUGHT_RATE
    assert demo_settings(quick=False).weights.source == "textures"
    for name in ("vgg16", "resnet50"):
        (embedded / f"{name}.safetensors").touch()
    assert demo_settings(quick=False).training.resolved().learning_rate == 2e-4
    assert demo_settings(quick=False).weights.source == "embedded"
