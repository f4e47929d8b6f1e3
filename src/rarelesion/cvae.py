"""The convolutional variational auto-encoder, the paper's other anomaly detector: it learns benign lesions by heart.

CVAE in the paper is short for convolutional variational auto-encoder; elsewhere C is for conditional. Both are here.
Not conditioned (the default, as in the paper) it learns from the benign training cases only, as the other detectors
do, and a case is as suspicious as the model finds it unlikely: the negative evidence lower bound at the latent mean
(Kingma & Welling 2014, arXiv:1312.6114). Conditioned on the class (Sohn et al. 2015, Learning Structured Output
Representation using Deep Conditional Generative Models) it learns from both, and a case is as suspicious as it is more
likely as malignant than as benign. Of the rest the paper is silent. Decided here: patches go in and out at 64 x 64, and
all pixels have one noise level, that of the training reconstructions (Rybkin et al. 2021, arXiv:2006.13202), so that
nobody has to weigh reconstruction against prior by hand.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from rarelesion.augment import turn
from rarelesion.epochs import Course, Randomness, Watch, run_epochs
from rarelesion.errors import InputError, Problem
from rarelesion.settings import CvaeSettings, TrainingSettings
from rarelesion.training import PixelRows
from rarelesion.types import CLASSES, Epoch, Floats, Ints

INNER_SIDE_PX = 64
SHRUNK_AT_A_TIME = 64
WIDTHS = (16, 32, 64, 64)
PATIENCE = 20
SMALLEST_NOISE = 0.02
"""Share of the intensity range: a model that knows its few training cases by heart must not take them for noiseless."""
FLIPS_ONLY = TrainingSettings(rotation_degrees=0.0)


class Autoencoder(nn.Module):
    """From patches (n, 3, 64, 64) to a latent mean and log-variance (n, latent), and back.

    With `conditions` = 2 both ways are told the class of each patch (n,); with 0 it is passed over.
    """

    noise: Tensor

    def __init__(self, latent: int, conditions: int = 0) -> None:
        super().__init__()
        self.latent, self.conditions = latent, conditions
        encoding = zip((3 + conditions, *WIDTHS), WIDTHS, strict=False)
        decoding = zip((3, *WIDTHS), WIDTHS, strict=False)
        self.floor = WIDTHS[-1], INNER_SIDE_PX // 2 ** len(WIDTHS), INNER_SIDE_PX // 2 ** len(WIDTHS)
        down = [step for narrow, wide in encoding for step in (nn.Conv2d(narrow, wide, 4, 2, 1), nn.ReLU())]
        self.encoder = nn.Sequential(*down, nn.Flatten(), nn.Linear(math.prod(self.floor), 2 * latent))
        layers = reversed(list(decoding))
        up = [step for narrow, wide in layers for step in (nn.ReLU(), nn.ConvTranspose2d(wide, narrow, 4, 2, 1))]
        start = nn.Linear(latent + conditions, math.prod(self.floor))
        self.decoder = nn.Sequential(start, nn.Unflatten(1, self.floor), *up)
        self.register_buffer("noise", torch.tensor(0.5))

    def encode(self, pixels: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of the latent, each (n, latent)."""
        planes = self._told(condition)[:, :, None, None].expand(-1, -1, *pixels.shape[2:])
        mean, log_variance = self.encoder(torch.cat([pixels, planes], 1)).chunk(2, dim=1)
        return mean, log_variance.clamp(-10, 10)

    def squares(self, pixels: Tensor, latent: Tensor, condition: Tensor) -> Tensor:
        """Squared error of each patch drawn from its latent (n,), summed over its pixels."""
        drawn = self.decoder(torch.cat([latent, self._told(condition)], 1))
        return (drawn - pixels).square().sum((1, 2, 3))

    def bound(self, pixels: Tensor, condition: Tensor, kl_weight: float) -> Tensor:
        """Negative evidence lower bound of each patch at its latent mean (n,), in nats."""
        mean, log_variance = self.encode(pixels, condition)
        squares = self.squares(pixels, mean, condition)
        return _nats(squares, self.noise, pixels[0].numel()) + kl_weight * _divergence(mean, log_variance)

    def _told(self, condition: Tensor) -> Tensor:
        return torch.eye(2)[condition][:, : self.conditions]


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
    train_pixels: PixelRows,
    train_labels: Ints,
    tune_pixels: PixelRows,
    tune_labels: Ints,
    settings: CvaeSettings,
    seed: int,
    watch: Watch = Watch(),  # noqa: B008
) -> TrainedCvae:
    """Learn what benign lesions look like, so that others stand out.

    Pixels are (n, 3, side, side) in 0..1 and labels (n,) 0 benign, 1 malignant; unless the settings condition on the
    class, only the benign are used. Training patches are flipped at random. The weights returned are those of the
    epoch with the lowest loss of the tuning cases that are used. The same seed gives the same model on the same
    machine, also where the training goes on from a snapshot that `watch` kept; what it raises passes through. Raises
    InputError when a part lacks a class that is used, or the loss is no longer a number.
    """
    conditions = 2 if settings.condition == "class" else 0
    _check_classes(conditions, {"training": train_labels, "tuning": tune_labels})
    train = _used(train_pixels, train_labels, conditions)
    tune = _used(tune_pixels, tune_labels, conditions)
    init_seed, order_seed, noise_seed = (int(value) for value in np.random.SeedSequence(seed).generate_state(3))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(init_seed)
        model = Autoencoder(settings.latent, conditions)
    randomness = Randomness.seeded(order_seed, noise_seed)
    optimiser = torch.optim.Adam(model.parameters(), settings.learning_rate, fused=True)
    history = run_epochs(
        Course(model, optimiser, randomness),
        lambda: (_train_epoch(model, optimiser, train, settings, randomness), _tune_loss(model, tune, settings)),
        settings.max_epochs,
        PATIENCE,
        f"Lower cvae.learning_rate (now {settings.learning_rate:g}) and check the patches for missing values.",
        watch,
    )
    return TrainedCvae(model, settings.kl_weight, history)


