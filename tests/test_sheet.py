"""Tables as spreadsheets hold them."""

import zipfile
from pathlib import Path

import openpyxl
import pytest

from rarelesion.errors import InputError
from rarelesion.sheet import read_sheet


def sheet(folder: Path, text: str | bytes, name: str = "t.csv") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_cells_are_trimmed_padded_and_placed(tmp_path: Path) -> None:
    table = read_sheet(sheet(tmp_path, 'a , b,c,\r\n1," two, ""x"" "\r\n\r\n,,\r\n3,4,5,\r\n'))
    assert table.columns == ("a", "b", "c")
    assert [dict(row.cells) for row in table.rows] == [
        {"a": "1", "b": 'two, "x"', "c": ""},
        {"a": "3", "b": "4", "c": "5"},
    ]
    assert [row.at("b") for row in table.rows] == ["t.csv:2:b", "t.csv:5:b"]


def test_excel_numbers_look_as_in_the_sheet(tmp_path: Path) -> None:
    workbook = openpyxl.Workbook()
    for record in (["a", "b", None], [7.0, 1.5, None], [None, None, None], ["x", None, None]):
        workbook.worksheets[0].append(record)
    workbook.save(tmp_path / "t.xlsx")
    table = read_sheet(tmp_path / "t.xlsx")
    assert [dict(row.cells) for row in table.rows] == [{"a": "7", "b": "1.5"}, {"a": "x", "b": ""}]
    assert table.rows[1].number == 4


def test_the_first_sheet_that_shows_is_read_whatever_size_the_file_says_it_has(tmp_path: Path) -> None:
    workbook = openpyxl.Workbook()
    workbook.active.append(["list of words"])
    workbook.active.sheet_state = "hidden"
    shown = workbook.create_sheet()
    for record in (["a", "b"], [1, 2]):
        shown.append(record)
    workbook.save(tmp_path / "whole.xlsx")
    with zipfile.ZipFile(tmp_path / "whole.xlsx") as whole, zipfile.ZipFile(tmp_path / "t.xlsx", "w") as table:
        for name in whole.namelist():
            table.writestr(name, whole.read(name).replace(b'<dimension ref="A1:B2"', b'<dimension ref="A1"'))
    assert [dict(row.cells) for row in read_sheet(tmp_path / "t.xlsx").rows] == [{"a": "1", "b": "2"}]


def test_a_line_that_tells_excel_the_separator_is_no_header(tmp_path: Path) -> None:
    table = read_sheet(sheet(tmp_path, "sep=;\r\na;b,c\r\n1;2\r\n"))
    assert [dict(row.cells) for row in table.rows] == [{"a": "1", "b,c": "2"}]
    assert table.rows[0].number == 3


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("t.csv", "", "the table is empty"),
        ("t.csv", "a,b\n", "no rows"),
        ("t.csv", "a,a\n1,2\n", r"t.csv:1:a: two columns have the same name"),
        ("t.csv", "a,,b\n1,2,3\n", "a column has no name"),
        ("t.csv", "a,b\n1,2,3\n", r"t.csv:2:3: the row has more cells"),
        ("t.csv", "Our study\na,b\n1,2\n3,4\n", r"t.csv:1: the first line is no header; found 1 cells"),
        ("t.csv", 'a,b\n"1,2\n', "not a table"),
        ("t.csv", "a,b\n1,Müller\n".encode("cp1252"), "UTF-8"),
        ("t.csv", b"\x89PNG\r\n\x1a\n\x00\xff", "UTF-8"),
        ("t.xlsx", "a,b\n1,2\n", "not an Excel workbook"),
    ],
)
def test_what_is_no_table_is_said(tmp_path: Path, name: str, content: str | bytes, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        read_sheet(sheet(tmp_path, content, name))


def test_a_missing_table_names_its_like(tmp_path: Path) -> None:
    sheet(tmp_path, "a\n1\n", "cohort.csv")
    with pytest.raises(InputError, match=r"Did you mean cohort.csv\?"):
        read_sheet(tmp_path / "Cohorts.csv")
