from dataclasses import FrozenInstanceError
from pathlib import Path

import numpy as np
import pytest

from rarelesion.types import Case, Cohort, Curve, Embeddings, Image, Patches, PatchRows, Roi, Scores


def scores() -> Scores:
    return Scores(
        recipe="tiny",
        repeat=np.zeros(3, int),
        fold=np.array([0, 0, 1]),
        part=np.array(["tune", "test", "test"]),
        case_id=np.array(["a", "b", "c"]),
        patient_id=np.array(["p", "q", "r"]),
        label=np.array([0, 1, 0]),
        score=np.array([0.1, 0.9, 0.2]),
    )


def test_a_roi_is_either_a_box_or_a_mask():
    assert Roi(box=(0, 1, 2, 3)).mask is None
    assert Roi(mask=np.ones((1, 2, 2), bool)).box is None
    for wrong in ({}, {"box": (0, 1, 2, 3), "mask": np.ones((1, 2, 2), bool)}):
        with pytest.raises(ValueError, match="either a box or a mask"):
            Roi(**wrong)


@pytest.mark.parametrize(
    ("instance", "field"),
    [
        (Roi(mask=np.ones((1, 2, 2), bool)), "mask"),
        (Image(np.zeros((1, 2, 2), np.float32), "T1", np.eye(4)), "affine"),
        (Patches(np.zeros((1, 3, 2, 2), np.float32), ("a",)), "pixels"),
        (Curve(np.zeros(2), np.zeros(2), np.zeros(2)), "thresholds"),
        (scores(), "score"),
        (
            Embeddings("tiny", 0, 0, np.array(["a"]), np.array(["train"]), np.zeros(1, int), *[np.zeros((1, 2))] * 2),
            "vectors",
        ),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) else value,
)
def test_what_holds_arrays_cannot_be_changed_and_is_equal_to_itself_only(instance, field):
    array = getattr(instance, field)
    with pytest.raises(ValueError, match="read-only"):
        array[...] = 1
    with pytest.raises(FrozenInstanceError):
        setattr(instance, field, array)
    assert instance == instance
    assert instance != type(instance)(**{name: getattr(instance, name) for name in instance.__slots__})


def test_the_array_a_noun_was_made_from_can_still_be_written():
    pixels = np.zeros((1, 3, 2, 2), np.float32)
    Patches(pixels, ("a",))
    pixels[...] = 1


def test_spacing_is_the_length_of_a_step_in_millimetres_also_of_a_tilted_volume():
    turn = np.array([[0.8, -0.6, 0], [0.6, 0.8, 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = turn * [5.0, 0.5, 0.4]
    image = Image(np.zeros((1, 2, 2), np.float32), "T1", affine)
    assert image.spacing_mm == pytest.approx((5.0, 0.5, 0.4))
    assert Image(np.zeros((1, 2, 2), np.float32), "T1").spacing_mm is None


def test_some_rows_of_scores_are_still_scores_of_the_recipe():
    test = scores().where(scores().part == "test")
    assert test.recipe == "tiny"
    assert test.case_id.tolist() == ["b", "c"]
    assert test.score.tolist() == [0.9, 0.2]


def test_a_cohorts_labels_are_in_the_order_of_its_cases():
    cases = tuple(Case(str(n), str(n), label, {}, {}) for n, label in enumerate((1, 0, 1)))
    assert Cohort(Path("cohort.csv"), cases, ("T1",)).labels.tolist() == [1, 0, 1]


def test_rows_of_patches_are_fetched_in_their_order_as_copies_in_memory(tmp_path):
    pixels = np.random.default_rng(0).random((6, 3, 4, 4), dtype=np.float32)
    np.save(tmp_path / "pixels.npy", pixels)
    mapped = np.load(tmp_path / "pixels.npy", mmap_mode="r")
    for array in (pixels, mapped):
        rows = PatchRows(array, np.array([5, 0, 3]))
        assert len(rows) == 3
        np.testing.assert_array_equal(rows[np.array([2, 0, 2])], pixels[[3, 5, 3]])
        np.testing.assert_array_equal(rows[1:], pixels[[0, 3]])
        np.testing.assert_array_equal(rows[np.array([False, True, False])], pixels[[0]])
        fetched = rows[:]
        assert type(fetched) is np.ndarray
        fetched[...] = 7
        np.testing.assert_array_equal(rows[:], pixels[[5, 0, 3]])
    assert isinstance(rows.pixels, np.memmap)


def test_patches_of_a_map_stay_a_map(tmp_path):
    np.save(tmp_path / "pixels.npy", np.zeros((2, 3, 4, 4), np.float32))
    patches = Patches(np.load(tmp_path / "pixels.npy", mmap_mode="r"), ("a", "b"), tmp_path / "pixels.npy")
    assert isinstance(patches.pixels, np.memmap)
    assert not patches.pixels.flags.writeable
