"""Training that is stopped at any moment, by force too, ends in the same numbers."""

import random
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from rarelesion import checkpoint, store, weights
from rarelesion.checkpoint import Checkpoint
from rarelesion.config import settings_toml
from rarelesion.epochs import Snapshot
from rarelesion.settings import CvaeSettings, SplitSettings
from rarelesion.types import Epoch

STUDY = """
import sys
from pathlib import Path
from rarelesion.config import read_settings
from rarelesion.study import run_study
from rarelesion.training import use_threads
if __name__ == "__main__":
    cohort, folder, config, workers = sys.argv[1:]
    use_threads(1)
    run_study(Path(cohort), Path(folder), read_settings(Path(config)), None, lambda *_: None, int(workers))
"""
KILLS = 2


class Stopped(Exception):
    """By the test."""


def snapshot(number: float = 1.0) -> Snapshot:
    return Snapshot({"model.weight": torch.full((2, 2), number)}, {"history": "[]"})


def start(script: Path, *words: object) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, script, *map(str, words)])


def kill_while_it_trains(script: Path, folder: Path, *words: object) -> bool:
    """Start the study and end it by force some time after a first checkpoint; whether it was still running."""
    process = start(script, *words)
    while process.poll() is None and not any(folder.glob("networks/*/checkpoint.safetensors")):
        time.sleep(0.005)
    time.sleep(random.uniform(0, 0.4))
    running = process.poll() is None
    process.kill()
    process.wait()
    return running


@pytest.mark.parametrize("workers", [1, 2])
def test_killed_at_random_moments_the_study_ends_in_the_same_numbers(picture_cohort, quick_settings, tmp_path, workers):
    settings = replace(
        quick_settings,
        recipes=("tiny+texture", "cvae"),
        split=SplitSettings(folds=1),
        training=replace(quick_settings.training, max_epochs=60, patience=60),
        cvae=CvaeSettings(max_epochs=30, latent=4),
    )
    config, script = tmp_path / "study.toml", tmp_path / "study.py"
    config.write_text(settings_toml(settings), encoding="utf-8")
    script.write_text(STUDY, encoding="utf-8")
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert start(script, picture_cohort, whole, config, workers).wait() == 0
    killed = sum(kill_while_it_trains(script, broken, picture_cohort, broken, config, workers) for _ in range(KILLS))
    assert killed >= 1
    assert start(script, picture_cohort, broken, config, workers).wait() == 0
    assert store.read_bytes(whole / "scores.csv") == store.read_bytes(broken / "scores.csv")
    for name in ("tiny+texture-r0f0", "cvae-r0f0"):
        one, other = (weights.load_state(run / f"networks/{name}/weights.safetensors")[0] for run in (whole, broken))
        assert one.keys() == other.keys()
        assert all(torch.equal(value, other[key]) for key, value in one.items())
    assert not list(broken.rglob("checkpoint*")) + list(broken.rglob("*.part"))


def test_a_training_stopped_from_within_is_written_in_any_case(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "MOST_TIME", 0.0)
    kept = Checkpoint(tmp_path / "checkpoint.safetensors")

    def stop(epoch: Epoch) -> None:
        if epoch.epoch == 3:
            raise Stopped

    watch = kept.watch(stop)
    assert watch.resume is None
    assert watch.keep is not None
    assert watch.on_epoch is not None
    for number in (1, 2, 3):
        watch.keep(lambda number=number: snapshot(number))
        if number < 3:
            watch.on_epoch(Epoch(number, 1.0, 1.0, 0.1))
    with pytest.raises(Stopped):
        watch.on_epoch(Epoch(3, 1.0, 1.0, 0.1))
    again = Checkpoint(kept.path).watch(stop).resume
    assert again is not None
    assert torch.equal(again.tensors["model.weight"], torch.full((2, 2), 3.0))
    kept.remove()
    assert not kept.path.exists()


@pytest.mark.parametrize("damage", ["cut", "other software", "empty"])
def test_a_file_that_cannot_be_trusted_is_passed_over(tmp_path, damage):
    path = tmp_path / "checkpoint.safetensors"
    watch = Checkpoint(path).watch(lambda _: None)
    assert watch.keep is not None
    watch.keep(snapshot)
    assert Checkpoint(path).watch(lambda _: None).resume is not None
    if damage == "other software":
        weights.save_state(path, snapshot().tensors, {"history": "[]", "software": "rarelesion 0.0.1, torch 1.0"})
    else:
        path.write_bytes(path.read_bytes()[:20] if damage == "cut" else b"")
    assert Checkpoint(path).watch(lambda _: None).resume is None


def test_what_a_kill_left_half_written_goes_with_the_checkpoint(tmp_path):
    left, another = tmp_path / ".checkpoint.safetensors.2cb4acd5.part", tmp_path / ".weights.safetensors.0000.part"
    for path in (left, another):
        path.write_bytes(b"half")
    Checkpoint(tmp_path / "checkpoint.safetensors").remove()
    assert [path.name for path in tmp_path.iterdir()] == [another.name]
