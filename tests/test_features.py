"""Radiomics and clinical columns in a study: from the cohort to the table, gone on with, and on the next case."""

import csv
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from rarelesion import measurements, store
from rarelesion.errors import InputError
from rarelesion.features import RADIOMICS
from rarelesion.prediction import predict_cases
from rarelesion.publish import write_report
from rarelesion.settings import FeatureSettings
from rarelesion.study import run_study

RECIPES = (
    "tiny+texture",
    "tiny+texture+radiomics",
    "tiny+texture+radiomics+clinical",
    "tiny+lof+clinical",
    "cvae+radiomics",
    "radiomics",
    "clinical",
    "radiomics+clinical",
)


def silent(*_):
    """No progress."""


def rewrite(path, change):
    """Change each row of a table; `change` is given the row's number and the row, and gives the new one."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = [change(number, row) for number, row in enumerate(csv.DictReader(file))]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return path


def with_person(number, row):
    """Malignant cases are some fifteen years older; one age is not known."""
    years = 45 + 7 * number % 20 + 15 * (row["label"] == "malignant")
    return row | {"age": str(years) if number != 3 else "", "sex": "FM"[number % 2], "ward": f"w{number % 3}"}


@pytest.fixture(scope="module")
def cohort(picture_cohort, tmp_path_factory):
    folder = tmp_path_factory.mktemp("persons") / "cohort"
    shutil.copytree(picture_cohort.parent, folder)
    return rewrite(folder / "cohort.csv", with_person)


@pytest.fixture(scope="module")
def settings(quick_settings):
    return replace(quick_settings, recipes=RECIPES)


@pytest.fixture(scope="module")
def run(cohort, settings, tmp_path_factory):
    """A finished study with features; not to be changed."""
    folder = tmp_path_factory.mktemp("fused") / "run"
    run_study(cohort, folder, settings, None, silent)
    write_report(folder)
    return folder


def scores_of(folder):
    return {one.recipe: one for one in store.read_scores(folder / "scores.csv")}


def test_the_table_shows_clinical_alone_image_alone_and_both(run):
    results = json.loads((run / "evaluation.json").read_text(encoding="utf-8"))["recipes"]
    assert set(results) == set(RECIPES)
    areas = {name: result["roc_auc"]["value"] for name, result in results.items()}
    assert areas["clinical"] > 0.7
    assert areas["radiomics"] > 0.9
    assert areas["radiomics+clinical"] > 0.9
    page = (run / "report.html").read_text(encoding="utf-8")
    for label in ("clinical", "radiomics +clinical", "tiny +texture +radiomics +clinical"):
        assert f">{label}<" in page


def test_every_row_scores_the_same_cases_of_every_split(run):
    rows = {
        name: set(zip(one.fold.tolist(), one.part.tolist(), one.case_id.tolist(), strict=True))
        for name, one in scores_of(run).items()
    }
    assert all(keys == rows["tiny+texture"] for keys in rows.values())


def test_networks_are_shared_and_the_radiomics_are_there_once(run):
    names = {path.name for path in (run / "networks").iterdir() if not path.name.startswith("start-")}
    assert names == {f"{network}-r0f{fold}" for network in ("tiny", "tiny+texture", "cvae") for fold in (0, 1)}
    table = measurements.read_features(run / RADIOMICS)
    assert len(table.case_ids) == 36
    assert np.isfinite(table.values[:, table.names.index("view1_ring_mean_difference")]).all()


def test_the_columns_that_were_read_are_in_the_settings_and_kept_in_the_run(run):
    assert 'clinical = [\n    "age",\n    "sex",\n]' in (run / "study.toml").read_text(encoding="utf-8")
    first = store.read_case_table(run / "cohort.csv")[0]
    assert {"age", "sex"} <= set(first)
    assert "ward" not in first


def test_the_same_seed_gives_the_same_scores_and_radiomics_are_not_measured_again(
    cohort, settings, run, tmp_path, monkeypatch
):
    folder = tmp_path / "run"
    shutil.copytree(run, folder)
    (folder / "scores.csv").unlink()
    monkeypatch.setattr("rarelesion.features.measure_cohort", lambda *_: pytest.fail("measured a second time"))
    run_study(cohort, folder, settings, None, silent)
    assert (folder / "scores.csv").read_bytes() == (run / "scores.csv").read_bytes()


def test_a_study_without_a_network_is_gone_on_with_and_given_more_rows(cohort, settings, run, tmp_path):
    folder = tmp_path / "run"
    run_study(cohort, folder, replace(settings, recipes=("clinical",)), None, silent)
    assert not (folder / RADIOMICS).exists()
    splits = (folder / "splits.json").read_bytes()
    run_study(cohort, folder, replace(settings, recipes=("radiomics+clinical", "radiomics")), None, silent)
    assert (folder / "splits.json").read_bytes() == splits
    found = scores_of(folder)
    assert list(found) == ["clinical", "radiomics+clinical", "radiomics"]
    for name, one in found.items():
        np.testing.assert_array_equal(one.score, scores_of(run)[name].score)
    assert write_report(folder).exists()


def test_labels_of_test_cases_change_no_score(cohort, settings, run, tmp_path):
    """Two test cases of one fold, of different classes, change their labels: no other score of this fold moves."""
    split = store.read_splits(run / "splits.json")[0]
    part_of = {case_id: part for part in ("train", "tune", "test") for case_id in getattr(split, part)}
    folder = tmp_path / "cohort"
    shutil.copytree(cohort.parent, folder)
    table = rewrite(folder / "cohort.csv", lambda _, row: row | {"split": part_of[row["case_id"]]})
    wanted = replace(settings, recipes=("radiomics", "clinical", "radiomics+clinical"))
    run_study(table, tmp_path / "before", wanted, None, silent)
    rows = store.read_case_table(run / "cohort.csv")
    turned = {
        next(row["case_id"] for row in rows if row["label"] == word and part_of[row["case_id"]] == "test"): other
        for word, other in (("benign", "malignant"), ("malignant", "benign"))
    }
    rewrite(table, lambda _, row: row | {"label": turned.get(row["case_id"], row["label"])})
    run_study(table, tmp_path / "after", wanted, None, silent)
    before, after = scores_of(tmp_path / "before"), scores_of(tmp_path / "after")
    for name in wanted.recipes:
        np.testing.assert_array_equal(before[name].score, after[name].score)


def test_other_columns_may_be_named_and_then_are_what_is_read(cohort, settings, tmp_path):
    wanted = replace(settings, recipes=("clinical",), features=FeatureSettings(clinical=("ward",)))
    run_study(cohort, tmp_path / "run", wanted, None, silent)
    assert "ward" in store.read_case_table(tmp_path / "run" / "cohort.csv")[0]


@pytest.mark.parametrize(
    ("clinical", "recipes", "message"),
    [
        (("ages",), ("clinical",), "features.clinical: the cohort has no such column; found 'ages'"),
        (("subtype",), ("clinical",), "names the diagnosis"),
        ((), ("tiny", "tiny+clinical"), "none of the usual clinical columns; found patient_name"),
    ],
)
def test_what_cannot_be_read_is_said_before_anything_is_trained(
    clinical, recipes, message, picture_cohort, settings, tmp_path
):
    wanted = replace(settings, recipes=recipes, features=FeatureSettings(clinical=clinical))
    with pytest.raises(InputError, match=message):
        run_study(picture_cohort, tmp_path / "run", wanted, None, silent)
    assert not (tmp_path / "run").exists()


def test_a_word_among_numbers_is_said_with_the_table(cohort, settings, tmp_path):
    folder = tmp_path / "cohort"
    shutil.copytree(cohort.parent, folder)
    table = rewrite(folder / "cohort.csv", lambda n, row: row | ({"age": "unknown"} if n == 7 else {}))
    with pytest.raises(InputError, match=r"cohort.csv:age: some cells are no numbers; found 'unknown'"):
        run_study(table, tmp_path / "run", replace(settings, recipes=("clinical",)), None, silent)


# --- the next case -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("recipe", ["radiomics", "clinical", "tiny+texture+radiomics+clinical", "tiny+lof+clinical"])
def test_a_case_fed_in_again_gets_the_score_it_had_in_the_study(recipe, cohort, run):
    """As a test case; a tuning case was scored by weights that did not know it."""
    stored = scores_of(run)[recipe]
    tested = stored.where(stored.part == "test")
    expected = dict(zip(zip(tested.fold.tolist(), tested.case_id.tolist(), strict=True), tested.score, strict=True))
    found = predict_cases(run, cohort, {}, {}, {}, recipe)
    again = {(r.fold, one.case_id): r.score for one in found for r in one.readings}
    np.testing.assert_allclose([again[key] for key in expected], list(expected.values()), rtol=1e-3, atol=1e-3)
    assert all(0 <= one.probability <= 1 and 0 <= one.percentile <= 100 for one in found)


def test_the_same_picture_is_known_again_and_a_person_of_the_same_age_is_not(cohort, run):
    pictures, persons = (predict_cases(run, cohort, {}, {}, {}, name) for name in ("radiomics", "clinical"))
    assert all(one.known_as == one.case_id for one in pictures)
    assert all(one.case_id not in [neighbour.case_id for neighbour in one.neighbours] for one in pictures)
    assert all(one.known_as is None for one in persons)
    assert all(len(one.neighbours) == 5 for one in (*pictures, *persons))


def test_a_new_case_without_the_columns_is_told_which(picture_cohort, cohort, run):
    with pytest.raises(
        InputError, match=r"columns that are not given: age, sex; found patient_name, subtype.*as a table"
    ):
        predict_cases(run, picture_cohort, {}, {}, {}, "tiny+lof+clinical")
    with open(cohort, encoding="utf-8") as file:
        row = next(csv.DictReader(file))
    options = (
        {view: str(cohort.parent / row[f"image_{view}"]) for view in ("view1", "view2")},
        {},
        {"view1": "14 14 34 34"},
    )
    with pytest.raises(InputError, match="columns that are not given: age, sex; found no further column"):
        predict_cases(run, None, *options, "clinical")
    assert predict_cases(run, None, *options, "radiomics")[0].case_id == "new case"


def test_an_unknown_age_is_allowed_and_a_word_for_it_is_not(cohort, run, tmp_path):
    folder = tmp_path / "cohort"
    shutil.copytree(cohort.parent, folder)
    table = rewrite(folder / "cohort.csv", lambda _, row: row | {"age": ""})
    assert len(predict_cases(run, table, {}, {}, {}, "clinical")) == 36
    rewrite(table, lambda n, row: row | {"age": "old" if n == 0 else "50"})
    with pytest.raises(InputError, match="case c00, age: is no number; found 'old'"):
        predict_cases(run, table, {}, {}, {}, "clinical")


def test_radiomics_that_were_lost_are_measured_again(cohort, settings, run, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(run, folder)
    (folder / RADIOMICS).unlink()
    with pytest.raises(InputError, match="not a readable file of features"):
        predict_cases(folder, cohort, {}, {}, {}, "radiomics")
    run_study(cohort, folder, settings, None, silent)
    assert (folder / "scores.csv").read_bytes() == (run / "scores.csv").read_bytes()
