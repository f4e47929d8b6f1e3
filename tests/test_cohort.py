"""The table of cases: what is read, and every way in which it can be wrong."""

from pathlib import Path

import openpyxl
import pytest

from rarelesion.cohort import UNKNOWN_LABEL, make_case, parse_box, read_cohort, read_new_cases, read_ratings
from rarelesion.errors import InputError
from rarelesion.settings import CohortSettings
from rarelesion.types import Cohort, Roi

HEADER = "case_id,patient_id,label,image_T1,box_T1,sex"
SETTINGS = CohortSettings()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a", "b", "c"):
        (tmp_path / f"{name}.png").write_bytes(b"not opened here")
    return tmp_path


def write(folder: Path, *lines: str, name: str = "cohort.csv", encoding: str = "utf-8") -> Path:
    path = folder / name
    path.write_text("\n".join(lines) + "\n", encoding=encoding)
    return path


def problems(path: Path, settings: CohortSettings = SETTINGS) -> dict[str, str]:
    """Place -> sentence of everything wrong with a cohort."""
    with pytest.raises(InputError) as caught:
        read_cohort(path, settings)
    return {problem.where: str(problem) for problem in caught.value.problems}


def good_lines() -> list[str]:
    return [HEADER, "1,p1,benign,a.png,0 0 4 5,F", "2,p2,Malignant,b.png,1 2 4 5,M", "3,p2,malignant,c.png,2 2 9 9,M"]


def good(folder: Path) -> Cohort:
    return read_cohort(write(folder, *good_lines()), SETTINGS)


def test_a_cohort_is_read_as_written(folder: Path) -> None:
    cohort = good(folder)
    assert cohort.sequences == ("T1",)
    assert cohort.labels.tolist() == [0, 1, 1]
    second = cohort.cases[1]
    assert (second.case_id, second.patient_id, second.split) == ("2", "p2", None)
    assert second.images == {"T1": folder / "b.png"}
    roi = second.rois["T1"]
    assert isinstance(roi, Roi)
    assert (roi.box, roi.slice_index) == ((1, 2, 4, 5), None)
    assert second.columns == {"sex": "M"}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_separators_and_excels_byte_order_mark_are_recognised(folder: Path, separator: str, encoding: str) -> None:
    lines = [line.replace(",", separator) for line in good_lines()]
    cohort = read_cohort(write(folder, *lines, encoding=encoding), SETTINGS)
    assert [case.case_id for case in cohort.cases] == ["1", "2", "3"]
    assert cohort.cases[0].columns == {"sex": "F"}


def test_an_excel_sheet_is_the_same_table(folder: Path) -> None:
    workbook = openpyxl.Workbook()
    for line in good_lines():
        cells = [int(cell) if cell.isdecimal() else cell for cell in line.split(",")]
        workbook.worksheets[0].append(cells)
    workbook.save(folder / "cohort.xlsx")
    cohort = read_cohort(folder / "cohort.xlsx", SETTINGS)
    assert [case.case_id for case in cohort.cases] == ["1", "2", "3"]
    assert cohort.labels.tolist() == [0, 1, 1]


def test_rows_are_numbered_as_a_spreadsheet_shows_them(folder: Path) -> None:
    lines = [
        HEADER,
        "1,p1,benign,a.png,0 0 4 5,F",
        "",
        '2,p2,malignant,b.png,0 0 4 5,"M"',
        "3,p3,benign,no.png,0 0 1 1,F",
    ]
    assert set(problems(write(folder, *lines))) == {"cohort.csv:5:image_T1"}


def test_every_problem_is_reported_at_its_cell(folder: Path) -> None:
    lines = [
        HEADER,
        "1,p1,benign,a.png,0 0 4 5,F",
        "1,p2,malignant,b.png,0 0 4 5,F",
        "3,p3,bening,c.png,0 0 4 5,F",
        "4,p4,benign,Aa.png,0 0 4 5,F",
        "5,p5,benign,,0 0 4 5,F",
        "6,p6,benign,a.png,5 0 4 5,F",
        "7,p7,benign,a.png,-1 0 4 5,F",
        "8,p8,benign,a.png,1 2 3,F",
        "9,p9,benign,a.png,,F",
    ]
    found = problems(write(folder, *lines))
    assert list(found) == [
        "cohort.csv:3:case_id",
        "cohort.csv:4:label",
        "cohort.csv:5:image_T1",
        "cohort.csv:6:image_T1",
        "cohort.csv:7:box_T1",
        "cohort.csv:8:box_T1",
        "cohort.csv:9:box_T1",
        "cohort.csv:10:mask_",
    ]
    assert "row 2" in found["cohort.csv:3:case_id"]
    assert "bening" in found["cohort.csv:4:label"]
    assert "positive" in found["cohort.csv:4:label"]
    assert "Did you mean a.png" in found["cohort.csv:5:image_T1"]
    assert "negative" in found["cohort.csv:8:box_T1"]


