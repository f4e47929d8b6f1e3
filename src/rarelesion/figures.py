"""The figures of a study: arrays in, matplotlib figures out. Opens no file and leaves no global state."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from scipy.stats import gaussian_kde

from rarelesion.crop import Region
from rarelesion.curves import figure6, pr_curves
from rarelesion.evaluation import Evaluation
from rarelesion.palette import BLACK, BLUE, FAINT, GREY, ORANGE, SKY, VERMILLION, canvas, light, to_png, to_svg
from rarelesion.recipes import READER_PREFIX, lead_recipe, row_order
from rarelesion.tables import format_estimate, row_label
from rarelesion.thresholds import choose_threshold
from rarelesion.types import Case, Embeddings, Epoch, Floats, Ints, Patches, Scores

__all__ = [
    "figure4",
    "figure6",
    "forest",
    "missed_cases",
    "patch_examples",
    "pr_curves",
    "to_png",
    "to_svg",
    "training_curves",
]

CLASS_STYLES = ((0, BLUE, "o", "benign"), (1, VERMILLION, "^", "malignant"))
REGION = 0.90  # share of the benign training cases that the drawn benign region holds
MOST_LABELS = 8  # more missed cases than these are ringed without their ids


def figure4(embeddings: Embeddings, scores: Scores | None = None, rule: str = "youden") -> Figure:
    """The embeddings of one network in the plane, with the benign region, as in the paper's Figure 4.

    The plane is spanned by the first two principal components of the training cases; the region is where the
    density of the benign training cases (Gaussian kernel) is highest and 90 % of them lie. With the `scores` of a
    recipe of this network, malignant test cases below the threshold that `rule` chose on the tuning cases are ringed.
    """
    points, shares = _principal_plane(embeddings.vectors, embeddings.parts == "train")
    figure = canvas(8.4, 6.2)
    axes = figure.add_subplot()
    axes.set_xlabel(f"First principal component ({shares[0]:.0%} of the variance)", fontsize=9.5)
    axes.set_ylabel(f"Second principal component ({shares[1]:.0%})", fontsize=9.5)
    axes.set_title(
        f"The cases as {row_label(embeddings.network)} sees them", loc="left", fontsize=11, fontweight="bold"
    )
    learned = embeddings.parts == "train"
    for label, colour, marker, name in CLASS_STYLES:
        own = embeddings.labels == label
        _scatter(axes, points[own & learned], marker, f"{name}, training", color=colour, alpha=0.30, s=26, lw=0)
        chosen = own & (embeddings.parts == "test")
        _scatter(axes, points[chosen], marker, f"{name}, test", color=colour, edgecolors=BLACK, s=62, lw=0.8, zorder=3)
    light(axes)
    axes.margins(0.09)
    _draw_region(axes, points[learned & (embeddings.labels == 0)])
    if scores is not None:
        _draw_missed(axes, points, embeddings, scores, rule)
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), fontsize=9, frameon=False)
    return figure


def _principal_plane(vectors: Floats, learned: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """(n, 2) positions and the (2,) shares of the training cases' variance, signs fixed."""
    centred = vectors.astype(np.float64) - vectors[learned].mean(axis=0, dtype=np.float64)
    _, lengths, axes = np.linalg.svd(centred[learned], full_matrices=False)
    axes = axes * np.sign(axes[np.arange(len(axes)), np.abs(axes).argmax(axis=1)])[:, None]
    return centred @ axes[:2].T, lengths[:2] ** 2 / max(np.sum(lengths**2), 1e-300)


def _scatter(axes: Axes, points: Floats, marker: str, label: str, **style: Any) -> None:
    if len(points):
        axes.scatter(points[:, 0], points[:, 1], marker=marker, label=f"{label} (n = {len(points)})", **style)


def _draw_region(axes: Axes, benign: Floats) -> None:
    if len(benign) < 5 or np.linalg.matrix_rank(np.cov(benign.T)) < 2:
        return
    density = gaussian_kde(benign.T)
    level = float(np.quantile(density(benign.T), 1 - REGION))
    x, y = np.meshgrid(np.linspace(*axes.get_xlim(), 160), np.linspace(*axes.get_ylim(), 160))
    height = density(np.stack([x.ravel(), y.ravel()])).reshape(x.shape)
    axes.contourf(x, y, height, levels=[level, np.inf], colors=[BLUE], alpha=0.09, zorder=0)
    axes.contour(x, y, height, levels=[level], colors=[BLUE], linewidths=1.1, linestyles="--", zorder=0)
    axes.plot([], [], color=BLUE, lw=1.1, ls="--", label=f"region of {REGION:.0%} of the benign training cases")


