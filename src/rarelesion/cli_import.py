"""The command `rarelesion import`: from a folder of DICOM and a table of diagnoses to a cohort."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rarelesion.console import ConsoleProgress, guarded
from rarelesion.errors import InputError, Problem

if TYPE_CHECKING:
    from rarelesion.importing import Imported

MOST_SHOWN = 12


def import_dicom(
    dicom: Annotated[Path, typer.Argument(metavar="DICOM_DIR", help="The folder with the DICOM, however nested.")],
    out: Annotated[Path, typer.Option("--out", help="The cohort's folder; an unfinished import in it goes on.")],
    labels: Annotated[
        Path | None, typer.Option(help="Table of diagnoses, .csv or .xlsx; without it the series are only listed.")
    ] = None,
    rois: Annotated[
        Path | None,
        typer.Option(help="Folder of masks (NIfTI, NRRD, SEG, RTSTRUCT) named after the patients."),
    ] = None,
    key: Annotated[
        Path | None, typer.Option(help="File with the secret of the pseudonyms; default: OUT-key.txt beside OUT.")
    ] = None,
    sequences: Annotated[str | None, typer.Option(help="Roles every case must have, e.g. T1,T2 or T2,ADC.")] = None,
    positive: Annotated[str | None, typer.Option(help="The table's word for malignant.")] = None,
    negative: Annotated[str | None, typer.Option(help="The table's word for benign.")] = None,
    patient_column: Annotated[str | None, typer.Option(help="The table's column with DICOM's Patient ID.")] = None,
    label_column: Annotated[str | None, typer.Option(help="The table's column with the diagnosis.")] = None,
    keep: Annotated[str | None, typer.Option(help="Further columns the cohort gets, e.g. age,subtype.")] = None,
    roi_label: Annotated[str | None, typer.Option(help="Number or name of the lesion in masks of several.")] = None,
    config: Annotated[Path | None, typer.Option("--config", help="import.toml; options here go before it.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; default: the cores.")] = None,
    find: Annotated[
        str | None, typer.Option(help="Show on this screen which file or row of the table a pseudonym stands for.")
    ] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Repeat every recorded step from the DICOM and compare the volumes.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """From a hospital's disk to a clean cohort: find series and their roles, take out who it was, write the cohort.

    First without --labels: look at the contact sheet in OUT/contact and correct OUT/roles.csv. Then with it. Can be
    stopped with Ctrl-C; the same command goes on. Nothing in OUT names a patient; keep the key file to yourself.

    Examples: `rarelesion import export/ --out cohort`,
    `rarelesion import export/ --out cohort --labels cases.xlsx --positive carcinoma --negative adenoma --rois masks`
    """
    from rarelesion.config import read_import_settings
    from rarelesion.importing import import_archive
    from rarelesion.whereabouts import find_pseudonym
    from rarelesion.workers import default_workers

    overrides: dict[str, Any] = {
        "sequences": _names(sequences),
        "positive": positive,
        "negative": negative,
        "patient_column": patient_column,
        "label_column": label_column,
        "keep": _names(keep),
        "roi_label": roi_label,
    }
    whole = out if out.name not in ("", "..") else out.resolve()
    key_file = key or whole.parent / f"{whole.name}-key.txt"
    with guarded():
        settings = read_import_settings(config, overrides)
        if key_file.resolve().is_relative_to(out.resolve()):
            remedy = "Keep it elsewhere: whoever gets the cohort must not get the key."
            raise InputError(Problem("--key", "the key lies in the cohort's folder", remedy=remedy))
        if find is not None:
            found = find_pseudonym(find, dicom, rois, labels, key_file, settings)
            print(found.encode("utf-8", "backslashreplace").decode())  # names of files may be in no encoding
            return
        with ConsoleProgress() as progress:
            processes = workers or default_workers()
            done = import_archive(dicom, out, key_file, settings, labels, rois, processes, verify, progress)
    print(json.dumps(_described(done), indent=1) if as_json else _text(done, labels is not None))
    if done.cases == 0:
        raise typer.Exit(1)


def _names(words: str | None) -> list[str] | None:
    """A comma-separated list."""
    return None if words is None else [name.strip() for name in words.split(",") if name.strip()]


def _described(done: "Imported") -> dict[str, Any]:
    from dataclasses import asdict

    return {**asdict(done), "out": str(done.out), "key": str(done.key)}


def _text(done: "Imported", labelled: bool) -> str:
    lines = [f"{done.series} series of {done.patients} patients: {_counts(done.roles)}"]
    if done.left_out_files:
        files = sum(done.left_out_files.values())
        lines.append(f"{files} file{'s' * (files > 1)} left out: {_counts(done.left_out_files)}")
    if not labelled:
        lines += [
            f"Look at {done.out / 'contact'} and correct the column `role` of {done.out / 'roles.csv'}.",
            "Then give the same command with --labels.",
        ]
        return "\n".join(lines)
    words = ", ".join(f"{times} {name}" for name, times in done.labels.items())
    lines.append(f"{done.cases} cases ({words})")
    if done.labels["malignant"] > done.labels["benign"]:
        lines.append("More malignant than benign cases: is --positive the word for malignant, and not --negative?")
    if done.asides:
        lines.append(f"{len(done.asides)} not in the cohort:")
        shown = [f"  {_who(one)}: {one.reason}. {one.remedy}".rstrip() for one in done.asides]
        lines += _first(shown, f"see {done.out / 'not_in_cohort.csv'}")
    if done.notes:
        lines.append(f"{len(done.notes)} patient{'s' * (len(done.notes) > 1)} with a note:")
        lines += _first([f"  {name}: {'; '.join(notes)}" for name, notes in done.notes.items()], "see import.json")
    lines.append(f"Key: {done.key}. It stays with you: who has it can recognise the patients.")
    if done.cases:
        lines.append(f"Cohort: {done.out / 'cohort.csv'}. Next: rarelesion check {done.out / 'cohort.csv'}")
    return "\n".join(lines)


def _counts(times: "dict[str, int] | Any") -> str:
    return ", ".join(f"{count} {name}" for name, count in times.items())


def _who(aside: Any) -> str:
    told = " ".join(filter(None, (f"row {aside.row}" if aside.row else "", aside.patient)))
    return told or ("archive" if aside.code == "no-number" else "mask")


def _first(lines: list[str], rest: str) -> list[str]:
    more = len(lines) - MOST_SHOWN
    return lines if more <= 0 else [*lines[:MOST_SHOWN], f"  and {more} more: {rest}"]
