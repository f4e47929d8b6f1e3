"""From a cohort's files to patches, whatever kind the files are."""

from dataclasses import replace
from multiprocessing.reduction import ForkingPickler
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from rarelesion.cohort import read_cohort
from rarelesion.dicom import write_series
from rarelesion.errors import InputError
from rarelesion.patches import cut_case, load_patches, mapped, without_pixels, write_patches
from rarelesion.settings import CohortSettings, ImageSettings
from rarelesion.types import Case, Cohort, Roi

SETTINGS = ImageSettings(side_px=24)
AXIAL = np.diag([3.0, 0.8, 0.8, 1.0])[[2, 1, 0, 3]]
BOX = Roi(box=(6, 6, 18, 18), slice_index=2)


def volume(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 4000, (5, 30, 30)).astype(np.int16)


def case(folder: Path, number: int, second: str = ".nii.gz") -> Case:
    """A case with T1 as a DICOM series and T2 as another file of the same volume."""
    write_series(folder / f"{number}_T1", volume(number), AXIAL, "T1", {}, str(number))
    image = sitk.GetImageFromArray(volume(number))
    image.SetSpacing((0.8, 0.8, 3))
    path = folder / f"{number}_T2{second}"
    sitk.WriteImage(image, str(path))
    return Case(f"case{number}", f"p{number}", number % 2, {"T1": folder / f"{number}_T1", "T2": path}, {"T1": BOX})


def cohort(folder: Path, *cases: Case) -> Cohort:
    return Cohort(folder / "cohort.csv", cases, ("T1", "T2"))


def test_patches_come_in_the_order_of_the_cases_with_progress(tmp_path: Path) -> None:
    cases = [case(tmp_path, number) for number in (3, 1, 2)]
    told: list[tuple[int, int]] = []
    patches = load_patches(cohort(tmp_path, *cases), SETTINGS, lambda done, of: told.append((done, of)))
    assert patches.case_ids == ("case3", "case1", "case2")
    assert patches.pixels.shape == (3, 3, 24, 24)
    assert told == [(1, 3), (2, 3), (3, 3)]
    np.testing.assert_array_equal(patches.pixels[1], load_patches(cohort(tmp_path, cases[1]), SETTINGS).pixels[0])


def test_the_same_volume_as_dicom_and_as_nifti_gives_the_same_colours(tmp_path: Path) -> None:
    red, green, blue = cut_case(case(tmp_path, 1), {"blue": "T1", "green": "T2"}, SETTINGS)[0]
    np.testing.assert_allclose(green, blue, atol=1e-4)
    assert not red.any()
    assert np.ptp(blue) > 0.9


def test_a_mask_file_on_one_sequence_serves_the_other(tmp_path: Path) -> None:
    boxed = case(tmp_path, 1)
    mask = np.zeros((5, 30, 30), np.uint8)
    mask[2, 6:18, 6:18] = 1
    drawn = sitk.GetImageFromArray(mask)
    drawn.SetSpacing((0.8, 0.8, 3))
    sitk.WriteImage(drawn, str(tmp_path / "mask.nii.gz"))
    masked = replace(boxed, rois={"T2": tmp_path / "mask.nii.gz"})
    channels = {"blue": "T1", "green": "T2"}
    np.testing.assert_allclose(cut_case(masked, channels, SETTINGS), cut_case(boxed, channels, SETTINGS), atol=1e-4)


def test_a_roi_on_a_sequence_that_is_not_shown_leads_to_the_one_that_is(tmp_path: Path) -> None:
    given = case(tmp_path, 1)
    shown = cut_case(given, {"blue": "T2"}, SETTINGS)[0]
    np.testing.assert_allclose(shown[2], cut_case(given, {"blue": "T1"}, SETTINGS)[0, 2], atol=1e-4)


