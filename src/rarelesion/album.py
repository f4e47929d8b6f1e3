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

    def crops(self, count: int, side_px: int, seen: int, views: int = 1) -> tuple[Tensor, ...]:
        """The crops shown after `seen` of them: (count, 3, side_px, side_px) in 0..1, channels last.

        With two `views` each row of both is of the same picture. The last part is the pictures' classes (count,).
        """
        self.open_at(seen)
        rng = np.random.default_rng((self.seed, 1, seen))
        pages = rng.integers(len(self.pictures), size=count)
        shown = (torch.stack([crop(self.pictures[page], side_px, rng) for page in pages]) for _ in range(views))
        return *(recoloured(pixels, rng) for pixels in shown), torch.from_numpy(self.kinds[pages])


def crop(picture: NDArray[np.uint8], side_px: int, rng: np.random.Generator) -> Tensor:
    """A square of a picture (3, h, w), of any place, size and side up: (3, side_px, side_px) in 0..1."""
    most = min(picture.shape[1:])
    zoom = np.exp(rng.uniform(np.log(SMALLEST_ZOOM), np.log(LARGEST_ZOOM)))
    side = min(round(side_px * float(zoom)), most)
    row, column = (int(rng.integers(extent - side + 1)) for extent in picture.shape[1:])
    pixels = torch.from_numpy(picture[:, row : row + side, column : column + side]).float().div_(255)[None]
    if side != side_px:
        pixels = functional.interpolate(
            pixels, (side_px, side_px), mode="bilinear", antialias=side > side_px, align_corners=False
        )
    turned = torch.rot90(pixels[0], int(rng.integers(4)), (1, 2))
    return turned.flip(2) if rng.random() < 0.5 else turned


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
    pixels = torch.where(chance[3] < 0.1, 1 - pixels, pixels)
    joint, own = rng.uniform(0.6, 1.3, (count, 1, 1, 1)), rng.uniform(0.9, 1.1, (count, 3, 1, 1))
    shift = rng.uniform(-0.12, 0.12, (count, 1, 1, 1)) + rng.uniform(-0.04, 0.04, (count, 3, 1, 1))
    gain, offset = torch.from_numpy((joint * own).astype(np.float32)), torch.from_numpy(shift.astype(np.float32))
    pixels = ((pixels - 0.5) * gain + 0.5 + offset).clamp(0, 1)
    kept = 1 - functional.one_hot(order[:, 0], 3)[:, :, None, None].float() * (chance[4] < 0.2)
    return (pixels * kept).contiguous(memory_format=torch.channels_last)