def missed_cases(scores: Scores, repeat: int, fold: int, rule: str = "youden") -> list[str]:
    """Ids of the malignant test cases of one split that score below the threshold chosen on its tuning cases.

    `rule` as for `thresholds.parse_rule`. Empty where the tuning cases do not hold both classes: no threshold.
    """
    split = scores.where((scores.repeat == repeat) & (scores.fold == fold))
    tune, test = split.where(split.part == "tune"), split.where(split.part == "test")
    if np.unique(tune.label).size < 2:
        return []
    threshold = choose_threshold(tune.label, tune.score, rule)
    return [str(case) for case in test.case_id[(test.label == 1) & (test.score < threshold)]]


def _draw_missed(axes: Axes, points: Floats, embeddings: Embeddings, scores: Scores, rule: str) -> None:
    missed = missed_cases(scores, embeddings.repeat, embeddings.fold, rule)
    rows = np.flatnonzero(np.isin(embeddings.case_ids, missed) & (embeddings.parts == "test"))
    if not rows.size:
        return
    ring = {"marker": "o", "facecolors": "none", "edgecolors": BLACK, "s": 210, "linewidths": 1.5, "zorder": 4}
    label = f"malignant, missed by\n{row_label(scores.recipe)}"
    axes.scatter(points[rows, 0], points[rows, 1], label=f"{label} (n = {rows.size})", **ring)
    for row in rows if rows.size <= MOST_LABELS else ():
        place = {"xytext": (9, 7), "textcoords": "offset points", "fontsize": 8.5, "zorder": 5}
        axes.annotate(str(embeddings.case_ids[row]), tuple(points[row]), **place)


def patch_examples(
    patches: Patches, labels: Ints, n_each: int = 8, textures: NDArray[np.float32] | None = None
) -> Figure:
    """The first patches of each class as the network sees them, in pseudo-colour, with their case ids.

    `labels` (n,) 0 benign, 1 malignant; `textures` (m, 3, side, side) in 0..1 adds a row of the third class.
    """
    rows: list[tuple[str, Floats, Sequence[str]]] = []
    for label, _, _, name in CLASS_STYLES:
        chosen = np.flatnonzero(labels == label)[:n_each]
        rows.append((name, patches.largest[chosen], [_short(patches.case_ids[place]) for place in chosen]))
    if textures is not None:
        rows.append(("texture", textures[:n_each], [""] * n_each))
    rows = [row for row in rows if len(row[1])]
    figure = canvas(1.15 * n_each + 0.5, 1.38 * len(rows))
    for place, (name, pictures, titles) in enumerate(rows):
        for column, (picture, title) in enumerate(zip(pictures, titles, strict=False)):
            axes = figure.add_subplot(len(rows), n_each, place * n_each + column + 1)
            axes.imshow(np.clip(picture.transpose(1, 2, 0), 0, 1), interpolation="nearest")
            axes.set(xticks=[], yticks=[])
            axes.set_title(title, fontsize=7.5, color=GREY, pad=2)
            axes.set_ylabel(name if column == 0 else "", fontsize=10, fontweight="bold")
    return figure


def outline_examples(examples: Sequence[tuple[Case, Mapping[str, Region]]]) -> Figure:
    """Lesions with the outline that was found in their box and how far the tissue around them is measured.

    A row for each class and sequence; the examples are cases with what is measured of each sequence.
    """
    rows = [
        (name, sequence, [(case.case_id, regions[sequence]) for case, regions in examples if case.label == label])
        for label, _, _, name in CLASS_STYLES
        for sequence in examples[0][1]
    ]
    rows = [row for row in rows if row[2]]
    columns = max(len(cases) for *_, cases in rows)
    figure = canvas(1.15 * columns + 0.5, 1.38 * len(rows))
    for place, (name, sequence, cases) in enumerate(rows):
        for column, (case_id, region) in enumerate(cases):
            axes = figure.add_subplot(len(rows), columns, place * columns + column + 1)
            axes.imshow(np.clip(region.values, 0, 1), cmap="gray", vmin=0, vmax=1)
            for shown, colour, width in ((region.lesion | region.ring, SKY, 0.7), (region.lesion, ORANGE, 1.2)):
                if not shown.all():
                    axes.contour(shown.astype(float), [0.5], colors=[colour], linewidths=width)
            axes.set(xticks=[], yticks=[])
            axes.set_title(_short(case_id), fontsize=7.5, color=GREY, pad=2)
            axes.set_ylabel(f"{name}\n{sequence}" if column == 0 else "", fontsize=9, fontweight="bold")
    return figure


