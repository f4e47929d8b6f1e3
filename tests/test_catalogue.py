"""The SQLite file behind an index: what is added stays, what is gone goes, twins are found by patient and image."""

import sqlite3

import pytest

from rarelesion.catalogue import Catalogue, Reading
from rarelesion.errors import InputError
from rarelesion.series import LeftOut
from test_gathering import frame

KEY = bytes(range(32))


def reading(file, place, number, instance=None, stamp="s"):
    header = frame(3.0 * number, number, instance=instance or f"i-{number}", words=("t1",))
    return Reading(file, "f-folder", stamp, place, (header,))


def fill(path, readings, key=KEY):
    catalogue = Catalogue(path / "index.sqlite", key)
    with catalogue.writing() as writer:
        writer.add(readings)
        writer.finish()
    return catalogue


def test_frames_of_a_series(tmp_path):
    catalogue = fill(tmp_path, [reading(f"f-{number}", number, number) for number in range(3)])
    (row,) = catalogue.series()
    assert (row.series, row.slices) == ("s-2", 3)
    assert catalogue.frames("s-2") == [(f"f-{number}", "f-folder", 0) for number in range(3)]
    assert catalogue.middles() == [("s-2", "f-1", "f-folder", 0)]
    with pytest.raises(KeyError):
        catalogue.frames("s-3")


def test_the_earlier_place_of_two_twins_is_kept(tmp_path):
    rows = [reading("f-late", 5, 1), reading("f-early", 2, 1), reading("f-other", 3, 2)]
    catalogue = fill(tmp_path, rows)
    assert catalogue.left_out() == (LeftOut("f-late", "f-folder", "duplicate"),)
    assert [file for file, _, _ in catalogue.frames("s-2")] == ["f-early", "f-other"]


def test_frames_without_an_instance_number_of_their_own_are_no_twins(tmp_path):
    rows = [Reading(f"f-{n}", "", "s", n, (frame(3.0 * n, n, instance=""),)) for n in range(3)]
    assert fill(tmp_path, rows).left_out() == ()


def fill_up(catalogue):
    with catalogue.writing() as writer:
        pages = writer._connection.execute("PRAGMA page_count").fetchone()[0]
        writer._connection.execute(f"PRAGMA max_page_count = {pages}")
        writer.add([reading(f"f-{n}", n, n) for n in range(1000)])


def test_a_full_disk_is_told_as_such(tmp_path):
    with pytest.raises(InputError, match="no space is left") as caught:
        fill_up(Catalogue(tmp_path / "index.sqlite", KEY))
    assert "emove" not in str(caught.value)


def test_an_index_that_another_import_writes_to_is_told_as_such(tmp_path, monkeypatch):
    def impatient(path):
        return sqlite3.Connection(path, timeout=0.01)

    monkeypatch.setattr("rarelesion.catalogue.sqlite3.connect", impatient)
    catalogue = Catalogue(tmp_path / "index.sqlite", KEY)
    with catalogue.writing(), pytest.raises(InputError, match="another import writes"):
        fill(tmp_path, [reading("f-1", 0, 1)])


def test_what_is_not_seen_again_is_forgotten(tmp_path):
    fill(tmp_path, [reading("f-1", 0, 1), reading("f-2", 1, 2)])
    catalogue = fill(tmp_path, [Reading("f-2", "", "s", 0, None)])
    assert [file for file, _, _ in catalogue.frames("s-2")] == ["f-2"]


def test_what_is_known_is_known_by_its_stamp(tmp_path):
    fill(tmp_path, [reading("f-1", 0, 1, stamp="before")])
    with Catalogue(tmp_path / "index.sqlite", KEY).writing() as writer:
        assert writer.knows("f-1", "before")
        assert not writer.knows("f-1", "after")
        assert not writer.knows("f-2", "before")


def test_files_left_out_come_in_path_order(tmp_path):
    rows = [Reading("f-b", "", "s", 2, "empty"), Reading("f-a", "", "s", 1, "packed")]
    assert [one.code for one in fill(tmp_path, rows).left_out()] == ["packed", "empty"]


def test_what_was_added_before_an_error_stays(tmp_path):
    catalogue = Catalogue(tmp_path / "index.sqlite", KEY)

    def break_off():
        with catalogue.writing() as writer:
            writer.add([reading("f-1", 0, 1)])
            raise RuntimeError

    with pytest.raises(RuntimeError):
        break_off()
    with catalogue.writing() as writer:
        assert writer.knows("f-1", "s")


def test_another_key_is_refused(tmp_path):
    fill(tmp_path, [reading("f-1", 0, 1)])
    with pytest.raises(InputError, match="made with another key"):
        fill(tmp_path, [reading("f-1", 0, 1)], bytes(32))
