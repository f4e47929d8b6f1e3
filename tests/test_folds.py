import numpy as np
import pytest

from rarelesion.folds import auc_influence, patient_variance, usable_folds
from rarelesion.metrics import roc_auc
from score_rows import make_scores, separable


def test_variance_over_folds_is_near_ledells():
    label, score = separable(400, 200, seed=2, gain=1.2)
    fold = np.arange(600) % 5
    folds = usable_folds(make_scores(label, score, fold=fold))
    value, influence = auc_influence(folds)
    ledell = 0.0
    for number in range(5):
        here = fold == number
        above, below = score[here & (label == 1)], score[here & (label == 0)]
        auc = np.mean(above[:, None] > below)
        parts = [
            ((above[:, None] > below).mean(1) - auc) / (200 / 600),
            ((above > below[:, None]).mean(1) - auc) / (400 / 600),
        ]
        ledell += np.sum(np.concatenate(parts) ** 2) / here.sum() / 5
    assert patient_variance(folds.rows, influence) == pytest.approx(ledell / 600, rel=0.03)
    assert value == pytest.approx(np.mean([roc_auc(label[fold == k], score[fold == k]) for k in range(5)]))
