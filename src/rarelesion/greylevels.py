"""Texture by grey-level matrices: what stands beside what in a lesion, how long one grey runs, how far it reaches.

Names and definitions are those of the IBSI reference manual (Zwanenburg et al. 2020, doi:10.1148/radiol.2020191145;
arXiv:1612.07003). Everything is computed on one slice at a distance of one pixel; co-occurrences and runs of the four
directions are counted in one matrix before features are read off it (the manual's "2D, merged by slice").
"""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import label

from rarelesion.intensities import entropy, ratio
from rarelesion.types import Floats, Ints

DIRECTIONS = ((0, 1), (1, 0), (1, 1), (1, -1))
"""Rows and columns to the next pixel: across, down and both diagonals."""
EIGHT = np.ones((3, 3), dtype=np.int64)


def texture_features(levels: Ints) -> dict[str, float]:
    """All texture features of one slice: `levels` (rows, columns) are grey levels from 1, 0 outside the lesion.

    A feature that is not defined, as the correlation of one single grey, is NaN. None of them changes when the slice
    is turned by a right angle or mirrored.
    """
    return {
        **{f"cooccurrence_{name}": value for name, value in cooccurrence_features(cooccurrences(levels)).items()},
        **{f"run_length_{name}": value for name, value in run_features(levels).items()},
        **{f"size_zone_{name}": value for name, value in zone_features(levels).items()},
        **{f"tone_difference_{name}": value for name, value in tone_features(levels).items()},
    }


def _beside(levels: Ints, down: int, across: int) -> tuple[Ints, Ints]:
    """Every pixel that has a next one in a direction, and that next one."""
    rows, columns = levels.shape
    first = levels[: rows - down, max(0, -across) : columns - max(0, across)]
    return first, levels[down:, max(0, across) : columns + min(0, across)]


def cooccurrences(levels: Ints) -> NDArray[np.float64]:
    """The symmetric grey-level co-occurrence matrix (n, n), counts of all four directions; row 0 is grey level 1."""
    n = int(levels.max(initial=1))
    counts = np.zeros((n + 1) ** 2)
    for down, across in DIRECTIONS:
        first, second = _beside(levels, down, across)
        counts += np.bincount((first * (n + 1) + second).ravel(), minlength=counts.size)
    matrix = counts.reshape(n + 1, n + 1)[1:, 1:]
    return matrix + matrix.T


def cooccurrence_features(matrix: Floats) -> dict[str, float]:
    """What the co-occurrence matrix (n, n) says; every one NaN where no two pixels stand side by side."""
    p = matrix / max(float(matrix.sum()), 1.0) if matrix.any() else np.full_like(matrix, np.nan)
    grey = np.arange(1.0, len(p) + 1)
    i, j = grey[:, None], grey[None, :]
    marginal = p.sum(axis=1)
    mean = float(grey @ marginal)
    variance = float((grey - mean) ** 2 @ marginal)
    apart = np.abs(i - j).astype(np.int64)
    differences = np.bincount(apart.ravel(), weights=p.ravel()).astype(np.float64)
    marginal_entropy, joint_entropy = entropy(marginal), entropy(p)
    product = np.outer(marginal, marginal)
    cross = float(-(p[product > 0] * np.log2(product[product > 0])).sum())
    found = {
        "joint_maximum": float(p.max()),
        "joint_variance": variance,
        "joint_entropy": joint_entropy,
        "difference_entropy": entropy(differences),
        "angular_second_moment": float((p**2).sum()),
        "contrast": float((p * (i - j) ** 2).sum()),
        "inverse_difference_moment": float((p / (1 + (i - j) ** 2)).sum()),
        "correlation": ratio(float((p * (i - mean) * (j - mean)).sum()), variance),
        "cluster_shade": float((p * (i + j - 2 * mean) ** 3).sum()),
        "information_correlation_1": ratio(joint_entropy - cross, marginal_entropy),
    }
    return found if matrix.any() else dict.fromkeys(found, float("nan"))


