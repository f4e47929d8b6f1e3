"""Preparation: what each step does to pixels, places and ROIs, and that it can be done again exactly."""

import json
from dataclasses import replace

import numpy as np
import pytest

from rarelesion.errors import InputError
from rarelesion.phantom import Grid, draw_image, draw_mask
from rarelesion.preparation import prepare, replay, step_as_values, step_from_values
from rarelesion.settings import PreparationSettings
from rarelesion.types import Image, Roi
from test_registration import moved, pair, rigid

OFF = PreparationSettings(registration="never")


@pytest.fixture(scope="module")
def case():
    fixed, moving, patient = pair(1)
    mask = draw_mask(patient, Grid(fixed.pixels.shape, fixed.affine))
    return {"T1": fixed, "T2": moving}, {"T1": Roi(mask=mask)}, patient


def place(image, index):
    return (image.affine @ [*index, 1])[:3]


def test_nothing_asked_changes_nothing(case):
    images, rois, _ = case
    done = prepare(images, rois, OFF)
    assert (done.steps, done.warnings) == ((), ())
    assert all(np.array_equal(done.images[name].pixels, images[name].pixels) for name in images)
    assert np.array_equal(done.rois["T1"].mask, rois["T1"].mask)
    assert np.array_equal(done.rois["T1"].affine, images["T1"].affine)


def test_a_movement_changes_coordinates_and_no_pixel(case):
    images, rois, patient = case
    true = rigid((6, 2, 0), (0, 0, 3), patient.lesion.centre)
    away = {"T1": images["T1"], "T2": moved(images["T2"], true)}
    done = prepare(away, rois, PreparationSettings())
    (step,) = done.steps
    assert (step.name, step.sequence, step.parameters["reason"]) == ("register", "T2", "helps")
    assert step.before == step.after
    assert done.images["T2"].affine == pytest.approx(images["T2"].affine, abs=1.0)
    assert np.array_equal(done.images["T2"].pixels, images["T2"].pixels)
    assert [finding.code for finding in done.warnings] == ["moved"]


def test_a_mask_on_the_moved_sequence_goes_with_it(case):
    images, _, patient = case
    mask = draw_mask(patient, Grid(images["T2"].pixels.shape, images["T2"].affine))
    true = rigid((6, 2, 0), (0, 0, 0), patient.lesion.centre)
    away = {"T2": moved(images["T2"], true), "T1": images["T1"]}
    done = prepare(away, {"T2": Roi(mask=mask)}, PreparationSettings(onto="T1"))
    centre = np.argwhere(mask).mean(axis=0)
    found = (done.rois["T2"].affine @ [*centre, 1])[:3]
    assert found == pytest.approx(place(images["T2"], centre), abs=1.0)


def test_sequences_are_brought_onto_one_grid(case):
    images, rois, patient = case
    done = prepare(images, rois, replace(OFF, onto="T1"))
    assert done.images["T2"].pixels.shape == images["T1"].pixels.shape
    assert done.images["T2"].affine == pytest.approx(images["T1"].affine)
    assert [step.name for step in done.steps] == ["resample"]
    # T2 on T1's grid is what T2 would have been there, but for noise and blur.
    drawn = draw_image(patient, "T2", Grid(images["T1"].pixels.shape, images["T1"].affine))
    assert np.corrcoef(done.images["T2"].pixels.ravel(), drawn.ravel())[0, 1] > 0.95


def test_a_ramp_keeps_its_value_at_every_place():
    affine = np.diag([0.9, 0.7, 4.0, 1.0])[:, [2, 1, 0, 3]]
    affine[:3, 3] = 10, -20, 5
    slices, rows, columns = np.indices((6, 30, 40)).astype(np.float32)
    image = Image(2 * slices + 3 * rows - columns, "T1", affine)
    done = prepare({"T1": image}, {}, replace(OFF, spacing_mm=(2.0, 1.0, 0.5))).images["T1"]
    assert done.spacing_mm == pytest.approx((2.0, 1.0, 0.5))
    inner = [(3, 5, 10), (5, 12, 30), (8, 15, 60)]
    for index in inner:
        back = np.linalg.inv(affine) @ [*place(done, index), 1]
        assert done.pixels[index] == pytest.approx(2 * back[0] + 3 * back[1] - back[2], abs=0.05)
    edges = [
        (image.affine @ [*(np.array(image.pixels.shape) - 0.5), 1])[:3],
        place(done, np.array(done.pixels.shape) - 0.5),
    ]
    assert edges[0] == pytest.approx(edges[1], abs=1.0)


def test_zero_keeps_the_spacing_of_an_axis(case):
    images, rois, _ = case
    done = prepare(images, rois, replace(OFF, spacing_mm=(0.0, 1.0, 1.0)))
    assert [image.spacing_mm[1:] for image in done.images.values()] == [pytest.approx((1.0, 1.0))] * 2
    assert done.images["T1"].spacing_mm[0] == images["T1"].spacing_mm[0]


