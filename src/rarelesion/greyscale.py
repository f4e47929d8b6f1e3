"""One scale of greys for scanners that each have their own: landmarks of a slice, brought to those of other slices.

Nyúl & Udupa 1999, doi:10.1002/(SICI)1522-2594(199912)42:6<1072::AID-MRM11>3.0.CO;2-M; Nyúl, Udupa & Zhang 2000,
doi:10.1109/42.836373. Their map from a slice's landmarks to the standard ones is taken in two pieces: first to even
steps, which needs nothing but the slice, then from even steps to the mean landmarks of training cases. Both are
straight between landmarks, so that one after the other is their map.
"""

import numpy as np
from numpy.typing import NDArray

from rarelesion.types import Floats

DECILES = tuple(range(10, 100, 10))
STEPS = np.linspace(0, 1, len(DECILES) + 2)


def landmarks_of(reference: Floats, ends: tuple[float, float]) -> NDArray[np.float64]:
    """(11,) the landmarks of a slice, rising: its percentiles at both `ends`, and the deciles of its foreground.

    Foreground is what is brighter than the mean, as in the paper. `reference` (n,) are all intensities of the slice,
    which may not be of one grey.
    """
    low, high = np.percentile(reference, ends)
    foreground = reference[reference > reference.mean()]
    deciles = np.percentile(foreground, DECILES)
    rising = np.maximum.accumulate(np.clip([low, *deciles, high], low, high))
    # Where several landmarks fall on one grey, as in saturated pictures, they are parted by next to nothing.
    return rising + (high - low) * 1e-6 * np.arange(len(rising))


def to_steps(values: Floats, landmarks: Floats) -> NDArray[np.float64]:
    """Intensities brought to 0..1 so that a slice's landmarks come to lie at even steps; beyond its ends 0 and 1."""
    return np.interp(values, landmarks, STEPS)


def shape_of(landmarks: Floats) -> NDArray[np.float64]:
    """The landmarks (11,) of a slice with its ends at 0 and 1: what is left of them without its units."""
    return (landmarks - landmarks[0]) / (landmarks[-1] - landmarks[0])


def standard_scale(shapes: Floats) -> NDArray[np.float64]:
    """(3, 11) the standard landmarks of each colour: the mean of those of training patches (n, 3, 11)."""
    return np.asarray(shapes, dtype=np.float64).mean(axis=0)
