"""A changing album of pictures, and the crops of them that a network is shown.

Drawing a picture takes longer than a small network needs to learn from it. So some hundred pictures are kept, a few
are replaced before each batch, and what the network sees are crops of them: of another place, size, side up and colour
each time. That is most of what many more pictures would bring (Asano & Saeed 2023, arXiv:2112.00725, teach from one
picture only; Beyer et al. 2022, arXiv:2106.05237: the teacher sees the very crop that the student sees).
"""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

Draw = Callable[[np.random.Generator, int], tuple[NDArray[np.float32], int]]
"""From a generator and a side to a picture (3, side, side) in 0..1 and its class (0 where there are none)."""

PICTURE_PX = 160
PAGES = 768
CROPS_A_PICTURE = 16
"""How many crops are shown for each picture that is drawn, once the album is full."""
SMALLEST_ZOOM, LARGEST_ZOOM = 0.6, 2.2
"""Pixels of the picture a pixel of the crop."""
SMALLEST_VIEW = 0.6
"""Share of the picture's width that a view shows at least."""


class Album:
    """Pictures (pages, 3, PICTURE_PX, PICTURE_PX) as bytes; which they are follows from the seed and the time alone."""

    def __init__(self, draw: Draw, seed: int, pages: int, crops_a_picture: int = CROPS_A_PICTURE) -> None:
        self.draw, self.seed, self.crops_a_picture = draw, seed, crops_a_picture
        self.pictures = np.empty((pages, 3, PICTURE_PX, PICTURE_PX), np.uint8)
        self.kinds = np.zeros(pages, np.int64)
        self._drawn = 0

    def open_at(self, seen: int, on_page: Callable[[int, int], None] | None = None) -> None:
        """Draw what lies in the album after `seen` crops; `on_page` hears how many pages are done, of how many."""
        last = len(self.pictures) + seen // self.crops_a_picture
        self._drawn = max(self._drawn, last - len(self.pictures))
        while self._drawn < last:
            rng = np.random.default_rng((self.seed, self._drawn))
            page = self._drawn % len(self.pictures)
            picture, self.kinds[page] = self.draw(rng, PICTURE_PX)
            self.pictures[page] = np.round(255 * picture).astype(np.uint8)
            self._drawn += 1
            if on_page is not None:
                on_page(self._drawn - last + len(self.pictures), len(self.pictures))

    def crops(self, count: int, side_px: int, seen: int) -> tuple[Tensor, Tensor]:
        """The crops shown after `seen` of them: (count, 3, side_px, side_px) in 0..1, channels last.

        The last part is the pictures' classes (count,).
        """
        pages, rng = self._leaf_to(count, seen)
        shown = torch.stack([crop(self.pictures[page], side_px, rng) for page in pages])
        return recoloured(shown, rng), torch.from_numpy(self.kinds[pages])

    def views(self, count: int, side_px: int, seen: int) -> tuple[Tensor, Tensor]:
        """Two views each of the pictures shown after `seen` of them: twice (count, 3, side_px, side_px), as `crops`.

        They differ less than crops do. Of crops as unlike as those, one does not tell that the other is of the same
        lesion, and a network that is asked to see it learns nothing.
        """
        pages, rng = self._leaf_to(count, seen)
        first, second = (torch.stack([view(self.pictures[page], side_px, rng) for page in pages]) for _ in range(2))
        return relit(first, rng), relit(second, rng)

    def _leaf_to(self, count: int, seen: int) -> tuple[NDArray[np.int64], np.random.Generator]:
        """The pages (count,) shown after `seen` crops, and the generator of what is done to them."""
        self.open_at(seen)
        rng = np.random.default_rng((self.seed, 1, seen))
        return rng.integers(len(self.pictures), size=count), rng


def crop(picture: NDArray[np.uint8], side_px: int, rng: np.random.Generator) -> Tensor:
    """A square of a picture (3, h, w), of any place, size and side up: (3, side_px, side_px) in 0..1."""
    most = min(picture.shape[1:])
    zoom = np.exp(rng.uniform(np.log(SMALLEST_ZOOM), np.log(LARGEST_ZOOM)))
    side = min(round(side_px * float(zoom)), most)
    turned = torch.rot90(_cut(picture, side, side_px, rng), int(rng.integers(4)), (1, 2))
    return turned.flip(2) if rng.random() < 0.5 else turned


