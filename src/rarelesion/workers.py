"""Several networks trained side by side, a process each: small networks leave a second core idle, two of them don't."""

import ctypes
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import replace
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Event
from pathlib import Path
from queue import Empty

from rarelesion.errors import InputError, Problem
from rarelesion.fitting import Material, fit_job
from rarelesion.jobs import NetworkJob
from rarelesion.patches import mapped, without_pixels
from rarelesion.training import left_as_it_was, use_threads
from rarelesion.types import Epoch

OnEpoch = Callable[[str, int], None]
"""Told the id of a job and the number of the epoch that it has finished."""
MOST_WORKERS = 4
"""Each holds torch and a network in training, up to a gigabyte: more would not fit into a laptop's memory."""
POLL_SECONDS = 0.2


class _Stopped(Exception):
    """The study was stopped while this network was being trained."""


def default_workers() -> int:
    """As many processes as there are cores, up to what a laptop's memory bears."""
    return min(os.cpu_count() or 1, MOST_WORKERS)


def threads_each(networks: int) -> int:
    """Threads for each network of a run that has so many: together those side by side fill the cores.

    The number of threads changes a network's rounding. So it follows from the run and the machine alone, never from
    how many networks the user lets work at a time.
    """
    return max(1, (os.cpu_count() or 1) // min(max(networks, 1), default_workers()))


def give_memory_back() -> None:
    """Hand back to the system what this process no longer uses.

    The C library of Linux keeps what was freed between blocks still in use: a gigabyte after a network was timed,
    measured. Other systems' libraries know no such call.
    """
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)


def train_all(
    folder: Path, jobs: Sequence[NetworkJob], material: Material, workers: int, threads: int, on_epoch: OnEpoch
) -> None:
    """Train every job that is not done yet, `workers` at a time on `threads` each; with one worker in this process.

    A job's numbers depend on its seed and on its number of threads, never on what runs beside it. Raises what a job
    raises, after the networks that were ready were written; Ctrl-C stops all at the end of their epoch.
    """
    if workers == 1:
        with left_as_it_was():
            use_threads(threads)
            for job in jobs:
                fit_job(folder, job, material, lambda epoch, job=job: on_epoch(job.id, epoch.epoch))
                give_memory_back()
        return
    context = multiprocessing.get_context("spawn")
    stop, news = context.Event(), context.Queue()
    sent = replace(material, patches=without_pixels(material.patches))
    start = folder, sent, threads, stop, news
    with ProcessPoolExecutor(workers, context, _prepare, start) as pool:
        try:
            _wait([pool.submit(_work, job) for job in jobs], news, on_epoch)
        except BaseException:
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def _wait(futures: list[Future[None]], news: "Queue[tuple[str, int]]", on_epoch: OnEpoch) -> None:
    waiting = set(futures)
    while waiting:
        try:
            on_epoch(*news.get(timeout=POLL_SECONDS))
        except Empty:
            finished = {future for future in waiting if future.done()}
            waiting -= finished
            for future in finished:
                _result(future)


def _result(future: Future[None]) -> None:
    try:
        future.result()
    except BrokenProcessPool:
        raise InputError(
            Problem(
                "training",
                "a worker process was ended from outside, most often for want of memory",
                remedy="Give the same command again with fewer --workers; finished networks are kept.",
            )
        ) from None


def _prepare(folder: Path, material: Material, threads: int, stop: Event, news: "Queue[tuple[str, int]]") -> None:
    """In a new worker: keep what all jobs share. Ctrl-C is for the parent to hear, which then sets `stop`."""
    global _shared
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    use_threads(threads)
    _shared = folder, replace(material, patches=mapped(material.patches)), stop, news


def _end_with_parent() -> None:
    """End this worker when the study was killed: nobody is left to hear of its networks."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _work(job: NetworkJob) -> None:
    folder, material, stop, news = _shared

    def on_epoch(epoch: Epoch) -> None:
        if stop.is_set():
            raise _Stopped
        news.put((job.id, epoch.epoch))

    fit_job(folder, job, material, on_epoch)
    give_memory_back()


_shared: tuple[Path, Material, Event, "Queue[tuple[str, int]]"]
