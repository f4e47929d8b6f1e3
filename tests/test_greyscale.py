"""Greys on a standard scale: the two steps are Nyúl's map, and the scale is learned from training cases alone."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from rarelesion import store
from rarelesion.cohort import read_cohort
from rarelesion.crop import cut_with_greys
from rarelesion.errors import InputError
from rarelesion.fitting import _part, _scale
from rarelesion.greyscale import STEPS, landmarks_of, shape_of, standard_scale, to_steps
from rarelesion.patch_export import export_patches
from rarelesion.patches import load_patches, without_pixels
from rarelesion.prediction import predict_cases
from rarelesion.settings import ImageSettings
from rarelesion.study import run_study
from rarelesion.types import Image, Patches, PatchRows, Roi

ENDS = (1.0, 99.0)


def silent(*_):
    """No progress."""


def slice_of(seed, gamma=1.0, gain=1.0):
    rng = np.random.default_rng(seed)
    return gain * np.concatenate([rng.gamma(1.0, 0.05, 800), 0.3 + 0.6 * rng.beta(2, 3, 1200)]) ** gamma


def test_landmarks_are_percentiles_and_deciles_of_the_foreground():
    reference = np.concatenate([np.zeros(100), np.arange(1.0, 101.0)])
    landmarks = landmarks_of(reference, (0.0, 100.0))
    foreground = reference[reference > reference.mean()]
    assert landmarks == pytest.approx([0, *np.percentile(foreground, range(10, 100, 10)), 100], abs=0.01)


def test_the_two_steps_are_one_map_from_landmarks_to_standard_landmarks():
    slices = [slice_of(seed, gamma, gain) for seed, gamma, gain in ((0, 1.0, 900), (1, 1.6, 40), (2, 0.7, 3000))]
    shapes = np.array([[shape_of(landmarks_of(one, ENDS))] * 3 for one in slices])
    scale = standard_scale(shapes)[0]
    own = landmarks_of(slices[1], ENDS)
    values = np.linspace(own[0] - 5, own[-1] + 5, 400)
    rows = PatchRows(
        np.repeat(to_steps(values, own).astype(np.float32).reshape(1, 1, 20, 20), 3, axis=1),
        np.array([0]),
        np.tile(scale, (3, 1)),
    )
    assert rows[:][0, 0].ravel() == pytest.approx(np.interp(values, own, scale), abs=1e-5)


def test_slices_of_two_scanners_come_nearer_to_the_same_greys():
    one, other = slice_of(5), slice_of(6, gamma=1.8, gain=700)
    steps = [to_steps(values, landmarks_of(values, ENDS)) for values in (one, other)]
    plain = [(values - np.percentile(values, 1)) / np.ptp(np.percentile(values, ENDS)) for values in (one, other)]
    apart = [np.abs(np.sort(pair[0][800:]) - np.sort(pair[1][800:])).mean() for pair in (steps, plain)]
    assert apart[0] < 0.5 * apart[1]


def test_saturated_slices_keep_an_order():
    reference = np.minimum(slice_of(0, gain=600), 255).round()
    landmarks = landmarks_of(reference, ENDS)
    assert np.all(np.diff(landmarks) > 0)
    assert np.all(np.diff(to_steps(np.unique(reference), landmarks)) >= 0)


def test_units_do_not_matter():
    values = slice_of(3)
    assert shape_of(landmarks_of(values * 700 - 40, ENDS)) == pytest.approx(shape_of(landmarks_of(values, ENDS)))


def test_patches_come_with_the_landmarks_of_their_slice():
    pixels = slice_of(7).reshape(1, 40, 50).astype(np.float32)
    image, roi = Image(pixels, "T1"), Roi(box=(10, 10, 30, 30))
    settings = ImageSettings(side_px=20, margin=0.0, scaling="nyul")
    patches, greys = cut_with_greys({"T1": image}, {"T1": roi}, {"green": "T1"}, settings)
    own = landmarks_of(pixels.ravel(), ENDS)
    assert patches[0, 1] == pytest.approx(to_steps(pixels[0, 10:30, 10:30], own), abs=1e-5)
    assert greys[0, 1] == pytest.approx(shape_of(own), abs=1e-6)
    assert greys[0, 0] == pytest.approx(STEPS)
    assert not patches[0, 0].any()


def test_the_scale_is_the_mean_of_the_training_cases_whatever_the_others_are():
    greys = np.random.default_rng(0).random((4, 3, 11))
    pixels = np.random.default_rng(1).random((4, 3, 8, 8), dtype=np.float32)
    patches = Patches(pixels, ("a", "b"), slices=2, greys=greys)
    assert _scale(patches, ["a"]) == pytest.approx(greys[:2].mean(axis=0))
    other = replace(patches, greys=np.concatenate([greys[:2], greys[2:] + 9]))
    assert np.array_equal(_scale(other, ["a"]), _scale(patches, ["a"]))
    assert without_pixels(patches).greys is not None


@pytest.fixture(scope="module")
def nyul(quick_settings):
    images = replace(quick_settings.images, scaling="nyul")
    return replace(quick_settings, recipes=("tiny+texture", "tiny+frozen+lda", "cvae"), images=images)


@pytest.fixture(scope="module")
def run(picture_cohort, nyul, tmp_path_factory):
    folder = tmp_path_factory.mktemp("nyul") / "run"
    run_study(picture_cohort, folder, nyul, None, silent)
    return folder


def test_each_split_keeps_the_scale_of_its_own_training_cases(run, picture_cohort, nyul):
    cohort = read_cohort(picture_cohort, nyul.cohort)
    patches = load_patches(cohort, replace(nyul.images, channels={}))
    splits = store.read_splits(run / "splits.json")
    for split in splits:
        rows = [patches.case_ids.index(case_id) for case_id in split.train]
        for network in ("tiny+texture", "tiny+frozen", "cvae"):
            kept = json.loads((run / f"embeddings/{network}-r{split.repeat}f{split.fold}-greys.json").read_text())
            assert np.array(kept) == pytest.approx(patches.greys[rows].mean(axis=0))
    embeddings = [store.read_embeddings(run / f"embeddings/tiny+frozen-r0f{fold}.npz") for fold in (0, 1)]
    places = [one.case_ids.tolist().index(cohort.cases[0].case_id) for one in embeddings]
    assert not np.array_equal(embeddings[0].vectors[places[0]], embeddings[1].vectors[places[1]])


@pytest.mark.parametrize("recipe", ["tiny+texture", "tiny+frozen+lda", "cvae"])
def test_a_case_of_the_study_is_read_as_it_was_there(run, picture_cohort, recipe):
    for prediction in predict_cases(run, picture_cohort, {}, {}, {}, recipe)[:3]:
        assert prediction.known_as == prediction.case_id


def test_a_scale_that_was_lost_is_said(run, picture_cohort, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(run, folder)
    (folder / "embeddings/tiny+texture-r0f1-greys.json").unlink()
    with pytest.raises(InputError, match=r"greys\.json: is missing"):
        predict_cases(folder, picture_cohort, {}, {}, {}, "tiny+texture")


def test_an_export_has_no_split_to_learn_from(picture_cohort, nyul, tmp_path):
    with pytest.raises(InputError, match="learned from the training cases of each split"):
        export_patches(read_cohort(picture_cohort, nyul.cohort), nyul.images, tmp_path / "out")


def test_training_rows_are_on_the_scale():
    class Known:
        patches = Patches(np.full((1, 3, 4, 4), 0.5, np.float32), ("a",), greys=np.tile(STEPS**2, (1, 3, 1)))
        label_of = {"a": 1}  # noqa: RUF012

    rows, labels = _part(Known, ["a"], ["a"])
    assert rows[:] == pytest.approx(0.25, abs=1e-6)
    assert labels.tolist() == [1]
