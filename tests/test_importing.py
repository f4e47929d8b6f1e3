"""The messy archive of 100 patients: exactly the right cohort, every file left out named, nobody recognisable."""

import contextlib
import csv
import dataclasses
import gzip
import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from pydicom import dcmread
from typer.testing import CliRunner

from messy_archive import PLANTED, make_archive, write_seg
from rarelesion.archive import file_pseudonym
from rarelesion.cli import app
from rarelesion.cohort import read_cohort
from rarelesion.images import load_roi, read_image
from rarelesion.index import read_key
from rarelesion.lesions import to_grid
from rarelesion.pseudonyms import pseudonym
from rarelesion.settings import CohortSettings
from rarelesion.types import Image
from rarelesion.volumes import write_volume

WORDS = ("--positive", "adenocarcinoma", "--negative", "adenoma", "--keep", "subtype")

BOXED = ("box", "point")
MENDED = ("missing_slice", "truncated", "uneven", "tilted")


def run_import(archive, out, *more, labels=True, words=WORDS):
    command = ["import", str(archive.dicom), "--out", str(out), "--workers", "2", *more]
    if labels:
        command += ["--labels", str(archive.labels), "--rois", str(archive.rois), *words]
    return CliRunner().invoke(app, command)


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    return make_archive(tmp_path_factory.mktemp("disk"))


@pytest.fixture(scope="module")
def made(archive, tmp_path_factory):
    out = tmp_path_factory.mktemp("made") / "cohort"
    result = run_import(archive, out)
    assert result.exit_code == 0, result.output
    return out, result.output


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    return make_archive(tmp_path_factory.mktemp("few"), 6)


@pytest.fixture(scope="module")
def names(archive, made):
    """Patient's pseudonym -> hospital number."""
    key = read_key(made[0].with_name("cohort-key.txt"))
    numbers = {one.patient_id for one, _ in archive.expected.values()} | archive.unlabelled | set(archive.left_out_rows)
    return {pseudonym(key, "patient", number): number for number in numbers}


