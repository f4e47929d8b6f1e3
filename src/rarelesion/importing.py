"""From a folder of DICOM and a table of diagnoses to a cohort, in an order that a person can step into.

index.sqlite and series.csv (what is there), roles.csv and the contact sheet (a person confirms), volumes/ (what is
needed, once), cohort.csv, and two lists of what was left out: files in left_out.csv, patients in not_in_cohort.csv.
"""

import hashlib
import multiprocessing
import shutil
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from rarelesion import __version__, index
from rarelesion.candidates import Chosen, choose_series
from rarelesion.contact_sheet import write_contact_sheet
from rarelesion.diagnoses import Aside, Diagnosis, read_diagnoses
from rarelesion.errors import InputError, Problem
from rarelesion.import_settings import ImportSettings
from rarelesion.marks import MarkFile, find_marks
from rarelesion.patient_import import PatientJob, PatientResult, columns_of, import_patient, verify_patient
from rarelesion.roles import MASK, OTHER, ROLES
from rarelesion.series import Series
from rarelesion.series_tables import read_roles, write_left_out_table, write_roles, write_series_table
from rarelesion.store import csv_text, read_text, remove, write_json, write_text
from rarelesion.types import CLASSES

OnProgress = Callable[[str, str, float, float], None]
"""Stage, detail, done, of how many."""


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import came to, in numbers and reasons; whom it concerns stands in its tables."""

    out: Path
    key: Path
    series: int
    patients: int
    roles: Mapping[str, int]
    left_out_files: Mapping[str, int]
    """Reason -> files."""
    cases: int | None
    """None where no table of diagnoses was given yet."""
    labels: Mapping[str, int]
    asides: tuple[Aside, ...]
    notes: Mapping[str, tuple[str, ...]]
    """Patient -> what a person should know of how the case was made."""


def import_archive(
    folder: Path,
    out: Path,
    key_file: Path,
    settings: ImportSettings,
    labels: Path | None = None,
    rois: Path | None = None,
    workers: int = 1,
    verify: bool = False,
    progress: OnProgress = lambda stage, detail, done, total: None,
) -> Imported:
    """Index a folder of DICOM and, with a table of diagnoses, write the cohort.

    `key_file` holds the secret that pseudonyms are made with; it is made where there is none, and must stay with the
    user. `rois` is a folder of masks whose names hold the hospital's numbers. Whatever was done before is not done
    again; a run that was stopped goes on. `verify` reads the hospital's files once more, repeats every recorded step
    and names the volumes that come out otherwise. Raises InputError with all problems of the table, the settings and
    roles.csv.
    """
    key = _start(out, key_file, settings, labels, rois)
    archive = index.build(folder, out, key, workers, lambda done, total: progress("Reading headers", "", done, total))
    found = _catalogue(archive, out)
    _show_series(out / "contact", found, archive, progress)
    if labels is None:
        return _summary(out, key_file, found, archive, None, (), {})
    patients = {one.patient for one in found}
    diagnoses, asides = read_diagnoses(labels, key, patients, settings)
    named = {one.mark for one in diagnoses if one.mark is not None}
    marks, strangers = find_marks(rois, key, patients, settings.sequences, named) if rois else ({}, ())
    jobs, failed = _jobs(archive, found, diagnoses, marks, settings, out)
    results = _run(jobs, workers, progress)
    asides = (*asides, *failed, *(aside for one in results.values() for aside in one.asides))
    asides += (*_unlisted(patients, diagnoses, asides), *_strange_marks(strangers))
    if verify:
        asides += tuple(_verified(jobs, results, progress))
    notes = {patient: result.notes for patient, result in results.items() if result.notes and result.cases}
    rows = [row for patient in sorted(results) for row in results[patient].cases]
    summary = _summary(out, key_file, found, archive, rows, _in_order(asides), notes)
    _write_tables(out, rows, summary, settings)
    if rows:
        _forget(out / "volumes", {job.name for job in jobs})
    return summary


def _start(out: Path, key_file: Path, settings: ImportSettings, labels: Path | None, rois: Path | None) -> bytes:
    """The key, once all is found right that can be told before hours are spent on reading headers."""
    problems = [
        Problem("sequences", "no such role", name, ", ".join(ROLES), "A sequence is named by its role.")
        for name in settings.sequences
        if name not in ROLES or name in (MASK, OTHER)
    ]
    if len(set(settings.sequences)) != len(settings.sequences) or not settings.sequences:
        found = ", ".join(settings.sequences) or "none"
        problems.append(Problem("sequences", "not a list of sequences", found, "at least one, each once"))
    onto = settings.preparation.onto
    if onto and onto not in settings.sequences:
        problems.append(
            Problem("preparation.onto", "is no sequence of this import", onto, ", ".join(settings.sequences))
        )
    if out.exists() and not (out.is_dir() and ((out / index.FILE_NAME).exists() or not any(out.iterdir()))):
        what = "is not empty and holds no import" if out.is_dir() else "is a file"
        problems.append(Problem("--out", what, str(out), "a new folder, or one of an earlier import"))
    if rois is not None and not rois.is_dir():
        problems.append(Problem("--rois", "there is no such folder", remedy="Name the folder that holds the masks."))
    if problems:
        raise InputError(problems)
    if labels is not None:
        read_diagnoses(labels, b"no key yet", set(), settings)
    return index.read_key(key_file) if key_file.exists() else index.make_key(key_file)


def _catalogue(archive: index.Index, out: Path) -> list[Series]:
    """Write what is in the archive, and give its series with the roles that a person left them."""
    found = archive.series()
    write_left_out_table(out / "left_out.csv", archive.left_out())
    if not found:
        what, remedy = "holds no DICOM image and no segmentation", "left_out.csv in --out has the reason for each file."
        raise InputError(Problem("the DICOM folder", what, f"{len(archive.left_out())} other files", remedy=remedy))
    roles = read_roles(out / "roles.csv", found) if (out / "roles.csv").exists() else {}
    write_series_table(out / "series.csv", found)
    write_roles(out / "roles.csv", found, roles)
    return [replace(one, role=roles[one.series], confidence=1.0) if one.series in roles else one for one in found]


def _write_tables(out: Path, rows: Sequence[Mapping[str, str]], summary: Imported, settings: ImportSettings) -> None:
    asides = map(_cells, summary.asides)
    write_text(out / "not_in_cohort.csv", csv_text(("row", "patient", "code", "reason", "remedy"), asides))
    _write_record(out, summary, settings)
    if rows:
        header = columns_of(rows, settings)
        write_text(out / "cohort.csv", csv_text(header, ([row.get(name, "") for name in header] for row in rows)))
    else:
        # One of an earlier import would be taken for this one's.
        remove(out / "cohort.csv")


def _forget(folder: Path, names: Set[str]) -> None:
    """Remove the volumes of patients who were in an earlier cohort and are not in this one."""
    for old in folder.glob("p-*"):
        if old.name not in names:
            shutil.rmtree(old, ignore_errors=True)


def _in_order(asides: Iterable[Aside]) -> tuple[Aside, ...]:
    """By row of the table, then those without one."""
    return tuple(sorted(asides, key=lambda aside: (aside.row is None, aside.row or 0, aside.patient)))


def _show_series(folder: Path, found: Sequence[Series], archive: index.Index, progress: OnProgress) -> None:
    """The contact sheet, drawn anew only where a series or its role has changed."""
    state, mark = hashlib.sha256(repr(found).encode()).hexdigest(), folder / "made_from.txt"
    if not mark.exists() or read_text(mark) != state:
        write_contact_sheet(folder, found, archive, lambda done, total: progress("Contact sheet", "", done, total))
        write_text(mark, state)


def _cells(aside: Aside) -> tuple[object, ...]:
    return ("" if aside.row is None else aside.row, aside.patient, aside.code, aside.reason, aside.remedy)


# --- what is to be done for each patient -----------------------------------------------------------------------------


def _jobs(
    archive: index.Index,
    found: Sequence[Series],
    diagnoses: Iterable[Diagnosis],
    marks: Mapping[str, tuple[MarkFile, ...]],
    settings: ImportSettings,
    out: Path,
) -> tuple[list[PatientJob], list[Aside]]:
    """A job for each patient and study that the table asks for; rows whose sequences are not there, with the reason."""
    by_patient: dict[str, list[Series]] = defaultdict(list)
    for one in found:
        by_patient[one.patient].append(one)
    rows: dict[tuple[str, str], list[Diagnosis]] = defaultdict(list)
    for one in diagnoses:
        rows[one.patient, one.study].append(one)
    asides, choices = [], []
    for (patient, study), asked in rows.items():
        masks = [one for one in by_patient[patient] if one.role == MASK]
        marked = {name for one in masks for name in one.refers_to}
        chosen = choose_series(by_patient[patient], settings.sequences, marked, study)
        if isinstance(chosen, Chosen):
            drawn = dict(_drawn(masks, chosen))
            if not drawn and (drawn := dict(_drawn_beside(masks, chosen))) and not marks.get(patient):
                note = "the lesion was drawn on another series, in the same coordinates"
                chosen = replace(chosen, notes=(*chosen.notes, note))
            choices.append((patient, chosen, drawn, asked))
        else:
            asides += [Aside(one.row, patient, "sequences", *chosen) for one in asked]
    wanted = {one.series for _, chosen, _, _ in choices for one in chosen.series.values()}
    files = archive.files_of(wanted | {name for _, _, drawn, _ in choices for name in drawn})
    jobs = []
    for patient, chosen, drawn, asked in choices:
        images = {sequence: files[one.series] for sequence, one in chosen.series.items()}
        own = [MarkFile(path, name, sequence) for name, sequence in drawn.items() for path, _ in files[name]]
        jobs.append(PatientJob(patient, chosen, images, marks.get(patient) or tuple(own), tuple(asked), settings, out))
    return jobs, asides


def _drawn(masks: Sequence[Series], chosen: Chosen) -> Iterator[tuple[str, str]]:
    """Segmentations and contours of the archive that were drawn on one of the chosen series, each with its sequence."""
    for one in masks:
        for sequence, series in chosen.series.items():
            if any(series.series == name or series.series.startswith(f"{name}-") for name in one.refers_to):
                yield one.series, sequence


def _drawn_beside(masks: Sequence[Series], chosen: Chosen) -> Iterator[tuple[str, str]]:
    """Those drawn on another series, or on none that they name, that has the coordinates of a chosen one."""
    frames: dict[str, str] = {}
    for sequence, series in chosen.series.items():
        frames.setdefault(series.frame, sequence)
    for one in masks:
        if one.frame and one.frame in frames:
            yield one.series, frames[one.frame]


def _run(jobs: Sequence[PatientJob], workers: int, progress: OnProgress) -> dict[str, PatientResult]:
    """Patients side by side, a process each; with one worker in this process."""
    results: dict[str, PatientResult] = {}

    def keep(job: PatientJob, result: PatientResult) -> None:
        before = results.get(job.patient, PatientResult((), (), ()))
        joined = (before.cases + result.cases, before.asides + result.asides, before.notes + result.notes)
        results[job.patient] = PatientResult(*joined)
        progress("Writing volumes", "", len(results), len(jobs))

    if workers == 1 or len(jobs) < 2:
        for job in jobs:
            keep(job, import_patient(job))
        return results
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), index.prepare_worker) as pool:
        try:
            waiting = {pool.submit(import_patient, job): job for job in jobs}
            for done in as_completed(waiting):
                keep(waiting[done], done.result())
        except BrokenProcessPool:
            remedy = "Give the same command again, with fewer --workers: it goes on where it stopped."
            raise InputError(Problem("the volumes", "a worker process was ended from outside", remedy=remedy)) from None
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return results


def _verified(
    jobs: Sequence[PatientJob], results: Mapping[str, PatientResult], progress: OnProgress
) -> Iterator[Aside]:
    for done, job in enumerate(jobs, start=1):
        if results[job.patient].cases:
            yield from verify_patient(job)
        progress("Verifying", "", done, len(jobs))


def _unlisted(patients: Iterable[str], diagnoses: Iterable[Diagnosis], asides: Iterable[Aside]) -> Iterator[Aside]:
    listed = {one.patient for one in diagnoses} | {one.patient for one in asides}
    for patient in sorted(set(patients) - listed):
        remedy = "Add a row, or leave the patient out."
        if patient:
            yield Aside(None, patient, "no-row", "the patient is not in the table", remedy)
        else:
            remedy = "series.csv has them, without a patient. Export them again with Patient ID."
            yield Aside(None, "", "no-number", "there are series with neither Patient ID nor name", remedy)


def _strange_marks(names: Iterable[str]) -> Iterator[Aside]:
    for name in names:
        reason = f"the mask {name} belongs to no patient, or to several, or is a link that leads nowhere"
        remedy = "Put the hospital's number into its name, or name the file in the column `roi`."
        yield Aside(None, "", "strange-mark", reason, remedy)


# --- what is said of it ----------------------------------------------------------------------------------------------


def _summary(
    out: Path,
    key_file: Path,
    found: Sequence[Series],
    archive: index.Index,
    rows: Sequence[Mapping[str, str]] | None,
    asides: tuple[Aside, ...],
    notes: Mapping[str, tuple[str, ...]],
) -> Imported:
    return Imported(
        out=out,
        key=key_file,
        series=len(found),
        patients=len({one.patient for one in found if one.patient}),
        roles=dict(Counter(one.role for one in found).most_common()),
        left_out_files=dict(Counter(one.reason for one in archive.left_out()).most_common()),
        cases=None if rows is None else len(rows),
        labels={name: sum(row["label"] == name for row in rows or ()) for name in CLASSES[:2]},
        asides=asides,
        notes=notes,
    )


def _write_record(out: Path, summary: Imported, settings: ImportSettings) -> None:
    """How the cohort was made, with no path and no name."""
    told = asdict(summary)
    for private in ("out", "key"):
        del told[private]
    write_json(out / "import.json", {"rarelesion": __version__, "settings": asdict(settings), **told})
