"""Late fusion: what the parts are learnt from, how they are weighed, and what must not leak."""

from dataclasses import replace

import numpy as np
import pytest

from rarelesion.errors import InputError
from rarelesion.fusion import Beside, fuse, learn_part, weigh
from rarelesion.metrics import roc_auc
from rarelesion.recipes import Recipe, parse_recipe
from rarelesion.ridge import fit_ridge
from rarelesion.types import Embeddings, FeatureTable

PARTS = np.repeat(["train", "tune", "test"], [150, 50, 300])
N = len(PARTS)
LABELS = (np.arange(N) % 4 == 0).astype(np.int64)
IDS = np.array([f"c{number:03d}" for number in range(N)])
PATIENT_OF = {case_id: f"p{case_id}" for case_id in IDS.tolist()}


def recipe(name: str) -> Recipe:
    return parse_recipe(name, ("tiny",), ("lof",))


def network_scores(strength: float = 1.6, seed: int = 0) -> np.ndarray:
    """A network's scores (n,) of all cases, on a scale of its own, too good on those it was trained on."""
    clean = np.random.default_rng([1, seed]).normal(size=N) + strength * LABELS
    return 7 * np.where(PARTS == "train", clean + 5 * LABELS, clean) - 3


def made_up(radiomics: float = 1.2, age: float = 1.2, seed: int = 0) -> tuple[Embeddings, Beside]:
    """Cases whose radiomics and age tell the classes apart, each by so many standard deviations."""
    rng = np.random.default_rng([2, seed])
    values = rng.normal(size=(N, 10))
    values[:, 0] += radiomics * LABELS
    ages = np.round(55 + 12 * (rng.normal(size=N) + age * LABELS)).astype(int)
    cells = {
        case_id: {"age": str(years), "sex": "FM"[n % 2]}
        for n, (case_id, years) in enumerate(zip(IDS, ages, strict=True))
    }
    rows = Embeddings("", 0, 0, IDS, PARTS, LABELS, np.empty((N, 0), np.float32), np.empty((N, 0), np.float32))
    table = FeatureTable(IDS, tuple(f"f{number}" for number in range(10)), values)
    return rows, Beside(table, cells, ("age", "sex"), frozenset({"age"}))


def areas(name: str, rows: Embeddings, beside: Beside, network: np.ndarray | None) -> tuple[float, float]:
    """ROC-AUC of the tuning and the test cases."""
    fused = fuse(recipe(name), rows, None if network is None else network[PARTS == "tune"], beside, PATIENT_OF)
    test = fused.score(None if network is None else network[PARTS == "test"], beside, IDS[PARTS == "test"].tolist())
    return roc_auc(LABELS[PARTS == "tune"], fused.tune), roc_auc(LABELS[PARTS == "test"], test)


def test_clinical_alone_image_alone_and_both():
    alone, both = [], []
    for seed in range(5):
        rows, beside = made_up(seed=seed)
        network = network_scores(seed=seed)
        alone.append(
            [areas("clinical", rows, beside, None)[1], roc_auc(LABELS[PARTS == "test"], network[PARTS == "test"])]
        )
        both.append(areas("tiny+clinical", rows, beside, network)[1])
    clinical, image = np.mean(alone, axis=0)
    assert np.mean(both) > max(clinical, image) + 0.02


def test_a_useless_part_does_next_to_no_harm():
    losses = []
    for seed in range(5):
        rows, beside = made_up(radiomics=0, age=0, seed=seed)
        network = network_scores(seed=seed)
        image = roc_auc(LABELS[PARTS == "test"], network[PARTS == "test"])
        losses.append(image - areas("tiny+radiomics+clinical", rows, beside, network)[1])
    assert np.mean(losses) < 0.015
    useless = [areas("tiny+clinical", *made_up(seed=seed), network_scores(0.0, seed))[1] for seed in range(5)]
    without = [areas("clinical", *made_up(seed=seed), None)[1] for seed in range(5)]
    assert np.mean(without) - np.mean(useless) < 0.03


def test_too_good_scores_of_the_training_cases_are_not_listened_to():
    rows, beside = made_up()
    network = network_scores()
    honest = np.where(PARTS == "train", 0.0, network)
    found = [fuse(recipe("tiny+clinical"), rows, one[PARTS == "tune"], beside, PATIENT_OF) for one in (network, honest)]
    np.testing.assert_array_equal(found[0].weighing.weights, found[1].weighing.weights)


def test_tuning_cases_are_scored_as_if_they_were_new():
    """On average their area is that of the test cases, where weights fitted on all of them would flatter."""
    fresh, flattered, new = [], [], []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        labels = (np.arange(248) % 4 == 0).astype(np.int64)
        parts = rng.normal(size=(248, 3)) + labels[:, None] * [0.9, 0.9, 0.0]
        weighing, scores = weigh(parts[:48], labels[:48], [str(n) for n in range(48)], networked=True, seed=seed)
        fresh.append(roc_auc(labels[:48], scores))
        flattered.append(roc_auc(labels[:48], weighing(parts[:48])))
        new.append(roc_auc(labels[48:], weighing(parts[48:])))
    assert np.mean(flattered) - np.mean(new) > 0.01
    assert abs(np.mean(fresh) - np.mean(new)) < 0.012


