"""Teach a backbone a lesson for so many pictures or so many minutes; stopped at any time, it can go on.

The learning rate rises and falls once over the whole (Smith & Topin 2018, arXiv:1708.07120). Where the end is given in
minutes, how far the schedule is follows the clock, so that it is over in time however busy the machine; where it is
given in pictures, the same seed gives the same weights.
"""

import math
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils import convert_conv2d_weight_memory_format

from rarelesion.epochs import Snapshot
from rarelesion.errors import InputError, Problem
from rarelesion.execution import Executor
from rarelesion.layers import KERAS_MOMENTUM, Backbone, BatchNorm
from rarelesion.pretraining import calibrate, ease
from rarelesion.settings import TrainingSettings
from rarelesion.training import choose_precision
from rarelesion.twin import normalised

BATCH = 16
WEIGHT_DECAY = 0.01
WARM_UP, LARGER = 0.05, 0.7
"""Shares of the whole after which the learning rate is at its peak, and the pictures are the larger ones."""
STATISTICS_PICTURES = 64 * BATCH
SMOOTHED_OVER = 50
"""Batches over which the loss that is told is averaged."""
LESSON, OPTIMISER = "lesson.", "optimiser."


class Lesson(Protocol):
    """What a backbone learns: where its pictures come from, and how wrong it is. An `nn.Module` as well."""

    backbone: Backbone
    share: float
    """How much of the lesson is over, 0 to 1; set before each batch."""
    peak_learning_rate: float
    scales_faster: float
    """How many times faster a channel's scale and offset learn than its weights."""

    def batch(self, seen: int, count: int, side_px: int) -> tuple[Tensor, ...]:
        """What is shown after `seen` pictures; pictures come first."""
        ...

    @property
    def loss(self) -> Callable[..., Tensor]:
        """From the parts of such a batch, on the backbone's device, to the loss."""
        ...


@dataclass(frozen=True, slots=True)
class Extent:
    """How long to learn: of pictures and seconds, whichever is over first."""

    pictures: int | None
    seconds: float | None
    sides_px: tuple[int, int]
    """Side of the pictures at first and towards the end."""

    def share(self, seen: int, seconds: float) -> float:
        """How much of it is over, 0 to 1."""
        of_pictures = seen / self.pictures if self.pictures else 0.0
        return min(1.0, max(of_pictures, seconds / self.seconds if self.seconds else 0.0))


@dataclass(frozen=True, slots=True)
class Learnt:
    """How far a lesson came."""

    seen: int
    seconds: float
    loss: float
    """Mean over the last batches."""


Tell = Callable[[float, Learnt], None]
"""Told after each batch the share that is over, and how far it came."""
Keep = Callable[[Callable[[], Snapshot]], None]
"""Called after each batch with a function that takes the state, to be called or not before the next begins."""


def choose_device(name: str) -> torch.device:
    """The device of a name; `auto` is the GPU where there is one. InputError where the named one is not there."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        found = str(error).partition("\n")[0][:120]
        raise InputError(Problem("--device", f"{name} cannot be used", found, "auto, cpu or cuda")) from None
    return device


def machine(device: torch.device) -> str:
    """What computes, in words."""
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)}, bfloat16"
    threads = torch.get_num_threads()
    name = str(precision_on(device)).removeprefix("torch.")
    return f"{platform.machine()} processor, {threads} thread{'s' * (threads > 1)}, {name}"


def precision_on(device: torch.device) -> torch.dtype:
    """bfloat16 wherever it is computed natively."""
    return choose_precision(TrainingSettings()) if device.type == "cpu" else torch.bfloat16


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """What torch draws within follows from the seed, and what it draws later is as if nothing had been drawn."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def new_backbone(name: str, seed: int, pixels: Tensor) -> Backbone:
    """A backbone that knows nothing, normalised and scaled so that it learns from its first step on.

    It lies on the device of the pixels (n, 3, side, side) it is scaled by.
    """
    with seeded(seed):
        backbone = placed(normalised(name), pixels.device)
    calibrate(backbone, pixels)
    return backbone


