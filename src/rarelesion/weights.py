"""Weights on disk: Keras's .h5, torchvision's .pth and our own .safetensors; the official files and their cache.

Nothing here runs code from a file: no pickle is read but through torch's restricted loader, none is written.
"""

import os
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import h5py
import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_safetensors
from torch import Tensor

from rarelesion.backbones import BACKBONES, Backbone, Style, set_style
from rarelesion.errors import InputError, Problem

Layers = dict[str, dict[str, Tensor]]
"""Keras layer name -> torch parameter name (weight, bias, running_mean, running_var) -> values."""

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
    kind, layers = _read_layers(path)
    backbone = BACKBONES[name]()
    problem = _mismatch(backbone, layers, path) or _not_finite(layers, path)
    if problem:
        raise InputError(problem)
    state = {f"{layer}.{key}": value for layer, values in layers.items() for key, value in values.items()}
    backbone.load_state_dict({key: state.get(key, value) for key, value in backbone.state_dict().items()})
    set_style(backbone, kind)
    return backbone


def _read_layers(path: Path) -> tuple[Style, Layers]:
    if not path.is_file():
        raise InputError(Problem(str(path), "there is no such weight file", remedy="Check the path."))
    kind = _kind(path)
    try:
        if kind == "keras":
            return "keras", _read_keras(path)
        if kind == "torchvision":
            return "torchvision", _read_torchvision(path)
        state, metadata = _read_safetensors(path)
        return ("torchvision" if metadata.get("style") == "torchvision" else "keras"), _by_layer(state)
    # A damaged or hostile file makes the three readers raise almost anything; to the user all of it is one thing.
    except Exception as error:
        raise InputError(_unreadable(path, f"{type(error).__name__}")) from error


def _kind(path: Path) -> str:
    with path.open("rb") as file:
        start = file.read(16)
    if start.startswith(b"\x89HDF\r\n\x1a\n"):
        return "keras"
    if start.startswith((b"PK\x03\x04", b"\x80\x02")):
        return "torchvision"
    if start[8:9] == b"{":
        return "safetensors"
    raise InputError(_unreadable(path, "a web page" if start.lstrip()[:1] == b"<" else "none of these formats"))


def _unreadable(path: Path, found: str) -> Problem:
    return Problem(
        str(path),
        "not a readable weight file",
        found,
        "Keras's .h5, torchvision's .pth or .safetensors",
        "It may be damaged or cut short: download it again.",
    )


def _read_keras(path: Path) -> Layers:
    layers: Layers = {}
    with h5py.File(path, "r") as file:
        root = file.get("model_weights", file)
        for layer in root:
            if layer not in CLASSIFIER:
                values = dict(_keras_layer(root[layer]))
                layers |= {layer: values} if values else {}
    return layers


def _keras_layer(group: h5py.Group) -> Iterator[tuple[str, Tensor]]:
    """The arrays of a layer under torch's names; Keras tells them apart by their order, the spelling has changed."""
    names = [name.decode() if isinstance(name, bytes) else str(name) for name in group.attrs.get("weight_names", ())]
    for key, name in zip(PARAMETERS.get(len(names), names), names, strict=True):
        dataset = group[name]
        if dataset.nbytes <= LARGEST_WEIGHT_BYTES:
            values = np.asarray(dataset, dtype=np.float32)
            if values.ndim == 4:
                # (height, width, in, out); depthwise (height, width, in, 1), where torch wants (in, 1, height, width).
                values = values.transpose((2, 3, 0, 1) if "depthwise" in name else (3, 2, 0, 1))
            yield key, torch.from_numpy(np.ascontiguousarray(values))


def _read_torchvision(path: Path) -> Layers:
    state = torch.load(path, map_location="cpu", weights_only=True)
    renamed = {_keras_name(key): value for key, value in state.items() if not key.startswith(("fc.", "classifier."))}
    layers = _by_layer({key: value for key, value in renamed.items() if not key.endswith("num_batches_tracked")})
    for values in layers.values():
        # Keras's ResNet50 has a bias in its convolutions; torchvision's has none, which is a bias of zero.
        if set(values) == {"weight"}:
            values["bias"] = torch.zeros(values["weight"].shape[0])
    return layers


VGG_CONVOLUTIONS = dict(
    zip(
        ("0", "2", "5", "7", "10", "12", "14", "17", "19", "21", "24", "26", "28"),
        [
            f"block{block}_conv{index}"
            for block, count in enumerate((2, 2, 3, 3, 3), 1)
            for index in range(1, count + 1)
        ],
        strict=True,
    )
)
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
    seems = _seems(found)
    missing = [name for name in wanted if name not in found]
    shapes = [
        f"{name} {_sizes(found[name])} instead of {_sizes(wanted[name])}"
        for name in wanted
        if name in found and found[name] != wanted[name]
    ]
    truncation = seems is not None and backbone.name.startswith(f"{seems}-")
    surplus = [] if truncation else [name for name in found if name not in wanted]
    if not missing and not shapes and not surplus:
        return None
    lists = (("without", missing), ("misshapen:", shapes), ("with unknown layers", surplus))
    return Problem(
        str(path),
        f"the weights do not fit {backbone.name}",
        "; ".join(f"{word} {_shortened(names)}" for word, names in lists if names),
        f"the {len(wanted)} layers with weights of {backbone.name}",
        f"This is a file of {seems}: use it for that backbone." if seems else "No backbone here has these layers.",
    )


def _seems(found: Mapping[str, Mapping[str, tuple[int, ...]]]) -> str | None:
    """The backbone of which the file has every layer and no more, else None."""
    for name, build in BACKBONES.items():
        with torch.device("meta"):
            wanted = _shapes(_by_layer(build().state_dict()))
        if wanted == found:
            return name
    return None


def _sizes(values: Mapping[str, tuple[int, ...]]) -> str:
    return " ".join("x".join(map(str, shape)) for shape in values.values())


def _shortened(names: list[str], most: int = 12) -> str:
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + rest


def _not_finite(layers: Layers, path: Path) -> Problem | None:
    broken = [name for name, values in layers.items() if not all(value.isfinite().all() for value in values.values())]
    if not broken:
        return None
    return Problem(
        str(path), "weights that are no numbers", _shortened(broken), "finite weights", "Download the file again."
    )
