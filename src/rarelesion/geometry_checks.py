"""What is suspicious with the places, sizes and directions of images and masks in the patient's coordinates."""

from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from rarelesion.case_facts import CaseFacts, ImageFacts, Mark
from rarelesion.findings import found
from rarelesion.image_checks import FEW, FEWEST, at
from rarelesion.types import Finding, Floats

THICKEST_MM = 12.5
OTHER_FIELD, OTHER_STEP = 2.0, 4.0
"""By which factor a field of view, and a slice distance, must differ from the middle one."""
SPREADS = 6.0
LEAST_OVERLAP = 0.5
LEAST_SHOWN = 0.9
"""Of the lesion, in the other sequence."""
OTHER_GRID_MM = 1.0
"""So far may a corner of a mask lie from the same corner of its image, or half a pixel if that is more."""
MOSTLY = 0.9
"""So many images must agree, before another one is unusual."""
PLANES = ("sagittal", "coronal", "axial")


def check_case_geometry(facts: CaseFacts) -> Iterator[Finding]:
    """Findings about one case: masks against their images, sequences against each other."""
    for sequence, mark in facts.marks.items():
        off = _off_its_image(mark, facts.images[sequence])
        if off:
            message = f"as many pixels as its image, and up to {off:.0f} mm away from it"
            yield found("RL404", at(facts, sequence), message, [facts.case.case_id])
    for first, second in combinations(facts.images, 2):
        yield from _apart(facts, first, second)
    yield from _partly_outside(facts)


def _off_its_image(mark: Mark, image: ImageFacts) -> float:
    """How far a corner of the mask's grid lies from the image's, in mm; 0 where they agree or differ in size."""
    if mark.mask_size != image.size or mark.affine is None or image.affine is None:
        return 0.0
    apart = _corners(mark.affine, image.size) - _corners(image.affine, image.size)
    steps = np.linalg.norm(image.affine[:3, 1:3], axis=0)
    largest = float(np.linalg.norm(apart, axis=1).max())
    return largest if largest > max(OTHER_GRID_MM, float(steps.max()) / 2) else 0.0


def _corners(affine: Floats, size: tuple[int, ...]) -> NDArray[np.float64]:
    """(8, 3) in patient millimetres."""
    index = np.array(np.meshgrid(*((0, length - 1) for length in size), indexing="ij")).reshape(3, -1)
    return (affine[:3, :3] @ index + affine[:3, 3:]).T


def _apart(facts: CaseFacts, first: str, second: str) -> Iterator[Finding]:
    one, other = facts.images[first], facts.images[second]
    if one.affine is None or other.affine is None:
        return
    share = max(_covered(one, other), _covered(other, one))
    if share < LEAST_OVERLAP:
        message = f"at most {share:.0%} of the one lies in the field of view of the other ({first})"
        yield found("RL401", at(facts, second), message, [facts.case.case_id])


def _covered(one: ImageFacts, other: ImageFacts) -> float:
    """Which share of the one image lies within the other, half a slice beyond its ends counted in."""
    assert one.affine is not None
    assert other.affine is not None
    grids = (np.linspace(0, length - 1, 9) for length in one.size)
    index = np.array(np.meshgrid(*grids, indexing="ij")).reshape(3, -1)
    points = one.affine[:3, :3] @ index + one.affine[:3, 3:]
    there = np.linalg.solve(other.affine[:3, :3], points - other.affine[:3, 3:])
    limits = np.array(other.size)[:, None]
    return float(np.all((there >= -1) & (there <= limits), axis=0).mean())


def _partly_outside(facts: CaseFacts) -> Iterator[Finding]:
    """A lesion of which another sequence, where it is not marked, shows a part only."""
    donor = next((mark for mark in facts.marks.values() if mark.affine is not None), None)
    for sequence, image in facts.images.items():
        if donor is None or donor.affine is None or sequence in facts.marks or image.affine is None:
            continue
        row0, col0, row1, col1 = donor.place.box
        rows, columns = np.linspace(row0, row1 - 1, 15), np.linspace(col0, col1 - 1, 15)
        index = np.array(np.meshgrid([donor.place.plane], rows, columns, indexing="ij")).reshape(3, -1)
        points = donor.affine[:3, :3] @ index + donor.affine[:3, 3:]
        there = np.linalg.solve(image.affine[:3, :3], points - image.affine[:3, 3:])
        shown = float(np.all((there >= -0.5) & (there <= np.array(image.size)[:, None] - 0.5), axis=0).mean())
        if 0.5 <= shown < LEAST_SHOWN:  # below one half it cannot be cut at all
            yield found("RL111", at(facts, sequence), f"{1 - shown:.0%} of it lies outside", [facts.case.case_id])


