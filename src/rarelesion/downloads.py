"""The official weight files, as their authors publish them: where they are, and the folder they are kept in."""

import hashlib
import http.client
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, Queue
from threading import Event, Thread
from typing import IO, Any

from rarelesion.errors import InputError, Problem
from rarelesion.weight_formats import kind_of, whole_file


@dataclass(frozen=True, slots=True)
class OfficialFile:
    """A file of ImageNet weights as its authors publish it."""

    name: str
    url: str
    algorithm: str
    digest: str | None
    """Hexadecimal, or its beginning where no more is published; None: only the layers are checked, on loading."""
    backbones: tuple[str, ...]
    """The backbones that can be loaded from it."""


KERAS_URL = "https://storage.googleapis.com/tensorflow/keras-applications"
KERAS_NAME = "weights_tf_dim_ordering_tf_kernels_notop.h5"
TORCHVISION_URL = "https://download.pytorch.org/models"
RESNETS, DENSENET = ("resnet50", "resnet50-conv4"), ("densenet169",)


def _keras(folder: str, name: str, md5: str | None, backbones: tuple[str, ...]) -> OfficialFile:
    return OfficialFile(name, f"{KERAS_URL}/{folder}/{name}", "md5", md5, backbones)


def _torchvision(name: str, sha256: str, backbones: tuple[str, ...]) -> OfficialFile:
    return OfficialFile(name, f"{TORCHVISION_URL}/{name}", "sha256", sha256, backbones)


OFFICIAL: dict[str, OfficialFile] = {
    "vgg16": _keras("vgg16", f"vgg16_{KERAS_NAME}", "6d6bbae143d832006294945121d1f1fc", ("vgg16",)),
    "mobilenet": _keras("mobilenet", "mobilenet_1_0_224_tf_no_top.h5", None, ("mobilenet",)),
    "resnet50": _keras("resnet", f"resnet50_{KERAS_NAME}", "4d473c1dd8becc155b73f8504c6f6626", RESNETS),
    "vgg16-torchvision": _torchvision(
        "vgg16-397923af.pth", "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0", ("vgg16",)
    ),
    "resnet50-torchvision": _torchvision(
        "resnet50-0676ba61.pth", "0676ba61b6795bbe1773cffd859882e5e297624d384b6993f7c9e683e722fb8a", RESNETS
    ),
    "densenet169": _keras("densenet", f"densenet169_{KERAS_NAME}", "b8c4d4c20dd625c148057b9ff1c1176b", DENSENET),
    "densenet169-torchvision": _torchvision("densenet169-b2777c0a.pth", "b2777c0a", DENSENET),
}
"""The files that can be fetched or put into the cache by hand; the first of a backbone is the paper's."""


def official_file(name: str) -> OfficialFile:
    """The official file of that name in OFFICIAL, or the first that fits the backbone of that name."""
    fitting = [file for key, file in OFFICIAL.items() if name in (key, *file.backbones)]
    if not fitting:
        raise InputError(Problem("weights", "no official file has this name", repr(name), ", ".join(OFFICIAL)))
    return fitting[0]


def cache_folder() -> Path:
    """Where weight files are kept between studies: RARELESION_CACHE, else the system's folder for caches."""
    if chosen := os.environ.get("RARELESION_CACHE"):
        return Path(chosen)
    if sys.platform == "win32":
        root = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        root = Path.home() / "Library" / "Caches"
    else:
        root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "rarelesion"


def find_cached(backbone: str) -> Path | None:
    """The official weight file of a backbone in the cache folder; None where there is none."""
    files = (cache_folder() / file.name for file in OFFICIAL.values() if backbone in file.backbones)
    return next((path for path in files if path.is_file()), None)


CHUNK_BYTES, TIMEOUT_SECONDS = 2**18, 30.0


def fetch(
    file: OfficialFile,
    cache: Path,
    progress: Callable[[int, int | None], None],
    url: str | None = None,
    patience: float = TIMEOUT_SECONDS,
) -> Path:
    """Download an official weight file into the cache, unless it is there, and return its path.

    `progress` is called with the bytes so far and in all (None: unknown), and may end it by an OSError; `url` is
    another place to load from; `patience` is how many seconds the server has to answer. Raises InputError that says how
    to do it by hand: offline, not found, cut short, not the published file, disk full.
    """
    target, source = cache / file.name, url or file.url
    if target.is_file() and _digest_fits(file, target):
        return target
    try:
        with whole_file(target) as part:
            with part.open("wb") as received:
                _download(source, received, progress, patience)
            if not _digest_fits(file, part):
                raise OSError(None, f"another file than the published one ({file.algorithm} differs)")
            kind_of(part)
    except (OSError, http.client.HTTPException, ValueError, InputError) as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()
        raise InputError(_by_hand(file, target, error)) from error
    return target


def _download(url: str, part: IO[bytes], progress: Callable[[int, int | None], None], patience: float) -> None:
    request = urllib.request.Request(url, headers={"User-Agent": "rarelesion"})
    with _answer(request, patience) as answer:
        size = answer.headers.get("Content-Length")
        total, done = int(size) if size else None, 0
        while chunk := answer.read(CHUNK_BYTES):
            part.write(chunk)
            done += len(chunk)
            progress(done, total)
    if total is not None and done != total:
        raise OSError(None, f"only {done} of {total} bytes")


def _answer(request: urllib.request.Request, seconds: float) -> Any:
    """What urlopen gives, or what it raises; OSError where it takes longer.

    Its own limit is one for each address that a name has, and none for the search of the name: behind a firewall that
    is minutes.
    """
    answers: Queue[Any] = Queue()
    late = Event()

    def ask() -> None:
        try:
            answer = urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS)
        except Exception as error:
            answer = error
        answers.put(answer)
        if late.is_set() and not isinstance(answer, Exception):
            answer.close()

    Thread(target=ask, daemon=True).start()
    try:
        answer = answers.get(timeout=seconds)
    except Empty:
        late.set()
        raise OSError(None, f"no answer in {seconds:g} seconds") from None
    if isinstance(answer, Exception):
        raise answer
    return answer


def _digest_fits(file: OfficialFile, path: Path) -> bool:
    if file.digest is None:
        return True
    with path.open("rb") as content:
        return hashlib.file_digest(content, file.algorithm).hexdigest().startswith(file.digest)


def _by_hand(file: OfficialFile, target: Path, error: Exception) -> Problem:
    reason = getattr(error, "strerror", None) or str(getattr(error, "reason", error))
    found = error.problems[0].found if isinstance(error, InputError) else reason
    remedy = f"Download {file.url} by hand, on another computer if need be, and save it as {target}"
    return Problem(file.name, "the weight file could not be downloaded", found, remedy=remedy)
