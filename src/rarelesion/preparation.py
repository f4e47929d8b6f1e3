"""From the volumes of a case as they were acquired to those a cohort keeps, step by step, and the same steps again.

In this order: the coil's shading out of each sequence (N4), a movement of the patient between the sequences undone
(rigid registration, only where it measurably helps), and new grids (the sequences on one grid, a common spacing).
A movement changes coordinates and no pixel; whatever the grids, each pixel is interpolated once. Every step is plain
data with the hash of the pixels before and after it, and `replay` gives the same pixels from it without searching.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import SimpleITK as sitk
from scipy.ndimage import gaussian_filter

from rarelesion.bias import correct_bias
from rarelesion.errors import InputError, Problem
from rarelesion.registration import Alignment, align, to_itk
from rarelesion.settings import PreparationSettings
from rarelesion.types import Finding, Floats, Image, Roi

RANGES = {
    "max_shift_mm": "(0, 100]",
    "max_rotation_degrees": "(0, 90]",
    "bias_shrink": "[1, 16]",
    "spacing_mm": "[0, 20]",
}
"""Setting of `PreparationSettings` -> the numbers it may be, as in `config.RANGES`."""

MOST_OUTSIDE = 0.2  # of a grid that a sequence may leave empty before it is said

NOT_MOVED: Mapping[str, tuple[str, str]] = {
    "halves_disagree": ("the two halves of the image ask for different movements", "Look at the overlay."),
    "beyond_limits": (
        "the movement found is larger than is believed",
        "Look at the overlay; raise max_shift_mm or max_rotation_degrees if it is right.",
    ),
    "little_overlap": ("the sequences hardly show the same place", "Check that both are of one examination."),
    "too_small": ("there are too few pixels to look for a movement", "Look at the overlay."),
}
"""Why a sequence is left where its coordinates put it -> what is said, and what to do."""


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that was done to one sequence: plain data, to be kept as JSON."""

    name: str
    """bias, register or resample."""
    sequence: str
    parameters: Mapping[str, Any]
    """Numbers, words and lists of them: what `replay` needs, and what speaks for the step."""
    before: str
    """SHA-256 of the pixels the step was given."""
    after: str
    """SHA-256 of the pixels it gave."""


@dataclass(frozen=True, eq=False, slots=True)
class Prepared:
    """A case's volumes and ROIs after preparation."""

    images: Mapping[str, Image]
    rois: Mapping[str, Roi]
    steps: tuple[Step, ...]
    warnings: tuple[Finding, ...]
    """`where` is the sequence."""


def prepare(images: Mapping[str, Image], rois: Mapping[str, Roi], settings: PreparationSettings) -> Prepared:
    """Prepare the sequences of one case as the settings have it, with the ROIs carried along.

    Sequence -> image, and sequence -> ROI for those on which the lesion is marked. What all others are moved to, is the
    sequence of `onto`, else the first that is marked, else the first. A mask keeps its pixels and gets the coordinates
    of its place; a box becomes the box of the same place on the new grid. Images without patient coordinates are
    neither moved nor resampled. Raises InputError where `onto` is no sequence of the case or has no coordinates.
    """
    _check(images, settings)
    work = _Work(dict(images), {name: _placed(roi, images[name]) for name, roi in rois.items()}, [], [])
    if settings.bias:
        for sequence in images:
            work.do("bias", sequence, {"shrink": settings.bias_shrink})
    reference = settings.onto or next((name for name in images if name in rois), next(iter(images)))
    if settings.registration != "never" and images[reference].affine is not None:
        for sequence in images:
            if sequence != reference and images[sequence].affine is not None:
                _register(work, reference, sequence, settings)
    _bring_to_grids(work, settings)
    return Prepared(work.images, work.rois, tuple(work.steps), tuple(work.warnings))


def replay(
    images: Mapping[str, Image], rois: Mapping[str, Roi], steps: Sequence[Step]
) -> tuple[dict[str, Image], dict[str, Roi]]:
    """Do again what `prepare` did to the same volumes: the same pixels, without looking for any movement.

    Returns the images and the ROIs. Raises InputError for a step that does not exist, a sequence that is not there,
    and where the pixels before or after a step are others than they were.
    """
    work = _Work(dict(images), {name: _placed(roi, images[name]) for name, roi in rois.items()}, [], [])
    for step in steps:
        if step.name not in STEPS or step.sequence not in images:
            expected = f"{', '.join(STEPS)} of {', '.join(images)}"
            raise InputError(Problem(step.sequence, "an unknown step", step.name, expected))
        if pixel_hash(work.images[step.sequence]) != step.before:
            remedy = "Take the volumes from which the cohort was made."
            raise InputError(Problem(step.sequence, f"other pixels than those before step {step.name}", remedy=remedy))
        work.do(step.name, step.sequence, step.parameters)
        if work.steps[-1].after != step.after:
            remedy = "Another version of SimpleITK or numpy may round otherwise: prepare the cohort again."
            raise InputError(Problem(step.sequence, f"step {step.name} gives other pixels than it did", remedy=remedy))
    return work.images, work.rois


