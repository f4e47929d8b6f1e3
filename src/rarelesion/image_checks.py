"""What is suspicious with single images and marks of a cohort, most of it by what is usual among the others."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from rarelesion.case_facts import CaseFacts, ImageFacts, Mark
from rarelesion.errors import Problem
from rarelesion.findings import found
from rarelesion.types import CLASSES, Finding, Roi

SMALLEST_LESION_PX = 8
LARGEST_SHARE = 0.85
"""Of its slice: a ROI that covers more is hardly a lesion."""
LARGEST_MASK_SHARE = 0.6
FARTHEST_PIECE = 0.5
LARGEST_DISTANCE_MM = 10.0
"""Between the middles of two marks of one lesion, or half its length if that is more."""
MOST_CLIPPED, CLIPPED_OTHERS = 0.02, 4.0
"""Share of clipped pixels, and how many times what is usual among the others."""
MOST_FLAT = 0.97
BLOCKY, BLOCKY_OTHERS = 1.35, 8.0
"""Steps at the borders of blocks, and by how many spreads more than usual."""
MOST_TEXTS = 10
"""Images with burnt-in text that are named one by one."""
FEW = 0.2
"""What fewer of a sequence's images have is unusual."""
FEWEST = 5
"""With fewer images nobody knows what is usual."""


def at(facts: CaseFacts, sequence: str) -> str:
    """The place of an image, as every finding names it."""
    return f"case {facts.case.case_id}, {sequence}"


def check_marks(facts: CaseFacts) -> Iterator[Finding]:
    """Findings about the masks and boxes of one case."""
    case_id = facts.case.case_id
    for sequence, mark in facts.marks.items():
        for code, message in _mark_messages(mark):
            yield found(code, at(facts, sequence), message, [case_id])
    yield from _places_apart(facts)


def _mark_messages(mark: Mark) -> Iterator[tuple[str, str]]:
    place = mark.place
    if place.length_px < SMALLEST_LESION_PX:
        yield "RL104", f"the lesion is {place.length_px} pixels long; little can be seen of it"
    if place.share > (LARGEST_SHARE if mark.mask_size is None else LARGEST_MASK_SHARE):
        yield "RL105", f"the ROI covers {place.share:.0%} of its slice"
    elif place.touches_border:
        sides = ("top", "left", "bottom", "right")
        limits = (0, 0, *place.size)
        touched = [side for side, end, limit in zip(sides, place.box, limits, strict=True) if end == limit]
        yield "RL106", f"the ROI touches the {' and '.join(touched)} of the image"
    if place.gap > FARTHEST_PIECE:
        message = f"{place.pieces} pieces; the farthest lies {place.gap:.1f} times the length of the largest away"
        yield "RL107", message
    if mark.values > 1:
        yield "RL108", f"{mark.values} different values beside 0, all taken as lesion"


def _places_apart(facts: CaseFacts) -> Iterator[Finding]:
    """Marks of several sequences that lie apart in the patient's coordinates."""
    marked = [(name, mark.place) for name, mark in facts.marks.items() if mark.place.centre_mm is not None]
    for (first, one), (second, other) in pairwise(marked):
        assert one.centre_mm is not None
        assert other.centre_mm is not None
        apart = float(np.linalg.norm(one.centre_mm - other.centre_mm))
        if apart > max(LARGEST_DISTANCE_MM, max(one.length_mm, other.length_mm) / 2):
            message = f"the lesion marked on {first} lies {apart:.0f} mm from that on {second}"
            yield found("RL110", at(facts, second), message, [facts.case.case_id])


def as_finding(problem: Problem, facts: CaseFacts) -> Finding:
    """Why a case cannot be cut; a box with rows and columns exchanged has a code of its own."""
    case_id = facts.case.case_id
    for sequence, roi in facts.case.rois.items():
        if not isinstance(roi, Roi) or problem.where != at(facts, sequence) or "outside" not in problem.what:
            continue
        if roi.box is not None and _fits_exchanged(roi, facts.images.get(sequence)):
            row0, col0, row1, col1 = roi.box
            message = f"the box {row0} {col0} {row1} {col1} lies outside the image, {col0} {row0} {col1} {row1} inside"
            return found("RL109", problem.where, message, [case_id])
    return problem_finding("RL101", problem, [case_id])


