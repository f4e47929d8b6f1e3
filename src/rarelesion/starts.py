"""Where each backbone starts from: a file that is named, cached, fetched or embedded, or textures taught in the run."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from rarelesion import downloads, store, weights
from rarelesion.backbones import BACKBONES
from rarelesion.errors import InputError, Problem
from rarelesion.layers import Backbone
from rarelesion.pretraining import pretrain
from rarelesion.settings import Settings, WeightSettings
from rarelesion.texture import TEXTURES, procedural_texture

OnProgress = Callable[[str, float, float], None]
"""Hears the stage, done and total."""
START = "start-"
"""Before the name of a backbone: the folder of the weights that all networks of a run start from."""
TAUGHT = "trained on procedural textures in this run"
ANSWER_SECONDS, FETCH_SECONDS = 5.0, 120.0
"""How long "auto" waits for a server's answer, and for a file: beyond that there is no network worth the name."""


class Progress(Protocol):
    """Told how far a stage is, and of what: `done` of `total`."""

    def __call__(self, stage: str, detail: str, done: float, total: float) -> None: ...


def starting_backbone(folder: Path, name: str, settings: Settings, on_progress: OnProgress) -> tuple[Backbone, str]:
    """The backbone every network of that name starts from, and where its weights came from in words.

    In the order of preference: the file the settings name, an official ImageNet file in the cache, the file that comes
    with the package, or a training on procedural textures, made once a run and kept in it; `weights.source` leaves some
    of them out. With "imagenet" a missing official file is fetched, and offline the InputError says which file it is
    and where to put it. A run that goes on takes what it began with; InputError where that is no longer there.
    """
    recorded = _recorded(folder, name)
    for kind, path in _files(name, settings.weights):
        identity = f"{path.name}, sha256 {store.file_sha256(path)}"
        if recorded is None or recorded.endswith(f" {identity}"):
            return weights.load_backbone(name, path), f"{kind} {identity}"
    if settings.weights.source == "imagenet" and recorded is None:
        path = _fetch(name, on_progress, downloads.TIMEOUT_SECONDS)
        return weights.load_backbone(name, path), f"official {path.name}, sha256 {store.file_sha256(path)}"
    if recorded not in (None, TAUGHT):
        what = f"the weights of {name} that this run began with are gone"
        raise InputError(Problem(str(folder), what, expected=recorded, remedy="Put them back or choose another --out."))
    return _taught(folder, name, settings, on_progress), TAUGHT


def is_to_be_taught(folder: Path, name: str, settings: Settings) -> bool:
    """Whether `starting_backbone` has yet to train a backbone on textures, which takes its time."""
    recorded, chosen = _recorded(folder, name), settings.weights
    from_file = name in chosen.files or chosen.source == "imagenet" or any(True for _ in _files(name, chosen))
    taught = recorded == TAUGHT if recorded else not from_file
    return taught and not _start_path(folder, name).exists()


def recorded_starts(folder: Path) -> dict[str, str]:
    """What each backbone of the run in the folder started from; empty where it has made no network yet."""
    path = folder / "provenance.json"
    if not path.exists() or not any((folder / "networks").glob("*/*.safetensors")):
        return {}
    return dict(store.read_provenance(path).get("weights", {}))


def _recorded(folder: Path, name: str) -> str | None:
    return recorded_starts(folder).get(name)


def _files(name: str, chosen: WeightSettings) -> Iterator[tuple[str, Path]]:
    """What there is on this machine, with its kind, the best first."""
    if name in chosen.files:
        yield "file", Path(chosen.files[name])
        return
    cached, embedded = downloads.find_cached(name), weights.embedded_file(name)
    if cached and chosen.source in ("auto", "imagenet"):
        yield "cached", cached
    if embedded and chosen.source in ("auto", "embedded"):
        yield "embedded", embedded


def fetch_missing(folder: Path, names: Iterable[str], settings: Settings, progress: Progress) -> dict[str, str]:
    """Fetch the official files that are wanted and not here into the cache, before a study begins.

    With the source "imagenet" each must be had, else the InputError says how to do it by hand. With "auto" one that
    cannot be had soon is done without: the result says why, by backbone, and `progress` is told. Other sources fetch
    nothing, and neither does a run that goes on.
    """
    chosen, failed, reason = settings.weights, {}, ""

    def on_progress(stage: str, done: float, total: float) -> None:
        progress(stage, "", done, total)

    known = {*chosen.files, *recorded_starts(folder)}
    for name in names:
        if name in known or downloads.find_cached(name):
            continue
        if chosen.source == "imagenet":
            _fetch(name, on_progress, downloads.TIMEOUT_SECONDS)
        elif chosen.source == "auto" and _official(name):
            # They lie on few servers: where one cannot be had, the others would only take their time as well.
            reason = reason or _try(name, on_progress)
            failed |= {name: reason} if reason else {}
    if failed:
        progress("Looking for ImageNet weights", f"not fetched for {', '.join(failed)}: {reason}", 1, 1)
    return failed


