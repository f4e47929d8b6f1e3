"""Train a classifier on a few tumours, and read its embeddings.

The paper's procedure in one code path; what differs between its profile `paper` and `fast` are settings. Where the
paper is silent: training stops when the tuning loss has not fallen for `patience` epochs and the best epoch's weights
are returned; the partner in mix-up is the patch before in the epoch's random order; under the L2-constrained softmax
the embedding handed to the detectors is the one of length alpha, which the last layer sees.
"""

import copy
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import convert_conv2d_weight_memory_format

from rarelesion.augment import augment, mix_up
from rarelesion.backbones import Backbone, absorb_batch_norm, freeze_first
from rarelesion.epochs import Course, Randomness, Watch, run_epochs
from rarelesion.errors import InputError, Problem
from rarelesion.execution import Executor
from rarelesion.losses import SMALLEST_LENGTH, Head, class_weights, soft_cross_entropy
from rarelesion.settings import TrainingSettings
from rarelesion.types import CLASSES, Epoch, Ints

TEXTURE = CLASSES.index("texture")
EVALUATION_BATCH = 32
CHECKED_AT_A_TIME = 256
IN_FLOAT32 = TrainingSettings(precision="float32")


class PixelRows(Protocol):
    """Patches of which some rows at a time are fetched: an array, or a view of one that stays on the disk."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: Ints | slice, /) -> NDArray[np.float32]: ...


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

    tumours: PixelRows
    textures: PixelRows
    targets: Tensor
    """(n, classes), one-hot."""
    textures_an_epoch: int

    def draw(self, rng: np.random.Generator) -> Ints:
        """Rows of one epoch in random order: every tumour, and textures drawn anew."""
        available, wanted = len(self.textures), self.textures_an_epoch
        drawn = len(self.tumours) + rng.choice(available, wanted, replace=wanted > available) if wanted else []
        return rng.permutation(np.concatenate([np.arange(len(self.tumours)), drawn]).astype(np.int64))

    def pixels(self, rows: Ints) -> Tensor:
        """(n, 3, side, side), fetched anew."""
        texture = rows >= len(self.tumours)
        if not texture.any():
            return torch.tensor(self.tumours[rows])
        chosen = self.textures[rows[texture] - len(self.tumours)]
        result = np.empty((len(rows), *chosen.shape[1:]), dtype=np.float32)
        result[texture], result[~texture] = chosen, self.tumours[rows[~texture]]
        return torch.from_numpy(result)

    def class_weights(self) -> Tensor:
        """Weights (classes,) with which every class has the same share in an epoch's loss."""
        tumours = self.targets[: len(self.tumours)].argmax(1).numpy()
        textures = np.full(self.textures_an_epoch, TEXTURE)
        return class_weights(np.concatenate([tumours, textures]), self.targets.shape[1])


def train_network(
    backbone: Backbone,
    train_pixels: PixelRows,
    train_labels: Ints,
    tune_pixels: PixelRows,
    tune_labels: Ints,
    textures: PixelRows | None,
    settings: TrainingSettings,
    alpha: float | None,
    seed: int,
    watch: Watch = Watch(),  # noqa: B008
    textures_per_case: float = 1.0,
) -> TrainedNetwork:
    """Teach a backbone to tell benign, malignant and (where textures are given) texture patches apart.

    Pixels are (n, 3, side, side) in 0..1 and labels (n,) 0 benign, 1 malignant; `textures` is the pool from which
    `textures_per_case` images a training tumour are drawn anew each epoch. `alpha` is the length of the embedding
    under the L2-constrained softmax, None for the plain softmax. The backbone given is copied, not changed. The
    weights returned are those of the epoch with the lowest tuning loss: the cross-entropy of the tuning tumours as
    they are, not augmented. The same seed gives the same network on the same machine, also where the training goes on
    from a snapshot that `watch` kept; what it raises passes through. Raises InputError when a set of patches is empty
    or not finite, or the loss is no longer a number.
    """
    settings = settings.resolved()
    _check_pixels({"training": train_pixels, "tuning": tune_pixels, "texture": textures})
    order_seed, augment_seed, head_seed = (int(value) for value in np.random.SeedSequence(seed).generate_state(3))
    pool = _make_pool(train_pixels, train_labels, textures, textures_per_case)
    classes = pool.targets.shape[1]
    network = _assemble(copy.deepcopy(backbone), classes, alpha, head_seed)
    freeze_first(network.backbone, settings.frozen_layers)
    if settings.batch_norm == "frozen":
        absorb_batch_norm(network.backbone)
    targets = functional.one_hot(torch.tensor(tune_labels), classes).float()
    trainer = _Trainer(network, settings, pool.class_weights() if settings.class_weights == "balanced" else None)
    randomness = Randomness.seeded(order_seed, augment_seed)
    assert settings.max_epochs is not None
    history = run_epochs(
        Course(trainer.parts, trainer.optimiser, randomness),
        lambda: (trainer.train_epoch(pool, randomness), trainer.tune_loss(tune_pixels, targets)),
        settings.max_epochs,
        settings.patience,
        f"Lower training.learning_rate (now {settings.learning_rate:g}) or set training.precision to float32.",
        watch,
    )
    return TrainedNetwork(network.backbone, network.head, classes, history)


