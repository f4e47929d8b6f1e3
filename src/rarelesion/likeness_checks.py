"""Which pictures of a cohort are one, and which are unlike all others."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from rarelesion.case_facts import CaseFacts
from rarelesion.duplicates import near_pairs
from rarelesion.findings import found
from rarelesion.image_checks import at
from rarelesion.oddities import contrary, exchange, fit, looks, outliers, turned
from rarelesion.table_checks import listed
from rarelesion.types import Finding, Floats

Image = tuple[CaseFacts, str]
"""A case and one of its sequences."""
MOST_NAMED = 12
SAME_IN_CASE = 0.98
"""Correlation of two sequences' pictures from which they are one."""


def check_copies(cases: Sequence[CaseFacts]) -> Iterator[Finding]:
    """Findings about pictures that occur twice: in two patients, or as two sequences of a case."""
    same = _equal_pairs(cases)
    for names in _joined(same):
        yield _equal(names, cases)
    yield from _near(cases, same)
    for case in cases:
        for first, second in combinations(case.images, 2):
            one, other = case.images[first], case.images[second]
            if one.digest == other.digest or _alike(one.picture, other.picture) > SAME_IN_CASE:
                message = f"shows the same picture as {first}"
                yield found("RL302", at(case, second), message, [case.case.case_id])


Pairs = set[tuple[str, str]]


def _equal_pairs(cases: Sequence[CaseFacts]) -> Pairs:
    """The pairs of cases of different patients with equal pixels or an equal patch."""
    holders: dict[bytes, list[CaseFacts]] = defaultdict(list)
    for case in cases:
        digests = {image.digest for image in case.images.values()} | {case.patch_digest}
        for digest in digests - {b""}:
            holders[digest].append(case)
    return {
        (one.case.case_id, other.case.case_id)
        for group in holders.values()
        for one, other in combinations(group, 2)
        if one.case.patient_id != other.case.patient_id
    }


def _joined(pairs: Pairs) -> list[list[str]]:
    """The pairs as groups of cases that hang together."""
    groups: list[set[str]] = []
    for pair in sorted(pairs):
        touching = [group for group in groups if group & set(pair)]
        groups = [group for group in groups if group not in touching] + [set(pair).union(*touching)]
    return sorted(sorted(group) for group in groups)


def _equal(names: Sequence[str], cases: Sequence[CaseFacts]) -> Finding:
    labels = {case.case.label for case in cases if case.case.case_id in names}
    message = f"the cases {' and '.join(names)} show the same picture, and are of different patients"
    message += ", even of different classes" if len(labels) > 1 else ""
    return found("RL103", f"case {names[0]}", message, names)


def _near(cases: Sequence[CaseFacts], same: Pairs) -> Iterator[Finding]:
    """Pictures that are one though not equal, by their whole slice or by their patch."""
    found_so_far: dict[tuple[str, str], tuple[float, bool, Image, Image]] = {}
    views: tuple[Callable[[CaseFacts, str], NDArray[np.uint8] | None], ...] = (
        lambda case, sequence: case.images[sequence].picture if sequence in case.images else None,
        lambda case, sequence: case.patches.get(sequence),
    )
    for view in views:
        known = [(case, name, view(case, name)) for case in cases for name in case.case.images]
        held = [(case, name, picture) for case, name, picture in known if picture is not None and np.ptp(picture) > 0]
        if not held:
            continue
        pictures = np.stack([picture for *_, picture in held]).astype(np.float32) / 255
        for pair in near_pairs(pictures, [case.case.patient_id for case, *_ in held]):
            one, other = held[pair.first], held[pair.second]
            key = (one[0].case.case_id, other[0].case.case_id)
            if key not in found_so_far or found_so_far[key][0] < pair.agreement:
                found_so_far[key] = (pair.agreement, pair.mirrored, one[:2], other[:2])
    new = {key: one for key, one in found_so_far.items() if key not in same and key[::-1] not in same}
    for names in _joined(set(new)):
        pairs = [one for key, one in new.items() if key[0] in names]
        yield _agreeing(names, max(pairs, key=lambda one: one[0]))


