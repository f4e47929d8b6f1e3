"""Radiomics of a cohort: read from its files, kept in one, read back."""

import numpy as np
import pytest

from conftest import write_picture_cohort
from rarelesion.cohort import read_cohort
from rarelesion.errors import InputError
from rarelesion.measurements import measure_cohort, read_features, write_features
from rarelesion.settings import CohortSettings, FeatureSettings, ImageSettings


@pytest.fixture(scope="module")
def cohort(picture_cohort):
    return read_cohort(picture_cohort, CohortSettings())


@pytest.fixture(scope="module")
def table(cohort):
    return measure_cohort(cohort, ImageSettings(), FeatureSettings())


def test_every_case_is_measured_in_all_its_sequences(cohort, table):
    assert table.case_ids.tolist() == [case.case_id for case in cohort.cases]
    assert table.values.shape == (36, len(table.names))
    assert {name.partition("_")[0] for name in table.names} == {"view1", "view2"}
    spots = table.values[:, table.names.index("view1_intensity_variance")]
    assert np.median(spots[24:]) > spots[:24].max()


def test_progress_is_told_case_by_case(cohort):
    told = []
    measure_cohort(cohort, ImageSettings(), FeatureSettings(), lambda done, total: told.append((done, total)))
    assert told == [(number, 36) for number in range(1, 37)]


def test_features_are_read_back_as_they_were_written(table, tmp_path):
    write_features(tmp_path / "embeddings" / "radiomics.npz", table)
    back = read_features(tmp_path / "embeddings" / "radiomics.npz")
    assert back.names == table.names
    np.testing.assert_array_equal(back.case_ids, table.case_ids)
    np.testing.assert_array_equal(back.values, table.values)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 torn"])
def test_a_damaged_file_says_how_to_go_on(content, tmp_path):
    (tmp_path / "radiomics.npz").write_bytes(content)
    with pytest.raises(InputError, match=r"not a readable file of features.*measured anew"):
        read_features(tmp_path / "radiomics.npz")
    with pytest.raises(InputError, match="not a readable file of features"):
        read_features(tmp_path / "none.npz")


def test_all_cases_that_cannot_be_read_are_named(tmp_path):
    path = write_picture_cohort(tmp_path, 4, 2)
    for number in (1, 4):
        next(tmp_path.glob(f"*_{number:02d}_view2.png")).write_bytes(b"torn")
    with pytest.raises(InputError) as caught:
        measure_cohort(read_cohort(path, CohortSettings()), ImageSettings(), FeatureSettings())
    assert [problem.where.partition(",")[0] for problem in caught.value.problems] == ["case c01", "case c04"]