def _short(case_id: str) -> str:
    return case_id if len(case_id) <= 14 else f"{case_id[:13]}…"


def training_curves(histories: Mapping[str, Sequence[Epoch]]) -> Figure:
    """Loss on the training and the tuning cases, epoch by epoch, for each network; the kept epoch is marked."""
    columns = min(4, max(1, len(histories)))
    rows = -(-len(histories) // columns)
    figure = canvas(max(6.0, 3.0 * columns), 0.7 + 2.15 * rows)
    for place, (name, history) in enumerate(histories.items()):
        axes = figure.add_subplot(rows, columns, place + 1)
        _draw_history(axes, name, history)
    handles, names = figure.axes[0].get_legend_handles_labels() if figure.axes else ([], [])
    figure.supxlabel("Epoch", fontsize=9.5)
    figure.supylabel("Loss", fontsize=9.5)
    figure.legend(handles, names, loc="outside upper left", ncols=3, fontsize=9, frameon=False)
    return figure


def _draw_history(axes: Axes, name: str, history: Sequence[Epoch]) -> None:
    epochs = [line.epoch for line in history]
    axes.plot(epochs, [line.train_loss for line in history], color=FAINT, lw=1.6, label="training cases")
    axes.plot(epochs, [line.tune_loss for line in history], color=BLUE, lw=1.8, label="tuning cases")
    kept = min(history, key=lambda line: line.tune_loss)
    axes.axvline(kept.epoch, color=VERMILLION, lw=0.9, ls=":")
    axes.plot([kept.epoch], [kept.tune_loss], "o", color=VERMILLION, ms=6, label="epoch kept")
    axes.set_title(row_label(name), loc="left", fontsize=9.5, fontweight="bold")
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.set_ylim(bottom=0)
    light(axes)


def forest(evaluation: Evaluation) -> Figure:
    """ROC-AUC with its interval for every row of Table 3, in the paper's order, readers in black, chance dashed."""
    results = sorted(evaluation.results, key=lambda result: row_order(result.recipe))
    lead = lead_recipe([result.recipe for result in results])
    figure = canvas(9.2, 1.3 + 0.33 * len(results))
    axes = figure.add_subplot()
    height, previous = 0.0, ""
    ticks = []
    for result in results:
        group = result.recipe.partition("+")[0].partition(":")[0]
        height += 1.0 + 0.55 * (bool(previous) and group != previous)
        previous = group
        style = _forest_style(result.recipe, lead)
        area = result.roc_auc
        axes.plot([area.low, area.high], [height, height], color=style["color"], lw=2.2, solid_capstyle="butt")
        axes.plot([area.value], [height], **style)
        axes.text(1.025, height, format_estimate(area), va="center", fontsize=9, transform=axes.get_yaxis_transform())
        ticks.append((height, row_label(result.recipe), result.recipe == lead))
    _finish_forest(axes, ticks, min(result.roc_auc.low for result in results))
    return figure


def _forest_style(recipe: str, lead: str | None) -> dict[str, Any]:
    if recipe.startswith(READER_PREFIX):
        return {"color": BLACK, "marker": "D", "ms": 7}
    if recipe == lead:
        return {"color": BLUE, "marker": "s", "ms": 8.5}
    return {"color": GREY, "marker": "s", "ms": 6}


def _finish_forest(axes: Axes, ticks: Sequence[tuple[float, str, bool]], lowest: float) -> None:
    axes.axvline(0.5, color=VERMILLION, lw=1.1, ls=(0, (4, 3)), zorder=0)
    axes.set_yticks([tick[0] for tick in ticks], [tick[1] for tick in ticks], fontsize=9.5)
    for text, (_, _, bold) in zip(axes.get_yticklabels(), ticks, strict=True):
        text.set_fontweight("bold" if bold else "normal")
    axes.set(ylim=(ticks[-1][0] + 0.8, -0.1), xlim=(min(0.4, np.floor(lowest * 10) / 10), 1.005))
    style = {"fontsize": 9, "color": GREY, "va": "center", "transform": axes.get_yaxis_transform()}
    axes.text(1.025, 0.25, "ROC-AUC (interval)", **style)
    axes.set_xlabel("Area under the ROC curve (dashed: chance)", fontsize=9.5)
    light(axes)
    axes.grid(axis="y", visible=False)
    axes.tick_params(axis="y", length=0)
