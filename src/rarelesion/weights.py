"""Weights on disk: Keras's .h5, torchvision's .pth and our own .safetensors; the official files and their cache.

Nothing here runs code from a file: no pickle is read but through torch's restricted loader, none is written.
"""

import hashlib
import http.client
import os
import re
import secrets
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

import h5py
import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from rarelesion.backbones import BACKBONES, Backbone, Style, set_style
from rarelesion.errors import InputError, Problem

Layers = dict[str, dict[str, Tensor]]
"""Keras layer name -> torch parameter name (weight, bias, running_mean, running_var) -> values."""

Kind = Literal["keras", "torchvision", "safetensors"]

CLASSIFIER = frozenset({"fc1", "fc2", "predictions", "probs", "conv_preds", "fc1000", "classifier"})
"""Layers behind the last convolution in the official files: read over."""

LARGEST_WEIGHT_BYTES = 64 * 2**20
"""Over five times the largest convolution we have; a file that claims more is not read into memory."""

PARAMETERS = {1: ("weight",), 2: ("weight", "bias"), 4: ("weight", "bias", "running_mean", "running_var")}
"""What a Keras layer stores, in its order, by how many arrays it has."""


def load_backbone(name: str, path: Path) -> Backbone:
    """Build the backbone `name` (a key of BACKBONES) with the weights of a file.

    Reads Keras's .h5 (with or without the classifier, which is left out), torchvision's .pth and .safetensors written
    by `save_state`; which it is, is seen from the content. Raises InputError that lists all missing, surplus and
    misshapen layers and names the network the file seems to hold.
    """
    style, layers = _read_layers(path)
    backbone = BACKBONES[name]()
    if problem := _mismatch(backbone, layers, path) or _not_finite(layers, path):
        raise InputError(problem)
    for layer in _by_layer(backbone.state_dict()):
        backbone.get_submodule(layer).load_state_dict(layers[layer], strict=False)
    set_style(backbone, style)
    return backbone


def _read_layers(path: Path) -> tuple[Style, Layers]:
    kind = _kind(path)
    with _readable(path):
        if kind == "keras":
            return "keras", _read_keras(path)
        if kind == "torchvision":
            return "torchvision", _read_torchvision(path)
        state, metadata = _read_safetensors(path)
        return "torchvision" if metadata.get("style") == "torchvision" else "keras", _by_layer(state)


def _kind(path: Path) -> Kind:
    """The format, from the first bytes: names of downloaded files are often wrong."""
    try:
        with path.open("rb") as file:
            start = file.read(16)
    except OSError as error:
        raise InputError(_unreadable(path, error.strerror or "nothing")) from error
    if start.startswith(b"\x89HDF\r\n\x1a\n"):
        return "keras"
    if start.startswith((b"PK\x03\x04", b"\x80\x02")):
        return "torchvision"
    if start[8:9] == b"{":
        return "safetensors"
    raise InputError(_unreadable(path, "a web page" if start.lstrip()[:1] == b"<" else "none of these formats"))


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Turn whatever a reader raises on a damaged or hostile file, which may be anything, into one clear problem."""
    try:
        yield
    except Exception as error:
        raise InputError(_unreadable(path, "a damaged file, or more than weights in it")) from error


def _unreadable(path: Path, found: str) -> Problem:
    expected = "Keras's .h5, torchvision's .pth or .safetensors"
    remedy = "It may be the wrong file, damaged or cut short: download it again."
    return Problem(str(path), "not a readable weight file", found, expected, remedy)


def _read_keras(path: Path) -> Layers:
    layers: Layers = {}
    with h5py.File(path, "r") as file:
        root = file.get("model_weights", file)
        assert isinstance(root, h5py.Group)
        for name, group in root.items():
            if isinstance(group, h5py.Group) and name not in CLASSIFIER:
                values = dict(_keras_layer(group))
                layers |= {name: values} if values else {}
    return layers


def _keras_layer(group: h5py.Group) -> Iterator[tuple[str, Tensor]]:
    """The arrays of a layer under torch's names; Keras tells them apart by their order, the spelling has changed."""
    names = [os.fsdecode(name) for name in np.asarray(group.attrs.get("weight_names", ())).tolist()]
    for key, name in zip(PARAMETERS.get(len(names), names), names, strict=True):
        dataset = group[name]
        if isinstance(dataset, h5py.Dataset) and dataset.nbytes <= LARGEST_WEIGHT_BYTES:
            values = np.asarray(dataset, dtype=np.float32)
            if values.ndim == 4:
                # (height, width, in, out); depthwise (height, width, in, 1), where torch wants (in, 1, height, width).
                values = values.transpose((2, 3, 0, 1) if "depthwise" in name else (3, 2, 0, 1))
            yield key, torch.from_numpy(np.ascontiguousarray(values))


