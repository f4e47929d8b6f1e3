"""The commands `rarelesion convert`: cohorts from data of other forms, and patches for other programs."""

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rarelesion.console import ConsoleProgress, guarded

if TYPE_CHECKING:
    from rarelesion.conversion import Converted

app = typer.Typer(
    no_args_is_help=True, help="Make a cohort from a BIDS folder or a MedMNIST archive, or export a cohort's patches."
)

Out = Annotated[Path, typer.Option("--out", help="A new folder.")]
Positive = Annotated[
    list[str] | None, typer.Option("--positive", help="The label that means malignant; repeat for several.")
]
Negative = Annotated[
    list[str] | None,
    typer.Option("--negative", help="The label that means benign; needed where there are more than two."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
MOST_LISTED = 20


@app.command()
def bids(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="The BIDS folder, with participants.tsv.")],
    out: Out,
    label_column: Annotated[str, typer.Option(help="The column of participants.tsv that holds the diagnosis.")],
    positive: Positive = None,
    negative: Negative = None,
    sequence: Annotated[
        list[str] | None, typer.Option(help="T1, T2, FLAIR, PD, after contrast T1C; repeat. Default: what all have.")
    ] = None,
    mask_label: Annotated[str, typer.Option(help="Which mask or label is the lesion, where there are several.")] = "",
    as_json: AsJson = False,
) -> None:
    """Make a cohort from a BIDS folder: labels of participants.tsv, images of anat/, masks of the derivatives.

    Example: `rarelesion convert bids DATA --out cohort --label-column diagnosis --positive cancer --negative adenoma`
    """
    from rarelesion.bids import convert_bids

    with guarded():
        wanted = sequence or (), mask_label
        made = convert_bids(folder, out, label_column, positive or (), negative or (), *wanted)
    _show(made, as_json)


@app.command()
def medmnist(
    archive: Annotated[Path, typer.Argument(metavar="FILE.npz", help="The archive as it was downloaded.")],
    out: Out,
    positive: Positive = None,
    negative: Negative = None,
    sequence: Annotated[str, typer.Option(help="What the pictures are to be called.")] = "view",
    as_json: AsJson = False,
) -> None:
    """Make a cohort from a MedMNIST archive, with its official split. Which label is malignant is never guessed.

    Of BreastMNIST 0 is malignant: `rarelesion convert medmnist breastmnist.npz --positive 0 --out cohort`
    """
    from rarelesion.medmnist import convert_medmnist

    with guarded(), ConsoleProgress() as progress:
        watch = partial(progress, "Writing pictures", "")
        made = convert_medmnist(archive, out, positive or (), negative or (), sequence, watch)
    _show(made, as_json)


@app.command()
def patches(
    cohort: Annotated[Path, typer.Argument(metavar="COHORT", help="cohort.csv or .xlsx, one row a lesion.")],
    out: Out,
    config: Annotated[Path | None, typer.Option("--config", help="study.toml, for how the lesions are cut.")] = None,
) -> None:
    """Export what the networks would see of a cohort: patches.npz with MedMNIST's keys, PNG files and a list of them.

    Example: `rarelesion convert patches cohort.csv --out patches`
    """
    from rarelesion.cohort import read_cohort
    from rarelesion.config import read_settings
    from rarelesion.patch_export import export_patches

    with guarded(), ConsoleProgress() as progress:
        settings = read_settings(config)
        cases = read_cohort(cohort, settings.cohort)
        manifest = export_patches(cases, settings.images, out, partial(progress, "Cutting patches", ""))
    print(f"{len(cases.cases)} cases: {manifest.parent / 'patches.npz'}, {manifest}, {manifest.parent / 'png'}")


def _show(made: "Converted", as_json: bool) -> None:
    if as_json:
        left_out = [{"what": what, "reason": reason} for what, reason in made.left_out]
        counts = {"cases": made.cases, "malignant": made.positive, "benign": made.cases - made.positive}
        print(json.dumps({"cohort": str(made.cohort), **counts, "left_out": left_out, "notes": made.notes}, indent=1))
        return
    print(f"{made.cohort}: {made.cases} cases, {made.positive} malignant, {made.cases - made.positive} benign")
    for what, reason in made.left_out[:MOST_LISTED]:
        print(f"  left out: {what}: {reason}")
    if len(made.left_out) > MOST_LISTED:
        print(f"  and {len(made.left_out) - MOST_LISTED} more; --json lists all")
    for note in made.notes:
        print(f"  {note}")
    print(f"Next: rarelesion check {made.cohort}")
