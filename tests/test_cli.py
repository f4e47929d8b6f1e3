"""The command line as a hostile and a clumsy user meets it: what went wrong, where, how to mend it, exit code 2."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import openpyxl
import pydicom
import pytest
import SimpleITK as sitk
import torch
from PIL import Image as Picture
from typer.testing import CliRunner

from conftest import SECRET, draw_lesion
from rarelesion import __version__
from rarelesion.backbones import BACKBONES
from rarelesion.cli import app
from rarelesion.cohort import read_cohort
from rarelesion.config import settings_toml
from rarelesion.dicom import write_series
from rarelesion.weights import backbone_metadata, save_state

Rows = list[dict[str, str]]


def invoke(*words: object):
    """The result of a command, run in this process; what is no exit is raised."""
    result = CliRunner().invoke(app, [str(word) for word in words])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def refused(*words: object) -> str:
    """What a command says that cannot be followed."""
    result = invoke(*words)
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    assert result.stdout == ""
    return result.stderr


@pytest.fixture
def cohort(picture_cohort, tmp_path) -> Path:
    """cohort.csv of a copy that a test may spoil, in a folder with a difficult name."""
    folder = tmp_path / "Fälle von Dr. O'Neil"
    shutil.copytree(picture_cohort.parent, folder)
    return folder / "cohort.csv"


@pytest.fixture
def config(quick_settings, tmp_path) -> Path:
    path = tmp_path / "study.toml"
    path.write_text(settings_toml(replace(quick_settings, recipes=("tiny",))), encoding="utf-8")
    return path


def read(cohort: Path) -> Rows:
    with cohort.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write(cohort: Path, rows: Rows, delimiter: str = ",", encoding: str = "utf-8", end: str = "\n") -> None:
    with cohort.open("w", newline="", encoding=encoding) as file:
        writer = csv.DictWriter(file, rows[0], delimiter=delimiter, lineterminator=end)
        writer.writeheader()
        writer.writerows(rows)


def grey(value: float) -> Picture.Image:
    return Picture.fromarray(np.full((48, 48), value, np.uint8))


def spoil_files(folder: Path, rows: Rows) -> None:
    picture = folder / rows[3]["image_view1"]
    picture.write_bytes(picture.read_bytes()[:300])
    (folder / rows[4]["image_view2"]).write_text("no picture", encoding="utf-8")
    grey(7).save(folder / rows[5]["image_view1"])
    noise = np.random.default_rng(0).random((1, 48, 48), dtype=np.float32)
    noise[0, 20, 20] = np.nan
    sitk.WriteImage(sitk.GetImageFromArray(noise), str(folder / "nan.nrrd"))
    rows[6]["image_view1"] = "nan.nrrd"
    grey(0).save(folder / "empty.png")
    rows[7] |= {"box_view1": "", "mask_view1": "empty.png"}
    rows[8]["box_view2"] = "30 30 60 60"


def change(index: int, **cells: str) -> Callable[[Path, Rows], None]:
    def spoil(folder: Path, rows: Rows) -> None:
        rows[index] |= cells

    return spoil


def keep(count: int) -> Callable[[Path, Rows], None]:
    def spoil(folder: Path, rows: Rows) -> None:
        del rows[count:]

    return spoil


def spoil_table(folder: Path, rows: Rows) -> None:
    rows[0]["label"] = "maligant"
    rows[1]["label"] = ""
    rows[2]["case_id"] = "c05"
    rows[3]["image_view2"] = ""
    rows[4]["box_view1"] = "30 30 20 20"
    rows[30]["patient_id"] = "p06"
    (folder / rows[7]["image_view1"]).unlink()


SPOILT_COHORTS = {
    "all that is wrong with a table": (
        spoil_table,
        (
            "7 problems",
            "cohort.csv:2:label: the label is not one of the two classes; found maligant; expected benign or malignant",
            "cohort.csv:3:label: the cell is empty. Give every row a label",
            "cohort.csv:7:case_id: the case id is also in row 4; found c05. Give each lesion an id of its own",
            "cohort.csv:5:image_view2: the image is missing",
            "cohort.csv:6:box_view1: the box cannot be used, the box is empty",
            "cohort.csv:8:label: patient p06 is in both classes; found row 8 benign, row 32 malignant",
            "cohort.csv:9:image_view1: the image is not there",
        ),
    ),
    "all that is wrong with the files": (
        spoil_files,
        (
            "6 problems",
            "case c03, view1: PLANTED_03_view1.png: the file cannot be read: damaged, cut short",
            "case c04, view2: PLANTED_04_view2.png: the file cannot be read",
            "case c05, view1: the image is one grey; found 7 to 7. Check that the file",
            "case c06, view1: nan.nrrd: pixels that are not numbers; found 1 of 2304 NaN or infinite. Replace them",
            "case c07, mask: empty.png: the mask is empty. Mark the lesion, or give a box",
            "case c08, view2: the box lies outside the image; found box 30 30 60 60",
        ),
    ),
    "one class": (keep(20), ("cohort.csv:1:label: all cases are of one class; found benign (20 rows)", "study.toml")),
    "fewer malignant cases than parts": (keep(26), ("no malignant case is left for this part", "Use fewer folds")),
    "no lesion marked": (
        change(5, box_view1="", box_view2=""),
        ("cohort.csv:7:mask_: the lesion is marked on no image", "Mark it on one"),
    ),
}


@pytest.mark.parametrize("name", SPOILT_COHORTS)
def test_a_study_names_every_problem_of_a_cohort_with_its_place(name, cohort, config, tmp_path):
    spoil, sentences = SPOILT_COHORTS[name]
    rows = [row | {"mask_view1": ""} for row in read(cohort)]
    spoil(cohort.parent, rows)
    write(cohort, rows)
    said = refused("study", cohort, "--out", tmp_path / "run", "--config", config)
    assert [sentence for sentence in sentences if sentence not in said] == []
    assert not (tmp_path / "run" / "scores.csv").exists()


def test_check_finds_what_a_study_would_stumble_over_and_exits_with_1(cohort, config):
    rows = [row | {"mask_view1": ""} for row in read(cohort)]
    spoil_files(cohort.parent, rows)
    write(cohort, rows)
    result = invoke("check", cohort, "--config", config, "--json")
    assert result.exit_code == 1
    findings = json.loads(result.stdout)
    assert sum(finding["severity"] == "error" for finding in findings) == 6
    said = invoke("check", cohort, "--config", config).stdout
    assert "RL101 error: case c07, mask: empty.png: the mask is empty. Mark the lesion" in said


BAD_OPTIONS = {
    "--folds 0": ("split.folds: is outside its range; found 0; expected 1 to 100",),
    "--folds -1": ("split.folds: is outside its range; found -1",),
    "--repeats 0": ("split.repeats: is outside its range",),
    "--epochs 0": ("training.max_epochs: is outside its range; found 0",),
    "--seed -1": ("seed: is outside its range; found -1; expected 0 to",),
    "--folds many": ("--folds", "valid integer"),
    "--profile slow": ("--profile", "'paper'"),
    "--recipes vgg19,tiny+lofx": ("2 problems", "'vgg19'", "BACKBONE one of vgg16", "DETECTOR one of ocsvm"),
    "--recipes ,": ("unknown recipe; found ''",),
    "--recipes reader:anna": ("Readers are added with --readers",),
    "--weights imagnet": ("--weights: cannot be followed; found imagnet; expected one of auto, imagenet, embedded",),
    "--weights auto --weights textures": ("--weights: cannot be followed; found auto, textures",),
    "--weights imagenet": ("weights.source: nobody publishes ImageNet weights of tiny. Leave weights.source at auto",),
    "--weights mobilnet=a.h5": ("weights.files.mobilnet: unknown backbone", "one of " + ", ".join(BACKBONES)),
    "--weights tiny=none.h5": ("weights.files.tiny: there is no such file; found none.h5. Check the path",),
    "--readers none.csv": ("none.csv: there is no such file",),
    "--config none.toml": ("none.toml: no such settings file. Check the path",),
    "--textures none": ("none: no photographs of materials; found no such folder", "procedural"),
}


@pytest.mark.parametrize("options", BAD_OPTIONS)
def test_a_study_refuses_options_it_cannot_follow(options, picture_cohort, config, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    recipes = () if "--recipes" in options else ("--recipes", "tiny+texture")
    words = ("study", picture_cohort, "--out", tmp_path / "run", "--config", config, *recipes, *options.split(" "))
    said = refused(*words)
    assert [sentence for sentence in BAD_OPTIONS[options] if sentence not in said] == []


def test_a_wrong_weight_file_is_told_from_a_damaged_one_and_the_folder_stays_free(cohort, config, tmp_path):
    wrong, damaged = tmp_path / "wrong.safetensors", tmp_path / "damaged.safetensors"
    mobilenet = BACKBONES["mobilenet"]()
    save_state(wrong, mobilenet.state_dict(), backbone_metadata(mobilenet))
    damaged.write_bytes(wrong.read_bytes()[:5000])
    study = ("study", cohort, "--out", tmp_path / "run", "--config", config)
    said = refused(*study, "--weights", f"tiny={wrong}")
    assert "wrong.safetensors: the weights do not fit tiny" in said
    assert "This is a file of mobilenet: use it for that backbone." in said
    said = refused(*study, "--weights", f"tiny={damaged}")
    assert "damaged.safetensors: not a readable weight file" in said
    assert "download it again" in said
    assert invoke(*study, "--workers", 1, "--folds", 1).exit_code == 0  # other settings, the same folder


def test_out_is_never_written_over(cohort, config, tmp_path):
    before = cohort.read_bytes()
    assert "is a file; expected a new folder or a run's. Choose another --out" in refused(
        "study", cohort, "--out", cohort, "--config", config
    )
    assert "is not empty and holds no run" in refused("study", cohort, "--out", cohort.parent, "--config", config)
    assert "cannot be written" in refused("study", cohort, "--out", cohort / "run", "--config", config)
    assert cohort.read_bytes() == before


def test_wrong_ratings_are_all_named(picture_cohort, config, tmp_path):
    readers = tmp_path / "readers.csv"
    readers.write_text("case_id,reader,rating\nc01,a,1\nc99,a,2\nc02,a,high\nc01,a,3\n", encoding="utf-8")
    said = refused("study", picture_cohort, "--out", tmp_path / "run", "--config", config, "--readers", readers)
    assert "readers.csv:3:case_id: the cohort has no such case; found c99. Did you mean" in said
    assert "readers.csv:4:rating: the rating is not a number; found high" in said
    assert "readers.csv:5:reader: a rated this case in row 2 already. Keep one" in said


def test_a_textures_folder_without_pictures_is_refused_before_anything_is_taught(picture_cohort, config, tmp_path):
    (tmp_path / "textures").mkdir()
    words = ("--recipes", "tiny+texture", "--textures", tmp_path / "textures")
    said = refused("study", picture_cohort, "--out", tmp_path / "run", "--config", config, *words)
    assert "textures: no photographs of materials; found no photograph" in said
    assert "Teaching" not in said


@pytest.mark.parametrize("kind", ["semicolons of Excel", "workbook", "Windows paths"])
def test_clumsy_tables_are_read_all_the_same(kind, cohort, picture_cohort, config, quick_settings):
    rows, table = read(cohort), cohort
    if kind == "semicolons of Excel":
        write(cohort, rows, ";", "utf-8-sig", "\r\n")
    elif kind == "workbook":
        book = openpyxl.Workbook()
        for row in [list(rows[0]), *(list(row.values()) for row in rows)]:
            book.worksheets[0].append(row)
        table = cohort.with_suffix(".xlsx")
        book.save(table)
    else:
        (cohort.parent / "sub").mkdir()
        for row in rows:
            (cohort.parent / row["image_view1"]).rename(cohort.parent / "sub" / row["image_view1"])
            row["image_view1"] = f"sub\\{row['image_view1']}"
        write(cohort, rows)
    found, expected = (read_cohort(path, quick_settings.cohort).cases for path in (table, picture_cohort))
    assert [(case.case_id, case.label, case.columns) for case in found] == [
        (case.case_id, case.label, case.columns) for case in expected
    ]
    checks = (invoke("check", path, "--config", config, "--json") for path in (table, picture_cohort))
    codes, of_the_plain_one = ([finding["code"] for finding in json.loads(one.stdout)] for one in checks)
    assert codes == of_the_plain_one


def test_dangerous_names_stay_text(cohort, config, tmp_path):
    names = ("../../x", "a/b\\c", "x" * 300, "=cmd()", '"q",', "<script>alert(1)</script>", "ü \u202e")
    rows = read(cohort)
    for row, name in zip(rows, names, strict=False):
        row |= {"case_id": name, "subtype": "<img src=x>"}
    write(cohort, rows)
    result = invoke("study", cohort, "--out", tmp_path / "run", "--config", config, "--workers", 1, "--folds", 1)
    assert result.exit_code == 0, result.output
    assert {path.name for path in (tmp_path / "run" / "embeddings").iterdir()} == {"tiny-r0f0.npz"}
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "<script>alert" not in page
    assert "<img src=x" not in page
    assert "&lt;img src=x&gt;" in page
    with (tmp_path / "run" / "cohort.csv").open(newline="", encoding="utf-8") as file:
        assert [row["case_id"] for row in csv.DictReader(file)][: len(names)] == list(names)


def test_a_table_in_another_encoding_says_how_to_save_it(cohort, config, tmp_path):
    rows = read(cohort)
    rows[0]["subtype"] = "Drüse"
    write(cohort, rows, ";", "latin-1")
    said = refused("study", cohort, "--out", tmp_path / "run", "--config", config)
    assert "cohort.csv: not a table in UTF-8 text. In Excel choose 'Save as' and 'CSV UTF-8'" in said


HEAD = "recipe,case_id,label,score\n"


def scores_of(*scores: float, positives: int = 5) -> str:
    lines = (
        f"a,c{i},{'malignant' if i < positives else 'benign'},{score}" for i, score in enumerate(scores or range(20))
    )
    return HEAD + "\n".join(lines) + "\n"


BAD_SCORES = {
    "not a number": (scores_of().replace(",7\n", ",nan\n"), (":9:score: unusable value; found 'nan'", "finite")),
    "another label": (scores_of().replace("c7,benign", "c7,sane"), (":9:label: unusable value; found 'sane'",)),
    "one class": (scores_of(positives=0), ("found 20 benign and 0 malignant test cases",)),
    "a row twice": (scores_of() + "a,c0,malignant,1\n", (":22: scores a case a second time in the same fold",)),
    "no rows": (HEAD, ("is not a whole table; found no row",)),
    "no column": ("recipe,case_id\na,b\n", ("misses the column label, score", "found the columns recipe, case_id")),
    "nothing": ("", ("found an empty file",)),
}


@pytest.mark.parametrize("name", BAD_SCORES)
def test_evaluate_refuses_scores_it_cannot_use(name, tmp_path):
    content, sentences = BAD_SCORES[name]
    path = tmp_path / "scores.csv"
    path.write_text(content, encoding="utf-8")
    said = refused("evaluate", path)
    assert [sentence for sentence in sentences if sentence not in said] == []


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ("--bootstrap 0", "statistics.bootstrap: is outside its range; found 0; expected 100 to"),
        ("--confidence 95", "statistics.confidence: is outside its range; found 95; expected above 0 and below 1"),
        ("--reference b", "statistics.reference: no such recipe; found 'b'; expected a"),
    ],
)
def test_evaluate_refuses_options_it_cannot_follow(options, sentence, tmp_path):
    path = tmp_path / "scores.csv"
    path.write_text(scores_of(), encoding="utf-8")
    assert sentence in refused("evaluate", path, *options.split(" "))


def test_evaluate_bears_one_malignant_case_and_constant_scores(tmp_path):
    path = tmp_path / "scores.csv"
    path.write_text(scores_of(*[1.0] * 20, positives=1), encoding="utf-8")
    result = json.loads(invoke("evaluate", path, "--json").stdout)["recipes"]["a"]
    assert result["roc_auc"]["value"] == 0.5
    assert result["roc_auc"]["low"] < 0.2
    assert result["roc_auc"]["high"] > 0.8


DAMAGED = {
    "study.toml": ("cannot be read as TOML", "put back from a copy"),
    "splits.json": ("is not JSON", "remove it and give the study's command again"),
    "embeddings/tiny-r0f0.npz": ("is not a readable embeddings file", "Remove it"),
    "cohort.csv": ("is not the table of a run's cases", "remove it and give the study's command again"),
    "networks/tiny-r0f0/weights.safetensors": ("is damaged or another network's", "embeddings/tiny-r0f0.npz"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_predict_names_the_damaged_file_of_a_run_and_how_to_mend_it(name, finished_run, picture_cohort, tmp_path):
    shutil.copytree(finished_run, tmp_path / "run")
    path = tmp_path / "run" / name
    path.write_bytes(path.read_bytes()[: 0 if name == "cohort.csv" else 100])
    said = refused("predict", tmp_path / "run", picture_cohort, "--recipe", "tiny")
    assert path.name in said
    assert [sentence for sentence in DAMAGED[name] if sentence not in said] == []


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("provenance.json", "[]", "is not the record of a run"),
        ("networks/tiny-r0f0/history.csv", "epoch\n1\n", "is not a training history. Remove it"),
        ("scores.csv", "recipe\ntiny\n", "misses the column case_id, label, score"),
    ],
)
def test_report_names_the_damaged_file_of_a_run(name, content, sentence, finished_run, tmp_path):
    shutil.copytree(finished_run, tmp_path / "run")
    (tmp_path / "run" / name).write_text(content, encoding="utf-8")
    assert sentence in refused("report", tmp_path / "run")


def test_a_network_that_was_removed_as_told_is_made_again_the_same(picture_cohort, finished_run, config, tmp_path):
    shutil.copytree(finished_run, tmp_path / "run")
    (tmp_path / "run" / "networks" / "tiny-r0f0" / "weights.safetensors").unlink()
    (tmp_path / "run" / "embeddings" / "tiny-r0f0.npz").unlink()
    readers = picture_cohort.with_name("readers.csv")
    words = ("study", picture_cohort, "--out", tmp_path / "run", "--config", config, "--readers", readers)
    assert invoke(*words, "--workers", 1).exit_code == 0
    assert (tmp_path / "run" / "scores.csv").read_bytes() == (finished_run / "scores.csv").read_bytes()


def test_folders_that_are_no_run_are_said_to_be_none(picture_cohort, tmp_path):
    assert "holds no scores.csv. Finish the study first" in refused("report", tmp_path)
    assert "holds no run. Give the folder a study wrote" in refused("predict", tmp_path, picture_cohort)
    assert "is a folder; expected a table" in refused("check", tmp_path)


def test_predict_says_which_sequence_is_missing(picture_cohort, finished_run):
    picture = picture_cohort.with_name("PLANTED_00_view1.png")
    said = refused("predict", finished_run, "--image", f"view1={picture}", "--box", "view1=14 14 34 34")
    assert "the study reads the sequences view1, view2, and not all of them are given; found view1" in said
    assert "Add --image view2=FILE, or a column image_view2" in said


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ((), "needs either a CASE table or --image options"),
        (("--image", "view1"), "--image: names no sequence; found 'view1'; expected SEQUENCE=FILE"),
        (("--image", "view1=a.png", "--image", "view1=b.png"), "--image: names a sequence twice; found view1"),
        (("--image", "view1=none.png", "--box", "view1=1 2 3 4"), "--image view1: the image is not there"),
        (("--image", "view1=none.png", "--box", "view1=1 2 3"), "--box view1: the box cannot be used"),
        (("--recipe", "reader:anna"), "--recipe: is not in this run; found 'reader:anna'; expected one of tiny,"),
    ],
)
def test_predict_refuses_what_it_cannot_read(words, sentence, finished_run):
    assert sentence in refused("predict", finished_run, *words)


def test_predict_reads_rows_and_files_alike(picture_cohort, finished_run, tmp_path):
    rng = np.random.default_rng(99)
    for view in ("view1", "view2"):
        Picture.fromarray(draw_lesion(rng, malignant=True)).save(tmp_path / f"{view}.png")
    table = tmp_path / "new.csv"
    table.write_text(
        "case_id,image_view1,image_view2,box_view1,box_view2\nnext one,view1.png,view2.png,14 14 34 34,14 14 34 34\n",
        encoding="utf-8",
    )
    options = [f"--image=view{n}={tmp_path / f'view{n}.png'}" for n in (1, 2)]
    options += [f"--box=view{n}=14 14 34 34" for n in (1, 2)]
    by_row = json.loads(invoke("predict", finished_run, table, "--json").stdout)
    by_files = json.loads(invoke("predict", finished_run, *options, "--json").stdout)
    assert by_row[0].pop("case_id") == "next one"
    assert by_files[0].pop("case_id") == "new case"
    assert by_row == by_files
    assert by_row[0]["known_as"] is None
    said = invoke("predict", finished_run, table).stdout
    assert said.startswith(f"next one: {by_row[0]['decision']}")
    assert "not for diagnosis" in said


def names_of_a_patient(folder: Path) -> None:
    for path in folder.iterdir():
        dataset = pydicom.dcmread(path)
        dataset.PatientName, dataset.PatientID, dataset.AccessionNumber = f"{SECRET}^Anna", f"{SECRET}1", f"{SECRET}2"
        dataset.PatientBirthDate, dataset.ReferringPhysicianName = "19530417", f"{SECRET}^Dr"
        dataset.save_as(path)


def dicom_cohort(folder: Path) -> Path:
    """Twelve cases of one sequence as DICOM series full of the patient's names; boxes on the middle slice."""
    rng = np.random.default_rng(5)
    rows = []
    for number in range(12):
        pixels = np.stack([draw_lesion(rng, malignant=number >= 6) for _ in range(3)]).astype(np.int16)
        series = folder / f"s{number}"
        write_series(series, pixels, np.diag([4.0, 1.0, 1.0, 1.0])[[2, 1, 0, 3]], "T1", {}, str(number))
        names_of_a_patient(series)
        label = "malignant" if number >= 6 else "benign"
        rows.append({"case_id": f"c{number}", "patient_id": f"p{number}", "label": label, "image_T1": f"s{number}"})
        rows[-1] |= {"box_T1": "1 14 14 34 34", "patient_name": f"{SECRET} {number}", "born": "19530417"}
    write(folder / "cohort.csv", rows)
    return folder / "cohort.csv"


