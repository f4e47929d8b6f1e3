"""Fixtures every test may use."""

import csv
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings as property_settings
from PIL import Image as Picture

from rarelesion.publish import write_report
from rarelesion.settings import (
    CvaeSettings,
    ImageSettings,
    LearningCurveSettings,
    Settings,
    SplitSettings,
    StatisticsSettings,
    TrainingSettings,
    WeightSettings,
)
from rarelesion.study import run_study

# A machine that is busy with something else is no failure.
property_settings.register_profile("untimed", deadline=None)
property_settings.load_profile("untimed")

SECRET = "PLANTED"
"""Stands where a name could be, and must appear in no output."""


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data; tests that need it skip where it is missing."""
    folder = Path(os.environ.get("RARELESION_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}; set RARELESION_DATA")
    return folder


def draw_lesion(rng: np.random.Generator, malignant: bool) -> np.ndarray:
    """A 48 x 48 picture, 8 bit: a smooth disc where benign, a spotted one where malignant, in noise."""
    row, column = np.mgrid[:48, :48]
    disc = (row - 24) ** 2 + (column - 24) ** 2 < 100
    spots = malignant * 70 * (np.sin(row * 1.9) * np.sin(column * 1.9) > 0)
    return np.clip(60 + disc * (90 + spots) + rng.normal(0, 12, (48, 48)), 0, 255).astype(np.uint8)


def write_picture_cohort(folder: Path, n_benign: int, n_malignant: int) -> Path:
    """A cohort of two views a case as PNG with boxes, ratings beside it, and a column that names the patient."""
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    rows, ratings = [], []
    for number in range(n_benign + n_malignant):
        malignant = number >= n_benign
        case = {
            "case_id": f"c{number:02d}",
            "patient_id": f"p{number:02d}",
            "label": "malignant" if malignant else "benign",
            "patient_name": f"{SECRET} {number}",
            "subtype": "spotted" if malignant else "plain",
        }
        for view in ("view1", "view2"):
            name = f"{SECRET}_{number:02d}_{view}.png"
            Picture.fromarray(draw_lesion(rng, malignant)).save(folder / name)
            case |= {f"image_{view}": name, f"box_{view}": "14 14 34 34"}
        rows.append(case)
        ratings.append((case["case_id"], "anna", rng.integers(1, 4) + malignant))
    with (folder / "cohort.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    with (folder / "readers.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("case_id", "reader", "rating"), *ratings])
    return folder / "cohort.csv"


QUICK = Settings(
    recipes=("tiny", "tiny+texture", "tiny+texture+l2", "tiny+texture+l2+ocsvm", "tiny+texture+l2+lof", "cvae"),
    images=ImageSettings(side_px=32),
    split=SplitSettings(folds=2),
    training=TrainingSettings(max_epochs=2, frozen_layers=0, learning_rate=3e-3, precision="float32"),
    cvae=CvaeSettings(max_epochs=1, latent=4),
    weights=WeightSettings(source="textures", pretrain_images=96),
    statistics=StatisticsSettings(bootstrap=200),
)
"""A study that takes seconds."""
GROWN = replace(
    QUICK,
    recipes=("auto", "tiny", "tiny+knnratio", "tiny+knn"),
    learning_curve=LearningCurveSettings(recipes=("lead",), shares=(0.4, 0.7), draws=2),
)


@pytest.fixture(scope="session")
def quick_settings() -> Settings:
    """A study that takes seconds."""
    return replace(QUICK)


@pytest.fixture(scope="session")
def picture_cohort(tmp_path_factory) -> Path:
    """cohort.csv of 36 cases, 12 of them malignant; not to be changed."""
    return write_picture_cohort(tmp_path_factory.mktemp("pictures"), 24, 12)


@pytest.fixture(scope="session")
def finished_run(picture_cohort, tmp_path_factory) -> Path:
    """The folder of a finished study of `picture_cohort` with a reader; not to be changed."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    run_study(picture_cohort, folder, QUICK, picture_cohort.with_name("readers.csv"), lambda *_: None)
    write_report(folder)
    return folder


@pytest.fixture(scope="session")
def grown_run(picture_cohort, tmp_path_factory) -> Path:
    """The folder of a finished study with the row `auto` and a learning curve; not to be changed."""
    folder = tmp_path_factory.mktemp("runs") / "grown"
    run_study(picture_cohort, folder, GROWN, picture_cohort.with_name("readers.csv"), lambda *_: None)
    write_report(folder)
    return folder
