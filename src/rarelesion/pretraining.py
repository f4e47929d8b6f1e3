"""Give a backbone a first idea of texture where no ImageNet weights are at hand.

A network that starts from random numbers learns little from a hundred lesions. Telling materials apart first, on
pictures that cost nothing, leaves filters for edges, grain and pattern in it. The pictures are recoloured as lesion
patches are: each channel has its own contrast, one may be empty, and one may show something else.
"""

import math
from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import convert_conv2d_weight_memory_format
from torch.optim.swa_utils import update_bn

from rarelesion.backbones import BACKBONES, Backbone, ConvRelu
from rarelesion.settings import TrainingSettings
from rarelesion.training import choose_precision
from rarelesion.types import Ints

Sample = Callable[[int, np.random.Generator], tuple[NDArray[np.float32], Ints]]
"""From a number n and a generator to n pictures (n, 3, side, side) in 0..1 and their classes (n,)."""

BATCH = 16
PEAK_LEARNING_RATE = 2e-3
STATISTICS_BATCHES = 32


def pretrain(
    backbone_name: str,
    sample: Sample,
    classes: int,
    images: int,
    side_px: int,
    seed: int,
    on_progress: Callable[[int, int], None] | None = None,
) -> Backbone:
    """Teach a backbone from nothing to name the class of textures, and give it back without its last layer.

    `sample` draws the pictures, `classes` says how many kinds there are, `images` how many to learn from, `side_px`
    how large they are. `on_progress` hears after every batch how many pictures were seen, and of how many.
    The batch-norm statistics are those of the finished network, so that training may hold them. The same seed gives
    the same weights on the same machine.
    """
    init_seed, sample_seed, colour_seed = (int(value) for value in np.random.SeedSequence(seed).generate_state(3))
    batches = _draw(sample, classes, np.random.default_rng(sample_seed), torch.Generator().manual_seed(colour_seed))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(init_seed)
        backbone = BACKBONES[backbone_name]()
        convert_conv2d_weight_memory_format(backbone, torch.channels_last)
        calibrate(backbone, next(batches)[0])
        depths = _Depths(backbone, next(batches)[0], classes)
    _learn(depths, batches, math.ceil(images / BATCH), on_progress)
    depths.detach()
    update_bn((next(batches)[0] for _ in range(STATISTICS_BATCHES)), backbone)
    return backbone.eval()


def calibrate(backbone: Backbone, pixels: Tensor) -> None:
    """Scale every convolution so that on these pictures each of its channels has mean 0 and variance 1.

    A deep network without batch normalisation then learns from its first step on. One pass does it: each layer is
    scaled on what the layers before it, already scaled, hand over (Mishkin & Matas 2016, arXiv:1511.06422; by channel
    as Krähenbühl et al. 2016, arXiv:1511.06856). `pixels` is (n, 3, side, side) in 0..1.
    """
    hooks = [
        module.register_forward_pre_hook(_calibrate_layer)
        for module in backbone.modules()
        if isinstance(module, nn.Conv2d)
    ]
    with torch.no_grad():
        backbone.train()(pixels)
    for hook in hooks:
        hook.remove()


def _calibrate_layer(module: nn.Module, inputs: tuple[Tensor]) -> None:
    assert isinstance(module, nn.Conv2d)
    output = functional.conv2d(
        inputs[0], module.weight, None, module.stride, module.padding, module.dilation, module.groups
    )
    mean, deviation = output.mean((0, 2, 3)), output.std((0, 2, 3)).clamp(min=1e-4)
    module.weight /= deviation[:, None, None, None]
    if module.bias is not None:
        module.bias.copy_(-mean / deviation)


