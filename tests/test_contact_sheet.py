"""The contact sheet: a thumbnail a series, by patient, with role and confidence."""

import struct
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes

from rarelesion.contact_sheet import ACROSS, DOWN, draw_page, write_contact_sheet
from rarelesion.palette import GREEN, ORANGE, VERMILLION
from series_rows import row


class Archive:
    """Says where the middle frames are; here nowhere, since the pictures come from the test."""

    def __init__(self, series):
        self.frames = {one.series: (Path(one.series), 3) for one in series}

    def middle_frames(self):
        return self.frames


def picture(path, frame):
    return np.full((96, 60), 40 * frame, np.uint8)


@pytest.fixture
def written(monkeypatch):
    """Texts that are drawn, with their colours."""
    texts = []
    plain = Axes.text

    def noted(axes, x, y, text, *rest, **more):
        texts.append((text, more.get("color")))
        return plain(axes, x, y, text, *rest, **more)

    monkeypatch.setattr(Axes, "text", noted)
    return texts


def size_of(png):
    return struct.unpack(">II", png[16:24])


def test_pages_hold_48_series_each_and_no_masks(tmp_path):
    series = [row(f"s-{number}") for number in range(50)] + [row("s-mask", role="mask")]
    asked, told = [], []
    pages = write_contact_sheet(
        tmp_path / "contact",
        series,
        Archive(series),
        lambda done, total: told.append((done, total)),
        lambda path, frame: asked.append((path.name, frame)) or picture(path, frame),
    )
    assert [page.name for page in pages] == ["page-001.png", "page-002.png"]
    assert asked == [(f"s-{number}", 3) for number in range(50)]
    assert told == [(number, 50) for number in range(1, 51)]
    widths = [size_of(page.read_bytes()) for page in pages]
    assert widths[0][0] == widths[1][0]
    assert widths[0][1] > widths[1][1]
    assert ACROSS * DOWN == 48


def test_a_shorter_sheet_leaves_no_page_of_a_longer_one(tmp_path):
    series = [row(f"s-{number}") for number in range(50)]
    write_contact_sheet(tmp_path, series, Archive(series), picture=picture)
    write_contact_sheet(tmp_path, series[:3], Archive(series), picture=picture)
    assert [path.name for path in tmp_path.iterdir()] == ["page-001.png"]


def test_series_of_a_patient_stand_together(tmp_path, written):
    series = [row("s-a", patient="p-2"), row("s-b", patient="p-1"), row("s-c", patient="p-2")]
    write_contact_sheet(tmp_path, series, Archive(series), picture=picture)
    assert [text for text, _ in written if text.startswith("s-")] == ["s-b", "s-a", "s-c"]


def test_the_caption_says_role_confidence_patient_series_and_direction(written):
    draw_page([row("s-a", confidence=0.61, orientation="oblique coronal")], [picture(None, 1)], "Page 1 of 1")
    texts = [text for text, _ in written]
    assert texts[:4] == ["T1  61 %", "p-1", "s-a", "oblique coronal, 20 slices"]


def test_doubt_is_coloured(written):
    page = [row("s-a", confidence=0.9), row("s-b", confidence=0.6), row("s-c", confidence=0.3)]
    draw_page(page, [None] * 3, "Page 1 of 1")
    assert [colour for text, colour in written if "%" in text] == [GREEN, ORANGE, VERMILLION]
    assert [text for text, _ in written].count("no picture") == 3


def test_a_thumbnail_is_never_drawn_larger_than_96_pixels(monkeypatch):
    drawn = []
    plain = Axes.imshow
    monkeypatch.setattr(
        Axes, "imshow", lambda axes, image, **more: drawn.append(image.shape) or plain(axes, image, **more)
    )
    draw_page([row("s-a")], [np.zeros((300, 500), np.uint8)], "Page 1 of 1")
    assert drawn == [(96, 96)]


def test_nothing_but_the_picture_is_in_the_file(tmp_path):
    (page,) = write_contact_sheet(tmp_path, [row("s-a")], Archive([row("s-a")]), picture=picture)
    content, place, kinds = page.read_bytes(), 8, []
    while place < len(content):
        length, kind = struct.unpack(">I4s", content[place : place + 8])
        kinds.append(kind.decode())
        place += 12 + length
    assert set(kinds) <= {"IHDR", "pHYs", "IDAT", "IEND"}


def test_no_series_no_page(tmp_path):
    assert write_contact_sheet(tmp_path, [], Archive([]), picture=picture) == ()
