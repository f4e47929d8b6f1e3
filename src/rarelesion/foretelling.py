"""What `rarelesion plan` says, in words."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from rarelesion.prospect import LIKENESS, READER, SHARE, WANTED_WIDTH, Prospect
from rarelesion.sizing import Width
from rarelesion.tables import format_share


def prospect_text(prospect: Prospect) -> str:
    """The lines to print."""
    return "\n".join([*_counts(prospect), *_widths(prospect), *_changes(prospect), *_enough(prospect)])


def prospect_json(prospect: Prospect) -> dict[str, Any]:
    """The same as plain values; widths go from the lower to the upper end, in 0..1."""
    return asdict(prospect)


def _counts(prospect: Prospect) -> Iterator[str]:
    counts = prospect.counts
    yield f"{counts.malignant} malignant and {counts.benign} benign cases of {counts.patients} patients."
    folds = f"In {counts.folds} folds" if counts.folds > 1 else "In one split"
    yield f"{folds} {counts.tested_malignant} malignant and {counts.tested_benign} benign cases are tested."


def _widths(prospect: Prospect) -> Iterator[str]:
    yield ""
    level = f"{100 * prospect.confidence:g} %"
    yield f"If the ROC-AUC is {format_share(prospect.auc)}, the {level} intervals will be so wide:"
    yield f"  {'':28}{'on average':>12}{'in 4 of 5 studies at most':>28}"
    for name, width in (
        ("ROC-AUC", prospect.roc_auc),
        ("PR-AUC", prospect.pr_auc),
        (f"sensitivity, if {format_share(SHARE)}", prospect.sensitivity),
        (f"specificity, if {format_share(SHARE)}", prospect.specificity),
    ):
        yield f"  {name:28}{format_share(width.mean):>12}{format_share(width.limit):>28}"
    yield f"  {_verdict(prospect.roc_auc)}"


def _verdict(width: Width) -> str:
    if width.mean > 0.3:
        return "So wide an interval holds both useful and useless: such a study decides nothing."
    if width.mean > 0.15:
        return "That is wide: it tells good from bad, but not good from very good."
    return "That is narrow enough to say something."


def _changes(prospect: Prospect) -> Iterator[str]:
    visible = [one for one in prospect.changes if format_share(one.before) != format_share(one.after)]
    if visible:
        yield ""
        yield "What would narrow the interval of the ROC-AUC (by a closed form, a little more hopeful than the above):"
        width = max(len(change.what) for change in visible)
        for change in visible:
            yield f"  {change.what:<{width}}  {format_share(change.before)} to {format_share(change.after)}"


def _enough(prospect: Prospect) -> Iterator[str]:
    yield ""
    narrow, beat = prospect.narrow, prospect.beat_reader
    yield (
        f"For an interval no wider than {format_share(WANTED_WIDTH)}: {narrow.malignant} malignant and {narrow.benign} "
        "benign tested cases."
    )
    if beat is not None:
        yield (
            f"To show an area larger by {format_share(READER)} than a reader's on the same cases (power .80, scores "
            f"that correlate by {format_share(LIKENESS)}): {beat.malignant} malignant and {beat.benign} benign ones."
        )
    yield "Scores are taken to be normal with equal spread in both classes."
    yield "More training cases may raise the area itself: that is not counted."
