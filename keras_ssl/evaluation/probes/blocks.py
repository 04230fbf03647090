"""Blocks of rows that a linear classifier is fitted to: their products with weights, and no more.

Dense features and codes differ in how they are multiplied, and share everything else.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from keras_ssl.evaluation.feature_cache import scratch_array
from keras_ssl.evaluation.probes.code_products import CodeProducts
from keras_ssl.evaluation.rows import Rows
from keras_ssl.layers.codes import code_dtype

_MOST_ROWS = 2**14  # of a block, whose logits of a thousand classes then take 64 MiB
# From so many columns, or values, codes are multiplied sooner than the one-hot rows that they are.
_WIDE, _LARGE = 2**12, 2**28
_FEW_VALUES = 2**19  # of a matrix that one thread multiplies sooner than several agree to


class Blocks(ABC):
    """Some rows of a matrix, a block at a time.

    Attributes:
        shape: (rows, columns).
        memory: float. Bytes that may be held.
    """

    shape: tuple
    memory: float

    @abstractmethod
    def take(self, numbers: np.ndarray) -> "Blocks":
        """The rows with these numbers."""

    @abstractmethod
    def _blocks(self) -> Iterator[tuple[slice, object]]:
        """Yield (slice of the rows, what is multiplied)."""

    @abstractmethod
    def _forward(self, block, weights) -> np.ndarray:
        """Logits (rows, classes)."""

    @abstractmethod
    def _backward(self, block, residuals) -> np.ndarray:
        """The transposed product: (rows, classes) -> (columns, classes)."""

    def _step(self, block, labels, weights):
        """Sum of the cross-entropies, and its gradient (columns + 1, classes)."""
        logits, at = self._forward(block, weights), (np.arange(len(labels)), labels)
        logits -= logits.max(axis=1, keepdims=True)
        exps = np.exp(logits)
        sums = exps.sum(axis=1)
        loss = np.sum(np.log(sums) - logits[at], dtype="float64")
        exps /= sums[:, None]
        exps[at] -= 1
        return loss, np.vstack([self._backward(block, exps), exps.sum(axis=0)])

    def _prepared(self, weights):
        """The weights as products take them."""
        return weights

    def _of_weights(self, gradient):
        """The gradient of the weights, of that of what is prepared of them."""
        return gradient

    def loss_and_gradient(self, labels: np.ndarray, weights: np.ndarray) -> tuple:
        """Sum of the cross-entropies and its gradient, float64 (columns + 1, classes)."""
        prepared, total, gradient = self._prepared(weights), 0.0, np.zeros(weights.shape)
        for rows, block in self._blocks():
            loss, part = self._step(block, labels[rows], prepared)
            total += float(loss)
            gradient += part
        return total, self._of_weights(gradient)

    def logits(self, weights: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
        """Yield (slice of the rows, their logits (rows, classes))."""
        prepared = self._prepared(weights)
        for rows, block in self._blocks():
            yield rows, self._forward(block, prepared)


class DenseBlocks(Blocks):
    """Blocks of dense features, standardized as they are read.

    They are held where a quarter of the memory suffices. That changes no bit: the blocks are the
    same.

    Args:
        rows: `Rows` (N, F).
        numbers: int (n,), sorted numbers of the rows that are meant; None for all.
        columns: (mean, factor) of the columns, of which the first is subtracted, (F,) each; or
            None.
    """

    def __init__(self, rows: Rows, numbers: np.ndarray | None = None, columns: tuple | None = None):
        self.rows, self.numbers, self.columns = rows, numbers, columns
        self.memory, self.dtype = rows.memory, rows.dtype
        self.shape = (len(rows) if numbers is None else len(numbers), rows.shape[1])
        values = self.shape[0] * self.shape[1]
        self._holds = values * self.dtype.itemsize <= self.memory / 4
        self._small = values <= _FEW_VALUES
        self._held = {}

    def __len__(self):
        return self.shape[0]

    @property
    def nbytes(self) -> int:
        """Bytes of all the rows in float64."""
        return 8 * self.shape[0] * self.shape[1]

    def take(self, numbers):
        numbers = numbers if self.numbers is None else self.numbers[numbers]
        return DenseBlocks(self.rows, numbers, self.columns)

    def slices(self) -> list[slice]:
        """Those of the rows of each block."""
        count = min(_MOST_ROWS, self.rows.rows_at_a_time)
        starts = range(0, self.shape[0], count)
        return [slice(start, min(start + count, self.shape[0])) for start in starts]

    def tensor(self, rows: slice) -> tf.Tensor:
        """The block of a slice."""
        if rows.start in self._held:
            return self._held[rows.start]
        block = self.rows.tensor(rows if self.numbers is None else self.numbers[rows])
        if self.columns is not None:
            block = _standardized(block, *self.columns)
        if self._holds:
            self._held[rows.start] = block
        return block

    def _blocks(self):
        blocks = ((rows, self.tensor(rows)) for rows in self.slices())
        return ((rows, block.numpy()) for rows, block in blocks) if self._small else blocks

    def _prepared(self, weights):
        weights = weights.astype(self.dtype)
        return weights if self._small else tf.convert_to_tensor(weights)

    def _forward(self, block, weights):
        if self._small:
            return block @ weights[:-1] + weights[-1]
        return _logits(block, weights).numpy()

    def _backward(self, block, residuals):
        return block.T @ residuals

    def _step(self, block, labels, weights):
        if self._small:
            return super()._step(block, labels, weights)
        loss, gradient = _dense_step(block, tf.convert_to_tensor(labels, tf.int32), weights)
        return loss, gradient.numpy()


@tf.function(autograph=False, reduce_retracing=True)
def _standardized(block, mean, scale):
    return (block - mean) * scale


@tf.function(autograph=False, reduce_retracing=True)
def _logits(block, weights):
    return tf.matmul(block, weights[:-1]) + weights[-1]


@tf.function(autograph=False, reduce_retracing=True)
def _dense_step(block, labels, weights):
    logits = tf.matmul(block, weights[:-1]) + weights[-1]
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
    right = tf.one_hot(labels, tf.shape(weights)[1], dtype=logits.dtype)
    residuals = tf.nn.softmax(logits) - right
    ones = tf.ones([1, tf.shape(block)[0]], block.dtype)
    gradient = tf.matmul(block, residuals, transpose_a=True)
    gradient = tf.concat([gradient, tf.matmul(ones, residuals)], axis=0)
    return tf.reduce_sum(tf.cast(losses, tf.float64)), gradient


class CodeBlocks(Blocks):
    """Blocks of one-hot codes, standardized by weights: the one-hot matrix never exists.

    Args:
        codes: unsigned (N, L) in [0, simplex_size), in memory or an `np.memmap`.
        simplex_size: int > 1. V.
        numbers, columns: as of `DenseBlocks`; of the L * V columns.
        memory: float. Bytes that the solver may take.
    """

    def __init__(self, codes, simplex_size, numbers=None, columns=None, memory=float("inf")):
        self.codes, self.simplex_size, self.columns = codes, simplex_size, columns
        self.numbers, self.memory = numbers, memory
        count = len(codes) if numbers is None else len(numbers)
        self.shape = (count, codes.shape[1] * simplex_size)

    def take(self, numbers):
        numbers = numbers if self.numbers is None else self.numbers[numbers]
        return CodeBlocks(self.codes, self.simplex_size, numbers, self.columns, self.memory)

    def _blocks(self):
        for start in range(0, self.shape[0], _MOST_ROWS):
            rows = slice(start, min(start + _MOST_ROWS, self.shape[0]))
            codes = self.codes[rows if self.numbers is None else self.numbers[rows]]
            yield rows, CodeProducts(codes, self.simplex_size)

    def _prepared(self, weights):
        if self.columns is None:
            return weights
        mean, scale = self.columns
        scaled = weights[:-1] * scale[:, None]
        return np.concatenate([scaled, [weights[-1] - mean @ scaled]])

    def _of_weights(self, gradient):
        if self.columns is not None:
            mean, scale = self.columns
            gradient[:-1] = scale[:, None] * (gradient[:-1] - mean[:, None] * gradient[-1])
        return gradient

    def _forward(self, block, weights):
        return block.forward(weights[:-1]) + weights[-1]

    def _backward(self, block, residuals):
        return block.backward(residuals)


def as_codes(blocks: DenseBlocks) -> Blocks:
    """`CodeBlocks` of the rows, where they are one-hot codes and these are faster; else they.

    The codes of the rows are read once. In a file, where they take more than a quarter of the
    memory.

    Raises:
        OSError: if the disk is full.
    """
    rows, (count, columns) = blocks.rows, blocks.shape
    if rows.codes is None or (columns < _WIDE and count * columns < _LARGE):
        return blocks
    simplex_size = columns // rows.codes.shape[1]
    shape, dtype = (count, rows.codes.shape[1]), code_dtype(simplex_size)
    codes = scratch_array(shape, dtype, rows.memory / 4)
    for some in blocks.slices():  # of as many rows as the embedding below has room for
        codes[some] = rows.codes.tensor(some if blocks.numbers is None else blocks.numbers[some])
    return CodeBlocks(codes, simplex_size, columns=blocks.columns, memory=rows.memory)