def recolour(pixels: Tensor, targets: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Make grey pictures look like lesion patches: channels of different contrast, empty or of another picture.

    Of every two pictures one has an empty channel, and of every six one shows the picture before it in one of its
    channels; a class then counts by the share of the channels that show it. `pixels` is (n, 3, side, side) in 0..1,
    `targets` (n, classes) with rows that sum to 1, and so are the results.
    """
    count = len(pixels)
    channel = torch.rand(count, 3, generator=generator).argsort(1)
    empty = _one_channel(channel[:, 0], 1 / 2, generator)
    foreign = _one_channel(channel[:, 1], 1 / 6, generator)
    mixed = torch.where(foreign[:, :, None, None], pixels.roll(1, 0), pixels)
    gain = 0.6 + 0.6 * torch.rand(count, 3, 1, 1, generator=generator)
    offset = 0.2 * torch.rand(count, 3, 1, 1, generator=generator) - 0.1
    coloured = (gain * (mixed - 0.5) + 0.5 + offset).clamp(0, 1) * ~empty[:, :, None, None]
    share = foreign.sum(1, keepdim=True) / (~empty).sum(1, keepdim=True)
    return coloured, torch.lerp(targets, targets.roll(1, 0), share)


def _one_channel(channel: Tensor, probability: float, generator: torch.Generator) -> Tensor:
    """(n, 3), true at `channel` of those pictures that are hit."""
    hit = torch.rand(len(channel), generator=generator) < probability
    return functional.one_hot(channel, 3).bool() & hit[:, None]


def _draw(
    sample: Sample, classes: int, rng: np.random.Generator, generator: torch.Generator
) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches without end."""
    while True:
        pixels, labels = sample(BATCH, rng)
        targets = functional.one_hot(torch.tensor(labels), classes).float()
        coloured, targets = recolour(torch.tensor(pixels), targets, generator)
        yield coloured.contiguous(memory_format=torch.channels_last), targets


class _Depths:
    """A last layer at every depth of a backbone: wherever the map is about to shrink, and at the end.

    A few thousand pictures do not reach the first layers of a deep network through all the others; asked directly,
    they learn, and the later ones learn on top of them (deep supervision: Lee et al. 2015, arXiv:1409.5185).
    """

    def __init__(self, backbone: Backbone, pixels: Tensor, classes: int) -> None:
        self.backbone = backbone
        self.pooled: dict[nn.Module, Tensor] = {}
        stages = _last_of_each_size(backbone, pixels)
        self.hooks = [module.register_forward_hook(self._keep) for module in stages]
        self.heads = {
            module: nn.Sequential(nn.BatchNorm1d(channels, affine=False), nn.Linear(channels, classes))
            for module, channels in stages.items()
        }

    def _keep(self, module: nn.Module, _: object, output: Tensor) -> None:
        self.pooled[module] = output.mean((2, 3), dtype=torch.float32)

    def loss(self, pixels: Tensor, targets: Tensor) -> Tensor:
        """Mean over the depths."""
        with torch.autocast(
            "cpu", dtype=torch.bfloat16, enabled=choose_precision(TrainingSettings()) == torch.bfloat16
        ):
            self.backbone(pixels)
        losses = [functional.cross_entropy(head(self.pooled[at]), targets) for at, head in self.heads.items()]
        return torch.stack(losses).mean()

    def weights(self) -> list[nn.Parameter]:
        """Everything that learns."""
        return [*self.backbone.parameters(), *(weight for head in self.heads.values() for weight in head.parameters())]

    def detach(self) -> None:
        """Leave the backbone as it is without the further last layers."""
        for hook in self.hooks:
            hook.remove()


def _last_of_each_size(backbone: Backbone, pixels: Tensor) -> dict[nn.Module, int]:
    """The last activation of each map size, with its number of channels."""
    last: dict[int, tuple[nn.Module, int]] = {}

    def look(module: nn.Module, _: object, output: Tensor) -> None:
        last[output.shape[-1]] = module, output.shape[1]

    activations = [module for module in backbone.modules() if isinstance(module, ConvRelu | nn.ReLU | nn.ReLU6)]
    hooks = [module.register_forward_hook(look) for module in activations]
    with torch.no_grad():
        backbone(pixels)
    for hook in hooks:
        hook.remove()
    return dict(last.values())


def ease(weight: Tensor) -> float:
    """What the learning rate of a weight is multiplied by: less where a convolution sums over more inputs than 27.

    That is how many a first layer has. Adam moves each weight by the same amount, so that the output of a unit with
    many of them would leap.
    """
    inputs = weight[0].numel() if weight.ndim == 4 else 1
    return min(1.0, math.sqrt(27 / inputs))


def _learn(
    depths: _Depths,
    batches: Iterator[tuple[Tensor, Tensor]],
    steps: int,
    on_progress: Callable[[int, int], None] | None,
) -> None:
    """AdamW under a one-cycle learning rate (Smith & Topin 2018, arXiv:1708.07120)."""
    peaks = [PEAK_LEARNING_RATE * ease(weight) for weight in depths.weights()]
    groups = [{"params": [weight], "lr": peak} for weight, peak in zip(depths.weights(), peaks, strict=True)]
    optimiser = torch.optim.AdamW(groups, weight_decay=0.01, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, peaks, total_steps=max(steps, 2))
    depths.backbone.train()
    for step in range(1, steps + 1):
        loss = depths.loss(*next(batches))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        if on_progress is not None:
            on_progress(step * BATCH, steps * BATCH)
