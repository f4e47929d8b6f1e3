"""The index of a whole archive: what is in it, what was left out, resuming, and that it names nobody."""

import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import warnings
from collections import Counter
from pathlib import Path

import highdicom
import numpy as np
import pydicom
import pytest
from pydicom.datadict import DicomDictionary
from pydicom.sequence import Sequence

from dicom_archive import CORONAL, SAGITTAL, SEG_CLASS, enhanced_tags, item, slice_tags, uid, write_dicom, write_series
from rarelesion import index
from rarelesion.contact_sheet import write_contact_sheet
from rarelesion.errors import InputError
from rarelesion.index import build, make_key, read_key
from rarelesion.pseudonyms import pseudonym

KEY = bytes(range(32))


def indexed(folder, out, workers=1, key=KEY):
    return build(folder, out, key, workers)


def codes(found):
    return Counter(one.code for one in found.left_out())


# --- keys ------------------------------------------------------------------------------------------------------------


def test_a_key_is_read_back_and_is_for_this_account_only(tmp_path):
    key = make_key(tmp_path / "key.txt")
    assert read_key(tmp_path / "key.txt") == key
    assert stat.S_IMODE((tmp_path / "key.txt").stat().st_mode) == 0o600


def test_a_key_is_never_written_over(tmp_path):
    key = make_key(tmp_path / "key.txt")
    with pytest.raises(InputError, match="there is a file of that name already"):
        make_key(tmp_path / "key.txt")
    assert read_key(tmp_path / "key.txt") == key


@pytest.mark.parametrize("content", [b"", b"Mustermann\n", b"\xff\xfe", index.FIRST_LINE.encode() + b"\nabcd\n"])
def test_a_damaged_key_is_an_error_that_quotes_nothing(tmp_path, content):
    (tmp_path / "key.txt").write_bytes(content)
    with pytest.raises(InputError, match="damaged, or no key") as caught:
        read_key(tmp_path / "key.txt")
    assert "Mustermann" not in str(caught.value)
    assert str(tmp_path) not in str(caught.value)


def test_no_key_no_folder(tmp_path):
    with pytest.raises(InputError, match="there is no such file"):
        read_key(tmp_path / "key.txt")
    with pytest.raises(InputError, match="cannot be written"):
        make_key(tmp_path / "gone" / "key.txt")


# --- what is in an archive -------------------------------------------------------------------------------------------


@pytest.fixture
def archive(tmp_path):
    folder = tmp_path / "archive"
    write_series(folder / "mixed", 5)
    t2 = {"SeriesDescription": "t2_tse_cor", "RepetitionTime": "4000", "EchoTime": "95", "orientation": CORONAL}
    write_series(folder / "mixed", 4, suffix="", series="t2", **t2)
    write_series(folder / "late", 3, patient="P2", StudyDate="20170615")
    shutil.copy(folder / "mixed" / "0002.dcm", folder / "mixed" / "copy.dcm")
    (folder / "notes.txt").write_text("Mustermann")
    (folder / "empty").write_bytes(b"")
    return folder


def test_series_of_a_folder(archive, tmp_path):
    found = indexed(archive, tmp_path / "out")
    rows = {one.series: one for one in found.series()}
    name = pseudonym(KEY, "series", uid("P1", "study", "series"))
    assert (rows[name].role, rows[name].slices, rows[name].files, rows[name].orientation) == ("T1", 5, 5, "axial")
    t2 = rows[pseudonym(KEY, "series", uid("P1", "study", "t2"))]
    assert (t2.role, t2.slices, t2.orientation, t2.patient) == ("T2", 4, "coronal", rows[name].patient)
    late = rows[pseudonym(KEY, "series", uid("P2", "study", "series"))]
    assert (late.day, late.year, t2.year) == (0, 2, 0)
    assert codes(found) == {"duplicate": 1, "not-dicom": 1, "empty": 1}


