"""Images that differ from the others of a cohort as a whole: exchanged, mirrored, upside down, of another body part.

Each judgement compares a case with what nearly all others show, and is silent where these do not agree among
themselves: two views of a breast cannot be told apart, T1 and T2 can.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates, sobel

from rarelesion.types import Floats
from rarelesion.views import shrink

Array = NDArray[np.float64]
FEWEST = 8
"""With fewer cases nobody knows what is usual."""
MOST_CONTRARY = 0.1
"""If more than this share of the cases, and more than one, contradict the others, there is nothing usual."""
CLEAR = 0.2
"""The usual sign is clear where nearly all values of that sign keep so far from 0, as a share of the median."""
OPPOSED = 0.35
"""A contradiction is at least so far on the other side, as a share of the median."""
FAR, FARTHER = 12.0, 3.0
"""An outlier is so many spreads farther from its nearest likes than usual, and so many times as far."""
LIKES = 5
MOST_SPREADS = 4.0
"""A single trait counts for no more."""


def contrary(values: Floats) -> NDArray[np.bool_]:
    """(n,) which of these values, that are mostly of one sign, is clearly of the other; all False if they are not."""
    known = values[np.isfinite(values)]
    nothing = np.zeros(values.shape, dtype=bool)
    if known.size < FEWEST:
        return nothing
    usual = float(np.median(known))
    if usual == 0:
        return nothing
    signed = np.nan_to_num(values / usual, nan=1.0)
    with_all = signed[signed > 0]
    clear = float(np.quantile(with_all, 0.05))
    if (signed <= 0).sum() > max(1, MOST_CONTRARY * signed.size) or clear < CLEAR:
        return nothing
    return signed < -OPPOSED


def looks(pictures: Floats) -> Array:
    """(n, 74) a description of pictures (n, side, side) in 0..1: their greys, their roughness, their coarse picture."""
    greys = np.percentile(pictures, (5, 10, 25, 50, 75, 90, 95), axis=(1, 2)).T
    rough = np.stack([_edges(picture).mean() for picture in pictures])[:, None]
    spread = np.stack([pictures.mean(axis=(1, 2)), pictures.std(axis=(1, 2))], axis=1)
    coarse = np.stack([shrink(picture, 8).ravel() for picture in pictures])
    return np.concatenate([greys, rough, spread, coarse], axis=1).astype(np.float64)


def exchange(first: Floats, second: Floats) -> Array:
    """(n,) by how much two sequences differ in the way they usually do; negative where they are the other way round.

    `first` and `second` (n, p) describe the two sequences of the same n cases.
    """
    difference = first - second
    usual = np.median(difference, axis=0)
    spread = 1.4826 * np.median(np.abs(difference - usual), axis=0)
    scale = spread + np.median(spread) / 2 + 1e-9
    return np.clip(difference / scale, -MOST_SPREADS, MOST_SPREADS) @ np.clip(
        usual / scale, -MOST_SPREADS, MOST_SPREADS
    )


def turned(pictures: Floats) -> Array:
    """(n,) by how much a picture resembles the others more as it is than upside down."""
    small = np.stack([shrink(picture, 16) for picture in pictures])
    usual = np.median(small, axis=0)
    other = usual[::-1]
    return np.array([_alike(one, usual) - _alike(one, other) for one in small])


def fit(first: Floats, first_affine: Floats, second: Floats, second_affine: Floats) -> float:
    """By how much the second picture fits the first better as it is than mirrored from left to right.

    Pictures (side, side) with affines (4, 4) from (0, row, column, 1) to patient millimetres; edges are compared,
    which are the same in every contrast. NaN where they share no place.
    """
    places = _places(first.shape[0], first_affine, second_affine)
    inside = np.all((places >= 0) & (places <= second.shape[0] - 1), axis=0)
    if inside.mean() < 0.3:
        return float("nan")
    edges = _edges(first)
    as_it_is = np.asarray(map_coordinates(_edges(second), places, order=1, mode="nearest"))
    mirrored = np.asarray(map_coordinates(_edges(second[:, ::-1]), places, order=1, mode="nearest"))
    return _alike(edges[inside], as_it_is[inside]) - _alike(edges[inside], mirrored[inside])


def _places(side: int, first: Floats, second: Floats) -> Array:
    """(2, side, side) where the pixels of the first picture lie in the second, its own plane taken as that of both."""
    rows, columns = np.mgrid[:side, :side]
    grid = np.stack([np.zeros(side * side), rows.ravel(), columns.ravel()])
    points = first[:3, :3] @ grid + first[:3, 3:]
    index = np.linalg.solve(second[:3, :3], points - second[:3, 3:])
    return index[1:].reshape(2, side, side).astype(np.float64)


def _edges(picture: Floats) -> Array:
    smooth = gaussian_filter(np.asarray(picture, dtype=np.float64), 1.0)
    return np.hypot(np.asarray(sobel(smooth, 0)), np.asarray(sobel(smooth, 1)))


def _alike(first: Floats, second: Floats) -> float:
    first, second = first - first.mean(), second - second.mean()
    norm = float(np.linalg.norm(first) * np.linalg.norm(second))
    return float((first * second).sum() / norm) if norm > 0 else 0.0


def outliers(described: Floats) -> Array:
    """(n,) how many times as far as usual each description (n, p) is from its nearest likes; 0: not an outlier."""
    count = len(described)
    if count < FEWEST + LIKES:
        return np.zeros(count)
    middle = np.median(described, axis=0)
    spread = 1.4826 * np.median(np.abs(described - middle), axis=0)
    scaled = (described - middle) / (spread + np.median(spread) + 1e-9)
    squares = (scaled**2).sum(axis=1)
    distances = np.sqrt(np.maximum(squares[:, None] + squares - 2 * scaled @ scaled.T, 0))
    np.fill_diagonal(distances, np.inf)
    near = np.sort(distances, axis=1)[:, :LIKES].mean(axis=1)
    usual = float(np.median(near))
    width = 1.4826 * float(np.median(np.abs(near - usual)))
    far = (near > usual + FAR * width) & (near > FARTHER * usual)
    return np.where(far, near / max(usual, 1e-9), 0.0)
