"""What a study is going to do and how long that takes, in the words shown before it starts."""

from collections.abc import Iterator

from rarelesion.budget import duration
from rarelesion.learning_curve import curve_names
from rarelesion.planning import Plan, most_epochs, parse_recipes
from rarelesion.types import PARTS


def plan_text(plan: Plan) -> str:
    """Lines that say what is trained on what, how long each part takes, and what a budget has changed."""
    return "\n".join([*_work(plan), *_times(plan), *_changes(plan)])


def _work(plan: Plan) -> Iterator[str]:
    settings, side = plan.settings, plan.settings.images.side_px
    n_cases = len({case_id for split in plan.splits for part in PARTS for case_id in getattr(split, part)})
    yield f"Plan: {n_cases} cases, {_splits(plan)}; {_sizes(plan)}"
    made = plan.n_networks - len(plan.left)
    also = f", {made} of them made already" if made else ""
    yield f"  {_count(len(parse_recipes(settings)), 'recipe')} from {_count(plan.n_networks, 'network')}{also}"
    if names := curve_names(settings):
        count = sum(bool(job.subset) for job in plan.left)
        yield f"  learning curve of {', '.join(names)}: {_count(count, 'network')} of those left, on fewer cases each"
    profile, batch = settings.training.profile, settings.training.batch_size
    yield f"  patches of {side} x {side} px, {_epochs(plan)}, profile {profile}, batches of {batch}"
    precision = settings.training.precision or "precision as the processor has it"
    yield f"  {_count(plan.workers, 'network')} at a time, {precision}{_measured(plan)}"


def _splits(plan: Plan) -> str:
    repeats = len({split.repeat for split in plan.splits})
    return _count(len(plan.splits) // repeats, "fold") + f" x {repeats} repeats" * (repeats > 1)


def _sizes(plan: Plan) -> str:
    """How many cases are in each part, from the least to the most of all splits."""
    words = []
    for part in PARTS:
        sizes = sorted(len(getattr(split, part)) for split in plan.splits)
        words.append(f"{sizes[0]} to {sizes[-1]} {part}" if sizes[0] < sizes[-1] else f"{sizes[0]} {part}")
    return ", ".join(words)


def _epochs(plan: Plan) -> str:
    most = {job.backbone == "cvae": most_epochs(job, plan.settings) for job in plan.left if not job.frozen}
    if not most:
        return "nothing to be trained"
    number = most.get(False, most.get(True))
    assert number is not None
    also = f" (CVAE: {most[True]})" if most.get(True, number) != number else ""
    return f"at most {_count(number, 'epoch')}{also}"


def _measured(plan: Plan) -> str:
    if "bfloat16" not in plan.measured:
        return ""
    half, full = (
        sum(plan.measured[precision].get(job.backbone, 0.0) for job in plan.left)
        for precision in ("bfloat16", "float32")
    )
    return f" (measured: bfloat16 takes {half / full:.2f} of the time of float32)"


def _times(plan: Plan) -> Iterator[str]:
    """A line for each kind of network, the longest first, and for what is done besides."""
    yield "Time on this machine, measured just now, if no network stops early:"
    rows = [
        (f"{name}, {_count(count, 'network')}", seconds)
        for name, (count, seconds) in sorted(plan.shares().items(), key=lambda item: -item[1][1])
    ]
    others = {f"teaching {name} textures first": seconds for name, seconds in plan.teaching.items()}
    rows += [(name, seconds) for name, seconds in (others | {"detectors": plan.detecting}).items() if seconds >= 1]
    rows.append(("in all, at most", plan.seconds))
    width = max(len(name) for name, _ in rows)
    yield from (f"  {name:<{width}}  {duration(seconds):>12}" for name, seconds in rows)
    if any(most_epochs(job, plan.settings) > plan.settings.training.patience for job in plan.left):
        yield "  Usually it is less: a network stops where it no longer gets better on the tuning cases."
    measured = any(recipe.radiomics for recipe in parse_recipes(plan.settings))
    yield f"  Reading {'and measuring ' * measured}the images and writing the report are not counted."


def _changes(plan: Plan) -> Iterator[str]:
    if plan.reason:
        yield plan.reason
    if plan.changes:
        yield "Changed to fit, and nothing that you named:"
        yield from (f"  {change}" for change in plan.changes)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + "s" * (number != 1)