def test_files_of_a_series_are_found_without_being_stored(archive, tmp_path):
    found = indexed(archive, tmp_path / "out")
    name = pseudonym(KEY, "series", uid("P1", "study", "t2"))
    assert sorted(found.files(name)) == [(archive / "mixed" / f"{n:04d}", 0) for n in range(1, 5)]
    assert found.middle_frames()[name] == (archive / "mixed" / "0003", 0)
    with pytest.raises(KeyError):
        found.files("s-unknown")
    (archive / "mixed" / "0001").unlink()
    with pytest.raises(InputError, match="1 of its files are gone") as caught:
        found.files(name)
    assert "mixed" not in str(caught.value)


def test_of_two_copies_the_first_by_path_is_kept(archive, tmp_path):
    found = indexed(archive, tmp_path / "out")
    name = pseudonym(KEY, "series", uid("P1", "study", "series"))
    assert (archive / "mixed" / "0002.dcm", 0) in found.files(name)
    shutil.move(archive / "mixed" / "copy.dcm", archive / "a.dcm")
    found = indexed(archive, tmp_path / "out")
    assert (archive / "a.dcm", 0) in found.files(name)
    assert (archive / "mixed" / "0002.dcm", 0) not in found.files(name)
    assert codes(found)["duplicate"] == 1


def test_slices_that_a_program_gave_one_uid_are_no_copies(tmp_path):
    for number in range(1, 6):
        write_dicom(tmp_path / "archive" / f"{number}", slice_tags(number=number, SOPInstanceUID="1.2.3"))
    shutil.copy(tmp_path / "archive" / "4", tmp_path / "archive" / "copy")
    found = indexed(tmp_path / "archive", tmp_path / "out")
    assert [one.slices for one in found.series()] == [5]
    assert codes(found) == {"duplicate": 1}


def test_stacks_of_one_series_have_names_of_their_own(tmp_path):
    folder = tmp_path / "archive"
    for number, b_value in enumerate((0, 800)):
        for z in range(3):
            tags = slice_tags(number=1 + z + 10 * number, DiffusionBValue=float(b_value))
            tags["ImagePositionPatient"] = [0.0, 0.0, 4.0 * z]
            write_dicom(folder / f"{number}{z}", tags)
    rows = indexed(folder, tmp_path / "out").series()
    name = pseudonym(KEY, "series", uid("P1", "study", "series"))
    assert {(one.series, one.b_value, one.slices) for one in rows} == {(name, 0.0, 3), (f"{name}-2", 800.0, 3)}


def test_frames_of_an_enhanced_object_are_gathered_too(tmp_path):
    frames = [{"position": (0, 0, 3.0 * z), "te": 80, "b": b} for z in (2, 0, 1) for b in (0, 800)]
    path = write_dicom(tmp_path / "archive" / "a", enhanced_tags(frames), np.zeros((6, 8, 8)))
    found = indexed(tmp_path / "archive", tmp_path / "out")
    assert [(one.b_value, one.slices, one.files, one.spacing_slice_mm) for one in found.series()] == [
        (0.0, 3, 1, 3.0),
        (800.0, 3, 1, 3.0),
    ]
    second = found.series()[1].series
    assert sorted(found.files(second)) == [(path, 1), (path, 3), (path, 5)]
    assert found.middle_frames()[second] == (path, 5)


def test_a_segmentation_names_the_series_it_was_drawn_on(tmp_path):
    write_series(tmp_path / "archive", 3)
    referred = Sequence([item(SeriesInstanceUID=uid("P1", "study", "series"))])
    tags = slice_tags(SOPClassUID=SEG_CLASS, Modality="SEG", ReferencedSeriesSequence=referred, series="seg")
    write_dicom(tmp_path / "archive" / "seg", tags, np.zeros((3, 16, 16)))
    rows = {one.role: one for one in indexed(tmp_path / "archive", tmp_path / "out").series()}
    assert rows["mask"].refers_to == (rows["T1"].series,)


def test_a_localiser_in_three_directions_is_no_t1(tmp_path):
    for number, orientation in enumerate(((1, 0, 0, 0, 1, 0), CORONAL, SAGITTAL), start=1):
        write_dicom(tmp_path / "archive" / str(number), slice_tags(number=number, orientation=orientation))
    assert {one.role for one in indexed(tmp_path / "archive", tmp_path / "out").series()} == {"other"}


