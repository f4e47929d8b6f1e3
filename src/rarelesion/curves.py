"""ROC and precision-recall curves in the three panels of the paper's Figure 6."""

import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from rarelesion import metrics
from rarelesion.evaluation import Evaluation
from rarelesion.palette import BLACK, BLUE, FAINT, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILLION, light
from rarelesion.recipes import PAPER_SUFFIXES, READER_PREFIX, is_features, is_trained, lead_recipe, row_order
from rarelesion.tables import format_estimate, row_label
from rarelesion.types import Curve, Estimate, Floats, Ints, Scores

LINES = [(BLUE, "-"), (VERMILLION, "--"), (GREEN, "-."), (ORANGE, "--"), (PURPLE, "-."), (SKY, ":")]
STEP_LINES = [(GREY, ":"), (ORANGE, "--"), (PURPLE, "-."), (GREEN, "--"), (BLUE, "-")]  # of PAPER_SUFFIXES
FEATURE_LINES = {
    "radiomics": {"color": GREEN, "ls": "-."},
    "clinical": {"color": PURPLE, "ls": ":"},
    "radiomics+clinical": {"color": VERMILLION, "ls": "--"},
    "table": {"color": SKY, "ls": "-."},
}
READER_MARKERS = "DsoPX"
RATING_STEPS = 12  # a reader with at most so many different ratings gets a marker at each operating point


@dataclass(frozen=True)
class _Line:
    recipe: str
    label: str
    style: Mapping[str, Any]


@dataclass(frozen=True)
class _Kind:
    """What a ROC figure and a precision-recall figure do differently."""

    curve: Callable[[Ints, Floats], Curve]
    points: Callable[[Curve], tuple[Floats, Floats]]
    read: Callable[[Curve, Floats], Floats]
    estimate: Callable[[Any], Estimate]
    drawstyle: Any
    area: str
    averaged: str
    labels: tuple[str, str]


def _roc_points(curve: Curve) -> tuple[Floats, Floats]:
    return curve.x, curve.y


def _pr_points(curve: Curve) -> tuple[Floats, Floats]:
    """The highest precision at each sensitivity: the corners of the steps whose area is the average precision."""
    found, first = np.unique(curve.x, return_index=True)
    kept = first[found > 0]
    return np.r_[0.0, curve.x[kept]], np.r_[curve.y[kept[0]], curve.y[kept]]


def _read_roc(curve: Curve, grid: Floats) -> Floats:
    return np.interp(grid, curve.x, curve.y)


def _read_pr(curve: Curve, grid: Floats) -> Floats:
    x, y = _pr_points(curve)
    return y[np.searchsorted(x, grid - 1e-9)]


_ROC = _Kind(
    curve=metrics.roc_curve,
    points=_roc_points,
    read=_read_roc,
    estimate=lambda result: result.roc_auc,
    drawstyle="default",
    area="ROC-AUC",
    averaged="mean sensitivity at each specificity",
    labels=("1 − specificity (benign cases called malignant)", "Sensitivity (malignant cases found)"),
)
_PR = _Kind(
    curve=metrics.pr_curve,
    points=_pr_points,
    read=_read_pr,
    estimate=lambda result: result.pr_auc,
    drawstyle="steps-pre",
    area="PR-AUC",
    averaged="mean precision at each sensitivity",
    labels=("Recall = sensitivity (malignant cases found)", "Precision = PPV (truly malignant among the called)"),
)


def figure6(recipes: Sequence[Scores], evaluation: Evaluation | None = None) -> Figure:
    """ROC curves of the test cases as in the paper's Figure 6: against readers, by recipe, by backbone.

    A panel with nothing to compare is left out. With several folds each fold is a faint line and the thick line is
    their mean sensitivity at each specificity (vertical averaging); scores of different folds are never pooled.
    The areas in the legend are those of `evaluation`.
    """
    return _curve_figure(recipes, evaluation, _ROC)


def pr_curves(recipes: Sequence[Scores], evaluation: Evaluation | None = None) -> Figure:
    """Precision-recall curves of the test cases in the panels of `figure6`, with the chance level: the prevalence."""
    return _curve_figure(recipes, evaluation, _PR)


