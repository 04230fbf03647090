"""Rows of matrices: some of them, in blocks, or divided by their lengths; NumPy."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike

from keras_ssl.core.errors import UserError

_PRODUCTS = 2**24  # values of a product that are held together: 64 MiB in float32


def as_matrix(array: ArrayLike, name: str) -> np.ndarray:
    """A matrix in float32 or float64.

    Raises:
        UserError: if it is none, or empty.

    Example:

    >>> as_matrix([[1, 2]], "codes").dtype
    dtype('float64')
    """
    array = np.asarray(array)
    if array.ndim != 2 or not array.size:
        raise UserError(f"The {name} must be a matrix that is not empty, not {array.shape}.")
    return _floats(array)


def unit_rows(rows: ArrayLike) -> np.ndarray:
    """Rows divided by their lengths; rows that are zero or not finite become zero.

    Args:
        rows: (rows, columns), of any scale.

    Returns:
        The same in float32 if it was that, else in float64.

    Example:

    >>> unit_rows([[3.0, 4.0], [0.0, 0.0], [np.nan, 1.0]]).tolist()
    [[0.6, 0.8], [0.0, 0.0], [0.0, 0.0]]
    """
    rows = _floats(np.asarray(rows))
    finite = np.isfinite(rows).all(axis=1, keepdims=True)
    rows = rows if finite.all() else np.where(finite, rows, rows.dtype.type(0))
    largest = np.abs(rows).max(axis=1, keepdims=True, initial=0.0)
    # By a power of two, which rounds nothing, so that no square overflows or underflows.
    rows = np.ldexp(rows, -np.frexp(largest)[1])
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    rows /= np.where(lengths > 0, lengths, 1.0)
    return rows


def some_rows(count: int, most: int, seed: int = 0) -> np.ndarray:
    """Sorted numbers of `most` of `count` rows drawn at random, or of all if those are fewer.

    Example:

    >>> some_rows(3, most=5)
    array([0, 1, 2])
    """
    return np.sort(np.random.RandomState(seed).permutation(count)[:most])


def spaced(rows: np.ndarray, most: int) -> np.ndarray:
    """At most `most` rows, evenly spaced, the first among them.

    Example:

    >>> spaced(np.arange(10), 3).tolist()
    [0, 3, 6]
    """
    if len(rows) <= most:
        return rows
    return rows[np.arange(most) * len(rows) // most]


def blocks(count: int, size: int) -> Iterator[slice]:
    """Slices of at most `size` rows that follow each other, of `count` rows.

    Example:

    >>> [len(np.arange(5)[rows]) for rows in blocks(5, 2)]
    [2, 2, 1]
    """
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))


def rows_at_once(columns: int, most: int) -> int:
    """Rows of a product of so many columns that are held together, at most `most`.

    Example:

    >>> rows_at_once(16384, 256), rows_at_once(131072, 256)
    (256, 128)
    """
    return max(min(most, _PRODUCTS // columns), 1)


def _floats(array):
    return array if array.dtype in ("float32", "float64") else array.astype("float64")
