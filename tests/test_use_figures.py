"""The figures of use: that what is drawn is what was found."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from rarelesion.evaluation import evaluate
from rarelesion.settings import StatisticsSettings
from rarelesion.use_figures import decision_figure, reliability_figure
from test_evaluation import recipe

RECIPES = [recipe("vgg16", 0), recipe("vgg16+texture", 1), recipe("reader:a", 2), recipe("reader:b", 3)]


@pytest.fixture(scope="module")
def useful():
    return evaluate(RECIPES, StatisticsSettings(bootstrap=100, permutations=99), 0).usefulness


def test_reliability_shows_each_group_of_cases_with_its_size(useful):
    curve = useful["vgg16"].reliability
    upper, lower = reliability_figure("vgg16", useful["vgg16"]).axes
    drawn = upper.containers[0].lines[0]
    assert_allclose(drawn.get_xdata(), curve.predicted)
    assert_allclose(drawn.get_ydata(), curve.observed)
    assert [bar.get_height() for bar in lower.containers[0]] == curve.cases.tolist()
    assert upper.get_title(loc="left") == "VGG16"


def test_the_decision_curve_stands_beside_readers_treating_all_and_none(useful):
    figure = decision_figure(useful, "vgg16")
    axes = figure.axes[0]
    lines = {line.get_label(): line for line in axes.lines}
    assert list(lines) == ["VGG16", "reader a", "reader b", "treat all", "treat none"]
    assert_allclose(lines["VGG16"].get_ydata(), useful["vgg16"].decision.model)
    assert_allclose(lines["reader b"].get_ydata(), useful["reader:b"].decision.model)
    assert not np.any(lines["treat none"].get_ydata())
    low, high = axes.get_ylim()
    assert low < 0 < useful["vgg16"].decision.prevalence < high
    (odds,) = axes.child_axes
    assert [text.get_text() for text in odds.get_xticklabels()] == ["19", "9", "4", "2", "1", "1/2", "1/4"]


def test_a_reader_can_be_the_reference(useful):
    lines = [line.get_label() for line in decision_figure(useful, "reader:a").axes[0].lines]
    assert lines == ["reader a", "reader b", "treat all", "treat none"]