def _read_torchvision(path: Path) -> Layers:
    state = torch.load(path, map_location="cpu", weights_only=True)
    renamed = {_keras_name(key): value for key, value in state.items() if not key.startswith(("fc.", "classifier."))}
    layers = _by_layer(renamed)
    for values in layers.values():
        # Keras's ResNet50 has a bias in its convolutions; torchvision's has none, which is a bias of zero.
        if set(values) == {"weight"}:
            values["bias"] = torch.zeros(values["weight"].shape[0])
    return layers


VGG_BLOCKS = {1: (0, 2), 2: (5, 7), 3: (10, 12, 14), 4: (17, 19, 21), 5: (24, 26, 28)}
VGG_CONVOLUTIONS = {
    str(place): f"block{block}_conv{index}"
    for block, places in VGG_BLOCKS.items()
    for index, place in enumerate(places, start=1)
}
"""torchvision counts the layers of VGG16, activations and pools included."""


def _keras_name(key: str) -> str:
    """A key of torchvision's VGG16 or ResNet50 with the layer named as Keras has it."""
    if match := re.fullmatch(r"features\.(\d+)\.(\w+)", key):
        return f"{VGG_CONVOLUTIONS.get(match[1], key)}.{match[2]}"
    if match := re.fullmatch(r"(conv|bn)1\.(\w+)", key):
        return f"conv1_{match[1]}.{match[2]}"
    if match := re.fullmatch(r"layer(\d)\.(\d+)\.(conv|bn)(\d)\.(\w+)", key):
        return f"conv{int(match[1]) + 1}_block{int(match[2]) + 1}_{match[4]}_{match[3]}.{match[5]}"
    if match := re.fullmatch(r"layer(\d)\.(\d+)\.downsample\.([01])\.(\w+)", key):
        part = ("conv", "bn")[int(match[3])]
        return f"conv{int(match[1]) + 1}_block{int(match[2]) + 1}_0_{part}.{match[4]}"
    return key


def _by_layer(state: Mapping[str, Tensor]) -> Layers:
    layers: Layers = {}
    for key, value in state.items():
        layer, _, parameter = key.rpartition(".")
        if parameter != "num_batches_tracked":
            layers.setdefault(layer, {})[parameter] = value.float()
    return layers


def _shapes(layers: Layers) -> dict[str, dict[str, tuple[int, ...]]]:
    return {name: {key: tuple(value.shape) for key, value in values.items()} for name, values in layers.items()}


def _mismatch(backbone: Backbone, layers: Layers, path: Path) -> Problem | None:
    """What the file lacks, has too much or in another shape; None where it is this network's file."""
    wanted, found = _shapes(_by_layer(backbone.state_dict())), _shapes(layers)
    if found == wanted:
        return None
    seems, likeness = _seems(found)
    missing = [name for name in wanted if name not in found]
    shapes = [
        f"{name} {_sizes(found[name])} instead of {_sizes(wanted[name])}"
        for name in wanted
        if name in found and found[name] != wanted[name]
    ]
    truncation = likeness == 1 and backbone.name.startswith(f"{seems}-")
    surplus = [] if truncation else [name for name in found if name not in wanted]
    lists = (("without", missing, 20), ("misshapen:", shapes, 6), ("with unknown layers", surplus, 6))
    differences = "; ".join(f"{word} {_shortened(names, most)}" for word, names, most in lists if names)
    if not differences:
        return None
    what, expected = f"the weights do not fit {backbone.name}", f"its {len(wanted)} layers with weights"
    return Problem(str(path), what, differences, expected, _advice(seems, likeness))


def _seems(found: Mapping[str, Mapping[str, tuple[int, ...]]]) -> tuple[str, float]:
    """The backbone most like the file, and the share of all their layers that are the same in both (1: all)."""
    likeness: dict[str, float] = {}
    for name, build in BACKBONES.items():
        with torch.device("meta"):
            wanted = _shapes(_by_layer(build().state_dict()))
        same = sum(found.get(layer) == shapes for layer, shapes in wanted.items())
        likeness[name] = same / len(wanted.keys() | found.keys())
    return max(likeness.items(), key=lambda item: item[1])


def _advice(seems: str, likeness: float) -> str:
    if likeness == 1:
        return f"This is a file of {seems}: use it for that backbone."
    if likeness > 0.5:
        return f"It is like a file of {seems}, but incomplete or of a variant: download that backbone's own."
    return "It is of a network that is not offered here."


def _sizes(values: Mapping[str, tuple[int, ...]]) -> str:
    return " ".join("x".join(map(str, shape)) for shape in values.values())


