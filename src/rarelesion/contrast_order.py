"""T1 series whose headers are silent about contrast: the order of a study says which were acquired after it."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace

from rarelesion.roles import T1, T1C
from rarelesion.series import Series

Timed = tuple[Series, float | None]
"""A series with the moment of its acquisition, in seconds from anywhere."""
LATER, REPEATED = 0.6, 0.5
"""Largest confidence of what is concluded from the order alone."""
SAME_TIMES = 0.1
"""Share by which TR and TE may differ between an acquisition and its repetition after contrast."""


def by_order(rows: Sequence[Timed]) -> tuple[Series, ...]:
    """The same series, some T1 now T1 after contrast with the reason, in the same order.

    Only a T1 whose header has no tag for contrast and whose description has no word on it is changed: where a series
    that is surely after contrast came before it in the study, or the same acquisition did.
    """
    studies: dict[tuple[str, str], list[Timed]] = defaultdict(list)
    for row in rows:
        studies[row[0].patient, row[0].study].append(row)
    changed = {series.series: series for study in studies.values() for series in _of_study(study)}
    return tuple(changed.get(series.series, series) for series, _ in rows)


def _of_study(study: Sequence[Timed]) -> Iterator[Series]:
    timed = [(series, moment) for series, moment in study if moment is not None and series.role in (T1, T1C)]
    injected = min((moment for series, moment in timed if series.role == T1C), default=None)
    for series, moment in timed:
        if series.role != T1 or series.contrast or {"pre", "contrast", "post"} & set(series.words):
            continue
        if injected is not None and moment > injected:
            why = "acquired after a series with contrast in the same study"
            yield _after(series, LATER, why)
        elif injected is None and any(_repeats(series, one) for one, before in timed if before < moment):
            yield _after(
                series, REPEATED, "the same acquisition was made earlier in this study, probably before contrast"
            )


def _after(series: Series, most: float, why: str) -> Series:
    reason = series.reason.replace("; no sign of contrast", "")
    return replace(series, role=T1C, confidence=min(most, series.confidence), reason=f"{reason}; {why}")


def _repeats(one: Series, other: Series) -> bool:
    """Whether two stacks were acquired alike: direction, matrix, spacing, number of slices, TR, TE, fat saturation."""

    def made(series: Series) -> tuple[object, ...]:
        fat = bool(series.fat_saturation) or "fs" in series.words
        parts = tuple(word for word in ("water", "fat", "inphase", "outphase") if word in series.words)
        return (series.frame, series.orientation, series.rows, series.columns, series.slices, fat, parts)

    times = zip((one.tr_ms, one.te_ms, one.ti_ms or 0), (other.tr_ms, other.te_ms, other.ti_ms or 0), strict=True)
    alike = all(a is not None and b is not None and abs(a - b) <= SAME_TIMES * max(a, b) for a, b in times)
    return alike and made(one) == made(other) and _dicom(one) != _dicom(other)


def _dicom(series: Series) -> str:
    """The DICOM series that a stack is part of."""
    return "-".join(series.series.split("-")[:2])
