"""Naming formulas: asked at every depth, every depth learns to answer."""

import numpy as np
import torch

from rarelesion.album import Album
from rarelesion.formula import Naming
from rarelesion.learning import Extent, learn, new_backbone, seeded


def shades(rng, side_px):
    """Class 0 is smooth, class 1 is rough."""
    kind = int(rng.integers(2))
    rough = rng.random((3, side_px, side_px), dtype=np.float32)
    return (rough if kind else np.broadcast_to(np.linspace(0, 1, side_px, dtype=np.float32), rough.shape)), kind


def test_after_the_lesson_the_class_is_named_from_every_depth():
    album = Album(shades, seed=0, pages=24)
    pixels = album.crops(32, 32, 0)[0]
    with seeded(0):
        lesson = Naming(new_backbone("tiny", 0, pixels), album, 2, pixels, torch.float32)
    assert lesson.pairs()[0] == "conv1_relu names the formula"
    assert set(lesson.heads) == {"conv1_relu", "conv2_relu", "conv3_relu", "conv4_relu"}
    learn(lesson, Extent(1200, None, (32, 32)))
    lesson.eval()
    pixels, kinds = album.crops(200, 32, 50_000)
    with torch.inference_mode():
        maps = lesson._maps.maps(pixels, list(lesson.heads))
        named = {layer: head(maps[layer].mean((2, 3))).argmax(1) for layer, head in lesson.heads.items()}
    rightly = {layer: float((kind == kinds).float().mean()) for layer, kind in named.items()}
    assert min(rightly.values()) > 0.6
    assert rightly["conv4_relu"] > 0.85
