"""Two sequences of one patient brought together where the patient moved between them: rigid, and only where it helps.

The start is the patient's coordinates. A rigid movement is looked for that raises the mutual information of the two
images (Mattes et al. 2003, doi:10.1109/TMI.2003.809072), once on each half of a chequerboard of blocks. It counts as
found where each half's movement also explains the other half better, by more than that varies from place to place,
and where the two halves agree on it. What is found is a change of coordinates: no pixel is interpolated.
"""

from dataclasses import dataclass, replace

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d, map_coordinates

from rarelesion.types import Floats, Image

LEVELS_MM = (4.0, 2.0)  # in-plane pixels of the coarse and the fine search
FEW_SLICES = 5  # a thinner stack cannot tell a nod from a shift: it is moved and turned in its own plane only
SHALLOW_MM = 20.0  # nor can one of less depth
BLOCK_MM = 16.0  # side of a block of the chequerboard
GROUPS = 12  # parts of the held-out blocks in which the gain is looked at
BINS = 24
SMALLEST_SIDE = 16  # pixels of the fine search, down and across
SMALLEST_OVERLAP = 0.5  # of the fixed image's voxels in the moving image
T_VALUE = 4.0  # the gain has to be this many standard errors above 0
SMALLEST_MOVEMENT_MM = 0.75  # less is not worth a change, and neither is less than a pixel
AGREEMENT = 0.5  # the two halves may differ by this share of the movement, or by SMALLEST_MOVEMENT_MM


@dataclass(frozen=True, eq=False, slots=True)
class Alignment:
    """A rigid movement of one image onto another, and what speaks for it."""

    matrix: Floats
    """(4, 4) in patient millimetres, to be multiplied onto the moving image's affine; found, whether used or not."""
    helps: bool
    """Whether it measurably helps and is plausible."""
    reason: str
    """A code word: helps, aligned, no_gain, halves_disagree, beyond_limits, little_overlap, too_small."""
    movement_mm: float
    """How far the movement takes the places of the fixed image, on average."""
    rotation_degrees: float
    disagreement_mm: float
    """How far apart, on average, the movements found on the two halves are: an estimate of their error."""
    before: float
    """Normalised mutual information of the two images by their own coordinates; 1 none, 2 all."""
    after: float
    """The same after the movement, of each half under the other half's movement."""
    gain_t: float
    """The gain's mean over places, in its own standard errors."""
    in_plane: bool
    """Whether only movements in the plane of the slices were looked for."""


def align(fixed: Image, moving: Image, max_shift_mm: float, max_rotation_degrees: float) -> Alignment:
    """The rigid movement that brings `moving` onto `fixed`, started from their patient coordinates.

    Stacks of fewer than five slices or less than 20 mm deep are moved and turned in the plane of their slices only.
    The same images give the same numbers on the same machine. Raises ValueError where an image has no coordinates.
    """
    if fixed.affine is None or moving.affine is None:
        raise ValueError("only images with patient coordinates are aligned")
    pair = _Pair.of(fixed, moving)
    if pair.reason:
        return Alignment(np.eye(4), False, pair.reason, 0.0, 0.0, 0.0, 1.0, 1.0, 0.0, pair.in_plane)
    halves = [pair.search(pair.chequers == colour) for colour in (0, 1)]
    matrix = pair.search(np.ones_like(pair.chequers, dtype=bool))
    return _judged(pair, matrix, halves, max_shift_mm, max_rotation_degrees)


