"""First-order radiomics: how the intensities of a lesion are distributed, wherever in it they lie.

Names and definitions are those of the IBSI reference manual (Zwanenburg et al. 2020, doi:10.1148/radiol.2020191145;
arXiv:1612.07003), sections "intensity-based statistics" and "intensity histogram".
"""

import numpy as np
from numpy.typing import NDArray

from rarelesion.types import Floats, Ints

UNDEFINED = float("nan")
"""What a feature is where the formula divides by nothing: the median of the training cases takes its place later."""


def ratio(part: float, whole: float) -> float:
    """A quotient, undefined where it divides by zero."""
    return float(part / whole) if whole else UNDEFINED


def intensity_statistics(values: Floats) -> dict[str, float]:
    """The distribution of intensities (n,), n at least 1, in their own units; variance without Bessel's correction."""
    mean, spread = float(values.mean()), float(values.std())
    away = values - mean
    low, quarter, middle, three_quarters, high = np.percentile(values, [10, 25, 50, 75, 90]).tolist()
    inner = values[(values >= low) & (values <= high)]
    return {
        "mean_intensity": mean,
        "intensity_variance": spread**2,
        "intensity_skewness": ratio(float(np.mean(away**3)), spread**3),
        "excess_intensity_kurtosis": ratio(float(np.mean(away**4)), spread**4) - 3,
        "median_intensity": middle,
        "10th_intensity_percentile": low,
        "90th_intensity_percentile": high,
        "intensity_interquartile_range": three_quarters - quarter,
        "robust_mean_absolute_deviation": float(np.abs(inner - inner.mean()).mean()),
        "coefficient_of_variation": ratio(spread, mean),
    }


def discretise(values: Floats, bins: int) -> NDArray[np.int64]:
    """Grey levels 1..bins of intensities (n,), in steps of equal width from the lowest on (fixed bin number)."""
    low, high = float(values.min()), float(values.max())
    if high <= low:
        return np.ones(values.shape, dtype=np.int64)
    levels = np.floor(bins * (values - low) / (high - low)).astype(np.int64) + 1
    return np.minimum(levels, bins)


def entropy(shares: Floats) -> float:
    """In bits, of shares that sum to 1, in any shape."""
    held = shares[shares > 0]
    return float(-(held * np.log2(held)).sum())


def histogram_statistics(levels: Ints) -> dict[str, float]:
    """How the grey levels (n,), whole numbers from 1, are shared out."""
    shares = np.bincount(levels) / levels.size
    return {
        "discretised_intensity_entropy": entropy(shares),
        "discretised_intensity_uniformity": float(shares @ shares),
    }
