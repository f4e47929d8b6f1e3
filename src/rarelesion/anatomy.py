"""Synthetic patients: the face at the level of the parotid glands, and one lesion that looks as its subtype does.

Every tissue is a shape in millimetres (x to the left, y to the back, z to the head). What is irregular (bent
outlines, lobules of a gland, margins of a lesion) is a sum of plane waves in patient space.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.floating]

OVERLAP = 0.45
"""How far, from 0 to 1, a lesion may come to look like the other class: the higher, the harder to tell apart."""


@dataclass(frozen=True, slots=True)
class Tissue:
    """An ellipse in the axial plane; signals on a scale on which fat is 1 on T1 and 0.72 on T2."""

    x: float
    y: float
    width: float
    """Half axes in mm; `tilt` turns them, in degrees."""
    depth: float
    t1: float
    t2: float
    grain: float = 0.06
    """Strength of the fine pattern inside: lobules of a gland, strands of a muscle."""
    tilt: float = 0.0
    paired: bool = True
    height: float = 400.0
    """Half axis along z in mm: where the tissue ends above and below."""


MUSCLE, CORTEX, MARROW = (0.40, 0.22, 0.09), (0.06, 0.04, 0.0), (0.80, 0.55, 0.08)  # t1, t2, grain

FACE: tuple[Tissue, ...] = (
    Tissue(0, -34, 33, 36, 0.34, 0.34, paired=False, grain=0.1),  # cheeks' inner lining and floor of the mouth
    Tissue(0, -52, 33, 33, *CORTEX, paired=False),  # jaw arch: cortical bone ...
    Tissue(0, -52, 30, 30, 0.62, 0.42, paired=False, grain=0.25),  # ... its marrow and tooth roots ...
    Tissue(0, -44, 25, 32, 0.30, 0.40, paired=False, grain=0.1),  # ... and the mouth's lining
    Tissue(0, -38, 21, 30, 0.46, 0.36, paired=False, grain=0.13),  # tongue
    Tissue(0, -38, 1.2, 24, 0.75, 0.55, paired=False),  # its fatty septum
    Tissue(0, -2, 22, 11, 0.42, 0.62, paired=False, grain=0.1),  # pharyngeal wall and tonsils
    Tissue(0, -4, 12, 4.5, 0.01, 0.01, paired=False, grain=0.0),  # airway
    Tissue(9, 11, 9, 5, *MUSCLE, tilt=-10),  # longus muscles before the spine
    Tissue(33, -8, 7, 17, *MUSCLE, tilt=-22),  # medial pterygoid
    Tissue(50, -18, 7.5, 21, *MUSCLE, tilt=-14),  # masseter
    Tissue(43, -3, 5.5, 15, *CORTEX, tilt=-16),  # ramus of the mandible
    Tissue(43, -3, 3.2, 12, *MARROW, tilt=-16),
    Tissue(37, 28, 7, 11, *MUSCLE, tilt=30),  # digastric
    Tissue(52, 42, 8, 15, *MUSCLE, tilt=25),  # sternocleidomastoid
    Tissue(57, 16, 11, 19, 0.60, 0.48, tilt=-8, grain=0.14, height=38),  # parotid, superficial lobe
    Tissue(46, 18, 9, 9, 0.60, 0.48, grain=0.14, height=30),  # parotid, deep lobe
    Tissue(49, 13, 2.4, 2.6, 0.10, 0.08, grain=0.0),  # retromandibular vein
    Tissue(32, 4, 5, 6, 0.95, 0.80, tilt=-20),  # parapharyngeal fat
    Tissue(26, 18, 2.6, 2.8, 0.05, 0.03, grain=0.0),  # internal carotid artery
    Tissue(31, 24, 5.2, 4.2, 0.14, 0.12, grain=0.0),  # internal jugular vein
    Tissue(35, 13, 1.6, 1.6, *CORTEX),  # styloid process
    Tissue(21, 32, 10, 9, *CORTEX),  # lateral masses of the atlas
    Tissue(21, 32, 8, 7, *MARROW),
    Tissue(0, 25, 11, 9, *CORTEX, paired=False),  # dens and body of the axis
    Tissue(0, 25, 9.5, 7.5, *MARROW, paired=False),
    Tissue(0, 46, 17, 14, *CORTEX, paired=False),  # vertebral ring
    Tissue(0, 45, 12.5, 10, 0.16, 1.15, paired=False, grain=0.0),  # cerebrospinal fluid
    Tissue(0, 45, 6.5, 4.8, 0.52, 0.42, paired=False, grain=0.03),  # spinal cord
    Tissue(12, 68, 11, 12, *MUSCLE, tilt=10),  # muscles of the neck
    Tissue(30, 58, 14, 9, *MUSCLE, tilt=-35),
    Tissue(30, 71, 17, 6, *MUSCLE, tilt=-32),
)


@dataclass(frozen=True, slots=True)
class Subtype:
    """A histology: how often it occurs in Matsuo et al. 2020 (Table 1), and how its lesions look on average."""

    malignant: bool
    cases: int
    t1: float
    t2: float
    t2_spread: float
    blur_mm: float
    """Width of the margin."""
    lobes: float
    """Strength of smooth lobulation, as a share of the radius."""
    spikes: float
    """The same for fine, irregular outgrowth."""
    mottle: float
    """Strength of the pattern inside."""
    cysts: float
    """Share of the lesion that is cystic or necrotic."""
    cyst_t1: float
    capsule: float
    """Darkness of a thin rim on T2."""
    stretch: float
    """Ratio of length to width."""
    cover_mm: float
    """What is left of skin and fat over the lesion; less than 2 where it reaches the skin."""


SUBTYPES: Mapping[str, Subtype] = {
    "pleomorphic adenoma": Subtype(False, 132, 0.38, 0.95, 0.12, 0.9, 0.13, 0.01, 0.08, 0.04, 0.3, 0.5, 1.15, 5),
    "Warthin tumour": Subtype(False, 29, 0.42, 0.62, 0.13, 0.9, 0.04, 0.01, 0.08, 0.16, 0.75, 0.2, 1.35, 5),
    "other benign": Subtype(False, 29, 0.40, 0.80, 0.18, 1.2, 0.08, 0.02, 0.10, 0.08, 0.4, 0.3, 1.2, 5),
    "mucoepidermoid carcinoma": Subtype(True, 19, 0.40, 0.58, 0.17, 3.4, 0.08, 0.09, 0.20, 0.16, 0.3, 0.0, 1.3, 3),
    "acinic cell carcinoma": Subtype(True, 8, 0.42, 0.66, 0.16, 2.2, 0.11, 0.06, 0.20, 0.14, 0.35, 0.1, 1.2, 4),
    "lymphoma": Subtype(True, 7, 0.44, 0.50, 0.08, 2.6, 0.06, 0.04, 0.05, 0.01, 0.3, 0.0, 1.5, 4),
    "other malignant": Subtype(True, 21, 0.38, 0.50, 0.17, 4.2, 0.08, 0.11, 0.22, 0.18, 0.25, 0.0, 1.4, 2.5),
}
"""Subtype name -> its mean appearance; the shares of the paper's Table 1."""


