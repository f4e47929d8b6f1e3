import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rarelesion.metrics import METRICS
from rarelesion.resampling import weighted_average_precision, weighted_roc_auc
from score_rows import any_scores


@given(any_scores(), st.integers(0, 99))
def test_a_weight_is_a_number_of_copies(scores, seed):
    weights = np.random.default_rng(seed).integers(0, 3, (4, scores.label.size))
    malignant = scores.label == 1
    for weighted, metric in ((weighted_roc_auc, METRICS["roc_auc"]), (weighted_average_precision, METRICS["pr_auc"])):
        for counts, found in zip(weights, weighted(malignant, scores.score, weights.astype(float)), strict=True):
            labels, copies = np.repeat(scores.label, counts), np.repeat(scores.score, counts)
            if np.unique(labels).size == 2:
                assert found == pytest.approx(metric(labels, copies), abs=1e-12)
            else:
                assert np.isnan(found)
