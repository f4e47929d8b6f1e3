"""Train a classifier on a few tumours, and read its embeddings.

The paper's procedure in one code path; what differs between its profile `paper` and `fast` are settings. Where the
paper is silent: training stops when the tuning loss has not fallen for `patience` epochs and the best epoch's weights
are returned; the partner in mix-up is the patch before in the epoch's random order; under the L2-constrained softmax
the embedding handed to the detectors is the one of length alpha, which the last layer sees.
"""

import copy
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import convert_conv2d_weight_memory_format

from rarelesion.augment import augment, mix_up
from rarelesion.backbones import Backbone, freeze_first, set_batch_norm
from rarelesion.errors import InputError, Problem
from rarelesion.losses import SMALLEST_LENGTH, Head, class_weights, soft_cross_entropy
from rarelesion.settings import TrainingSettings
from rarelesion.types import CLASSES, Epoch, Floats, Ints

TEXTURE = CLASSES.index("texture")
EVALUATION_BATCH = 32


@dataclass(frozen=True, eq=False)
class TrainedNetwork:
    """A backbone and its last layer after training, with the course of the training."""

    backbone: Backbone
    head: Head
    classes: int
    history: tuple[Epoch, ...]

    def state(self) -> dict[str, Tensor]:
        """Every weight and batch-norm statistic by name, for saving; `rebuild` takes it back."""
        parts = (("backbone", self.backbone), ("head", self.head))
        return {f"{name}.{key}": value for name, part in parts for key, value in part.state_dict().items()}


@dataclass(frozen=True, eq=False)
class _Pool:
    """What an epoch draws from: the tumours first, then the textures."""

    pixels: Tensor
    targets: Tensor
    """(n, classes), one-hot."""
    tumours: int
    textures_an_epoch: int

    def draw(self, rng: np.random.Generator) -> Ints:
        """Rows of one epoch in random order: every tumour, and textures drawn anew."""
        available = len(self.pixels) - self.tumours
        wanted = self.textures_an_epoch
        drawn = self.tumours + rng.choice(available, wanted, replace=wanted > available) if wanted else []
        return rng.permutation(np.concatenate([np.arange(self.tumours), drawn]).astype(np.int64))

    def class_weights(self) -> Tensor:
        """Weights (classes,) with which every class has the same share in an epoch's loss."""
        tumours = self.targets[: self.tumours].argmax(1).numpy()
        textures = np.full(self.textures_an_epoch, TEXTURE)
        return class_weights(np.concatenate([tumours, textures]), self.targets.shape[1])


def train_network(
    backbone: Backbone,
    train_pixels: NDArray[np.float32],
    train_labels: Ints,
    tune_pixels: NDArray[np.float32],
    tune_labels: Ints,
    textures: NDArray[np.float32] | None,
    settings: TrainingSettings,
    alpha: float | None,
    seed: int,
    on_epoch: Callable[[Epoch], None] | None = None,
    textures_per_case: float = 1.0,
) -> TrainedNetwork:
    """Teach a backbone to tell benign, malignant and (where textures are given) texture patches apart.

    Pixels are (n, 3, side, side) in 0..1 and labels (n,) 0 benign, 1 malignant; `textures` is the pool from which
    `textures_per_case` images a training tumour are drawn anew each epoch. `alpha` is the length of the embedding
    under the L2-constrained softmax, None for the plain softmax. The backbone given is copied, not changed. The
    weights returned are those of the epoch with the lowest tuning loss: the cross-entropy of the tuning tumours as
    they are, not augmented. The same seed gives the same network on the same machine; what `on_epoch` raises passes
    through. Raises InputError when a set of patches is empty or not finite, or the loss is no longer a number.
    """
    settings = settings.resolved()
    _check_pixels({"training": train_pixels, "tuning": tune_pixels, "texture": textures})
    order_seed, augment_seed, head_seed = (int(value) for value in np.random.SeedSequence(seed).generate_state(3))
    pool = _make_pool(train_pixels, train_labels, textures, textures_per_case)
    classes = pool.targets.shape[1]
    network = _assemble(copy.deepcopy(backbone), classes, alpha, head_seed)
    freeze_first(network.backbone, settings.frozen_layers)
    tuning = torch.tensor(tune_pixels), functional.one_hot(torch.tensor(tune_labels), classes).float()
    trainer = _Trainer(network, settings, pool.class_weights() if settings.class_weights == "balanced" else None)
    rng, generator = np.random.default_rng(order_seed), torch.Generator().manual_seed(augment_seed)
    history = _fit(trainer, pool, tuning, rng, generator, on_epoch)
    return TrainedNetwork(network.backbone, network.head, classes, history)


