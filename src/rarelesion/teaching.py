"""Make starting weights: from a method, its pictures and its teachers to a weight file and the card beside it."""

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rarelesion import __version__, learning, store, weights
from rarelesion.album import CROPS_A_PICTURE, PAGES, Album, Draw, piece
from rarelesion.backbones import BACKBONES
from rarelesion.card import Origin, Teacher, card_text
from rarelesion.cohort import read_new_cases
from rarelesion.distillation import Distillation
from rarelesion.epochs import Snapshot
from rarelesion.errors import InputError, Problem
from rarelesion.formula import CROPS_A_FORMULA, Naming
from rarelesion.formulas import CLASSES, draw_formula
from rarelesion.layers import Backbone
from rarelesion.learning import Extent, Learnt
from rarelesion.materials import find_photographs, read_colour, read_labelled
from rarelesion.patches import load_patches
from rarelesion.pictures import HELD_OUT, PICTURES, draw_picture
from rarelesion.probe import Probe, probe
from rarelesion.selfsupervised import SelfSupervised
from rarelesion.settings import CohortSettings, ImageSettings
from rarelesion.texture import procedural_texture
from rarelesion.twin import plain
from rarelesion.types import Ints

METHODS = ("distil", "formula", "domain")
SHARE_OF_IMAGES = 0.5
"""How many of the pictures are the user's own, where distillation is given some."""
SCALE_CROPS = 128
"""Crops on which a new network's layers, and the teachers' channels, are brought to scale."""
FEWEST_PAGES = 32
KEPT_EVERY_SECONDS = 60.0
PROBE_PX, PROBES_A_KIND, PROBE_SEED = 100, 40, 2

OnProgress = Callable[[str, str, float, float], None]
"""Told the stage, a detail, how much is done and of how much."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be learnt by which backbone, from what, and for how long."""

    backbone: str
    method: str
    out: Path
    teachers: Mapping[str, Path]
    licences: Mapping[str, str]
    start: Path | None
    images: Path | None
    """A folder of pictures, or a cohort whose labels are ignored."""
    probe: Path | None
    """A folder of photographs, one subfolder a class."""
    pictures: int | None
    minutes: float | None
    sides_px: tuple[int, int]
    seed: int
    device: str


@dataclass(frozen=True, eq=False, slots=True)
class Source:
    """Where pictures come from, and that in words for the card."""

    draw: Draw
    words: str


def run_pretraining(request: Request, on_progress: OnProgress) -> tuple[Learnt, dict[str, Probe]]:
    """Make the weight file `request.out` (float16) and the card beside it, and say how far it came and what it knows.

    Stopped at any time, the same request goes on from a checkpoint beside the file. Raises InputError with all that is
    wrong with the request, and where a file cannot be read or written.
    """
    _check(request)
    begin = time.perf_counter()
    photographs = None if request.probe is None else read_labelled(request.probe, PROBE_PX)
    source = _source(request)
    lesson = _prepare(request, source, on_progress)
    keeper = _Keeper(request)
    extent = Extent(request.pictures, None if request.minutes is None else 60 * request.minutes, request.sides_px)
    resume = keeper.read()
    spent = time.perf_counter() - begin

    def tell(share: float, here: Learnt) -> None:
        on_progress(f"Teaching {request.backbone}", f"{here.seen} pictures, loss {here.loss:.3f}", share, 1.0)

    learnt = learning.learn(lesson, extent, spent, tell, keeper.keep, resume)
    if learnt.seen == 0:
        what, found = "were over before the first picture was shown", f"{request.minutes:g}; {spent:.0f} s to prepare"
        raise InputError(Problem("--minutes", what, found, remedy="Give more minutes, or --pictures in their place."))
    backbone = plain(lesson.backbone)
    weights.save_state(request.out, learning.halved(backbone), weights.backbone_metadata(backbone))
    on_progress("Probing", "", 0, 1)
    probes = _probes(request, photographs)
    on_progress("Probing", "", 1, 1)
    card = card_text(_origin(request, source, learnt, lesson.pairs()), probes)
    store.write_text(request.out.with_suffix(".md"), card)
    keeper.remove()
    return learnt, probes


def _check(request: Request) -> None:
    problems = list(_problems(request))
    if problems:
        raise InputError(problems)
    # A folder that cannot be written to is better known before the lesson than after it.
    trial = request.out.with_name(f".{request.out.name}.trial")
    store.write_text(trial, "")
    store.remove(trial)