def score_cvae(
    trained: TrainedCvae, pixels: PixelRows, batch_size: int = 32
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Place each patch among the benign, and say how unlike them it is.

    Pixels are (n, 3, side, side) in 0..1. Gives the latent means (n, latent), as of benign cases, and the scores (n,)
    in nats, higher = more suspicious: the negative evidence lower bound, less that of the patch as malignant where the
    model knows the class. Nothing is random.
    """
    model = trained.model
    latents, scores = [], []
    with torch.inference_mode():
        for start in range(0, len(pixels), batch_size):
            batch = _inner(pixels[start : start + batch_size])
            benign = torch.zeros(len(batch), dtype=torch.int64)
            latents.append(model.encode(batch, benign)[0])
            score = model.bound(batch, benign, trained.kl_weight)
            scores.append(score - model.bound(batch, benign + 1, trained.kl_weight) if model.conditions else score)
    return torch.cat(latents).numpy(), torch.cat(scores).double().numpy()


def rebuild(state: dict[str, Tensor]) -> TrainedCvae:
    """Put a trained auto-encoder together again from the `state` it was saved as."""
    conditions = state["encoder.0.weight"].shape[1] - 3
    model = Autoencoder(state["decoder.0.weight"].shape[1] - conditions, conditions)
    model.load_state_dict({name: value for name, value in state.items() if name != "kl_weight"})
    return TrainedCvae(model, float(state["kl_weight"]), ())


def _inner(pixels: Floats) -> Tensor:
    size = (INNER_SIDE_PX, INNER_SIDE_PX)
    return functional.interpolate(torch.tensor(pixels), size, mode="bilinear", align_corners=False, antialias=True)


def _check_classes(conditions: int, labels: dict[str, Ints]) -> None:
    problems = [
        Problem(f"{name} cases", f"the CVAE learns from {CLASSES[label]} cases", "none", "at least one")
        for name, of_part in labels.items()
        for label in range(max(conditions, 1))
        if not (of_part == label).any()
    ]
    if problems:
        raise InputError(problems)


def _used(pixels: PixelRows, labels: Ints, conditions: int) -> tuple[Tensor, Tensor]:
    """The patches a model with so many conditions learns from, and their classes (n,)."""
    used = np.flatnonzero(labels < max(conditions, 1))
    blocks = [_inner(pixels[used[start : start + SHRUNK_AT_A_TIME]]) for start in range(0, len(used), SHRUNK_AT_A_TIME)]
    return torch.cat(blocks), torch.as_tensor(labels[used], dtype=torch.int64)


def _train_epoch(
    model: Autoencoder,
    optimiser: torch.optim.Optimizer,
    train: tuple[Tensor, Tensor],
    settings: CvaeSettings,
    randomness: Randomness,
) -> float:
    """Learn from every patch once, and set the noise level to this epoch's; the mean loss."""
    rng, generator = randomness.rng, randomness.generator
    patches, classes = train
    total_loss, total_squares, n, count = 0.0, 0.0, len(patches), patches[0].numel()
    for rows in np.array_split(rng.permutation(n), math.ceil(n / settings.batch_size)):
        pixels, condition = turn(patches[rows], FLIPS_ONLY, generator), classes[rows]
        mean, log_variance = model.encode(pixels, condition)
        latent = mean + torch.exp(log_variance / 2) * torch.randn(mean.shape, generator=generator)
        squares = model.squares(pixels, latent, condition)
        noise = _noise(squares.detach().mean() / count)
        loss = (_nats(squares, noise, count) + settings.kl_weight * _divergence(mean, log_variance)).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        total_loss += loss.item() * len(rows)
        total_squares += squares.sum().item()
    model.noise.copy_(_noise(torch.tensor(total_squares / (n * count))))
    return total_loss / n


def _tune_loss(model: Autoencoder, tune: tuple[Tensor, Tensor], settings: CvaeSettings) -> float:
    with torch.inference_mode():
        return model.bound(*tune, settings.kl_weight).mean().item()


def _noise(mean_square: Tensor) -> Tensor:
    return mean_square.sqrt().clamp(min=SMALLEST_NOISE)
