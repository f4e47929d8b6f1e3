"""The patch of a lesion: its largest cross-section, cut out of every sequence at the same place in the patient.

A ROI defines a square in patient millimetres; each sequence is sampled in that square through its own coordinates,
so that a lesion marked on one sequence is found in another of different matrix, spacing, origin or angle. Plain
pictures have no coordinates: there the square lies on the pixels.
A patch squeezes every lesion into as many pixels; a region is the same place for measuring, and keeps its size.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, gaussian_filter, map_coordinates

from rarelesion.errors import InputError, Problem
from rarelesion.greyscale import STEPS, landmarks_of, shape_of, to_steps
from rarelesion.settings import FeatureSettings, ImageSettings
from rarelesion.squares import (
    Square,
    affine_or_pixels,
    box_plane,
    donor_of,
    largest_cross_section,
    lies_inside,
    mask_affine,
    square_of,
)
from rarelesion.types import Floats, Image, Roi

COLOURS = ("red", "green", "blue")
FILL_ORDER = ("blue", "green", "red")
"""The paper's: the first sequence (T1) is blue, the second (T2) green, red comes last."""
LARGEST_SHARE_OUTSIDE = 0.5
RING = 0.5  # how broad the surroundings of a lesion are, as a share of its longer side
FEWEST_AROUND = 50  # pixels of a patch that surroundings must have, to tell their greys
SMALLEST_RANGE = 1e-6  # of intensities, as a share of the largest: below it a picture is one grey


@dataclass(frozen=True, eq=False, slots=True)
class Region:
    """The slice through a lesion in one sequence, cut down to the lesion and the tissue around it."""

    values: NDArray[np.float64]
    """(rows, columns) intensities; 0 and 1 are the low and the high percentile of the whole slice, and no limits."""
    lesion: NDArray[np.bool_]
    """(rows, columns) true inside the lesion's mask or box."""
    ring: NDArray[np.bool_]
    """(rows, columns) true in the tissue around it."""
    pixel: float
    """The side of a pixel in mm; 1 where the file does not know it."""
    size: tuple[float, float]
    """How far the lesion reaches down and across, in mm, or in pixels where the file does not know it."""
    outlined: bool
    """Whether the lesion was marked by a mask."""


def resolve_channels(sequences: Sequence[str], channels: Mapping[str, str]) -> dict[str, str]:
    """Which sequence is shown in which colour.

    `channels` as the user set them (colour -> sequence) are checked and kept. Without them one sequence fills all
    three colours; T1 is blue and T2 green as in the paper; otherwise the sequences fill blue, green, red in order.
    Raises InputError for an unknown colour or sequence, and for more than three sequences without `channels`.
    """
    if channels:
        _check_channels(sequences, channels)
        return dict(channels)
    if len(sequences) > len(COLOURS):
        remedy = 'Choose up to three in study.toml: [images] channels = { blue = "...", green = "..." }.'
        expected = f"at most {len(COLOURS)}"
        raise InputError(Problem("images.channels", "too many sequences", ", ".join(sequences), expected, remedy))
    if len(sequences) == 1:
        return dict.fromkeys(COLOURS, sequences[0])
    names = [sequence.casefold() for sequence in sequences]
    if {"t1", "t2"} <= set(names):
        sequences = sorted(sequences, key=lambda name: ("t1", "t2", name.casefold()).index(name.casefold()))
    return dict(zip(FILL_ORDER, sequences, strict=False))


def _check_channels(sequences: Sequence[str], channels: Mapping[str, str]) -> None:
    where, known = "images.channels", ", ".join(sequences)
    problems = [Problem(where, "unknown colour", name, ", ".join(COLOURS)) for name in channels if name not in COLOURS]
    problems += [
        Problem(f"{where}.{colour}", "the cohort has no such sequence", sequence, known, "Check the spelling.")
        for colour, sequence in channels.items()
        if sequence not in sequences
    ]
    if problems:
        raise InputError(problems)


def cut_patch(
    images: Mapping[str, Image], rois: Mapping[str, Roi], channels: Mapping[str, str], settings: ImageSettings
) -> NDArray[np.float32]:
    """Cut the lesion out of its sequences and put them into the colours of one square picture.

    `channels` is colour -> sequence; a sequence with a ROI of its own is cut there, the others at the first ROI they
    can share. Of a mask the axial slice with the largest cross-section is taken, of a box its slice. The square is
    centred on the lesion, its side the lesion's longer side and `margin` on both ends; rows run to the patient's
    back (or feet), columns to the left (or back), however the file stores them. Intensities are stretched between
    the percentiles of the lesion's slice or of the patch; or those of what surrounds the lesion span the middle half.

    Returns (3, side_px, side_px) float32, red, green, blue, in 0..1; a colour without a sequence is 0.
    Raises InputError with a Problem for each sequence that cannot be cut, `where` naming the sequence.
    """
    return cut_slices(images, rois, channels, replace(settings, slices=1))[0]


