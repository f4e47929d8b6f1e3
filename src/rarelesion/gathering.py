"""From the frames of a DICOM series to its stacks: volumes of one direction, one echo, one b-value, one time point."""

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from rarelesion.series import Facts, Header
from rarelesion.types import Floats

SAME_DIRECTION = 0.02
"""Largest difference of direction cosines within a stack, about one degree."""
MOST_DIRECTIONS = 6
"""A series of more directions is a radial scan or a set of localisers, and is left as it is."""
SAME_PLACE_MM = 0.05
OBLIQUE_DEGREES = 15.0
SPACING_TOLERANCE = 0.1
"""Share of the slice distance by which a slice may be off its place."""
_PARTS = """
    M M_SE M_IR M_FFE MAGNITUDE P P_SE PHASE R R_SE REAL I I_SE IMAGINARY W WATER F FAT IP IN_PHASE OP OPP_PHASE
    OUT_PHASE ADC ADC_UNSPECIFIED EADC EXP FA TRACEW TRACE SUB SUBTRACTION MIP MINIP MPR LOCALIZER PHASE_MAP
"""
PARTS = frozenset(_PARTS.split())
"""Words of ImageType that tell apart what was computed from one acquisition."""


@dataclass(frozen=True, slots=True)
class Geometry:
    """How the slices of a stack lie."""

    orientation: str
    slices: int
    """Different places."""
    spacing_mm: float | None
    """Median distance from slice to slice, None for a single slice or where there are no positions."""
    remarks: tuple[str, ...]


def stacks(headers: Sequence[Header]) -> list[list[int]]:
    """Which frames belong together: for each stack the places of its frames in `headers`, in a stable order.

    Frames are told apart by patient, study, direction, matrix, spacing, echo, b-value, phase or magnitude, Dixon part
    and frame of reference; where several still share one place, by time point, acquisition, or the order in time.
    """
    directions = _directions(headers)
    groups: dict[Hashable, list[int]] = defaultdict(list)
    for index, header in enumerate(headers):
        groups[(directions[index], *_made_like(header))].append(index)
    parts = [part for key in sorted(groups, key=repr) for part in _by_time(headers, groups[key])]
    return sorted(parts, key=lambda part: _first(headers, part))


def _first(headers: Sequence[Header], part: list[int]) -> tuple[float, float, float, float, str]:
    """The order of the stacks of a series; the first of them gets the plain name."""
    facts = headers[part[0]].facts
    moments = [headers[index].moment or 0.0 for index in part]
    numbers = [headers[index].instance_number or 0 for index in part]
    return (
        facts.b_value or 0.0,
        facts.te_ms or 0.0,
        min(moments),
        min(numbers),
        min(headers[i].instance for i in part),
    )


def _directions(headers: Sequence[Header]) -> list[int]:
    """For each frame the number of its direction; 0 for all where there are too many."""
    found: list[Floats | None] = []
    numbers = {}
    for orientation in dict.fromkeys(header.facts.orientation for header in headers):
        numbers[orientation] = _near(found, np.array(orientation) if orientation else None)
    if len(found) > MOST_DIRECTIONS:
        return [0] * len(headers)
    return [numbers[header.facts.orientation] for header in headers]


def _near(found: list[Floats | None], wanted: Floats | None) -> int:
    for number, known in enumerate(found):
        if known is None or wanted is None:
            if known is wanted:
                return number
        elif np.abs(known - wanted).max() < SAME_DIRECTION:
            return number
    found.append(wanted)
    return len(found) - 1


def _made_like(header: Header) -> tuple[Hashable, ...]:
    facts = header.facts
    spacing = (facts.spacing_row_mm or 0.0, facts.spacing_column_mm or 0.0)
    parts = tuple(sorted(PARTS & set(facts.types)))
    te = None if facts.te_ms is None else round(facts.te_ms, 1)
    ti = None if facts.ti_ms is None else round(facts.ti_ms)
    whose = (header.patient, header.study)  # some programs that take out names give one UID to several series
    same = (*whose, facts.kind, header.frame, facts.rows, facts.columns, *(round(item, 3) for item in spacing))
    return (*same, parts, te, ti, facts.b_value)


def _by_time(headers: Sequence[Header], part: list[int]) -> list[list[int]]:
    """Split a part in which several frames share each place."""
    places = _places(headers, part)
    if places is None:
        return [part]
    times = Counter(places)
    if sum(count > 1 for count in times.values()) < max(1, len(times) / 2):
        return [part]
    place = dict(zip(part, places, strict=True))
    attributes: tuple[Callable[[Header], Hashable], ...] = (
        lambda header: header.time_point,
        lambda header: header.facts.diffusion,
        lambda header: header.acquisition,
        lambda header: (header.time_point, header.facts.diffusion, header.acquisition),
    )
    for attribute in attributes:
        split: dict[Hashable, list[int]] = defaultdict(list)
        for index in part:
            split[attribute(headers[index])].append(index)
        if all(len({place[index] for index in own}) == len(own) for own in split.values()):
            return list(split.values())
    return _by_turn(headers, part, place)


