"""One patient on the way into a cohort: chosen series read, the lesions found in them, volumes and masks written."""

import hashlib
import json
import secrets
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rarelesion import __version__
from rarelesion.burnt_in import blank, text_regions
from rarelesion.candidates import Chosen
from rarelesion.diagnoses import Aside, Diagnosis
from rarelesion.errors import InputError
from rarelesion.images import FORMATS, read_image
from rarelesion.import_settings import ImportSettings
from rarelesion.lesions import largest_diameter_mm, to_grid, volume_ml
from rarelesion.locating import NotACase, locate
from rarelesion.marks import MarkFile
from rarelesion.overlay import write_overlay
from rarelesion.preparation import Prepared, Step, pixel_hash, prepare, replay, step_as_values, step_from_values
from rarelesion.store import file_sha256, read_json, write_json
from rarelesion.types import CLASSES, Image, Roi
from rarelesion.volumes import read_stack, write_volume

VOLUME = next(suffix for suffix in FORMATS if suffix == ".nii.gz")
SAME_MM = 1e-2
"""Coordinates are kept in single precision."""
SURE = 0.5
"""Confidence of a role below which the case carries a note."""
FACTS = ("sex", "age", "scanner", "field_strength_t", "thickness_mm", "day", "year")
"""What a case takes over from its first sequence's series."""


@dataclass(frozen=True, eq=False, slots=True)
class PatientJob:
    """All that is needed to make a patient's cases, in whatever process."""

    patient: str
    chosen: Chosen
    files: Mapping[str, tuple[tuple[Path, int], ...]]
    """Sequence -> files and numbers of the frames in them."""
    marks: tuple[MarkFile, ...]
    diagnoses: tuple[Diagnosis, ...]
    settings: ImportSettings
    out: Path
    """The cohort's folder."""

    @property
    def name(self) -> str:
        """What the cases are called before their number: the patient, and the study where the table names one."""
        return "-".join((self.patient, *sorted({one.study for one in self.diagnoses if one.study})))

    @property
    def folder(self) -> Path:
        """Where this patient's volumes go."""
        return self.out / "volumes" / self.name


@dataclass(frozen=True, slots=True)
class PatientResult:
    """A patient's rows of cohort.csv, the rows of the table that came to nothing, and what is to be known of both."""

    cases: tuple[dict[str, str], ...]
    asides: tuple[Aside, ...]
    notes: tuple[str, ...]
    steps: tuple[dict[str, Any], ...] = ()
    """What preparation did, as `preparation.step_as_values` has it."""


def import_patient(job: PatientJob) -> PatientResult:
    """Write a patient's volumes and masks once and return the rows of their cases.

    What was written before from the same files, marks, rows and settings is kept, from others removed. Whatever cannot
    be used becomes an `Aside` of its row of the table; nothing of it is written.
    """
    record = job.folder / "record.json"
    try:
        made_from = _fingerprint(job)
    except OSError:  # what cannot be read now is named by whoever reads it, and the patient made anew next time
        made_from = secrets.token_hex()
    if record.exists() and (stored := _kept(job, record, made_from)) is not None:
        return stored
    shutil.rmtree(job.folder, ignore_errors=True)
    result = _make(job)
    if result.cases:
        write_json(record, {"made_from": made_from, **asdict(result)})
    return result


def _kept(job: PatientJob, record: Path, made_from: str) -> PatientResult | None:
    """The result as it was stored; None where something is gone, damaged, or was made from other things."""
    try:
        content = read_json(record)
        cases = tuple(content["cases"])
        asides, steps = (tuple(content[name]) for name in ("asides", "steps"))
        result = PatientResult(cases, tuple(Aside(**one) for one in asides), tuple(content["notes"]), steps)
    except (InputError, KeyError, TypeError):
        return None
    files = [cell for case in cases for column, cell in case.items() if column.startswith(("image_", "mask_")) and cell]
    whole = content["made_from"] == made_from and all((job.out / file).exists() for file in files)
    return result if whole else None


def _fingerprint(job: PatientJob) -> str:
    """Of everything the result follows from; sizes and times of files stand for their content."""
    state = hashlib.sha256(__version__.encode())
    for sequence, series in job.chosen.series.items():
        state.update(f"{sequence} {series!r}".encode())
    for path in [path for files in job.files.values() for path, _ in files] + [mark.path for mark in job.marks]:
        found = path.stat()
        state.update(f"{path.name} {found.st_size} {found.st_mtime_ns}".encode("utf-8", "surrogatepass"))
    for one in job.diagnoses:
        boxes = {sequence: (roi.box, roi.slice_index) for sequence, roi in one.boxes.items()}
        told = one.row, one.label, one.lesion, boxes, one.ball, one.study, dict(one.columns)
        state.update(repr(told).encode())
        if one.mark is not None:
            state.update(file_sha256(one.mark).encode())
    state.update(json.dumps(asdict(job.settings), sort_keys=True).encode())
    return state.hexdigest()


