"""Recipes by name: what each row of Table 3 trains and how it scores, and the paper's row order."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from rarelesion.errors import InputError, Problem

PAPER_BACKBONES = ("vgg16", "mobilenet", "resnet50")
PAPER_SUFFIXES = ("", "+texture", "+texture+l2", "+texture+l2+ocsvm", "+texture+l2+lof")
PAPER_RECIPES = (*(backbone + suffix for backbone in PAPER_BACKBONES for suffix in PAPER_SUFFIXES), "cvae")
PROPOSED = "vgg16+texture+l2+lof"
READER_PREFIX = "reader:"
AUTO = "auto"
"""The row that chooses among the others, in each split by its tuning cases."""
BASELINE_PREFIX = "baseline:"
FEATURES = ("radiomics", "clinical", "table")
"""What may stand alone or at the end of a recipe: kinds of features that no network makes."""
JOIN = "++"
"""Stands between the members of an ensemble."""
BEST_NAME = "best"
BEST = JOIN.join(("mobilenet+texture+logistic", "resnet50-conv4+frozen+logistic+radiomics"))
"""What was the most accurate by the protocol of benchmarks/accuracy.md; the radiomics count for the whole of it."""


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
    table: bool = False
    """Whether it reads the features of `features.table`, which another program measured."""
    frozen: bool = False
    """Whether the backbone is taken as it starts, and nothing in it trained."""
    members: tuple["Recipe", ...] = ()
    """Of an ensemble: the recipes whose scores are averaged."""

    @property
    def network(self) -> str:
        """The name of the network behind the recipe: the recipe without its detector and features; empty for none."""
        if self.members:
            return JOIN.join(member.network for member in self.members)
        return self.backbone + "+frozen" * self.frozen + "+texture" * self.texture + "+l2" * self.l2

    @property
    def networks(self) -> tuple["Recipe", ...]:
        """Those that each have one network behind them: the recipe itself, its members, or none."""
        return self.members or ((self,) if self.network else ())

    @property
    def backbones(self) -> frozenset[str]:
        """Every backbone behind the recipe, the CVAE among them."""
        return frozenset(recipe.backbone for recipe in self.networks)

    @property
    def features(self) -> tuple[str, ...]:
        """The kinds of features that it reads beside the network, in the order of `FEATURES`."""
        return tuple(kind for kind in FEATURES if getattr(self, kind))


def parse_recipe(name: str, backbones: tuple[str, ...], detectors: tuple[str, ...]) -> Recipe:
    """Read `backbone[+texture][+l2][+detector]`, `backbone+frozen+detector` or `cvae`; several of these joined by `++`
    are an ensemble. Any of them may have `+radiomics`, `+clinical` or `+table` at its end, in this order, and these may
    stand alone. `best` stands for `BEST`.

    Raises InputError with the valid words when a part is unknown, repeated or out of order.
    """
    if name == BEST_NAME:
        return replace(parse_recipe(BEST, backbones, detectors), name=name)
    words = name.split("+")
    table = words[-1:] == ["table"] and bool(words.pop())
    clinical = words[-1:] == ["clinical"] and bool(words.pop())
    radiomics = words[-1:] == ["radiomics"] and bool(words.pop())
    if not words:
        return Recipe(name, "", False, False, None, radiomics, clinical, table)
    members = [_network_recipe(member, backbones, detectors) for member in "+".join(words).split(JOIN)]
    found = tuple(member for member in members if member is not None)
    if len(set(found)) < len(members):
        raise InputError(_unknown(name, backbones, detectors))
    if len(found) == 1:
        return replace(found[0], name=name, radiomics=radiomics, clinical=clinical, table=table)
    return Recipe(name, "", False, False, None, radiomics, clinical, table, members=found)


def _network_recipe(name: str, backbones: tuple[str, ...], detectors: tuple[str, ...]) -> Recipe | None:
    """A recipe with one network behind it, and no features beside it; None where the words are not such a one."""
    backbone, *rest = name.split("+")
    if name == "cvae":
        return Recipe(name, "cvae", texture=False, l2=False, detector=None)
    frozen = rest[:1] == ["frozen"] and bool(rest.pop(0))
    texture = not frozen and rest[:1] == ["texture"] and bool(rest.pop(0))
    l2 = not frozen and rest[:1] == ["l2"] and bool(rest.pop(0))
    detector = rest.pop(0) if rest and rest[0] in detectors else None
    if backbone not in backbones or rest or (frozen and detector is None):
        return None
    return Recipe(name, backbone, texture, l2, detector, frozen=frozen)


def _unknown(name: str, backbones: tuple[str, ...], detectors: tuple[str, ...]) -> Problem:
    if name.startswith(READER_PREFIX):
        remedy = "Readers are added with --readers, not as recipes."
    elif "frozen" in name.split("+"):
        remedy = "What is frozen learns nothing, texture and l2 included: a detector or contrast must follow."
    else:
        remedy = "Check the spelling and the order of the parts."
    return Problem(
        where="recipes",
        what="unknown recipe",
        found=repr(name),
        expected=f"BACKBONE[+texture][+l2][+DETECTOR][+radiomics][+clinical][+table] or BACKBONE+frozen+DETECTOR with "
        f"BACKBONE one of {', '.join(backbones)} and DETECTOR one of {', '.join(detectors)}; or cvae; or several "
        f"different ones joined by {JOIN}; or the features alone; or {BEST_NAME}",
        remedy=remedy,
    )


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
    if recipe == BEST_NAME or JOIN in recipe:
        return len(PAPER_BACKBONES), len(PAPER_SUFFIXES) + (recipe != BEST_NAME) + 1, recipe
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
    """The row a report is about: `auto` or `best` where asked for, else the proposed one or the nearest by name.

    Never chosen by how well it did on the test cases. None where there are only readers or a CVAE.
    """
    if asked := [name for name in (AUTO, BEST_NAME) if name in names]:
        return asked[0]
    trained = sorted(filter(is_trained, names), key=row_order)
    steps = {name: row_order(name)[1] for name in trained}
    return max(trained, key=lambda name: steps[name] if steps[name] < len(PAPER_SUFFIXES) else -1, default=None)
