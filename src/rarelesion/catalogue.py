"""The SQLite file behind an index: one row a file, one a frame, one a stack; nothing in it names anybody.

The rollback journal is SQLite's plain one, which leaves no file beside the index when the work ends; after a kill
SQLite itself restores the last state that was whole.
"""

import errno
import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from rarelesion.contrast_order import by_order
from rarelesion.describing import describe, doubtful_patients, since_first
from rarelesion.errors import InputError, Problem
from rarelesion.gathering import direction, middle_of, stacks
from rarelesion.pseudonyms import pseudonym
from rarelesion.series import Facts, Header, LeftOut, Series

VERSION = 2
"""Of what is kept of a header: an index of another version is made anew."""
COMMIT_FILES = 1000
CACHED_FACTS = 4096
WHERE = "the index"
TABLES = """
CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT);
CREATE TABLE files (
  id TEXT PRIMARY KEY, folder TEXT, stamp TEXT, place INTEGER, code TEXT, round INTEGER) WITHOUT ROWID;
CREATE TABLE facts (id INTEGER PRIMARY KEY, text TEXT UNIQUE);
CREATE TABLE frames (
  file TEXT, number INTEGER, patient TEXT, study TEXT, series TEXT, frame TEXT, instance TEXT, facts INTEGER,
  x REAL, y REAL, z REAL, instance_number INTEGER, acquisition INTEGER, time_point INTEGER, day INTEGER, moment REAL,
  twin INTEGER, stack TEXT, PRIMARY KEY (file, number)) WITHOUT ROWID;
CREATE INDEX frames_series ON frames (series);
CREATE INDEX frames_stack ON frames (stack);
CREATE INDEX frames_instance ON frames (instance);
CREATE TABLE series (
  id TEXT PRIMARY KEY, place INTEGER, moment REAL, middle_file TEXT, middle_number INTEGER, text TEXT) WITHOUT ROWID;
"""
OLD_TABLES = ("about", "files", "facts", "frames", "series")


@dataclass(frozen=True, slots=True)
class Reading:
    """What came of one file."""

    file: str
    folder: str
    stamp: str
    """Keyed hash of its size and time of change; empty where it is to be tried again next time."""
    place: int
    found: tuple[Header, ...] | str | None
    """Its frames, the code why it is left out, or None where it is known from before."""


class Catalogue:
    """The file of an index, opened anew for each question."""

    def __init__(self, path: Path, key: bytes) -> None:
        self._path, self._key = path, key

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        connection = None
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(self._path)
            with connection:
                yield connection
        except (sqlite3.Error, OSError) as error:
            raise InputError(_refused(error)) from None
        finally:
            if connection is not None:
                connection.close()

    @contextmanager
    def writing(self) -> Iterator["Writer"]:
        """Add to the index; what was added stays, whatever happens within the block."""
        with self._open() as connection:
            _prepare(connection, pseudonym(self._key, "key", "index"))
            writer = Writer(connection, self._key)
            try:
                yield writer
            finally:
                connection.commit()

    def series(self) -> tuple[Series, ...]:
        """All stacks, by patient, day and place in the archive."""
        with self._open() as connection:
            rows = connection.execute("SELECT text, moment FROM series ORDER BY place, id").fetchall()
        timed = [(_series(text), moment) for text, moment in rows]
        return tuple(sorted(since_first(doubtful_patients(by_order(timed))), key=_by_patient))

    def left_out(self) -> tuple[LeftOut, ...]:
        """All files that are not used, in path order."""
        with self._open() as connection:
            rows = connection.execute("SELECT id, folder, code FROM files WHERE code != '' ORDER BY place").fetchall()
            twins = connection.execute(
                "SELECT DISTINCT files.place, files.id, files.folder FROM frames JOIN files ON files.id = frames.file "
                "WHERE twin = 1 ORDER BY files.place"
            ).fetchall()
        return (*(LeftOut(*row) for row in rows), *(LeftOut(file, folder, "duplicate") for _, file, folder in twins))

    def middles(self) -> list[tuple[str, str, str, int]]:
        """Of each stack: its name, pseudonyms of file and folder of its middle frame, and the frame's number."""
        with self._open() as connection:
            return connection.execute(
                "SELECT series.id, middle_file, folder, middle_number FROM series JOIN files ON files.id = middle_file"
            ).fetchall()

    def frames(self, stack: str) -> list[tuple[str, str, int]]:
        """Of each frame of a stack: pseudonyms of the file and its folder, and the frame's number in the file."""
        with self._open() as connection:
            rows = connection.execute(
                "SELECT frames.file, files.folder, frames.number FROM frames JOIN files ON files.id = frames.file "
                "WHERE stack = ? ORDER BY files.place, frames.number",
                (stack,),
            ).fetchall()
        if not rows:
            raise KeyError(stack)
        return rows


