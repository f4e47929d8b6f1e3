"""Images of synthetic patients: the same anatomy on every grid, signals as MR has them, a scanner's noise."""

from dataclasses import replace

import numpy as np
import pytest

from rarelesion.anatomy import SUBTYPES, Patient, draw_patient, draw_waves
from rarelesion.phantom import Grid, acquire, draw_image, draw_mask


def _axial(spacing_mm: float, matrix: int, slices: int = 1, step_mm: float = 5.0, z: float = 0.0) -> Grid:
    half = spacing_mm * (matrix - 1) / 2
    start = z - step_mm * (slices - 1) / 2
    rows = [[0, 0, spacing_mm, -half], [0, spacing_mm, 0, -half], [step_mm, 0, 0, start], [0, 0, 0, 1]]
    return Grid((slices, matrix, matrix), np.array(rows, float))


def _patient(subtype: str = "pleomorphic adenoma", seed: int = 0) -> Patient:
    return draw_patient(subtype, np.random.default_rng(seed))


def _points(grid: Grid) -> np.ndarray:
    """(3, slices, rows, columns) patient coordinates, computed in the plainest way."""
    index = np.stack([*np.indices(grid.shape), np.ones(grid.shape)])
    return np.tensordot(grid.affine, index, axes=1)[:3]


def test_a_coarser_and_a_turned_grid_see_the_same_patient() -> None:
    patient, fine = _patient(), _axial(1.0, 201)
    image = draw_image(patient, "T2", fine)
    coarse = Grid((1, 101, 101), fine.affine @ np.diag([1, 2, 2, 1]))
    np.testing.assert_allclose(draw_image(patient, "T2", coarse)[0], image[0, ::2, ::2], atol=2e-3)
    turned = Grid(fine.shape, fine.affine[:, [0, 2, 1, 3]])
    np.testing.assert_allclose(draw_image(patient, "T2", turned)[0], image[0].T, atol=2e-3)
    np.testing.assert_array_equal(draw_mask(patient, turned)[0], draw_mask(patient, fine)[0].T)


def test_an_oblique_mask_agrees_with_the_shape_at_every_point() -> None:
    patient = _patient(seed=2)
    lesion = replace(patient.lesion, looks=replace(patient.lesion.looks, lobes=0.0, spikes=0.0))
    straight, tilt = _axial(2.0, 100, slices=7, z=float(lesion.centre[2])), np.deg2rad(8)
    turn = np.eye(4)
    turn[1:3, 1:3] = [[np.cos(tilt), -np.sin(tilt)], [np.sin(tilt), np.cos(tilt)]]
    grid = Grid(straight.shape, turn @ straight.affine)
    offsets = _points(grid) - lesion.centre[:, None, None, None]
    inside = np.linalg.norm(np.tensordot(lesion.axes, offsets, axes=1), axis=0) < 1
    mask = draw_mask(replace(patient, lesion=lesion), grid)
    assert inside.sum() > 100
    assert (mask != inside).sum() <= 2


def test_waves_on_a_grid_are_the_plain_sum_of_cosines() -> None:
    from rarelesion.phantom import _Window

    waves, grid = draw_waves(np.random.default_rng(0), 30.0), _axial(3.0, 20, slices=2)
    angles = np.tensordot(waves.vectors, _points(grid), axes=1) + waves.phases[:, None, None, None]
    expected = np.sqrt(2 / len(waves.phases)) * np.cos(angles).sum(axis=0)
    found = _Window(grid, 1, slice(4, 12), slice(3, 20)).sample(waves)
    np.testing.assert_allclose(found, expected[1, 4:12, 3:20], atol=1e-4)


@pytest.mark.parametrize("name", SUBTYPES)
def test_every_lesion_lies_below_the_skin(name: str) -> None:
    for seed in range(4):
        patient = _patient(name, seed)
        grid = _axial(1.0, 220, slices=3, z=float(patient.lesion.centre[2]))
        mask, image = draw_mask(patient, grid), draw_image(patient, "T1", grid)
        assert mask[1].sum() > 50
        assert (image[mask] > 0.1).mean() > 0.97


def test_signals_are_those_of_mr() -> None:
    patient, grid = _patient(seed=1), _axial(1.0, 220)
    airway, fluid, cord = (
        next(tissue for tissue in patient.tissues if abs(tissue.t1 / t1 - 1) < 0.2 and abs(tissue.x) < 5)
        for t1 in (0.01, 0.16, 0.52)
    )
    rim = replace(fluid, y=fluid.y - 0.8 * fluid.depth)
    places = [(0, round(tissue.y + 109.5), round(tissue.x + 109.5)) for tissue in (airway, rim, cord)]
    t1, t2 = (draw_image(patient, sequence, grid) for sequence in ("T1", "T2"))
    assert t2[places[1]] > 2 * t2[places[2]]
    assert t1[places[1]] < 0.6 * t1[places[2]]
    assert max(t1[places[0]], t2[places[0]]) < 0.1
    assert t1[0, 0, 0] == t2[0, 0, 0] == 0


def test_adenomas_are_brighter_than_cancers_on_t2() -> None:
    def brightness(name: str, seed: int) -> float:
        patient = _patient(name, seed)
        grid = _axial(1.5, 130, z=float(patient.lesion.centre[2]))
        return float(np.median(draw_image(patient, "T2", grid)[draw_mask(patient, grid)]))

    adenomas, cancers = ([brightness(name, k) for k in range(8)] for name in ("pleomorphic adenoma", "other malignant"))
    assert np.mean(adenomas) > np.mean(cancers) + 0.15


def test_air_is_rayleigh_and_tissue_is_scaled() -> None:
    grid = _axial(1.0, 200)
    air = acquire(np.zeros(grid.shape), grid, 1000.0, 0.05, 0.0, np.random.default_rng(0))
    assert air.dtype == np.uint16
    assert air.mean() == pytest.approx(1000 * 0.05 * np.sqrt(np.pi / 2), rel=0.02)
    flat = acquire(np.ones(grid.shape), grid, 1000.0, 0.01, 0.0, np.random.default_rng(0))
    assert flat.mean() == pytest.approx(1000, rel=0.01)
    assert flat.std() == pytest.approx(10, rel=0.05)


def test_shading_is_smooth_and_strong_signals_are_cut_off() -> None:
    grid = _axial(1.0, 200)
    shaded = acquire(np.ones(grid.shape), grid, 1000.0, 0.0, 0.2, np.random.default_rng(1))[0].astype(float)
    assert shaded.std() / shaded.mean() > 0.03
    assert np.abs(np.diff(shaded, axis=0)).max() < 0.03 * shaded.mean()
    assert acquire(np.ones(grid.shape), grid, 1e6, 0.0, 0.0, np.random.default_rng(0)).max() == 65535
