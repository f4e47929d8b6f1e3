"""Colour pictures drawn from a seed, with the statistics of natural ones: what a network can learn to see from.

No photograph, no licence, no patient. Edges that occlude, fractal noise, textured surfaces under uneven light, random
shaders, fractals, tissue under ultrasound and MR. How well a network learns from drawn pictures hangs on how much they
share with natural ones: colours that go together, a 1/f spectrum, occlusion at all scales (Baradad et al. 2021,
arXiv:2106.05963, and 2022, arXiv:2211.16412); fractals of random maps are those of Kataoka et al. 2020
(https://doi.org/10.1007/978-3-030-69544-6_35).
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from rarelesion.anatomy import SUBTYPES, draw_patient
from rarelesion.patterns import Field, band, plane, power, worley
from rarelesion.phantom import Grid, draw_image
from rarelesion.texture import TEXTURES, procedural_texture

Picture = NDArray[np.float32]
"""(3, side, side), red, green and blue in 0..1."""
Draw = Callable[[np.random.Generator, int], Picture]

HELD_OUT = tuple(range(0, len(TEXTURES), 5))
"""Numbers of the materials that no picture shows, so that what was learnt can be probed on them."""
SHOWN = tuple(number for number in range(len(TEXTURES)) if number not in HELD_OUT)


def draw_picture(rng: np.random.Generator, side_px: int) -> Picture:
    """Draw one picture of any of the PICTURES: (3, side_px, side_px) in 0..1, no two alike."""
    names = list(PICTURES)
    shares = np.array([SHARES[name] for name in names])
    name = names[int(rng.choice(len(names), p=shares / shares.sum()))]
    return exposed(rng, PICTURES[name](rng, side_px))


def exposed(rng: np.random.Generator, picture: NDArray[np.floating]) -> Picture:
    """A picture of any range as a camera takes it: uneven light, its own contrast, a touch of blur or noise."""
    side = picture.shape[-1]
    if rng.random() < 0.3:
        light, _ = plane(rng, side, 1.0)
        picture = picture * (1 - rng.uniform(0.1, 0.6)) ** (light - light.min())
    low, high = np.quantile(picture[:, ::3, ::3], (0.01, 0.99))
    picture = (picture - low) / max(float(high - low), 0.05)
    dark, bright = rng.uniform(0.0, 0.2), rng.uniform(0.75, 1.0)
    picture = dark + (bright - dark) * np.clip(picture, 0, 1) ** np.float32(np.exp(rng.normal(0, 0.3)))
    if rng.random() < 0.25:
        picture = np.asarray(ndimage.gaussian_filter(picture, (0, *[rng.uniform(0.4, 1.5)] * 2)))
    if rng.random() < 0.3:
        picture = picture + rng.uniform(0.01, 0.06) * rng.standard_normal(picture.shape, dtype=np.float32)
    return np.clip(picture, 0, 1).astype(np.float32)


def palette(rng: np.random.Generator, tones: int) -> NDArray[np.float32]:
    """Colours (tones, 3) that go together: a walk in brightness with a slowly turning, mostly dull hue."""
    brightness = rng.random(tones)
    if rng.random() < 0.6:
        brightness.sort()
    hue = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(0, rng.choice([0.3, 1.5]), tones))
    chroma = rng.beta(1.2, 4.0) * rng.uniform(0.3, 1.0, tones)
    opponent = np.stack([np.cos(hue) + 0.3 * np.sin(hue), -0.4 * np.cos(hue) + 0.3 * np.sin(hue), -1.1 * np.sin(hue)])
    return np.clip(brightness[:, None] + 0.7 * chroma[:, None] * opponent.T, 0, 1).astype(np.float32)


def tint(rng: np.random.Generator, field: Field) -> Picture:
    """Turn grey (side, side) into colour along a palette."""
    low, high = float(field.min()), float(field.max())
    level = (field - low) / max(high - low, 1e-6)
    colours = palette(rng, int(rng.integers(2, 7)))
    at = np.linspace(0, 1, len(colours))
    return np.stack([np.interp(level, at, colours[:, channel]) for channel in range(3)]).astype(np.float32)


def noise(rng: np.random.Generator, side: int, own: np.random.Generator | None = None) -> Picture:
    """Coloured noise with a spectrum between white and mist; the channels go together as they do in nature.

    Where `own` is given, it alone decides on the kind of noise, and `rng` on the rest.
    """
    own = own or rng
    exponent, stretch = own.uniform(0.4, 2.2), float(np.exp(own.normal(0, 0.5)))
    grey, warm, green = (power(rng, side, exponent, stretch) for _ in range(3))
    strength = rng.uniform(0.0, 0.4)
    return np.stack([grey + strength * warm, grey + strength * 0.4 * green, grey - strength * warm]).astype(np.float32)


def _material(rng: np.random.Generator, side: int) -> Picture:
    return tint(rng, procedural_texture(int(rng.choice(SHOWN)), rng, side))


def _bent_material(rng: np.random.Generator, side: int) -> Picture:
    """A material seen on a curved or creased surface, and nearer in one part than in another."""
    picture, grid = _material(rng, side), np.indices((side, side), dtype=np.float32)
    reach = side * rng.uniform(0.005, 0.1)
    grid = grid + np.float32(reach) * np.stack([band(rng, side, rng.uniform(0.8, 3.0)) for _ in range(2)])
    zoom = 1 + rng.uniform(0, 0.8) * (grid[0:1] / side - 0.5)
    places = (grid - side / 2) * zoom + side / 2
    bent = [ndimage.map_coordinates(channel, places, order=1, mode="grid-wrap") for channel in picture]
    return np.stack(bent).astype(np.float32)


def shader(rng: np.random.Generator, side: int, own: np.random.Generator | None = None) -> Picture:
    """What a small random network makes of each point's coordinates and of some noise.

    Where `own` is given, it alone decides on the network, and `rng` on where it is looked at and how it is coloured.
    """
    own = own or rng
    cells, exponents = float(np.exp(own.uniform(0, 2.5))), own.uniform(1.0, 2.4, int(own.integers(0, 3)))
    u, v = plane(rng, side, cells)
    u, v = u - u.mean(), v - v.mean()
    extra = [power(rng, side, exponent) for exponent in exponents]
    values: NDArray = np.stack([u, v, np.hypot(u, v), *extra]).reshape(3 + len(extra), -1).astype(np.float32)
    for _ in range(int(own.integers(2, 5))):
        weight = own.standard_normal((14, len(values)), dtype=np.float32) / np.float32(np.sqrt(len(values)))
        values = weight @ values * np.float32(own.uniform(1.0, 2.5)) + own.standard_normal((14, 1), dtype=np.float32)
        values = _BENDS[int(own.integers(len(_BENDS)))](values)
    if rng.random() < 0.5:
        return tint(rng, values[0].reshape(side, side))
    joint, single = rng.standard_normal((1, 14), dtype=np.float32), rng.standard_normal((3, 14), dtype=np.float32)
    mixed = (joint + single) @ values
    return (mixed / (mixed.std() + 1e-3)).reshape(3, side, side)


_BENDS: tuple[Callable[[NDArray[np.float32]], NDArray[np.float32]], ...] = (
    np.sin, np.tanh, np.abs, lambda x: np.maximum(x, 0), lambda x: x - np.floor(x), lambda x: np.exp(-x * x), np.sign,
)  # fmt: skip


def fractal(rng: np.random.Generator, side: int, own: np.random.Generator | None = None) -> Picture:
    """Where the chaos game of a few random contracting maps lands, on a plain or cloudy ground.

    Where `own` is given, it alone decides on the maps, which `rng` bends a little, and `rng` on the rest.
    """
    own = own or rng
    maps, walkers, steps = int(own.integers(2, 7)), 300, 70
    turns = own.standard_normal((maps, 2, 2))
    turns *= (own.uniform(0.4, 0.9, maps) / np.linalg.norm(turns, 2, axis=(1, 2)))[:, None, None]
    shifts, points = own.uniform(-1, 1, (maps, 2)) * rng.uniform(0.85, 1.15, (maps, 2)), np.zeros((walkers, 2))
    trail = np.empty((steps, walkers, 2))
    for step in range(steps):
        chosen = rng.integers(maps, size=walkers)
        points = np.einsum("nij,nj->ni", turns[chosen], points) + shifts[chosen]
        trail[step] = points
    landed = trail[10:].reshape(-1, 2)
    low, high = np.quantile(landed, (0.01, 0.99), axis=0)
    places = (landed - low) / np.maximum(high - low, 1e-3) * rng.uniform(0.7, 1.2) * side
    count = np.histogram2d(places[:, 0], places[:, 1], bins=side, range=((0, side), (0, side)))[0]
    density = np.log1p(ndimage.gaussian_filter(count, rng.uniform(0.3, 1.2)))
    share = np.clip(density / max(float(density.max()), 1e-6) * rng.uniform(1, 3), 0, 1)
    ground = noise(rng, side) * 0.1 + palette(rng, 1).T[:, :, None]
    return (ground * (1 - share) + tint(rng, density) * share).astype(np.float32)


def _leaves(rng: np.random.Generator, side: int) -> Picture:
    """Things that lie one over the other, of all sizes, each with its colour, its surface and its shading."""
    stock = [SURFACES[int(rng.integers(len(SURFACES)))](rng, side) for _ in range(3)]
    picture = stock[0].copy()
    smallest, textured = rng.uniform(0.02, 0.08), rng.random()
    for radius in np.sort(_leaf_radii(rng, int(rng.integers(20, 160)), smallest))[:: rng.choice([-1, 1])]:
        box, inside, shade = _leaf(rng, side, float(radius))
        if inside.size:
            colour = palette(rng, 1)[0][:, None, None] * np.ones((3, *inside.shape), np.float32)
            if rng.random() < textured:
                colour = 0.4 * colour + 0.6 * stock[int(rng.integers(3))][(slice(None), *box)]
            old = picture[(slice(None), *box)]
            picture[(slice(None), *box)] = old + inside * (colour * shade - old)
    return picture


def _leaf_radii(rng: np.random.Generator, count: int, smallest: float) -> NDArray[np.float64]:
    """Sizes whose number falls with the third power, in picture widths: the law under which scenes look alike at any
    distance (Lee, Mumford & Huang 2001, https://doi.org/10.1023/A:1011109015675)."""
    largest = 0.45
    share = rng.random(count)
    return (smallest**-2 - share * (smallest**-2 - largest**-2)) ** -0.5


def _leaf(rng: np.random.Generator, side: int, radius: float) -> tuple[tuple[slice, slice], Field, Field]:
    """One thing: where it lies, how much of each pixel it covers, and how brightly it is lit."""
    reach, centre = radius * side, rng.uniform(-0.05, 1.05, 2) * side
    low = np.clip(np.floor(centre - 1.5 * reach), 0, side).astype(int)
    high = np.clip(np.ceil(centre + 1.5 * reach), low, side).astype(int)
    down = (np.arange(low[0], high[0], dtype=np.float32)[:, None] - centre[0]) / reach
    across = (np.arange(low[1], high[1], dtype=np.float32)[None, :] - centre[1]) / reach
    angle, slender = rng.uniform(0, 2 * np.pi), rng.uniform(1, 3) ** rng.integers(0, 2)
    x = np.cos(angle) * across + np.sin(angle) * down
    y = slender * (np.cos(angle) * down - np.sin(angle) * across)
    kind = rng.integers(4)
    if kind == 0:
        depth = 1 - np.maximum(np.abs(x), np.abs(y))
    elif kind == 1:
        corners = rng.uniform(0, 2 * np.pi, int(rng.integers(3, 7)))
        depth = 0.8 - np.max([np.cos(corner) * x + np.sin(corner) * y for corner in corners], axis=0)
        depth = np.minimum(depth, 1 - np.hypot(x, y))
    else:
        lobes = rng.integers(2, 7) * np.arctan2(y, x) + rng.uniform(0, 6)
        depth = 1 + (kind == 3) * 0.3 * np.sin(lobes) - np.hypot(x, y)
    inside = np.clip(depth * reach * rng.choice([1.0, 1.0, 0.3]) + 0.5, 0, 1)
    lit = rng.uniform(-0.5, 0.5) * x + rng.uniform(-0.5, 0.5) * y
    shade = np.clip(1 + lit * rng.integers(0, 2) - rng.choice([0.0, 0.5]) * np.exp(-4 * np.maximum(depth, 0)), 0, 2)
    return (slice(low[0], high[0]), slice(low[1], high[1])), inside.astype(np.float32), shade.astype(np.float32)


def _patchwork(rng: np.random.Generator, side: int) -> Picture:
    """Two or three pictures that meet along borders, sharp or soft: where one texture ends and another begins."""
    parts = [SURFACES[int(rng.integers(len(SURFACES)))](rng, side) for _ in range(int(rng.integers(2, 4)))]
    if rng.random() < 0.5:
        u, v = plane(rng, side, rng.uniform(1, 4), rng.uniform(0, 0.4))
        owner = np.floor(worley(rng, u, v)[2] * len(parts))
    else:
        owner = np.digitize(power(rng, side, rng.uniform(1.2, 2.2)), (-0.3, 0.5)) % len(parts)
    soft = rng.choice([0.4, 0.8, 3.0])
    shares = np.stack([ndimage.gaussian_filter((owner == k).astype(np.float32), soft) for k in range(len(parts))])
    return np.einsum("kij,kcij->cij", shares, np.stack([_levelled(part) for part in parts])).astype(np.float32)


def _levelled(picture: Picture) -> Picture:
    low, high = float(picture.min()), float(picture.max())
    return (picture - low) / max(high - low, 1e-3)


def _ultrasound(rng: np.random.Generator, side: int) -> Picture:
    """Layers and masses of tissue under ultrasound: speckle, shadows and gain, grey or with a second view as colour."""
    depth = np.linspace(0, 1, side, dtype=np.float32)[:, None]
    echo = np.full((side, side), rng.uniform(0.3, 0.6), np.float32)
    for _ in range(int(rng.integers(1, 6))):
        border = rng.random() + rng.uniform(0.02, 0.12) * power(rng, side, 2.0)[:1].repeat(side, 0)
        echo = np.where(depth > border, echo + rng.normal(0, 0.25), echo)
    echo += rng.uniform(0.02, 0.15) * power(rng, side, rng.uniform(0.8, 1.6), rng.uniform(0.2, 1.0))
    for _ in range(int(rng.integers(0, 4))):
        box, inside, _ = _leaf(rng, side, rng.uniform(0.08, 0.3))
        soft = ndimage.gaussian_filter(inside, rng.choice([0.5, 2.0, 4.0]))
        echo[box] += soft * (rng.uniform(-0.5, 0.3) + rng.uniform(0, 0.15) * power(rng, side, 1.0)[box])
        below = slice(box[0].stop, None)
        echo[below, box[1]] += rng.normal(0, 0.15) * np.linspace(1, 0.3, side)[below, None]
    views = [_speckled(rng, echo) for _ in range(1 + int(rng.random() < 0.3))]
    return np.stack([views[0], views[-1], views[0]]) if rng.random() < 0.8 else tint(rng, views[0])


def _speckled(rng: np.random.Generator, echo: Field) -> Field:
    """Rayleigh speckle of a given grain, on a logarithmic scale."""
    grain = (rng.uniform(0.4, 1.2), rng.uniform(0.6, 2.5))
    waves = ndimage.gaussian_filter(rng.standard_normal((2, *echo.shape), dtype=np.float32), (0, *grain), mode="wrap")
    loudness = np.log(np.hypot(waves[0], waves[1]) / waves.std() + 0.05)
    return np.clip(echo + rng.uniform(0.03, 0.16) * loudness, 0, 1).astype(np.float32)


def _mr_slice(rng: np.random.Generator, side: int) -> Picture:
    """A slice of a synthetic patient, T1 and T2 in two channels as in the paper, or one of them grey."""
    patient = draw_patient(str(rng.choice(list(SUBTYPES))), rng)
    pixel, (y, x) = rng.uniform(0.5, 1.2), rng.uniform(-20, 60, 2)
    affine = np.array(
        [[0, 0, pixel, x - side * pixel / 2], [0, pixel, 0, y - side * pixel / 2], [1, 0, 0, 0], [0, 0, 0, 1.0]]
    )
    affine[2, 3] = rng.uniform(-15, 15)
    t1, t2 = (draw_image(patient, name, Grid((1, side, side), affine))[0] for name in ("T1", "T2"))
    noise = rng.uniform(0.01, 0.08) * rng.standard_normal((2, side, side), dtype=np.float32)
    t1, t2 = np.abs(t1 + noise[0]), np.abs(t2 + noise[1])
    if rng.random() < 0.5:
        return np.stack([rng.choice([0.0, 1.0]) * t1, t2, t1]).astype(np.float32)
    return np.stack([t1 if rng.random() < 0.5 else t2] * 3).astype(np.float32)


SURFACES: tuple[Draw, ...] = (noise, _material, _bent_material, shader)
"""What things are covered with."""

PICTURES: dict[str, Draw] = {
    "clouds": noise,
    "material": _material,
    "bent_material": _bent_material,
    "shader": shader,
    "fractal": fractal,
    "leaves": _leaves,
    "patchwork": _patchwork,
    "ultrasound": _ultrasound,
    "mr_slice": _mr_slice,
}
"""Kind of picture -> (generator, side in pixels) -> (3, side, side), before exposure."""

SHARES: dict[str, float] = {
    "clouds": 1, "material": 2, "bent_material": 2, "shader": 3, "fractal": 1, "leaves": 7, "patchwork": 3,
    "ultrasound": 2, "mr_slice": 1,
}  # fmt: skip
"""How often each kind is drawn, against the others."""