def test_a_cohort_with_other_words_names_them_once(folder: Path) -> None:
    lines = [line.replace("benign", "0").replace("Malignant", "1").replace("malignant", "1") for line in good_lines()]
    found = problems(write(folder, *lines))
    assert list(found) == ["cohort.csv:1:label"]
    assert "0 (1 rows), 1 (2 rows)" in found["cohort.csv:1:label"]
    cohort = read_cohort(write(folder, *lines), CohortSettings(positive="1", negative="0"))
    assert cohort.labels.tolist() == [0, 1, 1]


def test_one_class_is_no_cohort(folder: Path) -> None:
    found = problems(write(folder, *good_lines()[:2]))
    assert "all cases are of one class" in found["cohort.csv:1:label"]


def test_missing_columns_are_all_named_with_a_remedy(folder: Path) -> None:
    found = problems(write(folder, "Case,label,box_T2", "1,benign,0 0 1 1"))
    assert "Repeat case_id there" in found["cohort.csv:1:patient_id"]
    assert set(found) == {
        "cohort.csv:1:case_id",
        "cohort.csv:1:patient_id",
        "cohort.csv:1:image_",
        "cohort.csv:1:box_T2",
    }


def test_empty_ids_are_named_by_cell(folder: Path) -> None:
    found = problems(write(folder, *good_lines(), ",,,a.png,0 0 1 1,F"))
    assert set(found) == {"cohort.csv:5:case_id", "cohort.csv:5:patient_id", "cohort.csv:5:label"}


def test_a_patient_in_both_classes_must_be_meant(folder: Path) -> None:
    lines = [line.replace("p2", "p1") for line in good_lines()]
    found = problems(write(folder, *lines))
    sentence = found["cohort.csv:2:label"]
    assert "row 2 benign, row 3 Malignant, row 4 malignant" in sentence
    assert "allow_mixed_patients = true" in sentence
    assert len(read_cohort(write(folder, *lines), CohortSettings(allow_mixed_patients=True)).cases) == 3


def with_split(*words: str) -> list[str]:
    return [f"{line},{word}" for line, word in zip(good_lines(), ("split", *words), strict=True)]


def test_a_given_split_is_kept(folder: Path) -> None:
    cohort = read_cohort(write(folder, *with_split("Train", "test", "test")), SETTINGS)
    assert [case.split for case in cohort.cases] == ["train", "test", "test"]
    assert [case.split for case in read_cohort(write(folder, *with_split("", "", "")), SETTINGS).cases] == [None] * 3


def test_a_split_must_be_whole_and_keep_patients_together(folder: Path) -> None:
    assert "validation" in problems(write(folder, *with_split("validation", "test", "test")))["cohort.csv:2:split"]
    assert "empty in row 2" in problems(write(folder, *with_split("", "test", "test")))["cohort.csv:2:split"]
    sentence = problems(write(folder, *with_split("train", "tune", "test")))["cohort.csv:3:split"]
    assert "p2 is in more than one part" in sentence
    assert "row 3 tune, row 4 test" in sentence


def test_masks_and_boxes(folder: Path) -> None:
    (folder / "m.png").write_bytes(b"")
    header = "case_id,patient_id,label,image_T1,image_T2,mask_T1,box_T2"
    rows = ["1,1,benign,a.png,b.png,m.png,", "2,2,malignant,a.png,b.png,,3 0 0 4 5", "3,3,benign,a.png,b.png,n.png,"]
    cohort = read_cohort(write(folder, header, *rows[:2]), SETTINGS)
    assert cohort.cases[0].rois == {"T1": folder / "m.png"}
    roi = cohort.cases[1].rois["T2"]
    assert isinstance(roi, Roi)
    assert (roi.slice_index, roi.box) == (3, (0, 0, 4, 5))
    assert set(problems(write(folder, header, *rows))) == {"cohort.csv:4:mask_T1"}


