"""The learning curve as a picture: what was measured, the curve through it, and where it goes with more cases."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from rarelesion.growth import LearningCurve
from rarelesion.palette import BLUE, GREEN, GREY, ORANGE, PURPLE, VERMILLION, canvas, light
from rarelesion.tables import row_label

COLOURS = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE)
MARKS = "osD^v"
APART = 0.012
"""How far beside each other the points of two recipes stand, as a share of their number of cases."""


def learning_figure(curves: Sequence[LearningCurve]) -> Figure:
    """ROC-AUC against the number of training cases, on a logarithmic scale; beyond the study's own size dashed."""
    figure = canvas(7.2, 4.6)
    axes = figure.add_subplot()
    for number, curve in enumerate(curves):
        _draw(axes, curve, number, len(curves))
    largest = curves[0].forecast.cases_now
    axes.axvline(largest, color=GREY, lw=0.9, ls=":")
    place = {"xycoords": ("data", "axes fraction"), "textcoords": "offset points", "rotation": 90}
    axes.annotate("this study", (largest, 1), (-4, -4), ha="right", va="top", fontsize=8.5, color=GREY, **place)
    ticks = sorted({round(point.cases) for point in curves[0].points} | {round(curves[0].forecast.cases_then)})
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.set_xlabel("Training cases of a network", fontsize=9.5)
    axes.set_ylabel("ROC-AUC of the same test cases", fontsize=9.5)
    lowest = min(float(np.min([point.roc_auc.low for point in curve.points])) for curve in curves)
    axes.set_ylim(max(0.0, min(lowest - 0.03, 0.75)), 1.01)
    axes.legend(loc="lower right", fontsize=9, frameon=False)
    light(axes)
    return figure


def _draw(axes: Axes, curve: LearningCurve, number: int, of: int) -> None:
    colour, ahead = COLOURS[number % len(COLOURS)], curve.forecast
    seen = curve.cases <= ahead.cases_now
    axes.fill_between(curve.cases, curve.low, curve.high, color=colour, alpha=0.12, lw=0)
    axes.plot(curve.cases[seen], curve.fitted[seen], color=colour, lw=2.0)
    beyond = curve.cases >= ahead.cases_now  # its own place is among them, so that the lines meet
    axes.plot(curve.cases[beyond], curve.fitted[beyond], color=colour, lw=2.0, ls=(0, (3, 2)))
    aside = 1 + APART * (2 * number - of + 1)
    areas = [point.roc_auc for point in curve.points]
    reach = np.array([[area.value - area.low for area in areas], [area.high - area.value for area in areas]])
    axes.errorbar(
        [point.cases * aside for point in curve.points],
        [area.value for area in areas],
        yerr=np.maximum(reach, 0),
        fmt=MARKS[number % len(MARKS)],
        color=colour,
        ms=6,
        lw=1.2,
        capsize=3,
        label=row_label(curve.recipe),
    )
    axes.plot(
        [ahead.cases_then],
        [ahead.then.value],
        MARKS[number % len(MARKS)],
        mfc="white",
        mec=colour,
        ms=7,
        label="" if number else f"expected of {ahead.more} cases more",
    )
