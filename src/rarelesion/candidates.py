"""Which series of a patient a case is made of, where the archive holds several that would do."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass

from rarelesion.series import Series

FEWEST_SLICES = 3
"""With fewer a lesion's largest cross-section is not to be found."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """The series of one study that show every sequence asked for."""

    study: str
    series: Mapping[str, Series]
    """Sequence -> series."""
    notes: tuple[str, ...]
    """What a person should know of the choice."""


def choose_series(
    found: Sequence[Series], sequences: Sequence[str], marked: Set[str], study: str = ""
) -> Chosen | tuple[str, str]:
    """One series of each sequence out of those of a patient, all of one study; else why not and what would mend it.

    `found` are the patient's series with their roles as a person left them, `marked` the pseudonyms of series that a
    lesion was drawn on, `study` the one meant, if one is. Before others go: the study with a marked series, then the
    earliest; of its series the marked one, the surest role, one without remarks, axial, of several slices, of the
    finest pixels. Equal ones are settled by their pseudonyms, so that the choice is always the same.
    """
    studies = sorted({one.study for one in found if not study or one.study == study})
    if not studies:
        return "the study named in the table is not in the archive", "Take its name from series.csv."
    offers = [offer for name in studies if (offer := _offer(name, found, sequences, marked)) is not None]
    if not offers:
        return _lacking(found, sequences), "Look at the contact sheet, correct roles.csv, and give the command again."
    best = min(offers, key=lambda offer: (not _has_mark(offer, marked), _day(offer), offer.study))
    others = len(offers) - 1
    if not others:
        return best
    note = f"{others} other stud{'y has' if others == 1 else 'ies have'} these sequences too; the earliest was taken"
    if _has_mark(best, marked):
        note = note.replace("the earliest", "the marked one")
    return Chosen(best.study, best.series, (*best.notes, note))


def _offer(study: str, found: Sequence[Series], sequences: Sequence[str], marked: Set[str]) -> Chosen | None:
    chosen: dict[str, Series] = {}
    notes = []
    for sequence in sequences:
        candidates = [one for one in found if one.study == study and one.role == sequence]
        if not candidates:
            return None
        best = min(candidates, key=lambda one: _rank(one, marked))
        chosen[sequence] = best
        if len(candidates) > 1:
            notes.append(f"{sequence}: {best.series} of {len(candidates)} series")
        if best.slices < FEWEST_SLICES:
            notes.append(f"{sequence}: only {best.slices} slice{'s' * (best.slices > 1)}")
    if len({one.frame for one in chosen.values() if one.frame}) > 1:
        notes.append("the sequences have different frames of reference: the patient may have moved")
    return Chosen(study, chosen, tuple(notes))


def _rank(one: Series, marked: Set[str]) -> tuple[object, ...]:
    area = (one.spacing_row_mm or 99.0) * (one.spacing_column_mm or 99.0)
    return (
        _original(one.series) not in marked and one.series not in marked,
        one.slices < FEWEST_SLICES,
        -round(one.confidence, 1),
        bool(one.remarks),
        one.orientation != "axial",
        area,
        -one.slices,
        one.series,
    )


def _original(series: str) -> str:
    """The DICOM series that a stack is part of: s-abc-2 is the second of s-abc."""
    return "-".join(series.split("-")[:2])


def _has_mark(offer: Chosen, marked: Set[str]) -> bool:
    return any({one.series, _original(one.series)} & marked for one in offer.series.values())


def _day(offer: Chosen) -> int:
    return min((one.day for one in offer.series.values() if one.day is not None), default=0)


def _lacking(found: Sequence[Series], sequences: Sequence[str]) -> str:
    roles = {one.role for one in found}
    missing = [sequence for sequence in sequences if sequence not in roles]
    if not missing:
        return f"no study has all of {', '.join(sequences)}"
    shown = ", ".join(sorted(roles)) or "none"
    return f"no series is {' or '.join(missing)} (roles found: {shown})"
