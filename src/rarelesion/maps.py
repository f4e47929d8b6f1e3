"""What the layers within a backbone compute, and what each would compute from another network's maps."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from rarelesion.execution import Executor

EMBEDDING = ""
"""In the place of a layer's name: the average of the last one over the picture."""


class Maps(Executor):
    """An Executor that also hands out what layers within compute."""

    @property
    def last(self) -> str:
        """The layer whose average is the embedding."""
        return self._steps[-1].output

    def shapes(self, side_px: int) -> dict[str, tuple[int, int]]:
        """Layer -> channels and side of its map, in order; without those that only pad or pool."""
        names = [step.output for step in self._steps if not isinstance(step.module, nn.ZeroPad2d | nn.MaxPool2d)]
        with torch.no_grad():
            made = self.maps(torch.zeros(1, 3, side_px, side_px, device=self._first.weight.device), names)
        return {name: (made[name].shape[1], made[name].shape[-1]) for name in names}

    def stages(self, side_px: int) -> dict[int, str]:
        """Side of a map -> the last layer of most channels that makes one of that side, the smallest side last."""
        widths: dict[int, tuple[int, str]] = {}
        for name, (channels, side) in self.shapes(side_px).items():
            if side < side_px and channels >= widths.get(side, (0, ""))[0]:
                widths[side] = channels, name
        return {side: widths[side][1] for side in sorted(widths, reverse=True)}

    def learning_layers(self) -> list[str]:
        """The layers that have weights, each with the normalisation and activation that belong to it."""
        return [step.output for step in self._steps if any(True for _ in step.module.parameters())]

    def alike(self, other: "Maps", side_px: int) -> dict[str, str]:
        """Layers here -> layers of another network that have the same name, width and size."""
        # A layer may have its activation inside, or behind it.
        theirs = {name.removesuffix("_relu"): (name, shape) for name, shape in other.shapes(side_px).items()}
        ours = {name: (theirs.get(name.removesuffix("_relu")), shape) for name, shape in self.shapes(side_px).items()}
        return {name: found[0] for name, (found, shape) in ours.items() if found is not None and found[1] == shape}

    def maps(self, pixels: Tensor, names: Sequence[str]) -> dict[str, Tensor]:
        """What these layers make of (n, 3, h, w) in 0..1: layer -> (n, channels, h, w) in this executor's precision."""
        values = self._prepared(pixels)
        kept: dict[str, Tensor] = {}
        for step in self._steps:
            values[step.output] = step(*(values[source] for source in step.inputs))
            if step.output in names:
                kept[step.output] = values[step.output]
            for source in step.inputs:
                if self._last_reader[source] == step.output:
                    del values[source]
        return kept

    def led(self, pixels: Tensor, given: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What each layer makes where those before it had given the maps of `given`, in which no other is asked.

        Layers that `given` knows and that have no weights are left out.
        """
        values, made = self._prepared(pixels), dict[str, Tensor]()
        learning = set(self.learning_layers())
        for step in self._steps:
            if step.output in given and step.output not in learning:
                continue
            made[step.output] = step(*(given[at] if at in given else values[at] for at in step.inputs))
            values[step.output] = made[step.output]
        return made
