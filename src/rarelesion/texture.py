"""The third class: material textures drawn from a seed, or cut from photographs of materials.

A network that must also tell a lesion from cork, knitwear or gravel keeps features that a handful of lesions
could not teach it. Each material here is a function of a random generator: scale, orientation, contrast and the side
the light comes from differ from one picture to the next, as they do in photographs of one and the same material.
"""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from rarelesion.patterns import (
    Field,
    Texture,
    band,
    lit,
    octaves,
    photograph,
    pile,
    plane,
    power,
    strokes,
    tones,
    worley,
)


def _cloud(rng: np.random.Generator, side: int, exponent: float, stretch: float = 1.0, relief: float = 0.0) -> Field:
    field = power(rng, side, exponent, stretch)
    return lit(rng, field, relief) if relief else field


def _dimples(rng: np.random.Generator, side: int, cycles: float, relief: float, stretch: float = 1.0) -> Field:
    return lit(rng, band(rng, side, cycles, 0.25, stretch), relief)


def _folded(
    rng: np.random.Generator, side: int, fold: Callable[[Field], Field], roughness: float, relief: float = 0.0
) -> Field:
    """Turbulence (billows where `fold` is the absolute value, ridges where it peaks at zero)."""
    field = octaves(rng, side, fold, roughness)
    return lit(rng, field, relief) if relief else field


def _peak(noise: Field) -> Field:
    return np.exp(-2 * np.abs(noise))


def _rings(rng: np.random.Generator, side: int, cells: float, far: float, wobble: float) -> Field:
    """Cut wood: rings around a pith `far` picture widths away, with fine fibres."""
    u, v = plane(rng, side, 1.0)
    angle = rng.uniform(0, 2 * np.pi)
    u, v = u - u.mean() + far * np.cos(angle), v - v.mean() + far * np.sin(angle)
    turn = cells * np.sqrt(u**2 + v**2) + wobble * power(rng, side, 2.0)
    return (turn % 1.0) ** 1.5 + 0.15 * band(rng, side, 20, 0.6, 0.2)


def _veins(rng: np.random.Generator, side: int, cells: float, wobble: float, sharp: float) -> Field:
    u, _ = plane(rng, side, cells)
    return np.abs(np.sin(np.pi * (u + wobble * power(rng, side, 2.2)))) ** np.float32(sharp)


def _strata(rng: np.random.Generator, side: int, levels: float, stretch: float) -> Field:
    """Agate and sediment: every band between two contour lines has its own tone."""
    level = levels * power(rng, side, 2.2, stretch) + 30
    return tones(rng, np.floor(level), np.zeros_like(level)) + 0.3 * (level % 1.0)


def _patches(rng: np.random.Generator, side: int, cycles: float, bias: float, sharp: float, stretch: float) -> Field:
    """Spots (bias > 0), mazes and stripes as animals' coats have them."""
    return np.tanh(sharp * (band(rng, side, cycles, 0.15, stretch) - bias))


def _rust(rng: np.random.Generator, side: int, exponent: float, bias: float, grain: float) -> Field:
    """Two materials that eat into each other, each with its own grain."""
    share = 1 / (1 + np.exp(-12 * (power(rng, side, exponent) - bias)))
    return share * (1 + grain * power(rng, side, 0.5)) + 0.12 * power(rng, side, 1.0)


def _cracks(rng: np.random.Generator, side: int, cells: float, gap: float, warp: float, shading: float) -> Field:
    nearest, second, tone = worley(rng, *plane(rng, side, cells, warp))
    return np.minimum((second - nearest) / gap, 1) * (1 - shading * tone) + 0.05 * power(rng, side, 1.0)


def _pebbles(rng: np.random.Generator, side: int, cells: float, relief: float, shading: float, warp: float) -> Field:
    nearest, second, tone = worley(rng, *plane(rng, side, cells, warp))
    dome = np.sqrt(np.clip(second - nearest, 0, 1))
    return lit(rng, dome, relief) * (1 - shading * tone) * np.minimum(4 * dome, 1)