def test_the_scale_of_the_networks_score_does_not_matter():
    rows, beside = made_up()
    network = network_scores()
    first, second = (areas("tiny+radiomics", rows, beside, one) for one in (network, network / 1000 + 5))
    assert first == pytest.approx(second)


@pytest.mark.parametrize("name", ["radiomics", "clinical", "tiny+radiomics+clinical"])
def test_test_cases_teach_nothing(name):
    """Other labels, other features and another age of the test cases change no score but their own."""
    rows, beside = made_up()
    network = network_scores() if name.startswith("tiny") else None
    tune = None if network is None else network[PARTS == "tune"]
    test = PARTS == "test"
    labels = LABELS.copy()
    labels[test] = np.random.default_rng(0).permutation(labels[test])
    values = np.asarray(beside.radiomics.values).copy()
    values[test, 5] = 100.0 * LABELS[test]  # would tell the classes apart for certain, if test cases were looked at
    cells = {i: {**row, "age": "99"} if i in set(IDS[test].tolist()) else row for i, row in beside.cells.items()}
    other = replace(beside, radiomics=replace(beside.radiomics, values=values), cells=cells)
    before = fuse(recipe(name), rows, tune, beside, PATIENT_OF)
    after = fuse(recipe(name), replace(rows, labels=labels), tune, other, PATIENT_OF)
    np.testing.assert_array_equal(before.tune, after.tune)
    own = None if network is None else network[test]
    ids = IDS[test].tolist()
    np.testing.assert_array_equal(before.score(own, beside, ids), after.score(own, beside, ids))


@pytest.mark.parametrize("name", ["radiomics", "tiny+radiomics+clinical"])
def test_a_case_scores_alike_alone_and_among_others(name):
    rows, beside = made_up()
    network = network_scores() if name.startswith("tiny") else None
    fused = fuse(recipe(name), rows, None if network is None else network[PARTS == "tune"], beside, PATIENT_OF)
    ids, places = IDS[-5:].tolist(), range(N - 5, N)
    together = fused.score(None if network is None else network[-5:], beside, ids)
    alone = [
        fused.score(None if network is None else network[place : place + 1], beside, [case_id])[0]
        for place, case_id in zip(places, ids, strict=True)
    ]
    np.testing.assert_allclose(together, alone)


def test_the_training_cases_are_scored_without_themselves_by_their_features():
    rows, beside = made_up()
    fused = fuse(recipe("clinical"), rows, None, beside, PATIENT_OF)
    wanted = LABELS[PARTS == "train"] == 0
    np.testing.assert_array_equal(fused.training(None, wanted), fused.learnt[0].part.left_out[wanted])


def test_what_was_learnt_once_serves_other_recipes():
    rows, beside = made_up()
    learnt = {}
    first = fuse(recipe("radiomics"), rows, None, beside, PATIENT_OF, learnt)
    second = fuse(recipe("radiomics+clinical"), rows, None, beside, PATIENT_OF, learnt)
    assert second.learnt[0] is first.learnt[0]
    assert sorted(learnt) == [("clinical", 0, 0), ("radiomics", 0, 0)]


def test_weights_are_drawn_towards_what_the_parts_claim_and_are_never_negative():
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], [6, 2])
    parts = rng.normal(size=(8, 2))
    weighing, _ = weigh(parts, labels, [str(n) for n in range(8)], networked=False, seed=0)
    free = fit_ridge(parts - parts.mean(axis=0), labels, 1e-3)[1:]
    assert np.abs(weighing.weights - 1).max() < np.abs(free - 1).max() / 2
    against = np.column_stack([np.where(labels == 1, -9.0, 9.0), rng.normal(size=8)])
    assert weigh(against, labels, [str(n) for n in range(8)], networked=True, seed=0)[0].weights.min() >= 0


def test_tuning_cases_of_one_class_leave_the_weights_as_they_are_claimed():
    weighing, scores = weigh(
        np.random.default_rng(0).normal(size=(9, 2)), np.zeros(9, int), list("abcdefghi"), False, 0
    )
    np.testing.assert_array_equal(weighing.weights, [1, 1])
    assert np.isfinite(scores).all()


def test_training_cases_of_one_class_are_refused():
    _, beside = made_up()
    ids = IDS[LABELS == 0][:20].tolist()
    with pytest.raises(InputError, match="clinical: the training cases are all of one class"):
        learn_part("clinical", beside, ids, np.zeros(20, dtype=np.int64), ids)
