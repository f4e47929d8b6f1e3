"""Detectors that know both classes: is a case stranger among the benign than among the malignant?

A contrast is a function that fits on the embeddings of the benign and of the malignant training cases and returns a
scoring function. Scores are higher for the more suspicious case, always, and about 0 where both classes fit alike.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from sklearn.covariance import LedoitWolf
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import LocalOutlierFactor, NearestNeighbors

from rarelesion.detectors import DETECTORS, ScoreFunction, check_vectors, fit_detector
from rarelesion.errors import InputError, Problem
from rarelesion.settings import DetectorSettings
from rarelesion.types import Floats

Contrast = Callable[[Floats, Floats, DetectorSettings], ScoreFunction]
CLOSEST = 1e-12
"""Distances below this are taken for it, so that a case equal to a known one has a logarithm."""
SLACK = 0.01
"""The inverse of the penalty on a logistic regression's weights, embeddings scaled to a spread of 1."""


def _outlier_factor(vectors: Floats, neighbours: int) -> ScoreFunction:
    vectors = np.unique(vectors, axis=0)
    k = min(neighbours, len(vectors) - 1)
    model = LocalOutlierFactor(n_neighbors=k, algorithm="brute", metric="sqeuclidean", novelty=True).fit(vectors)
    return lambda cases: np.log(np.maximum(-model.score_samples(cases), CLOSEST))


def _distance(vectors: Floats, neighbours: int) -> ScoreFunction:
    model = NearestNeighbors(n_neighbors=min(neighbours, len(vectors))).fit(vectors)
    return lambda cases: np.log(np.maximum(model.kneighbors(cases)[0].mean(axis=1), CLOSEST))


def contrast_lof(benign: Floats, malignant: Floats, settings: DetectorSettings) -> ScoreFunction:
    """How much lonelier a case is among the benign than among the malignant: log ratio of two local outlier factors.

    Each factor (Breunig et al. 2000, doi:10.1145/335191.335388) is that of `detectors.fit_lof`, with
    `contrast_neighbours` neighbours or as many as the class has.
    """
    near, far = (_outlier_factor(vectors, settings.contrast_neighbours) for vectors in (benign, malignant))
    return lambda cases: near(cases) - far(cases)


def contrast_knn(benign: Floats, malignant: Floats, settings: DetectorSettings) -> ScoreFunction:
    """How much farther the nearest benign cases are than the nearest malignant ones: the log ratio of mean distances.

    As a density ratio by nearest neighbours, whose dimensions cancel in the order of the scores.
    """
    near, far = (_distance(vectors, settings.contrast_neighbours) for vectors in (benign, malignant))
    return lambda cases: near(cases) - far(cases)


def contrast_lda(benign: Floats, malignant: Floats, settings: DetectorSettings) -> ScoreFunction:
    """Linear discriminant: Mahalanobis distance from the benign mean less that from the malignant one, one covariance.

    The covariance within the classes is shrunk by Ledoit & Wolf 2004 (doi:10.1016/S0047-259X(03)00096-4).
    """
    centres = benign.mean(axis=0), malignant.mean(axis=0)
    within = np.concatenate([benign - centres[0], malignant - centres[1]])
    towards = LedoitWolf(assume_centered=True).fit(within).precision_ @ (centres[1] - centres[0])
    middle = float((centres[0] + centres[1]) @ towards) / 2
    return lambda cases: cases @ towards - middle


def contrast_logistic(benign: Floats, malignant: Floats, settings: DetectorSettings) -> ScoreFunction:
    """The log-odds of a logistic regression on the embedding, both classes counting alike, its weights held small."""
    vectors = np.concatenate([benign, malignant])
    centre, scale = vectors.mean(axis=0), max(float(vectors.std()), CLOSEST)
    labels = np.repeat([0, 1], [len(benign), len(malignant)])
    model = LogisticRegression(C=SLACK, class_weight="balanced", max_iter=1000).fit((vectors - centre) / scale, labels)
    return lambda cases: model.decision_function((cases - centre) / scale)


CONTRASTS: dict[str, Contrast] = {
    "lofratio": contrast_lof,
    "knnratio": contrast_knn,
    "lda": contrast_lda,
    "logistic": contrast_logistic,
}
SCORERS = (*DETECTORS, *CONTRASTS)
"""Every word that may end a recipe."""


def fit_embedding_scorer(name: str, benign: Floats, malignant: Floats, settings: DetectorSettings) -> ScoreFunction:
    """Fit the named detector or contrast on the embeddings (n, dim) and (m, dim) of the training cases.

    A detector never sees the malignant ones. The scoring function takes (k, dim) and returns (k,) float64, higher =
    more suspicious. Raises InputError where a class it needs has fewer than two distinct cases, the name is unknown,
    or an embedding is not finite.
    """
    if name in DETECTORS:
        return fit_detector(name, benign, settings)
    classes = {"benign": check_vectors(benign), "malignant": check_vectors(malignant)}
    few = [
        Problem(f"detector {name}", f"too few {label} training cases", f"{len(vectors)}", "2 or more that differ")
        for label, vectors in classes.items()
        if len(np.unique(vectors, axis=0)) < 2
    ]
    if few:
        raise InputError(few)
    score = CONTRASTS[name](classes["benign"], classes["malignant"], settings)

    def finite(cases: Floats) -> NDArray[np.float64]:
        return np.asarray(score(check_vectors(cases)), dtype=np.float64)

    return finite