def view(picture: NDArray[np.uint8], side_px: int, rng: np.random.Generator) -> Tensor:
    """Most of a picture (3, h, w), as it stands or mirrored: (3, side_px, side_px) in 0..1.

    It is not turned: a shadow under a lesion means something else than one beside it.
    """
    side = round(min(picture.shape[1:]) * rng.uniform(SMALLEST_VIEW, 1.0))
    seen = _cut(picture, side, side_px, rng)
    return seen.flip(2) if rng.random() < 0.5 else seen


def _cut(picture: NDArray[np.uint8], side: int, side_px: int, rng: np.random.Generator) -> Tensor:
    """A square of that side from any place of a picture (3, h, w): (3, side_px, side_px) in 0..1."""
    row, column = (int(rng.integers(extent - side + 1)) for extent in picture.shape[1:])
    pixels = torch.from_numpy(picture[:, row : row + side, column : column + side]).float().div_(255)[None]
    if side != side_px:
        pixels = functional.interpolate(
            pixels, (side_px, side_px), mode="bilinear", antialias=side > side_px, align_corners=False
        )
    return pixels[0]


def piece(picture: NDArray[np.float32], side_px: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """A square of a picture (3, h, w), at least half as wide as it is: (3, side_px, side_px), its own range kept."""
    side = round(min(picture.shape[1:]) * rng.uniform(0.5, 1.0))
    row, column = (int(rng.integers(extent - side + 1)) for extent in picture.shape[1:])
    pixels = torch.tensor(picture[:, row : row + side, column : column + side])[None]
    resized = functional.interpolate(
        pixels, (side_px, side_px), mode="bilinear", antialias=side > side_px, align_corners=False
    )
    return resized[0].clamp(0, 1).numpy()


def recoloured(pixels: Tensor, rng: np.random.Generator) -> Tensor:
    """The pictures (n, 3, h, w) as cameras and scanners differ, and as lesion patches are put together.

    Of ten pictures about three lose their colour, three have their channels exchanged, two have an empty channel, one
    is turned into its negative and two show through another; each channel has its own gain and offset.
    """
    count = len(pixels)
    chance = torch.from_numpy(rng.random((5, count)).astype(np.float32))[:, :, None, None, None]
    order = torch.from_numpy(rng.permuted(np.tile(np.arange(3), (count, 1)), axis=1))
    through = torch.from_numpy(rng.uniform(0.2, 0.5, (count, 1, 1, 1)).astype(np.float32))
    pixels = torch.where(chance[0] < 0.2, torch.lerp(pixels, pixels.roll(1, 0), through), pixels)
    pixels = torch.where(chance[1] < 0.3, pixels.mean(1, keepdim=True).expand_as(pixels), pixels)
    exchanged = pixels.gather(1, order[:, :, None, None].expand_as(pixels))
    pixels = torch.where(chance[2] < 0.3, exchanged, pixels)
    pixels = relit(torch.where(chance[3] < 0.1, 1 - pixels, pixels), rng)
    kept = 1 - functional.one_hot(order[:, 0], 3)[:, :, None, None].float() * (chance[4] < 0.2)
    return (pixels * kept).contiguous(memory_format=torch.channels_last)


def relit(pixels: Tensor, rng: np.random.Generator) -> Tensor:
    """The pictures (n, 3, h, w) in 0..1 lighter or darker, with more contrast or less; channels differ a little."""
    count = len(pixels)
    joint, own = rng.uniform(0.6, 1.3, (count, 1, 1, 1)), rng.uniform(0.9, 1.1, (count, 3, 1, 1))
    shift = rng.uniform(-0.12, 0.12, (count, 1, 1, 1)) + rng.uniform(-0.04, 0.04, (count, 3, 1, 1))
    gain, offset = torch.from_numpy((joint * own).astype(np.float32)), torch.from_numpy(shift.astype(np.float32))
    return ((pixels - 0.5) * gain + 0.5 + offset).clamp(0, 1).contiguous(memory_format=torch.channels_last)
