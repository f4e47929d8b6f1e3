from weakref import finalize

import numpy as np
import pytest

from rarelesion.detectors import DETECTORS
from rarelesion.fusion import Beside
from rarelesion.recipes import parse_recipe
from rarelesion.scoring import fit_scorer, score_recipe, split_rows, texture_probability
from rarelesion.settings import DetectorSettings
from rarelesion.types import Embeddings, Split


def embeddings(fold=0, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.array([0] * 20 + [1] * 10)
    vectors = rng.normal(size=(30, 3)).astype(np.float32) + 8 * labels[:, None]
    return Embeddings(
        network="tiny",
        repeat=0,
        fold=fold,
        case_ids=np.array([f"c{i}" for i in range(30)]),
        parts=np.array((["train"] * 6 + ["tune"] * 2 + ["test"] * 2) * 3),
        labels=labels,
        vectors=vectors.astype(np.float32),
        logits=rng.normal(size=(30, 3)).astype(np.float32),
    )


def recipe(name):
    return parse_recipe(name, ("tiny",), tuple(DETECTORS))


PATIENT_OF = {f"c{i}": f"p{i}" for i in range(30)}


def test_a_classifiers_score_is_the_log_odds_of_malignant_against_benign():
    scores = fit_scorer(recipe("tiny+texture"), embeddings(), DetectorSettings())(
        np.zeros((1, 3)), np.array([[0.5, 2.0, 9.0]])
    )
    assert scores.tolist() == [1.5]


def test_saturated_probabilities_still_rank():
    logits = np.array([[-80.0, 80.0], [-70.0, 80.0]], dtype=np.float32)
    scores = fit_scorer(recipe("tiny"), embeddings(), DetectorSettings())(np.zeros((2, 3)), logits)
    assert scores.tolist() == [160.0, 150.0]


def test_the_cvaes_score_is_its_own():
    scores = fit_scorer(recipe("cvae"), embeddings(), DetectorSettings())(np.zeros((1, 3)), np.array([[7.0]]))
    assert scores.tolist() == [7.0]


@pytest.mark.parametrize("name", DETECTORS)
def test_a_detector_knows_the_benign_training_cases_only(name):
    whole = embeddings()
    keep = (whole.parts == "train") & (whole.labels == 0)
    other = Embeddings(
        **{
            **{field: getattr(whole, field) for field in Embeddings.__dataclass_fields__},
            "vectors": np.where(keep[:, None], whole.vectors, 1e3).astype(np.float32),
        }
    )
    cases = np.random.default_rng(1).normal(size=(4, 3))
    settings = DetectorSettings()
    np.testing.assert_array_equal(
        fit_scorer(recipe(f"tiny+{name}"), whole, settings)(cases, cases),
        fit_scorer(recipe(f"tiny+{name}"), other, settings)(cases, cases),
    )


def test_scores_hold_the_tuning_and_test_cases_of_every_split():
    scores = score_recipe(recipe("tiny+lof"), [embeddings(0), embeddings(1, 5)], PATIENT_OF, DetectorSettings())
    assert scores.recipe == "tiny+lof"
    assert scores.fold.tolist() == [0] * 12 + [1] * 12
    assert set(scores.part.tolist()) == {"tune", "test"}
    assert scores.patient_id[0] == scores.case_id[0].replace("c", "p")
    assert scores.score[scores.label == 1].min() > scores.score[scores.label == 0].max()


def test_texture_probability_is_the_third_softmax():
    np.testing.assert_allclose(texture_probability(np.array([[0.0, 0.0, np.log(2.0)]])), [0.5])
    np.testing.assert_allclose(texture_probability(np.array([[1e4, 0.0, 1e4]])), [0.5])


def test_splits_are_let_go_of_one_by_one():
    held = set()

    def read():
        for fold in range(4):
            split = embeddings(fold, seed=fold)
            held.add(fold)
            finalize(split.vectors, held.discard, fold)
            assert len(held) <= 2
            yield split
            del split

    scores = score_recipe(recipe("tiny+lof"), read(), PATIENT_OF, DetectorSettings())
    expected = score_recipe(
        recipe("tiny+lof"), [embeddings(fold, seed=fold) for fold in range(4)], PATIENT_OF, DetectorSettings()
    )
    np.testing.assert_array_equal(scores.score, expected.score)


def test_features_are_scored_beside_the_network_or_without_one():
    splits = [embeddings(0), embeddings(1, 5)]
    cells = {case_id: {"age": str(50 + 9 * place % 40)} for place, case_id in enumerate(PATIENT_OF)}
    beside = Beside(cells=cells, columns=("age",), numbers=frozenset({"age"}))
    rows = [
        split_rows(as_split(one), dict(zip(one.case_ids.tolist(), one.labels.tolist(), strict=True))) for one in splits
    ]
    both = score_recipe(recipe("tiny+lof+clinical"), splits, PATIENT_OF, DetectorSettings(), beside)
    image = score_recipe(recipe("tiny+lof"), splits, PATIENT_OF, DetectorSettings())
    alone = score_recipe(recipe("clinical"), rows, PATIENT_OF, DetectorSettings(), beside)
    for one in (both, alone):
        assert set(
            zip(one.fold.tolist(), one.case_id.tolist(), one.part.tolist(), one.label.tolist(), strict=True)
        ) == set(
            zip(image.fold.tolist(), image.case_id.tolist(), image.part.tolist(), image.label.tolist(), strict=True)
        )
        assert np.isfinite(one.score).all()
    # age says nothing here: the network's order stays
    assert np.corrcoef(both.score[both.fold == 0], image.score[image.fold == 0])[0, 1] > 0.9


def as_split(one: Embeddings) -> Split:
    parts = {part: tuple(one.case_ids[one.parts == part].tolist()) for part in ("train", "tune", "test")}
    return Split(one.repeat, one.fold, **parts)