def problem_finding(code: str, problem: Problem, cases: Sequence[str] = ()) -> Finding:
    """A problem as a finding, an error."""
    message = str(replace(problem, remedy="")).removeprefix(f"{problem.where}: ").removesuffix(".")
    return found(code, problem.where, message, cases, problem.remedy or None, "error")


def _fits_exchanged(roi: Roi, image: ImageFacts | None) -> bool:
    if roi.box is None or image is None:
        return False
    _, _, row1, col1 = roi.box
    _, rows, columns = image.size
    return (row1 > rows or col1 > columns) and col1 <= rows and row1 <= columns


# --- against the others of a sequence --------------------------------------------------------------------------------


def check_greys(sequence: str, cases: Sequence[CaseFacts]) -> Iterator[Finding]:
    """Findings about the greys and files of one sequence, of the cases that have it."""
    facts = [case for case in cases if sequence in case.images]
    images = [case.images[sequence] for case in facts]
    rules = (_flat, _clipped, _eight_bits, _coloured, _lossy)
    for code, messages in (pair for rule in rules for pair in (rule(images),)):
        for case, message in zip(facts, messages, strict=True):
            if message:
                yield found(code, at(case, sequence), message, [case.case.case_id])


def check_text(sequence: str, cases: Sequence[CaseFacts]) -> Iterator[Finding]:
    """Findings about text burnt into the images of one sequence: each, or where there are many, all in one."""
    marked = [case for case in cases if sequence in case.images and case.images[sequence].text]
    names = [case.case.case_id for case in marked]
    if len(marked) > MOST_TEXTS:
        counts = []
        for label, name in enumerate(CLASSES[:2]):
            of_class = [case for case in cases if sequence in case.images and case.case.label == label]
            counts.append(f"{sum(case.images[sequence].text > 0 for case in of_class)} of {len(of_class)} {name}")
        yield found("RL114", sequence, f"in {len(marked)} images ({', '.join(counts)})", names)
        return
    for case in marked:
        places = case.images[sequence].text
        message = f"letters or marks in {places} place{'s' * (places > 1)} of the slice"
        yield found("RL114", at(case, sequence), message, [case.case.case_id])


Messages = tuple[str, list[str]]
"""A code, and for each image what is to be said; nothing where there is nothing."""


def _flat(images: Sequence[ImageFacts]) -> Messages:
    shares = [image.traits.flat for image in images]
    return "RL117", [f"{share:.0%} of the slice has one value" if share > MOST_FLAT else "" for share in shares]


def _clipped(images: Sequence[ImageFacts]) -> Messages:
    shares = np.array([0.0 if image.traits.flat > MOST_FLAT else image.traits.clipped for image in images])
    limit = max(MOST_CLIPPED, CLIPPED_OTHERS * float(np.quantile(shares, 0.9))) if shares.size >= FEWEST else 1.0
    return "RL112", [f"{share:.1%} of the slice has the brightest value" if share > limit else "" for share in shares]


def _eight_bits(images: Sequence[ImageFacts]) -> Messages:
    few = [image.traits.eight_bits or (image.file is not None and image.file.bits <= 8) for image in images]
    return "RL113", _rare(few, "256 greys; most others of the sequence have more")


def _coloured(images: Sequence[ImageFacts]) -> Messages:
    return "RL115", _rare([image.coloured for image in images], "in colour; most others of the sequence are grey")


def _lossy(images: Sequence[ImageFacts]) -> Messages:
    blocks = np.array([image.traits.blocks for image in images])
    usual = float(np.median(blocks)) if blocks.size else 1.0
    spread = 1.4826 * float(np.median(np.abs(blocks - usual))) if blocks.size else 1.0
    blocky = (blocks > BLOCKY) & (blocks > usual + BLOCKY_OTHERS * spread)
    lossy = [image.file is not None and image.file.lossy for image in images]
    named = _rare(lossy, "compressed with losses; most others of the sequence are not")
    seen = _rare(blocky.tolist(), "shows the blocks of a JPEG, and most others of the sequence do not")
    return "RL116", [one or other for one, other in zip(named, seen, strict=True)]


def _rare(flags: Sequence[bool], message: str) -> list[str]:
    """The message where a flag is set that few images have."""
    unusual = len(flags) >= FEWEST and sum(flags) <= FEW * len(flags)
    return [message if flag and unusual else "" for flag in flags]
