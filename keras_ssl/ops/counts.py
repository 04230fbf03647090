"""How evenly counts are spread: entropy, and the number of equal ones that would have it."""

import numpy as np
from numpy.typing import ArrayLike


def entropy_of_counts(counts: ArrayLike, axis: int | None = -1) -> np.ndarray:
    """`-sum p log p` in nats, of counts divided by their sum; 0 for zeros alone.

    Args:
        counts: numbers >= 0, such as counts or probabilities.
        axis: int, or None for all axes together.

    Returns:
        float64, without the axis: from 0 to the log of the number of cells.

    Example:

    >>> entropy_of_counts([[5, 5], [7, 0], [0, 0]]).round(3).tolist()
    [0.693, 0.0, 0.0]
    """
    counts = np.asarray(counts, "float64")
    total = counts.sum(axis=axis, keepdims=True)
    share = counts / np.where(total > 0, total, 1.0)
    return 0.0 - (share * np.log(np.where(share > 0, share, 1.0))).sum(axis=axis)


def effective_number(counts: ArrayLike, axis: int | None = -1) -> np.ndarray:
    """`exp(entropy_of_counts)`: k for k equal counts among zeros, 1 for zeros alone.

    Example:

    >>> effective_number([3, 3, 0]).round(6).tolist()
    2.0
    """
    return np.exp(entropy_of_counts(counts, axis))
