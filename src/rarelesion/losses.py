"""The classifier's last layer and its loss: plain softmax, and softmax on embeddings of one length."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from rarelesion.types import Ints

SMALLEST_LENGTH = 1e-6
"""Shorter embeddings are scaled as if this long, so that a dead one gives zeros and not NaN."""


class Head(nn.Module):
    """From embeddings (n, dim) to logits (n, classes), float32 even under autocast.

    With `alpha` an embedding is first scaled to that length, so that only its direction can tell the classes apart
    (L2-constrained softmax: Ranjan et al. 2017, https://arxiv.org/abs/1703.09507; the paper has alpha = 80).
    """

    def __init__(self, dim: int, classes: int, alpha: float | None) -> None:
        super().__init__()
        self.alpha = alpha
        self.linear = nn.Linear(dim, classes)
        # As Keras starts a dense layer.
        nn.init.xavier_uniform_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, embedding: Tensor) -> Tensor:
        with torch.autocast(embedding.device.type, enabled=False):
            vectors = embedding.float()
            if self.alpha is not None:
                vectors = self.alpha * functional.normalize(vectors, dim=1, eps=SMALLEST_LENGTH)
            return self.linear(vectors)


def soft_cross_entropy(logits: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
    """Mean loss of a batch whose pictures may belong to several classes in shares (mix-up).

    `logits` and `targets` are (n, classes), each row of `targets` sums to 1; `weights` is (classes,), from
    `class_weights`. The mean is over pictures, not over weights. Returns a float32 scalar; 0 is perfect.
    """
    return functional.cross_entropy(logits.float(), targets.float(), weight=weights)


def class_weights(labels: Sequence[int] | Ints, classes: int) -> Tensor:
    """Weights (classes,) with which every class has the same share in the loss, however few its cases.

    A class with n of N cases, of k classes that have any, weighs N / (k n), so that the weights average to 1 over the
    cases; a class without cases weighs 0. `labels` are (N,) integers in 0..classes-1.
    """
    counts = torch.from_numpy(np.bincount(np.asarray(labels, dtype=np.int64), minlength=classes)).float()
    present = counts > 0
    return torch.where(present, counts.sum() / (present.sum() * counts.clamp(min=1)), 0.0)
