"""Networks trained side by side: the same numbers, and nothing left behind when they are stopped."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from rarelesion import store
from rarelesion.config import settings_toml
from rarelesion.errors import InputError
from rarelesion.settings import SplitSettings
from rarelesion.study import run_study
from rarelesion.workers import MOST_WORKERS, _result, default_workers, give_memory_back, threads_each


def silent(*_):
    """No progress."""


@pytest.fixture
def two_networks(quick_settings):
    return replace(quick_settings, recipes=("tiny", "tiny+l2"), split=SplitSettings(folds=1))


def test_stopped_and_gone_on_side_by_side_the_scores_are_those_of_one_after_the_other(
    picture_cohort, two_networks, tmp_path
):
    threads = torch.get_num_threads()
    run_study(picture_cohort, tmp_path / "series", two_networks, None, silent, workers=1)

    def stop(stage, *_):
        if stage == "Training":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_study(picture_cohort, tmp_path / "parallel", two_networks, None, stop, workers=2)
    run_study(picture_cohort, tmp_path / "parallel", two_networks, None, silent, workers=2)
    one, two = (store.read_bytes(tmp_path / name / "scores.csv") for name in ("series", "parallel"))
    assert one == two
    assert torch.get_num_threads() == threads


@pytest.mark.skipif(sys.platform != "linux", reason="finds the workers in /proc")
def test_no_worker_outlives_a_study_that_is_killed(picture_cohort, two_networks, tmp_path):
    config = tmp_path / "study.toml"
    long = replace(two_networks, training=replace(two_networks.training, max_epochs=2000, patience=2000))
    config.write_text(settings_toml(long), encoding="utf-8")
    command = [sys.executable, "-m", "rarelesion", "study", str(picture_cohort), "--out", str(tmp_path / "run")]
    study = subprocess.Popen([*command, "--config", str(config), "--workers", "2"], stderr=subprocess.PIPE)
    assert study.stderr is not None
    for line in study.stderr:
        if line.startswith(b"Training"):
            break
    children = Path(f"/proc/{study.pid}/task/{study.pid}/children").read_text(encoding="utf-8").split()
    study.send_signal(signal.SIGKILL)
    study.wait()
    study.stderr.close()
    assert len(children) >= 2
    deadline = time.monotonic() + 20
    while any(Path(f"/proc/{pid}/exe").exists() for pid in children) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert [pid for pid in children if Path(f"/proc/{pid}/exe").exists()] == []


def test_a_worker_ended_from_outside_says_how_to_go_on():
    future: Future[None] = Future()
    future.set_exception(BrokenProcessPool())
    with pytest.raises(InputError, match="fewer --workers"):
        _result(future)


def test_workers_and_threads_fill_the_cores_and_no_more():
    assert 1 <= default_workers() <= MOST_WORKERS
    assert threads_each(1) == os.cpu_count()
    assert threads_each(10_000) * default_workers() <= (os.cpu_count() or 1)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_that_was_freed_is_handed_back():
    def held() -> float:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("RssAnon"))

    # Small blocks, every hundredth of which stays in use: the C library keeps what lies between them.
    blocks = [bytes(60_000) for _ in range(5000)]
    kept = blocks[::100]
    full = held()
    del blocks
    give_memory_back()
    assert len(kept) == 50
    assert held() < full - 200
