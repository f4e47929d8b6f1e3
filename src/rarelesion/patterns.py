"""The patterns materials are made of: bent lattices, coloured noise, scattered cells, piles, threads and light.

Lengths are in picture widths and frequencies in cycles per picture, so that a pattern looks alike at every size.
"""

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.floating]
"""(side, side) numbers, one a pixel."""
Texture = Callable[[np.random.Generator, int], Field]
"""Draws a material: (generator, side in pixels) -> (side, side)."""

_TABLE = 64  # lattice cells whose tone and jitter are drawn before the pattern of tones repeats


def plane(rng: np.random.Generator, side: int, cells: float, warp: float = 0.0) -> tuple[Field, Field]:
    """Coordinates of a rotated lattice with about `cells` unit cells across the picture, bent by up to `warp` cells."""
    angle, zoom = rng.uniform(0, 2 * np.pi), cells * np.exp(rng.uniform(-0.25, 0.25))
    axis = ((np.arange(side) + 0.5) / side - 0.5).astype(np.float32) * np.float32(zoom)
    cosine, sine = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    u = cosine * axis[None, :] + sine * axis[:, None] + np.float32(rng.uniform(20, 40))
    v = cosine * axis[:, None] - sine * axis[None, :] + np.float32(rng.uniform(20, 40))
    if warp:
        u += np.float32(warp) * band(rng, side, 2.5)
        v += np.float32(warp) * band(rng, side, 2.5)
    return u, v


@lru_cache(maxsize=8)
def _wavenumbers(side: int) -> tuple[Field, Field]:
    down = (np.fft.fftfreq(side) * side).astype(np.float32)[:, None]
    across = (np.fft.rfftfreq(side) * side).astype(np.float32)[None, :]
    return down, across


def _filtered(rng: np.random.Generator, side: int, gain: Callable[[Field], Field], stretch: float) -> Field:
    """Gaussian noise of unit variance whose spectrum is `gain` of the cycles per picture."""
    down, across = _wavenumbers(side)
    angle = rng.uniform(0, np.pi)
    cosine, sine = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    along, beside = cosine * across + sine * down, cosine * down - sine * across
    cycles = np.sqrt((np.float32(stretch) * along) ** 2 + beside**2)
    cycles[0, 0] = 1.0
    spectrum = np.fft.rfft2(rng.standard_normal((side, side), dtype=np.float32)) * gain(cycles)
    spectrum[0, 0] = 0.0
    field = np.fft.irfft2(spectrum, s=(side, side))
    return (field / field.std()).astype(np.float32)


def power(rng: np.random.Generator, side: int, exponent: float, stretch: float = 1.0) -> Field:
    """Noise whose amplitude falls as cycles to the power of -`exponent`."""
    return _filtered(rng, side, lambda cycles: cycles ** np.float32(-exponent), stretch)


def band(rng: np.random.Generator, side: int, cycles: float, width: float = 0.3, stretch: float = 1.0) -> Field:
    """Noise with about `cycles` waves across the picture; `width` is the band's spread in octaves."""
    centre = cycles * np.exp(rng.uniform(-0.2, 0.2))
    return _filtered(rng, side, lambda f: np.exp(-((np.log2(f / np.float32(centre)) / width) ** 2) / 2), stretch)


def octaves(rng: np.random.Generator, side: int, fold: Callable[[Field], Field], roughness: float) -> Field:
    """Fractal sum of folded noise over five octaves; each is `roughness` times as strong as the one below it."""
    layers = [roughness**k * fold(band(rng, side, 2.0 * 2**k)) for k in range(5)]
    return np.stack(layers).sum(axis=0)


def lit(rng: np.random.Generator, height: Field, relief: float) -> Field:
    """A matt surface of the given height (in picture widths times `relief`) lit from a random side."""
    steps = np.float32(relief * height.shape[0])
    down, across = (steps * slope for slope in np.gradient(height))
    azimuth, elevation = rng.uniform(0, 2 * np.pi), rng.uniform(0.5, 1.0)
    toward = np.cos(elevation) * (np.cos(azimuth) * across + np.sin(azimuth) * down)
    return np.maximum((np.sin(elevation) - toward) / np.sqrt(1 + across**2 + down**2), 0).astype(np.float32)


def tones(rng: np.random.Generator, rows: NDArray, columns: NDArray) -> Field:
    """One random tone in 0..1 for every lattice cell."""
    table = rng.random((_TABLE, _TABLE), dtype=np.float32)
    return table[rows.astype(np.int32) % _TABLE, columns.astype(np.int32) % _TABLE]


