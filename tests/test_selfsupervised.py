"""VICReg: the loss by hand, and views of a picture that come to lie together."""

import pytest
import torch

from rarelesion.album import Album
from rarelesion.learning import Extent, learn, new_backbone, seeded
from rarelesion.pictures import draw_picture
from rarelesion.selfsupervised import COVARIANCE, INVARIANCE, VARIANCE, SelfSupervised, vicreg


def test_views_alike_spread_out_and_uncorrelated_cost_nothing():
    signs = torch.tensor([[1.0, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) * 2
    assert float(vicreg(signs, signs)) == pytest.approx(0, abs=1e-6)


def test_each_part_of_the_loss_by_hand():
    # Two numbers that say the same, of variance 16/3 in four pictures: covariance 16/3 twice, over two numbers.
    same = torch.tensor([[2.0, 2], [-2, -2], [2, 2], [-2, -2]])
    assert float(vicreg(same, same)) == pytest.approx(COVARIANCE * 2 * (16 / 3) ** 2, rel=1e-5)
    constant = torch.zeros(4, 2)
    assert float(vicreg(constant, constant)) == pytest.approx(VARIANCE * (1 - 1e-2), rel=1e-5)
    apart = same + 0.5
    expected = INVARIANCE * 0.25 + COVARIANCE * 2 * (16 / 3) ** 2
    assert float(vicreg(same, apart)) == pytest.approx(expected, rel=1e-5)


def test_views_of_a_picture_come_to_lie_together():
    album = Album(lambda rng, side: (draw_picture(rng, side), 0), seed=0, pages=32)
    pixels = album.crops(32, 32, 0)[0]
    with seeded(0):
        lesson = SelfSupervised(new_backbone("tiny", 0, pixels), album, pixels.device, torch.float32)
    first, second = lesson.batch(0, 16, 32)
    assert first.shape == second.shape == (64, 3, 32, 32)

    def found():
        """How much more alike (cosine) two views of a picture are than those of two pictures."""
        with torch.inference_mode():
            views = [lesson.backbone.eval()(view) for view in lesson.batch(100_000, 16, 32)]
        views = [torch.nn.functional.normalize((view - view.mean(0)) / view.std(0), dim=1) for view in views]
        alike = views[0] @ views[1].T
        return float(alike.diagonal().mean() - alike.mean())

    before = found()
    learn(lesson, Extent(1600, None, (32, 32)))
    assert found() > before + 0.01
    assert lesson.pairs() == ["two views of each picture"]
