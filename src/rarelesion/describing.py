"""From the stacks of an archive to its rows: one Series each, with a proposed role."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace

from rarelesion.gathering import Geometry, geometry
from rarelesion.roles import OTHER, propose
from rarelesion.series import IMAGE, OLDEST, Facts, Header, Series

LOCALISER_SLICES = 10
YEAR_DAYS = 365.25
SAME_BIRTH_YEARS = 2.5
"""Years by which birthdays worked out from whole years of age may lie apart."""
OTHER_PERSON = "sex or age do not fit other studies of this patient number: two people?"


def describe(name: str, frames: Sequence[Header], files: int, directions: int = 1) -> Series:
    """One row for a stack: its pseudonym, the headers of its frames, how many files they lie in.

    `directions` is how many the DICOM series has that they come from: few slices in each of several are a localiser.

    `day` and `year` are the shifted day of the study and None; `since_first` turns them into intervals.
    """
    facts = _usual(frames)
    lie = geometry(frames)
    role, confidence, reason = propose(facts)
    if facts.modality == "MR" and _scattered(lie, directions):
        role, confidence, reason = OTHER, 0.8, "few slices in several directions: a localiser"
    first = frames[0]
    return Series(
        series=name,
        patient=first.patient,
        study=first.study,
        frame=first.frame,
        modality=facts.modality,
        orientation=lie.orientation if facts.kind == IMAGE else "",
        slices=lie.slices,
        files=files,
        rows=facts.rows,
        columns=facts.columns,
        spacing_row_mm=facts.spacing_row_mm,
        spacing_column_mm=facts.spacing_column_mm,
        spacing_slice_mm=lie.spacing_mm if lie.spacing_mm is not None else facts.gap_mm,
        thickness_mm=facts.thickness_mm,
        field_strength_t=facts.field_strength_t,
        tr_ms=facts.tr_ms,
        te_ms=facts.te_ms,
        ti_ms=facts.ti_ms,
        flip_degrees=facts.flip_degrees,
        b_value=facts.b_value,
        contrast=facts.contrast,
        fat_saturation=facts.fat_saturation,
        words=facts.words,
        vendor=facts.vendor,
        scanner=facts.scanner,
        sex=facts.sex,
        age=facts.age,
        day=min((frame.day for frame in frames if frame.day is not None), default=None),
        year=None,
        role=role,
        confidence=confidence,
        reason=reason,
        remarks=(*lie.remarks, *_told(facts)) if facts.kind == IMAGE else (),
        refers_to=facts.refers_to,
    )


def _scattered(lie: Geometry, directions: int) -> bool:
    return lie.orientation == "several" or (directions > 1 and lie.slices <= LOCALISER_SLICES)


def _told(facts: Facts) -> list[str]:
    return ["the header says that text is burnt into the pixels"] if facts.burnt_in else []


def _usual(frames: Sequence[Header]) -> Facts:
    """The facts that most frames share."""
    return Counter(frame.facts for frame in frames).most_common(1)[0][0]


def since_first(rows: Sequence[Series]) -> tuple[Series, ...]:
    """The same rows with days since the patient's first study and whole years since the archive's first study."""
    first: dict[str, int] = {}
    for row in rows:
        if row.day is not None:
            first[row.patient] = min(first.get(row.patient, row.day), row.day)
    start = min(first.values(), default=0)
    return tuple(
        row
        if row.day is None
        else replace(row, day=row.day - first[row.patient], year=int((row.day - start) / YEAR_DAYS))
        for row in rows
    )


def doubtful_patients(rows: Sequence[Series]) -> tuple[Series, ...]:
    """The same rows, with a remark on those of patient numbers that two people seem to share.

    `day` is still that of one calendar for all rows: sexes must be the same, and ages those of one birthday.
    """
    of_patient: dict[str, list[Series]] = defaultdict(list)
    for row in rows:
        of_patient[row.patient].append(row)
    mixed = {patient for patient, own in of_patient.items() if patient and _seems_two(own)}
    return tuple(replace(row, remarks=(*row.remarks, OTHER_PERSON)) if row.patient in mixed else row for row in rows)


def _seems_two(own: Sequence[Series]) -> bool:
    sexes = {row.sex for row in own} - {"", "O"}
    known = [(row.day, row.age) for row in own if row.day is not None and row.age is not None and row.age < OLDEST]
    births = [day / YEAR_DAYS - age for day, age in known]
    return len(sexes) > 1 or (len(births) > 1 and max(births) - min(births) > SAME_BIRTH_YEARS)
