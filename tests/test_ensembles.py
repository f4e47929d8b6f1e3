"""Ensembles, and backbones taken as they start."""

from dataclasses import replace

import numpy as np
import pytest

from rarelesion import store
from rarelesion.contrasts import SCORERS
from rarelesion.ensembles import apart, first_width, fit_scales, join, part
from rarelesion.errors import InputError
from rarelesion.prediction import predict_cases
from rarelesion.recipes import BEST, BEST_NAME, lead_recipe, parse_recipe, row_order
from rarelesion.scoring import fit_scorer
from rarelesion.settings import DetectorSettings
from rarelesion.study import run_study
from rarelesion.types import Embeddings

BACKBONES = ("tiny", "mobilenet", "resnet50-conv4")
ENSEMBLE, FROZEN = "tiny++tiny+texture+l2+lofratio", "tiny+frozen+logistic"
FUSED = "tiny++tiny+frozen+logistic+radiomics"


def recipe_of(name):
    return parse_recipe(name, BACKBONES, SCORERS)


def embeddings(network="tiny", dim=3, classes=2, seed=0, cases=30):
    rng = np.random.default_rng(seed)
    labels = np.arange(cases) % 2
    return Embeddings(
        network=network,
        repeat=0,
        fold=0,
        case_ids=np.array([f"c{i}" for i in range(cases)]),
        parts=np.array((["train"] * 6 + ["tune"] * 2 + ["test"] * 2) * (cases // 10)),
        labels=labels,
        vectors=(rng.normal(size=(cases, dim)) + labels[:, None]).astype(np.float32),
        logits=rng.normal(size=(cases, classes)).astype(np.float32),
    )


@pytest.fixture(scope="module")
def run(picture_cohort, quick_settings, tmp_path_factory):
    folder = tmp_path_factory.mktemp("ensembles") / "run"
    recipes = ("tiny", "tiny+texture+l2+lofratio", ENSEMBLE, FROZEN, FUSED)
    run_study(picture_cohort, folder, replace(quick_settings, recipes=recipes), None, lambda *_: None)
    return folder


def scores_of(run, name):
    return next(one for one in store.read_scores(run / "scores.csv") if one.recipe == name)


def test_an_ensembles_name_is_read_into_its_members():
    found = recipe_of("tiny+texture++mobilenet+frozen+lof+radiomics")
    assert [member.name for member in found.members] == ["tiny+texture", "mobilenet+frozen+lof"]
    assert [member.network for member in found.networks] == ["tiny+texture", "mobilenet+frozen"]
    assert found.features == ("radiomics",)
    assert found.backbones == {"tiny", "mobilenet"}


def test_best_is_the_recipe_it_stands_for():
    best, written_out = recipe_of(BEST_NAME), recipe_of(BEST)
    assert best.name == BEST_NAME
    assert replace(best, name=BEST) == written_out
    assert [member.network for member in best.members] == ["mobilenet+texture", "resnet50-conv4+frozen"]
    assert best.features == ("radiomics",)


@pytest.mark.parametrize(
    "name",
    [
        "tiny++tiny",
        "tiny++",
        "++tiny",
        "tiny+++texture",
        "tiny+frozen",
        "tiny+frozen+texture+lof",
        "tiny+radiomics++mobilenet",
        "radiomics++tiny",
        "best++tiny",
        "best+lof",
    ],
)
def test_an_ensemble_of_equals_and_frozen_networks_without_a_detector_are_errors(name):
    with pytest.raises(InputError, match="unknown recipe"):
        recipe_of(name)


def test_ensembles_come_after_single_networks_and_only_best_takes_the_lead_from_the_papers_rows():
    names = ["mobilenet+texture", ENSEMBLE, BEST_NAME, "cvae", "vgg16"]
    assert sorted(names, key=row_order) == ["vgg16", "mobilenet+texture", BEST_NAME, ENSEMBLE, "cvae"]
    assert lead_recipe(names) == BEST_NAME
    assert lead_recipe([*names, "auto"]) == "auto"
    assert lead_recipe([name for name in names if name != BEST_NAME]) == "mobilenet+texture"


def test_joined_networks_are_taken_apart_again():
    members = [embeddings("tiny", 3, 2, 0), embeddings("tiny+texture", 5, 3, 1)]
    joined = join(members)
    assert join(members[:1]) is members[0]
    assert (first_width(joined), first_width(members[1])) == (3, 5)
    for one, again in zip(members, part(joined), strict=True):
        assert one.network == again.network
        np.testing.assert_array_equal(one.vectors, again.vectors)
        np.testing.assert_array_equal(one.logits, again.logits)
    pieces = apart(joined.widths, joined.vectors[:4], joined.logits[:4])
    assert [piece[0].shape for piece in pieces] == [(4, 3), (4, 5)]


def test_networks_of_different_cases_are_not_joined():
    with pytest.raises(InputError, match="different cases"):
        join([embeddings(), embeddings(cases=20)])
    with pytest.raises(InputError, match="different cases"):
        join([embeddings(), replace(embeddings(), fold=1)])


def test_the_mean_does_not_ask_in_which_unit_a_member_scores():
    rng = np.random.default_rng(0)
    tuned, new = rng.normal(size=(2, 20)), rng.normal(size=(2, 5))
    stretched = [tuned[0], 1000 * tuned[1] + 7], [new[0], 1000 * new[1] + 7]
    plain = fit_scales(list(tuned)).mean(list(new))
    np.testing.assert_allclose(fit_scales(stretched[0]).mean(stretched[1]), plain, rtol=1e-9)


def test_a_member_that_says_the_same_of_all_has_no_say():
    scales = fit_scales([np.zeros(4), np.array([0.0, 1, 2, 3])])
    assert np.argsort(scales.mean([np.zeros(3), np.array([2.0, 0, 1])])).tolist() == [1, 2, 0]


def test_no_label_of_a_tuning_case_changes_an_ensembles_score():
    members = [embeddings("tiny"), embeddings("tiny+texture", seed=1)]
    joined = join(members)
    tune = joined.parts == "tune"
    turned = join([replace(one, labels=np.where(tune, 1 - one.labels, one.labels)) for one in members])
    name = recipe_of("tiny++tiny+texture+logistic")
    first, second = (fit_scorer(name, rows, DetectorSettings()) for rows in (joined, turned))
    np.testing.assert_array_equal(first(joined.vectors, joined.logits), second(joined.vectors, joined.logits))


def test_a_study_averages_the_standardised_scores_of_the_members(run):
    members = [scores_of(run, name) for name in ("tiny", "tiny+texture+l2+lofratio")]
    whole = scores_of(run, ENSEMBLE)
    for fold in (0, 1):
        expected = np.zeros(int((whole.fold == fold).sum()))
        for one in members:
            score, tune = one.score[one.fold == fold], one.part[one.fold == fold] == "tune"
            expected += (score - score[tune].mean()) / score[tune].std() / 2
        np.testing.assert_allclose(whole.score[whole.fold == fold], expected, rtol=1e-9, atol=1e-9)


def test_a_frozen_network_is_the_same_in_every_fold_and_has_learnt_nothing(run):
    first, second = (store.read_embeddings(run / "embeddings" / f"tiny+frozen-r0f{fold}.npz") for fold in (0, 1))
    order = [first.case_ids.tolist().index(case_id) for case_id in second.case_ids.tolist()]
    np.testing.assert_array_equal(first.vectors[order], second.vectors)
    assert not first.logits.any()
    assert [path.name for path in (run / "networks").glob("tiny+frozen*")] == ["tiny+frozen"]
    assert [path.name for path in (run / "networks" / "tiny+frozen").iterdir()] == ["weights.safetensors"]


@pytest.mark.parametrize("name", [ENSEMBLE, FROZEN, FUSED])
def test_a_case_fed_in_again_gets_the_score_it_had_in_the_study(name, run, picture_cohort):
    scores = scores_of(run, name)
    for one in predict_cases(run, picture_cohort, {}, {}, {}, name):
        assert one.known_as == one.case_id
        for reading in one.readings:
            row = (scores.fold == reading.fold) & (scores.case_id == one.case_id) & (scores.part == "test")
            if row.any():
                assert reading.score == pytest.approx(scores.score[row][0], rel=1e-4, abs=1e-4)
