"""Probes of an embedding: what stands apart is named, what is noise is guessed."""

import numpy as np
import pytest

from rarelesion.probe import probe


def test_clouds_that_lie_apart_are_named_and_noise_is_guessed():
    rng = np.random.default_rng(0)
    labels = np.repeat([3, 7], 40)
    apart = rng.normal(size=(80, 5)) + 6 * (labels == 7)[:, None]
    found = probe(apart[::2], labels[::2], apart[1::2], labels[1::2])
    assert (found.nearest, found.linear, found.chance, found.pictures) == (1.0, 1.0, 0.5, 40)
    noise = rng.normal(size=(80, 5))
    guessed = probe(noise[::2], labels[::2], noise[1::2], labels[1::2])
    assert guessed.nearest == pytest.approx(0.5, abs=0.25)
    assert guessed.linear == pytest.approx(0.5, abs=0.25)


def test_a_constant_or_very_loud_number_does_not_matter():
    rng = np.random.default_rng(1)
    labels = np.tile([0, 1, 2], 20)
    vectors = rng.normal(size=(60, 4)) + 5 * np.eye(4)[labels]
    told = probe(vectors[:30], labels[:30], vectors[30:], labels[30:])
    louder = np.column_stack([vectors * [1, 1000, 1, 1], np.ones(60)])
    assert probe(louder[:30], labels[:30], louder[30:], labels[30:]) == told


def test_where_classes_overlap_a_ring_is_seen_by_neighbours_only():
    rng = np.random.default_rng(2)
    angle, labels = rng.uniform(0, 2 * np.pi, 200), np.tile([0, 1], 100)
    radius = 1.0 + 2.0 * labels
    ring = np.column_stack([radius * np.cos(angle), radius * np.sin(angle)])
    found = probe(ring[:100], labels[:100], ring[100:], labels[100:])
    assert found.nearest > 0.95
    assert found.linear < 0.7
