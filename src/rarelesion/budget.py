"""A study that has to fit a budget of time: what is given up for it, in which order, and in which words that is told.

Why in this order stands in docs/how-to/time-budget.md.
"""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

from rarelesion.errors import InputError, Problem
from rarelesion.planning import Machine, Plan, parse_recipes, plan_study
from rarelesion.settings import Settings
from rarelesion.types import Cohort

RESERVE = 0.1
"""Share of a budget for what is not forecast: reading images, starting workers, the report, a machine that slows."""
GOOD_EPOCHS, FEWEST_EPOCHS = 30, 10
"""All else is given up before the networks learn for less than the first; nothing goes below the second."""
SMALL_SIDE_PX = 64
SMALL_FOLDS = 3, 1
LAST_BACKBONE = "mobilenet"
"""The quickest of the paper's: its recipes are never left out, nor are those whose learning curve was asked for."""
FREE = ("recipes", "images.side_px", "split.folds", "training.max_epochs", "cvae.max_epochs")
"""What a budget may change where the user did not name it."""
OPTIONS = {
    "recipes": "--recipes",
    "split.folds": "--folds",
    "split.repeats": "--repeats",
    "training.max_epochs": "--epochs",
    "training.profile": "--profile",
    "cvae.max_epochs": "cvae.max_epochs",
    "images.side_px": "images.side_px",
}
"""What takes the time, and where the user may have named it."""
DURATION = re.compile(r"(?:(\d+)\s*h)?\s*(?:(\d+)\s*m)?\s*(?:(\d+)\s*s)?")


@dataclass(frozen=True, slots=True)
class Budget:
    """The time a study may take, and what may not be changed for it."""

    seconds: float
    named: Collection[str] = ()
    """Dotted names of the settings the user gave."""

    def fits(self, plan: Plan, spent: float = 0.0) -> bool:
        """Whether a plan fits with the reserve, after so many seconds of timing."""
        return plan.seconds + spent <= self.seconds * (1 - RESERVE)

    def free(self, settings: Settings, cohort: Cohort) -> set[str]:
        """What may be changed: not the epochs of the paper's profile, nor the folds where the cohort has its split."""
        fixed = set(self.named)
        if settings.training.profile == "paper":
            fixed.add("training.max_epochs")
        if any(case.split for case in cohort.cases):
            fixed.add("split.folds")
        return {name for name in FREE if name not in fixed}


def parse_budget(words: str) -> float:
    """Seconds of a time such as `90s`, `20m`, `1h30m` or `2h`; InputError for anything else, a bare number included.

    >>> parse_budget("1h30m")
    5400.0
    """
    found = DURATION.fullmatch(words.strip().lower())
    hours, minutes, seconds = (int(part or 0) for part in found.groups()) if found else (0, 0, 0)
    if not (total := 3600 * hours + 60 * minutes + seconds):
        what = "has no unit" if words.strip().isdigit() else "is no time"
        raise InputError(Problem("--budget", what, repr(words), "a time such as 90s, 20m, 1h30m or 2h"))
    return float(total)


def duration(seconds: float) -> str:
    """In words, as exact as a forecast is.

    >>> duration(0.2), duration(42), duration(200), duration(4000)
    ('under 1 s', '42 s', '3 min 20 s', '1 h 7 min')
    """
    if round(seconds) < 60:
        return f"{seconds:.0f} s" if seconds >= 1 else "under 1 s"
    if round(seconds) < 600:
        minutes, rest = divmod(round(seconds), 60)
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def plan_within(budget: Budget, settings: Settings, cohort: Cohort, machine: Machine, workers: int) -> Plan:
    """The plan of a study that begins and has to fit; its `changes` say what was given up, and why.

    Raises InputError where even the smallest plan that the user's own settings allow takes longer.
    """

    def plan_of(settings: Settings) -> Plan:
        return plan_study(settings, cohort, machine, workers)

    def fits(plan: Plan) -> bool:
        return budget.fits(plan, machine.spent)

    plan = asked = plan_of(settings)
    if fits(asked):
        return asked
    free = budget.free(settings, cohort)
    for shape, fewest in _shapes(settings, asked, free):
        plan = plan_of(_with_epochs(shape, fewest, free))
        if fits(plan):
            larger = (plan_of(_with_epochs(shape, number, free)) for number in range(_most_epochs(shape), fewest, -1))
            plan = next(filter(fits, larger), plan)
            return replace(plan, reason=_reason(budget, asked), changes=tuple(_changes(asked, plan)))
    raise InputError(_too_little(budget, plan, machine.spent))


