"""From embeddings to scores: waist 1 to waist 2, in seconds and without images or torch."""

from collections.abc import Callable, Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from rarelesion.contrasts import fit_embedding_scorer
from rarelesion.recipes import Recipe
from rarelesion.settings import DetectorSettings
from rarelesion.types import Embeddings, Floats, Scores

CaseScorer = Callable[[Floats, Floats], NDArray[np.float64]]
"""From embeddings (n, dim) and logits (n, classes) to scores (n,), higher = more suspicious."""


def fit_scorer(recipe: Recipe, embeddings: Embeddings, settings: DetectorSettings) -> CaseScorer:
    """How a recipe scores a case in one split.

    A detector is fitted on the benign training cases, a contrast on both classes. A classifier's score is the log-odds
    of malignant against benign: it ranks as the probability of malignant among the two does, but never ties where that
    rounds to 1. The CVAE's is its own anomaly score.
    """
    if recipe.detector is not None:
        learnt = embeddings.parts == "train"
        benign, malignant = (embeddings.vectors[learnt & (embeddings.labels == label)] for label in (0, 1))
        score = fit_embedding_scorer(recipe.detector, benign, malignant, settings)
        return lambda vectors, logits: score(vectors)
    if recipe.backbone == "cvae":
        return lambda vectors, logits: logits[:, 0].astype(np.float64)
    return lambda vectors, logits: logits[:, 1].astype(np.float64) - logits[:, 0].astype(np.float64)


def texture_probability(logits: Floats) -> NDArray[np.float64]:
    """Probability that a patch shows texture rather than a lesion: "does not look like a lesion".

    `logits` are (n, 3); gives (n,) in 0..1.
    """
    shifted = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    return shifted[:, 2] / shifted.sum(axis=1)


def score_recipe(
    recipe: Recipe, splits: Iterable[Embeddings], patient_of: Mapping[str, str], settings: DetectorSettings
) -> Scores:
    """Score the tuning and test cases of every split by one recipe; `splits` are the embeddings of its network.

    They are taken one by one: an iterator that reads them has one network's at a time in memory.
    """
    parts = [_score_split(recipe, embeddings, patient_of, settings) for embeddings in splits]
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return Scores(recipe=recipe.name, **columns)


def _score_split(
    recipe: Recipe, embeddings: Embeddings, patient_of: Mapping[str, str], settings: DetectorSettings
) -> dict[str, NDArray]:
    rows = embeddings.parts != "train"
    case_ids = embeddings.case_ids[rows]
    scorer = fit_scorer(recipe, embeddings, settings)
    return {
        "repeat": np.full(len(case_ids), embeddings.repeat),
        "fold": np.full(len(case_ids), embeddings.fold),
        "part": embeddings.parts[rows],
        "case_id": case_ids,
        "patient_id": np.array([patient_of[case_id] for case_id in case_ids.tolist()], dtype=np.str_),
        "label": embeddings.labels[rows],
        "score": scorer(embeddings.vectors[rows], embeddings.logits[rows]),
    }
