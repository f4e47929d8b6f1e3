"""A BIDS folder as a cohort: its images where they lie, its participants' labels, its derivatives' masks.

Brain Imaging Data Structure: Gorgolewski et al. 2016, doi:10.1038/sdata.2016.44.
"""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rarelesion.conversion import Converted, check_empty, class_of, write_table
from rarelesion.errors import InputError, Problem
from rarelesion.images import read_image
from rarelesion.sheet import Row, read_sheet
from rarelesion.types import Image
from rarelesion.volumes import write_volume

SEQUENCE_OF = {"T1w": "T1", "T2w": "T2", "FLAIR": "FLAIR", "PDw": "PD", "T2starw": "T2star", "T1map": "T1map"}
"""BIDS suffix -> sequence; of an image with a contrast agent (entity `ce`) a C follows."""
MASKS = ("mask", "dseg")
KEPT = ("age", "sex", "site", "scanner", "field_strength_t", "subtype")
"""Columns of participants.tsv that a cohort keeps."""
IMAGES = (".nii.gz", ".nii")


@dataclass(frozen=True, slots=True)
class _File:
    """One file of a BIDS folder, by what its name says."""

    path: Path
    entities: dict[str, str]
    suffix: str

    @property
    def visit(self) -> tuple[str, str]:
        """Subject and session; an empty session where there are none."""
        return self.entities.get("sub", ""), self.entities.get("ses", "")

    @property
    def sequence(self) -> str:
        """The cohort's word for it; empty for other kinds of file."""
        name = SEQUENCE_OF.get(self.suffix, "")
        return f"{name}C" if name and "ce" in self.entities else name


@dataclass(frozen=True, slots=True)
class _Visit:
    """A subject's session with the files chosen for it."""

    name: str
    subject: str
    images: dict[str, Path]
    mask: _File


def convert_bids(
    folder: Path,
    out: Path,
    label_column: str,
    positive: Sequence[str],
    negative: Sequence[str] = (),
    sequences: Sequence[str] = (),
    mask_label: str = "",
) -> Converted:
    """Make a `cohort.csv` from a BIDS folder; a case is a session of a subject that has every sequence and a mask.

    Labels stand in `label_column` of participants.tsv. `sequences` are T1, T2, FLAIR, PD, T2star or T1map, with C at
    their end for images after contrast; none: those that every labelled session has. Masks are the derivatives'
    `*_mask.nii.gz` and `*_dseg.nii.gz`; `mask_label` is the entity `label` of the mask, or the name (in the dseg.tsv)
    or number of the lesion in a dseg, and is needed where there is more than one. A mask is written to `out`, images
    are pointed to where they lie. Left out, each with its reason, is what has no label, image or mask, or two of one.
    Raises InputError where participants.tsv or the column is missing, where the classes are not named, and where no
    case of either class is left.
    """
    check_empty(out)
    people = _participants(folder, label_column)
    files = [one for one in _files(folder) if one.visit[0] in people]
    visits = sorted({one.visit for one in files if one.sequence and "derivatives" not in _inner(folder, one)})
    word_of = class_of([row.cells[label_column] for row in people.values()], positive, negative, "participants.tsv")
    labelled = [visit for visit in visits if people[visit[0]].cells[label_column] in word_of]
    images = {visit: _images(folder, files, visit) for visit in labelled}
    wanted = tuple(sequences) or _common(images, label_column)
    left_out = [(subject, "named as neither class") for subject, row in people.items()
                if row.cells[label_column] not in word_of]  # fmt: skip
    left_out += [(subject, "has no image") for subject in people if subject not in {visit[0] for visit in visits}]
    rows = []
    for visit in labelled:
        try:
            chosen = _chosen(folder, files, visit, images[visit], wanted, mask_label)
            rows.append(_row(chosen, out, people[visit[0]], word_of[people[visit[0]].cells[label_column]], mask_label))
        except _LeftOut as reason:
            left_out.append(("_".join(filter(None, visit)), str(reason)))
    columns = ["case_id", "patient_id", "label", *(f"image_{name}" for name in wanted), f"mask_{wanted[0]}", *KEPT]
    columns = [name for name in columns if any(row.get(name) for row in rows)]
    path = write_table(out, columns, rows)
    counts = Counter(name for found in images.values() for name in found)
    seen = ", ".join(f"{name} of {times} sessions" for name, times in sorted(counts.items()))
    malignant = sum(row["label"] == "malignant" for row in rows)
    return Converted(path, len(rows), malignant, tuple(left_out), (f"Found {seen}; used {', '.join(wanted)}.",))


class _LeftOut(Exception):
    """Why a session is no case."""


def _participants(folder: Path, column: str) -> dict[str, Row]:
    """Subject (as sub-01) -> its row of participants.tsv."""
    table = read_sheet(folder / "participants.tsv")
    missing = [name for name in ("participant_id", column) if name not in table.columns]
    if missing:
        remedy = "Name the column of the diagnosis with --label-column."
        found, expected = ", ".join(table.columns), ", ".join(missing)
        raise InputError(Problem("participants.tsv", "a column is missing", found, expected, remedy))
    people: dict[str, Row] = {}
    problems = []
    for row in table.rows:
        subject = f"sub-{row.cells['participant_id'].removeprefix('sub-')}"
        if people.setdefault(subject, row) is not row:
            what = f"{subject} stands in row {people[subject].number} already"
            problems.append(Problem(row.at("participant_id"), what, remedy="Keep one row a participant."))
    if problems:
        raise InputError(problems)
    return people


