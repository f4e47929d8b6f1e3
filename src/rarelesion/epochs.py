"""Epoch after epoch until the tuning loss no longer falls; stopped after any, it can go on to the very same end.

What an epoch does is the caller's: `training` and `cvae` differ in that alone.
"""

import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import Tensor, nn

from rarelesion.errors import InputError, Problem
from rarelesion.types import Epoch

MODEL, BEST, OPTIMISER = "model.", "best.", "optimiser."


@dataclass(frozen=True, eq=False)
class Snapshot:
    """All that the rest of a training depends on, as it stood after an epoch: flat, to be written to a file."""

    tensors: dict[str, Tensor]
    note: dict[str, str]


@dataclass(frozen=True, eq=False)
class Randomness:
    """The two generators a training draws from."""

    rng: np.random.Generator
    generator: torch.Generator

    @classmethod
    def seeded(cls, numpy_seed: int, torch_seed: int) -> "Randomness":
        """Both from their seeds."""
        return cls(np.random.default_rng(numpy_seed), torch.Generator().manual_seed(torch_seed))


Keep = Callable[[Callable[[], Snapshot]], None]
"""Called after each epoch with a function that takes the snapshot, to be called or not before the next begins."""
OnEpoch = Callable[[Epoch], None]


@dataclass(frozen=True, eq=False)
class Watch:
    """Who follows a training from outside, and where it goes on: each part may be left out."""

    on_epoch: OnEpoch | None = None
    keep: Keep | None = None
    resume: Snapshot | None = None


@dataclass(eq=False)
class Course:
    """A training under way: the parts that change, and how it went so far."""

    model: nn.Module
    optimiser: torch.optim.Optimizer
    randomness: Randomness
    history: tuple[Epoch, ...] = ()
    best_epoch: int = 0
    best_loss: float = math.inf

    def __post_init__(self) -> None:
        self.best: dict[str, Tensor] = {}

    def note(self, epoch: Epoch) -> None:
        """Add an epoch, and keep a copy of the weights where it is the best so far."""
        self.history += (epoch,)
        if epoch.tune_loss < self.best_loss:
            self.best_epoch, self.best_loss = epoch.epoch, epoch.tune_loss
            self.best = {key: value.clone() for key, value in self.model.state_dict().items()}

    def snapshot(self) -> Snapshot:
        """The state after the last epoch; its tensors are the training's own, to be written before it goes on."""
        tensors = {MODEL + key: value for key, value in self.model.state_dict().items()}
        if self.best_epoch != self.history[-1].epoch:
            tensors |= {BEST + key: value for key, value in self.best.items()}
        for number, state in self.optimiser.state_dict()["state"].items():
            tensors |= {f"{OPTIMISER}{number}.{key}": value for key, value in state.items()}
        tensors["generator"] = self.randomness.generator.get_state()
        note = {
            "history": json.dumps([asdict(epoch) for epoch in self.history]),
            "best_epoch": str(self.best_epoch),
            "rng": json.dumps(self.randomness.rng.bit_generator.state),
        }
        return Snapshot(tensors, note)

    def restore(self, snapshot: Snapshot) -> None:
        """Stand where the snapshot was taken. Raises KeyError, ValueError or RuntimeError where it is another's."""
        tensors, note = snapshot.tensors, snapshot.note
        self.model.load_state_dict(_named(tensors, MODEL))
        self.best = _named(tensors, BEST) or {key: value.clone() for key, value in self.model.state_dict().items()}
        states: dict[int, dict[str, Tensor]] = {}
        for key, value in _named(tensors, OPTIMISER).items():
            number, _, name = key.partition(".")
            states.setdefault(int(number), {})[name] = value
        self.optimiser.load_state_dict({**self.optimiser.state_dict(), "state": states})
        self.randomness.generator.set_state(tensors["generator"])
        self.randomness.rng.bit_generator.state = json.loads(note["rng"])
        self.history = tuple(Epoch(**epoch) for epoch in json.loads(note["history"]))
        self.best_epoch = int(note["best_epoch"])
        self.best_loss = self.history[self.best_epoch - 1].tune_loss


def _named(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}


def run_epochs(
    course: Course,
    epoch: Callable[[], tuple[float, float]],
    max_epochs: int,
    patience: int,
    remedy: str,
    watch: Watch,
) -> tuple[Epoch, ...]:
    """Train until the tuning loss has not fallen for `patience` epochs; the best epoch's weights are left in the model.

    `epoch` trains once through and gives the training loss and the tuning loss. The same numbers come out whether or
    not the training was stopped and gone on with in between. Gives the history of all epochs. What the watcher raises
    passes through, the last snapshot taken before. Raises InputError with the `remedy` when a loss is no number.
    """
    if watch.resume is not None:
        course.restore(watch.resume)
    while len(course.history) < max_epochs and len(course.history) - course.best_epoch < patience:
        number, begin = len(course.history) + 1, time.perf_counter()
        train_loss, tune_loss = epoch()
        _check_losses(number, train_loss, tune_loss, remedy)
        course.note(Epoch(number, train_loss, tune_loss, time.perf_counter() - begin))
        if watch.keep is not None:
            watch.keep(course.snapshot)
        if watch.on_epoch is not None:
            watch.on_epoch(course.history[-1])
    course.model.load_state_dict(course.best)
    return course.history


def _check_losses(number: int, train_loss: float, tune_loss: float, remedy: str) -> None:
    if not (math.isfinite(train_loss) and math.isfinite(tune_loss)):
        found = f"training loss {train_loss:g}, tuning loss {tune_loss:g} in epoch {number}"
        raise InputError(Problem("training", "the loss is no longer a number", found, "finite losses", remedy))
