"""The demonstration: a synthetic cohort as real DICOM, and the study on it, with settings that fit a laptop's coffee
break. The numbers mean nothing clinically."""

from collections.abc import Callable
from pathlib import Path

from rarelesion.planning import Plan
from rarelesion.recipes import PAPER_BACKBONES, PAPER_SUFFIXES
from rarelesion.settings import (
    CvaeSettings,
    ImageSettings,
    Settings,
    SplitSettings,
    TrainingSettings,
    WeightSettings,
)
from rarelesion.study import Progress, run_study
from rarelesion.synthetic import make_cohort
from rarelesion.weights import embedded_file
from rarelesion.workers import default_workers

PAPER_CASES = 190, 55
QUICK_CASES = 124, 36
TAUGHT_RATE = 1e-3
"""The learning rate of networks that start from textures; others take that of the profile."""


def demo_settings(quick: bool) -> Settings:
    """The paper's single split and all its rows on small patches and few epochs; `quick`: one backbone's rows.

    The networks start from the files that come with the package, whatever weights the machine has, so that the demo
    shows the same everywhere; where one is missing, all from procedural textures. What was learnt from so few of those
    is to be learnt anew, at a higher rate than a good start bears.
    """
    backbones = PAPER_BACKBONES[1:2] if quick else PAPER_BACKBONES
    embedded = all(map(embedded_file, backbones))
    rate = None if embedded else TAUGHT_RATE
    training = TrainingSettings(max_epochs=16 if quick else 20, patience=8, batch_size=32, learning_rate=rate)
    return Settings(
        recipes=tuple(name + suffix for name in backbones for suffix in PAPER_SUFFIXES) if quick else (),
        images=ImageSettings(side_px=64),
        split=SplitSettings(folds=1),
        training=training,
        cvae=CvaeSettings(max_epochs=20),
        weights=WeightSettings("embedded" if embedded else "textures", pretrain_images=1000 if quick else 1500),
    )


def run_demo(
    folder: Path, quick: bool, progress: Progress, on_plan: Callable[[Plan], None] = lambda plan: None
) -> Path:
    """Make the cohort in `folder`/cohort unless it is there, run the study on it in `folder`/run, and give that.

    `on_plan` is told how long the study will take before it starts.
    """
    cohort = folder / "cohort" / "cohort.csv"
    if not cohort.exists():
        n_benign, n_malignant = QUICK_CASES if quick else PAPER_CASES
        make_cohort(
            cohort.parent,
            n_benign,
            n_malignant,
            on_case=lambda done, total: progress("Drawing the synthetic cohort", "", done, total),
        )
    settings, readers = demo_settings(quick), cohort.with_name("readers.csv")
    run_study(cohort, folder / "run", settings, readers, progress, default_workers(), on_plan=on_plan)
    return folder / "run"
