"""The figures of use: do the probabilities hold, and does acting on them do more good than harm?"""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rarelesion.palette import BLACK, BLUE, FAINT, GREY, ORANGE, VERMILLION, canvas, light
from rarelesion.recipes import READER_PREFIX
from rarelesion.tables import row_label
from rarelesion.types import Floats
from rarelesion.usefulness import Usefulness

LINES = ((BLUE, "-"), (BLACK, "--"), (ORANGE, "-."), (GREY, ":"))
DEEPEST = 0.15
"""How far below zero a decision curve is drawn, as a share of the prevalence: deeper is harm, however deep."""


def reliability_figure(recipe: str, found: Usefulness) -> Figure:
    """The share of malignant test cases among those given about the same probability, with intervals.

    Below it how the probabilities are spread: how many cases each point stands for.
    """
    curve = found.reliability
    figure = canvas(5.6, 5.6)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
    upper.plot([0, 1], [0, 1], color=VERMILLION, lw=1.1, ls=(0, (4, 3)), label="as it should be")
    reach = np.stack([curve.observed - curve.low, curve.high - curve.observed])
    style = {"fmt": "s", "color": BLUE, "ms": 6, "lw": 1.6, "capsize": 3}
    upper.errorbar(curve.predicted, curve.observed, yerr=np.maximum(reach, 0), label="test cases (interval)", **style)
    upper.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), ylabel="Share that is malignant")
    upper.set_title(row_label(recipe), loc="left", fontsize=11, fontweight="bold")
    upper.legend(loc="upper left", fontsize=9, frameon=False)
    lower.bar(curve.predicted, curve.cases, width=0.018, color=FAINT)
    lower.set(xlabel="Probability of malignancy made of the score", ylabel="Cases")
    for axes in (upper, lower):
        light(axes)
    return figure


def decision_figure(useful: Mapping[str, Usefulness], recipe: str) -> Figure:
    """Net benefit by threshold probability of a recipe and of the readers, beside treating all and treating none.

    The recipe's band is the interval at each threshold.
    """
    figure = canvas(7.2, 4.6)
    axes = figure.add_subplot()
    shown = [recipe, *(name for name in useful if name.startswith(READER_PREFIX) and name != recipe)]
    curve = useful[recipe].decision
    axes.fill_between(curve.thresholds, curve.low, curve.high, color=BLUE, alpha=0.13, lw=0)
    for name, (colour, dashes) in zip(shown, LINES, strict=False):
        own = useful[name].decision
        axes.plot(own.thresholds, own.model, color=colour, ls=dashes, lw=2.0, label=row_label(name))
    axes.plot(curve.thresholds, curve.treat_all, color=VERMILLION, lw=1.2, ls=(0, (4, 3)), label="treat all")
    axes.plot(curve.thresholds, curve.treat_none, color=FAINT, lw=1.4, label="treat none")
    _finish_decision(axes, curve.prevalence, curve.high)
    return figure


def _finish_decision(axes: Axes, prevalence: float, high: Floats) -> None:
    top = 1.05 * max(prevalence, float(np.max(high)))
    axes.set(xlim=(0, 1), ylim=(-DEEPEST * prevalence, top))
    axes.set_xlabel("Threshold probability: act where malignancy is at least so likely", fontsize=9.5)
    axes.set_ylabel("Net benefit", fontsize=9.5)
    odds = axes.secondary_xaxis("top")
    ticks = np.array([0.05, 0.1, 0.2, 1 / 3, 0.5, 2 / 3, 0.8])
    odds.set_xticks(ticks, [_harm(tick) for tick in ticks], fontsize=8.5)
    odds.tick_params(color=FAINT)
    odds.spines["top"].set_color(FAINT)
    odds.set_xlabel("False alarms that one malignancy found is worth", fontsize=8.5)
    light(axes)
    axes.legend(loc="upper right", fontsize=9, frameon=False)


def _harm(threshold: float) -> str:
    alarms = (1 - threshold) / threshold
    return f"{alarms:.0f}" if alarms >= 1 else f"1/{1 / alarms:.0f}"
