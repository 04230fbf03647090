"""Coordinates of wide rows in the space that they span, for what depends on distances alone."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike
from scipy.linalg import lapack
from threadpoolctl import threadpool_limits

from keras_ssl.core.errors import UserError
from keras_ssl.evaluation.rows import Rows, as_rows, gib
from keras_ssl.evaluation.validation import unit_block


def compact(features: ArrayLike | Rows, *, normalize: bool) -> np.ndarray:
    """Rows of no more columns than there are rows, at the same distances from each other.

    Rows that are narrower than that stay as they are. Of others their products are made block by
    block and factored (Cholesky, pivoted), so that 5,000 rows of 65,000 columns are never held.

    Args:
        features: float (N, F), an array or `Rows`.
        normalize: bool. Whether rows are divided by their norms first.

    Returns:
        Float (N, min(N, F) or fewer), in the dtype of the features; not a view of them.

    Raises:
        UserError: for rows of zeros that are to be normalized, or if what is returned needs more
            than `memory` of the rows.

    Example:

    >>> wide = np.random.default_rng(0).normal(size=(4, 50))
    >>> narrow = compact(wide, normalize=False)
    >>> distance = lambda x: np.linalg.norm(x[0] - x[3])
    >>> narrow.shape[1] <= 4, bool(np.isclose(distance(wide), distance(narrow)))
    (True, True)
    """
    rows = as_rows(features)
    count, columns = rows.shape
    if columns <= count:
        _check_memory(rows, rows.nbytes)
        array = np.empty(rows.shape, rows.dtype)
        for some in rows.slices():
            array[some] = _read(rows, some, normalize)
        return array
    # The products, and beside them what they are multiplied from, or the coordinates.
    _check_memory(rows, 2 * 8 * count**2)
    # Around the mean, so that nearly equal rows keep their digits.
    mean = sum(_read(rows, some, normalize).sum(axis=0, dtype="float64") for some in rows.slices())
    mean = (mean / count).astype(rows.dtype)
    products = row_products(rows, lambda some: tf.constant(_read(rows, some, normalize) - mean))
    return _factor(products, np.finfo(rows.dtype).eps, rows.dtype)


def _read(rows, some, normalize):
    return unit_block(rows, some, "features", "normalize=False") if normalize else rows[some]


def _check_memory(rows, needed):
    if needed > rows.memory:
        raise UserError(
            f"Distances of {len(rows):,} rows of {rows.shape[1]:,} features need {gib(needed)}; "
            f"{gib(rows.memory)} is the limit (evaluation.memory)."
        )


def row_products(rows: Rows, read: Callable) -> np.ndarray:
    """The lower triangle of the products of all pairs of rows, float64 (N, N) in Fortran's order.

    Args:
        rows: `Rows`, or anything with a length, `nbytes`, `memory` and `slices()`.
        read: function of such a slice -> tensor (B, F) of what is multiplied.
    """
    products = np.zeros((len(rows), len(rows)), order="F")
    slices = list(rows.slices())
    size = max(1, int(min(rows.memory / 2 / (rows.nbytes / len(slices)), len(slices))))
    held = {}
    for start in range(0, len(slices), size):
        chunk = slices[start : start + size]
        held.clear()  # before others are read, so that there are never two chunks
        held.update((some.start, read(some)) for some in chunk)
        for others in slices[: start + size]:
            block = held[others.start] if others.start in held else read(others)
            for some in chunk:
                if some.start >= others.start:
                    part = tf.matmul(held[some.start], block, transpose_b=True)
                    products[some, others] = part.numpy()
    return products


def _factor(products, epsilon, dtype):
    """Z (N, rank) whose products Z Z^T these are, which it overwrites.

    Rounding counts as no dimension.
    """
    largest = products.diagonal().max()
    with threadpool_limits(1):  # the same bits on any number of cores
        factor, pivots, rank, _ = lapack.dpstrf(
            products, tol=10 * epsilon * largest, lower=1, overwrite_a=1
        )
    rank = rank if largest > 0 else 1
    coordinates = np.zeros((len(factor), rank), dtype)
    for column in range(rank if largest > 0 else 0):  # below the diagonal; no copy of all
        coordinates[pivots[column:] - 1, column] = factor[column:, column]
    return coordinates
