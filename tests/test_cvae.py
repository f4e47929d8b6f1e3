"""The auto-encoder on toy lesions: it learns the benign, and finds the others unlikely."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from rarelesion.cvae import Autoencoder, TrainedCvae, rebuild, score_cvae, train_cvae
from rarelesion.epochs import Watch
from rarelesion.errors import InputError
from rarelesion.settings import CvaeSettings
from rarelesion.types import Epoch, PatchRows

QUICK = CvaeSettings(latent=4, max_epochs=12, learning_rate=3e-3)


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def discs(count: int, seed: int, shift: float = 0.0, side_px: int = 40) -> np.ndarray:
    """Discs of random size in the green channel, `shift` (a share of the side) away from the middle."""
    rng = np.random.default_rng(seed)
    place = np.linspace(-1, 1, side_px)
    radius = rng.uniform(0.4, 0.6, count)[:, None, None]
    inside = np.hypot(place[:, None] - 2 * shift, place[None, :] - 2 * shift) < radius
    pixels = np.zeros((count, 3, side_px, side_px), dtype=np.float32)
    pixels[:, 1] = np.clip(0.7 * inside + rng.normal(0, 0.05, inside.shape), 0, 1)
    return pixels


def train(settings: CvaeSettings = QUICK, seed: int = 3, **changes: object) -> TrainedCvae:
    malignant = discs(10, seed=7, shift=0.3)
    sets = (
        np.concatenate([discs(40, seed=1), malignant]),
        np.repeat([0, 1], [40, 10]),
        np.concatenate([malignant, discs(12, seed=2)]),
        np.repeat([1, 0], [10, 12]),
    )
    return train_cvae(*sets, settings=settings, seed=seed, **changes)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def trained() -> TrainedCvae:
    return train()


def test_shifted_lesions_are_less_likely_than_benign_ones(trained: TrainedCvae):
    benign, shifted = (score_cvae(trained, discs(20, seed=9, shift=shift))[1] for shift in (0.0, 0.3))
    assert shifted.min() > benign.max()


def test_the_loss_falls_and_the_decoder_draws_the_disc(trained: TrainedCvae):
    losses = [epoch.tune_loss for epoch in trained.history]
    assert min(losses) < losses[0] - 1000
    pixels = discs(8, seed=11, side_px=64)
    with torch.inference_mode():
        benign = torch.zeros(len(pixels), dtype=torch.int64)
        drawn = trained.model.decoder(trained.model.encode(torch.from_numpy(pixels), benign)[0]).numpy()
    assert np.abs(drawn - pixels).mean() < 0.05
    assert drawn[:, 1, 28:36, 28:36].mean() == pytest.approx(0.7, abs=0.1)


def test_weights_of_the_best_epoch_are_returned_not_the_last():
    shifted = discs(12, seed=2, shift=0.3)  # the better the model knows the middle, the less likely are these
    network = train_cvae(discs(40, 1), np.zeros(40), shifted, np.zeros(12), QUICK, seed=3)
    losses = np.array([epoch.tune_loss for epoch in network.history])
    assert losses.argmin() < len(losses) - 1
    assert score_cvae(network, shifted)[1].mean() == pytest.approx(losses.min(), rel=1e-4)


def test_the_score_is_the_negative_evidence_lower_bound_at_the_latent_mean():
    model = Autoencoder(2)
    with torch.no_grad():
        for weight in model.parameters():
            weight.zero_()
        model.encoder[-1].bias.copy_(torch.tensor([1.0, -2.0, 0.0, np.log(4.0)]))
        model.decoder[-1].bias.fill_(0.5)
        model.noise.fill_(0.5)
    pixels = np.full((1, 3, 64, 64), 0.75, dtype=np.float32)
    latents, scores = score_cvae(TrainedCvae(model, 3.0, ()), pixels)
    np.testing.assert_allclose(latents, [[1.0, -2.0]])
    count = 3 * 64 * 64  # the decoder draws 0.5 everywhere: each pixel is off by 0.25, the noise is 0.5
    reconstruction = count * (0.25**2 / (2 * 0.5**2) + np.log(0.5))
    divergence = 0.5 * (1 + 1 - 1 - 0) + 0.5 * (4 + 4 - 1 - np.log(4.0))
    assert scores[0] == pytest.approx(reconstruction + 3.0 * divergence, rel=1e-5)


def test_conditioned_on_the_class_it_knows_the_malignant_too():
    conditioned = train(replace(QUICK, condition="class"))
    _, scores = score_cvae(conditioned, np.concatenate([discs(12, seed=9), discs(12, seed=10, shift=0.3)]))
    assert scores[:12].max() < 0 < scores[12:].min()  # more likely as benign, more likely as malignant
    again = score_cvae(rebuild(conditioned.state()), discs(12, seed=9))[1]
    np.testing.assert_array_equal(again, score_cvae(conditioned, discs(12, seed=9))[1])


def test_conditioned_on_the_class_it_needs_both():
    pixels, benign = discs(4, seed=1), np.zeros(4, dtype=np.int64)
    with pytest.raises(InputError, match="learns from malignant cases"):
        train_cvae(pixels, benign, pixels, benign, replace(QUICK, condition="class"), seed=0)


def test_malignant_cases_do_not_enter():
    pixels, labels = np.concatenate([discs(16, 1), discs(8, 5, 0.3)]), np.repeat([0, 1], [16, 8])
    settings = replace(QUICK, max_epochs=2)
    with_them = train_cvae(pixels, labels, pixels, labels, settings, seed=1)
    without = train_cvae(pixels[:16], labels[:16], pixels[:16], labels[:16], settings, seed=1)
    assert all(torch.equal(value, without.state()[name]) for name, value in with_them.state().items())


def test_same_seed_same_numbers_and_the_global_generator_is_untouched():
    before = torch.get_rng_state()
    settings = replace(QUICK, max_epochs=2)
    first, second, other = train(settings), train(settings), train(settings, seed=4)
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(value, second.state()[name]) for name, value in first.state().items())
    assert first.history[0].train_loss != other.history[0].train_loss


def test_a_rebuilt_model_scores_the_same(trained: TrainedCvae):
    pixels = discs(5, seed=4)
    for one, other in zip(score_cvae(trained, pixels), score_cvae(rebuild(trained.state()), pixels), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("side_px", [32, 64, 100, 224])
def test_patches_of_any_side_are_scored_one_by_one_or_together(trained: TrainedCvae, side_px: int):
    pixels = discs(5, seed=6, side_px=side_px)
    latents, scores = score_cvae(trained, pixels)
    assert latents.shape == (5, 4)
    single = np.concatenate([score_cvae(trained, pixels[row : row + 1])[1] for row in range(5)])
    np.testing.assert_allclose(scores, single, rtol=1e-4, atol=1)


def test_a_part_without_benign_cases_is_said_so():
    pixels, malignant = discs(4, seed=1), np.ones(4, dtype=np.int64)
    with pytest.raises(InputError) as caught:
        train_cvae(pixels, malignant, pixels, malignant, QUICK, seed=0)
    assert [problem.where for problem in caught.value.problems] == ["training cases", "tuning cases"]


def test_a_loss_that_is_not_a_number_is_said_so():
    with pytest.raises(InputError, match=r"no longer a number.*learning_rate"):
        train(replace(QUICK, learning_rate=1e30))


def test_every_epoch_is_reported_and_an_interruption_passes_through():
    seen: list[Epoch] = []

    def stop(epoch: Epoch) -> None:
        seen.append(epoch)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(watch=Watch(stop))
    assert [epoch.epoch for epoch in seen] == [1]


def test_patches_fetched_in_blocks_teach_the_same(monkeypatch: pytest.MonkeyPatch):
    pixels, labels = np.concatenate([discs(9, seed=1), discs(3, seed=7, shift=0.3)]), np.repeat([0, 1], [9, 3])
    order = np.random.default_rng(0).permutation(12)
    rows = PatchRows(pixels[order], np.argsort(order))
    settings = replace(QUICK, max_epochs=2)
    whole = train_cvae(pixels, labels, pixels, labels, settings, seed=3)
    monkeypatch.setattr("rarelesion.cvae.SHRUNK_AT_A_TIME", 4)
    in_blocks = train_cvae(rows, labels, rows, labels, settings, seed=3)
    for name, value in whole.state().items():
        np.testing.assert_array_equal(value.numpy(), in_blocks.state()[name].numpy())
