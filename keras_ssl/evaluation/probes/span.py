"""Few rows of many columns: their coordinates in the space that they span, by a product of rows.

The solution of a linear classifier with an L2 penalty lies in that space, so that nothing is lost,
and rows that are read a block at a time are read twice: for their products, and for the weights.
"""

import numpy as np
import tensorflow as tf
from scipy.linalg import lapack, solve_triangular
from threadpoolctl import threadpool_limits

from keras_ssl.core.errors import UserError
from keras_ssl.evaluation.coordinates import row_products
from keras_ssl.evaluation.probes.blocks import DenseBlocks

MOST_ROWS = 10_000  # whose products take 763 MiB
_DOUBLE_ROWS = 2_048  # that are multiplied in float64; more take too long
# Of the mean square, added to all: what rounding leaves of directions that are not spanned.
_JITTERS = {"float64": (1e-10, 1e-8, 1e-6), "float32": (1e-4, 1e-3)}


def spans_less(blocks: DenseBlocks) -> bool:
    """Whether coordinates in the span of the rows are fewer than columns, and fit in the memory."""
    rows, columns = blocks.shape
    return rows < columns and rows <= MOST_ROWS and 8 * rows**2 <= blocks.memory / 3


def coordinates(blocks: DenseBlocks) -> np.ndarray:
    """Lower triangular float64 (N, N): rows with the inner products of those of `blocks`.

    They are the coordinates in the basis that a QR decomposition of the rows gives.
    """
    dtype = "float64" if len(blocks) <= _DOUBLE_ROWS else blocks.dtype.name
    for jitter in _JITTERS[dtype]:
        products = row_products(blocks, lambda rows: tf.cast(blocks.tensor(rows), dtype))
        square = np.trace(products) / len(products)
        products[np.diag_indices_from(products)] += jitter * square or 1.0
        # With `overwrite_a` a failure takes the products with it, and spares a copy of them.
        with threadpool_limits(1):  # the same bits on any number of cores
            factor, failed = lapack.dpotrf(products, lower=1, clean=1, overwrite_a=1)
        if not failed:
            return factor
    raise UserError(
        f"The {len(blocks):,} train rows differ too much in size to be fitted: rounding of the "
        "largest exceeds all of the others. Look for rows that are no images."
    )


def in_columns(blocks: DenseBlocks, factor: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weights of the columns of `blocks`, of weights of the coordinates.

    Args:
        blocks: of N rows of F columns.
        factor: `coordinates(blocks)`.
        weights: float64 (N + 1, classes), the intercept last.

    Returns:
        float64 (F + 1, classes).
    """
    of_rows = solve_triangular(factor, weights[:-1], lower=True, trans="T", check_finite=False)
    found = np.zeros((blocks.shape[1] + 1, weights.shape[1]))
    for rows in blocks.slices():
        found[:-1] += _back(blocks.tensor(rows), of_rows[rows]).numpy()
    found[-1] = weights[-1]
    return found


@tf.function(autograph=False, reduce_retracing=True)
def _back(block, of_rows):
    return tf.matmul(tf.cast(block, tf.float64), of_rows, transpose_a=True)