def _make(job: PatientJob) -> PatientResult:
    try:
        images, notes = _read_images(job)
    except InputError as error:
        reason = _told(error)
        asides = [Aside(one.row, job.patient, "series", reason, "") for one in job.diagnoses]
        return PatientResult((), tuple(asides), job.chosen.notes)
    made: list[tuple[Diagnosis, dict[str, Roi]]] = []
    asides = []
    for diagnosis in job.diagnoses:
        try:
            made += [(diagnosis, rois) for rois in locate(diagnosis, job.marks, images, job.settings)]
        except NotACase as left:
            asides.append(Aside(diagnosis.row, job.patient, *left.args))
        except InputError as error:
            reason = _told(error)
            asides.append(Aside(diagnosis.row, job.patient, "mark", reason, ""))
    if not made:
        return PatientResult((), tuple(asides), (*job.chosen.notes, *notes))
    try:
        prepared = prepare(images, made[0][1], job.settings.preparation)
    except InputError as error:
        asides += [Aside(one.row, job.patient, "series", _told(error), "") for one, _ in made]
        return PatientResult((), tuple(asides), (*job.chosen.notes, *notes))
    moved = {step.sequence for step in prepared.steps if step.name == "register"}
    notes += [f"{one.where}: {one.message}" for one in prepared.warnings if one.where not in moved]
    for sequence, image in prepared.images.items():
        write_volume(job.folder / f"{sequence}{VOLUME}", image)
    cases = []
    for number, (diagnosis, rois) in enumerate(made, start=1):
        placed = prepared.rois if number == 1 else _again(images, rois, prepared.steps)
        cases.append(_case(job, number, diagnosis, placed, prepared.images))
    notes += _overlays(job, images, prepared)
    steps = tuple(step_as_values(step) for step in prepared.steps)
    return PatientResult(tuple(cases), tuple(asides), (*job.chosen.notes, *notes), steps)


def _overlays(job: PatientJob, images: Mapping[str, Image], prepared: Prepared) -> Iterator[str]:
    """A picture of every movement that was undone, before and after, for a person to judge."""
    reference = job.settings.preparation.onto or next(iter(prepared.rois))
    for step in prepared.steps:
        if step.name == "register":
            name = f"overlay_{step.sequence}.png"
            roi = prepared.rois.get(reference)
            write_overlay(job.folder / name, images, prepared.images, reference, step.sequence, roi)
            shift, turn = step.parameters["movement_mm"], step.parameters["rotation_degrees"]
            told = f"was {shift:.1f} mm and {turn:.1f} degrees away from {reference} and was moved"
            yield f"{step.sequence}: {told}, see {_inside(job, name)}"


def verify_patient(job: PatientJob) -> tuple[Aside, ...]:
    """Do again from the hospital's files what the record says, and name every volume that comes out otherwise."""
    asides = []
    try:
        record = read_json(job.folder / "record.json")
        images, _ = _read_images(job)
        again, _ = replay(images, {}, [step_from_values(values) for values in record["steps"]])
        for sequence, image in again.items():
            kept = read_image(job.folder / f"{sequence}{VOLUME}", sequence)
            if pixel_hash(image) != pixel_hash(kept) or not _same_place(image, kept):
                reason = f"{sequence} is not what its recorded steps make of the files"
                remedy = "Were files of this patient or the volume changed? Remove its folder and import again."
                asides.append(Aside(None, job.patient, "differs", reason, remedy))
    except InputError as error:
        asides.append(Aside(None, job.patient, "differs", _told(error), "Remove its folder and import again."))
    return tuple(asides)


def _same_place(one: Image, other: Image) -> bool:
    if one.affine is None or other.affine is None:
        return one.affine is other.affine
    return bool(np.allclose(one.affine, other.affine, rtol=0, atol=SAME_MM))


def _again(images: Mapping[str, Image], rois: Mapping[str, Roi], steps: Sequence[Step]) -> Mapping[str, Roi]:
    """The ROIs of a further lesion, carried along by what was done for the first."""
    return replay(images, rois, steps)[1]


