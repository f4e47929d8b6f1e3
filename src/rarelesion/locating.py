"""Where the lesions of a row of the table are: its own point, box or mask, or the masks found for its patient."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from rarelesion.diagnoses import Diagnosis
from rarelesion.import_settings import ImportSettings
from rarelesion.lesions import MarkedLesion, components, from_point, to_grid
from rarelesion.marks import MarkFile
from rarelesion.rois import read_rois
from rarelesion.types import Image, Roi

LEAST_INSIDE = 0.5
"""Share of a lesion that must lie within the image it is marked on."""


class NotACase(Exception):
    """A row that does not become a case: a stable code, the reason, the remedy."""


def locate(
    diagnosis: Diagnosis, marks: Sequence[MarkFile], images: Mapping[str, Image], settings: ImportSettings
) -> list[dict[str, Roi]]:
    """The lesions of a row, each as sequence -> ROI; several only where components are cases of their own.

    What the row itself says goes before `marks`, the files found for its patient. Raises NotACase where the lesion is
    not marked, not certain, or not in the image, and InputError where a file cannot be read.
    """
    first = settings.sequences[0]
    if diagnosis.ball is not None:
        return [{first: _box_round(*diagnosis.ball, images[first])}]
    if diagnosis.boxes:
        for sequence, roi in diagnosis.boxes.items():
            to_grid(roi, images[sequence])  # raises where it lies outside
        return [dict(diagnosis.boxes)]
    rois = dict(_marked(diagnosis, marks, images, settings))
    for sequence, roi in rois.items():
        _check_place(roi, images[sequence])
    if not settings.each_component:
        return [rois]
    sequence, whole = next(iter(rois.items()))
    assert whole.mask is not None
    return [{sequence: part} for part in components(whole.mask, whole.affine).rois]


def _box_round(point_mm: tuple[float, float, float], diameter_mm: float, image: Image) -> Roi:
    """The box round a ball on the slice nearest to its middle: a ball is no outline, and must not pass for one."""
    from_point(point_mm, diameter_mm, image)  # raises where the point lies outside
    assert image.affine is not None
    assert image.spacing_mm is not None
    middle = (np.linalg.inv(image.affine) @ [*point_mm, 1])[:3]
    half = diameter_mm / 2 / np.array(image.spacing_mm[1:])
    low = np.maximum(np.floor(middle[1:] - half + 0.5), 0).astype(int)
    high = np.minimum(np.ceil(middle[1:] + half + 0.5), image.pixels.shape[1:]).astype(int)
    plane = int(np.clip(round(middle[0]), 0, len(image.pixels) - 1))
    return Roi(box=(int(low[0]), int(low[1]), int(high[0]), int(high[1])), slice_index=plane)


def _marked(
    diagnosis: Diagnosis, marks: Sequence[MarkFile], images: Mapping[str, Image], settings: ImportSettings
) -> Iterator[tuple[str, Roi]]:
    """The mask of each sequence that the row's lesion was drawn on."""
    first = settings.sequences[0]
    files = marks if diagnosis.mark is None else (MarkFile(diagnosis.mark, f"row {diagnosis.row}, roi", ""),)
    if not files:
        raise NotACase("not-marked", "the lesion is not marked", "Give a mask, a box, or a point with a diameter.")
    by_sequence: dict[str, list[MarkFile]] = {}
    for file in files:
        by_sequence.setdefault(file.sequence or first, []).append(file)
    for sequence, found in by_sequence.items():
        wanted = diagnosis.lesion or settings.roi_label
        if len(found) > 1 and not wanted:
            reason = f"{len(found)} files mark lesions on {sequence}: {', '.join(mark.pseudonym for mark in found)}"
            raise NotACase("several-marks", reason, "Name the one that counts in the column `roi`.")
        lesions = [one for mark in found for one in read_rois(mark.path, images[sequence], mark.pseudonym)]
        yield sequence, _picked(lesions, wanted)


def _picked(found: Sequence[MarkedLesion], wanted: str) -> Roi:
    """The one lesion that is meant, by its number or its name."""
    numbers = ", ".join(str(one.number) for one in found)
    if wanted:
        fitting = [one for one in found if wanted.casefold() in (str(one.number), one.name.strip().casefold())]
        if len(fitting) != 1:
            reason = f"{len(fitting) or 'none'} of its labels {numbers} is the lesion that is asked for"
            raise NotACase(
                "no-such-label", reason, "Give its number or its name in the column `lesion` or as --roi-label."
            )
    elif len(found) > 1:
        reason = f"the mask has several labels: {numbers}"
        raise NotACase("several-labels", reason, "Say which in the column `lesion`, or for all as --roi-label.")
    else:
        fitting = found
    if not fitting or not fitting[0].mask.any():
        raise NotACase("empty", "the mask is empty", "Draw it again, or look whether the right file was exported.")
    return Roi(mask=fitting[0].mask, affine=fitting[0].affine)


def _check_place(roi: Roi, image: Image) -> None:
    """A lesion must lie in the image it is marked on."""
    assert roi.mask is not None
    if roi.affine is None or image.affine is None:
        if roi.mask.shape != image.pixels.shape:
            raise NotACase("outside", "mask and image have neither coordinates nor one size", "Draw it on this series.")
        return
    places = np.argwhere(roi.mask) @ roi.affine[:3, :3].T + roi.affine[:3, 3]
    to_index = np.linalg.inv(image.affine)
    index = places @ to_index[:3, :3].T + to_index[:3, 3]
    inside = np.all((index >= -0.5) & (index <= np.array(image.pixels.shape) - 0.5), axis=1).mean()
    if inside < LEAST_INSIDE:
        reason = f"{1 - inside:.0%} of the mark lies outside the image"
        raise NotACase("outside", reason, "Look whether it was drawn on another series or examination.")
