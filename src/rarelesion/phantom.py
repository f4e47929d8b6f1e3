"""MR images of a synthetic patient, on any grid: T1 and T2 sample the same anatomy, whatever their matrix or tilt.

On an affine grid a sum of plane waves is one small matrix product for each slice, which makes drawing fast.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from rarelesion.anatomy import Field, Lesion, Patient, Tissue, Waves, draw_waves

Sequence = Literal["T1", "T2"]

SKIN, FAT, DEEP_FAT = {"T1": 0.42, "T2": 0.30}, {"T1": 1.0, "T2": 0.72}, {"T1": 0.84, "T2": 0.60}
CYST_T2 = 1.05
EDGE_MM = 1.2  # partial volume at the surface of a tissue
BEND_MM = 1.2


@dataclass(frozen=True, eq=False, slots=True)
class Grid:
    """Where an image's pixels lie: its shape (slices, rows, columns) and the affine to patient millimetres."""

    shape: tuple[int, int, int]
    affine: Field
    """(4, 4), from (slice, row, column, 1) to (x, y, z, 1) in mm."""


def draw_image(patient: Patient, sequence: Sequence, grid: Grid) -> NDArray[np.float32]:
    """The image without noise: (slices, rows, columns), about 1 in the fat of T1, 0 in air."""
    volume = np.empty(grid.shape, np.float32)
    for index, plane in enumerate(volume):
        _draw_slice(plane, _Window(grid, index, slice(0, grid.shape[1]), slice(0, grid.shape[2])), patient, sequence)
    return volume


def draw_mask(patient: Patient, grid: Grid) -> NDArray[np.bool_]:
    """The lesion: (slices, rows, columns), true for the pixels whose centre lies in it."""
    mask = np.zeros(grid.shape, bool)
    for index in range(grid.shape[0]):
        window = _around_lesion(_Window(grid, index, slice(0, grid.shape[1]), slice(0, grid.shape[2])), patient.lesion)
        mask[index, window.rows, window.columns] = _depth_in_lesion(window, patient.lesion) > 0
    return mask


def acquire(
    image: NDArray[np.floating], grid: Grid, gain: float, noise: float, shading: float, rng: np.random.Generator
) -> NDArray[np.uint16]:
    """The image as a scanner stores it: shaded by the coil, with Rician noise, times the scanner's own `gain`.

    `noise` is the standard deviation of each channel and `shading` that of the coil's logarithm, both on the scale
    of `draw_image`. Values above 65535 are cut off.
    """
    coil = draw_waves(rng, 260.0)
    stored = np.empty(grid.shape, np.uint16)
    for index, plane in enumerate(image):
        whole = _Window(grid, index, slice(0, grid.shape[1]), slice(0, grid.shape[2]))
        real, imaginary = np.float32(noise) * rng.standard_normal((2, *plane.shape), dtype=np.float32)
        signal = np.hypot(plane * np.exp(np.float32(shading) * whole.sample(coil)) + real, imaginary)
        stored[index] = np.minimum(np.float32(gain) * signal, 65535)
    return stored


@dataclass(frozen=True, slots=True)
class _Window:
    """A rectangle of one slice, on which something is drawn."""

    grid: Grid
    index: int
    rows: slice
    columns: slice

    def coordinate(self, axis: int) -> Field:
        """Patient coordinate x, y or z of every pixel, in mm."""
        affine = self.grid.affine[axis]
        down = affine[0] * self.index + affine[3] + affine[1] * np.arange(self.rows.start, self.rows.stop)
        across = affine[2] * np.arange(self.columns.start, self.columns.stop)
        return down[:, None].astype(np.float32) + across.astype(np.float32)

    def sample(self, waves: Waves) -> Field:
        """The waves' field: cos(a + b) = cos a cos b - sin a sin b splits each wave into rows times columns."""
        steps = waves.vectors @ self.grid.affine[:3]
        down = np.outer(np.arange(self.rows.start, self.rows.stop), steps[:, 1])
        down += steps[:, 0] * self.index + steps[:, 3] + waves.phases
        across = np.outer(steps[:, 2], np.arange(self.columns.start, self.columns.stop))
        left = np.hstack([np.cos(down), -np.sin(down)]).astype(np.float32)
        right = np.vstack([np.cos(across), np.sin(across)]).astype(np.float32)
        return np.float32(np.sqrt(2 / len(waves.phases))) * (left @ right)

    def around(self, x: NDArray, y: NDArray, reach_mm: NDArray) -> list[tuple[slice, slice]]:
        """Rows and columns of this slice within reach of each point of the plane; empty slices where there are none."""
        affine = self.grid.affine
        z = np.full_like(x, affine[2, 0] * self.index + affine[2, 3])
        places = np.linalg.inv(affine)[1:3] @ np.stack([x, y, z, np.ones_like(x)])
        reach = reach_mm / np.linalg.norm(affine[:3, 1:3], axis=0)[:, None]
        extents = np.array(self.grid.shape[1:])[:, None]
        low = np.clip(np.floor(places - reach), 0, extents).astype(int)
        high = np.clip(np.ceil(places + reach) + 1, low, extents).astype(int)
        return [(slice(*rows), slice(*columns)) for rows, columns in zip(*np.stack([low, high], axis=-1), strict=True)]


@dataclass(frozen=True, eq=False, slots=True)
class _Scene:
    """One slice's bent coordinates and its fine pattern, shared by all tissues."""

    x: Field
    y: Field
    z: Field
    grain: Field


