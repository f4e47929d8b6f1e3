"""The patch of a lesion: its largest cross-section, cut out of every sequence at the same place in the patient.

A ROI defines a square in patient millimetres; each sequence is sampled in that square through its own coordinates,
so that a lesion marked on one sequence is found in another of different matrix, spacing, origin or angle. Plain
pictures have no coordinates: there the square lies on the pixels.
A patch squeezes every lesion into as many pixels; a region is the same place for measuring, and keeps its size.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, gaussian_filter, map_coordinates

from rarelesion.errors import InputError, Problem
from rarelesion.settings import FeatureSettings, ImageSettings
from rarelesion.types import Floats, Image, Roi

COLOURS = ("red", "green", "blue")
FILL_ORDER = ("blue", "green", "red")
"""The paper's: the first sequence (T1) is blue, the second (T2) green, red comes last."""
LARGEST_SHARE_OUTSIDE = 0.5
SMALLEST_RANGE = 1e-6  # of intensities, as a share of the largest: below it a picture is one grey


@dataclass(frozen=True, slots=True)
class _Square:
    """Where a patch lies: in the coordinates of `affine`'s world, millimetres or pixels."""

    centre: Floats
    down: Floats
    """(3,) unit vector along which the patch's rows follow each other."""
    across: Floats
    lesion: Floats
    """(2,) how long the lesion is down and across."""
    side: float

    def offsets(self, side_px: int) -> Floats:
        """(side_px,) how far from the centre the patch's rows, and its columns, are."""
        return (np.arange(side_px) - (side_px - 1) / 2) * self.side / side_px

    def points(self, side_px: int) -> Floats:
        """(3, side_px, side_px) the centres of the patch's pixels."""
        offsets = self.offsets(side_px)
        rows = self.down[:, None, None] * offsets[None, :, None]
        return self.centre[:, None, None] + rows + self.across[:, None, None] * offsets[None, None, :]

    def shows_lesion(self, side_px: int) -> NDArray[np.bool_]:
        """(side_px, side_px) the patch's pixels in the lesion's bounding box, its middle ones if it is thinner."""
        near = np.abs(self.offsets(side_px)) <= np.maximum(self.lesion, self.side / side_px)[:, None] / 2
        return np.logical_and.outer(near[0], near[1])


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
    the percentiles of the lesion's slice, or of the patch.

    Returns (3, side_px, side_px) float32, red, green, blue, in 0..1; a colour without a sequence is 0.
    Raises InputError with a Problem for each sequence that cannot be cut, `where` naming the sequence.
    """
    planes: dict[str, NDArray[np.float32]] = {}
    problems: list[Problem] = []
    for sequence in dict.fromkeys(channels.values()):
        try:
            planes[sequence] = _cut(sequence, images, rois, settings)
        except InputError as error:
            problems += error.problems
    if problems:
        # Sequences that share a ROI share its problems.
        raise InputError(dict.fromkeys(problems))
    patch = np.zeros((3, settings.side_px, settings.side_px), dtype=np.float32)
    for colour, sequence in channels.items():
        patch[COLOURS.index(colour)] = planes[sequence]
    return patch


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
    image, donor = images[sequence], _donor(sequence, images, rois)
    square = _square(donor, images[donor], rois[donor], settings.ring)
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
        plane, box = _box_plane(sequence, image, roi)
        whole[box[0] : box[2], box[1] : box[3]] = True
    else:
        _mask_affine(sequence, image, roi)
        plane, box = _largest_cross_section(sequence, roi.mask)
        whole |= roi.mask[plane]
    margin = max(1, int(np.ceil(reach)))
    part = tuple(slice(max(0, box[axis] - margin), box[axis + 2] + margin) for axis in (0, 1))
    return plane, image.pixels[plane][part], whole[part]


def _shown_lesion(sequence: str, image: Image, roi: Roi, square: _Square, side_px: int) -> NDArray[np.bool_]:
    """(side_px, side_px) the pixels of a square that lie in the lesion as it is marked on this image."""
    if roi.mask is None:
        return square.shows_lesion(side_px)
    to_index = np.linalg.inv(_mask_affine(sequence, image, roi))
    places = np.einsum("ij,jrc->irc", to_index[:3, :3], square.points(side_px)) + to_index[:3, 3, None, None]
    nearest = np.clip(np.rint(places).astype(int), 0, np.array(roi.mask.shape)[:, None, None] - 1)
    return roi.mask[tuple(nearest)] & _inside(places, roi.mask.shape)


def _cut(
    sequence: str, images: Mapping[str, Image], rois: Mapping[str, Roi], settings: ImageSettings
) -> NDArray[np.float32]:
    """(side_px, side_px) of one sequence, in 0..1."""
    image = images[sequence]
    donor = _donor(sequence, images, rois)
    square = _square(donor, images[donor], rois[donor], settings.margin)
    values, inside, places, to_index = _sampled(image, square, settings.side_px)
    outside = 1 - inside[square.shows_lesion(settings.side_px)].mean()
    if outside > LARGEST_SHARE_OUTSIDE:
        found = f"{outside:.0%} of it outside"
        remedy = "Check that the sequences are of one examination and the ROI belongs to them."
        raise InputError(Problem(sequence, "the lesion lies outside the image", found, remedy=remedy))
    reference = values[inside] if settings.scaling == "patch" else _lesion_slice(image.pixels, places, square, to_index)
    return _stretch(sequence, values, reference, settings.percentiles, inside)


def _sampled(image: Image, square: _Square, side_px: int) -> tuple[Floats, NDArray[np.bool_], Floats, Floats]:
    """Of a square: intensities and whether they lie within the image (side_px, side_px), their places in its array
    (3, side_px, side_px), and the way there from patient coordinates (4, 4)."""
    to_index = np.linalg.inv(_affine_or_pixels(image))
    places = np.einsum("ij,jrc->irc", to_index[:3, :3], square.points(side_px)) + to_index[:3, 3, None, None]
    inside = _inside(places, image.pixels.shape)
    steps = np.abs(to_index[:3, :3] @ np.stack([square.down, square.across], axis=1)).max(axis=1)
    return _sample(image.pixels, places, steps * square.side / side_px, inside), inside, places, to_index


def _donor(sequence: str, images: Mapping[str, Image], rois: Mapping[str, Roi]) -> str:
    """The sequence whose ROI says where the lesion is in this one: itself, or the first that shares its places."""
    if sequence in rois:
        return sequence
    donor = next((name for name in rois if name in images and _share_place(images[name], images[sequence])), None)
    if donor is None:
        remedy = f"Mark it there too: mask_{sequence} or box_{sequence}."
        what = "the lesion is not marked on this image, and no coordinates lead there from a marked one"
        raise InputError(Problem(sequence, what, remedy=remedy))
    return donor


def _share_place(marked: Image, other: Image) -> bool:
    """Whether a place in the one image is known in the other: by the patient's coordinates, or pixel by pixel."""
    if marked.affine is None or other.affine is None:
        return marked.affine is other.affine and marked.pixels.shape == other.pixels.shape
    return True