def going_on(backbone: Backbone, pixels: Tensor) -> Backbone:
    """A backbone that knows something, ready to learn on: its batch norms hold the statistics of these pictures.

    While it learns, each batch is normalised by its own statistics. Where the stored ones are of other pictures, or of
    none (they were folded into the convolutions), that would be another network from the first batch on. So scale and
    offset are made to fit: on the pixels (n, 3, side, side), on whose device it lies, it computes what it did before.
    """
    backbone = placed(backbone, pixels.device).eval()
    hooks = [
        module.register_forward_pre_hook(_rebase) for module in backbone.modules() if isinstance(module, BatchNorm)
    ]
    with torch.no_grad():
        backbone(pixels)
    for hook in hooks:
        hook.remove()
    return backbone


def _rebase(norm: nn.Module, inputs: tuple[Tensor]) -> None:
    assert isinstance(norm, BatchNorm)
    stored_mean, stored_variance = norm.running_mean, norm.running_var
    assert stored_mean is not None
    assert stored_variance is not None
    variance, mean = torch.var_mean(inputs[0], (0, 2, 3), correction=0)
    stored = (stored_variance + norm.eps).sqrt()
    norm.bias.add_((mean - stored_mean) * norm.weight / stored)
    norm.weight.mul_((variance + norm.eps).sqrt() / stored)
    stored_mean.copy_(mean)
    stored_variance.copy_(variance)


def placed(backbone: Backbone, device: torch.device) -> Backbone:
    """On its device, in the memory order that is fastest."""
    convert_conv2d_weight_memory_format(backbone, torch.channels_last)
    return backbone.to(device)


def learn(
    lesson: Lesson, extent: Extent, spent: float = 0.0, tell: Tell | None = None, keep: Keep | None = None,
    resume: Snapshot | None = None,
) -> Learnt:  # fmt: skip
    """Learn until the extent is over, and give the backbone the batch-norm statistics of what it has become.

    `spent` are the seconds the preparation took, which count where the extent is in time. `resume` is the state to go
    on from. Raises InputError where the loss is no longer a number.
    """
    assert isinstance(lesson, nn.Module)
    optimiser = _optimiser(lesson, lesson.peak_learning_rate, lesson.scales_faster)
    seen, before, loss = _restore(lesson, optimiser, resume) if resume else (0, 0.0, math.nan)
    device, begin = next(lesson.parameters()).device, time.perf_counter()
    lesson.train()
    while True:
        seconds = before + time.perf_counter() - begin
        share = extent.share(seen, seconds + spent)
        if share >= 1:
            break
        lesson.share = share
        _set_rate(optimiser, share)
        side = extent.sides_px[share >= LARGER]
        batch = lesson.batch(seen, BATCH, side)
        loss = _smoothed(loss, _step(lesson, optimiser, tuple(part.to(device) for part in batch)))
        seen += len(batch[0])
        here = Learnt(seen, before + time.perf_counter() - begin, loss)
        if tell is not None:
            tell(extent.share(seen, here.seconds + spent), here)
        if keep is not None:
            keep(lambda here=here: _snapshot(lesson, optimiser, here))
    _settle(lesson, seen, extent.sides_px[1], device)
    return Learnt(seen, before + time.perf_counter() - begin, loss)


def _optimiser(lesson: nn.Module, peak: float, scales_faster: float) -> torch.optim.Optimizer:
    def rate(weight: Tensor) -> float:
        return peak * (scales_faster if weight.ndim == 1 else ease(weight))

    weights = [weight for weight in lesson.parameters() if weight.requires_grad]
    groups = [{"params": [weight], "lr": rate(weight), "peak": rate(weight)} for weight in weights]
    return torch.optim.AdamW(groups, weight_decay=WEIGHT_DECAY, fused=True)


