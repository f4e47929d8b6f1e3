"""How fast this machine is: every kind of network timed for a few steps, as the study is going to run it."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from statistics import fmean, median
from typing import Any, TypeVar

import numpy as np

from rarelesion import cvae, training
from rarelesion.backbones import BACKBONES
from rarelesion.contrasts import fit_embedding_scorer
from rarelesion.epochs import Watch
from rarelesion.pretraining import BATCH, STATISTICS_BATCHES, pretrain
from rarelesion.settings import DetectorSettings, Precision, Settings
from rarelesion.starts import is_to_be_taught, texture_lesson
from rarelesion.texture import TEXTURES
from rarelesion.types import Epoch

STEPS = 10
MOST_SECONDS = 2.0
"""A network is timed for ten steps, or for as many as begin in this time."""
FEWEST_IMAGES = 16
"""In what is timed as a step: where batches are of one patch, what is done once an epoch must not weigh much."""
LEARNING_RATE = 1e-6
"""So low that no network goes astray on the noise it is timed with."""
DETECTOR_WIDTH = 1024
"""Length of the embeddings that a detector is timed with: MobileNet's."""

Found = TypeVar("Found")


class _Enough(Exception):
    """Timed for long enough."""


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds that one image takes while as many networks are worked on as the study has workers."""

    learn: float
    """In training, its share of all that a training step does."""
    embed: float
    """Read by a trained network."""


class ThisMachine:
    """Every figure is measured when it is first asked for, and then kept; `spent` is the seconds that took so far."""

    def __init__(self, folder: Path, on_timing: Callable[[str], None] = lambda what: None) -> None:
        self.folder, self.on_timing = folder, on_timing
        self.spent = 0.0
        self._found: dict[tuple[Any, ...], Any] = {}

    @property
    def precisions(self) -> tuple[Precision, ...]:
        """What the processor may compute in without software that emulates it."""
        return ("float32", "bfloat16") if training.has_bfloat16() else ("float32",)

    def pace(self, name: str, settings: Settings, workers: int, threads: int) -> Pace:
        """Of a backbone by its name, or of the "cvae"."""
        side, precision = settings.images.side_px, settings.training.precision
        what = f"{name}, {side} px" + f", {precision}" * (name != "cvae" and precision is not None)
        return self._once((what, workers, threads), what, lambda: measure_pace(name, settings, workers, threads))

    def teaching(self, name: str, settings: Settings) -> float:
        """Seconds until the backbone knows textures, 0 where it starts from a file."""
        if not is_to_be_taught(self.folder, name, settings):
            return 0.0
        what = f"{name}, {settings.images.side_px} px, textures"
        return self._once((what,), what, lambda: measure_teaching(name, settings))

    def detecting(self, detector: str, n_train: int, n_cases: int, settings: DetectorSettings) -> float:
        """Seconds in which a detector is fitted and scores the cases of one split."""
        key = detector, n_train, n_cases
        return self._once(key, detector, lambda: measure_detector(detector, n_train, n_cases, settings))

    def _once(self, key: tuple[Any, ...], what: str, measure: Callable[[], Found]) -> Found:
        if key not in self._found:
            self.on_timing(what)
            begin = time.perf_counter()
            self._found[key] = measure()
            self.spent += time.perf_counter() - begin
        return self._found[key]


def measure_pace(name: str, settings: Settings, workers: int, threads: int) -> Pace:
    """Time a network of that name, `workers` of them side by side and each on so many threads."""

    def measure(_: int = 0) -> Pace:
        return _cvae_pace(settings) if name == "cvae" else _classifier_pace(name, settings)

    with training.left_as_it_was():
        if workers == 1:
            training.use_threads(threads)
            return measure()
        with ThreadPoolExecutor(workers, initializer=training.use_threads, initargs=(threads,)) as pool:
            paces = list(pool.map(measure, range(workers)))
    return Pace(fmean(pace.learn for pace in paces), fmean(pace.embed for pace in paces))


def _classifier_pace(name: str, settings: Settings) -> Pace:
    resolved = replace(settings.training.resolved(), learning_rate=LEARNING_RATE, patience=STEPS)
    n = max(resolved.batch_size or 1, FEWEST_IMAGES)
    pixels, labels = _noise(n, settings), np.arange(n) % 2

    def learn(epochs: int, watch: Watch) -> training.TrainedNetwork:
        sets = pixels, labels, pixels[:1], labels[:1]
        timed = replace(resolved, max_epochs=epochs)
        return training.train_network(BACKBONES[name](), *sets, None, timed, alpha=None, seed=0, watch=watch)

    network = learn(1, Watch())
    return Pace(_seconds_an_epoch(learn) / n, _seconds(lambda: training.embed(network, pixels, resolved)) / n)


def _cvae_pace(settings: Settings) -> Pace:
    resolved = replace(settings.cvae, learning_rate=LEARNING_RATE)
    used = max(resolved.batch_size, FEWEST_IMAGES)
    n = used if resolved.condition == "class" else 2 * used
    pixels, labels = _noise(n, settings), np.arange(n) % 2

    def learn(epochs: int, watch: Watch) -> cvae.TrainedCvae:
        sets = pixels, labels, pixels[:2], labels[:2]
        return cvae.train_cvae(*sets, settings=replace(resolved, max_epochs=epochs), seed=0, watch=watch)

    trained = learn(1, Watch())
    return Pace(_seconds_an_epoch(learn) / used, _seconds(lambda: cvae.score_cvae(trained, pixels)) / n)


def _noise(n: int, settings: Settings) -> np.ndarray:
    side = settings.images.side_px
    return np.random.default_rng(0).random((n, 3, side, side), dtype=np.float32)


def _seconds_an_epoch(learn: Callable[[int, Watch], Any]) -> float:
    """Of a training that has been warmed up, stopped as soon as it was watched for long enough."""
    seconds: list[float] = []

    def tell(epoch: Epoch) -> None:
        seconds.append(epoch.seconds)
        if sum(seconds) > MOST_SECONDS:
            raise _Enough

    with suppress(_Enough):
        learn(STEPS, Watch(tell))
    return median(seconds)


def _seconds(work: Callable[[], Any]) -> float:
    """Of the second of two times: the first makes ready."""
    work()
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def measure_teaching(name: str, settings: Settings) -> float:
    """Seconds in which a backbone is taught textures before the networks start from it, from its first batches."""
    ends: list[float] = []

    def tell(done: float, total: float) -> None:
        ends.append(time.perf_counter())
        if len(ends) > STEPS or (len(ends) > 1 and ends[-1] - ends[0] > MOST_SECONDS):
            raise _Enough

    side, images = settings.images.side_px, (STEPS + 1) * BATCH
    with suppress(_Enough):
        pretrain(name, lambda n, rng: texture_lesson(n, side, rng), len(TEXTURES), images, side, 0, tell)
    batches = settings.weights.pretrain_images / BATCH + STATISTICS_BATCHES
    return batches * median(end - begin for begin, end in pairwise(ends))


def measure_detector(name: str, n_train: int, n_cases: int, settings: DetectorSettings) -> float:
    """Seconds in which a detector learns `n_train` benign cases and scores `n_cases`, on made-up embeddings."""
    vectors = np.random.default_rng(0).random((2 * n_train + n_cases, DETECTOR_WIDTH), dtype=np.float32)
    benign, malignant, cases = np.split(vectors, [n_train, 2 * n_train])  # as many malignant at the most
    return _seconds(lambda: fit_embedding_scorer(name, benign, malignant, settings)(cases))