def _official(name: str) -> downloads.OfficialFile | None:
    """The file of ImageNet weights of a backbone; None where nobody publishes one."""
    return next((file for file in downloads.OFFICIAL.values() if name in file.backbones), None)


def _fetch(name: str, on_progress: OnProgress, patience: float, limit: float = float("inf")) -> Path:
    file, begin = _official(name), time.monotonic()
    if file is None:
        what = f"nobody publishes ImageNet weights of {name}"
        remedy = "Leave weights.source at auto, or name a file of your own in weights.files."
        raise InputError(Problem("weights.source", what, remedy=remedy))

    def tell(done: int, total: int | None) -> None:
        if time.monotonic() - begin > limit:
            raise OSError(None, f"not done in {limit:g} seconds")
        on_progress(f"Fetching {file.name}", done, total or done)

    return downloads.fetch(file, downloads.cache_folder(), tell, patience=patience)


def _try(name: str, on_progress: OnProgress) -> str:
    """Fetch a file if that is quickly done; why not, else empty."""
    try:
        _fetch(name, on_progress, ANSWER_SECONDS, FETCH_SECONDS)
    except InputError as error:
        return error.problems[0].found
    return ""


def _taught(folder: Path, name: str, settings: Settings, on_progress: OnProgress) -> Backbone:
    path = _start_path(folder, name)
    if not path.exists():
        side = settings.images.side_px
        backbone = pretrain(
            name,
            lambda n, rng: texture_lesson(n, side, rng),
            classes=len(TEXTURES),
            images=settings.weights.pretrain_images,
            side_px=side,
            seed=settings.seed,
            on_progress=lambda done, total: on_progress(f"Teaching {name} textures first", done, total),
        )
        weights.save_state(path, backbone.state_dict(), weights.backbone_metadata(backbone))
    with mended_by_removing(path):
        return weights.load_backbone(name, path)


def _start_path(folder: Path, name: str) -> Path:
    return folder / "networks" / f"{START}{name}" / "weights.safetensors"


def texture_lesson(n: int, side_px: int, rng: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Procedural textures (n, 3, side, side) in 0..1 and which material each is (n,)."""
    kinds = rng.integers(len(TEXTURES), size=n)
    grey = np.stack([procedural_texture(int(kind), rng, side_px) for kind in kinds])
    return np.repeat(grey[:, None], 3, axis=1), kinds


@contextmanager
def mended_by_removing(path: Path) -> Iterator[None]:
    """A file the run wrote itself is not to be downloaded again, but made again."""
    try:
        yield
    except (InputError, KeyError, RuntimeError, StopIteration, ValueError) as error:
        raise InputError(Problem(str(path), "is damaged or another network's", remedy=made_anew(path))) from error


def made_anew(path: Path) -> str:
    """How the weights at `path` of a run are made again, in words."""
    every_split = "-*" * path.parent.name.endswith("+frozen")
    embeddings = f" and embeddings/{path.parent.name}{every_split}.npz"
    also = "" if path.parent.name.startswith(START) else embeddings
    return f"Remove it{also} and give the study's command again: only this network is made anew."


@dataclass(frozen=True, slots=True)
class Choice:
    """What a backbone can start from on this machine."""

    backbone: str
    start: str
    """What it would start from, in words."""
    given: Path | None
    """The file that the settings name."""
    official: tuple[tuple[downloads.OfficialFile, Path | None], ...]
    """The files that can be fetched, each with its place in the cache if it is there."""
    embedded: Path | None
    card: str
    """Of the embedded file, as Markdown."""


def list_choices(chosen: WeightSettings) -> tuple[Choice, ...]:
    """What each backbone can start from, and what it would under these settings."""
    return tuple(_choice(name, chosen) for name in BACKBONES)


def _choice(name: str, chosen: WeightSettings) -> Choice:
    folder = downloads.cache_folder()
    files = [file for file in downloads.OFFICIAL.values() if name in file.backbones]
    given = chosen.files.get(name)
    return Choice(
        backbone=name,
        start=_outlook(name, chosen),
        given=None if given is None else Path(given),
        official=tuple((file, path if (path := folder / file.name).is_file() else None) for file in files),
        embedded=weights.embedded_file(name),
        card=weights.embedded_card(name),
    )


def _outlook(name: str, chosen: WeightSettings) -> str:
    kind, path = next(_files(name, chosen), ("textures", None))
    here = "textures, taught in the run" if path is None else f"{kind} {path.name}"
    if kind in ("file", "cached") or chosen.source not in ("auto", "imagenet"):
        return here
    file = _official(name)
    if chosen.source == "imagenet":
        return "none: nobody publishes ImageNet weights of it" if file is None else f"{file.name}, to be fetched"
    return here if file is None else f"{file.name} if it can be fetched, else {here}"
