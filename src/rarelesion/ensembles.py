"""Several networks as one: the mean of their scores, each on the scale of its own tuning cases.

Networks that differ in what they learnt err on different cases, so that their mean errs less than each of them. Nothing
is fitted to the labels: with few tuning cases weights would be noise.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rarelesion.errors import InputError, Problem
from rarelesion.types import Embeddings, Floats

SMALLEST_SPREAD = 1e-12


@dataclass(frozen=True, eq=False, slots=True)
class Joined(Embeddings):
    """What several networks of one split say of the same cases, side by side."""

    widths: tuple[tuple[int, int], ...] = ()
    """Of each network: the length of its embedding, and how many logits it has."""


def join(members: Sequence[Embeddings]) -> Embeddings:
    """Put the embeddings of several networks of one split side by side; one alone stays as it is.

    Raises InputError where they are not of the same cases in the same parts.
    """
    first = members[0]
    if len(members) == 1:
        return first
    for other in members[1:]:
        same = np.array_equal(first.case_ids, other.case_ids) and np.array_equal(first.parts, other.parts)
        if not same or (first.repeat, first.fold) != (other.repeat, other.fold):
            what, found = "networks of an ensemble know different cases", f"{first.network} and {other.network}"
            raise InputError(Problem("embeddings", what, found, remedy="Remove both and give the study again."))
    return Joined(
        network="++".join(member.network for member in members),
        repeat=first.repeat,
        fold=first.fold,
        case_ids=first.case_ids,
        parts=first.parts,
        labels=first.labels,
        vectors=np.hstack([member.vectors for member in members]),
        logits=np.hstack([member.logits for member in members]),
        widths=tuple((member.vectors.shape[1], member.logits.shape[1]) for member in members),
    )


def first_width(embeddings: Embeddings) -> int:
    """How long the embedding of the first network is."""
    return embeddings.widths[0][0] if isinstance(embeddings, Joined) else embeddings.vectors.shape[1]


def part(joined: Joined) -> list[Embeddings]:
    """The embeddings of each network again."""
    pieces = apart(joined.widths, joined.vectors, joined.logits)
    names = joined.network.split("++")
    return [
        Embeddings(name, joined.repeat, joined.fold, joined.case_ids, joined.parts, joined.labels, vectors, logits)
        for name, (vectors, logits) in zip(names, pieces, strict=True)
    ]


def apart(widths: Sequence[tuple[int, int]], vectors: Floats, logits: Floats) -> list[tuple[Floats, Floats]]:
    """Embeddings (n, sum of lengths) and logits of joined networks, network by network."""
    ends = np.cumsum(np.array(widths), axis=0)[:-1]
    return list(zip(np.split(vectors, ends[:, 0], axis=1), np.split(logits, ends[:, 1], axis=1), strict=True))


@dataclass(frozen=True, eq=False, slots=True)
class Scales:
    """The middle and the spread (k,) of each member's scores of the tuning cases."""

    middle: NDArray[np.float64]
    spread: NDArray[np.float64]

    def mean(self, scores: Sequence[Floats]) -> NDArray[np.float64]:
        """One score (n,) of the members' k scores (n,); higher is more suspicious."""
        return ((np.column_stack(scores) - self.middle) / self.spread).mean(axis=1)


def fit_scales(tuned: Sequence[Floats]) -> Scales:
    """Learn the scales from each member's scores of the tuning cases (n,), labels unseen."""
    values = np.column_stack(tuned).astype(np.float64)
    return Scales(values.mean(axis=0), np.maximum(values.std(axis=0), SMALLEST_SPREAD))
