"""The classifier's last layer and its loss."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from rarelesion.losses import Head, class_weights, soft_cross_entropy


def test_head_without_alpha_is_a_linear_layer() -> None:
    head = Head(dim=4, classes=3, alpha=None)
    embedding = torch.arange(8.0).view(2, 4)

    expected = embedding @ head.linear.weight.T + head.linear.bias

    torch.testing.assert_close(head(embedding), expected)


def test_head_with_alpha_sees_embeddings_of_that_length() -> None:
    head = Head(dim=2, classes=2, alpha=80.0)
    with torch.no_grad():
        head.linear.weight.copy_(torch.eye(2))
        head.linear.bias.zero_()

    logits = head(torch.tensor([[3.0, 4.0], [0.3, 0.4], [-5.0, 0.0]]))

    torch.testing.assert_close(logits, torch.tensor([[48.0, 64.0], [48.0, 64.0], [-80.0, 0.0]]))


def test_a_dead_embedding_gives_finite_logits_and_gradients() -> None:
    head = Head(dim=4, classes=2, alpha=80.0)
    embedding = torch.zeros(1, 4, requires_grad=True)

    soft_cross_entropy(head(embedding), torch.tensor([[1.0, 0.0]])).backward()

    assert embedding.grad is not None
    assert torch.isfinite(embedding.grad).all()
    torch.testing.assert_close(head(embedding), head.linear.bias.expand(1, 2))


@pytest.mark.parametrize("alpha", [None, 80.0])
def test_head_and_loss_stay_in_float32_under_autocast(alpha: float | None) -> None:
    torch.manual_seed(0)
    head, embedding = Head(dim=64, classes=3, alpha=alpha), torch.rand(5, 64)
    targets = functional.one_hot(torch.tensor([0, 1, 2, 1, 0]), 3).float()
    plain = soft_cross_entropy(head(embedding), targets)

    with torch.autocast("cpu", torch.bfloat16):
        logits = head(embedding)
        loss = soft_cross_entropy(logits, targets)

    assert logits.dtype == loss.dtype == torch.float32
    assert loss.item() == plain.item()
    assert torch.equal(logits, head(embedding))
    assert head(embedding.bfloat16()).dtype == torch.float32


def test_loss_of_hard_targets_by_hand() -> None:
    logits = torch.log(torch.tensor([[0.7, 0.2, 0.1], [0.25, 0.5, 0.25]]))
    targets = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])

    assert soft_cross_entropy(logits, targets).item() == pytest.approx(-(math.log(0.7) + math.log(0.5)) / 2)


def test_loss_of_mixed_targets_is_the_mixture_of_the_losses() -> None:
    logits = torch.log(torch.tensor([[0.6, 0.3, 0.1]]))

    loss = soft_cross_entropy(logits, torch.tensor([[0.8, 0.0, 0.2]]))

    assert loss.item() == pytest.approx(-0.8 * math.log(0.6) - 0.2 * math.log(0.1))


def test_class_weights_multiply_a_picture_s_loss_and_the_mean_is_over_pictures() -> None:
    logits = torch.log(torch.tensor([[0.5, 0.5], [0.8, 0.2]]))
    targets = torch.tensor([[1.0, 0.0], [0.0, 1.0]])

    loss = soft_cross_entropy(logits, targets, torch.tensor([0.5, 3.0]))

    assert loss.item() == pytest.approx((0.5 * -math.log(0.5) + 3.0 * -math.log(0.2)) / 2)


def test_balanced_weights_by_hand() -> None:
    labels = np.array([0] * 6 + [1] * 2 + [2] * 4)

    torch.testing.assert_close(class_weights(labels, 3), torch.tensor([12 / 18, 2.0, 1.0]))


def test_a_class_without_cases_weighs_nothing() -> None:
    torch.testing.assert_close(class_weights([0, 0, 0, 1], 3), torch.tensor([4 / 6, 2.0, 0.0]))


@given(st.lists(st.integers(0, 2), min_size=1, max_size=60))
def test_balanced_weights_average_to_one_and_equalise_the_classes(labels: list[int]) -> None:
    weights = class_weights(labels, 3).numpy()
    counts = np.bincount(labels, minlength=3)

    assert weights[labels].mean() == pytest.approx(1.0, rel=1e-5)
    totals = (weights * counts)[counts > 0]
    np.testing.assert_allclose(totals, totals[0], rtol=1e-5)
