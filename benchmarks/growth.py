"""How time and memory grow with the cases, the side of a patch and the folds: MobileNet with textures and L2, and LOF.

    python benchmarks/growth.py
    python benchmarks/growth.py --cases 1000 --side 100 --folds 5 --json

Each number of cases at each side is measured in a process of its own, by the library's own functions. Nothing is
trained to the end: the row of a table says what a study of that size would cost, from a part of it.

read    all cases: image read, lesion cut out, patch written to the array file, file hashed (`write_patches`,
        `array_sha256`). The cases share 20 pictures of 256 x 256, so that no picture comes from a disk.
start   from the call of `train_network` to its first step, once a network: every patch is looked through for pixels
        that are not numbers.
epoch   one epoch of one network: the median of 8 training steps on a training part of the true size, times the steps of
        an epoch, and the tuning part at the speed of `embed`. The backbone is a fresh one, for weights do not change
        the time, and there are as many textures as training cases, as in a study.
embed   one network on all cases, from the speed on 256 of them at most. The embeddings of the others, 4 kB each, are
        not in its memory.
score   LOF on every fold's embeddings (random numbers of the true size), written, read back and scored.

Hours are those of reading, training for 20 epochs, embedding and scoring with `folds` networks one after the other.

Memory is in MB, the most the process held in each stage, what earlier stages did not give back included. What counts is
anonymous memory (RssAnon): what nobody else can use and what ends in swapping. The pages of the array file that lie in
memory (RssFile) are the system's cache of it: given back as soon as anybody needs them, and counted apart, together
with the program's own code. A study with several workers needs the memory of `train` for each, and that of the file
once. Linux only: it is read from /proc.
"""

import argparse
import json
import math
import multiprocessing
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, suppress
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture

from rarelesion import store
from rarelesion.backbones import BACKBONES, absorb_batch_norm
from rarelesion.detectors import DETECTORS
from rarelesion.losses import Head
from rarelesion.patches import write_patches
from rarelesion.recipes import parse_recipe
from rarelesion.scoring import score_recipe
from rarelesion.settings import DetectorSettings, ImageSettings, Settings, SplitSettings
from rarelesion.splits import make_splits
from rarelesion.study import TEXTURE_POOL
from rarelesion.training import TrainedNetwork, embed, train_network
from rarelesion.types import Case, Cohort, Embeddings, Patches, PatchRows, Roi, Split

CASES, SIDES, FOLDS = (100, 300, 1000, 3000, 10_000), (64, 100, 160, 224), (1, 5)
BACKBONE, RECIPE = "mobilenet", "mobilenet+texture+l2+lof"
PICTURES, PICTURE_PX = 20, 256
MALIGNANT_EVERY = 4
WARM_STEPS, STEPS = 2, 8
EMBEDDED = 256
EPOCHS = 20
SAMPLED_EVERY_S = 0.005
COLUMNS = {
    "cases": ("cases", ""),
    "side": ("side_px", ""),
    "folds": ("folds", ""),
    "read s": ("read_s", ".1f"),
    "start s": ("start_s", ".1f"),
    "ms an image": ("ms_a_training_image", ".1f"),
    "epoch s": ("epoch_s", ".1f"),
    "embed s": ("embed_s", ".1f"),
    "score s": ("score_s", ".1f"),
    "hours": ("hours", ".2f"),
    "MB at rest": ("rest_mb", ".0f"),
    "MB read": ("read_mb", ".0f"),
    "MB train": ("train_mb", ".0f"),
    "MB embed": ("embed_mb", ".0f"),
    "MB score": ("score_mb", ".0f"),
    "MB of files": ("file_mb", ".0f"),
}
"""Heading -> the key in a row, and the format."""


