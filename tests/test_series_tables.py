"""The tables people read and fill in."""

import csv

import pytest

from rarelesion.errors import InputError
from rarelesion.series import LEFT_OUT, LeftOut
from rarelesion.series_tables import (
    SERIES_COLUMNS,
    read_roles,
    write_left_out_table,
    write_roles,
    write_series_table,
)
from series_rows import row

FOUND = (row("s-a"), row("s-b", role="T2", confidence=0.5), row("s-c", role="other"))


def rows(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_series_table(tmp_path):
    write_series_table(tmp_path / "series.csv", [row("s-a", words=("t1", "fs"), day=None, confidence=1 / 3)])
    (line,) = rows(tmp_path / "series.csv")
    assert tuple(line) == SERIES_COLUMNS
    assert (line["series"], line["words"], line["day"], line["confidence"]) == ("s-a", "t1; fs", "", "0.333333")
    assert line["spacing_slice_mm"] == "4"


def test_left_out_table(tmp_path):
    write_left_out_table(tmp_path / "left_out.csv", [LeftOut("f-a", "f-b", "empty")])
    reason, remedy = LEFT_OUT["empty"]
    wanted = {"file": "f-a", "folder": "f-b", "code": "empty", "reason": reason, "remedy": remedy}
    assert rows(tmp_path / "left_out.csv") == [wanted]


def edit(path, series, role):
    text = path.read_text().splitlines()
    lines = [line.rpartition(",")[0] + f",{role}" if line.startswith(f"{series},") else line for line in text]
    path.write_text("\n".join(lines) + "\n")


def test_what_a_person_chose_survives(tmp_path):
    path = tmp_path / "roles.csv"
    write_roles(path, FOUND, {})
    assert read_roles(path, FOUND) == {}
    edit(path, "s-b", "t1c")
    assert read_roles(path, FOUND) == {"s-b": "T1C"}
    more = (*FOUND, row("s-d", role="DWI"))
    write_roles(path, more, read_roles(path, more))
    assert read_roles(path, more) == {"s-b": "T1C"}
    assert [line["role"] for line in rows(path)] == ["T1", "T1C", "other", "DWI"]
    assert [line["proposed"] for line in rows(path)] == ["T1", "T2", "other", "DWI"]


def test_series_that_have_gone_ask_for_nothing_unless_a_person_chose_their_role(tmp_path):
    path = tmp_path / "roles.csv"
    write_roles(path, FOUND, {})
    edit(path, "s-a", "DWI")
    assert read_roles(path, [one for one in FOUND if one.series != "s-b"]) == {"s-a": "DWI"}
    with pytest.raises(InputError, match=r"roles\.csv:2:series: there is no such series"):
        read_roles(path, [one for one in FOUND if one.series != "s-a"])


def test_an_empty_cell_is_no_choice(tmp_path):
    write_roles(tmp_path / "roles.csv", FOUND, {})
    edit(tmp_path / "roles.csv", "s-b", "")
    assert read_roles(tmp_path / "roles.csv", FOUND) == {}


def test_all_problems_come_at_once_with_their_rows(tmp_path):
    path = tmp_path / "roles.csv"
    path.write_text(
        "series,patient,study_day,proposed,confidence,role\ns-x,,,,,T1\ns-a,,,,,T9\ns-b,,,,,T1\ns-b,,,,,T2\n"
    )
    with pytest.raises(InputError) as caught:
        read_roles(path, FOUND)
    wheres = [problem.where for problem in caught.value.problems]
    assert wheres == ["roles.csv:2:series", "roles.csv:3:role", "roles.csv:5:series"]
    assert "T1C" in caught.value.problems[1].expected


def test_columns_that_are_gone_are_named(tmp_path):
    (tmp_path / "roles.csv").write_text("serie,rolle\ns-a,T1\n")
    with pytest.raises(InputError, match="no column 'series'"):
        read_roles(tmp_path / "roles.csv", FOUND)
