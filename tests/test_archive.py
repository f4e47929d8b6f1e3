"""Walking a folder: in a stable order, without links, and finding files again by their pseudonyms."""

import os

import pytest

from rarelesion.archive import check_folder, file_pseudonym, files_of, folder_pseudonym, folders, walk
from rarelesion.errors import InputError

KEY = bytes(range(32))


@pytest.fixture
def tree(tmp_path):
    for name in ("b/2.dcm", "b/1.dcm", "a/x/3", "top"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"12345")
    return tmp_path


def test_files_come_by_path_order_with_size(tree):
    found = list(walk(tree))
    assert [entry.path for entry in found] == ["a/x/3", "b/1.dcm", "b/2.dcm", "top"]
    assert {(entry.size, entry.code) for entry in found} == {(5, "")}
    assert [entry.folder for entry in found] == ["a/x", "b", "b", ""]


def test_links_are_told_and_not_followed(tree):
    (tree / "a" / "loop").symlink_to(tree)
    (tree / "a" / "out").symlink_to("/etc")
    (tree / "a" / "broken").symlink_to(tree / "gone")
    (tree / "a" / "same").symlink_to(tree / "top")
    found = {entry.path: entry.code for entry in walk(tree)}
    assert {path for path, code in found.items() if code == "link"} == {"a/loop", "a/out", "a/broken", "a/same"}
    assert len(found) == 8


def test_a_pipe_is_no_file(tree):
    os.mkfifo(tree / "pipe")
    assert {entry.path: entry.code for entry in walk(tree)}["pipe"] == "no-file"


def test_the_folder_of_results_is_passed_over(tree):
    assert [entry.path for entry in walk(tree, tree / "b")] == ["a/x/3", "top"]


def test_a_folder_that_cannot_be_listed_is_one_entry(tree, monkeypatch):
    plain = os.scandir

    def refuse(path):
        if str(path).endswith("x"):
            raise PermissionError(13, "Permission denied")
        return plain(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert next((entry.path, entry.code) for entry in walk(tree)) == ("a/x/", "unreadable-folder")


def test_files_are_found_again_by_their_pseudonyms(tree):
    known = dict(folders(tree, KEY))
    assert known[folder_pseudonym(KEY, "a/x")] == "a/x"
    assert sorted(known.values()) == ["", "a", "a/x", "b"]
    assert dict(files_of(tree, KEY, "b"))[file_pseudonym(KEY, "b/1.dcm")] == tree / "b" / "1.dcm"
    assert dict(files_of(tree, KEY, "gone")) == {}


def test_names_that_differ_by_a_blank_differ():
    assert file_pseudonym(KEY, "a") != file_pseudonym(KEY, "a ")
    assert folder_pseudonym(KEY, "a") != folder_pseudonym(KEY, " a")


@pytest.mark.parametrize(("name", "what"), [("gone", "there is no such folder"), ("top", "is a file, not a folder")])
def test_a_folder_that_is_none_is_an_error_without_its_path(tree, name, what):
    with pytest.raises(InputError) as caught:
        check_folder(tree / name)
    assert what in str(caught.value)
    assert str(tree) not in str(caught.value)
