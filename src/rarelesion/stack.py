"""Slices as they were acquired, put onto one even grid at right angles: what a volume must be before it is compared.

Arrays in, arrays out; positions are patient millimetres (x to the left, y to the back, z to the head).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import shift

from rarelesion.errors import InputError, Problem
from rarelesion.types import Floats, Ints

SAME_PLACE_MM = 1e-3
SPACING_TOLERANCE = 0.1
"""Share of the slice distance by which a slice may be off its place."""
DRIFT_TOLERANCE = 0.1
"""Share of a pixel by which slices may lie beside each other."""
DECIMALS = 3
"""Of a pixel: rounding in a file must not add a row."""
STRAIGHT_TOLERANCE = 0.5
"""Share of a pixel by which tilted slices may be off a straight line."""
ASSUMED_MM = 1.0


@dataclass(frozen=True, eq=False, slots=True)
class Stack:
    """Parallel slices of one size and where they are."""

    planes: NDArray[np.float32]
    """(n, rows, columns)"""
    positions: Floats
    """(n, 3) patient mm of each slice's first pixel."""
    orientation: Floats
    """(2, 3) direction of increasing column, of increasing row; right-angled unit vectors."""
    pixel_mm: Floats
    """(2,) distance between rows, between columns."""

    @property
    def along(self) -> Floats:
        """(n,) mm of each slice along the direction in which slices follow each other."""
        return self.positions @ np.cross(*self.orientation)

    def of(self, chosen: Ints) -> "Stack":
        """The same stack with only these slices, in this order; not copied where those are all as they are."""
        if np.array_equal(chosen, np.arange(len(self.planes))):
            return self
        return Stack(self.planes[chosen], self.positions[chosen], self.orientation, self.pixel_mm)


def even(where: str, stack: Stack, slice_mm: float | None) -> tuple[NDArray[np.float32], Floats, tuple[str, ...]]:
    """Bring slices in any order onto an even grid at right angles, and say what had to be mended.

    Slices are put in order; of identical ones at the same place one is kept; a tilted stack is sampled at right
    angles to its slices; missing slices are interpolated, unevenly spaced ones sampled at their median distance, both
    linearly. `slice_mm` is the distance that the files name: it is used for a single slice only.

    Returns pixels (slices, rows, columns) float32, the affine (4, 4) from (slice, row, column, 1) to patient mm, and
    a note for each thing that was mended. Raises InputError where different pixels are at one place, and where more
    is missing than is there; `where` names the series in its message.
    """
    stack = Stack(stack.planes, stack.positions, _right_angled(where, stack), stack.pixel_mm)
    stack, notes = _without_duplicates(where, stack.of(np.argsort(stack.along, kind="stable")))
    if len(stack.planes) == 1:
        if slice_mm is None:
            notes.append(f"a single slice without a thickness: {ASSUMED_MM:g} mm assumed")
        return stack.planes, _affine(stack, ASSUMED_MM if slice_mm is None else slice_mm), tuple(notes)
    stack, tilted = _upright(where, stack)
    planes, step, gaps = _evenly_spaced(where, stack)
    return planes, _affine(stack, step), (*notes, *tilted, *gaps)


def _right_angled(where: str, stack: Stack) -> Floats:
    """(2, 3) the directions of a slice, freed of what rounding did to them."""
    across, down = stack.orientation
    lengths = np.linalg.norm(stack.orientation, axis=1)
    if (np.abs(lengths - 1) > 0.01).any() or abs(across @ down) > 0.01 or (stack.pixel_mm <= 0).any():
        raise InputError(Problem(where, "the pixel spacing or the slice directions are not usable"))
    across = across / lengths[0]
    down = down - (down @ across) * across
    return np.stack([across, down / np.linalg.norm(down)])


def _affine(stack: Stack, step: float) -> Floats:
    """(4, 4) of slices one straight above the other, DICOM PS3.3 C.7.6.2.1.1."""
    across, down = stack.orientation
    affine = np.eye(4)
    affine[:3, 0] = np.cross(across, down) * step
    affine[:3, 1], affine[:3, 2] = down * stack.pixel_mm[0], across * stack.pixel_mm[1]
    affine[:3, 3] = stack.positions[0]
    return affine


def _without_duplicates(where: str, stack: Stack) -> tuple[Stack, list[str]]:
    """Of sorted slices, one at each place."""
    starts = np.flatnonzero(np.diff(stack.along, prepend=-np.inf) > SAME_PLACE_MM)
    dropped = len(stack.planes) - len(starts)
    if not dropped:
        return stack, []
    first = starts[np.searchsorted(starts, np.arange(len(stack.planes)), side="right") - 1]
    others = int(sum(not _same(stack, one, two) for one, two in enumerate(first)))
    if others:
        found = f"{others} of {len(stack.planes)} slices share their place with a different one"
        remedy = "Keep one echo, phase, time point or b-value of the series."
        raise InputError(Problem(where, "several images at one place", found, "one volume", remedy))
    return stack.of(starts), [f"{_slices(dropped, 'duplicate')} dropped"]