def test_a_box_stays_on_its_place():
    affine = np.diag([0.5, 0.5, 4.0, 1.0])[:, [2, 1, 0, 3]]
    pixels = np.zeros((5, 64, 64), np.float32)
    pixels[2, 20:30, 40:52] = 9
    box = Roi(box=(20, 40, 30, 52), slice_index=2)
    done = prepare({"T1": Image(pixels, "T1", affine)}, {"T1": box}, replace(OFF, spacing_mm=(2.0, 1.0, 1.0)))
    assert done.rois["T1"].box == (10, 20, 15, 26)
    assert done.rois["T1"].slice_index in (4, 5)
    row0, col0, row1, col1 = done.rois["T1"].box
    shown = done.images["T1"].pixels[done.rois["T1"].slice_index]
    assert shown[row0 + 1 : row1 - 1, col0 + 1 : col1 - 1].min() > 5


@pytest.mark.parametrize(
    "settings",
    [
        PreparationSettings(onto="T1", spacing_mm=(0.0, 0.8, 0.8)),
        PreparationSettings(onto="T2", bias=True, bias_shrink=8),
        PreparationSettings(registration="always", spacing_mm=(3.0, 1.5, 1.5)),
    ],
)
def test_replay_gives_the_same_pixels_from_json(case, settings):
    images, rois, patient = case
    images = images | {"T2": moved(images["T2"], rigid((4, 3, 0), (0, 0, 2), patient.lesion.centre))}
    done = prepare(images, rois, settings)
    kept = json.loads(json.dumps([step_as_values(step) for step in done.steps]))
    again, marked = replay(images, rois, [step_from_values(values) for values in kept])
    assert {step.name for step in done.steps} >= {"register", "resample"}
    for name in images:
        assert np.array_equal(again[name].pixels, done.images[name].pixels)
        assert np.array_equal(again[name].affine, done.images[name].affine)
    assert np.array_equal(marked["T1"].affine, done.rois["T1"].affine)


def test_replay_refuses_other_volumes_and_unknown_steps(case):
    images, rois, _ = case
    done = prepare(images, rois, replace(OFF, onto="T1"))
    other = images | {"T2": replace(images["T2"], pixels=images["T2"].pixels + 1)}
    with pytest.raises(InputError, match="other pixels than those before step resample"):
        replay(other, rois, done.steps)
    with pytest.raises(InputError, match="unknown step"):
        replay(images, rois, [replace(done.steps[0], name="sharpen")])
    with pytest.raises(InputError, match="gives other pixels than it did"):
        replay(images, rois, [replace(done.steps[0], after="0" * 64)])
    with pytest.raises(InputError, match="not a step"):
        step_from_values({"name": "bias"})


def test_onto_has_to_be_a_sequence_with_coordinates(case):
    images, rois, _ = case
    with pytest.raises(InputError, match=r"no such sequence.*'FLAIR'.*T1, T2"):
        prepare(images, rois, PreparationSettings(onto="FLAIR"))
    plain = images | {"T1": Image(images["T1"].pixels, "T1")}
    with pytest.raises(InputError, match="no patient coordinates"):
        prepare(plain, {}, PreparationSettings(onto="T1"))


def test_a_picture_without_coordinates_is_left_alone(case):
    images, _, _ = case
    plain = images | {"T1": Image(images["T1"].pixels, "T1")}
    done = prepare(plain, {}, PreparationSettings(spacing_mm=(0.0, 2.0, 2.0)))
    assert done.images["T1"].affine is None
    assert [step.sequence for step in done.steps] == ["T2"]


def test_a_mask_that_fits_no_image_is_said(case):
    images, _, _ = case
    with pytest.raises(InputError, match="the mask does not fit"):
        prepare(images, {"T1": Roi(mask=np.ones((1, 2, 2), bool))}, OFF)


def test_bias_correction_evens_out_shading(case):
    images, _, _ = case
    image = images["T1"]
    across = np.linspace(-0.5, 0.5, image.pixels.shape[2], dtype=np.float32)
    shaded = Image(image.pixels * np.exp(0.8 * across), "T1", image.affine)
    (before, after) = (prepare({"T1": one}, {}, replace(OFF, bias=True)).images["T1"] for one in (image, shaded))
    tissue = image.pixels > np.percentile(image.pixels, 60)
    slope = np.polyfit(
        np.broadcast_to(across, tissue.shape)[tissue], np.log(after.pixels[tissue] / before.pixels[tissue]), 1
    )
    assert abs(slope[0]) < 0.2
    assert after.pixels.mean() == pytest.approx(shaded.pixels.mean(), rel=0.05)