def test_t1_series_after_contrast_are_told_by_their_order(tmp_path):
    for name, time in (("first", "101000"), ("second", "103000")):
        write_series(tmp_path / "archive" / name, 3, series=name, AcquisitionTime=time)
    rows = {one.series: one.role for one in indexed(tmp_path / "archive", tmp_path / "out").series()}
    assert rows[pseudonym(KEY, "series", uid("P1", "study", "first"))] == "T1"
    assert rows[pseudonym(KEY, "series", uid("P1", "study", "second"))] == "T1C"


# --- again, elsewhere, in parallel -----------------------------------------------------------------------------------


def test_several_workers_find_the_same(archive, tmp_path):
    one, two = indexed(archive, tmp_path / "one"), indexed(archive, tmp_path / "two", workers=2)
    assert one.series() == two.series()
    assert one.left_out() == two.left_out()


def test_what_was_read_is_not_read_again(archive, tmp_path, monkeypatch):
    before = indexed(archive, tmp_path / "out")
    rows, left = before.series(), before.left_out()
    read = []
    plain = index.read_header

    def counted(path, *rest):
        read.append(path.name)
        return plain(path, *rest)

    monkeypatch.setattr(index, "read_header", counted)
    again = indexed(archive, tmp_path / "out")
    assert (again.series(), again.left_out(), read) == (rows, left, [])
    write_series(archive / "new", 1, series="new")
    os.utime(archive / "mixed" / "0001", ns=(1, 1))
    indexed(archive, tmp_path / "out")
    assert sorted(read) == ["0001", "0001.dcm"]


def test_files_that_are_gone_are_forgotten(archive, tmp_path):
    indexed(archive, tmp_path / "out")
    shutil.rmtree(archive / "late")
    (archive / "empty").unlink()
    found = indexed(archive, tmp_path / "out")
    assert len(found.series()) == 2
    assert codes(found) == {"duplicate": 1, "not-dicom": 1}
    assert found.series() == indexed(archive, tmp_path / "fresh").series()


def test_an_archive_that_moved_is_read_no_second_time(archive, tmp_path, monkeypatch):
    rows = indexed(archive, tmp_path / "out").series()
    shutil.copytree(archive, tmp_path / "elsewhere")
    monkeypatch.setattr(index, "read_header", None)
    moved = indexed(tmp_path / "elsewhere", tmp_path / "out")
    assert moved.series() == rows
    assert moved.files(rows[0].series)[0][0].is_relative_to(tmp_path / "elsewhere")


def test_a_file_that_could_not_be_opened_is_tried_again(archive, tmp_path, monkeypatch):
    plain = index.read_header
    with monkeypatch.context() as patched:
        patched.setattr(index, "read_header", lambda path, *rest: "unreadable")
        assert codes(indexed(archive, tmp_path / "out")) == {"unreadable": 15}
    assert index.read_header is plain
    assert codes(indexed(archive, tmp_path / "out"))["unreadable"] == 0


KILLED = """
import os, sys
from pathlib import Path
from rarelesion import catalogue, index
catalogue.COMMIT_FILES = 4
index.CHUNK = 2
if __name__ == "__main__":
    def stop(done, total):
        if done >= 10:
            os.kill(os.getpid(), 9)
    index.build(Path(sys.argv[1]), Path(sys.argv[2]), bytes(range(32)), 1, stop)
"""


def test_a_killed_build_goes_on(archive, tmp_path, monkeypatch):
    command = [sys.executable, "-c", KILLED, str(archive), str(tmp_path / "out")]
    assert subprocess.run(command, check=False, capture_output=True).returncode == -9
    read = []
    plain = index.read_header
    monkeypatch.setattr(index, "read_header", lambda path, *rest: read.append(path) or plain(path, *rest))
    found = indexed(archive, tmp_path / "out")
    assert 0 < len(read) < 15
    assert found.series() == indexed(archive, tmp_path / "fresh").series()
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["index.sqlite"]


