"""The table of diagnoses: people's tables as they are, and nothing of them passed on."""

from pathlib import Path

import openpyxl
import pytest

from rarelesion.diagnoses import patient_of, read_diagnoses
from rarelesion.errors import InputError
from rarelesion.import_settings import ImportSettings
from rarelesion.pseudonyms import pseudonym

KEY = bytes(range(32))
WORDS = ImportSettings(positive="carcinoma", negative="adenoma")


def known(*numbers):
    return {pseudonym(KEY, "patient", number) for number in numbers}


def table(folder: Path, text: str) -> Path:
    path = folder / "table.csv"
    path.write_text(text, encoding="utf-8")
    return path


def problems_of(path, settings=WORDS, patients=frozenset()):
    with pytest.raises(InputError) as caught:
        read_diagnoses(path, KEY, patients or known("1", "2"), settings)
    return [str(problem) for problem in caught.value.problems]


def test_rows_become_diagnoses_and_the_rest_is_listed(tmp_path):
    path = table(
        tmp_path,
        "patient_id,label,lesion,point_mm,diameter_mm,name\n"
        "1,Carcinoma,,1.5 -2 3,12.5,Ann\n2,adenoma,tumour,,,Bea\n3,adenoma,,,,Cat\n"
        "1,cyst,,,,Ann\n,adenoma,,,,\n2,,,,,\n",
    )
    rows, asides = read_diagnoses(path, KEY, known("1", "2"), WORDS)
    assert [(one.row, one.label, one.lesion, one.ball) for one in rows] == [
        (2, 1, "", ((1.5, -2.0, 3.0), 12.5)),
        (3, 0, "tumour", None),
    ]
    assert [(one.row, one.code) for one in asides] == [
        (4, "no-dicom"),
        (5, "other-label"),
        (6, "no-patient"),
        (7, "no-label"),
    ]
    assert not any("Ann" in repr(one) or "Cat" in repr(one) for one in (*rows, *asides))


def test_a_number_that_lost_its_zeros_finds_its_patient():
    assert patient_of("42", KEY, known("00042", "77")) == pseudonym(KEY, "patient", "00042")
    assert patient_of("42.0", KEY, known("00042", "77")) == pseudonym(KEY, "patient", "00042")
    assert patient_of("ab12", KEY, known("AB12")) == pseudonym(KEY, "patient", "AB12")


def test_a_number_that_fits_two_patients_is_given_to_neither():
    patients = known("00042", "042")
    assert patient_of("42", KEY, patients) not in patients


def test_excel_numbers_are_read_as_they_look(tmp_path):
    book = openpyxl.Workbook()
    book.active.append(["patient_id", "label", "age"])
    book.active.append([1.0, "carcinoma", 61])
    book.active.append([2, "adenoma", 40])
    book.save(tmp_path / "t.xlsx")
    settings = ImportSettings(positive="carcinoma", negative="adenoma", keep=("age",))
    rows, asides = read_diagnoses(tmp_path / "t.xlsx", KEY, known("1", "2"), settings)
    assert [dict(one.columns) for one in rows] == [{"age": "61"}, {"age": "40"}]
    assert asides == ()


def test_a_missing_column_names_its_neighbour(tmp_path):
    found = problems_of(table(tmp_path, "Patient-ID,label\n1,carcinoma\n2,adenoma\n"))
    assert len(found) == 1
    assert "expected patient_id" in found[0]
    assert "--patient-column" in found[0]


def test_the_positive_word_is_never_guessed(tmp_path):
    found = problems_of(table(tmp_path, "patient_id,label\n1,yes\n2,no\n1,yes\n2,no\n"))
    assert len(found) == 1
    assert "yes (2), no (2)" in found[0]
    assert "never guessed" in found[0]


def test_words_with_umlauts_are_found_however_they_are_written(tmp_path):
    settings = ImportSettings(positive="b\u00f6sartig", negative="gutartig")
    text = "patient_id,label\n1,Bo\u0308sartig\n2,Gutartig\n"
    rows, asides = read_diagnoses(table(tmp_path, text), KEY, known("1", "2"), settings)
    assert ([one.label for one in rows], asides) == ([1, 0], ())


def test_names_in_a_wrong_label_column_are_not_repeated(tmp_path):
    rows = "".join(f"{n},Person{n}\n" for n in range(8))
    found = problems_of(table(tmp_path, f"patient_id,label\n{rows}"))
    assert "Person" not in found[0]
    assert "8 different words" in found[0]


@pytest.mark.parametrize(
    ("column", "entries", "reason"),
    [
        ("born", [f"{day:02d}.03.1951" for day in range(1, 25)], "dates"),
        ("seen", [f"2019{month:02d}01" for month in range(1, 13)] * 2, "dates"),
        ("who", [f"Person {n}" for n in range(24)], "different words"),
        ("number", [f"{n}" for n in range(1000000, 1000024)], "long numbers"),
        ("surname", ["Smith", "Jones"] * 12, "header"),
        ("group", ["Smith", "Jones", "Brown", "Ng", "Silva", "Haddad"], "6 different words"),
        ("Remarks", ["seen by Dr Smith", ""] * 12, "what they like"),
    ],
)
def test_columns_that_may_identify_are_not_kept(tmp_path, column, entries, reason):
    lines = [f"{n % 2 + 1},{('carcinoma', 'adenoma')[n % 2]},{n},{entry}" for n, entry in enumerate(entries)]
    text = f"patient_id,label,lesion,{column}\n" + "\n".join(lines)
    settings = ImportSettings(positive="carcinoma", negative="adenoma", keep=(column,))
    found = problems_of(table(tmp_path, text), settings)
    assert len(found) == 1
    assert reason in found[0]
    assert entries[0] not in found[0]


@pytest.mark.parametrize("column", ["roi", "image_T1", "box_T2"])
def test_paths_and_places_are_never_copied(tmp_path, column):
    text = f"patient_id,label,{column}\n1,carcinoma,\n2,adenoma,\n"
    settings = ImportSettings(positive="carcinoma", negative="adenoma", keep=(column,))
    assert "this column is never copied" in problems_of(table(tmp_path, text), settings)[0]


def test_the_same_lesion_twice_is_an_error(tmp_path):
    found = problems_of(table(tmp_path, "patient_id,label\n1,carcinoma\n2,adenoma\n1,carcinoma\n"))
    assert len(found) == 1
    assert "same lesion as in row 2;" in found[0]
    found = problems_of(table(tmp_path, "patient_id,label\n1,carcinoma\n2,adenoma\n1,adenoma\n"))
    assert "same lesion as in row 2 with the other label;" in found[0]


def test_all_bad_cells_are_told_at_once_and_no_path(tmp_path):
    text = (
        "patient_id,label,roi,box_T1,point_mm,diameter_mm,box_CT\n"
        "1,carcinoma,Ann_mask.nii,,,,\n2,adenoma,,1 2 3,,,\n2,adenoma,,,1 2,5,\n2,adenoma,,,,,0 0 0 5 5\n"
    )
    found = problems_of(table(tmp_path, text))
    assert [one.split(":")[1] for one in found] == ["2", "3", "4", "5"]
    assert "Ann" not in " ".join(found)
