"""A folder of files as it is walked: in a stable order, never out of the folder, never twice round a loop."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rarelesion.errors import InputError, Problem
from rarelesion.pseudonyms import pseudonym

FOLDER = "the DICOM folder"
"""How messages name it: its path may hold a name."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A file of the folder, or something in its place."""

    path: str
    """Relative to the folder, parts joined by "/"."""
    code: str = ""
    """Why it is left out without being read; empty for a plain file."""
    size: int = 0
    changed_ns: int = 0
    place: int = 0
    """In path order, from 0, where that is known."""

    @property
    def folder(self) -> str:
        """Relative path of the folder it lies in, empty for the top."""
        return self.path.rpartition("/")[0]


def check_folder(folder: Path) -> None:
    """Raise InputError where there is no such folder or it cannot be listed."""
    remedy = "Give the folder that holds the DICOM files."
    if not folder.exists():
        raise InputError(Problem(FOLDER, "there is no such folder", remedy=remedy))
    if not folder.is_dir():
        raise InputError(Problem(FOLDER, "is a file, not a folder", remedy=remedy))
    try:
        with os.scandir(folder) as found:
            next(found, None)
    except OSError:
        remedy = "Give this account the right to read it."
        raise InputError(Problem(FOLDER, "cannot be listed", remedy=remedy)) from None


def walk(folder: Path, leave: Path | None = None, below: str = "") -> Iterator[Entry]:
    """Every file of the folder by path order, without following links; the folder `leave` is passed over.

    A folder that cannot be listed comes as one entry that says so.
    """
    try:
        with os.scandir(folder / below) as found:
            entries = sorted(found, key=lambda entry: entry.name)
    except OSError:
        yield Entry(f"{below}/", "unreadable-folder")
        return
    for entry in entries:
        path = f"{below}/{entry.name}" if below else entry.name
        if entry.is_symlink():
            yield Entry(path, "link")
        elif entry.is_dir(follow_symlinks=False):
            if leave is None or not _same(Path(entry.path), leave):
                yield from walk(folder, leave, path)
        else:
            yield _file(path, entry)


def _file(path: str, entry: os.DirEntry[str]) -> Entry:
    try:
        state = entry.stat(follow_symlinks=False)
        return Entry(path, "" if entry.is_file(follow_symlinks=False) else "no-file", state.st_size, state.st_mtime_ns)
    except OSError:
        return Entry(path, "unreadable")


def _same(one: Path, other: Path) -> bool:
    return one.name == other.name and one.resolve() == other.resolve()


def file_pseudonym(key: bytes, path: str) -> str:
    """What stands for a file, from its path within the folder."""
    return pseudonym(key, "file", f"/{path}/")


def folder_pseudonym(key: bytes, path: str) -> str:
    """What stands for a folder, from its path within the folder; two folders of one name differ."""
    return pseudonym(key, "folder", f"/{path}/")


def folders(folder: Path, key: bytes, below: str = "") -> Iterator[tuple[str, str]]:
    """Of every folder below this one, and of itself: its pseudonym and its relative path."""
    yield folder_pseudonym(key, below), below
    try:
        with os.scandir(folder / below) as found:
            names = sorted(entry.name for entry in found if entry.is_dir(follow_symlinks=False))
    except OSError:
        return
    for name in names:
        yield from folders(folder, key, f"{below}/{name}" if below else name)


def files_of(folder: Path, key: bytes, below: str) -> Iterator[tuple[str, Path]]:
    """Of every file right in a folder: its pseudonym and its path."""
    try:
        with os.scandir(folder / below) as found:
            for entry in found:
                if entry.is_file(follow_symlinks=False):
                    path = f"{below}/{entry.name}" if below else entry.name
                    yield file_pseudonym(key, path), Path(entry.path)
    except OSError:
        return