def test_nothing_of_a_dicom_patient_reaches_any_output(config, tmp_path):
    cohort, run = dicom_cohort(tmp_path / "cohort"), tmp_path / "run"
    said = [
        invoke("check", cohort, "--config", config),
        invoke("check", cohort, "--config", config, "--json"),
        invoke("study", cohort, "--out", run, "--config", config, "--folds", 1, "--workers", 1),
        invoke("report", run),
        invoke("predict", run, cohort),
        invoke("predict", run, cohort, "--json"),
        invoke("predict", run, "--image", f"T1={tmp_path / 'cohort' / 's1'}", "--box", "T1=99 14 14 34 34"),
    ]
    assert [result.exit_code for result in said] == [1, 1, 0, 0, 0, 0, 2]
    for path in [path for path in run.rglob("*") if path.is_file()]:
        content = path.read_bytes()
        assert SECRET.encode() not in content, path
        assert b"19530417" not in content, path
    for result in said:
        assert SECRET not in result.output
        assert "19530417" not in result.output


COMMAND = (sys.executable, "-m", "rarelesion")


def start(cohort: Path, out: Path, config: Path) -> subprocess.Popen[str]:
    words = (*COMMAND, "study", cohort, "--out", out, "--config", config, "--workers", "1")
    return subprocess.Popen(
        [str(word) for word in words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        preexec_fn=hear_ctrl_c if os.name == "posix" else None,
    )


def hear_ctrl_c() -> None:
    """Where the tests run in the background, Ctrl-C is ignored, and a child would inherit that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def wait_for(process: subprocess.Popen[str], path: Path) -> None:
    end = time.monotonic() + 60
    while not path.exists() and process.poll() is None and time.monotonic() < end:
        time.sleep(0.005)


def test_a_study_killed_and_stopped_goes_on_and_ends_with_the_same_scores(picture_cohort, quick_settings, tmp_path):
    config = tmp_path / "study.toml"
    config.write_text(settings_toml(replace(quick_settings, recipes=("tiny", "tiny+l2"))), encoding="utf-8")
    run = tmp_path / "run"
    killed = start(picture_cohort, run, config)
    wait_for(killed, run / "embeddings" / "tiny-r0f0.npz")
    killed.kill()
    killed.communicate()
    assert not (run / "scores.csv").exists()
    kept = (run / "embeddings" / "tiny-r0f0.npz").stat().st_mtime_ns
    if os.name == "posix":
        stopped = start(picture_cohort, run, config)
        wait_for(stopped, run / "embeddings" / "tiny+l2-r0f0.npz")
        stopped.send_signal(signal.SIGINT)
        said = stopped.communicate()[1]
        assert stopped.returncode == 130
        assert "Stopped. Give the same command again to go on where it stopped." in said
        assert "Traceback" not in said
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as in the other processes: sums in another order end in other last digits
    for out in (run, tmp_path / "whole"):
        assert invoke("study", picture_cohort, "--out", out, "--config", config, "--workers", 1).exit_code == 0
    torch.set_num_threads(threads)
    assert (run / "embeddings" / "tiny-r0f0.npz").stat().st_mtime_ns == kept
    assert (run / "scores.csv").read_bytes() == (tmp_path / "whole" / "scores.csv").read_bytes()


def test_help_and_version_load_neither_torch_nor_matplotlib():
    code = (
        "import sys; from rarelesion.cli import app; from typer.testing import CliRunner\n"
        "assert CliRunner().invoke(app, ['study', '--help']).exit_code == 0\n"
        "print(sorted({'torch', 'matplotlib', 'sklearn', 'scipy', 'numpy'} & set(sys.modules)))"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"
    assert invoke("--version").stdout == f"rarelesion {__version__}\n"