def cut_slices(
    images: Mapping[str, Image], rois: Mapping[str, Roi], channels: Mapping[str, str], settings: ImageSettings
) -> NDArray[np.float32]:
    """The patches of `settings.slices` slices, (slices, 3, side_px, side_px), each as `cut_patch` cuts the first.

    The slice with the largest cross-section comes first, then its neighbours, the nearest first, at the same place
    and of the same side. Beyond the lesion's end, or that of a sequence, the slice before it is shown again.
    """
    return cut_with_greys(images, rois, channels, settings)[0]


def cut_with_greys(
    images: Mapping[str, Image], rois: Mapping[str, Roi], channels: Mapping[str, str], settings: ImageSettings
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """The patches as `cut_slices` gives them, and the landmarks of their greys, (slices, 3, k), their ends at 0 and 1.

    With the scaling "nyul" the patches are in even steps of these landmarks; with others, and for a colour without a
    sequence, the landmarks are even steps themselves.
    """
    planes: dict[str, list[_Plane]] = {}
    problems: list[Problem] = []
    for sequence in dict.fromkeys(channels.values()):
        try:
            planes[sequence] = _cut(sequence, images, rois, settings)
        except InputError as error:
            problems += error.problems
    if problems:
        # Sequences that share a ROI share its problems.
        raise InputError(dict.fromkeys(problems))
    patches = np.zeros((settings.slices, 3, settings.side_px, settings.side_px), dtype=np.float32)
    greys = np.tile(STEPS, (settings.slices, 3, 1))
    for colour, sequence in channels.items():
        for row, plane in enumerate(planes[sequence]):
            patches[row, COLOURS.index(colour)], greys[row, COLOURS.index(colour)] = plane.pixels, plane.greys
    return patches, greys


def cut_region(
    sequence: str,
    images: Mapping[str, Image],
    rois: Mapping[str, Roi],
    scale: ImageSettings,
    settings: FeatureSettings,
) -> Region:
    """The lesion and its surroundings in one sequence, found and turned as `cut_patch` does.

    A plain picture is taken pixel for pixel; an image in patient coordinates on square pixels of `settings.pixel_mm`.
    The ring is as broad as `settings.ring` times the lesion's longer side. Raises InputError, `where` naming the
    sequence, where a patch could not be cut either.
    """
    image, donor = images[sequence], donor_of(sequence, images, rois)
    square = square_of(donor, images[donor], rois[donor], settings.ring)
    reach = square.side * settings.ring / (1 + 2 * settings.ring)
    if image.affine is None:
        plane, values, lesion = _pixel_by_pixel(donor, image, rois[donor], reach)
        reference, pixel, inside = image.pixels[plane], 1.0, np.True_
    else:
        pixel = settings.pixel_mm
        side_px = int(np.ceil(square.side / pixel))
        square = replace(square, side=side_px * pixel)
        values, inside, places, to_index = _sampled(image, square, side_px)
        lesion = _shown_lesion(donor, images[donor], rois[donor], square, side_px)
        reference = _lesion_slice(image.pixels, places, square, to_index)
    low, high = _range(sequence, values, reference, scale.percentiles)
    away = distance_transform_edt(~lesion) if lesion.any() else np.zeros(lesion.shape)
    return Region(
        values=(np.asarray(values, dtype=np.float64) - low) / (high - low),
        lesion=lesion & inside,
        ring=(np.asarray(away) * pixel <= max(reach, pixel)) & ~lesion & inside,
        pixel=pixel,
        size=(float(square.lesion[0]), float(square.lesion[1])),
        outlined=rois[donor].mask is not None,
    )


def _pixel_by_pixel(
    sequence: str, image: Image, roi: Roi, reach: float
) -> tuple[int, NDArray[np.float32], NDArray[np.bool_]]:
    """Slice, intensities and lesion, around it as far as the picture goes."""
    whole = np.zeros(image.pixels.shape[1:], dtype=bool)
    if roi.mask is None:
        plane, box = box_plane(sequence, image, roi)
        whole[box[0] : box[2], box[1] : box[3]] = True
    else:
        mask_affine(sequence, image, roi)
        plane, box = largest_cross_section(sequence, roi.mask)
        whole |= roi.mask[plane]
    margin = max(1, int(np.ceil(reach)))
    part = tuple(slice(max(0, box[axis] - margin), box[axis + 2] + margin) for axis in (0, 1))
    return plane, image.pixels[plane][part], whole[part]


def _shown_lesion(sequence: str, image: Image, roi: Roi, square: Square, side_px: int) -> NDArray[np.bool_]:
    """(side_px, side_px) the pixels of a square that lie in the lesion as it is marked on this image."""
    if roi.mask is None:
        return square.shows_lesion(side_px)
    to_index = np.linalg.inv(mask_affine(sequence, image, roi))
    places = np.einsum("ij,jrc->irc", to_index[:3, :3], square.points(side_px)) + to_index[:3, 3, None, None]
    nearest = np.clip(np.rint(places).astype(int), 0, np.array(roi.mask.shape)[:, None, None] - 1)
    return roi.mask[tuple(nearest)] & lies_inside(places, roi.mask.shape)


@dataclass(frozen=True, eq=False, slots=True)
class _Plane:
    """One slice of one sequence, cut."""

    pixels: NDArray[np.float32]
    """(side_px, side_px), in 0..1."""
    greys: Floats = field(default_factory=STEPS.copy)
    """(k,) the landmarks of which the pixels are even steps; even steps where they are no such."""


def _cut(sequence: str, images: Mapping[str, Image], rois: Mapping[str, Roi], settings: ImageSettings) -> list[_Plane]:
    """Of one sequence, slice by slice."""
    donor = donor_of(sequence, images, rois)
    squares = square_of(donor, images[donor], rois[donor], settings.margin).neighbours(settings.slices)
    planes: dict[int, _Plane] = {}
    for away, square in squares.items():
        try:
            marked = _Marked(donor, images[donor], rois[donor])
            planes[away] = _cut_slice(sequence, images[sequence], square, marked, settings)
        except InputError:
            if away == 0:
                raise
    order = sorted(range(-(settings.slices // 2), (settings.slices - 1) // 2 + 1), key=lambda away: (abs(away), away))
    return [planes[min(planes, key=lambda there: abs(there - away))] for away in order]


@dataclass(frozen=True, eq=False, slots=True)
class _Marked:
    """Where a lesion is marked, which may be on another sequence than the one that is cut."""

    sequence: str
    image: Image
    roi: Roi


def _cut_slice(sequence: str, image: Image, square: Square, marked: _Marked, settings: ImageSettings) -> _Plane:
    values, inside, places, to_index = _sampled(image, square, settings.side_px)
    outside = 1 - inside[square.shows_lesion(settings.side_px)].mean()
    if outside > LARGEST_SHARE_OUTSIDE:
        found = f"{outside:.0%} of it outside"
        remedy = "Check that the sequences are of one examination and the ROI belongs to them."
        raise InputError(Problem(sequence, "the lesion lies outside the image", found, remedy=remedy))
    if settings.scaling == "surroundings":
        around = _surroundings(sequence, image, square, marked, settings.side_px)
        return _Plane(_stretch_about(sequence, values, around, settings.percentiles, inside))
    reference = values[inside] if settings.scaling == "patch" else _lesion_slice(image.pixels, places, square, to_index)
    if settings.scaling == "nyul":
        _range(sequence, values, reference, settings.percentiles)
        landmarks = landmarks_of(reference.ravel(), settings.percentiles)
        return _Plane(_clipped(sequence, to_steps(values, landmarks), (0.0, 1.0), inside), shape_of(landmarks))
    return _Plane(_stretch(sequence, values, reference, settings.percentiles, inside))


def _surroundings(sequence: str, image: Image, square: Square, marked: _Marked, side_px: int) -> NDArray[np.floating]:
    """(n,) the intensities in a ring around the lesion, `RING` times its longer side broad, on the patch's slice."""
    reach = RING * float(square.lesion.max())
    pixel = square.side / side_px
    wide_px = int(np.ceil((square.lesion.max() + 2 * reach) / pixel))
    wide = replace(square, side=wide_px * pixel)
    values, inside, _, _ = _sampled(image, wide, wide_px)
    lesion = _marked_pixels(marked, wide, wide_px)
    ring = (np.asarray(distance_transform_edt(~lesion)) * pixel <= reach) & ~lesion & inside
    if ring.sum() < FEWEST_AROUND:
        remedy = 'Set [images] scaling = "slice", or mark the lesion and not the whole picture.'
        found = f"{ring.sum()} pixels"
        raise InputError(
            Problem(sequence, "there is too little around the lesion to scale its greys by", found, remedy=remedy)
        )
    return values[ring]


def _marked_pixels(marked: _Marked, square: Square, side_px: int) -> NDArray[np.bool_]:
    """(side_px, side_px) the pixels of a square in the lesion's mask, or below or above its box.

    Where a neighbouring slice has none of the mask, the lesion's bounding box stands for it.
    """
    if marked.roi.box is None:
        lesion = _shown_lesion(marked.sequence, marked.image, marked.roi, square, side_px)
        return lesion if lesion.any() else square.shows_lesion(side_px)
    # A square that was shifted into its picture does not have the lesion in its middle.
    to_index = np.linalg.inv(affine_or_pixels(marked.image))
    places = np.einsum("ij,jrc->irc", to_index[1:3, :3], square.points(side_px)) + to_index[1:3, 3, None, None]
    low, high = (np.array(marked.roi.box[start : start + 2])[:, None, None] - 0.5 for start in (0, 2))
    return np.all((places >= low) & (places <= high), axis=0)


def _sampled(image: Image, square: Square, side_px: int) -> tuple[Floats, NDArray[np.bool_], Floats, Floats]:
    """Of a square: intensities and whether they lie within the image (side_px, side_px), their places in its array
    (3, side_px, side_px), and the way there from patient coordinates (4, 4)."""
    to_index = np.linalg.inv(affine_or_pixels(image))
    places = np.einsum("ij,jrc->irc", to_index[:3, :3], square.points(side_px)) + to_index[:3, 3, None, None]
    inside = lies_inside(places, image.pixels.shape)
    steps = np.abs(to_index[:3, :3] @ np.stack([square.down, square.across], axis=1)).max(axis=1)
    return _sample(image.pixels, places, steps * square.side / side_px, inside), inside, places, to_index


def _sample(pixels: NDArray[np.float32], places: Floats, steps: Floats, inside: NDArray[np.bool_]) -> Floats:
    """Linear interpolation at (3, rows, columns) index places, 0 outside.

    `steps` (3,) says how many of the image's pixels lie between two of the patch's; what is finer is smoothed away
    first, or it would come back as a pattern that is not there.
    """
    sigmas = np.maximum(0.0, (steps - 1) / 2)
    reach = np.ceil(4 * sigmas) + 1
    size = np.array(pixels.shape)
    low = np.clip(np.floor(places.min(axis=(1, 2)) - reach), 0, size - 1).astype(int)
    high = np.clip(np.ceil(places.max(axis=(1, 2)) + reach), 0, size - 1).astype(int) + 1
    part = pixels[tuple(slice(start, stop) for start, stop in zip(low, high, strict=True))]
    smooth = gaussian_filter(part, sigmas, mode="nearest") if sigmas.any() else part
    values = np.asarray(map_coordinates(smooth, places - low[:, None, None], order=1, mode="nearest"))
    return np.where(inside, values, 0)


def _lesion_slice(pixels: NDArray[np.float32], places: Floats, square: Square, to_index: Floats) -> NDArray[np.float32]:
    """The whole slice of the image that lies nearest to the patch."""
    directions = np.linalg.inv(to_index)[:3, :3]
    normal = np.cross(square.down, square.across)
    axis = int(np.argmax(np.abs(normal @ directions) / np.linalg.norm(directions, axis=0)))
    index = int(np.clip(np.rint(places[axis].mean()), 0, pixels.shape[axis] - 1))
    return np.asarray(pixels.take(index, axis=axis))


def _stretch(
    sequence: str, values: Floats, reference: Floats, percentiles: tuple[float, float], inside: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Intensities between the percentiles of the reference to 0..1, the rest clipped; 0 outside the image."""
    low, high = _range(sequence, values, reference, percentiles)
    return _clipped(sequence, values, (low, high), inside)


def _stretch_about(
    sequence: str, values: Floats, around: Floats, percentiles: tuple[float, float], inside: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Intensities to 0..1 by what lies around a lesion: its median becomes middle grey, its range half of all greys.

    So a lesion may be darker or brighter than all around it and still keep its inside. 0 outside the image.
    """
    low, high = _range(sequence, values, around, percentiles)
    middle = np.median(around)
    return _clipped(sequence, values, (middle - (high - low), middle + (high - low)), inside)


def _clipped(
    sequence: str, values: Floats, limits: tuple[float, float], inside: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Intensities between the limits to 0..1, the rest clipped; 0 outside the image."""
    low, high = limits
    stretched = np.where(inside, np.clip((values - low) / (high - low), 0, 1), 0)
    if np.ptp(stretched[inside]) == 0:
        remedy = "Check that the ROI lies on the lesion."
        raise InputError(Problem(sequence, "the patch is one grey", f"{values[inside][0]:g}", remedy=remedy))
    return np.asarray(stretched, dtype=np.float32)


def _range(sequence: str, values: Floats, reference: Floats, percentiles: tuple[float, float]) -> Floats:
    """The two percentiles of the reference, which have to differ, in its precision."""
    if not (np.isfinite(values).all() and np.isfinite(reference).all()):
        raise InputError(Problem(sequence, "pixels that are not numbers", remedy="Replace NaN and infinite pixels."))
    low, high = found = np.percentile(reference, percentiles)
    if high - low <= SMALLEST_RANGE * max(abs(high), abs(low)):
        remedy = "Check that the file holds the picture that was meant."
        raise InputError(Problem(sequence, "the image is one grey", f"{low:g} to {high:g}", remedy=remedy))
    return found
