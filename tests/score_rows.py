"""Rows of scores made up for tests of statistics."""

import numpy as np
from hypothesis import strategies as st

from rarelesion.types import Scores


def make_scores(label, score, fold=0, repeat=0, part="test", case=None, patient=None):
    n = len(label)
    case = np.array([f"case{i}" for i in range(n)]) if case is None else np.array(case)
    return Scores(
        recipe="made-up",
        repeat=np.broadcast_to(repeat, n),
        fold=np.broadcast_to(fold, n),
        part=np.broadcast_to(part, n),
        case_id=case,
        patient_id=case if patient is None else np.array(patient),
        label=np.array(label),
        score=np.array(score, dtype=float),
    )


def separable(n_benign, n_malignant, seed=0, gain=1.0):
    rng = np.random.default_rng(seed)
    label = np.repeat([0, 1], [n_benign, n_malignant])
    return label, rng.normal(size=label.size) + gain * label


@st.composite
def any_scores(draw):
    """Up to three folds with both classes in each, few distinct values, some patients with several lesions."""
    label, score, fold = [], [], []
    for number in range(draw(st.integers(1, 3))):
        n = draw(st.integers(2, 9))
        label += [0, 1, *draw(st.lists(st.integers(0, 1), min_size=n - 2, max_size=n - 2))]
        score += draw(st.lists(st.integers(0, 5), min_size=n, max_size=n))
        fold += [number] * n
    patient = [f"p{number}" for number in draw(st.lists(st.integers(0, 30), min_size=len(label), max_size=len(label)))]
    return make_scores(label, score, fold=fold, patient=patient)
