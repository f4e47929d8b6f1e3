"""The run folder: plain files, each written whole or not at all, and read back with care.

Whoever is interrupted at any moment finds either the old file or the new one, never half of one.
"""

import csv
import hashlib
import io
import json
import math
import os
import platform
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, astuple, fields
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rarelesion.errors import InputError, Problem
from rarelesion.types import CLASSES, Case, Embeddings, Epoch, Finding, Scores, Split

KEPT_COLUMNS = ("synthetic", "subtype", "sex", "age", "scanner", "field_strength_t", "site")
"""Columns of the cohort that say nothing of who the patient is; others are kept only where the settings name them."""

PACKAGES = ("rarelesion", "numpy", "scipy", "scikit-learn", "torch", "SimpleITK", "pydicom", "matplotlib")
HASHED_ROWS = 64
"""Of an array at a time: some 40 MB of the largest patches."""
MOST_SCORES = 2_000_000
"""Rows of a scores.csv: as many as a laptop's memory holds as text."""
SCORE_COLUMNS = ("recipe", "repeat", "fold", "part", "case_id", "patient_id", "label", "score")


GO_ON = "Free some space or choose another folder, then give the same command again: it goes on where it stopped."
MADE_ANEW = "Put back a copy, or remove it and give the study's command again: it is made anew."


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; what was written there takes its place when the block ends well.

    Raises InputError where the disk refuses (full, read-only); the old file then stays as it was.
    """
    with _heeding_the_disk(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
        try:
            yield temporary
            with temporary.open("rb+") as written:
                os.fsync(written.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def _heeding_the_disk(path: Path) -> Iterator[None]:
    """What the disk refuses within the block comes as an InputError that says how to go on."""
    try:
        yield
    except OSError as error:
        raise InputError(Problem(str(path), f"cannot be written: {error.strerror or error}", remedy=GO_ON)) from None


@contextmanager
def needed_within(path: Path) -> Iterator[Path]:
    """Give the path of a file that is of use within the block only: it is removed when the block ends, however it ends.

    One left by a run that was killed is removed before. InputError where that is refused.
    """
    with _heeding_the_disk(path):
        remove(path)
    try:
        yield path
    finally:
        with suppress(PermissionError):  # Windows keeps what a traceback still maps: the next start removes it
            remove(path)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, content: str) -> None:
    """Write a UTF-8 file with plain line ends, whole or not at all."""
    write_bytes(path, content.encode("utf-8"))


def remove(path: Path) -> None:
    """Remove a file of a run that is to be made anew; nothing happens where there is none."""
    path.unlink(missing_ok=True)


def read_text(path: Path) -> str:
    """Read a UTF-8 file of a run; InputError where it is missing or unreadable."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            Problem(str(path), f"cannot be read: {error}", remedy="Is this the folder of a finished run?")
        ) from None


def read_bytes(path: Path) -> bytes:
    """Read a file of a run; InputError where it is missing or unreadable."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(Problem(str(path), f"cannot be read: {error.strerror}")) from None


def write_json(path: Path, content: Any) -> None:
    """Write plain values as JSON."""
    write_text(path, json.dumps(content, indent=1) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file of a run; InputError where it is missing or damaged."""
    try:
        return json.loads(read_text(path))
    except ValueError as error:
        raise InputError(Problem(str(path), f"is not JSON: {error}", remedy=MADE_ANEW)) from None


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def array_sha256(array: NDArray[Any]) -> str:
    """SHA-256 of an array's values in C order, some rows at a time: a mapped array is never whole in memory."""
    digest = hashlib.sha256()
    for start in range(0, len(array), HASHED_ROWS):
        digest.update(array[start : start + HASHED_ROWS].tobytes())
    return digest.hexdigest()


def start_array(path: Path, shape: tuple[int, ...]) -> None:
    """Begin an array file (`.npy`, float32) of this shape, whose rows `append_row` adds one by one.

    It grows by writing, not through a map: where a disk fills up, a written map ends the process without a word.
    Raises InputError where the disk refuses or has no room for all rows.
    """
    with _heeding_the_disk(path):
        free, needed = shutil.disk_usage(path.parent).free, 4 * math.prod(shape)
        if needed > free:
            expected = f"{needed / 1e9:.1f} GB for the patches, as long as the study runs"
            raise InputError(
                Problem(str(path.parent), "the disk has too little room", f"{free / 1e9:.1f} GB", expected, GO_ON)
            )
        with path.open("wb") as file:
            header = {"descr": "<f4", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, header)


def append_row(path: Path, row: NDArray[np.float32]) -> None:
    """Add a row to a file begun by `start_array`; InputError where the disk refuses."""
    with _heeding_the_disk(path), path.open("ab") as file:
        file.write(row.astype("<f4", copy=False).tobytes())