def _judged(
    pair: "_Pair", matrix: Floats, halves: list[Floats], max_shift_mm: float, max_rotation_degrees: float
) -> Alignment:
    before, after, gain_t = pair.held_out_gain(halves)
    movement = pair.distance(matrix, np.eye(4))
    apart = pair.distance(halves[0], halves[1])
    rotation = float(np.degrees(np.arccos(np.clip((np.trace(matrix[:3, :3]) - 1) / 2, -1, 1))))
    if movement < max(SMALLEST_MOVEMENT_MM, pair.pixel_mm):
        reason = "aligned"
    elif movement > max_shift_mm or rotation > max_rotation_degrees:
        reason = "beyond_limits"
    elif pair.overlap(matrix) < SMALLEST_OVERLAP:
        reason = "little_overlap"
    elif gain_t < T_VALUE:
        reason = "no_gain"
    elif apart > max(SMALLEST_MOVEMENT_MM, AGREEMENT * movement):
        reason = "halves_disagree"
    else:
        reason = "helps"
    # The movement maps places of the fixed image into the moving one; the image itself has to go the other way.
    world = np.linalg.inv(pair.to_world @ matrix @ np.linalg.inv(pair.to_world))
    return Alignment(
        matrix=world,
        helps=reason == "helps",
        reason=reason,
        movement_mm=movement,
        rotation_degrees=rotation,
        disagreement_mm=apart,
        before=before,
        after=after,
        gain_t=gain_t,
        in_plane=pair.in_plane,
    )


@dataclass(frozen=True, eq=False, slots=True)
class _Pair:
    """Both images in the frame of the fixed one: x along its columns, y along its rows, z across its slices."""

    fixed: NDArray[np.float32]
    moving: NDArray[np.float32]
    fixed_affine: Floats
    """(4, 4) from (slice, row, column) of `fixed`, which is on the fine grid, to the frame."""
    moving_affine: Floats
    to_world: Floats
    """(4, 4) from the frame to patient millimetres."""
    chequers: NDArray[np.int64]
    """As `fixed`: 0 and 1, the colour of each voxel's block."""
    groups: NDArray[np.int64]
    """As `fixed`: which of the `GROUPS` a voxel's block is in."""
    in_plane: bool
    pixel_mm: float
    """The largest distance between rows or columns in either image as it was acquired."""
    reason: str
    """Why no movement can be looked for; empty if one can."""

    @classmethod
    def of(cls, fixed: Image, moving: Image) -> "_Pair":
        to_world = _frame(fixed)
        into = np.linalg.inv(to_world)
        pixels, affine = _coarser(fixed.pixels, into @ _affine(fixed), LEVELS_MM[-1])
        others, other_affine = _coarser(moving.pixels, into @ _affine(moving), LEVELS_MM[-1])
        blocks = _blocks(pixels.shape, affine)
        rng = np.random.default_rng(0)
        pair = cls(
            pixels, others, affine, other_affine, to_world,
            chequers=blocks.sum(axis=0) % 2,
            groups=rng.integers(0, GROUPS, blocks.reshape(3, -1).max(axis=1) + 1)[tuple(blocks)],
            in_plane=any(len(image.pixels) < FEW_SLICES or _depth_mm(image) < SHALLOW_MM for image in (fixed, moving)),
            pixel_mm=max(float(np.linalg.norm(_affine(image)[:3, 1:3], axis=0).max()) for image in (fixed, moving)),
            reason="",
        )  # fmt: skip
        if min(*pixels.shape[1:], *others.shape[1:]) < SMALLEST_SIDE:
            return replace(pair, reason="too_small")
        return replace(pair, reason="little_overlap") if pair.overlap(np.eye(4)) < SMALLEST_OVERLAP else pair

    def search(self, where: NDArray[np.bool_]) -> Floats:
        """(4, 4) from the fixed image's places to the moving image's, in the frame, best on these voxels."""
        transform = sitk.Euler3DTransform()
        for level in LEVELS_MM:
            fixed, affine = _coarser(self.fixed, self.fixed_affine, level)
            moving, moving_affine = _coarser(self.moving, self.moving_affine, level)
            mask = _sampled(where.astype(np.float32), self.fixed_affine, fixed.shape, affine, order=0)[0] > 0.5
            _optimise(
                transform, to_itk(fixed, affine), to_itk(moving, moving_affine), to_itk(mask.astype(np.uint8), affine),
                level, self.in_plane,
            )  # fmt: skip
        matrix = np.eye(4)
        matrix[:3, :3] = np.array(transform.GetMatrix()).reshape(3, 3)
        matrix[:3, 3] = transform.TransformPoint((0.0, 0.0, 0.0))
        return matrix

    def overlap(self, matrix: Floats) -> float:
        """Share of the fixed image's voxels that lie in the moving image."""
        return float(self._values(matrix)[1].mean())

    def distance(self, one: Floats, other: Floats) -> float:
        """How far apart two movements take the fixed image's places, on average, in mm."""
        corners = np.array(np.meshgrid(*((0, length - 1) for length in self.fixed.shape))).reshape(3, -1)
        inner = (corners - corners.mean(axis=1, keepdims=True)) / np.sqrt(3) + corners.mean(axis=1, keepdims=True)
        places = self.fixed_affine @ np.vstack([inner, np.ones(inner.shape[1])])
        return float(np.linalg.norm(((one - other) @ places)[:3], axis=0).mean())

    def held_out_gain(self, halves: list[Floats]) -> tuple[float, float, float]:
        """Normalised mutual information before and after, and the gain's t, each half under the other's movement."""
        plain, valid = self._values(np.eye(4))
        before, after, gains = [], [], []
        for colour, matrix in enumerate(reversed(halves)):
            moved, inside = self._values(matrix)
            here = valid & inside & (self.chequers == colour)
            bins = _greys(self.fixed), _greys(plain), _greys(moved)
            before.append(_normalised(bins[0][here], bins[1][here]))
            after.append(_normalised(bins[0][here], bins[2][here]))
            for group in range(GROUPS):
                part = here & (self.groups == group)
                if part.sum() > BINS**2 / 4:
                    a, b, c = (values[part] for values in bins)
                    gains.append(_normalised(a, c) - _normalised(a, b))
        if len(gains) < GROUPS // 2:
            return float(np.mean(before)), float(np.mean(after)), 0.0
        error = np.std(gains, ddof=1) / np.sqrt(len(gains))
        return float(np.mean(before)), float(np.mean(after)), float(np.mean(gains) / max(error, 1e-9))

    def _values(self, matrix: Floats) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """The moving image at the fixed image's voxels, and where it has any."""
        return _sampled(self.moving, self.moving_affine, self.fixed.shape, matrix @ self.fixed_affine)


