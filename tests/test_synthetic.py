"""The synthetic cohort: files that the readers of real data accept, the paper's shares, equal seeds equal pixels."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from pydicom import dcmread

from rarelesion.cohort import read_cohort, read_ratings
from rarelesion.dicom import read_series
from rarelesion.images import read_mask
from rarelesion.settings import CohortSettings
from rarelesion.synthetic import _plan, _ratings, make_cohort


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_cohort(tmp_path_factory.mktemp("cohort"), n_benign=5, n_malignant=3, seed=7)


def test_the_cohort_reads_like_a_real_one(table: Path) -> None:
    cohort = read_cohort(table, CohortSettings())
    assert cohort.sequences == ("T1", "T2")
    assert sorted(cohort.labels) == [0] * 5 + [1] * 3
    assert {case.columns["synthetic"] for case in cohort.cases} == {"yes"}
    assert all(18 <= int(case.columns["age"]) <= 90 for case in cohort.cases)
    ratings = read_ratings(table.with_name("readers.csv"), cohort)
    assert {rating.reader for rating in ratings} == {"radiologist"}
    assert {rating.rating for rating in ratings} <= {1, 2, 3, 4, 5}
    assert len(ratings) == 8


def test_mask_and_series_share_the_grid_and_the_sequences_differ(table: Path) -> None:
    for case in read_cohort(table, CohortSettings()).cases:
        t1, t2 = (read_series(case.images[sequence], sequence) for sequence in ("T1", "T2"))
        source = case.rois["T1"]
        assert isinstance(source, Path)
        roi = read_mask(source)
        assert roi.mask is not None
        assert roi.affine is not None
        assert t1.affine is not None
        assert t2.affine is not None
        assert roi.mask.shape == t1.pixels.shape
        np.testing.assert_allclose(roi.affine, t1.affine, atol=1e-3)
        assert not np.allclose(t1.affine, t2.affine, atol=0.1)
        centre = np.argwhere(roi.mask).mean(axis=0)
        t2_slice = (np.linalg.inv(t2.affine) @ t1.affine @ [*centre, 1])[0]
        assert -0.5 <= t2_slice <= len(t2.pixels) - 0.5
        assert 3 <= len(t1.pixels) <= 7
        assert t1.pixels.max() > 5 * np.median(t1.pixels[:, :5])


def test_no_file_looks_like_a_patients(table: Path) -> None:
    headers = [dcmread(path, stop_before_pixels=True) for path in table.parent.rglob("*0001.dcm")]
    assert len(headers) == 16
    assert {str(header.PatientName).split("^")[0] for header in headers} == {"SYNTHETIC"}
    assert {header.PatientBirthDate for header in headers} <= {"", None}
    assert {float(header.MagneticFieldStrength) for header in headers} <= {1.0, 1.5, 3.0}
    assert len({header.SeriesInstanceUID for header in headers}) == 16
    assert len({header.StudyInstanceUID for header in headers}) == 8


def _checksums(table: Path) -> Counter[bytes]:
    volumes = [read_series(folder, folder.name) for folder in table.parent.glob("case*/T?")]
    return Counter(volume.pixels.tobytes() for volume in volumes)


def test_equal_seeds_write_equal_pixels_and_fewer_cases_are_some_of_more(table: Path, tmp_path: Path) -> None:
    fewer = _checksums(make_cohort(tmp_path / "fewer", n_benign=3, n_malignant=2, seed=7))
    assert fewer.total() == 10
    assert fewer < _checksums(table)
    other = _checksums(make_cohort(tmp_path / "other", n_benign=1, n_malignant=0, seed=8))
    assert not other & _checksums(table)


def test_progress_is_told_case_by_case(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    make_cohort(tmp_path, n_benign=1, n_malignant=1, on_case=lambda done, total: told.append((done, total)))
    assert told == [(1, 2), (2, 2)]
    mask = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "case001" / "mask_T1.nii.gz")))
    assert set(np.unique(mask)) == {0, 1}


def test_the_whole_cohort_has_the_papers_shares() -> None:
    plans = _plan(190, 55, seed=0)
    assert Counter(plan.subtype for plan in plans) == {
        "pleomorphic adenoma": 132,
        "Warthin tumour": 29,
        "other benign": 29,
        "mucoepidermoid carcinoma": 19,
        "acinic cell carcinoma": 8,
        "lymphoma": 7,
        "other malignant": 21,
    }
    assert Counter(plan.field_strength_t for plan in plans) == {1.5: 204, 3.0: 35, 1.0: 6}
    assert len({plan.case_id for plan in plans}) == 245
    first_malignant = [k for k, plan in enumerate(plans) if plan.key[1]]
    assert 80 < np.mean(first_malignant) < 165


@pytest.mark.parametrize("seed", range(3))
def test_the_reader_is_as_good_as_the_papers(seed: int) -> None:
    plans = _plan(190, 55, seed)
    doubts = np.random.default_rng(seed).standard_normal(len(plans))
    ratings = np.array([row["rating"] for row in _ratings(plans, doubts)], float)
    malignant = np.array([plan.key[1] for plan in plans], bool)
    pairs = ratings[malignant][:, None] - ratings[~malignant][None, :]
    assert 0.73 < (pairs > 0).mean() + 0.5 * (pairs == 0).mean() < 0.80
    assert set(ratings) == {1, 2, 3, 4, 5}


@pytest.mark.parametrize("numbers", [(0, 0), (-1, 5)])
def test_a_cohort_needs_cases(tmp_path: Path, numbers: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="at least one case"):
        make_cohort(tmp_path, *numbers)
