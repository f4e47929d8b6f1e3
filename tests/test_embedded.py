"""The weight files that come with the package: that they are packed, small, readable, and what their cards say."""

import hashlib
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from rarelesion import weights
from rarelesion.backbones import BACKBONES
from rarelesion.weights import EMBEDDED, backbone_metadata, embedded_card, embedded_file, load_backbone, save_state

MOST_BYTES = 90_000_000
HERE = sorted(EMBEDDED.glob("*.safetensors"))
ROOT = Path(__file__).parents[1]


def card_problems(path: Path) -> list[str]:
    """What is wrong with a packed file and its card, in words."""
    card = embedded_card(path.stem)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    with safe_open(path, framework="pt") as file:
        wide = [name for name in file.keys() if file.get_tensor(name).dtype not in (torch.float16, torch.int64)]  # noqa: SIM118
        backbone = (file.metadata() or {}).get("backbone")
    problems = [f"{name} is not float16" for name in wide[:1]]
    problems += ["made for another backbone"] * (backbone != path.stem)
    return problems + ["its card does not name its sha256"] * (digest not in card)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package that comes with a file for the smallest backbone."""
    monkeypatch.setattr(weights, "EMBEDDED", tmp_path)
    backbone = BACKBONES["tiny"]()
    state = {key: value.half() if value.is_floating_point() else value for key, value in backbone.state_dict().items()}
    save_state(tmp_path / "tiny.safetensors", state, backbone_metadata(backbone))
    return tmp_path


def test_a_packed_file_is_found_loaded_and_described(folder: Path) -> None:
    path = embedded_file("tiny")
    assert path == folder / "tiny.safetensors"
    assert load_backbone("tiny", path).get_parameter("conv1.weight").dtype == torch.float32
    assert embedded_card("tiny") == ""
    (folder / "tiny.md").write_text(f"# Tiny\n\nsha256 {hashlib.sha256(path.read_bytes()).hexdigest()}\n", "utf-8")
    assert embedded_card("tiny").startswith("# Tiny")
    assert card_problems(path) == []
    assert embedded_file("vgg16") is None
    assert embedded_card("vgg16") == ""


def test_a_part_of_a_network_starts_from_the_whole_one_s_file(folder: Path) -> None:
    whole = BACKBONES["resnet50"]()
    save_state(folder / "resnet50.safetensors", whole.state_dict(), backbone_metadata(whole))
    (folder / "resnet50.md").write_text("# Whole\n", "utf-8")
    path = embedded_file("resnet50-conv4")
    assert path == folder / "resnet50.safetensors"
    assert embedded_card("resnet50-conv4") == "# Whole\n"
    part = load_backbone("resnet50-conv4", path)
    assert torch.equal(
        part.get_parameter("conv4_block6_3_conv.weight"), whole.get_parameter("conv4_block6_3_conv.weight")
    )
    save_state(folder / "resnet50-conv4.safetensors", part.state_dict(), backbone_metadata(part))
    assert embedded_file("resnet50-conv4") == folder / "resnet50-conv4.safetensors"


def test_a_wrong_card_or_wide_numbers_would_be_noticed(folder: Path) -> None:
    (folder / "tiny.md").write_text(f"sha256 {'0' * 64}", "utf-8")
    save_state(folder / "tiny.safetensors", BACKBONES["tiny"]().state_dict(), {"backbone": "mobilenet"})
    assert card_problems(folder / "tiny.safetensors") == [
        "conv1.weight is not float16",
        "made for another backbone",
        "its card does not name its sha256",
    ]


def test_the_wheel_holds_the_files_and_their_cards() -> None:
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]["build"]["targets"]
    assert wheel["wheel"]["packages"] == ["src/rarelesion"]
    for file in ("src/rarelesion/embedded/vgg16.safetensors", "src/rarelesion/embedded/vgg16.md"):
        assert any(fnmatch(file, pattern) for pattern in wheel["wheel"]["artifacts"])


def test_the_packed_files_are_few_enough_bytes() -> None:
    assert sum(path.stat().st_size for path in HERE) <= MOST_BYTES
    assert {path.stem for path in HERE} <= set(BACKBONES)
    assert {path.stem for path in EMBEDDED.glob("*.md")} >= {path.stem for path in HERE}


@pytest.mark.parametrize("path", HERE, ids=lambda path: path.stem)
def test_every_packed_file_loads_and_its_card_names_it(path: Path) -> None:
    assert card_problems(path) == []
    assert load_backbone(path.stem, path).name == path.stem