def _same(stack: Stack, one: int, two: int) -> bool:
    if one == two:
        return True
    together = np.linalg.norm(stack.positions[one] - stack.positions[two]) <= 2 * SAME_PLACE_MM
    return bool(together) and np.array_equal(stack.planes[one], stack.planes[two])


def _slices(count: int, kind: str) -> str:
    return f"{count} {kind} slice{'' if count == 1 else 's'}"


def _upright(where: str, stack: Stack) -> tuple[Stack, list[str]]:
    """Sorted slices moved within their planes until they lie straight above each other; nothing is cut off."""
    across, down = stack.orientation
    beside_mm = (stack.positions - stack.positions[0]) @ np.stack([down, across], axis=1)
    beside = np.round(beside_mm / stack.pixel_mm, DECIMALS)
    if np.abs(beside).max() <= DRIFT_TOLERANCE:
        return stack, []
    if (np.ptp(beside, axis=0) > stack.planes.shape[1:]).any():
        remedy = "Choose a series whose slices lie above each other."
        raise InputError(Problem(where, "the slices do not lie above each other", remedy=remedy))
    low, high = np.floor(beside.min(axis=0)).astype(int), np.ceil(beside.max(axis=0)).astype(int)
    fill = stack.planes.min()
    moved = np.full((len(stack.planes), *(stack.planes.shape[1:] + high - low)), fill, dtype=np.float32)
    rows, columns = stack.planes.shape[1:]
    for index, by in enumerate(beside - low):
        moved[index, :rows, :columns] = stack.planes[index]
        moved[index] = shift(moved[index], by, order=1, mode="grid-constant", cval=float(fill), prefilter=False)
    above = (stack.along - stack.along[0])[:, None] * np.cross(across, down)
    corner = stack.positions[0] + np.array([down, across]).T @ (low * stack.pixel_mm)
    return Stack(moved, corner + above, stack.orientation, stack.pixel_mm), [_drift_note(stack, beside_mm)]


def _drift_note(stack: Stack, beside_mm: Floats) -> str:
    height = stack.along - stack.along[0]
    slope = height @ beside_mm / (height @ height)
    if (np.abs(beside_mm - height[:, None] * slope) > STRAIGHT_TOLERANCE * stack.pixel_mm).any():
        furthest = np.linalg.norm(beside_mm, axis=1).max()
        return f"slices up to {furthest:.1f} mm beside each other brought above each other"
    return f"a tilt of {np.degrees(np.arctan(np.linalg.norm(slope))):.1f} degrees resampled to right angles"


def _evenly_spaced(where: str, stack: Stack) -> tuple[NDArray[np.float32], float, list[str]]:
    """Planes at even distances, that distance in mm, and how they came to it; of sorted slices, none twice."""
    height = stack.along - stack.along[0]
    found = lattice(height)
    if found is None:
        step = float(np.median(np.diff(height)))
        count = round(height[-1] / step) + 1
        _check_mostly_there(where, len(height), count)
        wanted = np.arange(count) * step
        gaps = np.diff(height)
        note = f"slices {gaps.min():.2f} to {gaps.max():.2f} mm apart resampled to {step:.2f} mm"
        return np.stack(list(_between(stack.planes, height, wanted))), step, [note]
    step, places = found
    if len(places) == places[-1] + 1:
        return stack.planes, step, []
    _check_mostly_there(where, len(places), int(places[-1]) + 1)
    wanted = np.arange(places[-1] + 1)
    missing = ", ".join(f"{place * step:.1f}" for place in np.setdiff1d(wanted, places))
    count = len(wanted) - len(places)
    note = f"{_slices(count, 'missing')} interpolated, at {missing} mm along the stack"
    return np.stack(list(_between(stack.planes, places, wanted))), step, [note]


def lattice(height: Floats) -> tuple[float, Ints] | None:
    """The step of which all distances between slices are whole multiples, and (n,) which multiple each slice is at.

    `height` (n,) increasing mm along the stack, from 0. None where there is no such step.
    """
    gaps = np.diff(height)
    places = np.concatenate([[0], np.cumsum(np.rint(gaps / gaps.min()))]).astype(np.int64)
    step = float(places @ height / (places @ places))
    off = height - places * step
    return None if np.ptp(off) > 2 * SPACING_TOLERANCE * step else (step, places)


def _check_mostly_there(where: str, present: int, wanted: int) -> None:
    if wanted > 2 * present:
        found = f"{present} of {wanted} slices"
        remedy = "Export the whole series again, or split it where it has gaps."
        raise InputError(Problem(where, "more slices are missing than there are", found, "one volume", remedy))


def _between(
    planes: NDArray[np.float32], places: Floats | Ints, wanted: Floats | Ints
) -> Iterator[NDArray[np.float32]]:
    """The planes at the wanted places, linearly between their neighbours; beyond the last place, the last plane."""
    for place in wanted:
        below = int(np.clip(np.searchsorted(places, place, side="right") - 1, 0, len(places) - 2))
        share = np.float32(min((place - places[below]) / (places[below + 1] - places[below]), 1))
        yield planes[below] if share == 0 else planes[below] * (1 - share) + planes[below + 1] * share
