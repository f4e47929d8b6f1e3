"""Formulas: a class is its parameters, a picture one way to draw it."""

import numpy as np
import pytest

from rarelesion.formulas import CLASSES, FRACTALS, NOISES, SHADERS, draw_formula
from rarelesion.pictures import SHOWN


@pytest.mark.parametrize("kind", [0, len(SHOWN), len(SHOWN) + SHADERS, CLASSES - 1])
def test_each_sort_of_formula_draws_pictures_that_differ_and_follow_from_the_seed(kind):
    first, again, other = (draw_formula(kind, np.random.default_rng(seed), 40) for seed in (0, 0, 1))
    assert first.shape == (3, 40, 40)
    assert 0 <= first.min() < first.max() <= 1
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).mean() > 0.01


def test_pictures_of_a_fractal_lie_alike_and_those_of_two_do_not():
    def shape(kind, seed):
        grey = draw_formula(kind, np.random.default_rng(seed), 40).mean(0)
        edges = np.hypot(*np.gradient(grey))
        return (edges - edges.mean()).ravel() / edges.std()

    one, two = len(SHOWN) + SHADERS + 6, len(SHOWN) + SHADERS + 36
    maps = {kind: np.mean([shape(kind, seed) for seed in range(12)], 0) for kind in (one, two)}
    again = np.mean([shape(one, seed) for seed in range(12, 24)], 0)
    assert np.corrcoef(maps[one], again)[0, 1] > np.corrcoef(maps[two], again)[0, 1] + 0.2


def test_there_are_as_many_classes_as_counted_and_no_other():
    assert len(SHOWN) + SHADERS + FRACTALS + NOISES == CLASSES
    for kind in (-1, CLASSES):
        with pytest.raises(IndexError, match=f"of {CLASSES}"):
            draw_formula(kind, np.random.default_rng(0), 16)
