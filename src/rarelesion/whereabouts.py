"""What a pseudonym stands for: shown to the one who holds the key, and kept nowhere."""

from collections.abc import Iterator
from pathlib import Path

from rarelesion import index
from rarelesion.archive import file_pseudonym
from rarelesion.diagnoses import patient_of
from rarelesion.errors import InputError, Problem
from rarelesion.import_settings import ImportSettings
from rarelesion.sheet import read_sheet


def find_pseudonym(
    name: str, folder: Path, rois: Path | None, labels: Path | None, key_file: Path, settings: ImportSettings
) -> str:
    """The file or folder that a pseudonym "f-..." stands for, or the rows of the table that are a patient "p-...".

    Raises InputError where nothing here has this pseudonym under this key.
    """
    key = index.read_key(key_file)
    places = _rows(name, labels, key, settings) if name.startswith("p-") else _files(name, folder, rois, key)
    found = "\n".join(places)
    if not found:
        remedy = "Give the folder, table and key that the import was made with."
        raise InputError(Problem("--find", "nothing here has this pseudonym", name, "f-... or p-...", remedy))
    return found


def _files(name: str, folder: Path, rois: Path | None, key: bytes) -> Iterator[str]:
    for root in filter(None, (folder, rois)):
        for path in sorted(root.rglob("*")):
            if file_pseudonym(key, path.relative_to(root).as_posix()) == name:
                yield str(path)


def _rows(name: str, labels: Path | None, key: bytes, settings: ImportSettings) -> Iterator[str]:
    if labels is None:
        raise InputError(Problem("--find", "a patient is looked up in a table", expected="--labels TABLE"))
    table = read_sheet(labels)
    for row in table.rows:
        if name == patient_of(row.cells.get(settings.patient_column, ""), key, {name}):
            yield f"{table.name}:{row.number}"
