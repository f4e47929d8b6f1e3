"""Movements between two sequences: recovered to a fraction of a millimetre, and never invented."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from rarelesion.anatomy import SUBTYPES, draw_patient
from rarelesion.phantom import Grid, acquire, draw_image
from rarelesion.registration import align
from rarelesion.types import Image

LIMITS = {"max_shift_mm": 20.0, "max_rotation_degrees": 15.0}


def volume(patient, sequence, seed, slices=3, matrix=160, step=5.0, offset=(0.0, 0.0)):
    pixel = (2 * max(patient.half_axes) + 30) / matrix
    affine = np.zeros((4, 4))
    affine[2, 0], affine[1, 1], affine[0, 2], affine[3, 3] = step, pixel, pixel, 1
    affine[:2, 3] = np.array(offset) - pixel * (matrix - 1) / 2
    affine[2, 3] = patient.lesion.centre[2] - step * (slices - 1) / 2
    grid = Grid((slices, matrix, matrix), affine)
    drawn = draw_image(patient, sequence, grid)
    return Image(
        acquire(drawn, grid, 700.0, 0.04, 0.1, np.random.default_rng(seed)).astype(np.float32), sequence, affine
    )


def pair(seed, **shape):
    patient = draw_patient(list(SUBTYPES)[seed % len(SUBTYPES)], np.random.default_rng(seed))
    other = volume(patient, "T2", seed + 100, **{**shape, "matrix": 192, "offset": (1.7, -2.3)})
    return volume(patient, "T1", seed, **shape), other, patient


def rigid(shift, degrees, centre):
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", degrees, degrees=True).as_matrix()
    matrix[:3, 3] = np.array(centre) - matrix[:3, :3] @ centre + shift
    return matrix


def moved(image, matrix):
    return Image(image.pixels, image.sequence, matrix @ image.affine)


def error_mm(found, true, centre):
    places = np.array([[dx, dy, 0.0] for dx in (-30, 30) for dy in (-30, 30)]) + centre
    places = np.vstack([places.T, np.ones(4)])
    return np.linalg.norm(((found @ true - np.eye(4)) @ places)[:3], axis=0).mean()


@pytest.mark.parametrize(("seed", "shift"), [(0, (5, 0, 0)), (1, (-2, 6, 0)), (2, (0, -10, 0))])
@pytest.mark.parametrize("slices", [3, 7])
def test_a_shift_in_the_plane_is_undone_in_thick_stacks(seed, shift, slices):
    fixed, moving, patient = pair(seed, slices=slices)
    true = rigid(shift, (0, 0, 3), patient.lesion.centre)
    found = align(fixed, moved(moving, true), **LIMITS)
    assert found.helps
    assert found.reason == "helps"
    assert found.in_plane == (slices == 3)
    assert error_mm(found.matrix, true, patient.lesion.centre) < 0.8


def test_a_movement_in_all_directions_is_undone_where_there_are_slices_enough():
    fixed, moving, patient = pair(3, slices=14, step=4.0)
    true = rigid((3, -2, 4), (4, -2, 3), patient.lesion.centre)
    found = align(fixed, moved(moving, true), **LIMITS)
    assert found.helps
    assert error_mm(found.matrix, true, patient.lesion.centre) < 1.0
    assert found.rotation_degrees == pytest.approx(5.4, abs=0.6)


@pytest.mark.parametrize("seed", range(6))
def test_sequences_that_fit_are_left_alone(seed):
    fixed, moving, _ = pair(seed, slices=3 + seed)
    found = align(fixed, moving, **LIMITS)
    assert not found.helps
    assert found.reason == "aligned"
    assert found.movement_mm < 0.75


def test_two_patients_are_not_fitted_to_each_other():
    helps = [align(pair(seed)[0], pair(seed + 1)[1], **LIMITS) for seed in range(3)]
    # Two heads do fit a little better after a movement: what counts is that nothing implausible passes.
    assert all(found.movement_mm <= 20 for found in helps if found.helps)


def test_noise_is_not_fitted():
    rng = np.random.default_rng(0)
    affine = np.diag([5.0, 1.0, 1.0, 1.0])[:, [2, 1, 0, 3]]
    images = [Image(rng.random((4, 96, 96), dtype=np.float32), name, affine) for name in ("T1", "T2")]
    found = align(*images, **LIMITS)
    assert not found.helps
    assert found.reason in ("no_gain", "halves_disagree", "aligned")


def test_a_movement_beyond_the_limits_is_named():
    fixed, moving, patient = pair(1)
    found = align(fixed, moved(moving, rigid((9, 0, 0), (0, 0, 0), patient.lesion.centre)), 5.0, 15.0)
    assert (found.helps, found.reason) == (False, "beyond_limits")


def test_images_of_different_places_are_declined():
    fixed, moving, _ = pair(1)
    far = moved(moving, rigid((0, 0, 300), (0, 0, 0), (0, 0, 0)))
    assert align(fixed, far, **LIMITS).reason == "little_overlap"


def test_the_same_images_give_the_same_numbers():
    fixed, moving, patient = pair(2)
    other = moved(moving, rigid((4, 1, 0), (0, 0, 2), patient.lesion.centre))
    one, two = align(fixed, other, **LIMITS), align(fixed, other, **LIMITS)
    assert np.array_equal(one.matrix, two.matrix)
    assert (one.before, one.after, one.gain_t) == (two.before, two.after, two.gain_t)


def test_tiny_images_and_pictures_are_declined():
    affine = np.eye(4)[:, [2, 1, 0, 3]]
    tiny = Image(np.arange(3 * 8 * 8, dtype=np.float32).reshape(3, 8, 8), "T1", affine)
    assert align(tiny, tiny, **LIMITS).reason == "too_small"
    with pytest.raises(ValueError, match="coordinates"):
        align(tiny, Image(tiny.pixels, "T2"), **LIMITS)