def _draw_slice(plane: Field, whole: _Window, patient: Patient, sequence: Sequence) -> None:
    x, y = (whole.coordinate(axis) + np.float32(BEND_MM) * whole.sample(patient.bend[axis]) for axis in (0, 1))
    scene = _Scene(x, y, whole.coordinate(2), whole.sample(patient.grain))
    _draw_head(plane, whole, scene, patient, sequence)
    tissues = patient.tissues
    centres = np.array([(tissue.x, tissue.y) for tissue in tissues]).T
    reaches = np.array([_reach(tissue) for tissue in tissues])
    for tissue, place in zip(tissues, whole.around(centres[0], centres[1], reaches), strict=True):
        _draw_tissue(plane[place], scene, place, tissue, sequence)
    _draw_lesion(plane, whole, patient.lesion, sequence)


def _reach(tissue: Tissue) -> float:
    """How far from its centre, in mm, a bent tissue with soft edges can be seen."""
    shortest, longest = sorted((tissue.width, tissue.depth))
    return longest * (1 + EDGE_MM / 2 / shortest) + 4 * BEND_MM


def _cover(depth_mm: Field, edge_mm: float) -> Field:
    """Share of a pixel that is covered, from the depth below a surface."""
    return np.clip(depth_mm / np.float32(edge_mm) + np.float32(0.5), 0, 1)


def _draw_head(plane: Field, whole: _Window, scene: _Scene, patient: Patient, sequence: Sequence) -> None:
    """Air, skin, the fat below it and the fat between the deep tissues."""
    wide, deep = (np.float32(half) for half in patient.half_axes)
    taper = 1 - np.float32(0.28) * np.clip(-scene.y / deep, 0, 1) ** 2
    radius = np.sqrt((scene.x / (wide * taper)) ** 2 + (scene.y / deep) ** 2)
    depth = (1 - radius) * (wide + deep) / 2
    _raise_over_lesion(depth, whole, patient.lesion)
    fat = np.float32(patient.fat_mm) * (1 + np.float32(0.25) * whole.sample(patient.strands))
    deep_fat = np.float32(DEEP_FAT[sequence]) * (1 + np.float32(0.07) * scene.grain)
    plane[:] = _cover(depth, EDGE_MM) * np.float32(SKIN[sequence])
    plane += _cover(depth - np.float32(1.8), EDGE_MM) * np.float32(FAT[sequence] - SKIN[sequence])
    plane += _cover(depth - fat, EDGE_MM) * (deep_fat - np.float32(FAT[sequence]))


def _raise_over_lesion(depth: Field, whole: _Window, lesion: Lesion) -> None:
    """Let the skin bulge so that the lesion stays below it."""
    window = _around_lesion(whole, lesion)
    below = np.float32(lesion.looks.cover_mm + 1.5 * lesion.looks.lobes * lesion.radius_mm)
    here = depth[window.rows, window.columns]
    np.maximum(here, below + _depth_in_ellipsoid(window, lesion), out=here)


def _draw_tissue(here: Field, scene: _Scene, place: tuple[slice, slice], tissue: Tissue, sequence: Sequence) -> None:
    angle = np.deg2rad(tissue.tilt)
    cosine, sine = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    x, y = scene.x[place] - np.float32(tissue.x), scene.y[place] - np.float32(tissue.y)
    across = (cosine * x + sine * y) / np.float32(tissue.width)
    along = (cosine * y - sine * x) / np.float32(tissue.depth)
    level = scene.z[place] / np.float32(tissue.height)
    radius = np.sqrt(across**2 + along**2 + level**2)
    share = _cover((1 - radius) * np.float32(min(tissue.width, tissue.depth)), EDGE_MM)
    signal = np.float32(tissue.t1 if sequence == "T1" else tissue.t2)
    here += share * (signal * (1 + np.float32(tissue.grain) * scene.grain[place]) - here)


def _around_lesion(whole: _Window, lesion: Lesion) -> _Window:
    centre = lesion.centre[:, None]
    ((rows, columns),) = whole.around(centre[0], centre[1], np.array([2.4 * lesion.radius_mm]))
    return _Window(whole.grid, whole.index, rows, columns)


def _depth_in_ellipsoid(window: _Window, lesion: Lesion) -> Field:
    offsets = np.stack([window.coordinate(axis) - np.float32(lesion.centre[axis]) for axis in range(3)])
    radius = np.linalg.norm(np.tensordot(lesion.axes.astype(np.float32), offsets, axes=1), axis=0)
    return np.float32(lesion.radius_mm) * (1 - radius)


def _depth_in_lesion(window: _Window, lesion: Lesion) -> Field:
    """Millimetres below the lesion's surface, negative outside."""
    lobes, spikes = (np.float32(lesion.radius_mm) * window.sample(waves) for waves in lesion.outline)
    bumps = np.float32(lesion.looks.lobes) * lobes + np.float32(lesion.looks.spikes) * spikes
    return _depth_in_ellipsoid(window, lesion) + bumps


def _draw_lesion(plane: Field, whole: _Window, lesion: Lesion, sequence: Sequence) -> None:
    window, looks = _around_lesion(whole, lesion), lesion.looks
    depth = _depth_in_lesion(window, lesion)
    fine, coarse = (window.sample(waves) for waves in lesion.inside)
    signal, cyst = (looks.t1, looks.cyst_t1) if sequence == "T1" else (looks.t2, CYST_T2)
    inside = signal * (1 + looks.mottle * (0.35 if sequence == "T1" else 1.0) * fine)
    cystic = _cover(coarse - float(ndtri(1 - looks.cysts)), 0.7) * _cover(depth - 2.5, 2.0)
    inside += cystic * (cyst - inside)
    if sequence == "T2":
        inside *= 1 - looks.capsule * np.exp(-(((depth - 0.6) / 0.9) ** 2))
    here = plane[window.rows, window.columns]
    here += _cover(depth, looks.blur_mm) * (inside - here)