def _by_turn(headers: Sequence[Header], part: list[int], place: dict[int, int]) -> list[list[int]]:
    """The first frame at each place, the second at each place and so on, in the order of time."""

    def when(index: int) -> tuple[float, int, str, int]:
        header = headers[index]
        return header.moment or 0.0, header.instance_number or 0, header.instance, header.number

    turns: dict[int, list[int]] = defaultdict(list)
    seen: Counter[int] = Counter()
    for index in sorted(part, key=when):
        turns[seen[place[index]]].append(index)
        seen[place[index]] += 1
    return [turns[turn] for turn in sorted(turns)]


def _places(headers: Sequence[Header], part: list[int]) -> list[int] | None:
    """For each frame the number of its place along the slice direction; None where that cannot be said."""
    frames = [headers[index] for index in part]
    along = None if _orientation(frames) == "several" else _along(frames)
    if along is None:
        return None
    order = np.argsort(along, kind="stable")
    steps = np.diff(along[order]) > SAME_PLACE_MM
    number = np.empty(len(part), dtype=int)
    number[order] = np.concatenate([[0], np.cumsum(steps)])
    return [int(item) for item in number]


def _normal(facts: Facts) -> Floats:
    return np.cross(facts.orientation[:3], facts.orientation[3:])


def _along(frames: Sequence[Header]) -> Floats | None:
    if not frames[0].facts.orientation or not all(frame.position for frame in frames):
        return None
    return np.array([frame.position for frame in frames]) @ _normal(frames[0].facts)


def geometry(frames: Sequence[Header]) -> Geometry:
    """How the slices of one stack lie, and what is uneven about them, in words."""
    orientation = _orientation(frames)
    along = None if orientation == "several" else _along(frames)
    if along is None:
        remarks = ("slices of several directions",) if orientation == "several" else ("no patient coordinates",)
        return Geometry(orientation, len(frames), None, remarks)
    order = np.argsort(along, kind="stable")
    gaps = np.diff(along[order])
    doubles = int((gaps <= SAME_PLACE_MM).sum())
    real = gaps[gaps > SAME_PLACE_MM]
    remarks = [f"{doubles} slices share their place with another"] if doubles else []
    if not len(real):
        return Geometry(orientation, 1, None, (*remarks, "a single slice"))
    step = float(np.median(real))
    remarks += _uneven(real, step) + _tilt(frames, order, step)
    if frames[0].facts.thickness_mm is None:
        remarks.append("no slice thickness")
    return Geometry(orientation, len(real) + 1, round(step, 4), tuple(remarks))


def middle_of(frames: Sequence[Header]) -> int:
    """The place in `frames` of the one in the middle of the stack, by position, else by number."""
    along = _along(frames)
    numbers = [float(frame.instance_number or 0) for frame in frames] if along is None else along
    return int(np.argsort(numbers, kind="stable")[len(frames) // 2])


def _uneven(gaps: Floats, step: float) -> list[str]:
    off = np.abs(gaps - step) > SPACING_TOLERANCE * step
    if not off.any():
        return []
    times = np.round(gaps / step)
    holes = (times >= 2) & (np.abs(gaps - times * step) <= SPACING_TOLERANCE * step)
    if (off == holes).all():
        missing = int((times[holes] - 1).sum())
        return [f"{missing} slice{'s are' if missing > 1 else ' is'} missing"]
    return [f"uneven distances of slices, {gaps.min():.2f} to {gaps.max():.2f} mm"]


def _tilt(frames: Sequence[Header], order: np.ndarray, step: float) -> list[str]:
    """Whether slices are shifted sideways against each other, as with a tilted gantry."""
    positions = np.array([frames[index].position for index in order])
    way = positions[-1] - positions[0]
    normal = _normal(frames[0].facts)
    sideways = float(np.linalg.norm(way - (way @ normal) * normal))
    length = float(np.linalg.norm(way))
    if sideways <= SPACING_TOLERANCE * step or length == 0:
        return []
    return [f"slices shifted sideways, tilt {np.degrees(np.arcsin(min(1.0, sideways / length))):.0f} degrees"]


def _orientation(frames: Sequence[Header]) -> str:
    found: list[Floats | None] = []
    for orientation in dict.fromkeys(frame.facts.orientation for frame in frames):
        _near(found, np.array(orientation) if orientation else None)
    if len(found) > 1:
        return "several"
    return direction(frames[0].facts.orientation)


def direction(orientation: Sequence[float]) -> str:
    """Axial, coronal or sagittal, "oblique" before it where the slices are turned by more than 15 degrees."""
    if len(orientation) != 6:
        return ""
    normal = np.cross(orientation[:3], orientation[3:])
    length = np.linalg.norm(normal)
    if length < 0.5:
        return ""
    axis = int(np.argmax(np.abs(normal)))
    name = ("sagittal", "coronal", "axial")[axis]
    turned = np.degrees(np.arccos(min(1.0, abs(normal[axis]) / length)))
    return f"oblique {name}" if turned > OBLIQUE_DEGREES else name
