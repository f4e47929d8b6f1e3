"""From a cohort to its radiomics: every case's images read, its lesion measured in all sequences, the numbers kept."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from rarelesion import store
from rarelesion.crop import Region
from rarelesion.errors import InputError, Problem
from rarelesion.images import load_roi, read_image
from rarelesion.radiomics import case_features, case_regions
from rarelesion.settings import FeatureSettings, ImageSettings
from rarelesion.types import Case, Cohort, FeatureTable, Image, Roi


def measure_cohort(
    cohort: Cohort,
    scale: ImageSettings,
    settings: FeatureSettings,
    on_case: Callable[[int, int], None] | None = None,
) -> FeatureTable:
    """Radiomics of every case, in the order of the cohort; what a case does not have is NaN.

    `on_case` is told after each case how many are done, of how many. Raises InputError with the problems of all cases,
    each naming its case and sequence, after every case has been tried.
    """
    rows: list[dict[str, float]] = []
    problems: list[Problem] = []
    for done, case in enumerate(cohort.cases, start=1):
        try:
            rows.append(_measure_case(case, scale, settings))
        except InputError as error:
            problems += [replace(one, where=f"case {case.case_id}, {one.where}") for one in error.problems]
        if on_case is not None:
            on_case(done, len(cohort.cases))
    if problems:
        raise InputError(problems)
    names = tuple(rows[0])
    values = np.array([[row[name] for name in names] for row in rows], dtype=np.float64)
    return FeatureTable(np.array([case.case_id for case in cohort.cases], dtype=np.str_), names, values)


def write_features(path: Path, table: FeatureTable) -> None:
    """Write the features of a run's cases as `.npz`: plain arrays, readable with ``numpy.load`` and no pickle."""
    with store.replacing(path) as temporary, temporary.open("wb") as file:
        names = np.array(table.names, dtype=np.str_)
        np.savez(file, allow_pickle=False, case_ids=table.case_ids, names=names, values=table.values)


def read_features(path: Path) -> FeatureTable:
    """Read the features of a run's cases; InputError where the file is missing or damaged."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            return FeatureTable(stored["case_ids"], tuple(stored["names"].tolist()), stored["values"])
    except Exception as error:  # a damaged archive raises whatever its first wrong byte leads to
        remedy = "Remove it and give the study command again: only the radiomics are measured anew."
        what = f"is not a readable file of features: {type(error).__name__}"
        raise InputError(Problem(str(path), what, remedy=remedy)) from None


def read_regions(case: Case, scale: ImageSettings, settings: FeatureSettings) -> dict[str, Region]:
    """By sequence, the lesion and the tissue around it as radiomics measure them; InputError with all problems."""
    return case_regions(*_read(case), scale, settings)


def _measure_case(case: Case, scale: ImageSettings, settings: FeatureSettings) -> dict[str, float]:
    return case_features(*_read(case), scale, settings)


def _read(case: Case) -> tuple[dict[str, Image], dict[str, Roi]]:
    images = {sequence: read_image(path, sequence) for sequence, path in case.images.items()}
    return images, {sequence: load_roi(source) for sequence, source in case.rois.items()}