def _told(error: InputError) -> str:
    return "; ".join(str(problem).removesuffix(".") for problem in error.problems)


def _read_images(job: PatientJob) -> tuple[dict[str, Image], list[str]]:
    """The volumes of all sequences and what had to be mended; InputError with the problems of all of them."""
    images: dict[str, Image] = {}
    notes, problems = [], []
    for sequence, files in job.files.items():
        series = job.chosen.series[sequence]
        try:
            image, mended = read_stack(files, sequence, f"{sequence}, {series.series}")
        except InputError as error:
            problems += error.problems
            continue
        notes += [f"{sequence}: {note}" for note in mended]
        if series.confidence < SURE:
            notes.append(f"{sequence}: the role is not certain ({series.reason})")
        images[sequence], text = _without_text(image, job.settings.blank_text)
        notes += [f"{sequence}: {note}" for note in text]
    if problems:
        raise InputError(problems)
    return images, notes


def _without_text(image: Image, paint: bool) -> tuple[Image, list[str]]:
    """What is written in the pixels, named, and painted over where that is wanted."""
    found = {index: boxes for index, plane in enumerate(image.pixels) if (boxes := text_regions(plane))}
    if not found:
        return image, []
    shown = f"text burnt into {len(found)} of {len(image.pixels)} slices"
    if not paint:
        return image, [f"{shown}; blank_text = true paints it over"]
    planes = [blank(plane, found[index]) if index in found else plane for index, plane in enumerate(image.pixels)]
    return Image(np.stack(planes), image.sequence, image.affine), [f"{shown}, painted over"]


# --- what a case is in the table -------------------------------------------------------------------------------------


def _case(
    job: PatientJob, number: int, diagnosis: Diagnosis, rois: Mapping[str, Roi], images: Mapping[str, Image]
) -> dict[str, str]:
    """Write the masks of a case and return its row of cohort.csv."""
    case_id = f"{job.name}-{number}"
    row = {"case_id": case_id, "patient_id": job.patient, "label": CLASSES[diagnosis.label]}
    for sequence in job.settings.sequences:
        row[f"image_{sequence}"] = _inside(job, f"{sequence}{VOLUME}")
    for sequence, roi in rois.items():
        if roi.mask is None:
            assert roi.box is not None
            row[f"box_{sequence}"] = " ".join(map(str, (roi.slice_index or 0, *roi.box)))
            continue
        name = f"mask{number}_{sequence}{VOLUME}"
        on_image = to_grid(roi, images[sequence]).astype(np.float32)
        write_volume(job.folder / name, Image(on_image, "mask", images[sequence].affine))
        row[f"mask_{sequence}"] = _inside(job, name)
    sequence, first = next(iter(rois.items()))
    row |= _sizes(diagnosis, first, images[sequence])
    series = job.chosen.series[job.settings.sequences[0]]
    facts = {name: getattr(series, name) for name in FACTS}
    told = {name: _text(value) for name, value in facts.items() if value not in (None, "")}
    return {**row, **told, **diagnosis.columns}


def _sizes(diagnosis: Diagnosis, roi: Roi, image: Image) -> dict[str, str]:
    """How large the lesion is, as far as its mark says."""
    if diagnosis.ball is not None:
        return {"lesion_mm": f"{diagnosis.ball[1]:.1f}"}
    if roi.mask is not None and roi.affine is not None:
        diameter, volume = largest_diameter_mm(roi.mask, roi.affine), volume_ml(roi.mask, roi.affine)
        return {"lesion_mm": f"{diameter:.1f}", "volume_ml": f"{volume:.3g}"}
    if roi.box is not None and image.spacing_mm is not None:
        sides = np.subtract(roi.box[2:], roi.box[:2]) * image.spacing_mm[1:]
        return {"lesion_mm": f"{sides.max():.1f}"}
    return {}


def _text(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _inside(job: PatientJob, name: str) -> str:
    return (job.folder / name).relative_to(job.out).as_posix()


def columns_of(rows: Iterable[Mapping[str, str]], settings: ImportSettings) -> tuple[str, ...]:
    """The columns of cohort.csv, in the order a person reads them."""
    rows = list(rows)
    images = [f"image_{sequence}" for sequence in settings.sequences]
    masks = [f"{kind}_{sequence}" for sequence in settings.sequences for kind in ("mask", "box")]
    order = ("case_id", "patient_id", "label", *images, *masks, *settings.keep, "lesion_mm", "volume_ml", *FACTS)
    return tuple(dict.fromkeys(column for column in order if any(row.get(column) for row in rows)))
