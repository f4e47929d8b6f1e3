"""Recipes by name: what each row of Table 3 trains and how it scores, and the paper's row order."""

from collections.abc import Sequence
from dataclasses import dataclass

from rarelesion.errors import InputError, Problem

PAPER_BACKBONES = ("vgg16", "mobilenet", "resnet50")
PAPER_SUFFIXES = ("", "+texture", "+texture+l2", "+texture+l2+ocsvm", "+texture+l2+lof")
PAPER_RECIPES = (*(backbone + suffix for backbone in PAPER_BACKBONES for suffix in PAPER_SUFFIXES), "cvae")
PROPOSED = "vgg16+texture+l2+lof"
READER_PREFIX = "reader:"
AUTO = "auto"
"""The row that chooses among the others, in each split by its tuning cases."""
BASELINE_PREFIX = "baseline:"
FEATURES = ("radiomics", "clinical")
"""What may stand alone or at the end of a recipe: kinds of features that no network makes."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """One way from patches to scores. Recipes with the same `network` share one trained network."""

    name: str
    backbone: str
    """A key of `backbones.BACKBONES`, "cvae", or empty where features alone are read."""
    texture: bool
    l2: bool
    detector: str | None
    """A word of `contrasts.SCORERS`, or None where the classifier's own output is the score."""
    radiomics: bool = False
    clinical: bool = False

    @property
    def network(self) -> str:
        """The name of the network behind the recipe: the recipe without its detector and features; empty for none."""
        return self.backbone + "+texture" * self.texture + "+l2" * self.l2

    @property
    def features(self) -> tuple[str, ...]:
        """The kinds of features that it reads beside the network, in the order of `FEATURES`."""
        return tuple(kind for kind, read in zip(FEATURES, (self.radiomics, self.clinical), strict=True) if read)


def parse_recipe(name: str, backbones: tuple[str, ...], detectors: tuple[str, ...]) -> Recipe:
    """Read `backbone[+texture][+l2][+detector]` or `cvae`, either with `+radiomics` or `+clinical` at its end, or these
    alone.

    Raises InputError with the valid words when a part is unknown, repeated or out of order.
    """
    words = name.split("+")
    clinical = words[-1:] == ["clinical"] and bool(words.pop())
    radiomics = words[-1:] == ["radiomics"] and bool(words.pop())
    if not words or words == ["cvae"]:
        return Recipe(name, "".join(words), False, False, None, radiomics, clinical)
    backbone, *rest = words
    texture = rest[:1] == ["texture"] and bool(rest.pop(0))
    l2 = rest[:1] == ["l2"] and bool(rest.pop(0))
    detector = rest.pop(0) if rest and rest[0] in detectors else None
    if backbone not in backbones or rest:
        raise InputError(
            Problem(
                where="recipes",
                what="unknown recipe",
                found=repr(name),
                expected=f"BACKBONE[+texture][+l2][+DETECTOR][+radiomics][+clinical] with BACKBONE one of "
                f"{', '.join(backbones)} and DETECTOR one of {', '.join(detectors)}; or cvae; or the features alone",
                remedy="Readers are added with --readers, not as recipes."
                if name.startswith(READER_PREFIX)
                else "Check the spelling and the order of the parts.",
            )
        )
    return Recipe(name, backbone, texture, l2, detector, radiomics, clinical)


def row_order(recipe: str) -> tuple[int, int, str]:
    """Sort key that puts the rows of a table as the paper has them: backbones, CVAE, features, `auto`, readers."""
    if recipe.startswith(READER_PREFIX):
        return len(PAPER_BACKBONES) + 4, 0, recipe
    if recipe == AUTO:
        return len(PAPER_BACKBONES) + 3, 0, recipe
    if is_features(recipe):
        return len(PAPER_BACKBONES) + 2, recipe.count("+"), recipe
    if recipe.partition("+")[0] == "cvae":
        return len(PAPER_BACKBONES) + 1, 0, recipe
    backbone, _, suffix = recipe.partition("+")
    base = PAPER_BACKBONES.index(backbone) if backbone in PAPER_BACKBONES else len(PAPER_BACKBONES)
    suffix = f"+{suffix}" if suffix else ""
    place = PAPER_SUFFIXES.index(suffix) if suffix in PAPER_SUFFIXES else len(PAPER_SUFFIXES)
    return base, place, recipe


def is_features(recipe: str) -> bool:
    """Whether the row reads features alone, with no network behind it."""
    return all(word in FEATURES for word in recipe.split("+"))


def is_trained(recipe: str) -> bool:
    """Whether the row is one of the paper's kind of classifier: neither the CVAE, nor features alone, nor a reader."""
    return recipe.partition("+")[0] != "cvae" and not is_features(recipe) and not recipe.startswith(READER_PREFIX)


def lead_recipe(names: Sequence[str]) -> str | None:
    """The row a report is about: `auto` where it was asked for, else the paper's proposed one or the nearest by name.

    Never chosen by how well it did on the test cases. None where there are only readers or a CVAE.
    """
    if AUTO in names:
        return AUTO
    trained = sorted(filter(is_trained, names), key=row_order)
    steps = {name: row_order(name)[1] for name in trained}
    return max(trained, key=lambda name: steps[name] if steps[name] < len(PAPER_SUFFIXES) else -1, default=None)
