"""How files are laid out: names that have changed, names of torchvision's, and numbers of half the length."""

import re
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from rarelesion.backbones import BACKBONES
from rarelesion.layers import BatchNorm
from rarelesion.weight_formats import read_layers
from rarelesion.weights import backbone_metadata, load_backbone, save_state

KERAS_ORDER = ("weight", "bias", "running_mean", "running_var")


def write_densenet(path: Path, state: dict[str, torch.Tensor]) -> Path:
    """As Keras 2 wrote DenseNet169: its first layers are called conv1/conv and conv1/bn, and lie one group deeper."""
    layers: dict[str, dict[str, np.ndarray]] = {}
    for key, value in state.items():
        layer, _, parameter = key.rpartition(".")
        if parameter in KERAS_ORDER:
            layers.setdefault(layer, {})[parameter] = value.numpy()
    with h5py.File(path, "w") as file:
        for layer, arrays in layers.items():
            name = layer.replace("conv1_", "conv1/") if layer in ("conv1_conv", "conv1_bn") else layer
            group = file.create_group(name)
            listed = [f"{name}/{parameter}:0" for parameter in KERAS_ORDER if parameter in arrays]
            group.attrs["weight_names"] = [text.encode() for text in listed]
            for text in listed:
                values = arrays[text.split("/")[-1].removesuffix(":0")]
                group.create_dataset(text, data=values.transpose(2, 3, 1, 0) if values.ndim == 4 else values)
        file.create_group("conv1/relu").attrs["weight_names"] = np.array([], dtype="S1")
    return path


def torchvision_key(key: str, dotted: bool) -> str:
    """What torchvision calls a parameter of ours."""
    layer, _, parameter = key.rpartition(".")
    if match := re.fullmatch(r"conv(\d)_block(\d+)_([012])_(bn|conv)", layer):
        kind, number = {"0_bn": ("norm", 1), "1_bn": ("norm", 2), "1_conv": ("conv", 1), "2_conv": ("conv", 2)}[
            f"{match[3]}_{match[4]}"
        ]
        dot = "." if dotted else ""
        layer = f"denseblock{int(match[1]) - 1}.denselayer{match[2]}.{kind}{dot}{number}"
    elif match := re.fullmatch(r"pool(\d)_(bn|conv)", layer):
        layer = f"transition{int(match[1]) - 1}.{'norm' if match[2] == 'bn' else 'conv'}"
    else:
        layer = {"conv1_conv": "conv0", "conv1_bn": "norm0", "bn": "norm5"}[layer]
    return f"features.{layer}.{parameter}"


@pytest.fixture(scope="module")
def densenet_state() -> dict[str, torch.Tensor]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        backbone = BACKBONES["densenet169"]()
        for module in backbone.modules():
            if isinstance(module, BatchNorm):
                for values in (module.weight, module.bias, module.running_mean, module.running_var):
                    assert values is not None
                    torch.nn.init.uniform_(values, 0.5, 1.5)
    return {key: value.detach() for key, value in backbone.state_dict().items()}


def test_densenet_s_first_layers_are_found_under_their_old_names(
    densenet_state: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    path = write_densenet(tmp_path / "d.h5", densenet_state)
    with h5py.File(path) as file:
        assert "conv1" in file
        assert "conv1_conv" not in file
    loaded = load_backbone("densenet169", path)
    assert all(torch.equal(value, densenet_state[key]) for key, value in loaded.state_dict().items())
    assert loaded.preprocessing == "torch"


@pytest.mark.parametrize("dotted", [True, False])
def test_densenet_from_torchvision_with_and_without_the_dots_of_its_published_file(
    dotted: bool, densenet_state: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    state = {torchvision_key(key, dotted): value for key, value in densenet_state.items()}
    assert f"features.denseblock4.denselayer32.norm{'.' * dotted}2.running_var" in state
    torch.save({**state, "classifier.weight": torch.zeros(2, 2)}, tmp_path / "d.pth")
    loaded = load_backbone("densenet169", tmp_path / "d.pth")
    assert all(torch.equal(value, densenet_state[key]) for key, value in loaded.state_dict().items())
    assert loaded.style == "torchvision"
    assert {module.eps for module in loaded.modules() if isinstance(module, BatchNorm)} == {1e-5}


def test_numbers_of_half_the_length_are_read_as_whole_ones(tmp_path: Path) -> None:
    backbone = BACKBONES["tiny"]()
    halved = {key: value.half() if value.is_floating_point() else value for key, value in backbone.state_dict().items()}
    save_state(tmp_path / "t.safetensors", halved, backbone_metadata(backbone))
    _, layers = read_layers(tmp_path / "t.safetensors")
    assert {value.dtype for values in layers.values() for value in values.values()} == {torch.float32}
    loaded = load_backbone("tiny", tmp_path / "t.safetensors").state_dict()
    assert loaded["conv3.weight"].dtype == torch.float32
    assert torch.equal(loaded["conv3.weight"], backbone.state_dict()["conv3.weight"].half().float())
