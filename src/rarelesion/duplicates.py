"""Pictures that show the same thing though they are not equal: resized, compressed, cropped, mirrored, made brighter.

Two stages. Candidates are the nearest in three cheap descriptions of a small picture: a perceptual hash (the signs of
its low cosine frequencies), the picture itself without its shades, and the strength of its frequencies, which stays
when the picture is shifted. Each candidate is then laid over the other, shifted, stretched and mirrored, and their fine
detail is correlated: anatomy is alike between patients, the detail of two pictures agrees only if they are one.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dctn, irfft2, rfft2
from scipy.ndimage import gaussian_filter

from rarelesion.types import Floats
from rarelesion.views import shrink

Array = NDArray[np.float64]
Details = NDArray[np.float32]
Candidate = tuple[int, int, bool]
"""Two pictures, the lower index first, and whether the second is to be mirrored."""
BATCH = 256
HASH_SIDE = 8
"""The hash has a bit for each of the lowest 8 x 8 frequencies but the first, which is how bright the picture is."""
NEIGHBOURS = 3
"""So many nearest pictures in each description become candidates."""
HASH_BITS = 6
"""Hashes that differ in no more bits are candidates too."""
STRETCHES = (0.92, 0.96, 1.0, 1.04, 1.08)
"""Across and down: how much larger or smaller the other picture may show the same thing."""
FEWEST_LOOKS, LOOKS = 24, 4
"""So many candidates are looked at closely, the most promising first: one in LOOKS pictures, but not fewer."""
PROMISING = 0.2
"""Agreement without stretching from which a candidate is looked at closely."""
SAME, SURELY = 0.62, 0.93
"""Agreement of fine detail from which two pictures are called one; the second, where all pictures are much alike."""
APART = 6.0
"""So many spreads must an agreement lie above that of a usual picture with its nearest."""
FINE = 1.5
"""Detail is what a Gaussian of so many small pixels takes away."""
LEAST_OVERLAP = 0.6
"""Share of the picture in which two pictures must lie over each other."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two pictures that are probably one."""

    first: int
    second: int
    agreement: float
    """Correlation of their fine detail, up to 1."""
    mirrored: bool


def perceptual_hash(picture: Floats) -> NDArray[np.bool_]:
    """(63,) the signs of the low cosine frequencies of a picture (side, side): alike for alike pictures."""
    low = np.asarray(dctn(shrink(picture, 32), norm="ortho"))[:HASH_SIDE, :HASH_SIDE].ravel()[1:]
    return low > np.median(low)


def detail(picture: Floats) -> NDArray[np.float32]:
    """(side, side) what is left of a picture without its shades, with unit norm; all 0 of an even picture."""
    picture = np.asarray(picture, dtype=np.float64)
    fine = picture - gaussian_filter(picture, FINE, mode="nearest")
    # One caliper cross or bright edge would else decide alone.
    limit = 3 * fine.std()
    fine = np.clip(fine, -limit, limit)
    fine -= fine.mean()
    norm = float(np.linalg.norm(fine))
    return (fine / norm if norm > 0 else fine).astype(np.float32)


