"""What stands beside the networks of a run: radiomics measured once, clinical columns, a table of features, and those
of a new case."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from rarelesion.clinical import Cells, check_new, choose_columns, number_columns
from rarelesion.crop import Region
from rarelesion.errors import InputError, Problem
from rarelesion.feature_table import as_features, number_problems, read_feature_table
from rarelesion.fusion import Beside
from rarelesion.measurements import measure_cohort, read_features, read_regions, write_features
from rarelesion.recipes import Recipe
from rarelesion.settings import Settings
from rarelesion.types import Case, Cohort, FeatureTable

RADIOMICS = "embeddings/radiomics.npz"
"""Where in a run the radiomics of all its cases are."""
TABLE = "embeddings/table.npz"
"""And the features that another program measured."""
EVERY = "_height"
"""The end of a name that each sequence has once."""


def with_columns(settings: Settings, cohort: Cohort, recipes: Sequence[Recipe]) -> Settings:
    """The settings with the clinical columns of this cohort filled in.

    Raises InputError where a recipe needs them and there are none, or one holds neither numbers nor words.
    """
    needed = any(recipe.clinical for recipe in recipes)
    available = list(dict.fromkeys(name for case in cohort.cases for name in case.columns))
    columns = choose_columns(settings.features.clinical, available, needed)
    if needed:
        number_columns(columns, [case.columns for case in cohort.cases], cohort.source.name)
    return replace(settings, features=replace(settings.features, clinical=columns))


def write_radiomics(
    folder: Path,
    cohort: Cohort,
    settings: Settings,
    recipes: Sequence[Recipe],
    on_case: Callable[[int, int], None] | None = None,
) -> None:
    """Measure every case of a run, unless that is done or no recipe asks for it."""
    path = folder / RADIOMICS
    if any(recipe.radiomics for recipe in recipes) and not path.exists():
        write_features(path, measure_cohort(cohort, settings.images, settings.features, on_case))


def examples_of_outlines(
    cohort: Cohort, settings: Settings, recipes: Sequence[Recipe], n_each: int = 8
) -> list[tuple[Case, dict[str, Region]]]:
    """The first cases of each class with the outlines that were found, by sequence; none where none were looked for."""
    if settings.features.outline != "found" or not any(recipe.radiomics for recipe in recipes):
        return []
    chosen = [case for label in (0, 1) for case in [one for one in cohort.cases if one.label == label][:n_each]]
    return [(case, read_regions(case, settings.images, settings.features)) for case in chosen]


def check_table(folder: Path, cohort: Cohort, settings: Settings, recipes: Sequence[Recipe]) -> None:
    """InputError where a recipe asks for a table of features that is not named or cannot be used.

    What a run has taken over already is not looked at again.
    """
    if any(recipe.table for recipe in recipes) and not (folder / TABLE).exists():
        _read_table(cohort, settings)


def write_table(folder: Path, cohort: Cohort, settings: Settings, recipes: Sequence[Recipe]) -> None:
    """Take the table of features over into a run, unless that is done or no recipe asks for it."""
    path = folder / TABLE
    if any(recipe.table for recipe in recipes) and not path.exists():
        write_features(path, _read_table(cohort, settings))


def _read_table(cohort: Cohort, settings: Settings) -> FeatureTable:
    if not settings.features.table:
        remedy = 'Name it in study.toml: [features] table = "features.csv", or leave the recipes with table out.'
        raise InputError(
            Problem("features.table", "the recipes read a table of features, and none is named", remedy=remedy)
        )
    return read_feature_table(Path(settings.features.table), [case.case_id for case in cohort.cases])


def read_beside(
    folder: Path, cells: Mapping[str, Cells], settings: Settings, recipes: Sequence[Recipe]
) -> Beside | None:
    """What the recipes read beside their networks of the cases of a run; None where they read nothing.

    `cells` is case id -> its row of the cohort. Raises InputError where a file is missing or damaged.
    """
    if not any(recipe.features for recipe in recipes):
        return None
    clinical = any(recipe.clinical for recipe in recipes)
    columns = settings.features.clinical if clinical else ()
    return Beside(
        radiomics=read_features(folder / RADIOMICS) if any(recipe.radiomics for recipe in recipes) else None,
        table=read_features(folder / TABLE) if any(recipe.table for recipe in recipes) else None,
        cells=cells,
        columns=columns,
        numbers=number_columns(columns, cells.values(), "cohort.csv"),
        seed=settings.seed,
    )


def beside_new(known: Beside, cases: Cohort, settings: Settings) -> Beside:
    """The same of cases that are to be predicted, from their images and their rows.

    Raises InputError where a column or a sequence that the run reads is missing.
    """
    cells = {case.case_id: case.columns for case in cases.cases}
    check_new(known.columns, known.numbers, cells, cases.source.name)
    return replace(
        known,
        cells=cells,
        radiomics=known.radiomics and _measured_as(known.radiomics, cases, settings),
        table=known.table and _given_as(known.table, cells, cases.source.name),
    )


def _given_as(known: FeatureTable, cells: Mapping[str, Cells], where: str) -> FeatureTable:
    """The features of new cases out of their own rows."""
    missing = [name for name in known.names if any(name not in row for row in cells.values())]
    if missing:
        more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
        what = f"the recipe reads features that are not given: {', '.join(missing[:5])}{more}"
        remedy = "Give the case as a table with these columns, measured as those of the study were."
        raise InputError(Problem(where, what, remedy=remedy))
    if problems := number_problems(known.names, cells, where):
        raise InputError(problems)
    return as_features(known.names, cells)


def _measured_as(known: FeatureTable, cases: Cohort, settings: Settings) -> FeatureTable:
    """The features of new cases in the order of those of the run."""
    sequences = [name.removesuffix(EVERY) for name in known.names if name.endswith(EVERY)]
    missing = [name for name in sequences if name not in cases.sequences]
    if missing:
        remedy = f"Add {' and '.join(f'image_{name}' for name in missing)}."
        found, expected = ", ".join(cases.sequences), ", ".join(sequences)
        raise InputError(Problem(cases.source.name, "the radiomics need further sequences", found, expected, remedy))
    measured = measure_cohort(cases, settings.images, settings.features)
    places = [measured.names.index(name) for name in known.names]
    return FeatureTable(measured.case_ids, known.names, np.asarray(measured.values[:, places]))