def test_every_problem_of_every_case_comes_at_once_with_its_case(tmp_path: Path) -> None:
    cases = [case(tmp_path, number) for number in (1, 2, 3, 4)]
    cases[0].images["T2"].write_bytes(b"torn")
    for file in cases[0].images["T1"].iterdir():
        file.unlink()
    cases[2] = replace(cases[2], rois={"T1": Roi(box=(6, 6, 18, 31), slice_index=2)})
    cases[3] = replace(cases[3], rois={"T1": Roi(box=(6, 6, 18, 18))})
    told: list[int] = []
    with pytest.raises(InputError) as caught:
        load_patches(cohort(tmp_path, *cases), SETTINGS, lambda done, of: told.append(done))
    places = [problem.where for problem in caught.value.problems]
    assert places[:2] == ["case case1, T1: 1_T1", "case case1, T2: 1_T2.nii.gz"]
    assert places[2:] == ["case case3, T1", "case case4, T1"]
    assert told == [1, 2, 3, 4]


def test_real_ultrasound_lesions_are_cut(shared_data: Path) -> None:
    whole = read_cohort(shared_data / "cohorts" / "busbra" / "cohort.csv", CohortSettings())
    some = replace(whole, cases=whole.cases[::32])
    patches = load_patches(some, ImageSettings())
    assert patches.pixels.shape == (20, 3, 100, 100)
    assert not patches.pixels[:, 0].any()
    assert np.ptp(patches.pixels[:, 1:], axis=(2, 3)).min() > 0.5


def test_patches_in_a_file_are_those_in_memory_but_mapped(tmp_path: Path) -> None:
    cases = cohort(tmp_path, *[case(tmp_path, number) for number in (3, 1, 2)])
    told: list[tuple[int, int]] = []
    patches = write_patches(tmp_path / "patches.npy", cases, SETTINGS, lambda done, of: told.append((done, of)))
    assert isinstance(patches.pixels, np.memmap)
    assert patches.file == tmp_path / "patches.npy"
    expected = load_patches(cases, SETTINGS)
    np.testing.assert_array_equal(patches.pixels, expected.pixels)
    assert patches.case_ids == expected.case_ids
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_a_file_of_patches_is_refused_with_the_problems_of_all_cases(tmp_path: Path) -> None:
    cases = [case(tmp_path, number) for number in (1, 2, 3)]
    for broken in (cases[0], cases[2]):
        broken.images["T2"].write_bytes(b"torn")
    with pytest.raises(InputError) as caught:
        write_patches(tmp_path / "patches.npy", cohort(tmp_path, *cases), SETTINGS)
    assert [problem.where for problem in caught.value.problems] == [
        "case case1, T2: 1_T2.nii.gz",
        "case case3, T2: 3_T2.nii.gz",
    ]


def test_to_another_process_goes_the_file_not_the_pixels(tmp_path: Path) -> None:
    patches = write_patches(tmp_path / "patches.npy", cohort(tmp_path, case(tmp_path, 1)), SETTINGS)
    sent = ForkingPickler.dumps(without_pixels(patches))
    assert len(sent) < 1000 < patches.pixels.nbytes
    received = mapped(ForkingPickler.loads(sent))
    assert isinstance(received.pixels, np.memmap)
    np.testing.assert_array_equal(received.pixels, patches.pixels)
    in_memory = load_patches(cohort(tmp_path, case(tmp_path, 1)), SETTINGS)
    assert mapped(without_pixels(in_memory)) is in_memory


def test_a_process_that_finds_the_file_gone_says_what_to_do(tmp_path: Path) -> None:
    patches = write_patches(tmp_path / "patches.npy", cohort(tmp_path, case(tmp_path, 1)), SETTINGS)
    gone = replace(without_pixels(patches), file=tmp_path / "gone.npy")
    with pytest.raises(InputError, match="Give the same command again"):
        mapped(gone)


def test_slices_of_a_case_follow_each_other_and_the_largest_comes_first(tmp_path: Path) -> None:
    cases = [case(tmp_path, number) for number in (1, 2)]
    settings = replace(SETTINGS, slices=3)
    patches = write_patches(tmp_path / "patches.npy", cohort(tmp_path, *cases), settings, None)
    one = load_patches(cohort(tmp_path, *cases), SETTINGS)
    assert patches.pixels.shape == (6, 3, 24, 24)
    np.testing.assert_array_equal(patches.largest, one.pixels)
    np.testing.assert_array_equal(patches.rows(np.array([1, 0])), [3, 4, 5, 0, 1, 2])
    assert not np.array_equal(patches.pixels[0], patches.pixels[1])