def _files(folder: Path) -> Iterator[_File]:
    """Every image of the folder and its derivatives that is named by the standard; links out of it are not followed."""
    for path in sorted(folder.rglob("sub-*")):
        ending = next((ending for ending in IMAGES if path.name.endswith(ending)), None)
        if ending is None or not path.is_file() or not path.resolve().is_relative_to(folder.resolve()):
            continue
        *pairs, suffix = path.name.removesuffix(ending).split("_")
        entities = {name: value for name, _, value in (pair.partition("-") for pair in pairs)}
        named = {name: f"{name}-{entities[name]}" for name in ("sub", "ses") if name in entities}
        yield _File(path, entities | named, suffix)


def _inner(folder: Path, file: _File) -> tuple[str, ...]:
    return file.path.relative_to(folder).parts


def _images(folder: Path, files: Sequence[_File], visit: tuple[str, str]) -> dict[str, list[_File]]:
    """Sequence -> the images of a session, the first run of each kind first."""
    found: dict[str, list[_File]] = {}
    for one in files:
        if one.visit == visit and one.sequence and "derivatives" not in _inner(folder, one):
            found.setdefault(one.sequence, []).append(one)
    return found


def _common(images: dict[tuple[str, str], dict[str, list[_File]]], label_column: str) -> tuple[str, ...]:
    """The sequences that every session has."""
    common = set.intersection(*(set(found) for found in images.values())) if images else set()
    if not common:
        counts = Counter(name for found in images.values() for name in found)
        found = ", ".join(f"{name} ({times})" for name, times in sorted(counts.items())) or "no image of a known kind"
        what = f"no sequence is there for all {len(images)} sessions with a {label_column}"
        raise InputError(Problem("sequences", what, found, remedy="Name those to be used with --sequence."))
    order = dict.fromkeys([*SEQUENCE_OF.values(), *sorted(common)])
    return tuple(name for name in order if name in common)


def _chosen(
    folder: Path,
    files: Sequence[_File],
    visit: tuple[str, str],
    images: dict[str, list[_File]],
    wanted: Sequence[str],
    mask_label: str,
) -> _Visit:
    paths = {}
    for name in wanted:
        found = images.get(name, [])
        kinds = {tuple(sorted((key, value) for key, value in one.entities.items() if key != "run")) for one in found}
        if len(kinds) != 1:
            raise _LeftOut(f"has {'no' if not found else 'more than one kind of'} {name}")
        paths[name] = found[0].path
    masks = [one for one in files if one.visit == visit and one.suffix in MASKS]
    if mask_label:
        # A dseg holds many labels and need not name one.
        masks = [one for one in masks if one.entities.get("label", mask_label * (one.suffix == "dseg")) == mask_label]
    if len(masks) != 1:
        raise _LeftOut("has no mask" if not masks else "has more than one mask: name one with --mask-label")
    return _Visit("_".join(filter(None, visit)), visit[0], paths, masks[0])


def _row(visit: _Visit, out: Path, person: Row, label: str, mask_label: str) -> dict[str, str]:
    name = f"masks/{visit.name}.nii.gz"
    _write_mask(visit.mask, out / name, mask_label)
    first = next(iter(visit.images))
    images = {f"image_{name}": _pointer(path, out) for name, path in visit.images.items()}
    kept = {column: person.cells[column] for column in KEPT if person.cells.get(column, "n/a") != "n/a"}
    return {"case_id": visit.name, "patient_id": visit.subject, "label": label, **images, f"mask_{first}": name, **kept}


def _pointer(path: Path, out: Path) -> str:
    """The way from the cohort to an image; the whole path where there is no way, as between two drives."""
    try:
        return Path(os.path.relpath(path.resolve(), out.resolve())).as_posix()
    except ValueError:
        return str(path.resolve())


def _write_mask(file: _File, target: Path, mask_label: str) -> None:
    """Keep one label of a mask, with its coordinates."""
    try:
        image = read_image(file.path, "mask")
    except InputError as error:
        raise _LeftOut(f"has a mask that cannot be read: {error.problems[0].what}") from None
    if image.affine is None:
        raise _LeftOut("has a mask without coordinates")
    wanted = image.pixels != 0
    if file.suffix == "dseg" and "label" not in file.entities:
        numbers = sorted({int(value) for value in np.unique(image.pixels) if value})
        if mask_label:
            wanted = image.pixels == _number(file, mask_label)
        elif len(numbers) > 1:
            raise _LeftOut(f"has a dseg of {len(numbers)} labels: name one with --mask-label")
    if not wanted.any():
        raise _LeftOut("has an empty mask")
    write_volume(target, Image(wanted.astype(np.float32), "mask", image.affine))


def _number(file: _File, mask_label: str) -> int:
    """The number of a label in a dseg, by itself or by its name in the dseg.tsv beside it."""
    if mask_label.isdecimal():
        return int(mask_label)
    table = file.path.with_name(file.path.name.removesuffix(".gz").removesuffix(".nii") + ".tsv")
    if not table.is_file():
        raise _LeftOut("has a dseg without the table of its labels")
    for row in read_sheet(table).rows:
        if row.cells.get("name", "").casefold() == mask_label.casefold() and row.cells.get("index", "").isdecimal():
            return int(row.cells["index"])
    raise _LeftOut("has a dseg without that label")