def _bubbles(rng: np.random.Generator, side: int, cells: float, power: float, warp: float) -> Field:
    nearest, _, _ = worley(rng, *plane(rng, side, cells, warp))
    return nearest ** np.float32(power)


def _crystals(rng: np.random.Generator, side: int, cells: float, grain: float, slope: float) -> Field:
    """Flat facets, each turned its own way to the light."""
    nearest, _, tone = worley(rng, *plane(rng, side, cells))
    return tone + slope * nearest * np.sin(40 * tone) + grain * power(rng, side, 0.3)


def _weave(rng: np.random.Generator, side: int, cells: float, over: NDArray[np.bool_], tight: float) -> Field:
    """Cloth: `over` says at which crossings the warp thread lies on top."""
    u, v = plane(rng, side, cells, 0.04)
    i, j = np.floor(u), np.floor(v)
    on_top = over[j.astype(np.int32) % over.shape[0], i.astype(np.int32) % over.shape[1]]
    across, along = np.where(on_top, u - i, v - j) - 0.5, np.where(on_top, v - j, u - i) - 0.5
    thread = np.sqrt(np.maximum(1 - (across / tight) ** 2, 0)) * (0.5 + 0.5 * np.cos(np.pi * along))
    dye = np.where(on_top, 1.0, rng.uniform(0.35, 0.7)) * (0.8 + 0.2 * tones(rng, np.where(on_top, i, j), on_top))
    return thread * dye + 0.08 * power(rng, side, 0.5)


def _knit(rng: np.random.Generator, side: int, cells: float, slope: float) -> Field:
    u, v = plane(rng, side, cells, 0.06)
    half = np.abs(u - np.floor(u) - 0.5)
    stitch = (1.3 * v + slope * half) % 1.0 - 0.5
    leg = np.maximum(1 - ((half - 0.25) / 0.27) ** 2, 0) * np.maximum(1 - (2 * stitch) ** 2, 0)
    return np.sqrt(leg) + 0.1 * power(rng, side, 0.5)


def _grating(rng: np.random.Generator, side: int, cells: float, sharp: float, warp: float, grain: float) -> Field:
    """Ribs and stripes: `sharp` below 1 rounds them, above 1 makes them thin."""
    u, _ = plane(rng, side, cells, warp)
    rib = np.abs(np.cos(np.pi * u)) ** np.float32(sharp)
    return rib + grain * power(rng, side, 0.4)


def _blinds(rng: np.random.Generator, side: int, cells: float, warp: float, relief: float) -> Field:
    u, _ = plane(rng, side, cells, warp)
    return lit(rng, u % 1.0, relief) + 0.03 * power(rng, side, 0.5)


def _tartan(rng: np.random.Generator, side: int, cells: float, period: int) -> Field:
    u, v = plane(rng, side, cells)
    stripes = rng.random(period)
    warp, weft = stripes[u.astype(np.int32) % period], stripes[v.astype(np.int32) % period]
    return np.where(np.floor(4 * (u + v)) % 2 > 0, warp, weft) + 0.05 * power(rng, side, 0.3)


def _bricks(
    rng: np.random.Generator, side: int, cells: float, aspect: float, shift: float, gap: float, wear: float
) -> Field:
    u, v = plane(rng, side, cells, 0.03 * wear)
    row = np.floor(v)
    x = u / aspect + shift * row
    edge = np.minimum(0.5 - np.abs(v - row - 0.5), aspect * (0.5 - np.abs(x % 1.0 - 0.5)))
    stone = 0.55 + 0.45 * tones(rng, row, np.floor(x)) + 0.1 * wear * power(rng, side, 0.8)
    return np.clip(edge / gap - 0.5, 0, 1) * stone


def _parquet(rng: np.random.Generator, side: int, cells: float, slats: int) -> Field:
    u, v = plane(rng, side, cells)
    upright = (np.floor(u) + np.floor(v)) % 2 > 0
    across, along = slats * np.where(upright, u, v), np.where(upright, v, u)
    edge = 0.5 - np.abs(across % 1.0 - 0.5)
    wood = tones(rng, np.floor(across) + 17 * upright, np.floor(along))
    return np.minimum(6 * edge, 1) * (0.5 + 0.5 * wood) + 0.08 * power(rng, side, 0.6)