def rows_of(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def case_key(names, case):
    return f"{names[case.patient_id]}/{case.case_id.rsplit('-', 1)[1]}"


def test_the_cohort_holds_exactly_the_right_cases(archive, made, names):
    cohort = read_cohort(made[0] / "cohort.csv", CohortSettings())
    found = {case_key(names, case): case for case in cohort.cases}
    assert set(found) == set(archive.expected)
    assert {key: bool(case.label) for key, case in found.items()} == {
        key: patient.malignant for key, (patient, _) in archive.expected.items()
    }
    assert {key: case.columns["subtype"] for key, case in found.items()} == {
        key: "a" if patient.number % 3 else "b" for key, (patient, _) in archive.expected.items()
    }


def test_every_lesion_lies_where_it_was_drawn(archive, made, names):
    cohort = read_cohort(made[0] / "cohort.csv", CohortSettings())
    for case in cohort.cases:
        patient, lesion = archive.expected[case_key(names, case)]
        centre, diameter = patient.lesions[lesion]
        image = read_image(case.images["T1"], "T1")
        mask = to_grid(load_roi(case.rois["T1"]), image)
        places = np.argwhere(mask) @ image.affine[:3, :3].T + image.affine[:3, 3]
        # A box is of one slice, and slices are 5 mm apart.
        assert np.linalg.norm(places.mean(axis=0) - centre) < (3.5 if patient.kind in BOXED else 2.2), patient.kind
        assert abs(float(case.columns["lesion_mm"]) - diameter) < (4 if patient.kind in BOXED else 2), patient.kind


def test_every_volume_shows_its_patient_at_the_right_place_and_the_right_sequence(archive, made, names):
    cohort = read_cohort(made[0] / "cohort.csv", CohortSettings())
    for case in cohort.cases:
        patient, _ = archive.expected[case_key(names, case)]
        for sequence, path in case.images.items():
            image = read_image(path, sequence)
            index = np.stack(np.meshgrid(*map(np.arange, image.pixels.shape), indexing="ij"), axis=-1)
            places = index @ image.affine[:3, :3].T + image.affine[:3, 3]
            truth = patient.value(sequence, places)
            inner = np.linalg.norm(places / patient.body, axis=-1) < 0.8
            assert inner.sum() > 300, (patient.kind, sequence)
            error = np.sqrt(np.mean((image.pixels - truth)[inner] ** 2))
            # Noise alone makes 6; where slices are interpolated edges are blurred, too.
            assert error < (25 if patient.kind in MENDED else 7), (patient.kind, sequence, error)


def test_every_file_left_out_is_named_with_its_reason(archive, made):
    key = read_key(made[0].with_name("cohort-key.txt"))
    expected = {
        (file_pseudonym(key, path.relative_to(archive.dicom).as_posix()), code)
        for path, code in archive.left_out_files.items()
    }
    assert {(row["file"], row["code"]) for row in rows_of(made[0] / "left_out.csv")} == expected


def test_every_row_and_patient_left_out_is_named_with_its_reason(archive, made, names):
    rows = rows_of(made[0] / "not_in_cohort.csv")
    found = {names.get(row["patient"]) or row["patient"]: row["reason"] for row in rows}
    for number, word in archive.left_out_rows.items():
        shown = pseudonym(read_key(made[0].with_name("cohort-key.txt")), "patient", number)
        assert word in found.pop(number, found.pop(shown, "")), number
    assert set(found) == archive.unlabelled


def test_nothing_written_or_said_names_a_patient(made):
    out, said = made
    planted = [word.casefold().encode() for word in PLANTED]
    assert not any(word in said.casefold().encode() for word in planted)
    for path in out.rglob("*"):
        assert not any(word in path.name.casefold().encode() for word in planted)
        if path.is_file():
            content = path.read_bytes()
            unpacked = gzip.decompress(content) if path.suffix == ".gz" else b""
            assert not any(word in part.lower() for part in (content, unpacked) for word in planted), path.name


def test_the_same_command_again_changes_nothing(archive, made):
    out = made[0]
    before = {path: path.stat().st_mtime_ns for path in (out / "volumes").rglob("*") if path.is_file()}
    table = (out / "cohort.csv").read_bytes()
    assert run_import(archive, out).exit_code == 0
    assert {path: path.stat().st_mtime_ns for path in (out / "volumes").rglob("*") if path.is_file()} == before
    assert (out / "cohort.csv").read_bytes() == table


def test_a_pseudonym_is_looked_up_on_the_screen(archive, made):
    out = made[0]
    row = rows_of(out / "left_out.csv")[0]
    result = run_import(archive, out, "--find", row["file"])
    assert Path(result.output.strip()) in archive.left_out_files
    case = rows_of(out / "cohort.csv")[0]
    assert run_import(archive, out, "--find", case["patient_id"]).output.startswith("diagnoses.xlsx:")
    assert run_import(archive, out, "--find", "f-nothing").exit_code == 2


def test_a_person_corrects_a_role_and_it_is_remembered(few, tmp_path):
    out = tmp_path / "cohort"
    assert run_import(few, out).exit_code == 0
    mistaken = next(row for row in rows_of(out / "roles.csv") if row["proposed"] == "T2")
    pages = (out / "contact" / "page-001.png").read_bytes()
    text = (out / "roles.csv").read_text(encoding="utf-8")
    line = next(line for line in text.splitlines() if line.startswith(mistaken["series"]))
    (out / "roles.csv").write_text(text.replace(line, line.rsplit(",", 1)[0] + ",other"), encoding="utf-8")
    for _ in range(2):
        assert run_import(few, out).exit_code == 0
        left = {row["patient"]: row["reason"] for row in rows_of(out / "not_in_cohort.csv")}
        assert "no series is T2" in left[mistaken["patient"]]
        assert len(rows_of(out / "cohort.csv")) == len(few.expected) - 1
        assert not (out / "volumes" / mistaken["patient"]).exists()
    assert (out / "contact" / "page-001.png").read_bytes() != pages


def test_a_killed_import_goes_on_to_the_same_cohort(few, tmp_path):
    words = [sys.executable, "-m", "rarelesion", "import", str(few.dicom), "--out", "cohort", "--workers", "1"]
    words += ["--labels", str(few.labels), "--rois", str(few.rois), *WORDS]
    for seconds in (1.2, 2.0, 2.8, 3.6):
        with contextlib.suppress(subprocess.TimeoutExpired):
            subprocess.run(words, cwd=tmp_path, timeout=seconds, capture_output=True, check=True)
    subprocess.run(words, cwd=tmp_path, capture_output=True, check=True)
    whole = tmp_path / "whole"
    shutil.copy(tmp_path / "cohort-key.txt", tmp_path / "whole-key.txt")
    assert run_import(few, whole).exit_code == 0
    for path in whole.rglob("*"):
        if path.suffix in (".csv", ".gz"):
            assert (tmp_path / "cohort" / path.relative_to(whole)).read_bytes() == path.read_bytes()


def test_one_odd_patient_does_not_end_the_import(few, tmp_path):
    disk = shutil.copytree(few.folder, tmp_path / "disk")
    for path in [path for path in (disk / "dicom").rglob("*") if path.is_file()]:
        dataset = dcmread(path)
        if dataset.PatientID == "HOSP00001":
            dataset.PatientID = dataset.PatientName = dataset.PatientBirthDate = ""
        if dataset.PatientID == "HOSP00000" and dataset.SeriesDescription.startswith("t1"):
            del dataset.ImagePositionPatient
        dataset.save_as(path)
    on_image = np.pad(np.ones((9, 9, 2), np.uint8), ((19, 20), (19, 20), (4, 4)))
    nib.save(nib.Nifti1Image(on_image, None), disk / "marks" / "HOSP00000.nii.gz")
    (disk / "marks" / "HOSP00005_link.nii.gz").symlink_to("gone.nii.gz")
    nowhere = disk / "dicom" / os.fsdecode(b"Quackenbush\xff")
    nowhere.touch()
    (disk / "onto.toml").write_text('[preparation]\nonto = "T1"\n', encoding="utf-8")
    odd = dataclasses.replace(few, folder=disk)
    result = run_import(odd, tmp_path / "cohort", "--config", str(disk / "onto.toml"), "--workers", "1")
    assert result.exit_code == 0, result.output
    assert "archive: there are series with neither Patient ID nor name" in result.output
    left = {row["code"] for row in rows_of(tmp_path / "cohort" / "not_in_cohort.csv")}
    assert left == {"no-dicom", "no-number", "series", "strange-mark"}
    assert len(rows_of(tmp_path / "cohort" / "cohort.csv")) == 4
    name = next(row["file"] for row in rows_of(tmp_path / "cohort" / "left_out.csv") if row["code"] == "empty")
    found = run_import(odd, tmp_path / "cohort", "--find", name)
    assert found.output.endswith("Quackenbush\\udcff\n")


def test_a_segmentation_on_another_series_of_the_same_coordinates_is_used(tmp_path):
    disk = make_archive(tmp_path / "disk", 2)
    for mask in disk.rois.glob("*HOSP00000*"):
        mask.unlink()
    first = sorted((disk.dicom / "Quackenbush_0").rglob("Quack*"))
    t1 = [path for path in first if path.is_file() and dcmread(path).SeriesDescription.startswith("t1")]
    patient, _ = disk.expected["HOSP00000/1"]
    write_seg(patient, t1, t1[0].with_name("seg.dcm"))
    drawn = dcmread(t1[0].with_name("seg.dcm"))
    drawn.ReferencedSeriesSequence[0].SeriesInstanceUID = "1.2.3"
    drawn.save_as(t1[0].with_name("seg.dcm"))
    result = run_import(disk, tmp_path / "cohort", "--workers", "1")
    assert "the lesion was drawn on another series, in the same coordinates" in result.output
    assert len(rows_of(tmp_path / "cohort" / "cohort.csv")) == 2


class Ended(ThreadPoolExecutor):
    """Processes that the system has ended, as where memory runs out."""

    def __init__(self, workers, *_):
        super().__init__(workers)

    def submit(self, *_):
        raise BrokenProcessPool("ended")


@pytest.mark.parametrize("stage", ["importing", "index"])
def test_a_worker_that_is_ended_is_told(few, tmp_path, monkeypatch, stage):
    monkeypatch.setattr(f"rarelesion.{stage}.ProcessPoolExecutor", Ended)
    result = run_import(few, tmp_path / "cohort")
    assert result.exit_code == 2
    assert "a worker process was ended from outside" in result.output


def test_words_that_may_have_been_exchanged_are_asked_about(few, tmp_path):
    exchanged = ("--positive", "adenoma", "--negative", "adenocarcinoma")
    assert "More malignant than benign" in run_import(few, tmp_path / "cohort", words=exchanged).output
    assert "More malignant than benign" not in run_import(few, tmp_path / "cohort").output


def test_without_a_table_the_series_are_listed_and_shown(few, tmp_path):
    result = run_import(few, tmp_path / "cohort", labels=False)
    assert result.exit_code == 0
    assert "roles.csv" in result.output
    assert len(list((tmp_path / "cohort" / "contact").glob("*.png"))) == 1
    assert not (tmp_path / "cohort" / "cohort.csv").exists()


def test_every_volume_is_what_its_recorded_steps_make_of_the_files(archive, made, names):
    out = made[0]
    said = run_import(archive, out, "--verify").output
    assert "differs" not in (out / "not_in_cohort.csv").read_text(encoding="utf-8"), said
    case = rows_of(out / "cohort.csv")[0]
    path = out / case["image_T2"]
    whole, image = path.read_bytes(), read_image(path, "T2")
    write_volume(path, Image(image.pixels + 1, "T2", image.affine))
    try:
        run_import(archive, out, "--verify")
        rows = [row for row in rows_of(out / "not_in_cohort.csv") if row["code"] == "differs"]
        assert [(row["patient"], row["reason"].split()[0]) for row in rows] == [(case["patient_id"], "T2")]
    finally:
        path.write_bytes(whole)


def test_the_record_tells_how_it_was_made(made, archive):
    record = json.loads((made[0] / "import.json").read_text(encoding="utf-8"))
    assert record["cases"] == len(archive.expected)
    assert record["settings"]["sequences"] == ["T1", "T2"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("import", "nowhere", "--out", "cohort"), "no such folder"),
        (("import", ".", "--out", "cohort", "--key", "cohort/key.txt"), "must not get the key"),
        (("import", "junk", "--out", "cohort"), "no DICOM image"),
        (("import", "junk", "--out", "junk/readme.txt"), "is a file"),
        (("import", "junk", "--out", "junk"), "is not empty and holds no import"),
        (("import", "junk", "--out", "."), "is not empty and holds no import"),
        (("import", "junk", "--out", "cohort", "--rois", "gone"), "no such folder"),
        (("import", "junk", "--out", "cohort", "--sequences", "T1,T9"), "no such role"),
        (("import", "junk", "--out", "cohort", "--labels", "gone.csv"), "there is no such file"),
        (("import", "junk", "--out", "cohort", "--config", "junk/onto.toml"), "is no sequence of this import"),
        (("import", "junk", "--out", "cohort", "--config", "junk/odd.toml"), "preparation.bias_shrink"),
    ],
)
def test_misuse_is_told_and_exits_with_2(words, expected, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "junk").mkdir()
    (tmp_path / "junk" / "readme.txt").write_text("nothing", encoding="utf-8")
    (tmp_path / "junk" / "onto.toml").write_text('[preparation]\nonto = "T3"\n', encoding="utf-8")
    (tmp_path / "junk" / "odd.toml").write_text("[preparation]\nbias_shrink = 0\n", encoding="utf-8")
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 2
    assert expected in result.output