def _agreeing(names: Sequence[str], best: tuple[float, bool, Image, Image]) -> Finding:
    """What is said of cases that hang together by pictures that agree; `best` is the pair that agrees most."""
    agreement, mirrored, (one, first), (other, second) = best
    message = f"agrees with {second} of case {other.case.case_id} in fine detail (correlation {agreement:.2f}"
    message += ", mirrored), and the patients are different" if mirrored else "), and the patients are different"
    message += ", even the classes" if one.case.label != other.case.label else ""
    if len(names) > 2:
        message += f"; {len(names)} cases hang together like this: {listed(names, MOST_NAMED)}"
    return found("RL301", at(one, first), message, names)


def _alike(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float:
    one, other = (picture.astype(np.float64).ravel() for picture in (first, second))
    if one.std() == 0 or other.std() == 0:
        return 0.0
    return float(np.corrcoef(one, other)[0, 1])


def check_oddities(cases: Sequence[CaseFacts], sequences: Sequence[str]) -> Iterator[Finding]:
    """Findings about images that differ from the others as a whole."""
    odd: set[tuple[str, str]] = set()
    for first, second in combinations(sequences, 2):
        yield from _exchanged(cases, first, second, odd)
        yield from _mirrored(cases, first, second, odd)
    for sequence in sequences:
        held = [case for case in cases if sequence in case.images]
        if not held:
            continue
        pictures = _pictures(held, sequence)
        far = outliers(looks(pictures))
        for case, times, upside_down in zip(held, far, contrary(turned(pictures)), strict=True):
            if (case.case.case_id, sequence) in odd:
                continue
            if times > 0:
                message = f"{times:.1f} times as far from its nearest likes as usual"
                yield found("RL306", at(case, sequence), message, [case.case.case_id])
            elif upside_down:
                message = "resembles the other images of the sequence more when turned upside down"
                yield found("RL305", at(case, sequence), message, [case.case.case_id])


def _pictures(cases: Sequence[CaseFacts], sequence: str) -> Floats:
    return np.stack([case.images[sequence].picture for case in cases]).astype(np.float32) / 255


def _exchanged(cases: Sequence[CaseFacts], first: str, second: str, odd: set[tuple[str, str]]) -> Iterator[Finding]:
    held = [case for case in cases if {first, second} <= set(case.images)]
    if not held:
        return
    values = exchange(looks(_pictures(held, first)), looks(_pictures(held, second)))
    for case, one in zip(held, contrary(values), strict=True):
        if one:
            odd |= {(case.case.case_id, first), (case.case.case_id, second)}
            message = f"{first} looks as {second} does in the other cases, and {second} as {first}"
            yield found("RL303", at(case, f"{first} and {second}"), message, [case.case.case_id])


def _mirrored(cases: Sequence[CaseFacts], first: str, second: str, odd: set[tuple[str, str]]) -> Iterator[Finding]:
    held = [case for case in cases if {first, second} <= set(case.images) and _placed(case, first, second)]
    if not held:
        return
    values = np.array([_fit(case, first, second) for case in held])
    for case, one in zip(held, contrary(values), strict=True):
        if one:
            odd |= {(case.case.case_id, first), (case.case.case_id, second)}
            message = f"{first} and {second} lie on top of each other only if one is mirrored from left to right"
            yield found("RL304", at(case, f"{first} and {second}"), message, [case.case.case_id])


def _placed(case: CaseFacts, *sequences: str) -> bool:
    return all(case.images[name].picture_affine is not None for name in sequences)


def _fit(case: CaseFacts, first: str, second: str) -> float:
    one, other = case.images[first], case.images[second]
    assert one.picture_affine is not None
    assert other.picture_affine is not None
    return fit(one.picture / 255.0, one.picture_affine, other.picture / 255.0, other.picture_affine)