def _hexagons(rng: np.random.Generator, side: int, cells: float, wall: float, depth: float, shading: float) -> Field:
    u, v = plane(rng, side, cells, 0.05)
    tall = np.sqrt(3.0)
    choices = [(u % 1 - 0.5, v % tall - tall / 2), ((u + 0.5) % 1 - 0.5, (v + tall / 2) % tall - tall / 2)]
    (x0, y0), (x1, y1) = choices
    first = x0**2 + y0**2 < x1**2 + y1**2
    x, y = np.abs(np.where(first, x0, x1)), np.abs(np.where(first, y0, y1))
    edge = 0.5 - np.maximum(x, 0.5 * x + tall / 2 * y)
    tone = tones(rng, np.where(first, v, v + tall / 2) // tall + 32 * first, np.where(first, u, u + 0.5) // 1)
    inside = 1 - depth + shading * tone + 0.4 * edge
    return np.where(edge < wall, 1.0, inside) + 0.06 * power(rng, side, 0.7)


def _dots(rng: np.random.Generator, side: int, cells: float, radius: float, stagger: float, hole: float) -> Field:
    """Studs (hole < 0), holes or printed dots on a lattice."""
    u, v = plane(rng, side, cells, 0.02)
    x = (u + stagger * np.floor(v)) % 1 - 0.5
    distance = np.sqrt(x**2 + (v % 1 - 0.5) ** 2) / radius
    if hole < 0:
        return lit(rng, np.sqrt(np.maximum(1 - distance**2, 0)).astype(np.float32), 0.08)
    return np.clip(4 * (distance - 1), -hole, 1) + 0.05 * power(rng, side, 0.6)


def _plates(rng: np.random.Generator, side: int, cells: float) -> Field:
    """Chequer plate: raised lozenges that alternate in direction."""
    u, v = plane(rng, side, cells)
    i, j = np.floor(u), np.floor(v)
    sign = np.where((i + j) % 2 > 0, 1.0, -1.0)
    x, y = u - i - 0.5, v - j - 0.5
    along, across = (x + sign * y) / 0.62, (x - sign * y) / 0.2
    return lit(rng, np.sqrt(np.maximum(1 - along**2 - across**2, 0)).astype(np.float32), 0.06)


def _scales(rng: np.random.Generator, side: int, cells: float, relief: float) -> Field:
    """Fish scales and roof shingles: overlapping rows of round ends."""
    u, v = plane(rng, side, cells, 0.03)
    row = np.floor(2 * v)
    height = np.zeros_like(u)
    for r in (row, row - 1):
        place = u + 0.5 * (r % 2)
        x, y = place % 1.0 - 0.5, v - r / 2
        on = (y < 0.5) | (x**2 + (y - 0.5) ** 2 < 0.25)
        height = np.where(on, y - x**2 + 0.2 * tones(rng, r, np.floor(place)), height)
    return lit(rng, height, relief) + 0.4 * height


def _grains(
    rng: np.random.Generator, side: int, n: int, radius: tuple[float, float], slender: float, relief: float, bed: float
) -> Field:
    """Loose grains on a bed of tone `bed`."""
    height, tone = pile(rng, side, n, radius, slender)
    grain = lit(rng, height, relief) * (0.5 + 0.5 * tone)
    return np.where(height > 0, grain, bed) + 0.04 * power(rng, side, 0.4)


def _pores(
    rng: np.random.Generator, side: int, n: int, radius: tuple[float, float], slender: float, crumb: float
) -> Field:
    """Bread, cork and sponge: dark holes in a soft crumb."""
    height, tone = pile(rng, side, n, radius, slender)
    return 1 - np.sqrt(height) * (0.4 + 0.6 * tone) + crumb * power(rng, side, 1.0)


def _droplets(rng: np.random.Generator, side: int, n: int, radius: tuple[float, float]) -> Field:
    height, _ = pile(rng, side, n, radius)
    glint = lit(rng, height, 0.05)
    return np.where(height > 0, glint - 0.2 * (1 - height), 0.55) + 0.1 * power(rng, side, 2.0)


def _fibres(
    rng: np.random.Generator, side: int, n: int, length: float, width: float, spread: float, bed: float
) -> Field:
    height, tone = strokes(rng, side, n, length, width, spread)
    return np.where(height > 0, (0.4 + 0.6 * height) * (0.35 + 0.65 * tone), bed) + 0.03 * power(rng, side, 0.5)


def _scratches(rng: np.random.Generator, side: int, n: int, spread: float, brushed: float) -> Field:
    height, tone = strokes(rng, side, n, 0.8, 0.012, spread)
    return height * (tone - 0.3) + brushed * band(rng, side, 25, 0.8, 0.05) + 0.2 * power(rng, side, 1.5)


def _fur(rng: np.random.Generator, side: int, cycles: float, swirl: float, stretch: float) -> Field:
    """Hair that lies in swirls: stretched noise looked up along a smoothly bent grid."""
    straight = band(rng, side, cycles, 0.5, stretch)
    grid = np.indices((side, side), dtype=np.float32)
    bend = swirl * side * np.stack([band(rng, side, 1.5), band(rng, side, 1.5)])
    return ndimage.map_coordinates(straight, grid + bend, order=1, mode="grid-wrap")


def _crumpled(rng: np.random.Generator, side: int, folds: int, cells: float, bent: float, relief: float) -> Field:
    """Paper or foil: the sum of many sharp folds in random directions."""
    height, bend = np.zeros((side, side), np.float32), band(rng, side, 2.5)
    for k in range(folds):
        u, _ = plane(rng, side, cells * (1 + 0.5 * k))
        height += np.abs((u + rng.uniform(-bent, bent) * bend) % 1.0 - 0.5) / np.float32(1 + 0.5 * k)
    return lit(rng, height, relief)


_ROW, _COLUMN = np.indices((8, 8))
_PLAIN = (_ROW + _COLUMN) % 2 == 0
_TWILL = (_ROW + _COLUMN) % 4 < 2
_SATIN = (2 * _ROW[:5, :5] + _COLUMN[:5, :5]) % 5 > 0
_BASKET = (_ROW // 2 + _COLUMN // 2) % 2 == 0
_HERRINGBONE = (_COLUMN + np.where(_ROW < 4, _ROW, 7 - _ROW)) % 4 < 2

_MATERIALS: dict[str, Texture] = {
    "mist": partial(_cloud, exponent=2.5),
    "plaster": partial(_cloud, exponent=1.0),
    "concrete": partial(_cloud, exponent=0.3),
    "brushed_metal": partial(_cloud, exponent=0.4, stretch=15.0),
    "rough_cast": partial(_cloud, exponent=1.6, relief=0.03),
    "sandpaper": partial(_cloud, exponent=0.5, relief=0.01),
    "orange_peel": partial(_dimples, cycles=11, relief=0.006),
    "hammered_metal": partial(_dimples, cycles=5, relief=0.02),
    "dunes": partial(_dimples, cycles=6, relief=0.035, stretch=0.25),
    "smoke": partial(_folded, fold=np.abs, roughness=0.6),
    "cauliflower": partial(_folded, fold=np.abs, roughness=0.45, relief=0.05),
    "lightning": partial(_folded, fold=_peak, roughness=0.5),
    "mountains": partial(_folded, fold=_peak, roughness=0.45, relief=0.12),
    "end_grain": partial(_rings, cells=9, far=0.3, wobble=0.15),
    "plank": partial(_rings, cells=14, far=2.5, wobble=0.5),
    "marble": partial(_veins, cells=3, wobble=0.7, sharp=0.35),
    "oil_film": partial(_veins, cells=2, wobble=2.0, sharp=1.0),
    "agate": partial(_strata, levels=5, stretch=1.0),
    "sediment": partial(_strata, levels=5, stretch=0.12),
    "leopard": partial(_patches, cycles=9, bias=0.9, sharp=6, stretch=1.0),
    "maze": partial(_patches, cycles=9, bias=0.0, sharp=6, stretch=1.0),
    "zebra": partial(_patches, cycles=8, bias=0.0, sharp=5, stretch=0.35),
    "camouflage": partial(_patches, cycles=3, bias=0.2, sharp=12, stretch=0.7),
    "rust": partial(_rust, exponent=1.4, bias=0.3, grain=0.2),
    "lichen": partial(_rust, exponent=0.9, bias=0.8, grain=0.1),
    "mud_cracks": partial(_cracks, cells=5, gap=0.1, warp=0.15, shading=0.2),
    "crazed_glaze": partial(_cracks, cells=10, gap=0.07, warp=0.0, shading=0.0),
    "giraffe": partial(_cracks, cells=4, gap=0.3, warp=0.1, shading=0.5),
    "pebbles": partial(_pebbles, cells=6, relief=0.15, shading=0.5, warp=0.0),
    "leather": partial(_pebbles, cells=15, relief=0.03, shading=0.1, warp=0.2),
    "foam": partial(_bubbles, cells=8, power=1.0, warp=0.0),
    "cell_walls": partial(_bubbles, cells=5, power=3.0, warp=0.3),
    "pearls": partial(_bubbles, cells=11, power=0.4, warp=0.0),
    "granite": partial(_crystals, cells=14, grain=0.15, slope=0.0),
    "zinc": partial(_crystals, cells=5, grain=0.04, slope=0.6),
    "linen": partial(_weave, cells=20, over=_PLAIN, tight=0.5),
    "sackcloth": partial(_weave, cells=10, over=_PLAIN, tight=0.36),
    "twill": partial(_weave, cells=14, over=_TWILL, tight=0.5),
    "satin": partial(_weave, cells=15, over=_SATIN, tight=0.5),
    "basket": partial(_weave, cells=11, over=_BASKET, tight=0.5),
    "herringbone": partial(_weave, cells=16, over=_HERRINGBONE, tight=0.5),
    "knit": partial(_knit, cells=9, slope=1.2),
    "rib_knit": partial(_knit, cells=5, slope=4.0),
    "corduroy": partial(_grating, cells=12, sharp=0.6, warp=0.05, grain=0.15),
    "pinstripe": partial(_grating, cells=9, sharp=12.0, warp=0.0, grain=0.04),
    "fingerprint": partial(_grating, cells=10, sharp=1.0, warp=0.8, grain=0.05),
    "clapboard": partial(_blinds, cells=7, warp=0.0, relief=0.04),
    "wet_sand": partial(_blinds, cells=8, warp=0.35, relief=0.04),
    "tartan": partial(_tartan, cells=14, period=7),
    "brick": partial(_bricks, cells=8, aspect=2.2, shift=0.5, gap=0.08, wear=1.0),
    "mosaic": partial(_bricks, cells=13, aspect=1.0, shift=0.0, gap=0.1, wear=0.5),
    "ashlar": partial(_bricks, cells=3.5, aspect=1.6, shift=0.37, gap=0.04, wear=2.0),
    "parquet": partial(_parquet, cells=4, slats=4),
    "honeycomb": partial(_hexagons, cells=9, wall=0.06, depth=0.9, shading=0.1),
    "hex_tiles": partial(_hexagons, cells=6, wall=0.02, depth=0.7, shading=0.7),
    "perforated": partial(_dots, cells=10, radius=0.25, stagger=0.5, hole=2.0),
    "studs": partial(_dots, cells=6, radius=0.4, stagger=0.0, hole=-1.0),
    "chequer_plate": partial(_plates, cells=8),
    "fish_scales": partial(_scales, cells=7, relief=0.08),
    "sand": partial(_grains, n=900, radius=(0.012, 0.02), slender=1.0, relief=0.01, bed=0.1),
    "gravel": partial(_grains, n=170, radius=(0.03, 0.07), slender=1.2, relief=0.04, bed=0.05),
    "rice": partial(_grains, n=220, radius=(0.018, 0.024), slender=3.2, relief=0.015, bed=0.05),
    "seeds": partial(_grains, n=70, radius=(0.02, 0.035), slender=1.8, relief=0.03, bed=1.0),
    "bread": partial(_pores, n=150, radius=(0.008, 0.06), slender=1.4, crumb=0.08),
    "cork": partial(_pores, n=120, radius=(0.008, 0.02), slender=2.0, crumb=0.2),
    "sponge": partial(_pores, n=220, radius=(0.03, 0.06), slender=1.0, crumb=0.05),
    "droplets": partial(_droplets, n=90, radius=(0.01, 0.08)),
    "straw": partial(_fibres, n=130, length=0.6, width=0.035, spread=0.35, bed=0.0),
    "felt": partial(_fibres, n=500, length=0.25, width=0.012, spread=3.0, bed=0.3),
    "pine_needles": partial(_fibres, n=120, length=0.5, width=0.018, spread=3.0, bed=0.0),
    "wood_chips": partial(_fibres, n=130, length=0.16, width=0.08, spread=3.0, bed=0.1),
    "scratches": partial(_scratches, n=45, spread=3.0, brushed=0.0),
    "machined": partial(_scratches, n=30, spread=0.05, brushed=0.25),
    "fur": partial(_fur, cycles=22, swirl=0.04, stretch=0.12),
    "grass": partial(_fur, cycles=10, swirl=0.02, stretch=0.2),
    "crumpled_paper": partial(_crumpled, folds=6, cells=1.2, bent=0.15, relief=0.3),
    "foil": partial(_crumpled, folds=7, cells=2.5, bent=0.6, relief=0.25),
}


TEXTURES: dict[str, Texture] = {name: partial(photograph, material) for name, material in _MATERIALS.items()}
"""Material name -> (generator, side in pixels) -> (side, side) grey picture in 0..1."""


def procedural_texture(kind: int, rng: np.random.Generator, side_px: int) -> Field:
    """Draw one picture of material number `kind` of TEXTURES: (side_px, side_px) in 0..1, no two alike.

    Raises IndexError when there is no material of that number.
    """
    return list(TEXTURES.values())[kind](rng, side_px)


def texture_set(n: int, side_px: int, seed: int) -> NDArray[np.float32]:
    """Draw `n` pictures for the texture class: (n, 3, side_px, side_px) in 0..1, grey in all three channels.

    Every material occurs n / len(TEXTURES) times, rounded up or down, in random order; equal seeds, equal pictures.
    """
    rng = np.random.default_rng(seed)
    pictures = np.empty((n, 1, side_px, side_px), np.float32)
    for picture, kind in zip(pictures, _in_turn(rng, len(TEXTURES), n), strict=True):
        picture[0] = procedural_texture(kind, rng, side_px)
    return np.repeat(pictures, 3, axis=1)


def crop_textures(images: Sequence[NDArray], n: int, side_px: int, seed: int) -> NDArray[np.float32]:
    """Cut the centres out of photographs of materials: (n, 3, side_px, side_px) in 0..1, grey in all three channels.

    `images` are (rows, columns) in 0..1. Photographs are taken in random order, each again only when all have been
    taken; one smaller than the patch is enlarged first. Raises ValueError when there is no photograph.
    """
    if not images:
        raise ValueError("crop_textures needs at least one image")
    pictures = np.empty((n, 1, side_px, side_px), np.float32)
    for picture, index in zip(pictures, _in_turn(np.random.default_rng(seed), len(images), n), strict=True):
        picture[0] = _centre(np.asarray(images[index], np.float32), side_px)
    return np.repeat(pictures, 3, axis=1)


def _in_turn(rng: np.random.Generator, choices: int, n: int) -> list[int]:
    """`n` numbers below `choices`, none again before all have been drawn."""
    rounds = [rng.permutation(choices) for _ in range(-(-n // choices))]
    return [int(number) for one_round in rounds for number in one_round][:n]


def _centre(image: Field, side_px: int) -> Field:
    shortest = min(image.shape)
    if shortest < side_px:
        enlarged = ndimage.zoom(image, side_px / shortest, order=1, grid_mode=True, mode="nearest")
        image = np.asarray(enlarged, np.float32)
    top, left = ((extent - side_px) // 2 for extent in image.shape)
    return image[top : top + side_px, left : left + side_px]
