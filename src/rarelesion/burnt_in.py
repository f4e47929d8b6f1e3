"""Letters, scale bars and callipers burnt into a picture: where they are, and the picture without them.

What a machine wrote into the pixels differs from tissue in four ways that are measured here: its strokes are thin,
end sharply, are of one grey, and stand in a row of glyphs of one height. A glyph for which all of the first three are
beyond doubt counts by itself, others only in a row.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects, label

from rarelesion.types import Floats

Box = tuple[int, int, int, int]
"""Half-open (row0, col0, row1, col1), in pixels."""

STROKE_PX = 9  # strokes up to one pixel less are thin
CONTRAST = 0.25  # least height of a stroke over its surroundings, as a share of the picture's range of greys
PEAK_SHARE = 0.45  # and as a share of the highest stroke near it: what is lower is tissue that touches a letter
HEIGHTS_PX = (5, 90)  # of a letter
LOWEST = 0.35  # mean height of a glyph over its ground, as a share of the range: below it none is looked at
SMALLEST_PX = 5  # pixels of a glyph
BAR_PX = 16  # least length of a line or scale bar
DARK = 0.1  # what is darker is background, as a share of the range
SAME_GREY = 0.05  # as a share of a glyph's contrast
SAME_LEVEL = 0.1  # of two letters of a row, as a share of the picture's range of greys
BEYOND_ROW = 0.4  # how far accents and tails reach from a row, as a share of its height
ROW = 3  # letters that make a row of writing
EVEN = 0.2  # mean share of a row's letters that is of one grey: the grain of tissue leaves less
MARGIN_PX = 2


@dataclass(frozen=True, slots=True)
class _Glyph:
    """A connected piece of thin strokes."""

    box: Box
    level: float
    """Its grey, in shares of the picture's range."""
    contrast: float
    """Of its strokes with what lies under them, in the same shares."""
    around: float
    """The mean grey two pixels away from it."""
    flat: float
    """Share of its pixels that are of its grey."""
    sharp: float
    """How much of the way from its grey to what is around is covered within one pixel: 1 all of it."""
    fill: float
    """Share of its box that it covers."""
    cross: float
    """Share of its pixels that lie on the middle row and column of its box, a third of it wide."""

    @property
    def height(self) -> int:
        """Rows."""
        return self.box[2] - self.box[0]

    @property
    def width(self) -> int:
        """Columns."""
        return self.box[3] - self.box[1]


def text_regions(pixels: Floats) -> tuple[Box, ...]:
    """Where letters, digits, bars and calliper marks are burnt into a picture, whether on tissue or beside it.

    `pixels` (rows, columns), one slice in any units and bits; marks are taken to be brighter than what they lie on.
    Returns half-open (row0, col0, row1, col1) boxes, from top to bottom, that do not touch each other; none for a
    picture of one grey. A single soft or faint sign, or writing on a ground as bright as itself, is not found: on
    synthetic MR slices five of six words and letters were, and on 201 clean ones there was no false alarm. It is a help
    for the eye, and no proof that a picture names nobody.
    Raises ValueError for anything but two dimensions or for pixels that are not numbers.
    """
    if pixels.ndim != 2 or not np.isfinite(pixels).all():
        raise ValueError("text is looked for in one picture (rows, columns) of finite numbers")
    low, high = np.percentile(pixels[::2, ::2], [1, 99]) if pixels.size else (0.0, 0.0)
    if high <= low:
        low, high = (pixels.min(), pixels.max()) if pixels.size else (0.0, 0.0)
    if high <= low:
        return ()
    glyphs = _glyphs(((pixels - low) / (high - low)).astype(np.float32))
    return _merged(_writings(glyphs), pixels.shape)


def blank(pixels: Floats, boxes: Sequence[Box]) -> Floats:
    """A copy of a picture in which each box holds one grey: the median of the pixels just around it.

    `pixels` (rows, columns), of any type, which is kept; `boxes` half-open (row0, col0, row1, col1).
    """
    blanked = np.array(pixels)
    hidden = np.zeros(pixels.shape, dtype=bool)
    for row0, col0, row1, col1 in boxes:
        hidden[row0:row1, col0:col1] = True
    for row0, col0, row1, col1 in boxes:
        around = slice(max(0, row0 - 3), row1 + 3), slice(max(0, col0 - 3), col1 + 3)
        frame = pixels[around][~hidden[around]]
        blanked[row0:row1, col0:col1] = np.median(frame).astype(pixels.dtype) if frame.size else pixels.min()
    return blanked


