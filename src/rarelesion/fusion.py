"""Late fusion: a network's score, radiomics and clinical columns, each learnt by itself, weighed together.

A network's scores of its own training cases are too good to weigh it by, so the weights come from the tuning cases,
which are few: they are drawn towards what the parts claim of themselves. Each tuning case is scored by weights learnt
without it, so that thresholds and probabilities chosen on tuning cases stay honest. Why so: docs/concepts/fusion.md.
"""

from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from rarelesion.clinical import Cells, fit_encoding
from rarelesion.errors import InputError, Problem
from rarelesion.recipes import Recipe
from rarelesion.ridge import Array, Part, deal, fit_part, fit_ridge
from rarelesion.types import Embeddings, FeatureTable, Floats, Ints

FOLDS = 10
"""In so many parts the tuning cases are dealt out, to be scored by weights of the others."""
SLOPE_PENALTY, WEIGHT_PENALTY = 1.0, 3.0
"""How strongly the network's slope is drawn to 0, and the weights to 1: chosen by simulation."""
MOST_SPREADS = 4.0
"""A network's score counts for no more than so many spreads of its tuning scores: detectors know no limit."""


@dataclass(frozen=True, eq=False, slots=True)
class Beside:
    """What is known of cases beside the networks' embeddings, by case id."""

    radiomics: FeatureTable | None = None
    cells: Mapping[str, Cells] = field(default_factory=dict)
    """Case id -> its row of the cohort."""
    columns: tuple[str, ...] = ()
    """Which of its columns are clinical."""
    numbers: frozenset[str] = frozenset()
    """Which of these hold numbers."""
    seed: int = 0
    table: FeatureTable | None = None
    """What another program measured."""

    def measured(self, case_ids: Sequence[str]) -> Array:
        """The radiomics (n, p) of cases."""
        return _values(self.radiomics, case_ids)

    def tabled(self, case_ids: Sequence[str]) -> Array:
        """The features (n, p) of cases that another program measured."""
        return _values(self.table, case_ids)

    def rows(self, case_ids: Sequence[str]) -> list[Cells]:
        """The cells of cases."""
        return [self.cells[case_id] for case_id in case_ids]


def _values(table: FeatureTable | None, case_ids: Sequence[str]) -> Array:
    assert table is not None
    row_of = {case_id: row for row, case_id in enumerate(table.case_ids.tolist())}
    return table.values[[row_of[case_id] for case_id in case_ids]]


@dataclass(frozen=True, eq=False, slots=True)
class FeaturePart:
    """What was learnt from one kind of features on the training cases of one split."""

    part: Part
    read: Callable[[Beside, Sequence[str]], Array]

    def score(self, beside: Beside, case_ids: Sequence[str]) -> Array:
        """Log-odds (n,) of malignancy; higher is more suspicious."""
        return self.part.score(self.read(beside, case_ids))

    def standardised(self, beside: Beside, case_ids: Sequence[str]) -> Array:
        """The features (n, p) that it reads, comparable with each other."""
        return self.part.standard(self.read(beside, case_ids))


NUMBERS: Mapping[str, Callable[[Beside, Sequence[str]], Array]] = {
    "radiomics": Beside.measured, "table": Beside.tabled,
}  # fmt: skip
"""Kinds of features that are numbers throughout -> where they are found."""


def learn_part(
    kind: str, beside: Beside, case_ids: Sequence[str], labels: Ints, patients: Sequence[str]
) -> FeaturePart:
    """Learn one kind of features, a word of `FEATURES`, from training cases (n) with labels (n,) and patients."""
    if len(np.unique(labels)) < 2:
        raise InputError(Problem(kind, "the training cases are all of one class", expected="both classes"))
    if kind in NUMBERS:
        read = NUMBERS[kind]
        return FeaturePart(fit_part(read(beside, case_ids), labels, patients, beside.seed), read)
    encode = fit_encoding(beside.columns, beside.numbers, beside.rows(case_ids))
    part = fit_part(encode(beside.rows(case_ids)), labels, patients, beside.seed)
    return FeaturePart(part, lambda other, ids: encode(other.rows(ids)))


@dataclass(frozen=True, eq=False, slots=True)
class Weighing:
    """How the parts of a score are put together; the network's, where there is one, comes first."""

    middle: Array
    """(k,) the mean of each part over the tuning cases."""
    spread: Array
    """(k,) its standard deviation there; only the network's is used."""
    weights: Array
    """(k,) of the parts less their means; the network's of its standardised score. None is below 0."""
    networked: bool

    def __call__(self, parts: Floats) -> Array:
        """The fused score (n,) of parts (n, k); higher is more suspicious."""
        return _centred(parts, self.middle, self.spread, self.networked) @ self.weights


def _centred(parts: Floats, middle: Array, spread: Array, networked: bool) -> Array:
    away = parts - middle
    if networked:
        away[:, 0] = np.clip(away[:, 0] / spread[0], -MOST_SPREADS, MOST_SPREADS)
    return away