def near_pairs(pictures: Floats, patients: Sequence[str]) -> list[Pair]:
    """The pairs of different patients whose pictures (n, side, side) are probably one, those that agree most first."""
    if len(pictures) < 2:
        return []
    fine = np.stack([detail(picture) for picture in pictures])
    owner = np.unique(np.asarray(patients), return_inverse=True)[1]
    candidates = _candidates(pictures, fine, owner)
    if not candidates:
        return []

    first_look = np.concatenate(
        [_correlations(*_laid(fine, candidates[at : at + BATCH])) for at in range(0, len(candidates), BATCH)]
    )
    needed = _needed(candidates, first_look, len(pictures))
    found: dict[tuple[int, int], Pair] = {}
    for index in np.argsort(-first_look, kind="stable")[: max(FEWEST_LOOKS, len(pictures) // LOOKS)].tolist():
        if first_look[index] < PROMISING:
            break
        first, second, mirrored = candidates[index]
        (one,), (other,) = _laid(fine, candidates[index : index + 1])
        reached = max(float(first_look[index]), agreement(one, other))
        known = found.get((first, second))
        if reached >= needed and (known is None or known.agreement < reached):
            found[first, second] = Pair(first, second, reached, mirrored)
    return sorted(found.values(), key=lambda one: -one.agreement)


def _laid(fine: Details, pairs: Sequence[Candidate]) -> tuple[Details, Details]:
    """The details of the pairs' firsts and seconds, those mirrored that are to be."""
    others = (fine[second][:, ::-1] if mirrored else fine[second] for _, second, mirrored in pairs)
    return fine[[first for first, *_ in pairs]], np.stack(list(others))


def _needed(candidates: Sequence[Candidate], reached: Array, count: int) -> float:
    """The agreement that speaks for one picture: far above that of a usual picture with the one it's most alike."""
    best = np.zeros(count)
    for (first, second, _), value in zip(candidates, reached.tolist(), strict=True):
        best[[first, second]] = np.maximum(best[[first, second]], value)
    middle = float(np.median(best))
    spread = 1.4826 * float(np.median(np.abs(best - middle)))
    return float(np.clip(middle + APART * spread, SAME, SURELY))


def agreement(first: Floats, second: Floats) -> float:
    """The highest correlation of two pictures' details (side, side), the second shifted and stretched."""
    stretched = np.stack([_stretched(second, down, across) for down in STRETCHES for across in STRETCHES])
    return float(_correlations(np.broadcast_to(first, stretched.shape), stretched).max())


def _correlations(firsts: Floats, seconds: Floats) -> Array:
    """(n,) the highest correlation of each pair over shifts, over the part where both lie; details have mean 0."""
    side = firsts.shape[-1]
    size = (side + side // 2, side + side // 2)

    def spectrum(pictures: Floats) -> NDArray[np.complexfloating]:
        return np.asarray(rfft2(pictures, size))

    def crossed(one: NDArray[np.complexfloating], other: NDArray[np.complexfloating]) -> NDArray[np.float32]:
        return np.asarray(irfft2(one * np.conj(other), size))

    ones = spectrum(np.ones((side, side), dtype=np.float32))
    overlap = crossed(ones, ones)
    enough = overlap > LEAST_OVERLAP * side * side
    powers = (crossed(spectrum(firsts * firsts), ones), crossed(ones, spectrum(seconds * seconds)))
    power = powers[0][:, enough] * powers[1][:, enough]
    product = crossed(spectrum(firsts), spectrum(seconds))[:, enough]
    return np.where(power > 1e-9, product / np.sqrt(np.maximum(power, 1e-9)), 0).max(axis=1).astype(np.float64)


def _stretched(picture: Floats, down: float, across: float) -> Details:
    """The middle of a picture shown larger, or the picture shown smaller in an empty frame; linear interpolation."""
    side = picture.shape[0]
    middle = (side - 1) / 2
    result = np.asarray(picture, dtype=np.float64)
    for axis, factor in ((0, down), (1, across)):
        places = middle + (np.arange(side) - middle) / factor
        inside = (places >= 0) & (places <= side - 1)
        low = np.clip(np.floor(places).astype(int), 0, side - 2)
        part = np.clip(places - low, 0, 1)
        shape = (side, 1) if axis == 0 else (1, side)
        lower, upper = np.take(result, low, axis), np.take(result, low + 1, axis)
        result = (lower + (upper - lower) * part.reshape(shape)) * inside.reshape(shape)
    return result.astype(np.float32)


def _candidates(pictures: Floats, fine: Details, owner: NDArray[np.int64]) -> list[Candidate]:
    """Pairs (first < second, whether the second is to be mirrored) of different owners worth laying over each other."""
    wanted: set[Candidate] = set()
    flipped = np.asarray(pictures)[:, :, ::-1]
    shades = [np.stack([_without_shade(one) for one in kind]) for kind in (pictures, flipped)]
    strengths = _strengths(fine).astype(np.float64)
    hashes = [np.stack([perceptual_hash(one) for one in kind]) * 2.0 - 1 for kind in (pictures, flipped)]
    bits = hashes[0].shape[1]
    for mirrored in (False, True):
        for own, other, limit in (
            (shades[0], shades[mirrored], np.inf),
            (strengths, strengths, np.inf),
            (hashes[0], hashes[mirrored], bits - 2 * HASH_BITS),
        ):
            wanted |= {(min(pair), max(pair), mirrored) for pair in _nearest(own, other, owner, limit)}
    return sorted(wanted)


def _without_shade(picture: Floats) -> Array:
    small = shrink(picture, 16)
    small = small - gaussian_filter(small, 4, mode="nearest")
    return (small / max(float(np.linalg.norm(small)), 1e-9)).ravel()


def _strengths(fine: Floats) -> Floats:
    """(n, p) how strong each frequency is, in unit norm: the same wherever it lies, and mirrored."""
    strong = np.abs(np.asarray(rfft2(fine)))[:, :, 1:]
    strong = np.sqrt(strong[:, :32, ::1] + strong[:, -32:, ::1])
    flat = strong.reshape(len(fine), -1)
    flat = flat - flat.mean(axis=0)
    return flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-9)


def _nearest(own: Floats, other: Floats, owner: NDArray[np.int64], limit: float) -> set[tuple[int, int]]:
    """For each picture its nearest of another owner by inner product, and all whose product is at least `limit`."""
    pairs: set[tuple[int, int]] = set()
    for start in range(0, len(own), 512):
        likeness = own[start : start + 512] @ other.T
        likeness[owner[start : start + 512, None] == owner[None, :]] = -np.inf
        keep = min(NEIGHBOURS, likeness.shape[1])
        top = np.argpartition(-likeness, keep - 1, axis=1)[:, :keep]
        rows, columns = np.repeat(np.arange(len(likeness)), keep), top.ravel()
        alike = np.isfinite(likeness[rows, columns])
        pairs |= {(int(row) + start, int(column)) for row, column in zip(rows[alike], columns[alike], strict=True)}
        rows, columns = np.nonzero(likeness >= limit)
        pairs |= {(int(row) + start, int(column)) for row, column in zip(rows, columns, strict=True)}
    return pairs
