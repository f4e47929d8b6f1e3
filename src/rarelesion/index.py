"""The index of a DICOM archive: every header read once, kept in one SQLite file that names nobody.

`build` can be stopped at any moment and goes on where it was; files that have not changed are not read again.
"""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from itertools import islice
from pathlib import Path

from rarelesion.archive import FOLDER, Entry, check_folder, file_pseudonym, files_of, folder_pseudonym, folders, walk
from rarelesion.catalogue import Catalogue, Reading, Writer
from rarelesion.errors import InputError, Problem
from rarelesion.headers import read_header
from rarelesion.pseudonyms import KEY_BYTES, new_key, pseudonym
from rarelesion.series import LeftOut, Series
from rarelesion.series_tables import read_roles as read_roles
from rarelesion.series_tables import write_left_out_table as write_left_out_table
from rarelesion.series_tables import write_roles as write_roles
from rarelesion.series_tables import write_series_table as write_series_table

FILE_NAME = "index.sqlite"
CHUNK = 50
"""Files a worker reads before it hands in what it found."""
IN_FLIGHT = 3
"""Chunks a worker has before it, so that memory does not grow with the archive."""
FIRST_LINE = "rarelesion key: keep it secret and safe. Whoever has it can find out who a pseudonym stands for."


def make_key(path: Path) -> bytes:
    """Write a new key that only this account may read, and give it back; InputError where there is a file already."""
    key = new_key()
    try:
        number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        remedy = "Use it, or move it away first: without it the pseudonyms can never be made again."
        raise InputError(Problem("the key", "there is a file of that name already", remedy=remedy)) from None
    except OSError as error:
        remedy = "Choose a place where this account may write."
        raise InputError(Problem("the key", f"cannot be written: {error.strerror}", remedy=remedy)) from None
    with os.fdopen(number, "w", encoding="ascii", newline="\n") as file:
        file.write(f"{FIRST_LINE}\n{key.hex()}\n")
    return key


def read_key(path: Path) -> bytes:
    """The key of a file written by `make_key`; InputError where it is missing, damaged or not such a file."""
    remedy = "Put back the key file this study was begun with; with another key all pseudonyms would be others."
    try:
        with path.open("rb") as file:
            lines = file.read(1000).decode("ascii").split("\n")
        key = bytes.fromhex(lines[1])
        if lines[0].strip() != FIRST_LINE or len(key) != KEY_BYTES:
            raise ValueError
    except FileNotFoundError:
        raise InputError(Problem("the key", "there is no such file", remedy=remedy)) from None
    except OSError as error:
        raise InputError(Problem("the key", f"cannot be read: {error.strerror}", remedy=remedy)) from None
    except (ValueError, IndexError):  # of a UnicodeDecodeError too, whose message quotes the file
        raise InputError(Problem("the key", "the file is damaged, or no key", remedy=remedy)) from None
    return key


class Index:
    """What is known of an archive: its series, what was left out, and where the files of a series are."""

    def __init__(self, folder: Path, catalogue: Catalogue, key: bytes) -> None:
        self._folder, self._catalogue, self._key = folder, catalogue, key
        self._folders: dict[str, str] | None = None
        """Pseudonym of each folder -> its path, looked up once."""

    def series(self) -> tuple[Series, ...]:
        """One row a stack of images, segmentation or set of contours, by patient, day and place in the archive."""
        return self._catalogue.series()

    def left_out(self) -> tuple[LeftOut, ...]:
        """The files that are not used, in path order, with the reason."""
        return self._catalogue.left_out()

    def files(self, series: str) -> tuple[tuple[Path, int], ...]:
        """As `files_of`, of one series."""
        return self.files_of([series])[series]

    def files_of(self, series: Iterable[str]) -> dict[str, tuple[tuple[Path, int], ...]]:
        """Where the frames of each series are now: path and number of the frame in that file, in no order.

        Paths are never stored: the folder is walked for them, once for all. Raises InputError with every series whose
        files are gone, KeyError for an unknown series.
        """
        frames = {one: self._catalogue.frames(one) for one in series}
        found = self.paths({file: folder for rows in frames.values() for file, folder, _ in rows})
        gone = {one: sum(file not in found for file in {file for file, _, _ in rows}) for one, rows in frames.items()}
        remedy = "Was the folder changed? Give the same command again: it reads what is new."
        problems = [Problem(one, f"{n} of its files are gone", remedy=remedy) for one, n in gone.items() if n]
        if problems:
            raise InputError(problems)
        return {one: tuple((found[file], number) for file, _, number in rows) for one, rows in frames.items()}

    def middle_frames(self) -> dict[str, tuple[Path, int]]:
        """For each series the frame in its middle: path and number of the frame in that file; none where it is gone."""
        rows = self._catalogue.middles()
        found = self.paths({file: folder for _, file, folder, _ in rows})
        return {series: (found[file], number) for series, file, _, number in rows if file in found}

    def paths(self, files: Mapping[str, str]) -> dict[str, Path]:
        """Where files are now, by pseudonym; `files` is pseudonym of a file -> that of its folder."""
        if self._folders is None:
            self._folders = dict(folders(self._folder, self._key))
        found: dict[str, Path] = {}
        for name in sorted(set(files.values()) & self._folders.keys()):
            inside = files_of(self._folder, self._key, self._folders[name])
            found.update((file, path) for file, path in inside if file in files)
        return found