def weigh(parts: Floats, labels: Ints, patients: Sequence[str], networked: bool, seed: int) -> tuple[Weighing, Array]:
    """Weigh parts (n, k) on the tuning cases; gives how new cases are weighed, and the scores (n,) of the tuning cases.

    The parts are log-odds and claim a weight of 1; the network's score (the first part, if `networked`) is put on that
    scale by a penalised slope first. Then all weights are fitted, drawn towards 1. The tuning cases' own scores come
    from weights of the others; patients stay together. One part alone is not weighed.
    """
    middle, spread = parts.mean(axis=0), np.maximum(parts.std(axis=0), 1e-12)
    centred = _centred(parts, middle, spread, networked)
    if parts.shape[1] == 1:
        only = Weighing(np.zeros(1), np.ones(1), np.ones(1), networked=False)
        return only, only(parts)
    weights = _weights(centred, labels, networked)
    reach = float((centred @ weights).std())
    scores = np.empty(len(labels))
    fold_of = deal(labels, patients, FOLDS, np.random.default_rng(seed))
    for fold in np.unique(fold_of):
        kept = fold_of != fold
        others = _weights(centred[kept], labels[kept], networked)
        # Only how the parts are mixed is to differ: a scale of its own would set the cases left out apart.
        scale = reach / max(float((centred @ others).std()), 1e-12)
        scores[~kept] = centred[~kept] @ others * scale
    return Weighing(middle, spread, weights, networked), scores


def _weights(centred: Array, labels: Ints, networked: bool) -> Array:
    """(k,) fitted on tuning cases; what the parts claim where these are all of one class."""
    claimed = np.ones(centred.shape[1])
    if len(np.unique(labels)) < 2:
        return claimed
    if networked:
        claimed[0] = max(0.0, fit_ridge(centred[:, :1], labels, SLOPE_PENALTY)[1])
    log_odds = centred * claimed
    unit = max(float(log_odds.std(axis=0).max()), 1e-12)
    fitted = fit_ridge(log_odds / unit, labels, WEIGHT_PENALTY, np.full(claimed.size, unit))[1:] / unit
    return np.maximum(fitted, 0.0) * claimed


@dataclass(frozen=True, eq=False, slots=True)
class FusedSplit:
    """A recipe with features, ready to score the cases of one split and new ones."""

    weighing: Weighing
    learnt: tuple[FeaturePart, ...]
    tune: Array
    """Scores of the split's tuning cases, in their order, each by weights learnt without it."""

    def score(self, network: Floats | None, beside: Beside, case_ids: Sequence[str]) -> Array:
        """Scores (n,) of cases that were not in the training; `network` (n,) is the network's own, if there is one."""
        return self.weighing(_parts(network, [one.score(beside, case_ids) for one in self.learnt]))

    def training(self, network: Floats | None, wanted: NDArray[np.bool_]) -> Array:
        """Scores of the training cases that are `wanted`, as if each had been new to the features.

        `network` (n,) are the network's own of these, taken as they are.
        """
        return self.weighing(_parts(network, [one.part.left_out[wanted] for one in self.learnt]))

    def standardised(self, beside: Beside, case_ids: Sequence[str]) -> Array:
        """All features (n, p) of cases, comparable with each other."""
        return np.hstack([one.standardised(beside, case_ids) for one in self.learnt])


def _parts(network: Floats | None, features: Sequence[Array]) -> Array:
    return np.column_stack([*([] if network is None else [network]), *features]).astype(np.float64)


def fuse(
    recipe: Recipe,
    rows: Embeddings,
    network: Floats | None,
    beside: Beside,
    patient_of: Mapping[str, str],
    learnt: MutableMapping[tuple[str, int, int], FeaturePart] | None = None,
) -> FusedSplit:
    """Learn the features of one split and weigh them with the network's scores (n,) of its tuning cases, if any.

    `rows` says which cases are in which part. `learnt` keeps what was learnt of a kind, repeat and fold for other
    recipes of the same study. Test cases are not looked at.
    """
    cache = {} if learnt is None else learnt
    found = [_learn_once(kind, rows, beside, patient_of, cache) for kind in recipe.features]
    tune = rows.parts == "tune"
    case_ids = rows.case_ids[tune].tolist()
    parts = _parts(network, [one.score(beside, case_ids) for one in found])
    patients = [patient_of[case_id] for case_id in case_ids]
    weighing, scores = weigh(parts, rows.labels[tune], patients, network is not None, beside.seed)
    return FusedSplit(weighing, tuple(found), scores)


def _learn_once(
    kind: str,
    rows: Embeddings,
    beside: Beside,
    patient_of: Mapping[str, str],
    cache: MutableMapping[tuple[str, int, int], FeaturePart],
) -> FeaturePart:
    key = kind, rows.repeat, rows.fold
    if key not in cache:
        train = rows.parts == "train"
        case_ids = rows.case_ids[train].tolist()
        patients = [patient_of[case_id] for case_id in case_ids]
        cache[key] = learn_part(kind, beside, case_ids, rows.labels[train], patients)
    return cache[key]
