"""The picture of learning curves: what it shows of which recipe, and where measuring ends."""

import numpy as np
import pytest

from rarelesion.growth import Forecast, LearningCurve, Point
from rarelesion.learning_figure import learning_figure
from rarelesion.palette import to_png
from rarelesion.power_law import fit_power_law
from rarelesion.types import Estimate

CASES, AREAS = (75, 150, 300), (0.7, 0.78, 0.84)


def make_curve(recipe, shift=0.0):
    points = tuple(
        Point(n / 300, n, 1, Estimate(area + shift, area + shift - 0.05, area + shift + 0.04, "made up"))
        for n, area in zip(CASES, AREAS, strict=True)
    )
    law = fit_power_law(CASES, np.array(AREAS) + shift)
    grid = np.geomspace(75, 360, 30)
    fitted = law.at(grid)
    then = Estimate(float(fitted[-1]), 0.8, 0.9, "made up")
    ahead = Forecast(100, 300.0, 360.0, points[-1].roc_auc, then, then, then)
    return LearningCurve(recipe, points, law, ahead, grid, fitted, fitted - 0.05, fitted + 0.05)


def texts(figure):
    (axes,) = figure.axes
    return [text.get_text() for text in axes.get_legend().get_texts()]


@pytest.fixture(scope="module")
def figure():
    return learning_figure([make_curve("vgg16"), make_curve("vgg16+texture", 0.05)])


def test_every_recipe_has_its_points_its_line_and_where_it_goes(figure):
    assert sorted(texts(figure)) == ["VGG16", "VGG16 +texture", "expected of 100 cases more"]
    (axes,) = figure.axes
    solid = [line for line in axes.lines if line.get_linestyle() == "-" and len(line.get_xdata()) > 3]
    dashed = [line for line in axes.lines if line.get_linestyle() == "--" and len(line.get_xdata()) > 3]
    assert len(solid) == len(dashed) == 2
    for line in solid:
        assert max(line.get_xdata()) <= 300
    for line in dashed:
        assert min(line.get_xdata()) >= 300
        assert max(line.get_xdata()) == pytest.approx(360)


def test_the_numbers_of_cases_are_written_on_the_axis(figure):
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_xticklabels()] == ["75", "150", "300", "360"]
    assert axes.get_xscale() == "log"


def test_no_interval_is_cut_off(figure):
    low, high = figure.axes[0].get_ylim()
    assert low < 0.65
    assert high > 0.93


def test_the_same_curves_give_the_same_bytes():
    assert to_png(learning_figure([make_curve("vgg16")])) == to_png(learning_figure([make_curve("vgg16")]))