def map_array(path: Path) -> NDArray[np.float32]:
    """A finished array file as a read-only map: its rows come from the disk when they are read.

    Raises InputError where the file is missing or has not all its rows.
    """
    try:
        return np.load(path, mmap_mode="r")
    except (EOFError, OSError, ValueError) as error:
        remedy = "Give the same command again: the patches are cut anew."
        raise InputError(Problem(str(path), f"cannot be read: {error}", remedy=remedy)) from None


def write_cohort(path: Path, cases: Sequence[Case], further: Sequence[str]) -> None:
    """Write who was studied: ids, labels and harmless columns, without the paths of the images."""
    kept = [c for c in dict.fromkeys((*KEPT_COLUMNS, *further)) if any(c in case.columns for case in cases)]
    header = ["case_id", "patient_id", "label", *kept]
    rows = (
        [case.case_id, case.patient_id, CLASSES[case.label], *(case.columns.get(c, "") for c in kept)] for case in cases
    )
    write_text(path, csv_text(header, rows))


def read_case_table(path: Path) -> list[dict[str, str]]:
    """The rows of a run's cohort.csv, as text by column."""
    rows = list(csv.DictReader(io.StringIO(read_text(path))))
    if not rows or not {"case_id", "patient_id", "label"} <= set(rows[0]):
        raise InputError(Problem(str(path), "is not the table of a run's cases", remedy=MADE_ANEW))
    return rows


def csv_text(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Comma-separated text; floats in the shortest form that reads back the same."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return buffer.getvalue()


def write_splits(path: Path, splits: Sequence[Split]) -> None:
    """Write splits.json."""
    write_json(path, [asdict(split) for split in splits])


def read_splits(path: Path) -> tuple[Split, ...]:
    """Read splits.json."""
    try:
        splits = tuple(
            Split(item["repeat"], item["fold"], tuple(item["train"]), tuple(item["tune"]), tuple(item["test"]))
            for item in read_json(path)
        )
    except (KeyError, TypeError):
        splits = ()
    if not splits:
        raise InputError(Problem(str(path), "is not a list of splits", remedy=MADE_ANEW))
    return splits


def write_history(path: Path, history: Sequence[Epoch]) -> None:
    """Write a network's training history, one line an epoch."""
    write_text(path, csv_text([item.name for item in fields(Epoch)], (astuple(epoch) for epoch in history)))


def read_history(path: Path) -> tuple[Epoch, ...]:
    """Read a network's training history; InputError where it is damaged."""
    try:
        history = tuple(
            Epoch(int(row["epoch"]), float(row["train_loss"]), float(row["tune_loss"]), float(row["seconds"]))
            for row in csv.DictReader(io.StringIO(read_text(path)))
        )
    except (KeyError, TypeError, ValueError):
        history = ()
    if not history:
        remedy = "Remove it: the scores do not need it, only its curve is left out."
        raise InputError(Problem(str(path), "is not a training history", remedy=remedy))
    return history


def write_embeddings(path: Path, embeddings: Embeddings) -> None:
    """Write waist 1 of one network as `.npz`: plain arrays, readable with ``numpy.load`` and no pickle."""
    content = {item.name: getattr(embeddings, item.name) for item in fields(embeddings)}
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, allow_pickle=False, **content)


def read_embeddings(path: Path) -> Embeddings:
    """Read waist 1 of one network; InputError where the file is missing or damaged."""
    try:
        # Opened here, for a damaged archive would leave it open, and Windows would not let it be removed.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            content: dict[str, Any] = {item.name: stored[item.name] for item in fields(Embeddings)}
    except Exception as error:  # a damaged archive raises whatever its first wrong byte leads to
        raise InputError(
            Problem(
                str(path),
                f"is not a readable embeddings file: {type(error).__name__}",
                remedy="Remove it and give the study command again: only this network is embedded anew.",
            )
        ) from None
    scalars = {"network": str(content["network"]), "repeat": int(content["repeat"]), "fold": int(content["fold"])}
    return Embeddings(**{**content, **scalars})


def write_scores(path: Path, recipes: Sequence[Scores]) -> None:
    """Write scores.csv, waist 2."""
    rows = (
        (scores.recipe, repeat, fold, part, case_id, patient_id, CLASSES[label], repr(float(score)))
        for scores in recipes
        for repeat, fold, part, case_id, patient_id, label, score in zip(
            scores.repeat, scores.fold, scores.part, scores.case_id, scores.patient_id, scores.label, scores.score,
            strict=True,
        )
    )  # fmt: skip
    write_text(path, csv_text(SCORE_COLUMNS, rows))


