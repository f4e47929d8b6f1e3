"""Making a weight file from a request: every method, resumed, refused where it cannot be, and told on the card."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from rarelesion import learning, teaching
from rarelesion.backbones import BACKBONES
from rarelesion.errors import InputError
from rarelesion.layers import BatchNorm
from rarelesion.store import file_sha256
from rarelesion.teaching import Request, command, run_pretraining
from rarelesion.weights import backbone_metadata, load_backbone, save_state


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(teaching, "FEWEST_PAGES", 8)
    monkeypatch.setattr(teaching, "PROBES_A_KIND", 4)
    monkeypatch.setattr(learning, "STATISTICS_PICTURES", 32)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def request_(tmp_path):
    return Request(
        backbone="tiny",
        method="formula",
        out=tmp_path / "out" / "tiny.safetensors",
        teachers={},
        licences={},
        start=None,
        images=None,
        probe=None,
        pictures=64,
        minutes=None,
        sides_px=(32, 48),
        seed=0,
        device="cpu",
    )


def silent(*_):
    pass


def photographs(folder: Path, classes: int = 1) -> Path:
    rng = np.random.default_rng(0)
    for label in range(classes):
        for number in range(4):
            path = folder / f"class{label}" / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            pixels = rng.integers(0, 255, (50, 60, 3)) // (1 + 3 * label)
            sitk.WriteImage(sitk.GetImageFromArray(pixels.astype(np.uint8), isVector=True), str(path))
    return folder


def test_a_formula_is_learnt_into_a_small_file_that_loads_and_a_card(request_):
    learnt, probes = run_pretraining(request_, silent)
    assert learnt.seen == 64
    backbone = load_backbone("tiny", request_.out)
    assert backbone.get_submodule("conv1").weight.dtype == torch.float32
    assert request_.out.stat().st_size < 40_000
    card = request_.out.with_suffix(".md").read_text(encoding="utf-8")
    assert file_sha256(request_.out) in card
    assert f"`{command(request_)}`" in card
    assert str(request_.out.parent) not in card
    assert list(probes) == ["drawn materials it was not shown"]
    assert sorted(path.name for path in request_.out.parent.iterdir()) == ["tiny.md", "tiny.safetensors"]


def test_a_student_learns_from_a_teacher_and_from_the_users_pictures(request_, tmp_path):
    run_pretraining(request_, silent)
    asked = replace(
        request_,
        method="distil",
        out=tmp_path / "student.safetensors",
        teachers={"tiny": request_.out},
        licences={"tiny": "Apache-2.0"},
        images=photographs(tmp_path / "pictures"),
        probe=photographs(tmp_path / "probe", classes=2),
        pictures=32,
    )
    _, probes = run_pretraining(asked, silent)
    card = asked.out.with_suffix(".md").read_text(encoding="utf-8")
    assert f"tiny, tiny.safetensors, sha256 {file_sha256(request_.out)}, licence Apache-2.0" in card
    assert "half pieces of 4 pictures of a folder" in card
    assert probes["photographs in probe"].chance == 0.5
    assert str(tmp_path) not in card


def test_the_domain_is_learnt_from_a_cohort_without_its_labels(request_, tmp_path, small_cohort):
    start = tmp_path / "start.safetensors"
    run_pretraining(replace(request_, out=start, pictures=16), silent)
    asked = replace(request_, method="domain", start=start, images=small_cohort, pictures=64)
    learnt, probes = run_pretraining(asked, silent)
    assert learnt.seen == 64
    card = asked.out.with_suffix(".md").read_text(encoding="utf-8")
    assert "its labels unused" in card
    assert "Test it on cases whose pictures it has not seen." in card
    assert list(probes) == ["drawn materials it was not shown", "drawn materials it was not shown, by the start"]
    before, after = (load_backbone("tiny", path).state_dict() for path in (start, asked.out))
    assert not torch.equal(before["conv1.weight"], after["conv1.weight"])


def test_learning_in_the_domain_goes_on_from_what_the_start_computes(request_, tmp_path, small_cohort):
    start = tmp_path / "start.safetensors"
    run_pretraining(replace(request_, out=start, pictures=256), silent)
    folded = load_backbone("tiny", start)
    for norm in folded.modules():
        if isinstance(norm, BatchNorm):
            assert norm.running_mean is not None
            assert norm.running_var is not None
            scale = norm.weight.data / (norm.running_var + norm.eps).sqrt()
            norm.bias.data -= norm.running_mean * scale
            norm.weight.data = scale * (1 + norm.eps) ** 0.5
            norm.running_mean, norm.running_var = torch.zeros_like(scale), torch.ones_like(scale)
    save_state(start, folded.state_dict(), backbone_metadata(folded))
    asked = replace(request_, method="domain", start=start, images=small_cohort, pictures=1)
    run_pretraining(asked, silent)
    pixels = np.random.default_rng(0).random((16, 3, 32, 32), np.float32)
    before, after = (learning.describe(load_backbone("tiny", path), pixels) for path in (start, asked.out))
    assert np.corrcoef(before.ravel(), after.ravel())[0, 1] > 0.9


@pytest.fixture
def small_cohort(tmp_path):
    rows = ["case_id,image_T1,box_T1"]
    for number in range(3):
        path = tmp_path / f"{number}.png"
        pixels = np.random.default_rng(number).integers(0, 255, (40, 40)).astype(np.uint8)
        sitk.WriteImage(sitk.GetImageFromArray(pixels), str(path))
        rows.append(f"c{number},{path.name},5 5 30 30")
    (tmp_path / "cohort.csv").write_text("\n".join(rows), encoding="utf-8")
    return tmp_path / "cohort.csv"


class Stopped(Exception):
    """As if by Ctrl-C."""


def test_stopped_it_goes_on_with_the_same_command_to_the_same_weights(request_, tmp_path, monkeypatch):
    monkeypatch.setattr(teaching, "KEPT_EVERY_SECONDS", 0.0)
    run_pretraining(request_, silent)
    expected = load_backbone("tiny", request_.out).state_dict()
    again = replace(request_, out=tmp_path / "again" / "tiny.safetensors")
    told = []

    def stop(stage, detail, done, total):
        if stage.startswith("Teaching"):
            told.append(detail)
            if len(told) == 3:
                raise Stopped

    with pytest.raises(Stopped):
        run_pretraining(again, stop)
    assert again.out.with_suffix(".checkpoint.safetensors").exists()
    run_pretraining(again, stop)
    assert [detail.split()[0] for detail in told] == ["16", "32", "48", "48", "64"]
    found = load_backbone("tiny", again.out).state_dict()
    assert all(torch.equal(value, found[name]) for name, value in expected.items())
    assert not again.out.with_suffix(".checkpoint.safetensors").exists()


def test_a_checkpoint_of_another_request_is_passed_over(request_, monkeypatch):
    path = request_.out.with_suffix(".checkpoint.safetensors")
    save_state(path, {"lesson.x": torch.zeros(1)}, {"identity": "other", "seen": "48", "seconds": "1", "loss": "0"})
    learnt, _ = run_pretraining(request_, silent)
    assert learnt.seen == 64


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"backbone": "vgg17"}, "BACKBONE: there is no such backbone"),
        ({"method": "magic"}, "--method: there is no such method"),
        ({"method": "distil"}, "--teacher: distillation needs a teacher"),
        ({"teachers": {"tiny": Path("x")}}, "--teacher: only distillation has teachers"),
        ({"method": "domain"}, "--images: learning in the domain needs pictures"),
        ({"images": Path("x")}, "--images: a formula needs no pictures"),
        ({"pictures": None}, "for how long"),
        ({"out": Path("weights.h5")}, "--out: is not a .safetensors file"),
        ({"start": Path("nowhere.h5")}, "nowhere.h5: not a readable weight file"),
        ({"probe": Path("nowhere")}, "nowhere: holds no classes of photographs"),
        ({"method": "domain", "images": Path("nowhere")}, "--images: no photographs"),
        ({"licences": {"vgg16": "MIT"}}, "--licence: is of no teacher"),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_is_learnt(request_, change, words):
    with pytest.raises(InputError, match=words):
        run_pretraining(replace(request_, **change), silent)
    assert not request_.out.exists()


def test_minutes_that_the_preparation_took_up_leave_no_file(request_):
    with pytest.raises(InputError, match="--minutes: were over before the first picture was shown"):
        run_pretraining(replace(request_, pictures=None, minutes=1e-6), silent)
    assert not request_.out.exists()


def test_what_is_there_is_not_overwritten_and_a_folder_that_cannot_be_is_known_at_once(request_, tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(InputError, match="cannot be written"):
        run_pretraining(replace(request_, out=tmp_path / "file" / "tiny.safetensors"), silent)
    taken = tmp_path / "taken.safetensors"
    taken.write_text("mine", encoding="utf-8")
    with pytest.raises(InputError, match="is there already"):
        run_pretraining(replace(request_, out=taken), silent)
    assert taken.read_text(encoding="utf-8") == "mine"


def test_a_teacher_of_another_backbone_is_named(request_, tmp_path):
    with torch.random.fork_rng():
        backbone = BACKBONES["tiny"]()
    path = tmp_path / "tiny.safetensors"
    save_state(path, backbone.state_dict(), backbone_metadata(backbone))
    with pytest.raises(InputError, match="the weights do not fit mobilenet"):
        run_pretraining(replace(request_, method="distil", teachers={"mobilenet": path}), silent)
