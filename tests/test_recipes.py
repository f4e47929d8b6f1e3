import pytest

from rarelesion.errors import InputError
from rarelesion.recipes import (
    PAPER_RECIPES,
    PROPOSED,
    Recipe,
    is_features,
    is_trained,
    lead_recipe,
    parse_recipe,
    row_order,
)

BACKBONES = ("vgg16", "mobilenet", "resnet50", "resnet50-conv4", "tiny")
DETECTORS = ("lof", "ocsvm")


def test_the_paper_has_sixteen_trained_rows_behind_ten_networks():
    recipes = [parse_recipe(name, BACKBONES, DETECTORS) for name in PAPER_RECIPES]
    assert len(recipes) == 16
    assert len({recipe.network for recipe in recipes}) == 10
    assert PROPOSED in PAPER_RECIPES


def test_a_name_is_read_into_its_parts():
    assert parse_recipe(PROPOSED, BACKBONES, DETECTORS) == Recipe(PROPOSED, "vgg16", True, True, "lof")
    assert parse_recipe("resnet50-conv4+lof", BACKBONES, DETECTORS).network == "resnet50-conv4"
    assert parse_recipe("tiny+l2", BACKBONES, DETECTORS).network == "tiny+l2"


@pytest.mark.parametrize(
    "name",
    [
        "",
        "vgg19",
        "vgg16+l2+texture",
        "vgg16+lof+lof",
        "vgg16+lof+l2",
        "vgg16+",
        "cvae+lof",
        "VGG16",
        "clinical+radiomics",
        "clinical+clinical",
        "vgg16+clinical+lof",
        "vgg16+clinical+radiomics",
        "radiomics+lof",
        "cvae+lof+clinical",
        "+clinical",
        "vgg16+radiomics+texture",
    ],
)
def test_other_names_are_errors_that_list_the_valid_words(name):
    with pytest.raises(InputError, match=r"unknown recipe.*resnet50-conv4.*lof, ocsvm"):
        parse_recipe(name, BACKBONES, DETECTORS)


@pytest.mark.parametrize("features", ["radiomics", "clinical", "radiomics+clinical", "table", "clinical+table"])
@pytest.mark.parametrize("network", ["vgg16", "vgg16+texture", PROPOSED, "resnet50-conv4+l2+ocsvm", "cvae"])
def test_features_may_stand_at_the_end_of_any_recipe_or_alone(network, features):
    both, image, alone = (
        parse_recipe(name, BACKBONES, DETECTORS) for name in (f"{network}+{features}", network, features)
    )
    assert both.network == image.network
    assert both.features == alone.features == tuple(features.split("+"))
    assert (both.detector, both.texture, both.l2) == (image.detector, image.texture, image.l2)
    assert (image.features, alone.network, alone.backbone) == ((), "", "")


def test_features_alone_come_after_the_cvae_and_are_never_what_a_report_is_about():
    names = [
        "reader:a",
        "radiomics+clinical",
        "radiomics",
        "clinical",
        "cvae+clinical",
        "cvae",
        "vgg16+clinical",
        "tiny",
    ]
    ordered = sorted(names, key=row_order)
    assert ordered == [
        "vgg16+clinical", "tiny", "cvae", "cvae+clinical", "clinical", "radiomics", "radiomics+clinical", "reader:a",
    ]  # fmt: skip
    assert [name for name in names if is_trained(name)] == ["vgg16+clinical", "tiny"]
    assert [name for name in names if is_features(name)] == ["radiomics+clinical", "radiomics", "clinical"]
    assert lead_recipe(["clinical", "tiny+texture", "tiny+texture+clinical"]) == "tiny+texture"
    assert lead_recipe(["clinical", "radiomics"]) is None


def test_a_reader_is_not_a_recipe():
    with pytest.raises(InputError, match="--readers"):
        parse_recipe("reader:anna", BACKBONES, DETECTORS)


def test_rows_are_ordered_as_in_the_paper_with_readers_last():
    names = ["reader:a", "cvae", "tiny", *reversed(PAPER_RECIPES[:15]), "vgg16+texture+l2+knn"]
    ordered = sorted(names, key=row_order)
    assert ordered == [*PAPER_RECIPES[:5], "vgg16+texture+l2+knn", *PAPER_RECIPES[5:15], "tiny", "cvae", "reader:a"]


def test_the_row_a_report_is_about_is_the_one_nearest_to_the_papers_by_name():
    assert lead_recipe(["reader:a", *PAPER_RECIPES]) == PROPOSED
    assert lead_recipe(["vgg16", "resnet50+texture+l2+lof", "mobilenet+texture+l2+lof"]) == "mobilenet+texture+l2+lof"
    assert lead_recipe(["tiny+l2", "cvae"]) == "tiny+l2"
    assert lead_recipe(["reader:a", "cvae"]) is None
    assert [name for name in ("cvae", "reader:a", "tiny") if is_trained(name)] == ["tiny"]


def test_the_lead_of_another_backbone_is_its_proposed_row_too():
    names = ["resnet50-conv4", "resnet50-conv4+texture+l2+lof", "resnet50-conv4+texture+l2+knn", "cvae"]
    assert lead_recipe(names) == "resnet50-conv4+texture+l2+lof"