def test_both_a_mask_and_a_box_for_one_image_is_a_question(folder: Path) -> None:
    lines = [f"{line},{cell}" for line, cell in zip(good_lines(), ("mask_T1", "a.png", "", ""), strict=True)]
    assert "a mask and a box" in problems(write(folder, *lines))["cohort.csv:2:box_T1"]


def test_an_empty_folder_is_no_series(folder: Path) -> None:
    (folder / "series").mkdir()
    lines = [line.replace("a.png", "series") for line in good_lines()]
    assert "the folder is empty" in problems(write(folder, *lines))["cohort.csv:2:image_T1"]


def test_paths_written_on_windows_and_absolute_paths_are_found(folder: Path) -> None:
    (folder / "sub").mkdir()
    (folder / "sub" / "d.png").write_bytes(b"")
    lines = good_lines()
    lines[1] = lines[1].replace("a.png", "sub\\d.png")
    lines[2] = lines[2].replace("b.png", str(folder / "b.png"))
    cohort = read_cohort(write(folder, *lines), SETTINGS)
    assert cohort.cases[0].images["T1"].samefile(folder / "sub" / "d.png")
    assert cohort.cases[1].images["T1"] == folder / "b.png"


def test_new_cases_need_neither_label_nor_patient(folder: Path) -> None:
    cohort = read_new_cases(write(folder, "case_id,image_T1,box_T1", "9,a.png,0 0 4 5"), SETTINGS)
    (case,) = cohort.cases
    assert (case.patient_id, case.label) == ("9", UNKNOWN_LABEL)
    labelled = read_new_cases(write(folder, *good_lines()[:2]), SETTINGS)
    assert labelled.labels.tolist() == [0]
    with pytest.raises(InputError, match=r"cohort.csv:2:label.*maybe"):
        read_new_cases(write(folder, HEADER, "1,p1,maybe,a.png,0 0 4 5,F"), SETTINGS)


def test_a_case_can_be_made_without_a_table(folder: Path) -> None:
    case = make_case("next", {"T1": folder / "a.png", "T2": folder / "b.png"}, {}, {"T1": "0 0 4 5"})
    assert case.images == {"T1": folder / "a.png", "T2": folder / "b.png"}
    assert (case.label, list(case.rois)) == (UNKNOWN_LABEL, ["T1"])
    with pytest.raises(InputError) as caught:
        make_case("next", {"T1": folder / "x.png"}, {}, {})
    assert [problem.what for problem in caught.value.problems] == [
        "the image is not there",
        "the lesion is marked on no image",
    ]


@pytest.mark.parametrize("text", ["", "1 2 3", "1 2 3 4 5 6", "a b c d", "0 0 0 5", "4 0 4 5", "0 0 1.5 2", "-1 0 2 2"])
def test_malformed_boxes_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"numbers|negative|empty"):
        parse_box(text)


def ratings(folder: Path, *rows: str) -> Path:
    return write(folder, "case_id,reader,rating", *rows, name="readers.csv")


def test_ratings_are_read(folder: Path) -> None:
    first, second = read_ratings(ratings(folder, "1,A,4", "2,A,1.5"), good(folder))
    assert (first.case_id, first.reader, first.rating, second.rating) == ("1", "A", 4.0, 1.5)


def test_wrong_ratings_are_all_named(folder: Path) -> None:
    path = ratings(folder, "1,A,4", "8,A,1", "2,A,high", "3,A,nan", "1,A,5", "2,B,")
    with pytest.raises(InputError) as caught:
        read_ratings(path, good(folder))
    assert [problem.where for problem in caught.value.problems] == [
        "readers.csv:7:rating",
        "readers.csv:3:case_id",
        "readers.csv:4:rating",
        "readers.csv:5:rating",
        "readers.csv:6:reader",
    ]


def test_the_real_cohort_loads_with_its_readers(shared_data: Path) -> None:
    source = shared_data / "cohorts" / "busbra"
    cohort = read_cohort(source / "cohort.csv", SETTINGS)
    assert (len(cohort.cases), int(cohort.labels.sum()), cohort.sequences) == (640, 212, ("view1", "view2"))
    rated = read_ratings(source / "readers.csv", cohort)
    assert {rating.rating for rating in rated} == {2.0, 3.0, 4.0, 5.0}