def _square(sequence: str, image: Image, roi: Roi, margin: float) -> _Square:
    if roi.mask is None:
        affine = _affine_or_pixels(image)
        plane, box = _box_plane(sequence, image, roi)
    else:
        mask, affine = roi.mask, _mask_affine(sequence, image, roi)
        mask, affine = (mask, affine) if image.affine is None else _axial_first(mask, affine)
        plane, box = _largest_cross_section(sequence, mask)
    scale = np.linalg.norm(affine[:3, 1:3], axis=0)
    lengths = (np.array(box[2:]) - box[:2]) * scale
    middle = (np.array(box[:2]) + box[2:] - 1) / 2
    side = float(lengths.max()) * (1 + 2 * margin)
    if image.affine is None:
        middle = _shifted_inside(middle, side, image.pixels.shape[1:])
    centre = affine[:3, :3] @ [plane, *middle] + affine[:3, 3]
    directions = (affine[:3, 1:3] / scale).T
    turned, signs = _as_read(directions) if image.affine is not None else ([0, 1], np.ones(2))
    down, across = directions[turned] * signs[:, None]
    return _Square(centre, down, across, lengths[turned], side)


def _affine_or_pixels(image: Image) -> Floats:
    """The image's affine; for a plain picture one that makes (slice, row, column) its own coordinates."""
    return np.eye(4) if image.affine is None else image.affine


