"""The contact sheet: one thumbnail a series with its proposed role, for a person to look through and correct."""

from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Protocol

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from rarelesion import store
from rarelesion.palette import BLACK, FAINT, GREEN, GREY, GRID, ORANGE, VERMILLION, canvas, to_png
from rarelesion.roles import MASK
from rarelesion.series import Series
from rarelesion.thumbnails import WIDEST_PX, thumbnail

ACROSS, DOWN = 8, 6
CELL_PX, CAPTION_PX, HEAD_PX = 150, 62, 40
DPI = 100
SURE, DOUBTFUL = 0.8, 0.55
"""From the first on a role is written in green, below the second in red."""
Picture = Callable[[Path, int], NDArray[np.uint8] | None]


class Archive(Protocol):
    """What the sheet asks of an index."""

    def middle_frames(self) -> Mapping[str, tuple[Path, int]]:
        """For each series the file and number of its middle frame."""
        ...


def write_contact_sheet(
    folder: Path,
    series: Sequence[Series],
    archive: Archive,
    on_series: Callable[[int, int], None] = lambda done, total: None,
    picture: Picture = thumbnail,
) -> tuple[Path, ...]:
    """Write page-001.png and so on: a thumbnail a series but masks, grouped by patient, with role and confidence.

    `picture` gives the thumbnail of a file's frame, at most 96 pixels a side, None for one that cannot be shown;
    `on_series` hears how many series are done, of how many. Pages of an earlier, longer sheet are removed. Returns
    the pages.
    """
    shown = sorted((one for one in series if one.role != MASK), key=lambda one: one.patient)
    frames = archive.middle_frames()
    pages = [shown[start : start + ACROSS * DOWN] for start in range(0, len(shown), ACROSS * DOWN)]
    written = []
    for number, page in enumerate(pages, start=1):
        pictures = []
        for one in page:
            pictures.append(picture(*frames[one.series]) if one.series in frames else None)
            on_series((number - 1) * ACROSS * DOWN + len(pictures), len(shown))
        path = folder / f"page-{number:03d}.png"
        store.write_bytes(path, draw_page(page, pictures, f"Page {number} of {len(pages)}"))
        written.append(path)
    for old in set(folder.glob("page-*.png")) - set(written):
        store.remove(old)
    return tuple(written)


def draw_page(page: Sequence[Series], pictures: Sequence[NDArray[np.uint8] | None], title: str) -> bytes:
    """One page as PNG."""
    down = -(-len(page) // ACROSS)
    width, height = ACROSS * CELL_PX, HEAD_PX + down * (WIDEST_PX + CAPTION_PX)
    figure = canvas(width / DPI, height / DPI)
    figure.set_layout_engine("none")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.axis("off")
    _shade(axes, page)
    for place, (one, small) in enumerate(zip(page, pictures, strict=True)):
        row, column = divmod(place, ACROSS)
        left, top = column * CELL_PX, HEAD_PX + row * (WIDEST_PX + CAPTION_PX)
        _show(axes, small, left, top)
        _caption(axes, one, left + 4, top + WIDEST_PX)
    axes.set(xlim=(0, width), ylim=(height, 0))
    head = f"{title}. Wrong roles are corrected in roles.csv. Green: sure; orange: look twice; red: doubtful."
    axes.text(8, 24, head, fontsize=9, color=BLACK)
    return to_png(figure, DPI)


def _shade(axes: Axes, page: Sequence[Series]) -> None:
    """Every other patient on a grey ground."""
    places = enumerate(page)
    for turn, (_, group) in enumerate(groupby(places, key=lambda item: item[1].patient)):
        for place, _ in group if turn % 2 else ():
            row, column = divmod(place, ACROSS)
            top = HEAD_PX + row * (WIDEST_PX + CAPTION_PX)
            across = [column * CELL_PX, (column + 1) * CELL_PX]
            axes.fill_between(across, top, top + WIDEST_PX + CAPTION_PX, color=GRID, lw=0, zorder=-1)


def _show(axes: Axes, small: NDArray[np.uint8] | None, left: int, top: int) -> None:
    if small is None:
        axes.text(left + CELL_PX / 2, top + WIDEST_PX / 2, "no picture", ha="center", fontsize=7, color=FAINT)
        return
    small = small[:WIDEST_PX, :WIDEST_PX]
    larger = max(1, WIDEST_PX // max(small.shape))
    rows, columns = larger * small.shape[0], larger * small.shape[1]
    x, y = left + (CELL_PX - columns) // 2, top + (WIDEST_PX - rows) // 2
    extent = (x, x + columns, y + rows, y)
    axes.imshow(small, cmap="gray", vmin=0, vmax=255, extent=extent, interpolation="nearest", aspect="auto")


def _caption(axes: Axes, one: Series, left: int, top: int) -> None:
    colour = GREEN if one.confidence >= SURE else ORANGE if one.confidence >= DOUBTFUL else VERMILLION
    role = f"{one.role}  {100 * one.confidence:.0f} %"
    axes.text(left, top + 14, role, fontsize=8, color=colour, fontweight="bold")
    lie = "several directions" if one.orientation == "several" else one.orientation or one.modality or "no modality"
    slices = f"{one.slices} slice{'s' * (one.slices != 1)}"
    lines = (one.patient or "no patient number", one.series, f"{lie}, {slices}")
    for number, line in enumerate(lines):
        axes.text(left, top + 27 + 12 * number, line, fontsize=6.5, color=BLACK if number == 0 else GREY)
