"""A network learns from pictures what another, already taught, sees in them.

The maps of both are compared place by place, wherever they have the same size: a linear map of the student's channels
is to give the teacher's (hints at inner layers: Romero et al. 2015, arXiv:1412.6550; a linear map between: Heo et al.
2019, arXiv:1904.01866), and so it is with the averages over the picture, the embeddings. Every channel counts alike:
it is brought to mean 0 and variance 1 over the pictures. Each place of each map is then a lesson, which is why so few
pictures do.

Where a teacher is of the student's own kind, layers of one name are to give the same, channel by channel. At first
each layer is handed what the teacher's layers before it give, so that all learn at once and none waits for those before
it (block by block: Li et al. 2020, arXiv:1911.13053); later the student goes all the way alone.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from rarelesion.album import Album
from rarelesion.layers import Backbone
from rarelesion.maps import EMBEDDING, Maps

LARGEST_TARGET = 6.0
"""Standard deviations at which a teacher's channel is cut off: few places would rule the loss."""
SQUARE_UP_TO = 2.0
"""Standard deviations up to which an error counts squared; beyond, it counts in proportion (Huber)."""
PEAK_LEARNING_RATE, ALIKE_LEARNING_RATE = 2e-3, 1e-2
"""The latter where a teacher is of the student's kind: each layer, led, has a simple lesson, and far to go."""
ALIKE_SCALES_FASTER = 4.0
"""From a random start to the teacher's own scale of each channel it is farthest."""
LED = 0.6
"""Share of the lesson in which layers are handed the maps of a teacher of their kind."""


@dataclass(frozen=True, eq=False, slots=True)
class _Pair:
    """A layer of the student and the teacher's that it is compared with, `direct` channel by channel."""

    ours: str
    theirs: str
    direct: bool
    mean: Tensor
    """Mean and deviation of the teacher's channels, each (channels,)."""
    deviation: Tensor

    def scaled(self, rows: Tensor) -> Tensor:
        """Rows (n, channels) on the scale of mean 0 and variance 1, float32."""
        return (rows.float() - self.mean) / self.deviation

    def error(self, ours: Tensor, theirs: Tensor) -> Tensor:
        """Of the student's rows, on the scale, against the teacher's: 0 where alike, 1 no better than the mean."""
        target = self.scaled(theirs).clamp(-LARGEST_TARGET, LARGEST_TARGET)
        return 2 * functional.huber_loss(ours, target, delta=SQUARE_UP_TO)


class _Teacher:
    """One taught network: which of its layers is compared with which of the student's, and on what scale."""

    def __init__(self, name: str, backbone: Backbone, student: Maps, pixels: Tensor, precision: torch.dtype) -> None:
        side = pixels.shape[-1]
        self.name = name
        self.maps = Maps(backbone.eval().requires_grad_(False), precision)
        self.alike = student.alike(self.maps, side)
        self.pairs: list[_Pair] = []
        learning = [layer for layer in student.learning_layers() if layer in self.alike]
        self._compare({layer: self.alike[layer] for layer in learning}, True, pixels)
        ours, theirs = student.stages(side), self.maps.stages(side)
        self._of_one_size = {ours[size]: theirs[size] for size in ours if size in theirs}

    def compare_sizes(self, modelled: set[str], student: Maps, pixels: Tensor) -> None:
        """Compare also the last layers of each size, but for those that have a model of their kind, and the ends."""
        compared = {pair.ours for pair in self.pairs}
        ends = [ours for ours in self._of_one_size if ours in self.alike and ours not in compared]
        self._compare({ours: self.alike[ours] for ours in ends}, True, pixels)
        others = {ours: theirs for ours, theirs in self._of_one_size.items() if ours not in modelled}
        self._compare(others, False, pixels)
        self._compare({EMBEDDING: EMBEDDING}, self.alike.get(student.last) == self.maps.last, pixels)

    def _compare(self, layers: Mapping[str, str], direct: bool, pixels: Tensor) -> None:
        with torch.no_grad():
            maps = self.maps.maps(pixels, [*layers.values(), self.maps.last])
        for ours, theirs in layers.items():
            rows = _rows(at(maps, theirs, self.maps.last)).float()
            deviation = rows.std(0)
            # A channel that hardly ever speaks is not made loud.
            deviation = deviation.clamp(min=float(deviation.median()) / 10 + 1e-6)
            self.pairs.append(_Pair(ours, theirs, direct, rows.mean(0), deviation))

    def look(self, pixels: Tensor) -> dict[str, Tensor]:
        """The teacher's maps at all that is compared."""
        names = [*(pair.theirs for pair in self.pairs), *self.alike.values(), self.maps.last]
        with torch.no_grad():
            return self.maps.maps(pixels, names)


def at(maps: Mapping[str, Tensor], layer: str, last: str) -> Tensor:
    """The map (n, channels, h, w) of a layer; of the embedding (n, channels, 1, 1)."""
    return maps[last].mean((2, 3), keepdim=True, dtype=torch.float32) if layer == EMBEDDING else maps[layer]


