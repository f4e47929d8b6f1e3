"""The command `rarelesion pretrain`: what it hands on, what it prints, and what it refuses."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from rarelesion import teaching
from rarelesion.cli import app
from rarelesion.learning import Learnt
from rarelesion.probe import Probe


@pytest.fixture
def asked(monkeypatch):
    requests = []

    def run(request, on_progress):
        requests.append(request)
        on_progress("Teaching", "", 1, 1)
        return Learnt(640, 12.3, 0.4567), {"drawn materials": Probe(0.5, 0.75, 0.0625, 32)}

    monkeypatch.setattr(teaching, "run_pretraining", run)
    return requests


def test_the_options_reach_the_request_and_the_result_is_printed(asked):
    words = "pretrain vgg16 --teacher resnet50-conv4=r.h5 --licence resnet50-conv4=MIT --minutes 30 --out w.safetensors"
    done = CliRunner().invoke(app, words.split())
    assert done.exit_code == 0
    request = asked[0]
    assert (request.backbone, request.method, request.out) == ("vgg16", "distil", Path("w.safetensors"))
    assert request.teachers == {"resnet50-conv4": Path("r.h5")}
    assert request.licences == {"resnet50-conv4": "MIT"}
    assert (request.minutes, request.pictures, request.sides_px) == (30.0, None, (64, 96))
    assert "w.safetensors: 640 crops in 12 s, loss 0.457" in done.stdout
    assert "drawn materials: nearest 50.0%, linear 75.0%, chance 6.2%" in done.stdout


def test_one_side_is_both(asked):
    CliRunner().invoke(app, ["pretrain", "tiny", "--pictures", "64", "--side", "48", "--out", "w.safetensors"])
    assert asked[0].sides_px == (48, 48)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--teacher resnet50.h5", "--teacher: cannot be followed; found resnet50.h5"),
        ("--licence MIT", "--licence: cannot be followed"),
        ("--side 10", "--side: cannot be followed; found 10"),
        ("--side 64,96,100", "--side: cannot be followed"),
        ("--minutes 0", "--minutes"),
        ("--pictures 0", "--pictures"),
    ],
)
def test_what_cannot_be_followed_is_said(asked, words, message):
    done = CliRunner().invoke(app, ["pretrain", "tiny", "--out", "w.safetensors", *words.split()])
    assert done.exit_code == 2
    assert message in done.output
    assert asked == []
