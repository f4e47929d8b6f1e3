"""The convolutional variational auto-encoder, the paper's other anomaly detector: it learns benign lesions by heart.

CVAE in the paper is short for convolutional (not conditional) variational auto-encoder. Of the rest the paper is
silent. Decided here: it is trained on the benign training cases only, as the other detectors are; patches go in and
out at 64 x 64; a case is as suspicious as the model finds it unlikely, the negative evidence lower bound at the
latent mean (Kingma & Welling 2014, arXiv:1312.6114), with one noise level for all pixels, that of the training
reconstructions (Rybkin et al. 2021, arXiv:2006.13202), so that nobody has to weigh reconstruction
against prior by hand.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from rarelesion.augment import turn
from rarelesion.errors import InputError, Problem
from rarelesion.settings import CvaeSettings, TrainingSettings
from rarelesion.types import Epoch, Floats, Ints

INNER_SIDE_PX = 64
WIDTHS = (16, 32, 64, 64)
PATIENCE = 20
SMALLEST_NOISE = 0.02
"""Share of the intensity range: a model that knows its few training cases by heart must not take them for noiseless."""
FLIPS_ONLY = TrainingSettings(rotation_degrees=0.0)


class Autoencoder(nn.Module):
    """From patches (n, 3, 64, 64) to a latent mean and log-variance (n, latent), and back."""

    noise: Tensor

    def __init__(self, latent: int) -> None:
        super().__init__()
        self.latent = latent
        ends = list(zip((3, *WIDTHS), WIDTHS, strict=False))
        self.floor = WIDTHS[-1], INNER_SIDE_PX // 2 ** len(WIDTHS), INNER_SIDE_PX // 2 ** len(WIDTHS)
        down = [step for narrow, wide in ends for step in (nn.Conv2d(narrow, wide, 4, 2, 1), nn.ReLU())]
        self.encoder = nn.Sequential(*down, nn.Flatten(), nn.Linear(math.prod(self.floor), 2 * latent))
        up = [
            step for narrow, wide in reversed(ends) for step in (nn.ReLU(), nn.ConvTranspose2d(wide, narrow, 4, 2, 1))
        ]
        self.decoder = nn.Sequential(nn.Linear(latent, math.prod(self.floor)), nn.Unflatten(1, self.floor), *up)
        self.register_buffer("noise", torch.tensor(0.5))

    def encode(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of the latent, each (n, latent)."""
        mean, log_variance = self.encoder(pixels).chunk(2, dim=1)
        return mean, log_variance.clamp(-10, 10)

    def squares(self, pixels: Tensor, latent: Tensor) -> Tensor:
        """Squared error of each patch drawn from its latent (n,), summed over its pixels."""
        return (self.decoder(latent) - pixels).square().sum((1, 2, 3))

    def bound(self, pixels: Tensor, kl_weight: float) -> Tensor:
        """Negative evidence lower bound of each patch at its latent mean (n,), in nats."""
        mean, log_variance = self.encode(pixels)
        squares = self.squares(pixels, mean)
        return _nats(squares, self.noise, pixels[0].numel()) + kl_weight * _divergence(mean, log_variance)


def _nats(squares: Tensor, noise: Tensor, count: int) -> Tensor:
    """How unlikely an error is under Gaussian noise on `count` pixels, but for a constant."""
    return squares / (2 * noise.square()) + count * torch.log(noise)


def _divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Kullback-Leibler divergence of the latent's distribution from the standard normal (n,), in nats."""
    return (mean.square() + log_variance.exp() - 1 - log_variance).sum(1) / 2


@dataclass(frozen=True, eq=False)
class TrainedCvae:
    """An auto-encoder of benign lesions after training, with the course of the training."""

    model: Autoencoder
    kl_weight: float
    history: tuple[Epoch, ...]

    def state(self) -> dict[str, Tensor]:
        """Every weight by name, for saving; `rebuild` takes it back."""
        return {**self.model.state_dict(), "kl_weight": torch.tensor(self.kl_weight)}


def train_cvae(
    train_pixels: NDArray[np.float32],
    train_labels: Ints,
    tune_pixels: NDArray[np.float32],
    tune_labels: Ints,
    settings: CvaeSettings,
    seed: int,
    on_epoch: Callable[[Epoch], None] | None = None,
) -> TrainedCvae:
    """Learn what benign lesions look like, so that others stand out.

    Pixels are (n, 3, side, side) in 0..1 and labels (n,) 0 benign, 1 malignant; only the benign are used, flipped at
    random. The weights returned are those of the epoch with the lowest loss of the benign tuning cases. The same seed
    gives the same model on the same machine; what `on_epoch` raises passes through. Raises InputError when a part has
    no benign case, or the loss is no longer a number.
    """
    train, tune = train_pixels[train_labels == 0], tune_pixels[tune_labels == 0]
    _check_benign({"training": len(train), "tuning": len(tune)})
    init_seed, order_seed, noise_seed = (int(value) for value in np.random.SeedSequence(seed).generate_state(3))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(init_seed)
        model = Autoencoder(settings.latent)
    rng, generator = np.random.default_rng(order_seed), torch.Generator().manual_seed(noise_seed)
    history = _fit(model, _inner(train), _inner(tune), settings, rng, generator, on_epoch)
    return TrainedCvae(model, settings.kl_weight, history)


