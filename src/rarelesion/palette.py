"""What all figures share: colours, canvas, light axes, and a figure as bytes. Never touches pyplot."""

from io import BytesIO

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

# Okabe and Ito's palette, which stays apart for every common kind of colour vision.
BLUE, VERMILLION, ORANGE, GREEN, PURPLE, SKY = "#0072B2", "#D55E00", "#E69F00", "#009E73", "#CC79A7", "#56B4E9"
BLACK, GREY, FAINT, GRID = "#1B1F23", "#5F6B76", "#A9B3BC", "#E6EAED"


def canvas(width: float, height: float) -> Figure:
    """An empty white figure of so many inches that keeps its parts from overlapping."""
    figure = Figure(figsize=(width, height), facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def light(axes: Axes) -> None:
    """Leave of the axes what is needed to read a value."""
    axes.grid(color=GRID, lw=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=8.5, color=FAINT)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(FAINT)


def to_png(figure: Figure, dpi: int = 150) -> bytes:
    """The figure as PNG, the same bytes for the same figure on the same machine."""
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
    return buffer.getvalue()


def to_svg(figure: Figure) -> bytes:
    """The figure as SVG with its letters as outlines, without a date, the same bytes for the same figure."""
    buffer = BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "rarelesion", "svg.fonttype": "path"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return buffer.getvalue()