# --- against the others of a sequence --------------------------------------------------------------------------------


def check_geometry(sequence: str, cases: Sequence[CaseFacts]) -> Iterator[Finding]:
    """Findings about the geometry of one sequence, of the cases that have it."""
    facts = [case for case in cases if sequence in case.images]
    images = [case.images[sequence] for case in facts]
    kept = [not _is_lost(image.affine) for image in images]
    mostly = sum(kept) >= (1 - FEW) * len(kept) and len(kept) >= FEWEST
    for case, image, good in zip(facts, images, kept, strict=True):
        if mostly and not good:
            what = "no patient coordinates" if image.affine is None else "origin 0, spacing 1 and no rotation"
            yield found("RL405", at(case, sequence), f"{what}, unlike the others", [case.case.case_id])
    real = [(case, image) for case, image, good in zip(facts, images, kept, strict=True) if good]
    for code, where, message, case_id in _sizes(sequence, real):
        yield found(code, where, message, [case_id])
    yield from _directions(sequence, real)


def _is_lost(affine: Floats | None) -> bool:
    """No affine, or the one a program writes that has none; signs and the order of axes don't matter."""
    if affine is None:
        return True
    steps = np.abs(np.asarray(affine[:3, :3]))
    return bool(np.allclose(affine[:3, 3], 0) and np.allclose(steps[steps > 1e-6], 1) and (steps > 1e-6).sum() == 3)


Measured = Sequence[tuple[CaseFacts, ImageFacts]]


def _sizes(sequence: str, real: Measured) -> Iterator[tuple[str, str, str, str]]:
    steps = np.array([np.linalg.norm(image.affine[:3, :3], axis=0) for _, image in real if image.affine is not None])
    if not len(steps):
        return
    sizes = np.array([image.size for _, image in real])
    fields = (steps * sizes)[:, 1:].max(axis=1)
    thick = steps[:, 0]
    deep = sizes[:, 0] > 1
    other_field, other_step = _far(fields, OTHER_FIELD), _far(np.where(deep, thick, np.nan), OTHER_STEP)
    for index, (case, _) in enumerate(real):
        where, case_id = at(case, sequence), case.case.case_id
        if other_field[index]:
            message = f"a field of view of {fields[index]:.0f} mm; the middle one is {np.median(fields):.0f} mm"
            yield "RL403", where, message, case_id
        elif other_step[index]:
            message = f"slices {thick[index]:.1f} mm apart; the middle one is {np.median(thick[deep]):.1f} mm"
            yield "RL403", where, message, case_id
        elif deep[index] and thick[index] > THICKEST_MM:
            yield "RL402", where, f"slices {thick[index]:.1f} mm apart", case_id


def _far(values: NDArray[np.float64], factor: float) -> NDArray[np.bool_]:
    """Which positive values differ from the middle one by a factor, and by many times the usual spread."""
    known = np.log(values[np.isfinite(values)])
    if known.size < FEWEST:
        return np.zeros(values.shape, dtype=bool)
    middle = float(np.median(known))
    spread = 1.4826 * float(np.median(np.abs(known - middle)))
    away = np.abs(np.nan_to_num(np.log(values), nan=middle) - middle)
    return (away > np.log(factor)) & (away > SPREADS * spread)


def _directions(sequence: str, real: Measured) -> Iterator[Finding]:
    if len(real) < 2 * FEWEST:
        return
    affines = [np.asarray(image.affine) for _, image in real]
    # One slice has no direction of its own.
    hands = [np.sign(np.linalg.det(a[:3, :3])) if image.size[0] > 1 else 0.0
             for a, (_, image) in zip(affines, real, strict=True)]  # fmt: skip
    planes = [PLANES[int(np.argmax(np.abs(np.cross(affine[:3, 1], affine[:3, 2]))))] for affine in affines]
    told = [f"{hand:+.0f}" if hand else "" for hand in hands]
    for values, code in ((told, "RL406"), (planes, "RL407")):
        usual = max(sorted(set(values)), key=values.count)
        most = f"{values.count(usual)} of {len(values)}"
        if values.count(usual) < MOSTLY * len(values) or not usual:
            continue
        for (case, _), value in zip(real, values, strict=True):
            if value not in (usual, ""):
                other = f"the coordinates turn the other way round than in {most} images"
                message = other if code == "RL406" else f"{value}; {most} are {usual}"
                yield found(code, at(case, sequence), message, [case.case.case_id])