def main() -> None:
    """Measure every size asked for, the small ones first, and print the table as it grows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, nargs="+", default=CASES)
    parser.add_argument("--side", type=int, nargs="+", default=SIDES)
    parser.add_argument("--folds", type=int, nargs="+", default=FOLDS)
    parser.add_argument("--folder", type=Path, help="where the array file lies meanwhile (10,000 x 224: 6 GB)")
    parser.add_argument("--json", action="store_true", help="rows as JSON instead of a table")
    arguments = parser.parse_args()
    rows = []
    if not arguments.json:
        print("\n".join(table_head()))
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        for n_cases, side_px in product(sorted(arguments.cases), sorted(arguments.side)):
            for row in _in_own_process(Path(folder), n_cases, side_px, tuple(arguments.folds)):
                rows.append(row)
                if not arguments.json:
                    print(table_line(row), flush=True)
    if arguments.json:
        print(json.dumps({"cores": os.cpu_count(), "rows": rows}, indent=1))


def table_head() -> tuple[str, str]:
    """The first two lines of the table, as Markdown."""
    return f"| {' | '.join(COLUMNS)} |", "|" + " ---: |" * len(COLUMNS)


def table_line(row: dict[str, Any]) -> str:
    """One line of the table."""
    return f"| {' | '.join(format(row[key], style) for key, style in COLUMNS.values())} |"


def _in_own_process(folder: Path, n_cases: int, side_px: int, folds: tuple[int, ...]) -> list[dict[str, Any]]:
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(measure, folder, n_cases, side_px, folds).result()


def measure(folder: Path, n_cases: int, side_px: int, folds: tuple[int, ...]) -> list[dict[str, Any]]:
    """Measure one size in this process: a row for each number of folds."""
    cohort = draw_cohort(folder, n_cases)
    splits = {count: make_splits(cohort, SplitSettings(folds=count), seed=0) for count in folds}
    with store.needed_within(folder / "patches.npy") as path:
        row, patches = _read(path, cohort, side_px)
        first = splits[folds[0]][0]
        row |= _train(patches, cohort, first)
        row |= _embed(patches, first)
    return [_with_folds(row, folder, cohort, splits[count]) for count in folds]


def draw_cohort(folder: Path, n_cases: int) -> Cohort:
    """Cases with a box each on one of a few pictures of noise."""
    rng = np.random.default_rng(0)
    for number in range(PICTURES):
        noise = rng.integers(0, 255, (PICTURE_PX, PICTURE_PX)).astype(np.uint8)
        Picture.fromarray(noise).save(folder / f"{number}.png")
    corners = rng.integers(0, 60, (n_cases, 2)).tolist()
    cases = tuple(
        Case(
            case_id=f"c{number:05d}",
            patient_id=f"p{number:05d}",
            label=int(number % MALIGNANT_EVERY == 0),
            images={"US": folder / f"{number % PICTURES}.png"},
            rois={"US": Roi(box=(row, column, row + 180, column + 180))},
        )
        for number, (row, column) in enumerate(corners)
    )
    return Cohort(folder / "cohort.csv", cases, ("US",))


class Memory:
    """What this process holds, in MB, and the most it held since `watched` began."""

    def __init__(self) -> None:
        self.most = {"RssAnon": 0.0, "RssFile": 0.0}

    def sample(self) -> None:
        """Look once."""
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            name, _, value = line.partition(":")
            if name in self.most:
                self.most[name] = max(self.most[name], int(value.split()[0]) / 1024)


@contextmanager
def watched() -> Iterator[Memory]:
    """Look at the memory every few milliseconds while the block runs."""
    memory, ended = Memory(), threading.Event()

    def look() -> None:
        while not ended.wait(SAMPLED_EVERY_S):
            memory.sample()

    memory.sample()
    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield memory
    finally:
        ended.set()
        thread.join()
        memory.sample()


def _read(path: Path, cohort: Cohort, side_px: int) -> tuple[dict[str, Any], Patches]:
    resting = Memory()
    resting.sample()
    with watched() as memory:
        begin = time.perf_counter()
        patches = write_patches(path, cohort, ImageSettings(side_px=side_px))
        store.array_sha256(patches.pixels)
        seconds = time.perf_counter() - begin
    row = {"cases": len(cohort.cases), "side_px": side_px, "read_s": seconds, "read_mb": memory.most["RssAnon"]}
    return row | {"rest_mb": resting.most["RssAnon"], "file_mb": memory.most["RssFile"]}, patches


class _Enough(Exception):
    """So many training steps were measured."""


class _Metered:
    """Rows of patches that note when a training step fetches its batch, and end the training after a few."""

    def __init__(self, rows: PatchRows) -> None:
        self.rows, self.fetched = rows, list[float]()

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, wanted: Any) -> NDArray[np.float32]:
        if not isinstance(wanted, slice):  # slices: the search for pixels that are not numbers
            self.fetched.append(time.perf_counter())
        if len(self.fetched) > 1 + WARM_STEPS + STEPS:
            raise _Enough
        return self.rows[wanted]


def _train(patches: Patches, cohort: Cohort, split: Split) -> dict[str, Any]:
    """Some steps of training on the whole training part."""
    train, tune = (_rows(patches, part) for part in (split.train, split.tune))
    labels = cohort.labels
    side_px, metered = patches.pixels.shape[-1], _Metered(train)
    textures = np.random.default_rng(0).random((TEXTURE_POOL, 3, side_px, side_px), dtype=np.float32)
    settings = Settings().training.resolved()
    with watched() as memory:
        begin = time.perf_counter()
        with suppress(_Enough):
            train_network(
                BACKBONES[BACKBONE](), metered, labels[train.rows], tune, labels[tune.rows], textures, settings,
                alpha=settings.alpha, seed=0,
            )  # fmt: skip
    assert settings.batch_size is not None
    steps = math.ceil(2 * len(train) / settings.batch_size)  # a texture for every tumour
    step_s = float(np.median(np.diff(metered.fetched[1 + WARM_STEPS :])))
    row = {"start_s": metered.fetched[0] - begin, "steps_s": steps * step_s, "train_mb": memory.most["RssAnon"]}
    return row | {"ms_a_training_image": 1000 * steps * step_s / (2 * len(train))}


def _rows(patches: Patches, case_ids: tuple[str, ...]) -> PatchRows:
    row_of = {case_id: row for row, case_id in enumerate(patches.case_ids)}
    return PatchRows(patches.pixels, np.array([row_of[case_id] for case_id in case_ids], dtype=np.int64))


def _embed(patches: Patches, split: Split) -> dict[str, Any]:
    backbone = BACKBONES[BACKBONE]()
    absorb_batch_norm(backbone)
    network = TrainedNetwork(backbone, Head(backbone.dim, 3, Settings().training.alpha), 3, ())
    some, settings = patches.pixels[:EMBEDDED], Settings().training.resolved()
    with watched() as memory:
        embed(network, some[:32], settings)
        image_s = _seconds(lambda: embed(network, some, settings)) / len(some)
    row = {"embed_s": image_s * len(patches.case_ids), "embed_mb": memory.most["RssAnon"]}
    return row | {"tune_s": image_s * len(split.tune)}


def _with_folds(row: dict[str, Any], folder: Path, cohort: Cohort, splits: tuple[Split, ...]) -> dict[str, Any]:
    with watched() as memory:
        score_s = _seconds(lambda: _score(folder, cohort, splits))
    epoch_s = row["steps_s"] + row["tune_s"]
    a_network_s = row["start_s"] + EPOCHS * epoch_s + row["embed_s"]
    hours = (row["read_s"] + len(splits) * a_network_s + score_s) / 3600
    return {**row, "folds": len(splits), "epoch_s": epoch_s, "score_s": score_s, "hours": hours} | {
        "score_mb": memory.most["RssAnon"]
    }


def _seconds(act: Callable[[], object]) -> float:
    begin = time.perf_counter()
    act()
    return time.perf_counter() - begin


def _score(folder: Path, cohort: Cohort, splits: tuple[Split, ...]) -> None:
    dim = BACKBONES[BACKBONE]().dim
    paths = [folder / f"{split.fold}.npz" for split in splits]
    for path, split in zip(paths, splits, strict=True):
        store.write_embeddings(path, _random_embeddings(cohort, split, dim))
    recipe = parse_recipe(RECIPE, tuple(BACKBONES), tuple(DETECTORS))
    patient_of = {case.case_id: case.patient_id for case in cohort.cases}
    score_recipe(recipe, map(store.read_embeddings, paths), patient_of, DetectorSettings())


def _random_embeddings(cohort: Cohort, split: Split, dim: int) -> Embeddings:
    rng = np.random.default_rng(split.fold)
    part_of = {case_id: part for part in ("train", "tune", "test") for case_id in getattr(split, part)}
    case_ids = [case.case_id for case in cohort.cases]
    return Embeddings(
        network=RECIPE.rpartition("+")[0],
        repeat=split.repeat,
        fold=split.fold,
        case_ids=np.array(case_ids),
        parts=np.array([part_of[case_id] for case_id in case_ids]),
        labels=cohort.labels,
        vectors=rng.standard_normal((len(case_ids), dim), dtype=np.float32),
        logits=rng.standard_normal((len(case_ids), 3), dtype=np.float32),
    )


if __name__ == "__main__":
    main()
