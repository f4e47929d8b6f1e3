"""From the stacks of an archive to its rows: one Series each, with a proposed role."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from rarelesion.gathering import geometry
from rarelesion.roles import propose
from rarelesion.series import Facts, Header, Series


def describe(name: str, frames: Sequence[Header], files: int) -> Series:
    """One row for a stack: `frames` are its headers, `name` its pseudonym, `files` how many files it lies in.

    `day` and `year` are the shifted day of the study and None; `since_first` turns them into intervals.
    """
    facts = _usual(frames)
    lie = geometry(frames)
    role, confidence, reason = propose(facts)
    first = frames[0]
    return Series(
        series=name,
        patient=first.patient,
        study=first.study,
        frame=first.frame,
        modality=facts.modality,
        orientation=lie.orientation,
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
        remarks=lie.remarks,
        refers_to=facts.refers_to,
    )


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
        row if row.day is None else replace(row, day=row.day - first[row.patient], year=int((row.day - start) / 365.25))
        for row in rows
    )
