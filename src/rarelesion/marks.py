"""Mask files in a folder, each given to the patient whose number its name holds.

File names are read and never passed on: in messages and tables a file is its pseudonym.
"""

import os
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

from rarelesion.archive import file_pseudonym
from rarelesion.diagnoses import patient_of
from rarelesion.pseudonyms import pseudonym

SUFFIXES = (".seg.nrrd", ".nii.gz", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd", ".dcm")
SHORTEST_PART = 3
"""Characters of a part of a name that may stand for a patient: a "1" in lesion_1 must not."""


@dataclass(frozen=True, slots=True)
class MarkFile:
    """A file with masks of one patient's lesions."""

    path: Path
    pseudonym: str
    sequence: str
    """The sequence its name tells, empty where it tells none."""


def find_marks(
    folder: Path, key: bytes, patients: Set[str], sequences: Sequence[str], named: Set[Path] = frozenset()
) -> tuple[Mapping[str, tuple[MarkFile, ...]], tuple[str, ...]]:
    """The mask files below a folder by patient, and the pseudonyms of those whose patient is unknown or not certain.

    A file belongs to the patient whose number is a folder on its way, its whole name, or a stretch of it between
    underscores, hyphens, dots or blanks; where none is, to the one whose leading zeros or capitals were lost. A part
    equal to a sequence says on which it was drawn. Files `named` in the table are passed over. What is no file, such as
    a link that leads nowhere, is among the uncertain.
    """
    found: dict[str, list[MarkFile]] = defaultdict(list)
    strangers = []
    elsewhere = {path.resolve() for path in named}
    for path in sorted(path for path in _files(folder) if path.resolve() not in elsewhere):
        relative = path.relative_to(folder)
        name = file_pseudonym(key, relative.as_posix())
        words = _words(relative)
        owners = {owner for word in words if (owner := pseudonym(key, "patient", word)) in patients}
        owners = owners or {owner for word in words if (owner := patient_of(word, key, patients)) in patients}
        if len(owners) == 1 and path.is_file():
            told = [one for one in sequences if one.casefold() in {word.casefold() for word in words}]
            found[owners.pop()].append(MarkFile(path, name, told[0] if len(told) == 1 else ""))
        else:
            strangers.append(name)
    return {patient: tuple(files) for patient, files in found.items()}, tuple(strangers)


def _files(folder: Path) -> list[Path]:
    return [
        Path(parent, name)
        for parent, _, names in os.walk(folder)
        for name in names
        if name.lower().endswith(SUFFIXES) and not name.startswith(".")
    ]


def _words(relative: Path) -> list[str]:
    """What may be a patient's number or a sequence's name."""
    suffix = next(one for one in SUFFIXES if relative.name.lower().endswith(one))
    stem = relative.name[: -len(suffix)]
    wholes = [*relative.parts[:-1], stem]
    parts = [part for whole in wholes for part in _parts(whole)]
    return [*wholes, *(part for part in parts if len(part) >= SHORTEST_PART or not part.isdigit())]


def _parts(whole: str) -> list[str]:
    """Every stretch of a name that begins and ends at a separator: a number may hold one itself."""
    places = [match.span() for match in re.finditer(r"[^_\-. ]+", whole)]
    return [whole[first:last] for n, (first, _) in enumerate(places) for _, last in places[n:]]