def read_scores(path: Path) -> tuple[Scores, ...]:
    """Read a scores.csv, ours or any other's: one Scores a recipe, in the order they appear.

    Needed are `recipe, case_id, label, score`; `repeat` and `fold` default to 0, `part` to test and `patient_id` to
    the case id. Raises InputError with every unusable row (row 1 is the header).
    """
    table = _score_table(path)
    problems = list(_score_problems(table, str(path)))
    if problems:
        raise InputError(problems)
    return tuple(
        Scores(
            recipe=str(recipe),
            repeat=table["repeat"][rows].astype(np.int64),
            fold=table["fold"][rows].astype(np.int64),
            part=table["part"][rows],
            case_id=table["case_id"][rows],
            patient_id=table["patient_id"][rows],
            label=(table["label"][rows] == CLASSES[1]).astype(np.int64),
            score=table["score"][rows].astype(np.float64),
        )
        for recipe in dict.fromkeys(table["recipe"].tolist())
        for rows in [table["recipe"] == recipe]
    )


def _score_table(path: Path) -> dict[str, NDArray[np.str_]]:
    """The columns of a scores.csv as text, the optional ones filled in."""
    expected = "the columns " + ", ".join(SCORE_COLUMNS)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            separator = max(",;\t", key=file.readline().count)
            file.seek(0)
            reader = csv.reader(file, delimiter=separator, strict=True)
            header = next(reader, [])
            rows = list(islice(reader, MOST_SCORES + 1))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else f"cannot be read as a table: {error}"
        raise InputError(Problem(str(path), reason, expected=f"a CSV with {expected}")) from None
    missing = [name for name in ("recipe", "case_id", "label", "score") if name not in header]
    if missing:
        found = f"the columns {', '.join(header)}" if header else "an empty file"
        raise InputError(Problem(str(path), f"misses the column {', '.join(missing)}", found, expected))
    if len(rows) > MOST_SCORES:
        remedy = "Give larger tables as arrays to rarelesion.auc and rarelesion.compare_aucs, or evaluate a part."
        raise InputError(Problem(str(path), "has more rows than can be read", "", f"at most {MOST_SCORES:,}", remedy))
    ragged = [number for number, row in enumerate(rows, start=2) if len(row) != len(header)]
    if ragged or not rows:
        found = f"row {ragged[0]} has another number of cells than the header" if ragged else "no row"
        raise InputError(Problem(str(path), "is not a whole table", found, "one row a case, fold and recipe"))
    table = {name: np.array(cells, dtype=np.str_) for name, cells in zip(header, zip(*rows, strict=True), strict=True)}
    n = len(rows)
    defaults = {"repeat": np.full(n, "0"), "fold": np.full(n, "0"), "part": np.full(n, "test")}
    return {**defaults, "patient_id": table["case_id"], **table}


def _score_problems(table: Mapping[str, NDArray[np.str_]], where: str) -> Iterator[Problem]:
    checks: tuple[tuple[str, str, Callable[[str], bool]], ...] = (
        ("recipe", "a name", lambda text: bool(text.strip())),
        ("case_id", "a case id", lambda text: bool(text.strip())),
        ("patient_id", "a patient id", lambda text: bool(text.strip())),
        ("label", "benign or malignant", lambda text: text in CLASSES[:2]),
        ("part", "tune or test", lambda text: text in ("tune", "test")),
        ("repeat", "a whole number from 0", str.isdecimal),
        ("fold", "a whole number from 0", str.isdecimal),
        ("score", "a finite number", _is_finite),
    )
    for column, expected, is_usable in checks:
        for row, text in enumerate(table[column].tolist(), start=2):
            if not is_usable(text):
                yield Problem(f"{where}:{row}:{column}", "unusable value", repr(text), expected)
    seen: set[tuple[str, ...]] = set()
    label_of: dict[str, str] = {}
    keys = zip(*(table[name].tolist() for name in ("recipe", "repeat", "fold", "case_id", "label")), strict=True)
    for row, (*key, label) in enumerate(keys, start=2):
        if tuple(key) in seen:
            yield Problem(f"{where}:{row}", "scores a case a second time in the same fold", repr(key[-1]))
        if label_of.setdefault(key[-1], label) != label:
            yield Problem(f"{where}:{row}:label", "labels a case both benign and malignant", repr(key[-1]))
        seen.add(tuple(key))


def _is_finite(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def read_findings(path: Path) -> tuple[Finding, ...]:
    """Read what the checks found before the study; InputError where the file is damaged."""
    try:
        return tuple(Finding(**item) for item in read_json(path))
    except TypeError:
        raise InputError(Problem(str(path), "is not a list of findings", remedy=MADE_ANEW)) from None


def read_provenance(path: Path) -> dict[str, Any]:
    """Read what made the run; InputError where the file is damaged."""
    content = read_json(path)
    if not isinstance(content, dict):
        raise InputError(Problem(str(path), "is not the record of a run", remedy=MADE_ANEW))
    return content


def write_provenance(path: Path, inputs: Mapping[str, Any]) -> None:
    """Write what made the run: versions, machine, seeds and hashes of inputs; no names, paths or dates."""
    machine = {"system": platform.system(), "processor": platform.machine(), "cores": os.cpu_count()}
    versions = {"python": platform.python_version()} | {name: version(name) for name in PACKAGES}
    write_json(path, {"versions": versions, "machine": machine, **inputs})