def _problems(request: Request) -> Iterator[Problem]:
    if request.backbone not in BACKBONES:
        yield Problem("BACKBONE", "there is no such backbone", request.backbone, ", ".join(BACKBONES))
    if request.method not in METHODS:
        yield Problem("--method", "there is no such method", request.method, ", ".join(METHODS))
    if request.out.suffix != ".safetensors":
        yield Problem("--out", "is not a .safetensors file", str(request.out))
    if request.out.exists():
        yield Problem("--out", "is there already", str(request.out), remedy="Name another file, or remove it.")
    if request.pictures is None and request.minutes is None:
        yield Problem("rarelesion pretrain", "for how long?", expected="--minutes or --pictures")
    for name in request.teachers:
        if name not in BACKBONES:
            yield Problem("--teacher", "there is no such backbone", name, ", ".join(BACKBONES))
    if unknown := set(request.licences) - set(request.teachers):
        yield Problem("--licence", "is of no teacher", ", ".join(sorted(unknown)), ", ".join(request.teachers))
    if (request.method == "distil") != bool(request.teachers):
        what = "only distillation has teachers" if request.teachers else "distillation needs a teacher"
        yield Problem("--teacher", what, expected="--method distil --teacher BACKBONE=FILE")
    if request.method == "domain" and request.images is None:
        expected = "--images with a folder of pictures or a cohort.csv"
        yield Problem("--images", "learning in the domain needs pictures of it", expected=expected)
    if request.method == "formula" and request.images is not None:
        yield Problem("--images", "a formula needs no pictures", remedy="Leave it out, or choose --method domain.")


def _prepare(request: Request, source: Source, on_progress: OnProgress) -> Distillation | Naming | SelfSupervised:
    device = learning.choose_device(request.device)
    precision = learning.precision_on(device)
    teachers = {
        name: learning.placed(weights.load_backbone(name, path), device) for name, path in request.teachers.items()
    }
    start = None if request.start is None else weights.load_backbone(request.backbone, request.start)
    often = CROPS_A_FORMULA if request.method == "formula" else CROPS_A_PICTURE
    album = Album(source.draw, request.seed, _pages(request), often)
    album.open_at(0, lambda done, total: on_progress("Gathering pictures", "", done, total))
    show = album.views if request.method == "domain" else album.crops
    pixels = show(SCALE_CROPS, request.sides_px[0], 0)[0].to(device)
    if start is None:
        student = learning.new_backbone(request.backbone, request.seed, pixels)
    else:
        student = learning.going_on(start, pixels)
    with learning.seeded(request.seed):
        if request.method == "distil":
            return Distillation(student, teachers, album, pixels, precision)
        if request.method == "formula":
            return Naming(student, album, CLASSES, pixels, precision)
        return SelfSupervised(student, album, device, precision)


