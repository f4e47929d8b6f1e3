"""A figure gives the same bytes twice, and starting the package loads no plotting."""

import subprocess
import sys

from rarelesion.palette import canvas, to_png, to_svg


def draw():
    figure = canvas(2, 2)
    figure.add_subplot().plot([0, 1], [0, 1])
    return figure


def test_the_same_figure_is_the_same_bytes():
    assert to_png(draw(), 50) == to_png(draw(), 50)
    assert to_svg(draw()) == to_svg(draw())


def test_an_image_has_the_asked_resolution_and_no_date():
    png = to_png(draw(), 60)
    assert (int.from_bytes(png[16:20]), int.from_bytes(png[20:24])) == (120, 120)
    assert b"dc:date" not in to_svg(draw())


def test_figures_never_load_pyplot_and_the_package_no_matplotlib():
    code = (
        "import sys, rarelesion; assert 'matplotlib' not in sys.modules;"
        "import rarelesion.figures; assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