def pixel_hash(image: Image) -> str:
    """SHA-256 of an image's shape and pixels, in hexadecimal."""
    shape = " ".join(map(str, image.pixels.shape)).encode()
    return hashlib.sha256(shape + np.ascontiguousarray(image.pixels, dtype="<f4").tobytes()).hexdigest()


def step_as_values(step: Step) -> dict[str, Any]:
    """A step as values that JSON knows."""
    return {name: getattr(step, name) for name in Step.__slots__} | {"parameters": dict(step.parameters)}


def step_from_values(values: Mapping[str, Any]) -> Step:
    """What `step_as_values` gave. Raises InputError for anything else."""
    if set(values) != set(Step.__slots__) or not isinstance(values["parameters"], Mapping):
        raise InputError(Problem("step", "not a step", ", ".join(map(str, values)), ", ".join(Step.__slots__)))
    return Step(**{**values, "parameters": dict(values["parameters"])})


# --- the order of work ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False, slots=True)
class _Work:
    """What a case has become so far."""

    images: dict[str, Image]
    rois: dict[str, Roi]
    steps: list[Step]
    warnings: list[Finding]

    def do(self, name: str, sequence: str, parameters: Mapping[str, Any]) -> None:
        image, roi = self.images[sequence], self.rois.get(sequence)
        self.images[sequence], moved = STEPS[name](image, roi, parameters)
        if moved is not None:
            self.rois[sequence] = moved
        hashes = pixel_hash(image), pixel_hash(self.images[sequence])
        self.steps.append(Step(name, sequence, parameters, *hashes))

    def warn(self, code: str, sequence: str, message: str, remedy: str) -> None:
        self.warnings.append(Finding(code, "warning", sequence, message, remedy))


def _check(images: Mapping[str, Image], settings: PreparationSettings) -> None:
    onto = settings.onto
    if onto and onto not in images:
        remedy = "Name a sequence of the cohort, or none."
        raise InputError(Problem("preparation.onto", "no such sequence", repr(onto), ", ".join(images), remedy))
    if onto and images[onto].affine is None:
        remedy = "Name a sequence with patient coordinates (DICOM, NIfTI, NRRD), or none."
        raise InputError(Problem("preparation.onto", "this image has no patient coordinates", repr(onto), "", remedy))


def _register(work: _Work, reference: str, sequence: str, settings: PreparationSettings) -> None:
    limits = settings.max_shift_mm, settings.max_rotation_degrees
    found = align(work.images[reference], work.images[sequence], *limits)
    wanted = settings.registration == "always" and found.reason in ("helps", "no_gain", "halves_disagree")
    if found.helps or wanted:
        parameters = {"onto": reference, "matrix": found.matrix.tolist(), **_evidence(found)}
        work.do("register", sequence, parameters)
        message = f"was {found.movement_mm:.1f} mm and {found.rotation_degrees:.1f} degrees away from {reference}"
        work.warn("moved", sequence, f"{message}, and was moved", "Look at the overlay before and after.")
    if found.reason in NOT_MOVED:
        message, remedy = NOT_MOVED[found.reason]
        work.warn(found.reason, sequence, f"{message} ({reference} and {sequence})", remedy)


def _evidence(found: Alignment) -> dict[str, Any]:
    """The figures of a registration as plain numbers."""
    names = ("movement_mm", "rotation_degrees", "disagreement_mm", "before", "after", "gain_t")
    return {name: round(getattr(found, name), 4) for name in names} | {
        "reason": found.reason, "in_plane": found.in_plane,
    }  # fmt: skip


def _bring_to_grids(work: _Work, settings: PreparationSettings) -> None:
    """Resample what is not yet on its grid; the sequence of `onto` comes first, the others follow it."""
    for sequence in sorted(work.images, key=lambda name: name != settings.onto):
        image = work.images[sequence]
        if image.affine is None:
            continue
        follows = settings.onto and sequence != settings.onto
        wanted = _grid_of(work.images[settings.onto]) if follows else _grid(image, settings.spacing_mm)
        if wanted.shape == image.pixels.shape and np.allclose(wanted.affine, image.affine, atol=1e-6):
            continue
        work.do("resample", sequence, {"shape": list(wanted.shape), "affine": wanted.affine.tolist()})
        outside = 1 - _covered(image, wanted)
        if outside > MOST_OUTSIDE:
            remedy = "Bring the sequences onto the grid of the one that shows less."
            work.warn("outside", sequence, f"{outside:.0%} of the new grid lies outside the image", remedy)


@dataclass(frozen=True, eq=False, slots=True)
class _Grid:
    """Where an image's voxels lie."""

    shape: tuple[int, ...]
    affine: Floats


def _grid_of(image: Image) -> _Grid:
    assert image.affine is not None
    return _Grid(image.pixels.shape, np.array(image.affine))


