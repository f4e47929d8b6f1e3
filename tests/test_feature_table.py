"""Features that another program measured: read whole or refused, a row of the table, and read of new cases too."""

import csv
from dataclasses import replace

import numpy as np
import pytest

from rarelesion import store
from rarelesion.errors import InputError
from rarelesion.feature_table import read_feature_table
from rarelesion.features import TABLE
from rarelesion.measurements import read_features
from rarelesion.prediction import predict_cases
from rarelesion.settings import FeatureSettings
from rarelesion.study import run_study

HEADER = "case_id,diagnostics_Versions_PyRadiomics,original_shape_Sphericity,original_firstorder_Mean"


def table(path, *lines, header=HEADER):
    path.write_text("\n".join([header, *lines]), encoding="utf-8")
    return path


def silent(*_):
    """No progress."""


def test_features_come_in_the_order_of_the_cases_without_diagnostics(tmp_path):
    path = table(tmp_path / "t.csv", "b,v3,0.5,12", "c,v3,1,1", "a,v3,0.75,-3e2")
    found = read_feature_table(path, ["a", "b"])
    assert found.names == ("original_shape_Sphericity", "original_firstorder_Mean")
    assert found.case_ids.tolist() == ["a", "b"]
    assert found.values.tolist() == [[0.75, -300.0], [0.5, 12.0]]


def test_all_that_is_wrong_is_said_at_once(tmp_path):
    path = table(tmp_path / "t.csv", "a,v,nan,1", "a,v,1,2", "b,v,,inf", "c,v,x,1")
    with pytest.raises(InputError) as caught:
        read_feature_table(path, ["a", "b", "c", "d", "e"])
    text = str(caught.value)
    for part in (
        "t.csv:3:case_id: the case has a row already",
        "2 of 5 cases have no row; found d, e",
        "t.csv:original_shape_Sphericity: 2 of 3 cells are no finite number; found '' of b, 'x' of c",
        "t.csv:original_firstorder_Mean: 1 of 3 cells are no finite number; found 'inf' of b",
    ):
        assert part in text


@pytest.mark.parametrize("header", ["patient,x", "case_id", "case_id,diagnostics_a"])
def test_other_tables_are_refused(tmp_path, header):
    path = table(tmp_path / "t.csv", ",".join("1" * len(header.split(","))), header=header)
    with pytest.raises(InputError, match="not a table of features"):
        read_feature_table(path, ["1"])


@pytest.fixture(scope="module")
def measured(picture_cohort, tmp_path_factory):
    """A table in which one number tells the classes apart, but for noise."""
    with picture_cohort.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    rng = np.random.default_rng(0)
    lines = [f"{row['case_id']},v,{rng.normal() + 3 * (row['label'] == 'malignant')},{rng.normal()}" for row in rows]
    return table(tmp_path_factory.mktemp("features") / "features.csv", *lines)


@pytest.fixture(scope="module")
def run(picture_cohort, measured, quick_settings, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tabled") / "run"
    settings = replace(
        quick_settings, recipes=("table", "tiny+texture+table"), features=FeatureSettings(table=str(measured))
    )
    run_study(picture_cohort, folder, settings, None, silent)
    return folder


def test_the_table_is_a_row_and_stands_beside_a_network(run):
    scores = {one.recipe: one for one in store.read_scores(run / "scores.csv")}
    assert set(scores) == {"table", "tiny+texture+table"}
    for one in scores.values():
        test = one.part == "test"
        malignant, benign = (one.score[test & (one.label == label)] for label in (1, 0))
        assert np.mean(malignant[:, None] > benign) > 0.9


def test_the_run_keeps_the_numbers_and_needs_the_file_no_more(run, measured, picture_cohort, tmp_path):
    kept = read_features(run / TABLE)
    assert kept.names == ("original_shape_Sphericity", "original_firstorder_Mean")
    first = kept.case_ids.tolist()[0]
    assert kept.values[0].tolist() == read_feature_table(measured, [first]).values[0].tolist()


def test_new_cases_bring_the_features_in_their_own_table(run, picture_cohort, measured, tmp_path):
    with picture_cohort.open(encoding="utf-8", newline="") as file:
        row = next(iter(csv.DictReader(file)))
    known = read_feature_table(measured, [row["case_id"]])
    images = {
        key: str(picture_cohort.parent / value) for key, value in row.items() if key.startswith(("image_", "mask_"))
    }
    cells = {"case_id": "new", **images, **{key: row[key] for key in row if key.startswith("box_")}}

    def written(name, features):
        path = tmp_path / name
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, [*cells, *features])
            writer.writeheader()
            writer.writerow({**cells, **features})
        return path

    numbers = dict(zip(known.names, known.values[0], strict=True))
    (high,) = predict_cases(run, written("a.csv", numbers | {known.names[0]: 9}), {}, {}, {}, "table")
    (low,) = predict_cases(run, written("b.csv", numbers | {known.names[0]: -5}), {}, {}, {}, "table")
    assert high.score > low.score
    assert (high.decision, low.decision) == ("malignant", "benign")
    with pytest.raises(InputError, match="features that are not given: original_firstorder_Mean"):
        predict_cases(run, written("c.csv", {known.names[0]: 1}), {}, {}, {}, "table")
    with pytest.raises(InputError, match="no finite number"):
        predict_cases(run, written("d.csv", numbers | {known.names[0]: "high"}), {}, {}, {}, "table")


def test_a_recipe_without_its_table_stops_before_anything_is_made(picture_cohort, quick_settings, measured, tmp_path):
    asked = replace(quick_settings, recipes=("tiny+table",))
    with pytest.raises(InputError, match=r"features\.table: the recipes read a table"):
        run_study(picture_cohort, tmp_path / "one", asked, None, silent)
    few = table(tmp_path / "few.csv", *measured.read_text(encoding="utf-8").splitlines()[1:4])
    with pytest.raises(InputError, match="cases have no row"):
        run_study(
            picture_cohort, tmp_path / "two", replace(asked, features=FeatureSettings(table=str(few))), None, silent
        )
    assert [path.name for path in tmp_path.iterdir()] == ["few.csv"]
