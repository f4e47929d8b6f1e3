"""How much a frozen embedding says about textures: whose neighbours it lies among, and what a straight line tells."""

from dataclasses import dataclass

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler

from rarelesion.types import Floats, Ints

NEIGHBOURS = 5
MOST_ITERATIONS = 300


@dataclass(frozen=True, slots=True)
class Probe:
    """Share of unseen pictures named rightly, 0 to 1; `chance` is what guessing reaches."""

    nearest: float
    linear: float
    chance: float
    pictures: int


def probe(known: Floats, known_labels: Ints, new: Floats, new_labels: Ints) -> Probe:
    """Name new pictures by their nearest known ones (k = 5, Euclidean), and by a logistic regression.

    Embeddings are (n, dim), standardised by the known ones; labels (n,) are any whole numbers.
    """
    scaler = StandardScaler().fit(known)
    known, new = np.asarray(scaler.transform(known)), np.asarray(scaler.transform(new))
    nearest = KNeighborsClassifier(min(NEIGHBOURS, len(known))).fit(known, known_labels)
    linear = LogisticRegression(C=0.01, max_iter=MOST_ITERATIONS).fit(known, known_labels)
    return Probe(
        nearest=float((nearest.predict(new) == new_labels).mean()),
        linear=float((linear.predict(new) == new_labels).mean()),
        chance=float(np.bincount(new_labels).max() / len(new_labels)),
        pictures=len(new_labels),
    )
