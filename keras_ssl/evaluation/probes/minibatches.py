"""Minibatches of features that need not fit in memory: read from RAM or disk, some at a time."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import tensorflow as tf

from keras_ssl.evaluation.rows import in_memory

CHUNK = 2**26  # bytes of the minibatches that are read at a time
LOADED = 4  # chunks held at a time: one used, the next one read, as an array and as a tensor


def chunk_bytes(memory: float) -> float:
    """Bytes of a chunk where so many may be held in all.

    Example:

    >>> chunk_bytes(float("inf")) == chunk_bytes(2**40) == CHUNK
    True
    """
    return min(CHUNK, memory / 32)


def minibatches(
    features: np.ndarray, order: np.ndarray, size: float = CHUNK
) -> Iterator[tuple[np.ndarray, int, tf.Tensor]]:
    """Read minibatches in chunks; while one is used, the next is read.

    Args:
        features: (N, E), an array that may be an `np.memmap`, or what has its `shape` and `dtype`
            and gives arrays for numbers of rows: floats, read as float32, or integers.
        order: int (steps, B). The rows of each minibatch.
        size: float. Bytes of a chunk; it has one minibatch at least.

    Yields:
        (rows (s, B), s, tensor (S, B, E)): the first s minibatches of the tensor are those rows,
        and only in the last chunk s may be smaller than S.

    Example:

    >>> order = np.array([[3, 1], [0, 2], [1, 2]])
    >>> parts = list(minibatches(np.arange(4.0)[:, None], order, size=16))
    >>> [steps for _, steps, _ in parts], parts[0][2][:, :, 0].numpy().tolist()
    ([2, 1], [[3.0, 1.0], [0.0, 2.0]])
    """
    if not (hasattr(features, "shape") and hasattr(features, "dtype")):
        features = np.asarray(features)
    dtype = np.dtype("float32") if features.dtype.kind == "f" else features.dtype
    step = order.shape[1] * features.shape[1] * dtype.itemsize
    steps = int(min(len(order), max(1, size // step)))

    def chunk(start):
        rows = order[start : start + steps]
        array = np.empty((steps, order.shape[1], features.shape[1]), dtype)
        _gather(features, rows.reshape(-1), array.reshape(-1, features.shape[1]))
        return rows, len(rows), tf.constant(array)

    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(chunk, 0)
        for start in range(steps, len(order) + steps, steps):
            found = coming.result()
            if start < len(order):
                coming = pool.submit(chunk, start)
            yield found
            del found  # before the one after the next is read


def _gather(features, rows, into):
    """Copy rows of `features`; those of a file in the order in which they lie there."""
    if in_memory(features):
        into[: len(rows)] = features[rows]
    else:
        order = np.argsort(rows, kind="stable")
        into[order] = features[rows[order]]
