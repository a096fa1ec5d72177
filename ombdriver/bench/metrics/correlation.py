"""How much the neighbours in a series resemble each other, and what that does to the variance of its sum. Pure."""

import numpy as np
from numpy.typing import NDArray

MOST_CORRELATED = 0.95
"""A series that is more so has about one independent value; the correlation is not taken as more than this."""

Floats = NDArray[np.float64]


def inflation(residuals: Floats) -> float:
    """How much more the sum of such a series varies than that of independent values: (1 + r) / (1 - r).

    r is the correlation of neighbours, corrected for its bias in short series, which is some -(2 + 4r) / n.

    Args:
        residuals: what is left of the series without its level or trend, of shape (n,); more than 4 values.
    """
    n = len(residuals)
    centred = residuals - residuals.mean()
    power = float((centred * centred).sum())
    if power <= 1e-12 * float((residuals * residuals).sum()):  # rounding is no correlation
        return 1.0
    found = float((centred[1:] * centred[:-1]).sum()) / power
    correlation = min(max((n * found + 2) / (n - 4), 0.0), MOST_CORRELATED)
    return (1 + correlation) / (1 - correlation)