def test_progress_is_told_to_the_end(archive, tmp_path):
    told = []
    build(archive, tmp_path / "out", KEY, 1, lambda done, total: told.append((done, total)))
    assert told[-1] == (15, 15)
    assert [done for done, _ in told] == sorted(done for done, _ in told)


# --- what may go wrong -----------------------------------------------------------------------------------------------


def test_results_within_the_archive_are_not_indexed(archive):
    out = archive / "cohort"
    indexed(archive, out)
    found = indexed(archive, out)
    assert codes(found) == {"duplicate": 1, "not-dicom": 1, "empty": 1}


def test_another_key_is_an_error(archive, tmp_path):
    indexed(archive, tmp_path / "out")
    with pytest.raises(InputError, match="made with another key"):
        indexed(archive, tmp_path / "out", key=bytes(32))


def test_an_index_of_another_version_is_made_anew(archive, tmp_path):
    rows = indexed(archive, tmp_path / "out").series()
    connection = sqlite3.connect(tmp_path / "out" / "index.sqlite")
    connection.execute("UPDATE about SET value = '0' WHERE name = 'version'")
    connection.commit()
    connection.close()
    assert indexed(archive, tmp_path / "out").series() == rows


def test_a_file_that_is_no_index_is_an_error(archive, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "index.sqlite").write_bytes(b"no database" * 99)
    with pytest.raises(InputError, match="cannot be read or written"):
        indexed(archive, tmp_path / "out")


def test_an_empty_folder_and_none(tmp_path):
    (tmp_path / "archive").mkdir()
    with pytest.raises(InputError, match="is empty"):
        indexed(tmp_path / "archive", tmp_path / "out")
    with pytest.raises(InputError, match="there is no such folder"):
        indexed(tmp_path / "gone", tmp_path / "out")


def test_a_folder_without_any_dicom_has_no_series(tmp_path):
    (tmp_path / "archive").mkdir()
    (tmp_path / "archive" / "a.txt").write_text("x" * 200)
    found = indexed(tmp_path / "archive", tmp_path / "out")
    assert (found.series(), codes(found)) == ((), {"not-dicom": 1})


def test_loops_of_links_end(archive, tmp_path):
    (archive / "loop").symlink_to(archive, target_is_directory=True)
    assert codes(indexed(archive, tmp_path / "out"))["link"] == 1


@pytest.mark.parametrize("package", [pydicom, highdicom])
def test_whole_packages_of_test_files_are_indexed(tmp_path, package):
    found = indexed(Path(package.__file__).parent, tmp_path / "out")
    for one in found.series():
        assert found.files(one.series)
    assert len(found.left_out()) > 50


# --- nobody is named -------------------------------------------------------------------------------------------------

PLANTS = ("MUSTERMANN", "ERIKA", "19540312", "19991224", "55501234", "1.2.826.4711", "GEHEIM")
TEXTS = {
    "PN": "MUSTERMANN^ERIKA",
    "DA": "19540312",
    "DT": "19991224101500",
    "TM": "101500",
    "UI": "1.2.826.4711.1",
    "AE": "GEHEIM",
    "CS": "GEHEIM",
    "SH": "MUSTERMANN",
    "LO": "MUSTERMANN T1 ERIKA KM 19540312",
    "ST": "GEHEIM",
    "LT": "GEHEIM",
    "UT": "MUSTERMANN",
    "UC": "MUSTERMANN",
    "UR": "http://GEHEIM",
    "IS": "55501234",
    "DS": "55501234",
}
NEEDED = {"SOPClassUID", "Modality", "ImageOrientationPatient", "ImagePositionPatient", "PixelSpacing"}


def planted_tags(number):
    """Something that identifies in every tag of the dictionary that holds text, in sequences and private tags too."""
    tags = {
        keyword: TEXTS[vr]
        for tag, (vr, _, _, retired, keyword) in DicomDictionary.items()
        if vr in TEXTS and keyword and not retired and tag >> 16 not in (0x0000, 0x0002, 0x0028, 0x7FE0, 0xFFFE)
    }
    tags |= {keyword: value for keyword, value in slice_tags(number=number).items() if keyword in NEEDED}
    inner = item(PatientName="MUSTERMANN^ERIKA", SeriesInstanceUID="1.2.826.4711.2", StudyDate="19540312")
    tags["ReferencedSeriesSequence"] = tags["RequestAttributesSequence"] = Sequence([inner])
    return tags | {"SOPInstanceUID": f"1.2.826.4711.{number}"}