def _affine(image: Image) -> Floats:
    assert image.affine is not None
    return image.affine


def _depth_mm(image: Image) -> float:
    return len(image.pixels) * float(np.linalg.norm(_affine(image)[:3, 0]))


def _frame(image: Image) -> Floats:
    """(4, 4) to patient millimetres from a frame in the image's middle, along its columns, rows and slices."""
    affine = _affine(image)
    frame = np.eye(4)
    frame[:3, :3] = (affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0))[:, ::-1]
    frame[:3, 3] = affine[:3, :3] @ ((np.array(image.pixels.shape) - 1) / 2) + affine[:3, 3]
    return frame


def _optimise(
    transform: sitk.Euler3DTransform,
    fixed: sitk.Image,
    moving: sitk.Image,
    mask: sitk.Image,
    pixel_mm: float,
    in_plane: bool,
) -> None:
    """Improve the transform where it stands."""
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(BINS)
    method.SetMetricFixedMask(mask)
    # Its own smoothing pulls towards whole slices, and needs four of them.
    method.SetMetricUseFixedImageGradientFilter(False)
    method.SetMetricUseMovingImageGradientFilter(False)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(pixel_mm, 0.02, 120, 0.6, 1e-6)
    method.SetOptimizerScales([80.0**2] * 3 + [1.0] * 3)
    if in_plane:
        method.SetOptimizerWeights([0.0, 0.0, 1.0, 1.0, 1.0, 0.0])
    method.SetInitialTransform(transform, inPlace=True)
    threads = sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()
    # Several threads add up in an order that changes from run to run; the metric heeds the global number only.
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    try:
        method.Execute(fixed, moving)
    except RuntimeError:
        # The images no longer overlap: what was found up to here is judged as it is.
        return
    finally:
        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(threads)