def _glyphs(shares: NDArray[np.float32]) -> list[_Glyph]:
    """The connected thin strokes of a picture that are large enough for a sign."""
    ground = shares
    for extreme in (np.minimum, np.maximum):
        ground = _slid(_slid(ground, extreme).T, extreme).T
    raised = shares - ground
    highest = _slid(_slid(raised, np.maximum).T, np.maximum).T
    pieces = _pieces(raised > np.maximum(CONTRAST, PEAK_SHARE * highest))
    sizes = np.bincount(pieces.ravel())
    heights = np.bincount(pieces.ravel(), raised.ravel()) / np.maximum(sizes, 1)
    worth = (sizes >= SMALLEST_PX) & (heights > LOWEST)
    return [
        _measured(number, place, pieces, shares, raised)
        for number, place in enumerate(find_objects(pieces), start=1)
        if worth[number] and max(side.stop - side.start for side in place) >= HEIGHTS_PX[0] - 1
    ]


def _pieces(marked: NDArray[np.bool_]) -> NDArray[np.int32]:
    """The marked pixels, each with the number of its connected piece from 1; 0 elsewhere."""
    pieces = np.zeros(marked.shape, dtype=np.int32)
    label(marked, np.ones((3, 3)), output=pieces)
    return pieces


def _slid(values: NDArray[np.float32], extreme: np.ufunc) -> NDArray[np.float32]:
    """The least or greatest value in windows of `STROKE_PX` rows around each row."""
    half = STROKE_PX // 2
    window = np.pad(values, ((half, half), (0, 0)), mode="edge")
    reach = 1
    while reach < STROKE_PX:
        step = min(reach, STROKE_PX - reach)
        window = extreme(window[:-step], window[step:])
        reach += step
    return window


def _measured(
    number: int,
    place: tuple[slice, ...],
    pieces: NDArray[np.int32],
    shares: NDArray[np.float32],
    raised: NDArray[np.float32],
) -> _Glyph:
    wide = tuple(slice(max(0, side.start - 2), side.stop + 2) for side in place)
    here, values = pieces[wide] == number, shares[wide]
    once = _widened(here)
    twice = _widened(once) & ~once
    level = float(np.percentile(values[here], 90))
    contrast = float(np.median(raised[wide][here]))
    around = float(values[twice].mean()) if twice.any() else 0.0
    near = float(values[once & ~here].mean()) if (once & ~here).any() else level
    rows, columns = place
    down, across = (_middle_third(side.stop - side.start) for side in place)
    strokes = pieces[place] == number
    return _Glyph(
        box=(rows.start, columns.start, rows.stop, columns.stop),
        level=level,
        contrast=contrast,
        around=around,
        flat=float(np.mean(np.abs(values[here] - level) < SAME_GREY * contrast)),
        sharp=(level - near) / max(level - around, 1e-3),
        fill=float(strokes.mean()),
        cross=float(strokes[np.logical_or.outer(down, across)].sum() / strokes.sum()),
    )


def _middle_third(length: int) -> NDArray[np.bool_]:
    """(length,) true for the third in the middle, at least one."""
    return np.abs(np.arange(length) - (length - 1) / 2) <= max(length / 6, 0.5)