def _grid(image: Image, spacing_mm: tuple[float, float, float]) -> _Grid:
    """The same field of view in this spacing; 0 keeps the image's own along an axis."""
    own = _grid_of(image)
    lengths = np.linalg.norm(own.affine[:3, :3], axis=0)
    steps = np.where(np.array(spacing_mm) > 0, spacing_mm, lengths) / lengths
    before = np.array(own.shape)
    count = np.maximum(1, np.rint(before / steps)).astype(int)
    affine = own.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ ((before - 1) / 2 - (count - 1) / 2 * steps)
    affine[:3, :3] = affine[:3, :3] * steps
    return _Grid(tuple(int(number) for number in count), affine)


def _covered(image: Image, grid: _Grid) -> float:
    """Share of a grid's voxels that lie in the image; of large grids, of a part of them spread evenly."""
    to_index = np.linalg.inv(_grid_of(image).affine) @ grid.affine
    thin = [np.unique(np.linspace(0, length - 1, 24).round()) for length in grid.shape]
    places = np.stack([axis.ravel() for axis in np.meshgrid(*thin, indexing="ij")])
    index = to_index[:3, :3] @ places + to_index[:3, 3:]
    last = np.array(image.pixels.shape)[:, None] - 0.5
    return float(np.all((index >= -0.5 - 1e-6) & (index <= last + 1e-6), axis=0).mean())


# --- the steps -----------------------------------------------------------------------------------------------------


def _unshade(image: Image, roi: Roi | None, parameters: Mapping[str, Any]) -> tuple[Image, Roi | None]:
    return correct_bias(image, int(parameters["shrink"])), roi


def _move(image: Image, roi: Roi | None, parameters: Mapping[str, Any]) -> tuple[Image, Roi | None]:
    matrix = np.array(parameters["matrix"], dtype=float)
    assert image.affine is not None
    if roi is not None and roi.affine is not None:
        roi = replace(roi, affine=matrix @ roi.affine)
    return replace(image, affine=matrix @ image.affine), roi


def _resample(image: Image, roi: Roi | None, parameters: Mapping[str, Any]) -> tuple[Image, Roi | None]:
    shape, affine = tuple(parameters["shape"]), np.array(parameters["affine"], dtype=float)
    assert image.affine is not None
    # How many of the image's pixels lie between two new ones, along each of its own axes.
    steps = np.abs(np.linalg.inv(image.affine)[:3, :3] @ affine[:3, :3]).max(axis=1)
    sigmas = np.maximum(0.0, (steps - 1) / 2)
    pixels = gaussian_filter(image.pixels, sigmas, mode="nearest") if sigmas.any() else image.pixels
    resampler = sitk.ResampleImageFilter()
    resampler.SetReferenceImage(to_itk(np.zeros(shape, dtype=np.uint8), affine))
    resampler.SetInterpolator(sitk.sitkLinear)
    resampler.SetOutputPixelType(sitk.sitkFloat32)
    resampler.SetDefaultPixelValue(0.0)
    values = sitk.GetArrayFromImage(resampler.Execute(to_itk(np.ascontiguousarray(pixels), image.affine)))
    if roi is not None and roi.box is not None:
        roi = _moved_box(roi, np.linalg.inv(affine) @ image.affine, shape)
    return replace(image, pixels=values, affine=affine), roi


STEPS = {"bias": _unshade, "register": _move, "resample": _resample}
"""Name of a step -> what it does to an image and to the ROI on it."""


def _placed(roi: Roi, image: Image) -> Roi:
    """A mask with the coordinates of the image it was drawn on, where it has none of its own."""
    if roi.mask is None or roi.affine is not None or image.affine is None:
        return roi
    if roi.mask.shape != image.pixels.shape:
        found = " x ".join(map(str, roi.mask.shape))
        expected = " x ".join(map(str, image.pixels.shape))
        raise InputError(Problem(image.sequence, "the mask does not fit the image", found, expected))
    return replace(roi, affine=image.affine)


def _moved_box(roi: Roi, to_index: Floats, shape: Sequence[int]) -> Roi:
    """The box about the same place on another grid, at least a pixel long, within it."""
    assert roi.box is not None
    row0, col0, row1, col1 = roi.box
    corners = np.array([[roi.slice_index or 0, row, column, 1] for row in (row0, row1) for column in (col0, col1)]).T
    corners = corners - np.array([[0.0], [0.5], [0.5], [0.0]])
    places = (to_index @ corners)[:3]
    last = np.array(shape)
    index = int(np.clip(np.rint(places[0].mean()), 0, last[0] - 1))
    low = np.clip(np.rint(places[1:].min(axis=1) + 0.5), 0, last[1:] - 1).astype(int)
    high = np.clip(np.rint(places[1:].max(axis=1) + 0.5), low + 1, last[1:]).astype(int)
    return Roi(box=(int(low[0]), int(low[1]), int(high[0]), int(high[1])), slice_index=index)