@pytest.fixture
def planted(tmp_path):
    folder = tmp_path / "MUSTERMANN_ERIKA_19540312" / "1.2.826.4711"
    private = [(0x0019, "GEHEIM", 0x0C, "LO", "MUSTERMANN"), (0x2001, "ERIKA", 0x03, "LO", "19540312")]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for number in range(1, 4):
            pixels = np.random.default_rng(number).integers(0, 900, (64, 64))
            write_dicom(folder / f"ERIKA{number}.dcm", planted_tags(number), pixels, private=private)
        shutil.copy(folder / "ERIKA1.dcm", folder / "copy of ERIKA")
        broken = write_dicom(folder / "GEHEIM", planted_tags(9), private=private)
    broken.write_bytes(broken.read_bytes()[:-50])
    (folder / "MUSTERMANN.txt").write_text("MUSTERMANN ERIKA 19540312" * 9)
    (folder / "GEHEIM-link").symlink_to(folder / "ERIKA1.dcm")
    return folder.parent


def names_somebody(content):
    """Which plants the bytes hold, in any case and in the usual encodings."""
    lowered = content.lower()
    forms = {plant: (plant.lower().encode(), plant.lower().encode("utf-16-le")) for plant in PLANTS}
    return [plant for plant, texts in forms.items() if any(text in lowered for text in texts)]


@pytest.mark.parametrize("workers", [1, 2])
def test_nothing_that_is_written_or_said_names_anybody(planted, tmp_path, capfd, workers):
    out = tmp_path / "out"
    found = indexed(planted, out, workers)
    rows = found.series()
    assert (len(rows), rows[0].slices) == (1, 3)
    index.write_series_table(out / "series.csv", rows)
    index.write_left_out_table(out / "left_out.csv", found.left_out())
    index.write_roles(out / "roles.csv", rows, {})
    write_contact_sheet(out / "contact", rows, found)
    said = [repr(found.series()), repr(found.left_out()), *capfd.readouterr()]
    for path in planted.rglob("*.dcm"):
        path.unlink()
    with pytest.raises(InputError) as caught:
        found.files(rows[0].series)
    said += [str(caught.value), repr(caught.value)]
    written = [path for path in out.rglob("*") if path.is_file()]
    assert {path.name for path in written} == {
        "index.sqlite", "series.csv", "left_out.csv", "roles.csv", "page-001.png"
    }  # fmt: skip
    for content in [*(path.read_bytes() for path in written), *(text.encode() for text in said)]:
        assert names_somebody(content) == []
    assert names_somebody(b"Mustermann") == ["MUSTERMANN"]
    assert sorted(one.code for one in found.left_out()) == ["duplicate", "link", "not-dicom", "truncated-pixels"]


def test_the_index_holds_no_time_of_the_file_system(planted, tmp_path):
    for path in planted.rglob("*.dcm"):
        os.utime(path, ns=(1_234_567_890_123_456_789, 1_234_567_890_123_456_789))
    indexed(planted, tmp_path / "out")
    content = (tmp_path / "out" / "index.sqlite").read_bytes()
    number = 1_234_567_890_123_456_789
    assert all(form not in content for form in (str(number).encode(), number.to_bytes(8, "big"), b"1234567890"))


def test_file_names_in_no_encoding_are_no_obstacle(tmp_path):
    path = write_dicom(tmp_path / "archive" / "a", slice_tags())
    path.rename(os.fsdecode(os.fsencode(path.parent) + b"/M\xfcller.dcm"))
    found = indexed(tmp_path / "archive", tmp_path / "out", workers=2)
    ((again, number),) = found.files(found.series()[0].series)
    assert (again.is_file(), number) == (True, 0)
