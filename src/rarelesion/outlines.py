"""Shape radiomics: how large a lesion is and how regular its outline, on the slice where it is largest.

A box gives its size and proportion, a mask its outline as well. The IBSI reference manual (Zwanenburg et al. 2020,
doi:10.1148/radiol.2020191145) defines shape in three dimensions: these are its analogues on one slice.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion
from scipy.spatial import ConvexHull
from scipy.spatial.distance import pdist


def box_shape(height: float, width: float) -> dict[str, float]:
    """Size and proportion of the lesion's bounding box, both lengths in one unit, above 0.

    `height` runs down the picture (in ultrasound away from the probe, in axial slices to the back): a lesion that is
    taller than wide has a log proportion above 0.
    """
    return {
        "height": height,
        "width": width,
        "log_diameter": float(np.log(max(height, width))),
        "log_height_to_width": float(np.log(height / width)),
    }


def mask_shape(mask: NDArray[np.bool_], pixel: float) -> dict[str, float]:
    """The outline of a lesion, (rows, columns) true inside, whose square pixels are so long."""
    area = float(np.count_nonzero(mask)) * pixel**2
    around = perimeter(mask) * pixel
    rows, columns = np.nonzero(mask)
    outer = np.nonzero(mask & ~np.asarray(binary_erosion(mask), dtype=bool))
    box = np.ptp(rows) + 1, np.ptp(columns) + 1
    hull = _hull(*outer)
    # A pixel is no point: it spreads by a twelfth of its squared side about its middle.
    spread = np.cov(np.stack([rows, columns]), bias=True) + np.eye(2) / 12
    minor, major = np.sqrt(np.linalg.eigvalsh(spread)).tolist()
    return {
        "log_area": float(np.log(area)),
        "log_perimeter": float(np.log(around)),
        "circularity": 4 * np.pi * area / around**2,
        "elongation": minor / major,
        "major_axis_length": 4 * major * pixel,
        "minor_axis_length": 4 * minor * pixel,
        "maximum_diameter": float(pdist(hull.points[hull.vertices]).max()) * pixel,
        "area_density_bounding_box": area / (float(np.prod(box)) * pixel**2),
        "area_density_convex_hull": area / (float(hull.volume) * pixel**2),
    }


def perimeter(mask: NDArray[np.bool_]) -> float:
    """The length of a lesion's outline in pixels, by how often lines in four directions cross it (Cauchy and Crofton).

    Steps of a staircase are not counted as length, which a count of pixel edges does.
    """
    inside = np.pad(mask, 1)
    straight = np.count_nonzero(inside[1:] != inside[:-1]) + np.count_nonzero(inside[:, 1:] != inside[:, :-1])
    slanted = np.count_nonzero(inside[1:, 1:] != inside[:-1, :-1]) + np.count_nonzero(
        inside[1:, :-1] != inside[:-1, 1:]
    )
    return float(np.pi / 8 * (straight + slanted / np.sqrt(2)))


def _hull(rows: NDArray[np.integer], columns: NDArray[np.integer]) -> ConvexHull:
    """Of the corners of the pixels, so that even a single one has an area."""
    corners = np.array([(down, across) for down in (-0.5, 0.5) for across in (-0.5, 0.5)])
    points = (np.stack([rows, columns], axis=1)[:, None] + corners).reshape(-1, 2)
    return ConvexHull(points)
