"""Search for the nearest train rows of test rows, in blocks that bound the memory."""

import functools

import numpy as np
import tensorflow as tf

from keras_ssl.core.errors import lookup
from keras_ssl.evaluation.checks import unit_rows

_BLOCK_VALUES = 2**25  # values per temporary: 128 MiB in float32

# value(test (B, 1, D), neighbours (B, k, D)) -> (B, k)
_VALUES = {
    "cosine": lambda a, b: tf.reduce_sum(a * b, axis=-1),
    "euclidean": lambda a, b: tf.sqrt(tf.reduce_sum(tf.math.squared_difference(a, b), axis=-1)),
}


def check_metric(metric):
    """Refuse what is neither "cosine" nor "euclidean".

    Raises:
        UserError: with the name that may have been meant.
    """
    lookup(_VALUES, metric, "metric")


def rows_at_a_time(train_rows, columns, k):
    """Test rows whose similarities to all train rows, and neighbours, are at most 2**25 values.

    One row is the least, whatever the number of train rows.

    Example:

    >>> rows_at_a_time(1_200_000, columns=128, k=200)
    27
    """
    return max(1, _BLOCK_VALUES // max(train_rows, k * columns))


def nearest_blocks(train, test, k, metric, block=None):
    """Yield the `k` train rows nearest to each test row, for some test rows at a time.

    Args:
        train: float (rows, columns).
        test: float (test rows, columns), of the same dtype.
        k: int in [1, train rows].
        metric: "cosine" or "euclidean".
        block: int or None. Test rows at a time; None for `rows_at_a_time`.

    Yields:
        `(rows, values, nearest)`: slice of the test rows, their similarities (cosine) or distances
        (b, k), nearest first, and the positions of the train rows, int32 (b, k); of equally near
        rows the earlier one comes first.

    Raises:
        UserError: for rows of zeros (cosine).
    """
    train, test, offset = _prepared(train, test, metric)
    block = block or rows_at_a_time(*train.shape, k)
    search = _search(metric, train.dtype.name)
    train, neighbours = tf.constant(train), tf.constant(k, tf.int32)
    for start in range(0, len(test), block):
        rows = slice(start, start + block)
        values, nearest = _on_a_device(search, tf.constant(test[rows]), train, offset, neighbours)
        yield rows, values.numpy(), nearest.numpy()


def _on_a_device(search, *arguments):
    """Search where TensorFlow likes to, or on the host if that fails.

    On a GPU `top_k` takes memory that grows with k, and has crashed for a large one.
    """
    try:
        return search(*arguments)
    except (tf.errors.ResourceExhaustedError, tf.errors.InternalError):
        with tf.device("CPU:0"):
            return search(*map(tf.identity, arguments))


@functools.cache
def _search(metric, dtype):
    """Compiled search, one trace for each metric and dtype whatever the number of rows."""
    matrix, vector = tf.TensorSpec([None, None], dtype), tf.TensorSpec(None, dtype)

    @tf.function(input_signature=[matrix, matrix, vector, tf.TensorSpec([], tf.int32)])
    def search(test, train, offset, k):
        closeness = tf.matmul(test, train, transpose_b=True) - offset  # (block, train rows)
        rows = tf.math.top_k(closeness, k).indices
        # Only rows that vote are compared exactly: the large product may round (TF32) or cancel.
        return _VALUES[metric](test[:, None], tf.gather(train, rows)), rows

    return search


def _prepared(train, test, metric):
    """Both parts as the metric compares them, and what `test @ train.T` lacks to rank rows."""
    if metric == "cosine":
        unit = functools.partial(unit_rows, otherwise="metric='euclidean'")
        train, test = unit(train, "train features"), unit(test, "test features")
        return train, test, tf.zeros([], train.dtype)
    # Distances do not change, and around the mean |b|^2 - 2ab loses fewer digits.
    mean = train.mean(axis=0)
    train, test = train - mean, test - mean
    return train, test, tf.constant(0.5 * np.sum(train**2, axis=1))