def score_cvae(
    trained: TrainedCvae, pixels: NDArray[np.float32], batch_size: int = 32
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Place each patch among the benign, and say how unlike them it is.

    Pixels are (n, 3, side, side) in 0..1. Gives the latent means (n, latent) and the scores (n,), negative evidence
    lower bounds in nats: higher is more suspicious. Nothing is random.
    """
    latents, scores = [], []
    with torch.inference_mode():
        for start in range(0, len(pixels), batch_size):
            batch = _inner(pixels[start : start + batch_size])
            latents.append(trained.model.encode(batch)[0])
            scores.append(trained.model.bound(batch, trained.kl_weight))
    return torch.cat(latents).numpy(), torch.cat(scores).double().numpy()


def rebuild(state: dict[str, Tensor]) -> TrainedCvae:
    """Put a trained auto-encoder together again from the `state` it was saved as."""
    model = Autoencoder(state["decoder.0.weight"].shape[1])
    model.load_state_dict({name: value for name, value in state.items() if name != "kl_weight"})
    return TrainedCvae(model, float(state["kl_weight"]), ())


def _inner(pixels: Floats) -> Tensor:
    size = (INNER_SIDE_PX, INNER_SIDE_PX)
    return functional.interpolate(torch.tensor(pixels), size, mode="bilinear", align_corners=False, antialias=True)


def _check_benign(counts: dict[str, int]) -> None:
    problems = [
        Problem(f"{name} cases", "the CVAE learns from benign cases", "none", "at least one")
        for name, count in counts.items()
        if count == 0
    ]
    if problems:
        raise InputError(problems)


def _fit(
    model: Autoencoder,
    train: Tensor,
    tune: Tensor,
    settings: CvaeSettings,
    rng: np.random.Generator,
    generator: torch.Generator,
    on_epoch: Callable[[Epoch], None] | None,
) -> tuple[Epoch, ...]:
    """Train until the tuning loss no longer falls, and leave the best epoch's weights in the model."""
    optimiser = torch.optim.Adam(model.parameters(), settings.learning_rate, fused=True)
    history: list[Epoch] = []
    best_loss, best_epoch, best_state = math.inf, 0, {}
    for number in range(1, settings.max_epochs + 1):
        begin = time.perf_counter()
        train_loss = _train_epoch(model, optimiser, train, settings, rng, generator)
        with torch.inference_mode():
            tune_loss = model.bound(tune, settings.kl_weight).mean().item()
        _check_loss(number, train_loss, tune_loss, settings)
        if tune_loss < best_loss:
            best_loss, best_epoch = tune_loss, number
            best_state = {key: value.clone() for key, value in model.state_dict().items()}
        history.append(Epoch(number, train_loss, tune_loss, time.perf_counter() - begin))
        if on_epoch is not None:
            on_epoch(history[-1])
        if number - best_epoch >= PATIENCE:
            break
    model.load_state_dict(best_state)
    return tuple(history)


def _train_epoch(
    model: Autoencoder,
    optimiser: torch.optim.Optimizer,
    train: Tensor,
    settings: CvaeSettings,
    rng: np.random.Generator,
    generator: torch.Generator,
) -> float:
    """Learn from every patch once, and set the noise level to this epoch's; the mean loss."""
    total_loss, total_squares, count = 0.0, 0.0, train[0].numel()
    for rows in np.array_split(rng.permutation(len(train)), math.ceil(len(train) / settings.batch_size)):
        pixels = turn(train[rows], FLIPS_ONLY, generator)
        mean, log_variance = model.encode(pixels)
        latent = mean + torch.exp(log_variance / 2) * torch.randn(mean.shape, generator=generator)
        squares = model.squares(pixels, latent)
        noise = _noise(squares.detach().mean() / count)
        loss = (_nats(squares, noise, count) + settings.kl_weight * _divergence(mean, log_variance)).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        total_loss += loss.item() * len(rows)
        total_squares += squares.sum().item()
    model.noise.copy_(_noise(torch.tensor(total_squares / (len(train) * count))))
    return total_loss / len(train)


def _noise(mean_square: Tensor) -> Tensor:
    return mean_square.sqrt().clamp(min=SMALLEST_NOISE)


def _check_loss(number: int, train_loss: float, tune_loss: float, settings: CvaeSettings) -> None:
    if math.isfinite(train_loss) and math.isfinite(tune_loss):
        return
    found = f"training loss {train_loss:g}, tuning loss {tune_loss:g} in epoch {number}"
    remedy = f"Lower cvae.learning_rate (now {settings.learning_rate:g}) and check the patches for missing values."
    raise InputError(Problem("cvae", "the loss is no longer a number", found, "finite losses", remedy))
