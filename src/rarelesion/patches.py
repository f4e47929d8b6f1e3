"""From a cohort to the network's input: every case's images read and its lesion cut out."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from rarelesion.crop import cut_patch, resolve_channels
from rarelesion.errors import InputError, Problem
from rarelesion.images import load_roi, read_image
from rarelesion.settings import ImageSettings
from rarelesion.types import Case, Cohort, Image, Patches, Roi


def load_patches(cohort: Cohort, settings: ImageSettings, on_case: Callable[[int, int], None] | None = None) -> Patches:
    """Read all images of a cohort and cut out the lesions, in the order of its cases.

    `on_case` is told after each case how many are done, of how many. Raises InputError with the problems of all
    cases, each naming its case and sequence, after every case has been tried.
    """
    channels = resolve_channels(cohort.sequences, settings.channels)
    pixels: list[NDArray[np.float32]] = []
    problems: list[Problem] = []
    for done, case in enumerate(cohort.cases, start=1):
        try:
            pixels.append(cut_case(case, channels, settings))
        except InputError as error:
            problems += error.problems
        if on_case is not None:
            on_case(done, len(cohort.cases))
    if problems:
        raise InputError(problems)
    return Patches(np.stack(pixels), tuple(case.case_id for case in cohort.cases))


def cut_case(case: Case, channels: dict[str, str], settings: ImageSettings) -> NDArray[np.float32]:
    """The patch (3, side_px, side_px) of one case, in 0..1; `channels` is colour -> sequence.

    Raises InputError with all problems of the case, each naming it.
    """
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
            return cut_patch(images, rois, channels, settings)
        except InputError as error:
            problems += error.problems
    raise InputError(replace(problem, where=f"case {case.case_id}, {problem.where}") for problem in problems)
