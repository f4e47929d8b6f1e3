"""Classes of pictures that are numbers in a formula: what a network can learn to name without a single photograph.

A class is a set of parameters, a picture one way to draw it: another place, angle, noise and colour (formula-driven
supervised learning: Kataoka et al. 2020, https://doi.org/10.1007/978-3-030-69544-6_35; many kinds of formula teach more
than one: Baradad et al. 2022, arXiv:2211.16412). Some classes are materials, some shaders, some fractals, some noise.
"""

import numpy as np
from numpy.typing import NDArray

from rarelesion.pictures import HELD_OUT, SHOWN, exposed, fractal, noise, shader, tint
from rarelesion.texture import procedural_texture

SHADERS, FRACTALS, NOISES = 60, 60, 18
CLASSES = len(SHOWN) + SHADERS + FRACTALS + NOISES
"""How many kinds there are, materials that are kept for probing left out."""


def draw_formula(kind: int, rng: np.random.Generator, side_px: int) -> NDArray[np.float32]:
    """Draw a picture of class `kind` of CLASSES: (3, side_px, side_px) in 0..1, no two alike.

    Raises IndexError when there is no class of that number.
    """
    if not 0 <= kind < CLASSES:
        raise IndexError(f"formula {kind} of {CLASSES}")
    own = np.random.default_rng((len(HELD_OUT), kind))
    if kind < len(SHOWN):
        return exposed(rng, tint(rng, procedural_texture(SHOWN[kind], rng, side_px)))
    if kind < len(SHOWN) + SHADERS:
        return exposed(rng, shader(rng, side_px, own))
    if kind < len(SHOWN) + SHADERS + FRACTALS:
        return exposed(rng, fractal(rng, side_px, own))
    return exposed(rng, noise(rng, side_px, own))
