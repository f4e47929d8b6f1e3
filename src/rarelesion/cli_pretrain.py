"""The command `rarelesion pretrain`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from rarelesion.console import ConsoleProgress, guarded
from rarelesion.errors import InputError, Problem


def pretrain(
    backbone: Annotated[str, typer.Argument(metavar="BACKBONE", help="vgg16, mobilenet, resnet50 …")],
    out: Annotated[Path, typer.Option("--out", help="The .safetensors file to make; a card is written beside it.")],
    method: Annotated[
        Literal["distil", "formula", "domain"],
        typer.Option(help="distil: from a teacher; formula: from drawn classes; domain: from your own images."),
    ] = "distil",
    teacher: Annotated[list[str] | None, typer.Option(help="BACKBONE=FILE of a teacher's weights; repeat.")] = None,
    licence: Annotated[list[str] | None, typer.Option(help="BACKBONE=TEXT: a teacher's licence, for the card.")] = None,
    start: Annotated[Path | None, typer.Option(help="Weights to begin with; default: random.")] = None,
    images: Annotated[
        Path | None, typer.Option(help="Folder of your pictures, or a cohort.csv, whose labels are not looked at.")
    ] = None,
    minutes: Annotated[
        float | None, typer.Option(min=0.01, help="How long to learn; the schedule is made to fit.")
    ] = None,
    pictures: Annotated[
        int | None, typer.Option(min=1, help="How many crops to learn from: same seed, same weights.")
    ] = None,
    side: Annotated[str, typer.Option(help="Pixels of the crops, at first and towards the end.")] = "64,96",
    probe: Annotated[
        Path | None, typer.Option(help="Folder of photographs, one subfolder a class, to see what was learnt.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Same seed, same pictures.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
) -> None:
    """Make starting weights for a backbone, offline: from a teacher, from formulas, or from your own images.

    Can be stopped with Ctrl-C; the same command goes on where it stopped.

    Example: `rarelesion pretrain vgg16 --teacher resnet50-conv4=resnet50.h5 --minutes 30 --out vgg16.safetensors`
    """
    from rarelesion.teaching import Request, run_pretraining

    with guarded(), ConsoleProgress() as progress:
        request = Request(
            backbone=backbone,
            method=method,
            out=out,
            teachers={name: Path(file) for name, file in _pairs("--teacher", teacher).items()},
            licences=_pairs("--licence", licence),
            start=start,
            images=images,
            probe=probe,
            pictures=pictures,
            minutes=minutes,
            sides_px=_sides(side),
            seed=seed,
            device=device,
        )
        learnt, probes = run_pretraining(request, progress)
    print(f"{out}: {learnt.seen} crops in {learnt.seconds:.0f} s, loss {learnt.loss:.3f}")
    for name, found in probes.items():
        print(f"{name}: nearest {found.nearest:.1%}, linear {found.linear:.1%}, chance {found.chance:.1%}")


def _pairs(option: str, words: list[str] | None) -> dict[str, str]:
    pairs = [word.partition("=") for word in words or []]
    wrong = ["".join(pair) for pair in pairs if not (pair[0] and pair[2])]
    if wrong:
        raise InputError(Problem(option, "cannot be followed", ", ".join(wrong), "BACKBONE=…"))
    return {name: value for name, _, value in pairs}


def _sides(text: str) -> tuple[int, int]:
    try:
        numbers = [int(word) for word in text.split(",")]
        if not 1 <= len(numbers) <= 2 or not all(32 <= number <= 160 for number in numbers):
            raise ValueError
    except ValueError:
        raise InputError(Problem("--side", "cannot be followed", text, "one or two numbers in 32..160")) from None
    return numbers[0], numbers[-1]