def _pages(request: Request) -> int:
    """A short lesson needs no thick album."""
    return PAGES if request.pictures is None else min(PAGES, max(FEWEST_PAGES, request.pictures // CROPS_A_PICTURE))


def _source(request: Request) -> Source:
    if request.method == "formula":
        return Source(_drawn_formula, f"drawn from the seed by {CLASSES} formulas; no photograph")
    drawn = Source(_drawn_picture, f"drawn from the seed ({', '.join(PICTURES)}); no photograph")
    if request.images is None:
        return drawn
    own = _own_pictures(request.images)
    if request.method == "domain":
        return own

    def draw(rng: np.random.Generator, side_px: int) -> tuple[NDArray[np.float32], int]:
        return (own if rng.random() < SHARE_OF_IMAGES else drawn).draw(rng, side_px)

    return Source(draw, f"half {drawn.words}; half {own.words}")


def _drawn_picture(rng: np.random.Generator, side_px: int) -> tuple[NDArray[np.float32], int]:
    return draw_picture(rng, side_px), 0


def _drawn_formula(rng: np.random.Generator, side_px: int) -> tuple[NDArray[np.float32], int]:
    kind = int(rng.integers(CLASSES))
    return draw_formula(kind, rng, side_px), kind


def _own_pictures(images: Path) -> Source:
    """Pieces of the pictures of a folder, or the patches of a cohort."""
    if images.suffix in (".csv", ".xlsx"):
        cohort = read_new_cases(images, CohortSettings())
        patches = load_patches(cohort, ImageSettings()).pixels
        words = f"the patches of a cohort of {len(patches)} cases, its labels unused"
        return Source(lambda rng, side: (piece(patches[rng.integers(len(patches))], side, rng), 0), words)
    paths = find_photographs(images, "--images")
    words = f"pieces of {len(paths)} pictures of a folder"
    return Source(lambda rng, side: (piece(read_colour(paths[rng.integers(len(paths))]), side, rng), 0), words)


class _Keeper:
    """The checkpoint beside the weight file: of this request only, replaced as a whole, removed at the end."""

    def __init__(self, request: Request) -> None:
        self.path = request.out.with_suffix(".checkpoint.safetensors")
        identity = (command(request), *(store.file_sha256(path) for path in _inputs(request)))
        software = f"rarelesion {__version__}, torch {version('torch')}"
        self.identity = hashlib.sha256(json.dumps([*identity, software]).encode()).hexdigest()
        self._written = time.perf_counter()

    def read(self) -> Snapshot | None:
        """What to go on from; None where there is nothing, or something else."""
        try:
            tensors, note = weights.load_state(self.path)
        except InputError:
            return None
        return Snapshot(tensors, note) if note.pop("identity", "") == self.identity else None

    def keep(self, take: Callable[[], Snapshot]) -> None:
        """Write now and then, between two batches: what a stop loses is a minute at most, and the numbers stay."""
        if time.perf_counter() - self._written >= KEPT_EVERY_SECONDS:
            snapshot = take()
            weights.save_state(self.path, snapshot.tensors, {**snapshot.note, "identity": self.identity})
            self._written = time.perf_counter()

    def remove(self) -> None:
        """The weights are kept."""
        store.remove(self.path)


def _inputs(request: Request) -> list[Path]:
    return [*request.teachers.values(), *([] if request.start is None else [request.start])]


def command(request: Request) -> str:
    """The command that makes the file again, with files by their names only."""
    words = ["rarelesion pretrain", request.backbone, "--method", request.method]
    for name, path in request.teachers.items():
        words += ["--teacher", f"{name}={path.name}"]
    for option, path in (("--start", request.start), ("--images", request.images), ("--probe", request.probe)):
        words += [] if path is None else [option, path.name]
    words += [] if request.pictures is None else ["--pictures", str(request.pictures)]
    words += [] if request.minutes is None else ["--minutes", f"{request.minutes:g}"]
    words += ["--side", ",".join(map(str, request.sides_px)), "--seed", str(request.seed), "--out", request.out.name]
    return " ".join(words)


def _probes(request: Request, photographs: tuple[NDArray[np.float32], Ints] | None) -> dict[str, Probe]:
    """What the file that was made knows; and the start, if there was one, so that what was lost is seen as well."""
    device, probes = learning.choose_device(request.device), {}
    for path, by in ((request.out, ""), (request.start, ", by the start")):
        if path is not None:
            kept = learning.placed(weights.load_backbone(request.backbone, path), device)
            probes[f"drawn materials it was not shown{by}"] = _probed(kept, *_unseen_materials())
            if request.probe is not None and photographs is not None:
                probes[f"photographs in {request.probe.name}{by}"] = _probed(kept, *photographs)
    return probes


def _probed(backbone: Backbone, pixels: NDArray[np.float32], labels: Ints) -> Probe:
    """Half of each class's pictures are known, the other half is named."""
    vectors = learning.describe(backbone, pixels)
    rng, known = np.random.default_rng(0), np.zeros(len(labels), bool)
    for label in np.unique(labels):
        rows = rng.permutation(np.flatnonzero(labels == label))
        known[rows[: len(rows) // 2]] = True
    return probe(vectors[known], labels[known], vectors[~known], labels[~known])


def _unseen_materials() -> tuple[NDArray[np.float32], Ints]:
    """Drawings of the materials that no picture shows, grey, and which each is."""
    rng = np.random.default_rng(PROBE_SEED)
    labels = np.tile(np.array(HELD_OUT), PROBES_A_KIND)
    grey = np.stack([procedural_texture(int(kind), rng, PROBE_PX) for kind in labels])
    return np.repeat(grey[:, None], 3, axis=1).astype(np.float32), labels


def _origin(request: Request, source: Source, learnt: Learnt, compared: list[str]) -> Origin:
    return Origin(
        backbone=request.backbone,
        method=request.method,
        command=command(request),
        seed=request.seed,
        sides_px=request.sides_px,
        seen=learnt.seen,
        seconds=learnt.seconds,
        loss=learnt.loss,
        machine=learning.machine(learning.choose_device(request.device)),
        software=f"rarelesion {__version__}, torch {version('torch')}",
        teachers=tuple(
            Teacher(name, path.name, store.file_sha256(path), request.licences.get(name, ""))
            for name, path in request.teachers.items()
        ),
        pictures=source.words,
        compared=compared,
        start="" if request.start is None else f"{request.start.name}, sha256 {store.file_sha256(request.start)}",
        file=request.out.name,
        sha256=store.file_sha256(request.out),
        bytes=request.out.stat().st_size,
    )