def _shapes(settings: Settings, asked: Plan, free: Collection[str]) -> Iterator[tuple[Settings, int]]:
    """Ever smaller studies, the least harm first, each with the fewest epochs before the next is tried."""
    yield settings, GOOD_EPOCHS
    if "recipes" in free:
        for name in _slowest_first(asked):
            kept = tuple(recipe.name for recipe in parse_recipes(settings) if name not in recipe.backbones)
            settings = replace(settings, recipes=kept)
            yield settings, GOOD_EPOCHS
    if "images.side_px" in free and settings.images.side_px > SMALL_SIDE_PX:
        settings = replace(settings, images=replace(settings.images, side_px=SMALL_SIDE_PX))
        yield settings, GOOD_EPOCHS
    if "split.folds" in free:
        for folds in SMALL_FOLDS:
            settings = replace(settings, split=replace(settings.split, folds=min(folds, settings.split.folds)))
            yield settings, GOOD_EPOCHS
    yield settings, FEWEST_EPOCHS


def _slowest_first(asked: Plan) -> list[str]:
    """The backbones that may be left out; the CVAE after all others, for it takes little."""
    seconds = {name: share + asked.teaching.get(name, 0.0) for name, (_, share) in asked.shares().items()}
    for kept in (LAST_BACKBONE, *(name.partition("+")[0] for name in asked.settings.learning_curve.recipes)):
        seconds.pop(kept, None)
    return sorted(seconds, key=lambda name: (name == "cvae", -seconds[name]))


def _most_epochs(settings: Settings) -> int:
    return max(settings.training.resolved().max_epochs or 0, settings.cvae.max_epochs)


def _with_epochs(settings: Settings, number: int, free: Collection[str]) -> Settings:
    """No more epochs than `number`, where they may be changed."""
    training, cvae = settings.training.resolved(), settings.cvae
    if "training.max_epochs" in free:
        training = replace(training, max_epochs=min(number, training.max_epochs or number))
    if "cvae.max_epochs" in free:
        cvae = replace(cvae, max_epochs=min(number, cvae.max_epochs))
    return replace(settings, training=training, cvae=cvae)


def _reason(budget: Budget, asked: Plan) -> str:
    return (
        f"As asked it would take up to {duration(asked.seconds)}; {RESERVE:.0%} of the {duration(budget.seconds)} "
        "are kept back for reading the images, for the report and as a reserve."
    )


def _changes(asked: Plan, plan: Plan) -> Iterator[str]:
    """What a plan gives up, with what that saves or costs."""
    before, after = asked.settings, plan.settings
    names = {name for recipe in parse_recipes(after) for name in recipe.backbones}
    for name, (_, seconds) in asked.shares().items():
        if name not in names:
            alone = duration(seconds + asked.teaching.get(name, 0.0))
            yield f"all recipes of {name} are left out: they alone would take up to {alone}"
    if (side := after.images.side_px) != before.images.side_px:
        yield f"images.side_px is {side}, not {before.images.side_px}: finer detail is not seen"
    if (folds := after.split.folds) != before.split.folds:
        share = _tested(plan) / _tested(asked)
        yield f"split.folds is {folds}, not {before.split.folds}: {share:.0%} as many test cases, wider intervals"
    for key, epochs, asked_for in (
        ("training.max_epochs", after.training.max_epochs, before.training.max_epochs),
        ("cvae.max_epochs", after.cvae.max_epochs, before.cvae.max_epochs),
    ):
        if epochs != asked_for and (key[:4] != "cvae" or "cvae" in names):
            yield f"{key} is {epochs}, not {asked_for}: a network that still learns then is cut short"


def _tested(plan: Plan) -> int:
    return len({case_id for split in plan.splits for case_id in split.test})


def _too_little(budget: Budget, smallest: Plan, spent: float) -> Problem:
    settings = smallest.settings
    backbones = ", ".join(dict.fromkeys(one.backbone for recipe in parse_recipes(settings) for one in recipe.networks))
    folds, side = len(smallest.splits), settings.images.side_px
    epochs = settings.training.resolved().max_epochs
    plan = f"{backbones} on {folds} split{'s' * (folds > 1)}, {side} px, {epochs} epochs"
    enough = int((smallest.seconds + spent) / (1 - RESERVE) / 60) + 1
    named = [option for name, option in OPTIONS.items() if name in budget.named]
    release = f", or do not name {', '.join(named)} yourself" if named else ""
    if (taught := sum(smallest.teaching.values())) > smallest.seconds / 2:
        release += f"; {duration(taught)} of it go into teaching textures, which weight files make needless (--weights)"
    return Problem(
        "--budget",
        "even the smallest plan takes longer",
        f"up to {duration(smallest.seconds)} ({plan})",
        f"at most {duration(budget.seconds * (1 - RESERVE))}, as a part of the {duration(budget.seconds)} is kept back",
        f"Give at least --budget {enough}m{release}.",
    )
