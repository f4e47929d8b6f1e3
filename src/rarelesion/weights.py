"""Weights on disk: a backbone from a file of anybody's, our own files, and those that come with the package.

None of them is trusted more than another: the same checks are made of all.
"""

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from rarelesion.backbones import BACKBONES, set_style
from rarelesion.errors import InputError, Problem
from rarelesion.layers import Backbone
from rarelesion.weight_formats import (
    Layers,
    by_layer,
    kind_of,
    read_layers,
    read_safetensors,
    readable,
    unreadable,
    whole_file,
)

EMBEDDED = Path(__file__).with_name("embedded")
"""The folder of the weight files that come with the package, and of their cards."""


def load_backbone(name: str, path: Path) -> Backbone:
    """Build the backbone `name` (a key of BACKBONES) with the weights of a file.

    Reads Keras's .h5 (with or without the classifier, which is left out), torchvision's .pth and .safetensors written
    by `save_state`; which it is, is seen from the content. Raises InputError that lists all missing, surplus and
    misshapen layers and names the network the file seems to hold.
    """
    style, layers = read_layers(path)
    backbone = BACKBONES[name]()
    if problem := _mismatch(backbone, layers, path) or _not_finite(layers, path):
        raise InputError(problem)
    for layer in by_layer(backbone.state_dict()):
        backbone.get_submodule(layer).load_state_dict(layers[layer], strict=False)
    set_style(backbone, style)
    return backbone


def _shapes(layers: Layers) -> dict[str, dict[str, tuple[int, ...]]]:
    return {name: {key: tuple(value.shape) for key, value in values.items()} for name, values in layers.items()}


def _mismatch(backbone: Backbone, layers: Layers, path: Path) -> Problem | None:
    """What the file lacks, has too much or in another shape; None where it is this network's file."""
    wanted, found = _shapes(by_layer(backbone.state_dict())), _shapes(layers)
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
            wanted = _shapes(by_layer(build().state_dict()))
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
        with whole_file(path) as part:
            save_file(tensors, part, dict(metadata))
    except (OSError, SafetensorError) as error:
        what, found = "the weights cannot be written", getattr(error, "strerror", None) or str(error)
        raise InputError(Problem(str(path), what, found, remedy="Free some space there.")) from error


def load_state(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read what `save_state` wrote: weights and metadata. Raises InputError on any other file."""
    if (kind := kind_of(path)) != "safetensors":
        raise InputError(unreadable(path, f"a file of {kind}"))
    with readable(path):
        return read_safetensors(path)


def embedded_file(backbone: str) -> Path | None:
    """The weights of a backbone that come with the package; None where it comes with none for it.

    They were made for it, or for the whole network where it is the first part of one (resnet50-conv4). The card beside
    them says how, from what, and what they know.
    """
    paths = (EMBEDDED / f"{name}.safetensors" for name in (backbone, backbone.partition("-")[0]))
    return next((path for path in paths if path.is_file()), None)


def embedded_card(backbone: str) -> str:
    """The card of `embedded_file` as Markdown; empty where there is none."""
    path = embedded_file(backbone)
    card = None if path is None else path.with_suffix(".md")
    return card.read_text(encoding="utf-8") if card is not None and card.is_file() else ""