def _set_rate(optimiser: torch.optim.Optimizer, share: float) -> None:
    if share < WARM_UP:
        factor = (share + 0.002) / (WARM_UP + 0.002)
    else:
        factor = 0.5 + 0.5 * math.cos(math.pi * (share - WARM_UP) / (1 - WARM_UP))
    for group in optimiser.param_groups:
        group["lr"] = group["peak"] * factor


def _step(lesson: Lesson, optimiser: torch.optim.Optimizer, batch: tuple[Tensor, ...]) -> float:
    loss = lesson.loss(*batch)
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    value = loss.item()
    if not math.isfinite(value):
        remedy = "Start again with another --seed."
        raise InputError(Problem("rarelesion pretrain", "the loss is no longer a number", str(value), remedy=remedy))
    return value


def _smoothed(before: float, value: float) -> float:
    return value if math.isnan(before) else before + (value - before) / SMOOTHED_OVER


def _settle(lesson: Lesson, seen: int, side_px: int, device: torch.device) -> None:
    """Batch-norm statistics anew, for those of training lag behind the weights: the mean over many batches."""
    norms = [module for module in lesson.backbone.modules() if isinstance(module, BatchNorm)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
    executor = Executor(lesson.backbone.train(), precision_on(device))
    with torch.no_grad():
        end = seen + STATISTICS_PICTURES if norms else seen
        while seen < end:
            pixels = lesson.batch(seen, BATCH, side_px)[0]
            executor(pixels.to(device))
            seen += len(pixels)
    for norm in norms:
        norm.momentum = KERAS_MOMENTUM
    lesson.backbone.eval()


def _snapshot(lesson: nn.Module, optimiser: torch.optim.Optimizer, here: Learnt) -> Snapshot:
    tensors = {LESSON + key: value for key, value in lesson.state_dict().items()}
    for number, state in optimiser.state_dict()["state"].items():
        tensors |= {f"{OPTIMISER}{number}.{key}": value for key, value in state.items()}
    return Snapshot(tensors, {"seen": str(here.seen), "seconds": repr(here.seconds), "loss": repr(here.loss)})


def _restore(lesson: nn.Module, optimiser: torch.optim.Optimizer, snapshot: Snapshot) -> tuple[int, float, float]:
    state = {key.removeprefix(LESSON): value for key, value in snapshot.tensors.items() if key.startswith(LESSON)}
    lesson.load_state_dict(state)
    of_weights: dict[int, dict[str, Tensor]] = {}
    weights = [weight for group in optimiser.param_groups for weight in group["params"]]
    for key, value in snapshot.tensors.items():
        if key.startswith(OPTIMISER):
            number, _, name = key.removeprefix(OPTIMISER).partition(".")
            weight = weights[int(number)]
            if value.shape == weight.shape:
                # The fused optimiser goes through memory: all must lie in it in one order.
                value = torch.empty_like(weight).copy_(value)
            of_weights.setdefault(int(number), {})[name] = value
    optimiser.load_state_dict(optimiser.state_dict() | {"state": of_weights})
    return int(snapshot.note["seen"]), float(snapshot.note["seconds"]), float(snapshot.note["loss"])


def describe(backbone: Backbone, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """The embeddings (n, dim) of patches (n, 3, side, side) in 0..1, float32."""
    device = next(backbone.parameters()).device
    executor, vectors = Executor(backbone.eval()), np.empty((len(pixels), backbone.dim), np.float32)
    with torch.inference_mode():
        for start in range(0, len(pixels), BATCH):
            part = slice(start, start + BATCH)
            vectors[part] = executor(torch.tensor(pixels[part], device=device)).cpu().numpy()
    return vectors


def halved(backbone: Backbone) -> dict[str, Tensor]:
    """The state in float16, half the size; whole numbers stay as they are."""
    state = backbone.state_dict()
    return {key: value.half() if value.is_floating_point() else value for key, value in state.items()}
