"""How weight files are laid out: Keras's .h5, torchvision's .pth and our own .safetensors, all read into one form.

Nothing here runs code from a file: no pickle is read but through torch's restricted loader.
"""

import os
import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import h5py
import numpy as np
import torch
from safetensors import safe_open
from torch import Tensor

from rarelesion.errors import InputError, Problem
from rarelesion.layers import Style

Layers = dict[str, dict[str, Tensor]]
"""Keras layer name -> torch parameter name (weight, bias, running_mean, running_var) -> values in float32."""

Kind = Literal["keras", "torchvision", "safetensors"]

CLASSIFIER = frozenset({"fc1", "fc2", "predictions", "probs", "conv_preds", "fc1000", "classifier"})
"""Layers behind the last convolution in the official files: read over."""

LARGEST_WEIGHT_BYTES = 64 * 2**20
"""Over five times the largest convolution we have; a file that claims more is not read into memory."""

PARAMETERS = {1: ("weight",), 2: ("weight", "bias"), 4: ("weight", "bias", "running_mean", "running_var")}
"""What a Keras layer stores, in its order, by how many arrays it has."""


def read_layers(path: Path) -> tuple[Style, Layers]:
    kind = kind_of(path)
    with readable(path):
        if kind == "keras":
            return "keras", _read_keras(path)
        if kind == "torchvision":
            return "torchvision", _read_torchvision(path)
        state, metadata = read_safetensors(path)
        return "torchvision" if metadata.get("style") == "torchvision" else "keras", by_layer(state)


def kind_of(path: Path) -> Kind:
    """The format, from the first bytes: names of downloaded files are often wrong."""
    try:
        with path.open("rb") as file:
            start = file.read(16)
    except OSError as error:
        raise InputError(unreadable(path, error.strerror or "nothing")) from error
    if start.startswith(b"\x89HDF\r\n\x1a\n"):
        return "keras"
    if start.startswith((b"PK\x03\x04", b"\x80\x02")):
        return "torchvision"
    if start[8:9] == b"{":
        return "safetensors"
    raise InputError(unreadable(path, "a web page" if start.lstrip()[:1] == b"<" else "none of these formats"))


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn whatever a reader raises on a damaged or hostile file, which may be anything, into one clear problem."""
    try:
        yield
    except Exception as error:
        raise InputError(unreadable(path, "a damaged file, or more than weights in it")) from error


def unreadable(path: Path, found: str) -> Problem:
    expected = "Keras's .h5, torchvision's .pth or .safetensors"
    remedy = "It may be the wrong file, damaged or cut short: download it again."
    return Problem(str(path), "not a readable weight file", found, expected, remedy)


def _read_keras(path: Path) -> Layers:
    layers: Layers = {}
    with h5py.File(path, "r") as file:
        root = file.get("model_weights", file)
        assert isinstance(root, h5py.Group)
        for name, group in _keras_groups(root):
            if name not in CLASSIFIER:
                values = dict(_keras_layer(group))
                layers |= {name: values} if values else {}
    return layers


def _keras_groups(root: h5py.Group) -> Iterator[tuple[str, h5py.Group]]:
    """Every layer's name and group; conv1_conv of DenseNet169 was called conv1/conv once, which makes it two groups."""
    for name, group in root.items():
        if isinstance(group, h5py.Group):
            inner = {} if "weight_names" in group.attrs else {f"{name}_{part}": group[part] for part in group}
            yield name, group
            yield from ((layer, part) for layer, part in inner.items() if isinstance(part, h5py.Group))


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
    layers, dense = by_layer(renamed), any("denselayer" in key for key in state)
    for values in layers.values():
        # Keras's ResNet50 has a bias in its convolutions; torchvision's has none, which is a bias of zero.
        if set(values) == {"weight"} and not dense:
            values["bias"] = torch.zeros(values["weight"].shape[0])
    return layers


VGG_BLOCKS = {1: (0, 2), 2: (5, 7), 3: (10, 12, 14), 4: (17, 19, 21), 5: (24, 26, 28)}
VGG_CONVOLUTIONS = {
    str(place): f"block{block}_conv{index}"
    for block, places in VGG_BLOCKS.items()
    for index, place in enumerate(places, start=1)
}
"""torchvision counts the layers of VGG16, activations and pools included."""


def _dense_layer(match: re.Match[str]) -> str:
    # A block's first normalisation comes before its first convolution, and Keras counts them from 0.
    number = int(match[4]) - (match[3] == "norm")
    return f"conv{int(match[1]) + 1}_block{match[2]}_{number}_{PARTS[match[3]]}."


PARTS = {"norm": "bn", "conv": "conv"}
DENSENET_NAMES: tuple[tuple[str, str | Callable[[re.Match[str]], str]], ...] = (
    (r"^features\.(norm|conv)0\.", lambda match: f"conv1_{PARTS[match[1]]}."),
    (r"^features\.norm5\.", "bn."),
    (r"^features\.transition(\d)\.(norm|conv)\.", lambda match: f"pool{int(match[1]) + 1}_{PARTS[match[2]]}."),
    # The published file is older than the code that reads it, and has norm.1 for norm1.
    (r"^features\.denseblock(\d)\.denselayer(\d+)\.(norm|conv)\.?([12])\.", _dense_layer),
)
"""Beginnings of torchvision's keys of DenseNet169, and what Keras calls those layers."""


def _keras_name(key: str) -> str:
    """A key of torchvision's VGG16, ResNet50 or DenseNet169 with the layer named as Keras has it."""
    for pattern, named in DENSENET_NAMES:
        key = re.sub(pattern, named, key)
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


def by_layer(state: Mapping[str, Tensor]) -> Layers:
    layers: Layers = {}
    for key, value in state.items():
        layer, _, parameter = key.rpartition(".")
        if parameter != "num_batches_tracked":
            layers.setdefault(layer, {})[parameter] = value.float()
    return layers


def read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    with safe_open(path, framework="pt") as file:
        # Cloned, for a tensor that still maps the file would keep Windows from replacing it.
        names = file.keys()
        return {name: file.get_tensor(name).clone() for name in names}, file.metadata() or {}


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
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