def _curve_figure(recipes: Sequence[Scores], evaluation: Evaluation | None, kind: _Kind) -> Figure:
    by_name = {scores.recipe: scores for scores in recipes}
    areas = {result.recipe: kind.estimate(result) for result in evaluation.results} if evaluation else {}
    panels = _panels(sorted(by_name, key=row_order))
    folds = max(len(_test_sets(scores)) for scores in recipes)
    figure, places = _panel_places(len(panels), max(len(lines) for _, lines in panels))
    for axes, letter, (title, lines) in zip(places, "abc", panels, strict=False):
        shown = [by_name[line.recipe] for line in lines]
        handles = [_draw_row(axes, by_name[line.recipe], line, areas.get(line.recipe), kind) for line in lines]
        handles.append(_draw_chance(axes, shown, kind))
        _finish_panel(axes, f"{letter}   {title}" if len(panels) > 1 else title, kind)
        _legend_below(axes, handles, f"{kind.area} (interval)" if areas else "")
    if folds > 1:
        note = (
            f"Thick: {kind.averaged} over {folds} test sets (vertical averaging). Faint: single test sets; not pooled."
        )
        lines = textwrap.wrap(note, 150 if len(panels) > 1 else 74)
        figure.text(0.012, 0.012, "\n".join(lines), fontsize=8.5, color=GREY)
    return figure


def _panel_places(panels: int, lines: int) -> tuple[Figure, list[Axes]]:
    """Square panels side by side with room for a legend of so many lines below each; lengths in inches."""
    side, left, gap, top = 3.45, 0.62, 0.75, 0.4
    width, bottom = max(left + panels * (side + gap) - gap + 0.15, 5.2), 1.25 + 0.185 * lines
    height = bottom + side + top
    figure = Figure(figsize=(width, height), facecolor="white")
    FigureCanvasAgg(figure)
    lefts = [left + place * (side + gap) for place in range(panels)]
    boxes = [(x / width, bottom / height, side / width, side / height) for x in lefts]
    return figure, [figure.add_axes(box) for box in boxes]


def _panels(names: Sequence[str]) -> list[tuple[str, list[_Line]]]:
    lead = lead_recipe(names)
    people = [
        _Line(name, row_label(name), _person_style(place)) for place, name in enumerate(filter(_is_reader, names))
    ]
    cvae = [
        _Line(name, row_label(name), {"color": ORANGE, "ls": "--" if name == "cvae" else ":"})
        for name in names
        if name.partition("+")[0] == "cvae"
    ]
    alone = [_Line(name, row_label(name), FEATURE_LINES[name]) for name in names if is_features(name)]
    others = people + cvae + alone
    kinds = [word for word, lines in (("readers", people), ("CVAE", cvae), ("features", alone)) if lines]
    if lead is None:
        return [(_listed(kinds), others)]
    backbone, suffix = lead.partition("+")[0], _suffix(lead)
    own = [_Line(lead, row_label(lead), {"color": BLUE, "lw": 2.6, "zorder": 4})]
    steps = [name for name in names if name.partition("+")[0] == backbone]
    peers = [name for name in names if is_trained(name) and _suffix(name) == suffix]
    panels = [
        (_listed(["classifier", *kinds]) if kinds else row_label(lead), own + others),
        (
            f"What each step adds to {row_label(backbone)}",
            [_step_line(name, place) for place, name in enumerate(steps)],
        ),
        (f"Backbones{_words(suffix)}", [_backbone_line(name, place) for place, name in enumerate(peers)]),
    ]
    return [panel for panel in panels if len(panel[1]) > 1] or panels[:1]


def _listed(words: Sequence[str]) -> str:
    text = " and ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))
    return text[0].upper() + text[1:]


def _suffix(name: str) -> str:
    return name.removeprefix(name.partition("+")[0])


def _is_reader(name: str) -> bool:
    return name.startswith(READER_PREFIX)


def _words(suffix: str) -> str:
    return f" with{row_label(suffix).replace('+', '', 1)}" if suffix else ""


def _person_style(place: int) -> dict[str, Any]:
    return {"color": BLACK, "lw": 1.1, "ls": "-", "marker": READER_MARKERS[place % len(READER_MARKERS)], "ms": 6}


