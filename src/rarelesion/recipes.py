"""Recipes by name: what each row of Table 3 trains and how it scores, and the paper's row order."""

from collections.abc import Sequence
from dataclasses import dataclass

from rarelesion.errors import InputError, Problem

PAPER_BACKBONES = ("vgg16", "mobilenet", "resnet50")
PAPER_SUFFIXES = ("", "+texture", "+texture+l2", "+texture+l2+ocsvm", "+texture+l2+lof")
PAPER_RECIPES = (*(backbone + suffix for backbone in PAPER_BACKBONES for suffix in PAPER_SUFFIXES), "cvae")
PROPOSED = "vgg16+texture+l2+lof"
READER_PREFIX = "reader:"
BASELINE_PREFIX = "baseline:"


@dataclass(frozen=True, slots=True)
class Recipe:
    """One way from patches to scores. Recipes with the same `network` share one trained network."""

    name: str
    backbone: str
    """A key of `backbones.BACKBONES`, or "cvae"."""
    texture: bool
    l2: bool
    detector: str | None
    """A word of `contrasts.SCORERS`, or None where the classifier's own output is the score."""

    @property
    def network(self) -> str:
        """The name of the network behind the recipe: the recipe without its detector."""
        return self.backbone + "+texture" * self.texture + "+l2" * self.l2


def parse_recipe(name: str, backbones: tuple[str, ...], detectors: tuple[str, ...]) -> Recipe:
    """Read `backbone[+texture][+l2][+detector]` or `cvae`.

    Raises InputError with the valid words when a part is unknown, repeated or out of order.
    """
    if name == "cvae":
        return Recipe(name, "cvae", texture=False, l2=False, detector=None)
    backbone, *suffixes = name.split("+")
    rest = list(suffixes)
    texture = rest[:1] == ["texture"] and bool(rest.pop(0))
    l2 = rest[:1] == ["l2"] and bool(rest.pop(0))
    detector = rest.pop(0) if rest and rest[0] in detectors else None
    if backbone not in backbones or rest:
        raise InputError(
            Problem(
                where="recipes",
                what="unknown recipe",
                found=repr(name),
                expected=f"BACKBONE[+texture][+l2][+DETECTOR] with BACKBONE one of {', '.join(backbones)} "
                f"and DETECTOR one of {', '.join(detectors)}; or cvae",
                remedy="Readers are added with --readers, not as recipes."
                if name.startswith(READER_PREFIX)
                else "Check the spelling and the order of the parts.",
            )
        )
    return Recipe(name, backbone, texture, l2, detector)


def row_order(recipe: str) -> tuple[int, int, str]:
    """Sort key that puts the rows of a table as the paper has them: backbones, CVAE, readers; unknown ones last."""
    if recipe.startswith(READER_PREFIX):
        return len(PAPER_BACKBONES) + 2, 0, recipe
    if recipe == "cvae":
        return len(PAPER_BACKBONES) + 1, 0, recipe
    backbone, _, suffix = recipe.partition("+")
    base = PAPER_BACKBONES.index(backbone) if backbone in PAPER_BACKBONES else len(PAPER_BACKBONES)
    suffix = f"+{suffix}" if suffix else ""
    place = PAPER_SUFFIXES.index(suffix) if suffix in PAPER_SUFFIXES else len(PAPER_SUFFIXES)
    return base, place, recipe


def is_trained(recipe: str) -> bool:
    """Whether the row is one of the paper's kind of classifier, neither the CVAE nor a reader."""
    return recipe != "cvae" and not recipe.startswith(READER_PREFIX)


def lead_recipe(names: Sequence[str]) -> str | None:
    """The row a report is about: the paper's proposed one, else the trained one nearest to it by name.

    Never chosen by how well it did on the test cases. None where there are only readers or a CVAE.
    """
    trained = sorted(filter(is_trained, names), key=row_order)
    steps = {name: row_order(name)[1] for name in trained}
    return max(trained, key=lambda name: steps[name] if steps[name] < len(PAPER_SUFFIXES) else -1, default=None)