def _box_plane(sequence: str, image: Image, roi: Roi) -> tuple[int, tuple[int, int, int, int]]:
    assert roi.box is not None
    slices, rows, columns = image.pixels.shape
    found, remedy = f"box {' '.join(map(str, roi.box))}", "Boxes are row0 col0 row1 col1, counted from 0."
    if roi.slice_index is None and slices > 1:
        remedy = "Put the slice index, counted from 0, before the four numbers of the box."
        raise InputError(Problem(sequence, f"the box names none of the {slices} slices", found, remedy=remedy))
    plane = roi.slice_index or 0
    row0, col0, row1, col1 = roi.box
    if not (0 <= row0 < row1 <= rows and 0 <= col0 < col1 <= columns and 0 <= plane < slices):
        found += "" if roi.slice_index is None else f" on slice {plane}"
        expected = f"inside {slices} slices of {rows} rows and {columns} columns"
        raise InputError(Problem(sequence, "the box lies outside the image", found, expected, remedy))
    return plane, roi.box


def _mask_affine(sequence: str, image: Image, roi: Roi) -> Floats:
    """Where the mask is: by its own coordinates if it and the image have some, else pixel by pixel on the image."""
    assert roi.mask is not None
    if roi.affine is not None and image.affine is not None:
        return roi.affine
    if roi.mask.shape != image.pixels.shape:
        found = f"mask {_size(roi.mask)}, image {_size(image.pixels)}"
        remedy = "Draw the mask on this image, or save both with patient coordinates (NIfTI, DICOM)."
        raise InputError(Problem(sequence, "the mask does not fit the image", found, "the same size", remedy))
    return _affine_or_pixels(image)


def _size(array: NDArray[np.generic]) -> str:
    return " x ".join(str(length) for length in array.shape)


def _axial_first(mask: NDArray[np.bool_], affine: Floats) -> tuple[NDArray[np.bool_], Floats]:
    """The mask with the axis nearest to the patient's long axis in front; a single slice is taken as it is."""
    if mask.shape[0] == 1:
        return mask, affine
    directions = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    axis = int(np.argmax(np.abs(directions[2])))
    order = [axis, *(other for other in range(3) if other != axis)]
    return mask.transpose(order), affine[:, [*order, 3]]


def _largest_cross_section(sequence: str, mask: NDArray[np.bool_]) -> tuple[int, tuple[int, int, int, int]]:
    """The slice with the most pixels and the half-open bounding box there."""
    if not mask.any():
        raise InputError(Problem(sequence, "the mask is empty", remedy="Mark the lesion, or give a box."))
    plane = int(mask.sum(axis=(1, 2)).argmax())
    rows, columns = np.flatnonzero(mask[plane].any(axis=1)), np.flatnonzero(mask[plane].any(axis=0))
    return plane, (int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1)


def _shifted_inside(middle: Floats, side: float, size: tuple[int, ...]) -> Floats:
    """The centre moved so that the square lies on the picture; along an axis shorter than it the picture is centred."""
    lowest, highest = side / 2 - 0.5, np.array(size) - side / 2 - 0.5
    return np.where(lowest > highest, (np.array(size) - 1) / 2, np.clip(middle, lowest, np.maximum(lowest, highest)))


def _as_read(directions: Floats) -> tuple[list[int], Floats]:
    """Which of a plane's two directions (2, 3) goes down and which across, and their signs, as radiologists hang it.

    Millimetres run to the left, the back and the head: a picture goes down to the back or the feet, across to the
    left or the back.
    """
    downwards, sidewards = np.array([0.0, 0.5, -1.0]), np.array([1.0, 0.5, 0.0])
    first, second = np.abs(directions @ downwards)
    order = [0, 1] if first >= second else [1, 0]
    down, across = directions[order]
    return order, np.sign([down @ downwards, across @ sidewards])


def _inside(places: Floats, size: tuple[int, ...]) -> NDArray[np.bool_]:
    """(rows, columns) whether a place lies within the pixels, each of which reaches half a pixel to all sides."""
    last = np.array(size)[:, None, None] - 0.5
    return np.all((places >= -0.5 - 1e-6) & (places <= last + 1e-6), axis=0)


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


def _lesion_slice(
    pixels: NDArray[np.float32], places: Floats, square: _Square, to_index: Floats
) -> NDArray[np.float32]:
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