def _step_line(name: str, place: int) -> _Line:
    known = _suffix(name) in PAPER_SUFFIXES
    colour, dashes = STEP_LINES[PAPER_SUFFIXES.index(_suffix(name))] if known else LINES[place % len(LINES)]
    style = {"color": colour, "ls": dashes, "lw": 2.6 if _suffix(name) == PAPER_SUFFIXES[-1] else 1.9}
    return _Line(name, row_label(_suffix(name)).strip() or "conventional", style)


def _backbone_line(name: str, place: int) -> _Line:
    colour, dashes = LINES[place % len(LINES)]
    return _Line(name, row_label(name.partition("+")[0]), {"color": colour, "ls": dashes, "lw": 2.1})


def _test_sets(scores: Scores) -> list[tuple[Ints, Floats]]:
    """Labels and scores of each test set that holds both classes.

    A reader is not refitted from fold to fold, so a rating means the same in all of them: one set, each case once.
    """
    test = scores.where(scores.part == "test")
    if _is_reader(scores.recipe):
        once = np.unique(test.case_id, return_index=True)[1]
        groups = [once]
    else:
        keys = np.stack([test.repeat, test.fold], axis=1)
        groups = [np.flatnonzero((keys == key).all(axis=1)) for key in np.unique(keys, axis=0)]
    return [(test.label[rows], test.score[rows]) for rows in groups if np.unique(test.label[rows]).size == 2]


def _draw_row(axes: Axes, scores: Scores, line: _Line, area: Estimate | None, kind: _Kind) -> Line2D:
    sets = _test_sets(scores)
    curves = [kind.curve(labels, values) for labels, values in sets]
    style = {"lw": 2.0, "label": f"{line.label}   {format_estimate(area)}" if area else line.label} | dict(line.style)
    if len(curves) != 1:
        return _draw_mean(axes, curves, style, kind)
    if np.unique(sets[0][1]).size > RATING_STEPS:
        style.pop("marker", None)
    return axes.plot(*kind.points(curves[0]), drawstyle=kind.drawstyle, markevery=slice(1, None), **style)[0]


def _draw_mean(axes: Axes, curves: Sequence[Curve], style: dict[str, Any], kind: _Kind) -> Line2D:
    grid = np.linspace(0.0, 1.0, 401)
    heights = np.array([kind.read(curve, grid) for curve in curves]).reshape(len(curves), grid.size)
    if not len(heights):
        return axes.plot([], [], **style)[0]
    axes.plot(grid, heights.T, color=style["color"], lw=0.7, alpha=0.22, zorder=1)
    start = [0.0] if kind is _ROC else heights.mean(axis=0)[:1]
    return axes.plot(np.r_[0.0, grid], np.r_[start, heights.mean(axis=0)], **style)[0]


def _draw_chance(axes: Axes, shown: Sequence[Scores], kind: _Kind) -> Line2D:
    labels = np.concatenate([labels for scores in shown for labels, _ in _test_sets(scores)] or [np.zeros(1)])
    level = (0.0, 1.0) if kind is _ROC else (labels.mean(), labels.mean())
    label = "chance" if kind is _ROC else f"chance: {labels.mean():.0%} of the cases are malignant"
    return axes.plot([0, 1], level, color=FAINT, lw=1.2, ls=(0, (4, 3)), zorder=0, label=label)[0]


def _finish_panel(axes: Axes, title: str, kind: _Kind) -> None:
    axes.set(xlim=(-0.015, 1.015), ylim=(-0.015, 1.015))
    axes.set_title(title, loc="left", fontsize=10.5, fontweight="bold", color=BLACK)
    axes.set_xlabel(kind.labels[0], fontsize=9)
    axes.set_ylabel(kind.labels[1], fontsize=9)
    axes.set_xticks(np.linspace(0, 1, 6))
    axes.set_yticks(np.linspace(0, 1, 6))
    light(axes)


def _legend_below(axes: Axes, handles: Sequence[Any], title: str) -> None:
    place = {"loc": "upper left", "bbox_to_anchor": (-0.02, -0.15), "borderaxespad": 0.0, "alignment": "left"}
    axes.legend(handles=handles, title=title or None, title_fontsize=8.5, fontsize=8.5, frameon=False, **place)
