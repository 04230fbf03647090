"""How much outputs differ from image to image: what a collapse to a constant takes away.

In float64 NumPy, a block of columns at a time, so that wide outputs are never copied as a whole.
"""

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike

_BLOCK = 2**22  # values of a block, 32 MiB
_ROUNDING = 1e-4  # of the root mean square: less than this is no difference between images


def feature_std(features: ArrayLike) -> float:
    """Spread of the directions of features: 0 if all collapsed to one, 1 if evenly spread.

    `sqrt(d) * mean over columns of std(x / ||x||)`. Nonnegative features (after a ReLU or a
    softmax) stay below 1 without any collapse; watch for a fall towards 0.

    Args:
        features: float (rows, d).

    Example:

    >>> feature_std(np.ones((4, 8)))
    0.0
    >>> feature_std(np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])).__round__(6)
    1.0

    Reference: Chen and He 2021, arXiv:2011.10566, section 4.1.
    """
    features = np.asarray(features)
    total = sum(unit.std(axis=0).sum() for unit in direction_blocks(features))
    return float(total / math.sqrt(features.shape[1]))


def mean_cosine(features: ArrayLike) -> float:
    """Mean cosine of the pairs of different rows: 1 if all have one direction, about 0 if spread.

    `(|sum u|^2 - n) / (n (n - 1))` with `u = x / ||x||`, so that no matrix of pairs is formed. Two
    rows of zeros count as equal (1), a row of zeros and another one as unlike (0).

    Args:
        features: float (rows, d), two rows or more.

    Raises:
        ValueError: for a single row.

    Example:

    >>> mean_cosine(np.ones((4, 4))), mean_cosine(np.zeros((4, 8))), mean_cosine(np.eye(3))
    (1.0, 1.0, 0.0)
    """
    features = np.asarray(features)
    rows = len(features)
    if rows < 2:
        raise ValueError(f"A mean cosine needs two rows or more. Received {rows}.")
    zeros = rows - np.count_nonzero(features.any(axis=1))
    total = sum(np.square(unit.sum(axis=0)).sum() for unit in direction_blocks(features))
    total += zeros * (zeros - 1) - (rows - zeros)
    return float(np.clip(total / (rows * (rows - 1)), -1.0, 1.0))


def constant_share(features: ArrayLike) -> float:
    """Share of the columns that are the same for all rows, in [0, 1]; 1 is a full collapse.

    A column counts as constant if its standard deviation is at most 1e-4 of the root mean square
    of all values, so that neither the scale nor rounding decides.

    Args:
        features: float (rows, d).

    Example:

    >>> constant_share(np.array([[1.0, 5.0], [2.0, 5.0]])), constant_share(np.zeros((3, 2)))
    (0.5, 1.0)
    """
    features = np.asarray(features)
    deviations, squares = [], 0.0
    for block in column_blocks(features):
        deviations.append(block.std(axis=0))
        squares += np.square(block).sum()
    size = math.sqrt(squares / features.size)
    return float(np.mean(np.concatenate(deviations) <= _ROUNDING * size))


def column_blocks(features: np.ndarray) -> Iterator[np.ndarray]:
    """Float64 copies of neighboring columns, about 32 MiB each."""
    width = max(1, _BLOCK // max(1, len(features)))
    for begin in range(0, features.shape[1], width):
        yield features[:, begin : begin + width].astype("float64")


def direction_blocks(features: np.ndarray) -> Iterator[np.ndarray]:
    """Blocks of the rows divided by their norms; rows of zeros stay zero."""
    squared = sum(np.square(block).sum(axis=1, keepdims=True) for block in column_blocks(features))
    norms = np.maximum(np.sqrt(squared), np.finfo("float64").tiny)
    for block in column_blocks(features):
        yield block / norms
