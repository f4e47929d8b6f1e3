"""The course of a lesson: as long as asked, the same from the same seed, and going on where it stopped."""

import itertools

import numpy as np
import pytest
import torch

from rarelesion.album import Album
from rarelesion.epochs import Snapshot
from rarelesion.errors import InputError
from rarelesion.formula import Naming
from rarelesion.layers import BatchNorm
from rarelesion.learning import (
    BATCH,
    KERAS_MOMENTUM,
    LARGER,
    Extent,
    choose_device,
    describe,
    going_on,
    halved,
    learn,
    new_backbone,
    seeded,
)


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def stripes(rng, side_px):
    """Class 0 lies, class 1 stands."""
    kind = int(rng.integers(2))
    wave = 0.5 + 0.5 * np.sin(np.arange(side_px) * rng.uniform(0.5, 1.0))
    picture = np.broadcast_to(wave[:, None] if kind else wave[None, :], (3, side_px, side_px))
    return picture.astype(np.float32), kind


def lesson(seed=0):
    album = Album(stripes, seed, pages=16)
    pixels = album.crops(32, 32, 0)[0]
    with seeded(seed):
        return Naming(new_backbone("tiny", seed, pixels), album, 2, pixels, torch.float32)


def state(of):
    return {name: value.clone() for name, value in of.backbone.state_dict().items()}


def test_the_same_seed_gives_the_same_weights_and_another_one_others():
    before = torch.get_rng_state()
    found = []
    for seed in (0, 0, 1):
        one = lesson(seed)
        learn(one, Extent(5 * BATCH, None, (32, 32)))
        found.append(state(one))
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(value, found[1][name]) for name, value in found[0].items())
    assert not torch.equal(found[0]["conv1.weight"], found[2]["conv1.weight"])


def test_going_on_from_any_batch_gives_the_very_same_weights():
    whole, extent, kept = lesson(), Extent(6 * BATCH, None, (32, 48)), []

    def keep(take):
        snapshot = take()
        # As a file keeps them: in one order of memory, whatever theirs was.
        tensors = {name: value.clone(memory_format=torch.contiguous_format) for name, value in snapshot.tensors.items()}
        kept.append((snapshot.note, tensors))

    done = learn(whole, extent, keep=keep)
    note, tensors = kept[1]
    again = lesson()
    resumed = learn(again, extent, resume=Snapshot(tensors, note))
    assert (done.seen, resumed.seen) == (6 * BATCH, 6 * BATCH)
    assert resumed.loss == done.loss
    for name, value in state(whole).items():
        assert torch.equal(value, state(again)[name]), name


def test_pictures_grow_towards_the_end_and_the_share_is_told():
    one, sides, shares = lesson(), [], []
    draw = one.batch

    def batch(seen, count, side_px):
        sides.append(side_px)
        shares.append(one.share)
        return draw(seen, count, side_px)

    one.batch = batch
    told = []
    learn(one, Extent(10 * BATCH, None, (32, 48)), tell=lambda share, here: told.append((share, here.seen)))
    assert sides[:10] == [32 if number / 10 < LARGER else 48 for number in range(10)]
    assert shares[:10] == pytest.approx([number / 10 for number in range(10)])
    assert told[-1] == (1.0, 10 * BATCH)


def test_the_clock_ends_a_lesson_whose_end_is_in_time(monkeypatch):
    ticks = itertools.count(0.0)
    monkeypatch.setattr("rarelesion.learning.time.perf_counter", lambda: next(ticks))
    done = learn(lesson(), Extent(None, 30.0, (32, 32)), spent=10.0)
    assert 20 <= done.seconds <= 24
    assert 5 * BATCH <= done.seen <= 12 * BATCH


@pytest.mark.parametrize(
    ("extent", "seen", "seconds", "share"),
    [
        (Extent(100, None, (32, 32)), 25, 9.0, 0.25),
        (Extent(None, 60.0, (32, 32)), 25, 15.0, 0.25),
        (Extent(100, 60.0, (32, 32)), 25, 45.0, 0.75),
        (Extent(100, None, (32, 32)), 200, 0.0, 1.0),
    ],
)
def test_the_share_is_of_whatever_is_over_first(extent, seen, seconds, share):
    assert extent.share(seen, seconds) == pytest.approx(share)


def test_a_network_whose_statistics_were_folded_away_computes_the_same_when_it_goes_on_learning():
    pixels = Album(stripes, 0, pages=16).crops(64, 32, 0)[0]
    backbone = new_backbone("tiny", 0, pixels)
    norms = [module for module in backbone.modules() if isinstance(module, BatchNorm)]
    rng = torch.Generator().manual_seed(0)
    for norm in norms:
        norm.bias.data = torch.randn(norm.num_features, generator=rng)
        norm.weight.data = 0.5 + torch.rand(norm.num_features, generator=rng)
        norm.running_mean, norm.running_var = torch.zeros(norm.num_features), torch.full((norm.num_features,), 0.999)
    with torch.no_grad():
        before, wrong = backbone.eval()(pixels), backbone.train()(pixels)
        assert (before - wrong).abs().max() > 0.5
        for norm in norms:
            norm.running_mean, norm.running_var = (
                torch.zeros(norm.num_features),
                torch.full((norm.num_features,), 0.999),
            )
        found = going_on(backbone, pixels)
        torch.testing.assert_close(found.eval()(pixels), before, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(found.train()(pixels), before, atol=1e-3, rtol=1e-3)


def test_statistics_are_those_of_the_finished_network_and_momentum_is_put_back():
    one = lesson()
    learn(one, Extent(4 * BATCH, None, (32, 32)))
    norm = next(module for module in one.backbone.modules() if isinstance(module, BatchNorm))
    pixels = torch.cat([one.batch(10_000 + BATCH * number, BATCH, 32)[0] for number in range(40)])
    with torch.inference_mode():
        output = one.backbone.get_submodule("conv1")(one.backbone.get_submodule("input_1")(pixels))
    assert norm.momentum == KERAS_MOMENTUM
    assert norm.running_mean is not None
    torch.testing.assert_close(norm.running_mean, output.mean((0, 2, 3)), atol=0.15, rtol=0.15)


def test_a_loss_that_is_no_number_is_an_error():
    one = lesson()
    with torch.no_grad():
        next(one.heads.parameters()).fill_(float("nan"))
    with pytest.raises(InputError, match="no longer a number"):
        learn(one, Extent(BATCH, None, (32, 32)))


def test_a_device_that_is_not_there_is_an_error():
    assert choose_device("cpu").type == "cpu"
    with pytest.raises(InputError, match="--device: no-such cannot be used"):
        choose_device("no-such")


def test_descriptions_are_the_embeddings_and_half_the_size_is_near_enough():
    backbone = lesson().backbone.eval()
    pixels = np.random.default_rng(0).random((20, 3, 32, 32), dtype=np.float32)
    with torch.inference_mode():
        expected = backbone(torch.from_numpy(pixels)).numpy()
    found = describe(backbone, pixels)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)
    small = halved(backbone)
    assert small["conv1.weight"].dtype == torch.float16
    assert small["conv1_bn.num_batches_tracked"].dtype == torch.int64
    backbone.load_state_dict(small)
    np.testing.assert_allclose(describe(backbone, pixels), expected, rtol=2e-2, atol=2e-2)