def untrained(backbone: Backbone) -> TrainedNetwork:
    """A copy of a backbone as it is, under a last layer that says nothing of either class: for its embeddings."""
    network = _assemble(copy.deepcopy(backbone), classes=2, alpha=None, seed=0)
    nn.init.zeros_(network.head.linear.weight)
    return network


def embed(
    network: TrainedNetwork,
    pixels: PixelRows,
    settings: TrainingSettings = IN_FLOAT32,
    batch_size: int = EVALUATION_BATCH,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Describe each patch by the numbers before the last layer, and by the last layer's.

    Pixels are (n, 3, side, side) in 0..1; of the settings only the precision is used. Gives the embeddings (n, dim),
    of length alpha where the network was trained under the L2-constrained softmax, and the logits (n, classes), both
    in float32. Nothing is random, and the batch size changes the numbers by rounding at most.
    """
    network.backbone.eval()
    executor = Executor(network.backbone, choose_precision(settings))
    vectors, logits = torch.empty(len(pixels), network.backbone.dim), torch.empty(len(pixels), network.classes)
    with torch.inference_mode():
        for rows, batch in _batches(pixels, batch_size):
            pooled = executor(batch)
            vectors[rows], logits[rows] = _descriptor(network.head, pooled), network.head(pooled)
    return vectors.numpy(), logits.numpy()


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


@contextmanager
def left_as_it_was() -> Iterator[None]:
    """Whatever the block does, the number of threads and the global random numbers are as before when it ends."""
    threads = torch.get_num_threads()
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        torch.set_num_threads(threads)


def has_bfloat16() -> bool:
    """Whether oneDNN computes in bfloat16 on this processor, fast or not; elsewhere it would take many times longer."""
    return torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()


def choose_precision(settings: TrainingSettings) -> torch.dtype:
    """The number format of the convolutions: as set, else bfloat16 where the processor computes in it natively.

    An emulated bfloat16 is slower than float32, so a processor that does not report AMX or AVX-512 BF16 gets float32.
    """
    if settings.precision is not None:
        return getattr(torch, settings.precision)
    abilities = getattr(torch.cpu, "get_capabilities", dict)()
    native = abilities.get("amx_bf16", False) or abilities.get("avx512_bf16", False)
    return torch.bfloat16 if native and torch.backends.mkldnn.is_available() else torch.float32


def _check_pixels(sets: dict[str, PixelRows | None]) -> None:
    problems = []
    for name, pixels in sets.items():
        if pixels is None:
            continue
        if len(pixels) == 0:
            problems.append(Problem(f"{name} patches", "there are none", "0 patches", "at least one"))
        elif broken := list(_not_numbers(pixels)):
            found = f"NaN or infinity in {len(broken)} of {len(pixels)} patches, first in number {broken[0]}"
            problems.append(Problem(f"{name} patches", "pixels that are not numbers", found, "numbers in 0..1"))
    if problems:
        raise InputError(problems)


def _not_numbers(pixels: PixelRows) -> Iterator[int]:
    for start in range(0, len(pixels), CHECKED_AT_A_TIME):
        finite = np.isfinite(pixels[start : start + CHECKED_AT_A_TIME]).all(axis=(1, 2, 3))
        yield from (start + np.flatnonzero(~finite)).tolist()


def _make_pool(pixels: PixelRows, labels: Ints, textures: PixelRows | None, per_case: float) -> _Pool:
    of_textures = np.full(0 if textures is None else len(textures), TEXTURE)
    classes = np.concatenate([labels, of_textures])
    targets = functional.one_hot(torch.tensor(classes), 2 if textures is None else 3).float()
    wanted = 0 if textures is None else round(per_case * len(labels))
    return _Pool(pixels, pixels if textures is None else textures, targets, wanted)


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
        self.executor = Executor(network.backbone, choose_precision(settings))
        self.learnable = [weight for weight in self.parts.parameters() if weight.requires_grad]
        self.flat = [nn.Parameter(_in_memory_order(weight.detach())) for weight in self.learnable]
        assert settings.learning_rate is not None
        # Keras's Adam adds 1e-7 where torch's adds 1e-8.
        self.optimiser = torch.optim.Adam(self.flat, settings.learning_rate, eps=1e-7, fused=True)

    def logits(self, pixels: Tensor) -> Tensor:
        """(n, classes). The last layer stays in float32: at length alpha bfloat16 would round the logits visibly."""
        return self.network.head(self.executor(pixels))

    def step(self, pixels: Tensor, targets: Tensor) -> float:
        """Learn from one batch; the loss before the step."""
        loss = soft_cross_entropy(self.logits(pixels), targets, self.class_weights)
        loss.backward()
        for flat, weight in zip(self.flat, self.learnable, strict=True):
            flat.grad = None if weight.grad is None else _in_memory_order(weight.grad)
            weight.grad = None
        self.optimiser.step()
        return loss.item()

    def train_epoch(self, pool: _Pool, randomness: Randomness) -> float:
        """Learn from every tumour and as many textures once; the mean loss."""
        order, generator, size = pool.draw(randomness.rng), randomness.generator, self.settings.batch_size
        assert size is not None
        self.parts.train()
        previous = augment(pool.pixels(order[-1:]), self.settings, generator), pool.targets[order[-1:]]
        total = 0.0
        # Batches of nearly equal size: a last batch of one would weigh its patch 16 times, and upset batch norm.
        for rows in np.array_split(order, math.ceil(len(order) / size)):
            pixels, targets = augment(pool.pixels(rows), self.settings, generator), pool.targets[rows]
            partners = torch.cat([previous[0], pixels[:-1]]), torch.cat([previous[1], targets[:-1]])
            mixed = mix_up(pixels, targets, *partners, self.settings.mixup, generator)
            total += self.step(*mixed) * len(rows)
            previous = pixels[-1:], targets[-1:]
        return total / len(order)

    def tune_loss(self, pixels: PixelRows, targets: Tensor) -> float:
        """The loss on patches as they are."""
        self.parts.eval()
        with torch.inference_mode():
            logits = torch.empty_like(targets)
            for rows, batch in _batches(pixels, EVALUATION_BATCH):
                logits[rows] = self.logits(batch)
            return soft_cross_entropy(logits, targets, self.class_weights).item()


def _batches(pixels: PixelRows, size: int) -> Iterator[tuple[slice, Tensor]]:
    """The patches in their order, and which they are.

    What is computed from them belongs into an array made before: small results kept one by one lie between the large
    blocks of memory that every batch takes and gives back, which are then not found again: 8 MB a batch, measured.
    """
    for start in range(0, len(pixels), size):
        rows = slice(start, start + size)
        yield rows, torch.tensor(pixels[rows])


def _in_memory_order(weight: Tensor) -> Tensor:
    """A convolution's weight in the order it lies in memory, channels last; any other as it is."""
    return weight.permute(0, 2, 3, 1) if weight.ndim == 4 else weight
