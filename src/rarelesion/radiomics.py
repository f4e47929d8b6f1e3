"""A small set of radiomics: some forty numbers a sequence on a lesion's shape, intensities, texture and surroundings.

Names are those of the IBSI reference manual (Zwanenburg et al. 2020, doi:10.1148/radiol.2020191145) where it has the
feature. One slice is measured, that of the largest cross-section. Intensities are taken between two percentiles of
that slice, and grey levels between the lowest and the highest of the lesion, so that the gain of a scanner cancels.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation

from rarelesion.crop import Region, cut_region
from rarelesion.errors import InputError, Problem
from rarelesion.greylevels import texture_features
from rarelesion.intensities import UNDEFINED, discretise, histogram_statistics, intensity_statistics, ratio
from rarelesion.outline_search import outlined_region
from rarelesion.outlines import box_shape, mask_shape
from rarelesion.settings import FeatureSettings, ImageSettings
from rarelesion.types import Image, Roi

FEWEST_PX = 4
"""A lesion of fewer pixels has no texture, and a ring of fewer no mean."""
DARKEST = 0.05
"""Means below this are taken for it where they are divided: as a share of the slice's range, it is black."""
NOTHING = np.ones((2, 2), dtype=np.int64)
"""Grey levels that give every feature its name."""


def case_features(
    images: Mapping[str, Image], rois: Mapping[str, Roi], scale: ImageSettings, settings: FeatureSettings
) -> dict[str, float]:
    """All features of a case, named `<sequence>_<feature>`; shape only of sequences that have a ROI of their own.

    Every sequence gives the same names for every case; what a case does not have (an outline where it was marked by a
    box, the texture of three pixels) is NaN. Raises InputError with the problems of all sequences.
    """
    regions = case_regions(images, rois, scale, settings)
    return {
        f"{sequence}_{name}": value
        for sequence, region in regions.items()
        for name, value in region_features(region, settings.bins).items()
    }


def case_regions(
    images: Mapping[str, Image], rois: Mapping[str, Roi], scale: ImageSettings, settings: FeatureSettings
) -> dict[str, Region]:
    """What is measured of each sequence: the lesion as it is marked, or its outline as it was found, and the ring.

    Raises InputError with the problems of all sequences.
    """
    regions: dict[str, Region] = {}
    problems: list[Problem] = []
    for sequence in images:
        try:
            region = cut_region(sequence, images, rois, scale, settings)
        except InputError as error:
            problems += error.problems
            continue
        regions[sequence] = outlined_region(region, settings.ring) if settings.outline == "found" else region
    if problems:
        raise InputError(dict.fromkeys(problems))
    return regions


def region_features(region: Region, bins: int) -> dict[str, float]:
    """The features of one region, the same names for each."""
    return {**shape_features(region), **inner_features(region, bins), **ring_features(region)}


def shape_features(region: Region) -> dict[str, float]:
    """Size, proportion, and the outline where there is one."""
    names = mask_shape(NOTHING > 0, 1.0)
    enough = region.outlined and np.count_nonzero(region.lesion) >= FEWEST_PX
    outline = mask_shape(region.lesion, region.pixel) if enough else dict.fromkeys(names, UNDEFINED)
    return {**box_shape(*region.size), **outline}


def inner_features(region: Region, bins: int) -> dict[str, float]:
    """Intensities and texture inside the lesion."""
    values = region.values[region.lesion]
    if values.size < FEWEST_PX:
        inside = intensity_statistics(np.ones(1)) | histogram_statistics(NOTHING.ravel()) | texture_features(NOTHING)
        return dict.fromkeys(inside, UNDEFINED)
    levels = np.zeros(region.values.shape, dtype=np.int64)
    levels[region.lesion] = discretise(values, bins)
    return {
        **intensity_statistics(values),
        **histogram_statistics(levels[region.lesion]),
        **texture_features(levels),
    }


def ring_features(region: Region) -> dict[str, float]:
    """The lesion against the tissue around it: how much brighter, how much more mottled, how sharp its edge.

    `ring_below_difference` is the tissue under the lesion less that on both sides at the same height: in ultrasound
    the shadow or the enhancement behind it. All but this one stay as they are when the picture is turned by a right
    angle. None of them is an IBSI feature.
    """
    inner, outer = region.values[region.lesion], region.values[region.ring]
    names = ("mean_difference", "log_mean_ratio", "spread_ratio", "edge_gradient", "below_difference")
    if min(inner.size, outer.size) < FEWEST_PX:
        return {f"ring_{name}": UNDEFINED for name in names}
    down, across = np.gradient(region.values)
    edge = region.lesion & np.asarray(binary_dilation(region.ring), dtype=bool)
    steepness = np.hypot(down, across)[edge] / region.pixel
    found = (
        float(inner.mean() - outer.mean()),
        float(np.log(max(float(inner.mean()), DARKEST) / max(float(outer.mean()), DARKEST))),
        ratio(float(inner.std()), float(outer.std())),
        float(steepness.mean()) if steepness.size else UNDEFINED,
        _below(region),
    )
    return {f"ring_{name}": value for name, value in zip(names, found, strict=True)}


def _below(region: Region) -> float:
    rows, columns = np.nonzero(region.lesion)
    height, width = region.lesion.shape
    down, across = np.arange(height)[:, None], np.arange(width)
    beneath = region.ring & (down > rows.max()) & (across >= columns.min()) & (across <= columns.max())
    beside: NDArray[np.bool_] = region.ring & (down >= rows.min()) & (down <= rows.max())
    beside &= (across < columns.min()) | (across > columns.max())
    if min(np.count_nonzero(beneath), np.count_nonzero(beside)) < FEWEST_PX:
        return UNDEFINED
    return float(region.values[beneath].mean() - region.values[beside].mean())