def _lines(levels: Ints, down: int, across: int) -> Ints:
    """All lines of a direction one after the other (k,), each ended by a 0."""
    if not down:
        return np.pad(levels, ((0, 0), (0, 1))).ravel()
    rows, columns = levels.shape
    width = columns + rows * abs(across)
    sheared = np.zeros((rows + 1, width), dtype=levels.dtype)  # rows pushed aside until the lines stand upright
    starts = (rows - np.arange(rows)) * across if across > 0 else np.arange(rows) * -across
    places = np.asarray(starts)[:, None] + np.arange(columns)
    sheared[np.arange(rows)[:, None], places - places.min()] = levels
    return sheared.T.ravel()


def runs(levels: Ints) -> tuple[Ints, Ints]:
    """Grey level and length of every run of one grey, of all four directions."""
    greys, lengths = [], []
    for down, across in DIRECTIONS:
        line = _lines(levels, down, across)
        starts = np.flatnonzero(np.diff(line, prepend=-1))
        greys.append(line[starts])
        lengths.append(np.diff(starts, append=line.size))
    grey, length = np.concatenate(greys), np.concatenate(lengths)
    return grey[grey > 0], length[grey > 0]


def _joint_entropy(grey: Ints, extent: Ints) -> float:
    """Of the pairs of a grey level and a length or size, in bits."""
    pairs = grey * (int(extent.max()) + 1) + extent
    return entropy(np.unique(pairs, return_counts=True)[1] / pairs.size)


def run_features(levels: Ints) -> dict[str, float]:
    """Grey-level run lengths of a slice (rows, columns), 0 outside the lesion."""
    grey, length = runs(levels)
    shares = np.bincount(grey) / grey.size
    return {
        "short_runs_emphasis": float(np.mean(1.0 / length**2)),
        "long_runs_emphasis": float(np.mean(length.astype(float) ** 2)),
        "normalised_grey_level_non_uniformity": float(shares @ shares),
        "run_percentage": grey.size / (len(DIRECTIONS) * np.count_nonzero(levels)),
        "run_entropy": _joint_entropy(grey, length),
    }


def zones(levels: Ints) -> tuple[Ints, Ints]:
    """Grey level and size in pixels of every connected zone of one grey, diagonal neighbours counted as connected."""
    greys, sizes = [], []
    for grey in np.unique(levels[levels > 0]).tolist():
        numbered, found = label(levels == grey, structure=EIGHT)  # pyright: ignore[reportGeneralTypeIssues]
        sizes.append(np.bincount(numbered.ravel())[1:])
        greys.append(np.full(found, grey))
    return np.concatenate(greys), np.concatenate(sizes)


def zone_features(levels: Ints) -> dict[str, float]:
    """Grey-level size zones of a slice (rows, columns), 0 outside the lesion."""
    grey, size = zones(levels)
    return {
        "small_zone_emphasis": float(np.mean(1.0 / size**2)),
        "zone_percentage": grey.size / np.count_nonzero(levels),
        "zone_size_entropy": _joint_entropy(grey, size),
    }


def tone_features(levels: Ints) -> dict[str, float]:
    """Neighbourhood grey tone differences of a slice (rows, columns), 0 outside the lesion.

    How far each pixel is from the mean of its up to eight neighbours in the lesion; pixels without any are left out.
    """
    padded = np.pad(levels, 1).astype(float)
    rows, columns = levels.shape
    around = [(r, c) for r in range(3) for c in range(3) if (r, c) != (1, 1)]
    near = np.array([padded[r : r + rows, c : c + columns] for r, c in around])
    counts = (near > 0).sum(axis=0)
    used = (levels > 0) & (counts > 0)
    if not used.any():
        return dict.fromkeys(("coarseness", "contrast", "busyness", "complexity"), float("nan"))
    grey = levels[used]
    away = np.abs(grey - near.sum(axis=0)[used] / counts[used])
    s, n = np.bincount(grey, weights=away), np.bincount(grey)
    i = np.flatnonzero(n).astype(float)
    p, s = n[n > 0] / grey.size, s[n > 0]
    between = np.abs(i[:, None] - i)
    spread = float((np.outer(p, p) * between**2).sum())
    weighted = p * s
    blend = (weighted[:, None] + weighted) / (p[:, None] + p)
    return {
        "coarseness": ratio(1.0, float(weighted.sum())),
        "contrast": ratio(spread * float(s.sum()), i.size * (i.size - 1) * grey.size),
        "busyness": ratio(float(weighted.sum()), float(np.abs((i * p)[:, None] - i * p).sum())),
        "complexity": float((between * blend).sum()) / grey.size,
    }