def embed(
    network: TrainedNetwork, pixels: NDArray[np.float32], batch_size: int = EVALUATION_BATCH
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Describe each patch by the numbers before the last layer, and by the last layer's.

    Pixels are (n, 3, side, side) in 0..1. Gives the embeddings (n, dim), of length alpha where the network was
    trained under the L2-constrained softmax, and the logits (n, classes). Nothing is random, and the batch size
    changes the numbers by rounding at most.
    """
    network.backbone.eval()
    vectors, logits = [], []
    with torch.inference_mode():
        for start in range(0, len(pixels), batch_size):
            batch = torch.tensor(pixels[start : start + batch_size])
            pooled = network.backbone(batch.contiguous(memory_format=torch.channels_last))
            vectors.append(_descriptor(network.head, pooled))
            logits.append(network.head(pooled))
    return torch.cat(vectors).numpy(), torch.cat(logits).numpy()


def _descriptor(head: Head, pooled: Tensor) -> Tensor:
    if head.alpha is None:
        return pooled
    return head.alpha * functional.normalize(pooled, dim=1, eps=SMALLEST_LENGTH)


def rebuild(backbone: Backbone, alpha: float | None, state: dict[str, Tensor]) -> TrainedNetwork:
    """Put a trained network together again from the `state` it was saved as, in a backbone of the same kind."""
    classes = next(value.shape[0] for key, value in state.items() if key.startswith("head.") and value.ndim == 2)
    network = _assemble(copy.deepcopy(backbone), classes, alpha, seed=0)
    for part, name in ((network.backbone, "backbone."), (network.head, "head.")):
        part.load_state_dict({key.removeprefix(name): value for key, value in state.items() if key.startswith(name)})
    return network


def use_threads(count: int) -> None:
    """Let torch compute with so many threads from here on, in this process."""
    torch.set_num_threads(count)


def choose_precision(settings: TrainingSettings) -> torch.dtype:
    """The number format of the convolutions: as set, else bfloat16 where the processor computes in it natively.

    An emulated bfloat16 is slower than float32, so a processor that does not report AMX or AVX-512 BF16 gets float32.
    """
    if settings.precision is not None:
        return getattr(torch, settings.precision)
    abilities = getattr(torch.cpu, "get_capabilities", dict)()
    native = abilities.get("amx_bf16", False) or abilities.get("avx512_bf16", False)
    return torch.bfloat16 if native and torch.backends.mkldnn.is_available() else torch.float32


def _check_pixels(sets: dict[str, NDArray[np.float32] | None]) -> None:
    problems = []
    for name, pixels in sets.items():
        if pixels is None:
            continue
        if len(pixels) == 0:
            problems.append(Problem(f"{name} patches", "there are none", "0 patches", "at least one"))
        elif not np.isfinite(pixels).all():
            broken = np.flatnonzero(~np.isfinite(pixels).all(axis=(1, 2, 3)))
            found = f"NaN or infinity in {len(broken)} of {len(pixels)} patches, first in number {broken[0]}"
            problems.append(Problem(f"{name} patches", "pixels that are not numbers", found, "numbers in 0..1"))
    if problems:
        raise InputError(problems)


def _make_pool(pixels: Floats, labels: Ints, textures: Floats | None, per_case: float) -> _Pool:
    stacked = pixels if textures is None else np.concatenate([pixels, textures])
    classes = np.concatenate([labels, np.full(len(stacked) - len(labels), TEXTURE)])
    targets = functional.one_hot(torch.tensor(classes), 2 if textures is None else 3).float()
    return _Pool(torch.tensor(stacked), targets, len(labels), 0 if textures is None else round(per_case * len(labels)))


def _assemble(backbone: Backbone, classes: int, alpha: float | None, seed: int) -> TrainedNetwork:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        head = Head(backbone.dim, classes, alpha)
    convert_conv2d_weight_memory_format(backbone, torch.channels_last)
    return TrainedNetwork(backbone, head, classes, ())


class _Trainer:
    """One network with its optimiser and its loss."""

    def __init__(self, network: TrainedNetwork, settings: TrainingSettings, class_weights: Tensor | None) -> None:
        self.network, self.settings, self.class_weights = network, settings, class_weights
        self.parts = nn.ModuleList([network.backbone, network.head])
        self.precision = choose_precision(settings)
        learnable = [weight for weight in self.parts.parameters() if weight.requires_grad]
        assert settings.learning_rate is not None
        # Keras's Adam adds 1e-7 where torch's adds 1e-8.
        self.optimiser = torch.optim.Adam(learnable, settings.learning_rate, eps=1e-7, fused=True)

    def logits(self, pixels: Tensor) -> Tensor:
        """(n, classes). The last layer stays in float32: at length alpha bfloat16 would round the logits visibly."""
        pixels = pixels.contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.precision == torch.bfloat16):
            pooled = self.network.backbone(pixels)
        return self.network.head(pooled.float())

    def step(self, pixels: Tensor, targets: Tensor) -> float:
        """Learn from one batch; the loss before the step."""
        loss = soft_cross_entropy(self.logits(pixels), targets, self.class_weights)
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        return loss.item()

    def train_epoch(self, pool: _Pool, rng: np.random.Generator, generator: torch.Generator) -> float:
        """Learn from every tumour and as many textures once; the mean loss."""
        order, size = pool.draw(rng), self.settings.batch_size
        assert size is not None
        self.parts.train()
        set_batch_norm(self.network.backbone, self.settings.batch_norm or "trained")
        previous = augment(pool.pixels[order[-1:]], self.settings, generator), pool.targets[order[-1:]]
        total = 0.0
        # Batches of nearly equal size: a last batch of one would weigh its patch 16 times, and upset batch norm.
        for rows in np.array_split(order, math.ceil(len(order) / size)):
            pixels, targets = augment(pool.pixels[rows], self.settings, generator), pool.targets[rows]
            partners = torch.cat([previous[0], pixels[:-1]]), torch.cat([previous[1], targets[:-1]])
            mixed = mix_up(pixels, targets, *partners, self.settings.mixup, generator)
            total += self.step(*mixed) * len(rows)
            previous = pixels[-1:], targets[-1:]
        return total / len(order)

    def tune_loss(self, pixels: Tensor, targets: Tensor) -> float:
        """The loss on patches as they are."""
        self.parts.eval()
        with torch.inference_mode():
            logits = torch.cat([self.logits(batch) for batch in pixels.split(EVALUATION_BATCH)])
            return soft_cross_entropy(logits, targets, self.class_weights).item()


def _fit(
    trainer: _Trainer,
    pool: _Pool,
    tuning: tuple[Tensor, Tensor],
    rng: np.random.Generator,
    generator: torch.Generator,
    on_epoch: Callable[[Epoch], None] | None,
) -> tuple[Epoch, ...]:
    """Train until the tuning loss no longer falls, and leave the best epoch's weights in the network."""
    history: list[Epoch] = []
    best_loss, best_epoch, best_state = math.inf, 0, {}
    for number in range(1, (trainer.settings.max_epochs or 0) + 1):
        begin = time.perf_counter()
        train_loss = trainer.train_epoch(pool, rng, generator)
        tune_loss = trainer.tune_loss(*tuning)
        _check_loss(number, train_loss, tune_loss, trainer.settings)
        if tune_loss < best_loss:
            best_loss, best_epoch = tune_loss, number
            best_state = {key: value.clone() for key, value in trainer.parts.state_dict().items()}
        history.append(Epoch(number, train_loss, tune_loss, time.perf_counter() - begin))
        if on_epoch is not None:
            on_epoch(history[-1])
        if number - best_epoch >= trainer.settings.patience:
            break
    trainer.parts.load_state_dict(best_state)
    return tuple(history)


def _check_loss(number: int, train_loss: float, tune_loss: float, settings: TrainingSettings) -> None:
    if math.isfinite(train_loss) and math.isfinite(tune_loss):
        return
    found = f"training loss {train_loss:g}, tuning loss {tune_loss:g} in epoch {number}"
    remedy = f"Lower training.learning_rate (now {settings.learning_rate:g}) or set training.precision to float32."
    raise InputError(Problem("training", "the loss is no longer a number", found, "finite losses", remedy))
