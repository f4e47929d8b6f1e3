"""Which networks a study makes: one for each split and each recipe's network, whoever shares it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rarelesion.recipes import Recipe
from rarelesion.types import Split


@dataclass(frozen=True, slots=True)
class NetworkJob:
    """A network to be trained on one split: what several recipes share."""

    network: str
    backbone: str
    texture: bool
    l2: bool
    split: Split
    subset: str = ""
    """Which part of the split's training cases it learns from, where it does not learn from all of them."""
    frozen: bool = False
    """Whether it is kept as it starts."""

    @property
    def id(self) -> str:
        """Name of the network's folder and embeddings in the run."""
        return f"{self.network}-r{self.split.repeat}f{self.split.fold}" + f"-{self.subset}" * bool(self.subset)

    def weights_path(self, folder: Path) -> Path:
        """Where in the run `folder` its weights lie; those of a frozen network are the same in every split."""
        return folder / "networks" / (self.network if self.frozen else self.id) / "weights.safetensors"


def network_jobs(recipes: Sequence[Recipe], splits: Sequence[Split]) -> tuple[NetworkJob, ...]:
    """The networks behind the recipes, each once a split, all of one split before the next."""
    distinct = {one.network: one for recipe in recipes for one in recipe.networks}
    return tuple(
        NetworkJob(network, one.backbone, one.texture, one.l2, split, frozen=one.frozen)
        for split in splits
        for network, one in distinct.items()
    )