def _refused(error: sqlite3.Error | OSError) -> Problem:
    if getattr(error, "sqlite_errorname", "") == "SQLITE_FULL" or getattr(error, "errno", 0) == errno.ENOSPC:
        remedy = "Free some space or choose another folder, then give the same command again: it goes on."
        return Problem(WHERE, "cannot be written: no space is left", remedy=remedy)
    if getattr(error, "sqlite_errorname", "") in ("SQLITE_BUSY", "SQLITE_LOCKED"):
        return Problem(WHERE, "is in use: another import writes into this folder", remedy="Wait until it has ended.")
    remedy = "May this account write there? Else remove index.sqlite and give the same command again."
    return Problem(WHERE, f"cannot be read or written ({type(error).__name__})", remedy=remedy)


def _prepare(connection: sqlite3.Connection, lock: str) -> None:
    """Make the tables where there are none, or those of another version; InputError for those of another key."""
    present = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    about = dict(connection.execute("SELECT name, value FROM about")) if "about" in present else {}
    if about.get("lock", lock) != lock:
        remedy = "Give the key it was begun with, or another folder for the results."
        raise InputError(Problem(WHERE, "was made with another key", remedy=remedy))
    if about.get("version") == str(VERSION):
        return
    for name in OLD_TABLES:
        connection.execute(f"DROP TABLE IF EXISTS {name}")
    connection.executescript(TABLES)
    connection.executemany(
        "INSERT INTO about VALUES (?, ?)", [("version", str(VERSION)), ("lock", lock), ("round", "0"), ("stale", "1")]
    )
    connection.commit()


