"""The nearest rows of features, read a block at a time and exact whatever the blocks."""

import functools
import math
from collections.abc import Iterator

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from keras_ssl.evaluation import rows as rows_module
from keras_ssl.evaluation.rows import Rows, as_rows
from keras_ssl.evaluation.validation import unit_block
from keras_ssl.layers.code_bits import nearest_codes
from keras_ssl.layers.codes import code_dtype

_TEST_ROWS = 512  # compared at a time with a block of train rows, at most
_PACKED_CODES = 2**28  # of test rows that are compared at a time: 128 MiB of bits

# value(test (P, D), neighbors (P, D)) -> (P,)
VALUES = {
    "cosine": lambda a, b: tf.reduce_sum(a * b, axis=-1),
    "euclidean": lambda a, b: tf.sqrt(tf.reduce_sum(tf.math.squared_difference(a, b), axis=-1)),
}
# value(simplices of L that differ, L) -> that of their one-hot vectors
_CODE_VALUES = {
    "cosine": lambda differ, size: 1 - differ / size,
    "euclidean": lambda differ, _: np.sqrt(2.0 * differ),
}


def nearest_blocks(
    train: ArrayLike | Rows, test: ArrayLike | Rows, k: int, metric: str, block: int | None = None
) -> Iterator[tuple[slice, np.ndarray, np.ndarray]]:
    """Yield the `k` train rows nearest to each test row, for some test rows at a time.

    As many test rows as half of `test.memory` holds are compared with the train rows, block by
    block; only then are the train rows read again. The results are those of any other memory. Of
    one-hot rows (`Rows.codes`) the codes are compared, which is exact at ties.

    Args:
        train: float (rows, columns).
        test: float (test rows, columns).
        k: int in [1, train rows].
        metric: "cosine" or "euclidean".
        block: int or None. Test rows at a time; None for `rows_at_a_time`.

    Yields:
        `(rows, values, nearest)`: slice of the test rows, their similarities (cosine) or distances
        (b, k), nearest first, and the positions of the train rows, int (b, k); of equally near
        rows the earlier one comes first.

    Raises:
        UserError: for rows of zeros, or that are read as no finite numbers (cosine).

    Example:

    >>> train, test = np.eye(3, dtype="float32"), np.array([[0, 2, 1]], "float32")
    >>> [(nearest.tolist(), values.round(1).tolist())
    ...  for _, values, nearest in nearest_blocks(train, test, 2, "cosine")]
    [([[1, 2]], [[0.8999999761581421, 0.4000000059604645]])]
    """
    train, test = as_rows(train), as_rows(test)
    if train.codes is not None and test.codes is not None:
        yield from _by_codes(train, test, k, metric)
        return
    dtype = np.result_type(train.dtype, test.dtype)
    mean = _mean(train, dtype) if metric == "euclidean" else None
    train, test = _Prepared(train, "train", dtype, mean), _Prepared(test, "test", dtype, mean)
    block = block or rows_at_a_time(*train.rows.shape)
    fitting = test.rows.memory / 2 / (dtype.itemsize * test.rows.shape[1] * block)
    held = block * max(1, int(min(fitting, math.ceil(len(test.rows) / block))))
    for start in range(0, len(test.rows), held):
        slices = list(_slices(start, min(start + held, len(test.rows)), block))
        parts = [test.read(rows) for rows in slices]
        nearest = _ranked(parts, train, k)
        values = _compared(parts, train, nearest, metric)
        yield from zip(slices, values, nearest, strict=True)


