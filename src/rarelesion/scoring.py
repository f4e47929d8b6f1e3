"""From embeddings to scores: waist 1 to waist 2, in seconds and without images or torch."""

from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rarelesion.contrasts import fit_embedding_scorer
from rarelesion.ensembles import Joined, apart, fit_scales, part
from rarelesion.fusion import Beside, FeaturePart, FusedSplit, fuse
from rarelesion.recipes import Recipe
from rarelesion.settings import DetectorSettings
from rarelesion.types import Embeddings, Floats, Scores, Split

CaseScorer = Callable[[Floats, Floats], NDArray[np.float64]]
"""From embeddings (n, dim) and logits (n, classes) to scores (n,), higher = more suspicious."""


def fit_scorer(recipe: Recipe, embeddings: Embeddings, settings: DetectorSettings) -> CaseScorer:
    """How the network of a recipe scores a case in one split, whatever features stand beside it.

    A detector is fitted on the benign training cases, a contrast on both classes. A classifier's score is the log-odds
    of malignant against benign: it ranks as the probability of malignant among the two does, but never ties where that
    rounds to 1. The CVAE's is its own anomaly score. An ensemble's is the mean of its members', see `ensembles`.
    """
    if recipe.members:
        assert isinstance(embeddings, Joined)
        return _fit_members(recipe, embeddings, settings)
    if recipe.detector is not None:
        learnt = embeddings.parts == "train"
        benign, malignant = (embeddings.vectors[learnt & (embeddings.labels == label)] for label in (0, 1))
        score = fit_embedding_scorer(recipe.detector, benign, malignant, settings)
        return lambda vectors, logits: score(vectors)
    if recipe.backbone == "cvae":
        return lambda vectors, logits: logits[:, 0].astype(np.float64)
    return lambda vectors, logits: logits[:, 1].astype(np.float64) - logits[:, 0].astype(np.float64)


def _fit_members(recipe: Recipe, joined: Joined, settings: DetectorSettings) -> CaseScorer:
    known = part(joined)
    scorers = [fit_scorer(one, rows, settings) for one, rows in zip(recipe.members, known, strict=True)]
    tune = joined.parts == "tune"
    tuned = [score(rows.vectors[tune], rows.logits[tune]) for score, rows in zip(scorers, known, strict=True)]
    scales = fit_scales(tuned)

    def mean(vectors: Floats, logits: Floats) -> NDArray[np.float64]:
        pieces = apart(joined.widths, vectors, logits)
        return scales.mean([score(*piece) for score, piece in zip(scorers, pieces, strict=True)])

    return mean


@dataclass(frozen=True, eq=False, slots=True)
class SplitScorer:
    """A recipe, ready to score the cases of one split and new ones; higher is more suspicious."""

    network: CaseScorer | None
    """None where features alone are read."""
    fused: FusedSplit | None
    """None where the network alone is read."""
    tune: NDArray[np.float64]
    """Scores of the split's tuning cases, in their order, for thresholds and probabilities to be chosen on."""

    def score(
        self, vectors: Floats, logits: Floats, beside: Beside | None, case_ids: Sequence[str]
    ) -> NDArray[np.float64]:
        """Scores (n,) of cases that were in neither the training nor the tuning part."""
        own = None if self.network is None else self.network(vectors, logits)
        if self.fused is None:
            assert own is not None
            return own
        assert beside is not None
        return self.fused.score(own, beside, case_ids)


def fit_split(
    recipe: Recipe,
    rows: Embeddings,
    settings: DetectorSettings,
    beside: Beside | None,
    patient_of: Mapping[str, str],
    learnt: MutableMapping[tuple[str, int, int], FeaturePart] | None = None,
) -> SplitScorer:
    """Make a recipe ready in one split; `rows` are its network's embeddings, or `split_rows` where it has none.

    `beside` holds the features of all its cases; `learnt` keeps what was learnt of them for other recipes.
    """
    network = fit_scorer(recipe, rows, settings) if recipe.network else None
    tune = rows.parts == "tune"
    own = None if network is None else network(rows.vectors[tune], rows.logits[tune])
    if not recipe.features:
        assert own is not None
        return SplitScorer(network, None, own)
    assert beside is not None
    fused = fuse(recipe, rows, own, beside, patient_of, learnt)
    return SplitScorer(network, fused, fused.tune)


def split_rows(split: Split, label_of: Mapping[str, int]) -> Embeddings:
    """The cases of a split in the place of embeddings, for recipes without a network."""
    parts = [(case_id, part) for part in ("train", "tune", "test") for case_id in getattr(split, part)]
    nothing = np.empty((len(parts), 0), dtype=np.float32)
    return Embeddings(
        network="",
        repeat=split.repeat,
        fold=split.fold,
        case_ids=np.array([case_id for case_id, _ in parts], dtype=np.str_),
        parts=np.array([part for _, part in parts], dtype=np.str_),
        labels=np.array([label_of[case_id] for case_id, _ in parts], dtype=np.int64),
        vectors=nothing,
        logits=nothing,
    )


def texture_probability(logits: Floats) -> NDArray[np.float64]:
    """Probability that a patch shows texture rather than a lesion: "does not look like a lesion".

    `logits` are (n, 3); gives (n,) in 0..1.
    """
    shifted = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    return shifted[:, 2] / shifted.sum(axis=1)


def score_recipe(
    recipe: Recipe,
    splits: Iterable[Embeddings],
    patient_of: Mapping[str, str],
    settings: DetectorSettings,
    beside: Beside | None = None,
    learnt: MutableMapping[tuple[str, int, int], FeaturePart] | None = None,
) -> Scores:
    """Score the tuning and test cases of every split by one recipe; `splits` are the embeddings of its network, or
    `split_rows` where it has none.

    They are taken one by one: an iterator that reads them has one network's at a time in memory. `beside` and `learnt`
    as in `fit_split`.
    """
    parts = [_score_split(recipe, rows, patient_of, settings, beside, learnt) for rows in splits]
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return Scores(recipe=recipe.name, **columns)


def _score_split(
    recipe: Recipe,
    embeddings: Embeddings,
    patient_of: Mapping[str, str],
    settings: DetectorSettings,
    beside: Beside | None,
    learnt: MutableMapping[tuple[str, int, int], FeaturePart] | None,
) -> dict[str, NDArray]:
    rows = embeddings.parts != "train"
    case_ids, parts = embeddings.case_ids[rows], embeddings.parts[rows]
    scorer = fit_split(recipe, embeddings, settings, beside, patient_of, learnt)
    test = embeddings.parts == "test"
    score = np.empty(len(case_ids))
    score[parts == "tune"] = scorer.tune
    score[parts == "test"] = scorer.score(
        embeddings.vectors[test], embeddings.logits[test], beside, embeddings.case_ids[test].tolist()
    )
    return {
        "repeat": np.full(len(case_ids), embeddings.repeat),
        "fold": np.full(len(case_ids), embeddings.fold),
        "part": parts,
        "case_id": case_ids,
        "patient_id": np.array([patient_of[case_id] for case_id in case_ids.tolist()], dtype=np.str_),
        "label": embeddings.labels[rows],
        "score": score,
    }