def worley(rng: np.random.Generator, u: Field, v: Field) -> tuple[Field, Field, Field]:
    """Distance to the nearest and the second nearest of scattered seeds, and the nearest one's random tone."""
    offsets, tones = rng.random((2, _TABLE, _TABLE), dtype=np.float32), rng.random((_TABLE, _TABLE), dtype=np.float32)
    column, row = np.floor(u).astype(np.int32), np.floor(v).astype(np.int32)
    nearest, second = np.full_like(u, 9.0), np.full_like(u, 9.0)
    tone = np.zeros_like(u)
    for step in range(9):
        i, j = row + (step // 3 - 1), column + (step % 3 - 1)
        at = (i % _TABLE) * _TABLE + j % _TABLE
        square = (j + offsets[0].take(at) - u) ** 2 + (i + offsets[1].take(at) - v) ** 2
        square = square.astype(np.float32)
        closer = square < nearest
        second = np.minimum(second, np.where(closer, nearest, square))
        nearest = np.where(closer, square, nearest)
        tone = np.where(closer, tones.take(at), tone)
    return np.sqrt(nearest), np.sqrt(second), tone


def pile(rng: np.random.Generator, side: int, n: int, radius: tuple[float, float], slender: float = 1.0) -> NDArray:
    """Domes strewn one over the other: (2, side, side), their height (0 where bare) and their tone in 0..1.

    `radius` is the smallest and the largest, in picture widths; `slender` the ratio of length to width.
    """
    radii = side * np.exp(rng.uniform(np.log(radius[0]), np.log(radius[1]), (n, 1, 1)))
    reach = int(np.ceil(side * radius[1] * max(slender, 1.0)))
    offset = np.arange(-reach, reach + 1)
    angle, place = rng.uniform(0, np.pi, (n, 1, 1)), rng.uniform(0, side, (2, n, 1, 1))
    down, across = offset[None, :, None] - place[0] % 1, offset[None, None, :] - place[1] % 1
    along = (np.cos(angle) * across + np.sin(angle) * down) / slender
    square = (along**2 + (np.cos(angle) * down - np.sin(angle) * across) ** 2) / radii**2
    item, i, j = np.nonzero(square < 1)
    rows = (place[0].astype(int).ravel()[item] + offset[i]) % side
    columns = (place[1].astype(int).ravel()[item] + offset[j]) % side
    layers = np.zeros((2, side, side), np.float32)
    layers[0, rows, columns] = np.sqrt(1 - square[item, i, j])
    layers[1, rows, columns] = rng.random(n)[item]
    return layers


def strokes(rng: np.random.Generator, side: int, n: int, length: float, width: float, spread: float) -> NDArray:
    """Threads laid one over the other: (2, side, side), their height (0 where bare) and tone.

    `length` and `width` are in picture widths; `spread` is the standard deviation of their directions in radians.
    """
    along = np.linspace(-0.5, 0.5, int(1.5 * length * side) + 2)[:, None] * length * side
    beside = np.linspace(-0.98, 0.98, int(1.5 * width * side) + 2)[None, :]
    angle = rng.uniform(0, 2 * np.pi) + spread * rng.standard_normal((n, 1, 1))
    bend = rng.normal(0, 0.15, (n, 1, 1)) * (2 * along / (length * side)) ** 2 * length * side / 2
    sideways = beside * width * side / 2 + bend
    place = rng.uniform(0, side, (2, n, 1, 1))
    rows = np.floor(place[0] + np.sin(angle) * along + np.cos(angle) * sideways).astype(int) % side
    columns = np.floor(place[1] + np.cos(angle) * along - np.sin(angle) * sideways).astype(int) % side
    layers = np.zeros((2, side, side), np.float32)
    layers[0, rows, columns] = np.broadcast_to(np.sqrt(1 - beside**2), rows.shape)
    layers[1, rows, columns] = np.broadcast_to(rng.random((n, 1, 1)), rows.shape)
    return layers


def photograph(material: Texture, rng: np.random.Generator, side_px: int) -> Field:
    """The drawn material as a camera sees it: its own exposure, contrast, uneven light and a little noise."""
    field = material(rng, side_px).astype(np.float32)
    mean, spread = float(field.mean()), float(field.std())
    low, high = max(float(field.min()), mean - 3 * spread), min(float(field.max()), mean + 3 * spread)
    dark, bright = rng.uniform(0.0, 0.3), rng.uniform(0.7, 1.0)
    picture = dark + (bright - dark) * np.clip((field - low) / (high - low), 0, 1)
    across, down = plane(rng, side_px, 1.0)
    uneven = 1 - rng.uniform(0.0, 0.25) * (across - across.min())
    noise = np.float32(0.012) * rng.standard_normal(down.shape, dtype=np.float32)
    return np.clip(picture * uneven + noise, 0, 1).astype(np.float32)
