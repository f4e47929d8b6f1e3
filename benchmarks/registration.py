"""How well a movement between T1 and T2 is undone, how often it helps, and how often one is invented.

Synthetic patients with T1 and T2 on different grids, of which T2 is then moved by a known rigid movement. The error is
how far the lesion's centre and four places 30 mm around it, in the plane of the slices, lie from where they belong.

    python benchmarks/registration.py --pairs 40
"""

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from rarelesion.anatomy import SUBTYPES, Patient, draw_patient
from rarelesion.phantom import Grid, acquire, draw_image
from rarelesion.registration import Alignment, align
from rarelesion.types import Floats, Image

LIMITS = (20.0, 15.0)


@dataclass(frozen=True, slots=True)
class Movement:
    """One kind of movement and of stack."""

    name: str
    slices: tuple[int, int]
    shift_mm: tuple[float, float]
    degrees: float = 0.0
    in_plane: bool = True
    along_slices_mm: float = 0.0


KINDS = (
    Movement("none, 3 to 7 thick slices", (3, 7), (0, 0)),
    Movement("none, 12 to 20 slices", (12, 20), (0, 0)),
    Movement("3 to 10 mm, 3 to 7 thick slices", (3, 7), (3, 10)),
    Movement("3 to 10 mm and up to 5 degrees, 3 to 7 thick slices", (3, 7), (3, 10), 5),
    Movement("1 to 3 mm, 3 to 7 thick slices", (3, 7), (1, 3)),
    Movement("3 to 10 mm and up to 5 degrees in all directions, 12 to 20 slices", (12, 20), (3, 10), 5, False),
    Movement("4 mm along the slices only, 3 to 7 thick slices", (3, 7), (0, 0), 0, True, 4),
)


def main() -> None:
    """Print the table, one kind of movement a row."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=40, help="pairs of sequences for each kind of movement")
    pairs = parser.parse_args().pairs
    print(
        "| movement of the patient | pairs | used | error before (mm) | after, where used | 95 % of these below | s |"
    )
    print("|---|---|---|---|---|---|---|")
    for kind in KINDS:
        rows = list(trials(kind, pairs))
        used = [row for row in rows if row[0].helps]
        before = np.mean([row[1] for row in rows])
        after = [row[2] for row in used]
        figures = f"{np.mean(after):.2f} | {np.percentile(after, 95):.2f}" if used else "- | -"
        seconds = np.mean([row[3] for row in rows])
        print(f"| {kind.name} | {pairs} | {len(used)} | {before:.2f} | {figures} | {seconds:.1f} |", flush=True)


def trials(kind: Movement, pairs: int) -> Iterator[tuple[Alignment, float, float, float]]:
    """What was found, the error before and after, and the seconds it took."""
    for number in range(pairs):
        rng = np.random.default_rng([11, KINDS.index(kind), number])
        patient = draw_patient(list(SUBTYPES)[number % len(SUBTYPES)], rng)
        fixed, moving = acquired(patient, kind, rng)
        true = drawn_movement(kind, patient, moving, rng)
        started = time.perf_counter()
        found = align(fixed, Image(moving.pixels, "T2", true @ moving.affine), *LIMITS)
        seconds = time.perf_counter() - started
        yield found, error_mm(np.eye(4), true, patient), error_mm(found.matrix, true, patient), seconds


def acquired(patient: Patient, kind: Movement, rng: np.random.Generator) -> tuple[Image, Image]:
    """T1 and T2 of different matrix and origin, their slices at other places by up to a fifth of their distance."""
    slices = int(rng.integers(kind.slices[0], kind.slices[1] + 1))
    step = float(rng.uniform(4, 7) if slices < 8 else rng.uniform(3, 5))
    images = []
    for sequence in ("T1", "T2"):
        matrix = int(rng.choice([256, 288, 320]))
        pixel = (2 * max(patient.half_axes) + rng.uniform(15, 50)) / matrix
        affine = np.diag([pixel, pixel, step, 1.0])[:, [2, 1, 0, 3]]
        middle = np.array([*rng.normal(0, 2, 2), patient.lesion.centre[2] + rng.uniform(-0.1, 0.1) * step])
        affine[:3, 3] = middle - affine[:3, :3] @ ((np.array([slices, matrix, matrix]) - 1) / 2)
        grid = Grid((slices, matrix, matrix), affine)
        noise = 0.045 * float(np.exp(0.25 * rng.standard_normal()))
        pixels = acquire(draw_image(patient, sequence, grid), grid, 800.0, noise, 0.1, rng)
        images.append(Image(pixels.astype(np.float32), sequence, affine))
    return images[0], images[1]


def drawn_movement(kind: Movement, patient: Patient, image: Image, rng: np.random.Generator) -> Floats:
    """A rigid movement about the lesion."""
    direction, turn = rng.standard_normal(3), rng.uniform(-1, 1, 3) * kind.degrees
    if kind.in_plane:
        direction[2], turn[:2] = 0, 0
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", turn, degrees=True).as_matrix()
    shift = direction / np.linalg.norm(direction) * rng.uniform(*kind.shift_mm)
    shift = shift + np.array([0, 0, kind.along_slices_mm])
    matrix[:3, 3] = patient.lesion.centre - matrix[:3, :3] @ patient.lesion.centre + shift
    return matrix


def error_mm(found: Floats, true: Floats, patient: Patient) -> float:
    """Mean distance, after both movements, of places in and around the lesion from where they were."""
    around = np.array([[0, 0, 0], [30, 0, 0], [-30, 0, 0], [0, 30, 0], [0, -30, 0]]) + patient.lesion.centre
    places = np.vstack([around.T, np.ones(len(around))])
    return float(np.linalg.norm(((found @ true - np.eye(4)) @ places)[:3], axis=0).mean())


if __name__ == "__main__":
    main()
