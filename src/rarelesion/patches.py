"""From a cohort to the network's input: every case's images read and its lesion cut out."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rarelesion import store
from rarelesion.crop import cut_with_greys, resolve_channels
from rarelesion.errors import InputError, Problem
from rarelesion.images import load_roi, read_image
from rarelesion.settings import ImageSettings
from rarelesion.types import Case, Cohort, Floats, Image, Patches, Roi

OnCase = Callable[[int, int], None]
"""Told how many cases are done, of how many."""


def load_patches(cohort: Cohort, settings: ImageSettings, on_case: OnCase | None = None) -> Patches:
    """Read all images of a cohort and cut out the lesions, in the order of its cases.

    `on_case` is told after each case how many are done, of how many. Raises InputError with the problems of all
    cases, each naming its case and sequence, after every case has been tried.
    """
    pixels = np.empty(_shape(cohort, settings), dtype=np.float32)
    greys: list[Floats] = []
    for row, (patch, landmarks) in enumerate(_cut_cases(cohort, settings, on_case)):
        pixels[row] = patch
        greys.append(landmarks)
    return Patches(pixels, _case_ids(cohort), slices=settings.slices, greys=_learnable(greys, settings))


def write_patches(path: Path, cohort: Cohort, settings: ImageSettings, on_case: OnCase | None = None) -> Patches:
    """As `load_patches`, for any number of cases: each patch goes into an array file, from which all are then mapped.

    The file is the caller's to remove. Raises InputError also where the disk has too little room.
    """
    store.start_array(path, _shape(cohort, settings))
    greys: list[Floats] = []
    for patch, landmarks in _cut_cases(cohort, settings, on_case):
        store.append_row(path, patch)
        greys.append(landmarks)
    return Patches(store.map_array(path), _case_ids(cohort), path, settings.slices, _learnable(greys, settings))


def _learnable(greys: Sequence[Floats], settings: ImageSettings) -> Floats | None:
    """The landmarks of all patches where a standard scale of greys is to be learned from them."""
    return np.stack(greys) if settings.scaling == "nyul" else None


def without_pixels(patches: Patches) -> Patches:
    """Mapped patches as they go to another process, which uses `mapped`; those in memory go with their pixels."""
    return patches if patches.file is None else replace(patches, pixels=np.empty((0,), dtype=np.float32))


def mapped(patches: Patches) -> Patches:
    """What `without_pixels` gave, with its pixels mapped from the file; InputError where it is gone."""
    return patches if patches.file is None else replace(patches, pixels=store.map_array(patches.file))


def _shape(cohort: Cohort, settings: ImageSettings) -> tuple[int, int, int, int]:
    return len(cohort.cases) * settings.slices, 3, settings.side_px, settings.side_px


def _case_ids(cohort: Cohort) -> tuple[str, ...]:
    return tuple(case.case_id for case in cohort.cases)


def _cut_cases(
    cohort: Cohort, settings: ImageSettings, on_case: OnCase | None
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float64]]]:
    """The patches of the usable cases, slice by slice, with the landmarks of their greys.

    At the end InputError with the problems of the others.
    """
    channels = resolve_channels(cohort.sequences, settings.channels)
    problems: list[Problem] = []
    for done, case in enumerate(cohort.cases, start=1):
        try:
            yield from zip(*_cut_case(case, channels, settings), strict=True)
        except InputError as error:
            problems += error.problems
        if on_case is not None:
            on_case(done, len(cohort.cases))
    if problems:
        raise InputError(problems)


def cut_case(case: Case, channels: dict[str, str], settings: ImageSettings) -> NDArray[np.float32]:
    """The patches (slices, 3, side_px, side_px) of one case, in 0..1; `channels` is colour -> sequence.

    Raises InputError with all problems of the case, each naming it.
    """
    return _cut_case(case, channels, settings)[0]


def _cut_case(
    case: Case, channels: dict[str, str], settings: ImageSettings
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """The patches of one case and the landmarks of their greys, as `cut_with_greys` gives them."""
    problems: list[Problem] = []
    shown = set(channels.values())
    # A ROI on a sequence that is not shown leads to those that have none.
    marked = case.rois if shown - set(case.rois) else {name: case.rois[name] for name in case.rois if name in shown}
    images: dict[str, Image] = {}
    rois: dict[str, Roi] = {}
    for sequence in sorted(shown | set(marked)):
        try:
            images[sequence] = read_image(case.images[sequence], sequence)
            if sequence in marked:
                rois[sequence] = load_roi(marked[sequence])
        except InputError as error:
            problems += error.problems
    if not problems:
        try:
            return cut_with_greys(images, rois, channels, settings)
        except InputError as error:
            problems += error.problems
    raise InputError(replace(problem, where=f"case {case.case_id}, {problem.where}") for problem in problems)
