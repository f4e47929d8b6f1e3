"""Where a row's lesions are: what it says itself, then the masks of its patient, and never a guess."""

from pathlib import Path

import numpy as np
import pytest

from rarelesion.diagnoses import Diagnosis
from rarelesion.import_settings import ImportSettings
from rarelesion.lesions import to_grid
from rarelesion.locating import NotACase, locate
from rarelesion.marks import MarkFile
from rarelesion.types import Image, Roi
from rarelesion.volumes import write_volume

AFFINE = np.diag([4.0, 1.0, 1.0, 1.0])[[2, 1, 0, 3]]
"""Axial: columns to the left, rows to the back, slices to the head."""
SIZE = (8, 30, 40)
IMAGES = {name: Image(np.zeros(SIZE, np.float32), name, AFFINE) for name in ("T1", "T2")}


def row(**said):
    plain = {"lesion": "", "mark": None, "boxes": {}, "ball": None, "study": "", "columns": {}}
    return Diagnosis(row=2, patient="p-a", label=0, **{**plain, **said})


def mask_file(folder: Path, name: str, *labels: tuple[int, tuple[int, int, int]], affine=AFFINE, sequence=""):
    """A cube of 3 x 4 x 4 voxels for each label."""
    pixels = np.zeros(SIZE, np.float32)
    for label, (z, y, x) in labels:
        pixels[z : z + 3, y : y + 4, x : x + 4] = label
    write_volume(folder / name, Image(pixels, "mask", affine))
    return MarkFile(folder / name, f"f-{name}", sequence)


def first_voxel(roi: Roi, sequence="T1"):
    return tuple(np.argwhere(to_grid(roi, IMAGES[sequence])).min(axis=0))


def reason(diagnosis, marks, **settings):
    with pytest.raises(NotACase) as caught:
        locate(diagnosis, marks, IMAGES, ImportSettings(**settings))
    return caught.value.args[0]


def test_a_mask_with_one_label_needs_no_name(tmp_path):
    (rois,) = locate(row(), [mask_file(tmp_path, "a.nii.gz", (7, (1, 2, 3)))], IMAGES, ImportSettings())
    assert {name: first_voxel(roi) for name, roi in rois.items()} == {"T1": (1, 2, 3)}


def test_a_label_is_chosen_by_the_row_or_for_all(tmp_path):
    marks = [mask_file(tmp_path, "a.nii.gz", (1, (1, 2, 3)), (2, (4, 20, 30)))]
    (by_row,) = locate(row(lesion="2"), marks, IMAGES, ImportSettings(roi_label="1"))
    (for_all,) = locate(row(), marks, IMAGES, ImportSettings(roi_label="1"))
    assert first_voxel(by_row["T1"]) == (4, 20, 30)
    assert first_voxel(for_all["T1"]) == (1, 2, 3)
    assert reason(row(), marks) == "several-labels"
    assert reason(row(lesion="9"), marks) == "no-such-label"


def test_several_files_need_a_sequence_each_or_a_label(tmp_path):
    one = mask_file(tmp_path, "a.nii.gz", (1, (1, 2, 3)))
    other = mask_file(tmp_path, "b.nii.gz", (2, (4, 20, 30)))
    assert reason(row(), [one, other]) == "several-marks"
    (rois,) = locate(row(lesion="2"), [one, other], IMAGES, ImportSettings())
    assert first_voxel(rois["T1"]) == (4, 20, 30)
    on_t2 = MarkFile(other.path, other.pseudonym, "T2")
    (rois,) = locate(row(), [one, on_t2], IMAGES, ImportSettings())
    assert (first_voxel(rois["T1"]), first_voxel(rois["T2"], "T2")) == ((1, 2, 3), (4, 20, 30))


def test_what_the_row_says_goes_before_the_files(tmp_path):
    marks = [mask_file(tmp_path, "a.nii.gz", (1, (1, 2, 3)))]
    own = mask_file(tmp_path, "own.nii.gz", (1, (5, 10, 11)))
    (rois,) = locate(row(mark=own.path), marks, IMAGES, ImportSettings())
    assert first_voxel(rois["T1"]) == (5, 10, 11)
    box = Roi(box=(3, 4, 9, 12), slice_index=6)
    (rois,) = locate(row(boxes={"T2": box}), marks, IMAGES, ImportSettings())
    assert rois == {"T2": box}


def test_a_ball_becomes_a_box_on_the_slice_nearest_to_it():
    (rois,) = locate(row(ball=((20.0, 15.0, 17.0), 8.0)), [], IMAGES, ImportSettings())
    assert rois["T1"].mask is None
    assert rois["T1"].slice_index == 4
    assert rois["T1"].box == (11, 16, 20, 25)


def test_parts_become_cases_only_where_that_is_wanted(tmp_path):
    marks = [mask_file(tmp_path, "a.nii.gz", (1, (1, 2, 3)), (1, (4, 20, 30)))]
    assert len(locate(row(), marks, IMAGES, ImportSettings())) == 1
    parts = locate(row(), marks, IMAGES, ImportSettings(each_component=True))
    assert sorted(first_voxel(rois["T1"]) for rois in parts) == [(1, 2, 3), (4, 20, 30)]


def test_a_mark_outside_the_image_or_none_at_all_is_no_case(tmp_path):
    away = AFFINE.copy()
    away[:3, 3] = 300
    assert reason(row(), [mask_file(tmp_path, "a.nii.gz", (1, (1, 2, 3)), affine=away)]) == "outside"
    assert reason(row(), []) == "not-marked"
