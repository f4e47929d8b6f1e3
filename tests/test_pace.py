"""Timings: what is measured, how often, and that nothing else is changed by it."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from rarelesion import pace
from rarelesion.pace import Pace, ThisMachine, measure_detector, measure_pace, measure_teaching
from rarelesion.settings import DetectorSettings, WeightSettings


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("name", ["tiny", "cvae"])
def test_a_network_is_timed_and_leaves_threads_and_random_numbers_as_they_were(name, workers, quick_settings):
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    found = measure_pace(name, quick_settings, workers, threads=1)
    assert 0 < found.embed < found.learn < 1
    assert torch.get_num_threads() == threads
    torch.testing.assert_close(torch.get_rng_state(), state)


def test_a_cvae_is_timed_by_the_images_it_learns_from(quick_settings, monkeypatch):
    monkeypatch.setattr(pace, "_seconds_an_epoch", lambda learn: 32.0)
    assert measure_pace("cvae", quick_settings, 1, 1).learn == 2.0
    told = replace(quick_settings, cvae=replace(quick_settings.cvae, condition="class", batch_size=64))
    assert measure_pace("cvae", told, 1, 1).learn == 0.5


def test_a_batch_of_one_is_timed_with_more_images_than_that(quick_settings, monkeypatch):
    monkeypatch.setattr(pace, "_seconds_an_epoch", lambda learn: 32.0)
    one = replace(quick_settings, training=replace(quick_settings.training, batch_size=1))
    assert measure_pace("tiny", one, 1, 1).learn == 32.0 / pace.FEWEST_IMAGES


def test_a_learning_rate_that_no_network_bears_does_not_end_the_timing(quick_settings):
    wild = replace(quick_settings, training=replace(quick_settings.training, learning_rate=1.0))
    assert measure_pace("tiny", wild, 1, 1).learn > 0


def test_a_slow_network_is_timed_for_few_steps(quick_settings, monkeypatch):
    monkeypatch.setattr(pace, "MOST_SECONDS", 0.0)
    steps = []
    real = pace.training.train_network
    monkeypatch.setattr(pace.training, "train_network", lambda *a, **k: steps.append(0) or real(*a, **k))
    assert measure_pace("tiny", quick_settings, 1, 1).learn > 0
    assert len(steps) == 2


def test_teaching_takes_as_long_as_its_batches(quick_settings, monkeypatch):
    clock = iter(np.arange(100) * 3.0)
    monkeypatch.setattr(pace.time, "perf_counter", lambda: next(clock))
    monkeypatch.setattr(pace, "MOST_SECONDS", 7.0)
    taught = replace(quick_settings, weights=WeightSettings(pretrain_images=1600))
    assert measure_teaching("tiny", taught) == pytest.approx(3.0 * (100 + pace.STATISTICS_BATCHES))


def test_a_detector_is_timed(quick_settings):
    assert 0 < measure_detector("lof", 20, 30, DetectorSettings()) < 10


def test_every_figure_is_measured_once(quick_settings, monkeypatch, tmp_path):
    monkeypatch.setattr(pace, "measure_pace", lambda name, settings, workers, threads: Pace(float(workers), 0.0))
    monkeypatch.setattr(pace, "measure_teaching", lambda *_: 5.0)
    monkeypatch.setattr(pace, "measure_detector", lambda *_: 6.0)
    told = []
    machine = ThisMachine(tmp_path, told.append)
    bfloat16 = replace(quick_settings, training=replace(quick_settings.training, precision="bfloat16"))
    for _ in range(2):
        assert machine.pace("tiny", quick_settings, 2, 1) == Pace(2.0, 0.0)
        assert machine.pace("tiny", bfloat16, 2, 1) == Pace(2.0, 0.0)
        assert machine.teaching("tiny", quick_settings) == 5.0
        assert machine.detecting("lof", 10, 20, DetectorSettings()) == 6.0
    assert told == ["tiny, 32 px, float32", "tiny, 32 px, bfloat16", "tiny, 32 px, textures", "lof"]
    assert machine.teaching("tiny", replace(quick_settings, weights=WeightSettings(files={"tiny": "a.h5"}))) == 0.0
    assert machine.spent > 0


@pytest.mark.parametrize(("has", "precisions"), [(True, ("float32", "bfloat16")), (False, ("float32",))])
def test_bfloat16_is_tried_where_the_processor_computes_in_it(has, precisions, monkeypatch, tmp_path):
    monkeypatch.setattr(pace.training, "has_bfloat16", lambda: has)
    assert ThisMachine(tmp_path).precisions == precisions
