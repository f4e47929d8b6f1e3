"""The file a network's training goes on from when it was stopped, by Ctrl-C or by force."""

import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from rarelesion import __version__, store, weights
from rarelesion.epochs import OnEpoch, Snapshot, Watch
from rarelesion.errors import InputError
from rarelesion.types import Epoch

MOST_TIME = 0.05
"""Share of the time that may go into writing: a small network is written after every epoch, a large one on a slow disk
after some of them."""


class Checkpoint:
    """One training's file: read when it begins, replaced as a whole after an epoch, removed when the weights are kept.

    A training that is stopped from within (`on_epoch` raises) is written in any case; one that is killed goes on from
    the last epoch written. Either way the numbers are those of a training that was never stopped. A file that is
    damaged, or of another version of the software, is passed over: the training begins anew.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._begin, self._writing = time.perf_counter(), 0.0
        self._unwritten: Callable[[], Snapshot] | None = None

    def watch(self, on_epoch: OnEpoch) -> Watch:
        """What a training needs to be kept in this file, and to go on from it."""

        def tell(epoch: Epoch) -> None:
            try:
                on_epoch(epoch)
            except BaseException:
                if self._unwritten is not None:
                    self._write(self._unwritten)
                raise

        return Watch(tell, self._keep, self._read())

    def remove(self) -> None:
        """The training is done and its weights are kept; what a kill left half written goes too."""
        for path in (self.path, *self.path.parent.glob(f".{self.path.name}.*.part")):
            store.remove(path)

    def _keep(self, take: Callable[[], Snapshot]) -> None:
        if self._writing <= MOST_TIME * (time.perf_counter() - self._begin):
            self._write(take)
        else:
            self._unwritten = take

    def _write(self, take: Callable[[], Snapshot]) -> None:
        begin = time.perf_counter()
        snapshot = take()
        weights.save_state(self.path, snapshot.tensors, {**snapshot.note, "software": _software()})
        self._writing += time.perf_counter() - begin
        self._unwritten = None

    def _read(self) -> Snapshot | None:
        if not self.path.exists():
            return None
        try:
            tensors, note = weights.load_state(self.path)
        except InputError:
            return None
        return Snapshot(tensors, note) if note.pop("software", "") == _software() else None


def _software() -> str:
    return f"rarelesion {__version__}, torch {version('torch')}"