def build(
    folder: Path, out: Path, key: bytes, workers: int, on_file: Callable[[int, int], None] = lambda done, of: None
) -> Index:
    """Read the headers of every DICOM file below `folder` into `out`/index.sqlite, and say what series there are.

    `workers` processes read; `on_file` hears how many of how many files are done. Links are not followed, and `out`
    is passed over where it lies in the folder. Files that have not changed since an earlier build are not read again.
    Raises InputError for a folder that is not there, an index made with another key, or a disk that refuses.
    """
    check_folder(folder)
    catalogue = Catalogue(out / FILE_NAME, key)
    total = sum(1 for _ in walk(folder, out))
    if not total:
        raise InputError(Problem(FOLDER, "is empty", remedy="Give the folder that holds the DICOM files."))
    with catalogue.writing() as writer:
        done = 0
        unread = _unread(folder, out, key, writer)
        for readings in _read_all(folder, key, unread, workers):
            writer.add(readings)
            done += len(readings)
            on_file(done, total)
        writer.finish()
    on_file(total, total)
    return Index(folder, catalogue, key)


def _unread(folder: Path, out: Path, key: bytes, writer: Writer) -> Iterator[Entry | Reading]:
    """Every entry that must be read; those known already, or not to be read, as readings."""
    for place, entry in enumerate(walk(folder, out)):
        file = file_pseudonym(key, entry.path)
        stamp = pseudonym(key, "state", f"{entry.size} {entry.changed_ns}")
        if entry.code:
            yield Reading(file, folder_pseudonym(key, entry.folder), "", place, entry.code)
        elif writer.knows(file, stamp):
            yield Reading(file, "", stamp, place, None)
        else:
            yield replace(entry, place=place)


def _read_all(folder: Path, key: bytes, entries: Iterable[Entry | Reading], workers: int) -> Iterator[list[Reading]]:
    """Read the entries in chunks, by so many processes; few chunks are under way at any time."""
    iterator = iter(entries)
    chunks = iter(lambda: list(islice(iterator, CHUNK)), [])
    if workers <= 1:
        for chunk in chunks:
            yield _read_chunk(folder, key, chunk)
        return
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), prepare_worker) as pool:
        waiting: deque[Future[list[Reading]]] = deque()
        try:
            for chunk in chunks:
                if any(isinstance(entry, Entry) for entry in chunk):
                    waiting.append(pool.submit(_read_chunk, folder, key, chunk))
                else:
                    yield _read_chunk(folder, key, chunk)
                if len(waiting) >= workers * IN_FLIGHT:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BrokenProcessPool:
            remedy = "Give the same command again, with fewer workers: it goes on where it stopped."
            raise InputError(Problem(FOLDER, "a worker process was ended from outside", remedy=remedy)) from None
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def prepare_worker() -> None:
    """In a new worker: Ctrl-C is for the parent to hear; without a parent there is nothing to do."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _read_chunk(folder: Path, key: bytes, chunk: list[Entry | Reading]) -> list[Reading]:
    return [entry if isinstance(entry, Reading) else _read_entry(folder, key, entry) for entry in chunk]


def _read_entry(folder: Path, key: bytes, entry: Entry) -> Reading:
    found = read_header(folder / entry.path, key, entry.folder)
    stamp = "" if found == "unreadable" else pseudonym(key, "state", f"{entry.size} {entry.changed_ns}")
    file, inside = file_pseudonym(key, entry.path), folder_pseudonym(key, entry.folder)
    return Reading(file, inside, stamp, entry.place, found)