class Writer:
    """Adds readings to an index, and at the end makes its series."""

    def __init__(self, connection: sqlite3.Connection, key: bytes) -> None:
        self._connection, self._key = connection, key
        self._facts: dict[Facts, int] = {}
        self._added = 0
        self._round = 1 + int(connection.execute("SELECT value FROM about WHERE name = 'round'").fetchone()[0])
        self._about("round", self._round)

    def _about(self, name: str, value: int) -> None:
        self._connection.execute("UPDATE about SET value = ? WHERE name = ?", (str(value), name))

    def knows(self, file: str, stamp: str) -> bool:
        """Whether the file was read when it looked just so."""
        row = self._connection.execute("SELECT stamp FROM files WHERE id = ?", (file,)).fetchone()
        return row is not None and row[0] == stamp

    def add(self, readings: Sequence[Reading]) -> None:
        """Keep what came of these files."""
        for reading in readings:
            if reading.found is None:
                place = (reading.place, self._round, reading.file)
                self._connection.execute("UPDATE files SET place = ?, round = ? WHERE id = ?", place)
            else:
                self._replace(reading)
        self._added += len(readings)
        if self._added >= COMMIT_FILES:
            self._connection.commit()
            self._added = 0

    def _replace(self, reading: Reading) -> None:
        self._about("stale", 1)
        code = reading.found if isinstance(reading.found, str) else ""
        row = (reading.file, reading.folder, reading.stamp, reading.place, code, self._round)
        self._connection.execute("DELETE FROM frames WHERE file = ?", (reading.file,))
        self._connection.execute("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?)", row)
        headers = reading.found if isinstance(reading.found, tuple) else ()
        rows = [_frame_row(reading.file, header, self._facts_id(header.facts)) for header in headers]
        self._connection.executemany(f"INSERT INTO frames VALUES ({', '.join('?' * 18)})", rows)

    def _facts_id(self, facts: Facts) -> int:
        if facts not in self._facts:
            if len(self._facts) >= CACHED_FACTS:
                self._facts.clear()
            text = json.dumps(astuple(facts), separators=(",", ":"))
            self._connection.execute("INSERT OR IGNORE INTO facts (text) VALUES (?)", (text,))
            self._facts[facts] = self._connection.execute("SELECT id FROM facts WHERE text = ?", (text,)).fetchone()[0]
        return self._facts[facts]

    def finish(self) -> None:
        """Forget files that are gone, and make the series anew where anything has changed."""
        gone = self._connection.execute("DELETE FROM files WHERE round != ?", (self._round,)).rowcount
        stale = self._connection.execute("SELECT value FROM about WHERE name = 'stale'").fetchone()[0] == "1"
        if not gone and not stale:
            return
        run = self._connection.execute
        run("DELETE FROM frames WHERE file NOT IN (SELECT id FROM files)")
        run("DELETE FROM facts WHERE id NOT IN (SELECT facts FROM frames)")
        self._find_twins()
        run("UPDATE frames SET stack = NULL")
        run("DELETE FROM series")
        for series, place in run(
            "SELECT series, min(place) FROM frames JOIN files ON files.id = frames.file WHERE twin = 0 "
            "GROUP BY series ORDER BY series"
        ).fetchall():
            self._make_series(series, place)
        self._about("stale", 0)

    def _find_twins(self) -> None:
        """Mark the frames of files whose image is there already in an earlier file.

        Some programs that take out names give one UID to all slices: a copy has the same place and number, too.
        """
        self._connection.execute("UPDATE frames SET twin = 0")
        shared = self._connection.execute(
            "SELECT patient, instance, x, y, z, instance_number, file FROM frames "
            "JOIN files ON files.id = frames.file "
            "WHERE number = 0 AND instance IN (SELECT instance FROM frames WHERE number = 0 AND instance != '' "
            "GROUP BY instance HAVING count(*) > 1) ORDER BY patient, instance, x, y, z, instance_number, place"
        ).fetchall()
        for _, rows in groupby(shared, key=lambda row: row[:-1]):
            later = [(file,) for *_, file in rows][1:]
            self._connection.executemany("UPDATE frames SET twin = 1 WHERE file = ?", later)

    def _make_series(self, series: str, place: int) -> None:
        rows = self._connection.execute(
            "SELECT frames.*, facts.text FROM frames JOIN facts ON facts.id = frames.facts "
            "WHERE series = ? AND twin = 0 ORDER BY file, number",
            (series,),
        ).fetchall()
        known: dict[str, Facts] = {}
        headers = [_header(row, known) for row in rows]
        directions = len({direction(header.facts.orientation) for header in headers})
        for number, part in enumerate(stacks(headers), start=1):
            name = series if number == 1 else f"{series}-{number}"
            own = [(name, rows[index][0], rows[index][1]) for index in part]
            self._connection.executemany("UPDATE frames SET stack = ? WHERE file = ? AND number = ?", own)
            files = len({file for _, file, _ in own})
            frames = [headers[index] for index in part]
            text = json.dumps(astuple(describe(name, frames, files, directions)))
            moment = min((frame.moment for frame in frames if frame.moment is not None), default=None)
            _, middle, frame = own[middle_of(frames)]
            self._connection.execute(
                "INSERT INTO series VALUES (?, ?, ?, ?, ?, ?)", (name, place, moment, middle, frame, text)
            )


def _frame_row(file: str, header: Header, facts: int) -> tuple[object, ...]:
    position = header.position or (None, None, None)
    names = (header.patient, header.study, header.series, header.frame, header.instance)
    order = (header.instance_number, header.acquisition, header.time_point, header.day, header.moment)
    return (file, header.number, *names, facts, *position, *order, 0, None)


def _header(row: tuple[Any, ...], known: dict[str, Facts]) -> Header:
    _, number, patient, study, series, frame, instance, _, x, y, z, *order, _, _, text = row
    if text not in known:
        known[text] = Facts(*_values(text))
    position = () if x is None else (x, y, z)
    return Header(patient, study, series, frame, instance, number, known[text], position, *order)


def _series(text: str) -> Series:
    return Series(*_values(text))


def _values(text: str) -> list[Any]:
    return [tuple(item) if isinstance(item, list) else item for item in json.loads(text)]


def _by_patient(series: Series) -> tuple[str, int]:
    return series.patient, series.day or 0