def _rows(values: Tensor) -> Tensor:
    """(n, channels, h, w) as (n h w, channels)."""
    return values.permute(0, 2, 3, 1).reshape(-1, values.shape[1])


def _of_one_size(ours: Tensor, theirs: Tensor) -> tuple[Tensor, Tensor]:
    """Both as small as the smaller: maps of one size may differ by a row in pictures of another side."""
    if ours.shape[2:] == theirs.shape[2:]:
        return ours, theirs
    size = min(ours.shape[2], theirs.shape[2])
    return functional.adaptive_avg_pool2d(ours, size), functional.adaptive_avg_pool2d(theirs, size)


class Distillation(nn.Module):
    """The lesson: a student, its teachers, and the linear maps between them, which learn as well.

    `pixels` (n, 3, side, side), some hundred crops on the student's device, set the scale of the teachers' channels and
    say which layers are compared. A layer that has a model of its own kind is compared with that alone. `precision` is
    that of the convolutions. `share` says how much of the lesson is over.
    """

    def __init__(
        self,
        student: Backbone,
        teachers: Mapping[str, Backbone],
        album: Album,
        pixels: Tensor,
        precision: torch.dtype,
    ) -> None:
        super().__init__()
        self.backbone, self.album, self.share = student, album, 0.0
        self._maps = Maps(student, precision)
        self._teachers = [_Teacher(*item, self._maps, pixels, precision) for item in teachers.items()]
        alike = any(teacher.alike for teacher in self._teachers)
        self.peak_learning_rate = ALIKE_LEARNING_RATE if alike else PEAK_LEARNING_RATE
        self.scales_faster = ALIKE_SCALES_FASTER if alike else 1.0
        modelled = {layer for teacher in self._teachers for layer in teacher.alike}
        for teacher in self._teachers:
            teacher.compare_sizes(modelled, self._maps, pixels)
        widths = {name: channels for name, (channels, _) in self._maps.shapes(pixels.shape[-1]).items()}
        widths[EMBEDDING] = student.dim
        bridges = {_key(*item): _bridge(item[1], widths[item[1].ours]) for item in self._pairs() if not item[1].direct}
        self.bridges = nn.ModuleDict(bridges).to(pixels.device)

    def _pairs(self) -> Iterator[tuple[str, _Pair]]:
        return ((teacher.name, pair) for teacher in self._teachers for pair in teacher.pairs)

    def pairs(self) -> list[str]:
        """What is compared with what, in words."""
        direct = Counter(name for name, pair in self._pairs() if pair.direct)
        same = [f"{count} layers with those of the same name in {name}" for name, count in direct.items()]
        return same + [
            f"{pair.ours or 'embedding'} ~ {name} {pair.theirs or 'embedding'}"
            for name, pair in self._pairs()
            if not pair.direct
        ]

    def batch(self, seen: int, count: int, side_px: int) -> tuple[Tensor, ...]:
        """The crops after `seen` others: (count, 3, side_px, side_px)."""
        return self.album.crops(count, side_px, seen)[:1]

    def loss(self, pixels: Tensor) -> Tensor:
        """The mean over the pairs."""
        return torch.stack(list(self.losses(pixels).values())).mean()

    def losses(self, pixels: Tensor) -> dict[str, Tensor]:
        """The unexplained share of the teachers' variance by pair (1 explains nothing, 0 is perfect)."""
        seen = [teacher.look(pixels) for teacher in self._teachers]
        if self.share < LED:
            given = {
                ours: maps[theirs]
                for teacher, maps in zip(self._teachers, seen, strict=True)
                for ours, theirs in teacher.alike.items()
            }
            made = given | self._maps.led(pixels, given)
        else:
            made = self._maps.maps(pixels, [*{pair.ours for _, pair in self._pairs()}, self._maps.last])
        losses: dict[str, Tensor] = {}
        for teacher, maps in zip(self._teachers, seen, strict=True):
            for pair in teacher.pairs:
                key = _key(teacher.name, pair)
                ours, theirs = at(made, pair.ours, self._maps.last), at(maps, pair.theirs, teacher.maps.last)
                found, wanted = (_rows(part) for part in _of_one_size(ours, theirs))
                losses[key] = pair.error(pair.scaled(found) if pair.direct else self._bridged(key, found), wanted)
        return losses

    def _bridged(self, key: str, rows: Tensor) -> Tensor:
        bridge = self.bridges[key]
        if isinstance(bridge, nn.Linear):
            return functional.linear(rows, bridge.weight.to(rows.dtype), bridge.bias.to(rows.dtype)).float()
        return bridge(rows)


def _key(teacher: str, pair: _Pair) -> str:
    return f"{teacher}:{pair.ours or 'embedding'}".replace(".", "_")


def _bridge(pair: _Pair, ours: int) -> nn.Module:
    linear = nn.Linear(ours, len(pair.mean))
    nn.init.normal_(linear.weight, std=0.3 * ours**-0.5)
    nn.init.zeros_(linear.bias)
    # Averages differ little from one picture to the next: they are brought to one scale first.
    return linear if pair.ours else nn.Sequential(nn.BatchNorm1d(ours, affine=False), linear)
