"""The digital phantom of the IBSI (CC BY 4.0, github.com/theibsi/data_sets): four slices of 4 x 5, 0 outside it."""

import numpy as np

PHANTOM = np.array(
    [
        [[1, 4, 4, 1, 1], [1, 4, 6, 1, 1], [4, 1, 6, 4, 1], [4, 4, 6, 4, 1]],
        [[1, 4, 4, 1, 1], [1, 1, 6, 1, 1], [0, 1, 3, 1, 1], [4, 4, 6, 1, 1]],
        [[1, 4, 4, 0, 0], [1, 1, 1, 1, 1], [1, 1, 0, 1, 1], [1, 1, 6, 1, 1]],
        [[1, 4, 4, 0, 0], [1, 1, 1, 1, 1], [1, 1, 1, 1, 1], [1, 1, 6, 1, 1]],
    ]
)


def as_published(value: float, published: float) -> bool:
    """Whether a value is what the reference manual prints, to its three digits."""
    return bool(np.isclose(float(f"{value:.3g}"), published, rtol=1e-9))
