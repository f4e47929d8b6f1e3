"""The same network, computed faster: what `Backbone.forward` says layer by layer, in fewer passes over memory.

A backbone is written to be read; computed so, much of its time goes into passes over memory that compute next to
nothing. An `Executor` walks the same layers, with the convolutions of `convolutions`; it folds a batch normalisation
that keeps its statistics into the weights before it, hangs the activation on, and keeps everything between the layers
in one precision. Where nothing learns yet, it takes a few patches at a time through the widest maps. What each of these
brings is told in docs/concepts/speed.md.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from rarelesion.backbones import folded
from rarelesion.convolutions import NO_LIMIT, activate, convolve, halve
from rarelesion.layers import Backbone, BatchNorm, ConvRelu

CACHE_BYTES = 12_000_000
"""The widest maps of the patches worked on at a time: VGG16 is a quarter faster so than with all of a batch at once."""


@dataclass(frozen=True, slots=True)
class _Step:
    """A layer, or a convolution and what belongs to it, from the values named `inputs` to the one named `output`."""

    output: str
    inputs: tuple[str, ...]
    module: nn.Module
    norm: BatchNorm | None = None
    limit: float | None = None
    """What the activation cuts off at; None where there is none."""
    pool: nn.AvgPool2d | None = None
    """Behind a 1 x 1 convolution, and computed before it: both are sums, and a smaller map has a quarter of them."""

    @property
    def learns(self) -> bool:
        """Whether it has something to learn from the batch: weights, or a normalisation's statistics."""
        if self.norm is not None and self.norm.training:
            return True
        parts = (self.module, self.norm) if self.norm is not None else (self.module,)
        return torch.is_grad_enabled() and any(weight.requires_grad for part in parts for weight in part.parameters())

    def __call__(self, *values: Tensor) -> Tensor:
        if isinstance(self.module, nn.Conv2d):
            source = values[0] if self.pool is None else self.pool(values[0])
            return _convolution(self.module, self.norm, source, self.limit)
        if isinstance(self.module, nn.MaxPool2d) and self.module.kernel_size == self.module.stride == 2:
            return self.module(*values) if values[0].requires_grad else halve(values[0])
        return self.module(*values)


class Executor:
    """A backbone that computes in one precision: patches (n, 3, h, w) in 0..1 to embeddings (n, dim), float32.

    The weights and what batch normalisation does are read anew at every call, so that the backbone may learn between
    two calls; its layers may not be exchanged. The result and the gradients are those of `backbone(pixels)` but for
    rounding. Fastest for a backbone in channels-last order.
    """

    def __init__(self, backbone: Backbone, precision: torch.dtype = torch.float32) -> None:
        self.precision = precision
        self._input, *self._steps = _plan(backbone)
        self._last_reader = {source: step.output for step in self._steps for source in step.inputs}
        self._wide = _count_wide(self._steps)
        self._first = next(step.module for step in self._steps if isinstance(step.module, nn.Conv2d))

    def __call__(self, pixels: Tensor) -> Tensor:
        begin, at_a_time = 0, max(1, CACHE_BYTES // self._bytes_of_a_map(pixels))
        values = [self._prepared(part) for part in pixels.split(at_a_time)]
        if len(values) > 1:
            begin = next(number for number, step in enumerate(self._steps) if number == self._wide or step.learns)
            values = [self._run(part, slice(0, begin)) for part in values]
            values = [{name: torch.cat([part[name] for part in values]) for name in values[0]}]
        done = self._run(values[0], slice(begin, None))
        return done[self._steps[-1].output].mean((2, 3), dtype=torch.float32)

    def _bytes_of_a_map(self, pixels: Tensor) -> int:
        """What the first convolution makes of one patch."""
        height, width = (side // step for side, step in zip(pixels.shape[2:], self._first.stride, strict=True))
        return self._first.out_channels * height * width * self.precision.itemsize

    def _prepared(self, pixels: Tensor) -> dict[str, Tensor]:
        prepared = self._input(pixels.contiguous(memory_format=torch.channels_last))
        return {self._input.output: prepared.to(self.precision)}

    def _run(self, values: dict[str, Tensor], steps: slice) -> dict[str, Tensor]:
        """What the steps leave of the values for those that come after them."""
        for step in self._steps[steps]:
            values[step.output] = step(*(values[source] for source in step.inputs))
            for source in step.inputs:
                if self._last_reader[source] == step.output:
                    del values[source]
        return values


def _count_wide(steps: Sequence[_Step]) -> int:
    """How many steps come before the map has an eighth of the picture's height and width."""
    reduced = 1
    for number, step in enumerate(steps):
        for module in (step.module, step.pool):
            stride = module.stride if isinstance(module, nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d) else 1
            reduced *= stride[0] if isinstance(stride, tuple) else stride
        if reduced >= 8:
            return number
    return len(steps) - 1


def _plan(backbone: Backbone) -> list[_Step]:
    """The layers in their order; a batch normalisation or activation that alone reads a convolution belongs to it."""
    readers = Counter(source for sources in backbone.layer_inputs for source in sources)
    steps: dict[str, _Step] = {}
    for name, sources in zip(backbone.layer_names, backbone.layer_inputs, strict=True):
        module = backbone.get_submodule(name)
        before = steps.get(sources[0])
        if before is None or not isinstance(before.module, nn.Conv2d) or readers[sources[0]] > 1 or before.limit:
            steps[name] = _Step(name, sources, module, limit=_limit(module))
        elif isinstance(module, BatchNorm):
            steps[name] = _Step(name, before.inputs, before.module, norm=module)
            del steps[sources[0]]
        elif isinstance(module, nn.ReLU | nn.ReLU6):
            steps[name] = _Step(name, before.inputs, before.module, before.norm, _limit(module))
            del steps[sources[0]]
        elif isinstance(module, nn.AvgPool2d) and before.norm is None and before.module.kernel_size == (1, 1):
            steps[name] = _Step(name, before.inputs, before.module, pool=module)
            del steps[sources[0]]
        else:
            steps[name] = _Step(name, sources, module, limit=_limit(module))
    return list(steps.values())


def _limit(module: nn.Module) -> float | None:
    if isinstance(module, nn.ReLU6):
        return 6.0
    return NO_LIMIT if isinstance(module, nn.ReLU | ConvRelu) else None


def _convolution(layer: nn.Conv2d, norm: BatchNorm | None, values: Tensor, limit: float | None) -> Tensor:
    if norm is None:
        return convolve(layer, layer.weight, layer.bias, values, limit)
    if norm.training:
        return activate(norm(convolve(layer, layer.weight, layer.bias, values, None)), limit)
    return convolve(layer, *folded(layer, norm), values, limit)