def _shortened(names: list[str], most: int) -> str:
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + rest


def _not_finite(layers: Layers, path: Path) -> Problem | None:
    broken = [name for name, values in layers.items() if not all(value.isfinite().all() for value in values.values())]
    what, found = "some weights are not numbers", _shortened(broken, 20)
    return Problem(str(path), what, found, "finite numbers", "Download the file again.") if broken else None


def backbone_metadata(backbone: Backbone) -> dict[str, str]:
    """What `load_backbone` must know beside the numbers, for `save_state`."""
    return {"backbone": backbone.name, "style": backbone.style}


def save_state(path: Path, state: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write weights and what is to be known about them as .safetensors, the whole file or none.

    Raises InputError where the file cannot be written (disk full, no permission).
    """
    tensors = {key: value.detach().cpu().contiguous() for key, value in state.items()}
    try:
        with _whole_file(path) as part:
            save_file(tensors, part, dict(metadata))
    except (OSError, SafetensorError) as error:
        what, found = "the weights cannot be written", getattr(error, "strerror", None) or str(error)
        raise InputError(Problem(str(path), what, found, remedy="Free some space there.")) from error


def load_state(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read what `save_state` wrote: weights and metadata. Raises InputError on any other file."""
    if (kind := _kind(path)) != "safetensors":
        raise InputError(_unreadable(path, f"a file of {kind}"))
    with _readable(path):
        return _read_safetensors(path)


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    with safe_open(path, framework="pt") as file:
        # Cloned, for a tensor that still maps the file would keep Windows from replacing it.
        names = file.keys()
        return {name: file.get_tensor(name).clone() for name in names}, file.metadata() or {}


@contextmanager
def _whole_file(path: Path) -> Iterator[Path]:
    """Where to write a file that appears at `path` once it is written completely and not at all otherwise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        yield part
        with part.open("rb+") as written:
            os.fsync(written.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class OfficialFile:
    """A file of ImageNet weights as its authors publish it."""

    name: str
    url: str
    algorithm: str
    digest: str | None
    """Hexadecimal; None where the authors publish none: then only the layers are checked, on loading."""
    backbones: tuple[str, ...]
    """The backbones that can be loaded from it."""


KERAS_URL = "https://storage.googleapis.com/tensorflow/keras-applications"
KERAS_NAME = "weights_tf_dim_ordering_tf_kernels_notop.h5"
TORCHVISION_URL = "https://download.pytorch.org/models"
RESNETS = ("resnet50", "resnet50-conv4")


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


CHUNK_BYTES, TIMEOUT_SECONDS = 2**18, 30


def fetch(file: OfficialFile, cache: Path, progress: Callable[[int, int | None], None], url: str | None = None) -> Path:
    """Download an official weight file into the cache, unless it is there, and return its path.

    `progress` is called with the bytes so far and in all (None: unknown); `url` is another place to load from.
    Raises InputError that says how to do it by hand: offline, not found, cut short, not the published file, disk full.
    """
    target, source = cache / file.name, url or file.url
    if target.is_file() and _digest_fits(file, target):
        return target
    try:
        with _whole_file(target) as part:
            with part.open("wb") as received:
                _download(source, received, progress)
            if not _digest_fits(file, part):
                raise OSError(None, f"another file than the published one ({file.algorithm} differs)")
            _kind(part)
    except (OSError, http.client.HTTPException, ValueError, InputError) as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()
        raise InputError(_by_hand(file, target, error)) from error
    return target


def _download(url: str, part: IO[bytes], progress: Callable[[int, int | None], None]) -> None:
    request = urllib.request.Request(url, headers={"User-Agent": "rarelesion"})
    with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:
        size = answer.headers.get("Content-Length")
        total, done = int(size) if size else None, 0
        while chunk := answer.read(CHUNK_BYTES):
            part.write(chunk)
            done += len(chunk)
            progress(done, total)
    if total is not None and done != total:
        raise OSError(None, f"only {done} of {total} bytes")


def _digest_fits(file: OfficialFile, path: Path) -> bool:
    if file.digest is None:
        return True
    with path.open("rb") as content:
        return hashlib.file_digest(content, file.algorithm).hexdigest() == file.digest


def _by_hand(file: OfficialFile, target: Path, error: Exception) -> Problem:
    reason = getattr(error, "strerror", None) or str(getattr(error, "reason", error))
    found = error.problems[0].found if isinstance(error, InputError) else reason
    remedy = f"Download {file.url} by hand, on another computer if need be, and save it as {target}"
    return Problem(file.name, "the weight file could not be downloaded", found, remedy=remedy)