@dataclass(frozen=True, eq=False, slots=True)
class Waves:
    """A smooth random field of unit variance in patient space: a sum of plane waves."""

    vectors: Field
    """(k, 3) in radians a millimetre."""
    phases: Field


def draw_waves(rng: np.random.Generator, length_mm: float, count: int = 24) -> Waves:
    """Waves of about the given length in random directions."""
    directions = rng.standard_normal((count, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    lengths = length_mm * np.exp(rng.uniform(-0.6, 0.6, (count, 1)))
    return Waves(2 * np.pi * directions / lengths, rng.uniform(0, 2 * np.pi, count))


@dataclass(frozen=True, eq=False, slots=True)
class Lesion:
    """One lesion; lengths in mm, signals on the scale of Tissue."""

    subtype: str
    centre: Field
    radius_mm: float
    axes: Field
    """(3, 3): from patient millimetres to a sphere of radius 1."""
    looks: Subtype
    """The subtype's appearance, varied for this lesion."""
    outline: tuple[Waves, Waves]
    inside: tuple[Waves, Waves]


@dataclass(frozen=True, eq=False, slots=True)
class Patient:
    """A face with its own proportions, and a lesion."""

    tissues: tuple[Tissue, ...]
    half_axes: tuple[float, float]
    fat_mm: float
    bend: tuple[Waves, Waves]
    grain: Waves
    strands: Waves
    lesion: Lesion


def draw_patient(subtype: str, rng: np.random.Generator) -> Patient:
    """Draw a patient with one lesion of the given subtype in the left or right parotid gland.

    Raises KeyError for a subtype that is not in SUBTYPES.
    """
    wide, deep = rng.uniform(0.93, 1.07, 2)
    lesion = _draw_lesion(subtype, SUBTYPES[subtype], rng, wide)
    sided = [(tissue, sign) for tissue in FACE for sign in ((1, -1) if tissue.paired else (1,))]
    tissues = [_vary(tissue, sign, (wide, deep), rng) for tissue, sign in sided]
    return Patient(
        tissues=tuple(tissues),
        half_axes=(72 * wide, 90 * deep),
        fat_mm=float(rng.uniform(3.5, 8)),
        bend=(draw_waves(rng, 55), draw_waves(rng, 55)),
        grain=draw_waves(rng, 4.5, 40),
        strands=draw_waves(rng, 14),
        lesion=lesion,
    )


def _vary(tissue: Tissue, sign: int, scale: tuple[float, float], rng: np.random.Generator) -> Tissue:
    """The same tissue in another person, on the left (sign 1) or the right."""
    shift, size = rng.normal(0, 0.7, 2), rng.normal(1, 0.05, 2)
    return replace(
        tissue,
        x=sign * tissue.x * scale[0] + shift[0],
        y=tissue.y * scale[1] + shift[1],
        width=tissue.width * scale[0] * size[0],
        depth=tissue.depth * scale[1] * size[1],
        t1=tissue.t1 * rng.normal(1, 0.05),
        t2=tissue.t2 * rng.normal(1, 0.08),
        tilt=sign * tissue.tilt + rng.normal(0, 2),
    )


def _slide(mean: Subtype, rng: np.random.Generator) -> Subtype:
    """Looks on the way to the other class: low-grade cancers mimic adenomas, and a few benign lesions cancers."""
    other = SUBTYPES["pleomorphic adenoma" if mean.malignant else "mucoepidermoid carcinoma"]
    share = OVERLAP * rng.beta(1.0, 1.0 if mean.malignant else 5.0)
    looks = [item.name for item in fields(Subtype) if item.name not in ("malignant", "cases")]
    return replace(mean, **{name: (1 - share) * getattr(mean, name) + share * getattr(other, name) for name in looks})


def _draw_lesion(name: str, mean: Subtype, rng: np.random.Generator, wide: float) -> Lesion:
    mean, spread = _slide(mean, rng), rng.standard_normal(8)
    looks = replace(
        mean,
        t1=mean.t1 + 0.04 * spread[0],
        t2=max(mean.t2 + mean.t2_spread * spread[1], 0.25),
        blur_mm=mean.blur_mm * np.exp(0.45 * spread[2]),
        lobes=mean.lobes * np.exp(0.4 * spread[3]),
        spikes=mean.spikes * np.exp(0.4 * spread[4]),
        mottle=mean.mottle * np.exp(0.4 * spread[5]),
        cysts=mean.cysts * rng.uniform(0, 2),
        cyst_t1=mean.cyst_t1 * np.exp(0.2 * spread[6]),
        capsule=mean.capsule * rng.uniform(0, 1.6),
        stretch=max(mean.stretch + 0.15 * spread[7], 1.0),
        cover_mm=mean.cover_mm * rng.uniform(0.5, 1.5),
    )
    radius = float(np.clip(12.5 * np.exp(0.28 * rng.standard_normal()), 6.5, 20))
    side = 1.0 if rng.random() < 0.5 else -1.0
    centre = np.array([side * (54 * wide + rng.normal(0, 2.5)), 15 + rng.normal(0, 5), rng.normal(0, 4)])
    turn, _ = np.linalg.qr(np.eye(3) + 0.35 * rng.standard_normal((3, 3)))
    lengths = radius * np.array([1 / np.sqrt(looks.stretch), np.sqrt(looks.stretch), rng.uniform(0.9, 1.2)])
    lobes, spikes = draw_waves(rng, 1.3 * radius), draw_waves(rng, 5.0, 40)
    inside = draw_waves(rng, 6.0, 40), draw_waves(rng, 0.9 * radius)
    return Lesion(name, centre, radius, turn / lengths[:, None], looks, (lobes, spikes), inside)