def _coarser(pixels: Floats, affine: Floats, pixel_mm: float) -> tuple[NDArray[np.float32], Floats]:
    """The image smoothed and sampled to pixels of about this size in its slices; finer ones are kept."""
    values, coarse = np.asarray(pixels, dtype=np.float32), affine.copy()
    for axis in (1, 2):
        step = pixel_mm / float(np.linalg.norm(affine[:3, axis]))
        count = max(1, int(values.shape[axis] / step))
        if step <= 1.2 or count < 8:
            continue
        values = np.asarray(gaussian_filter1d(values, 0.4 * step, axis=axis))
        places = (np.arange(count) - (count - 1) / 2) * step + (values.shape[axis] - 1) / 2
        low = np.clip(np.floor(places).astype(int), 0, values.shape[axis] - 2)
        share = (places - low).astype(np.float32).reshape([-1 if other == axis else 1 for other in range(3)])
        values = values.take(low, axis=axis) * (1 - share) + values.take(low + 1, axis=axis) * share
        coarse[:3, 3] += coarse[:3, axis] * places[0]
        coarse[:3, axis] *= step
    return values, coarse


def _blocks(shape: tuple[int, ...], affine: Floats) -> NDArray[np.int64]:
    """(3, slices, rows, columns) the number of each voxel's block; in depth a block is a slice."""
    sides = [max(1, round(BLOCK_MM / float(np.linalg.norm(affine[:3, axis])))) for axis in (1, 2)]
    return np.asarray(np.indices(shape)) // np.array([1, *sides])[:, None, None, None]


def _sampled(
    values: Floats, affine: Floats, shape: tuple[int, ...], onto: Floats, order: int = 1
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Samples, and whether they lie within the voxels, each of which reaches half its size to all sides."""
    to_index = np.linalg.inv(affine) @ onto
    places = np.einsum("ij,jsrc->isrc", to_index[:3, :3], np.indices(shape)) + to_index[:3, 3, None, None, None]
    last = np.array(values.shape)[:, None, None, None] - 0.5
    inside = np.all((places >= -0.5) & (places <= last), axis=0)
    return np.asarray(map_coordinates(values, places, order=order, mode="nearest"), dtype=np.float32), inside


def _greys(values: NDArray[np.float32]) -> NDArray[np.int64]:
    low, high = np.percentile(values, [0.5, 99.5])
    return np.clip((values - low) / max(high - low, 1e-12) * BINS, 0, BINS - 1).astype(np.int64)


def _normalised(one: NDArray[np.int64], other: NDArray[np.int64]) -> float:
    """(H(a) + H(b)) / H(a, b) of two pictures in grey levels (Studholme 1999, doi:10.1016/S0031-3203(98)00091-0)."""
    joint = np.bincount(one * BINS + other, minlength=BINS**2).reshape(BINS, BINS) / max(len(one), 1)
    entropies = [-(part[part > 0] * np.log(part[part > 0])).sum() for part in (joint.sum(1), joint.sum(0), joint)]
    return float((entropies[0] + entropies[1]) / entropies[2]) if entropies[2] > 0 else 1.0


def to_itk(values: NDArray[np.generic], affine: Floats) -> sitk.Image:
    """(slices, rows, columns) with an affine from there to x, y and z in mm, as SimpleITK's image."""
    image = sitk.GetImageFromArray(values)
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    image.SetSpacing([float(step) for step in spacing[::-1]])
    image.SetDirection([float(value) for value in (affine[:3, :3] / spacing)[:, ::-1].ravel()])
    image.SetOrigin([float(value) for value in affine[:3, 3]])
    return image