def rows_at_a_time(train_rows: int, columns: int) -> int:
    """Test rows that are compared with a block of train rows at a time: 512, or fewer.

    Their similarities take no more than a block of train rows does, at least one row.

    Example:

    >>> rows_at_a_time(1_200_000, columns=128), rows_at_a_time(1_200_000, columns=2048)
    (128, 512)
    """
    values = rows_module.BLOCK_VALUES
    together = max(1, min(train_rows, values // columns))
    return max(1, min(_TEST_ROWS, values // together))


def _slices(start, stop, count):
    for first in range(start, stop, count):
        yield slice(first, min(first + count, stop))


class _Prepared:
    """`Rows` as a metric compares them: divided by their norm, or with `mean` subtracted."""

    def __init__(self, rows, name, dtype, mean):
        self.rows, self.name, self.dtype, self.mean = rows, name, dtype, mean

    def read(self, some):
        """Some of the rows, by a slice or by their numbers: a tensor."""
        if self.mean is not None:
            return tf.cast(self.rows.tensor(some), self.dtype) - self.mean
        block = unit_block(self.rows, some, f"{self.name} features", "metric='euclidean'")
        return tf.cast(block, self.dtype)

    def again(self, wanted):
        """Yield (some of `wanted`, tensor of them); `wanted` are numbers of rows, sorted.

        What is computed is computed in the blocks of before, so that it has the same bits.
        """
        for rows in self.rows.slices():
            some = wanted[slice(*np.searchsorted(wanted, (rows.start, rows.stop)))]
            if len(some):
                stored = self.rows.read is None
                yield (
                    some,
                    self.read(some) if stored else tf.gather(self.read(rows), some - rows.start),
                )


def _mean(rows, dtype):
    # Distances do not change, and around the mean |b|^2 - 2ab loses fewer digits.
    total = sum(tf.reduce_sum(tf.cast(block, "float64"), axis=0) for _, block in rows.blocks())
    return tf.cast(total / len(rows), dtype)


def _ranked(parts, train, k):
    """Numbers of the `k` train rows nearest to each row of each part, nearest first."""
    search = _search(parts[0].dtype.name)
    best = [(part[:, :0], tf.zeros((len(part), 0), tf.int32)) for part in parts]
    for rows in train.rows.slices():
        block = train.read(rows)
        offset = tf.zeros([], block.dtype)
        if train.mean is not None:
            offset = 0.5 * tf.reduce_sum(block**2, axis=1)
        place = tf.constant(rows.start, tf.int32), tf.constant(k, tf.int32)
        best = [
            _on_a_device(search, part, block, offset, *found, *place)
            for part, found in zip(parts, best, strict=True)
        ]
    return [nearest.numpy() for _, nearest in best]


def _on_a_device(search, *arguments):
    """Search on TensorFlow's default device, or on the host if that fails.

    On a GPU the memory of `top_k` grows with k, and it has crashed for a large one.
    """
    try:
        return search(*arguments)
    except (tf.errors.ResourceExhaustedError, tf.errors.InternalError):
        with tf.device("CPU:0"):
            return search(*map(tf.identity, arguments))


@functools.cache
def _search(dtype):
    """Compiled search in one more block, one trace per dtype whatever the number of rows."""
    matrix, number = tf.TensorSpec([None, None], dtype), tf.TensorSpec([], tf.int32)
    signature = [matrix, matrix, tf.TensorSpec(None, dtype), matrix]

    @tf.function(input_signature=[*signature, tf.TensorSpec([None, None], "int32"), number, number])
    def search(test, train, offset, found, nearest, first, k):
        closeness = tf.matmul(test, train, transpose_b=True) - offset  # (test rows, train rows)
        values, rows = tf.math.top_k(closeness, tf.minimum(k, tf.shape(train)[0]))
        # The earlier blocks first: of equal values top_k takes those.
        values = tf.concat([found, values], axis=1)
        rows = tf.concat([nearest, first + rows], axis=1)
        values, places = tf.math.top_k(values, tf.minimum(k, tf.shape(values)[1]))
        return values, tf.gather(rows, places, batch_dims=1)

    return search


def _compared(parts, train, nearest, metric):
    """The values of the rows that vote, which the large products may round (TF32) or cancel."""
    values = [np.empty(rows.shape, train.dtype) for rows in nearest]
    orders = [np.argsort(rows, axis=None, kind="stable") for rows in nearest]
    pairs = max(1, rows_module.BLOCK_VALUES // train.rows.shape[1])
    for some, block in train.again(np.unique(np.concatenate(nearest))):
        for part, rows, order, found in zip(parts, nearest, orders, values, strict=True):
            near = rows.ravel()[order]
            order = order[np.searchsorted(near, some[0]) : np.searchsorted(near, some[-1], "right")]
            for cut in _slices(0, len(order), pairs):
                pair = order[cut]
                place = np.searchsorted(some, rows.ravel()[pair])
                found.ravel()[pair] = _value(metric, part, pair // rows.shape[1], block, place)
    return values


def _value(metric, test, first, train, second):
    return VALUES[metric](tf.gather(test, first), tf.gather(train, second)).numpy()


def _by_codes(train, test, k, metric):
    """`nearest_blocks` of one-hot rows, from their codes."""
    size = train.codes.shape[1]
    simplex_size = train.shape[1] // size
    settings = {"count": len(train), "simplex_size": simplex_size}
    for part in _slices(0, len(test), max(1, _PACKED_CODES // size)):
        queries = np.concatenate([codes for _, codes in _codes(test, part, simplex_size)])
        rows, differ = nearest_codes(
            _codes(train, slice(0, len(train)), simplex_size), queries, k, **settings
        )
        yield part, _CODE_VALUES[metric](differ, size).astype(train.dtype), rows


def _codes(rows, part, simplex_size):
    """Yield (first row, codes) of blocks of a part; they come from an embedding that wide."""
    for some in _slices(part.start, part.stop, rows.rows_at_a_time):
        yield some.start, rows.codes[some].astype(code_dtype(simplex_size))