def _widened(shape: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The shape with its eight neighbours."""
    padded = np.pad(shape, 1)
    tall = padded[:-2] | padded[1:-1] | padded[2:]
    return tall[:, :-2] | tall[:, 1:-1] | tall[:, 2:]


def _is_mark(glyph: _Glyph) -> bool:
    """Whether it is a sign even if it stands alone: of one grey, high over its ground, cut out sharply."""
    if max(glyph.height, glyph.width) >= BAR_PX and min(glyph.height, glyph.width) <= 4:
        return glyph.flat > 0.8 and glyph.sharp > 0.9 and glyph.fill > 0.8 and glyph.contrast > 0.5
    # Thin letters are soft at their edges, which counts less where nothing but background lies around.
    flat = glyph.flat > (0.2 if glyph.around < DARK else 0.6)
    alone = glyph.height >= 6 and flat and glyph.sharp > 0.93 and glyph.contrast > 0.6
    return alone or _is_cross(glyph)


def _is_cross(glyph: _Glyph) -> bool:
    """Whether it is the mark of a calliper: two thin strokes that cross in their middle."""
    shaped = min(glyph.height, glyph.width) >= 7 and abs(glyph.height - glyph.width) <= 2 and glyph.cross > 0.93
    return shaped and glyph.fill < 0.5 and glyph.sharp > 0.8 and glyph.contrast > 0.45


def _is_letter(glyph: _Glyph) -> bool:
    """Whether it may be one or several letters in a row of writing."""
    fits = HEIGHTS_PX[0] <= glyph.height <= HEIGHTS_PX[1] and 0.25 < glyph.fill < 0.85
    return fits and glyph.sharp > 0.85 and glyph.contrast > 0.4


def _may_belong(glyph: _Glyph) -> bool:
    """Whether it can be part of writing that something else gave away: a soft letter, two that touch, a dot."""
    return glyph.sharp > 0.8 and glyph.contrast > LOWEST


def _writings(glyphs: Sequence[_Glyph]) -> list[Box]:
    """The box of each row of writing, each mark and each bar."""
    pieces = [glyph for glyph in glyphs if _may_belong(glyph)]
    if not pieces:
        return []
    row0, col0, row1, col1 = np.array([piece.box for piece in pieces]).T
    height, level = row1 - row0, np.array([piece.level for piece in pieces])
    letter = np.array([_is_letter(piece) for piece in pieces])
    taller = np.maximum.outer(height, height)
    apart = np.maximum.outer(col0, col0) - np.minimum.outer(col1, col1)
    shared = np.minimum.outer(row1, row1) - np.maximum.outer(row0, row0)
    near = (np.abs(np.subtract.outer(level, level)) < SAME_LEVEL) & (apart <= 1.2 * taller)
    aligned = near & (np.abs(np.subtract.outer(row1, row1)) <= np.maximum(1, 0.15 * taller))
    aligned &= (np.minimum.outer(height, height) >= 0.7 * taller - 1) & np.logical_and.outer(letter, letter)
    sure = np.array([_is_mark(piece) for piece in pieces]) | (_signs(pieces, aligned) >= ROW)
    writing = _linked(near & (shared >= 0.4 * np.minimum.outer(height, height)))
    groups = []
    for number in np.unique(writing[sure]):
        group = np.flatnonzero(writing == number)
        known = group[sure[group]]
        # Tissue that touches a row may reach far from it: only what stands in the row belongs to it.
        reach = BEYOND_ROW * height[known].max()
        low, high = row0[known].min() - reach, row1[known].max() + reach
        groups.append(group[(row0[group] >= low) & (row1[group] <= high)])
    return [
        (int(row0[group].min()), int(col0[group].min()), int(row1[group].max()), int(col1[group].max()))
        for group in groups
    ]


def _signs(pieces: Sequence[_Glyph], aligned: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(n,) how many letters the row of each piece has; a wide piece counts as two.

    0 where it is the only one, and where the row is no more of one grey than tissue is.
    """
    row = _linked(aligned)
    letters = np.array([np.clip(round(piece.width / (0.9 * piece.height)), 1, 2) for piece in pieces])
    signs = np.asarray(np.bincount(row, letters), dtype=np.float64)
    pieces_a_row = np.bincount(row)
    even = np.bincount(row, [piece.flat for piece in pieces]) >= EVEN * pieces_a_row
    return np.where(((pieces_a_row > 1) & even)[row], signs[row], 0)


def _linked(pairs: NDArray[np.bool_]) -> NDArray[np.int64]:
    """(n,) the first of the n things with which each is linked, directly or over others."""
    group, before = np.arange(len(pairs)), np.full(len(pairs), -1)
    while not np.array_equal(group, before):
        before = group
        group = np.minimum(group, np.where(pairs, group, len(pairs)).min(axis=1))
    return group


def _merged(boxes: Sequence[Box], shape: tuple[int, ...]) -> tuple[Box, ...]:
    """The boxes with a margin, those that then touch as one."""
    hidden = np.zeros(shape, dtype=bool)
    for row0, col0, row1, col1 in boxes:
        hidden[max(0, row0 - MARGIN_PX) : row1 + MARGIN_PX, max(0, col0 - MARGIN_PX) : col1 + MARGIN_PX] = True
    before = -1
    found: list[Box] = []
    while hidden.sum() != before:
        before = int(hidden.sum())
        places = find_objects(_pieces(hidden))
        found = [(rows.start, columns.start, rows.stop, columns.stop) for rows, columns in places]
        for row0, col0, row1, col1 in found:
            hidden[row0:row1, col0:col1] = True
    return tuple(sorted(found))
