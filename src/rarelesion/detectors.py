"""Anomaly detectors on embeddings: each learns what benign looks like and scores how far a case is from it.

A detector is a function that fits on the embeddings of the benign training cases and returns a scoring function.
Scores are higher for the more suspicious case, always.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from sklearn.covariance import LedoitWolf
from sklearn.neighbors import LocalOutlierFactor, NearestNeighbors
from sklearn.svm import OneClassSVM

from rarelesion.errors import InputError, Problem
from rarelesion.settings import DetectorSettings
from rarelesion.types import Floats

ScoreFunction = Callable[[Floats], NDArray[np.float64]]
Detector = Callable[[Floats, DetectorSettings], ScoreFunction]


def fit_lof(normal: Floats, settings: DetectorSettings) -> ScoreFunction:
    """Local outlier factor (Breunig et al. 2000, doi:10.1145/335191.335388), squared Euclidean as in the paper.

    `normal` (n, dim) are benign training cases, n at least 2; scores are near 1 inside the benign region and grow
    outside. Repeated vectors are fitted once, since they would make a density infinite.
    """
    normal = np.unique(normal, axis=0)
    model = LocalOutlierFactor(
        n_neighbors=min(settings.lof_neighbours, len(normal) - 1),
        algorithm="brute",
        metric="sqeuclidean",
        novelty=True,
    ).fit(normal)
    return lambda vectors: -model.score_samples(vectors)


def fit_ocsvm(normal: Floats, settings: DetectorSettings) -> ScoreFunction:
    """One-class support vector machine (Schölkopf et al. 2001, doi:10.1162/089976601750264965), RBF kernel.

    Scores are 0 on the border and positive outside. Far from all benign cases they saturate: ties are normal there.
    """
    model = OneClassSVM(kernel="rbf", gamma=settings.ocsvm_gamma, nu=settings.ocsvm_nu).fit(normal)
    return lambda vectors: -model.decision_function(vectors)


def fit_knn(normal: Floats, settings: DetectorSettings) -> ScoreFunction:
    """Mean Euclidean distance to the k nearest benign cases (Ramaswamy et al. 2000, doi:10.1145/335191.335437)."""
    model = NearestNeighbors(n_neighbors=min(settings.knn_neighbours, len(normal))).fit(normal)
    return lambda vectors: model.kneighbors(vectors)[0].mean(axis=1)


def fit_mahalanobis(normal: Floats, settings: DetectorSettings) -> ScoreFunction:
    """Mahalanobis distance from the benign mean, covariance shrunk by Ledoit and Wolf 2004
    (doi:10.1016/S0047-259X(03)00096-4) since there are fewer cases than dimensions."""
    model = LedoitWolf().fit(normal)
    return lambda vectors: np.sqrt(model.mahalanobis(vectors))


DETECTORS: dict[str, Detector] = {
    "ocsvm": fit_ocsvm,
    "lof": fit_lof,
    "knn": fit_knn,
    "mahalanobis": fit_mahalanobis,
}


def fit_detector(name: str, normal: Floats, settings: DetectorSettings) -> ScoreFunction:
    """Fit the named detector on the embeddings (n, dim) of the benign training cases.

    The scoring function takes (m, dim) and returns (m,) float64, higher = more suspicious.
    Raises InputError where fewer than two distinct benign cases are left, or an embedding is not finite.
    """
    normal = check_vectors(normal)
    if len(np.unique(normal, axis=0)) < 2:
        raise InputError(
            Problem(f"detector {name}", "too few benign training cases", f"{len(normal)}", "2 or more that differ")
        )
    score = DETECTORS[name](normal, settings)
    return lambda vectors: np.asarray(score(check_vectors(vectors)), dtype=np.float64)


def check_vectors(vectors: Floats) -> NDArray[np.float64]:
    """Embeddings (n, dim) as float64, or an InputError where a value is not finite."""
    vectors = np.asarray(vectors, dtype=np.float64)
    if not np.isfinite(vectors).all():
        raise InputError(
            Problem(
                "embeddings",
                "a value is not a finite number",
                remedy="The network diverged: lower [training] learning_rate and train it again.",
            )
        )
    return vectors
