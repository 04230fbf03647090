"""Rows of features that need not fit in memory: a matrix that is read a block at a time."""

import functools
from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from keras_ssl.core.errors import UserError

# Values in a block of rows, 64 MiB in float32. It is the same whatever the memory, so that results
# are too: sums over blocks round by what is in a block.
BLOCK_VALUES = 2**24


class Rows:
    """A matrix of features of which only some rows exist at a time.

    What is stored is narrow, such as the features of a backbone, in memory or on disk; what is read
    of it may be wide, such as thousands of simplices, and is computed for each block.
    `np.asarray(rows)` is the whole matrix, if it fits in `memory`.

    Args:
        source: array (N, ...) of what is stored, in memory or an `np.memmap`.
        read: function tensor (B, ...) -> float tensor (B, F), traced once; None for the source
            itself, which then is a matrix. A `tf.function` keeps its trace for other `Rows`.
        memory: float. Bytes that the whole matrix may take; by default any number.
        codes: function tensor (B, ...) -> integers (B, L), where every row that is read is L
            one-hot vectors of the same size: the places of the ones. None for other rows.

    Attributes:
        codes: `Rows` of these integers, or None.

    Example:

    >>> rows = Rows(np.arange(6.0).reshape(3, 2), read=lambda x: tf.concat([x, x], axis=1))
    >>> rows.shape, np.asarray(rows)[1].tolist()
    ((3, 4), [2.0, 3.0, 2.0, 3.0])
    >>> [block.shape[0] for _, block in rows.blocks(count=2)]
    [2, 1]
    """

    ndim = 2

    def __init__(
        self,
        source: np.ndarray,
        read: Callable | None = None,
        *,
        memory: float = float("inf"),
        codes: Callable | None = None,
    ):
        self.source, self.memory = source, memory
        self.read = getattr(read, "python_function", read)
        self.codes = None if codes is None else Rows(source, codes)
        self._compiled = tf.function(read) if self.read is read and read is not None else read

    @functools.cached_property
    def _traced(self):
        signature = tf.TensorSpec((None, *self.source.shape[1:]), self.source.dtype)
        return self._compiled.get_concrete_function(signature)

    @functools.cached_property
    def _form(self):
        """(columns, dtype) of what is read."""
        if self.read is None:
            return self.source.shape[1], self.source.dtype
        form = self._traced.structured_outputs
        return int(form.shape[1]), np.dtype(form.dtype.as_numpy_dtype)

    @property
    def shape(self) -> tuple[int, int]:
        """(N, F)."""
        return len(self.source), self._form[0]

    @property
    def dtype(self) -> np.dtype:
        """That of the values."""
        return self._form[1]

    @property
    def nbytes(self) -> int:
        """Bytes of the whole matrix."""
        return self.shape[0] * self.shape[1] * self.dtype.itemsize

    def __len__(self):
        return len(self.source)

    def __getitem__(self, rows: slice | np.ndarray) -> np.ndarray:
        """Some of the rows, an array."""
        return self.tensor(rows).numpy()

    def tensor(self, rows: slice | np.ndarray) -> tf.Tensor:
        """Some of the rows, by a slice or by their numbers."""
        part = tf.convert_to_tensor(self.source[rows])
        return part if self.read is None else self._traced(part)

    def blocks(self, count: int | None = None) -> Iterator[tuple[slice, tf.Tensor]]:
        """Yield (slice of the rows, tensor of them), `count` rows at a time.

        Args:
            count: int >= 1, or None for as many as `BLOCK_VALUES` holds.
        """
        for rows in self.slices(count):
            yield rows, self.tensor(rows)

    def slices(self, count: int | None = None) -> Iterator[slice]:
        """Yield the slices of `blocks`, of which nothing is read yet.

        Args:
            count: as for `blocks`.
        """
        count = count or self.rows_at_a_time
        for start in range(0, len(self), count):
            yield slice(start, min(start + count, len(self)))

    @property
    def rows_at_a_time(self) -> int:
        """Rows whose values `BLOCK_VALUES` holds, at least one."""
        return max(1, BLOCK_VALUES // self.shape[1])

    def take(self, rows: np.ndarray) -> "Rows":
        """The rows with these numbers, as `Rows`.

        Of what is stored in memory they are copied, if that takes an eighth of `memory` at most.
        """
        codes = None if self.codes is None else self.codes._compiled
        source = _Taken(self.source, np.asarray(rows))
        if in_memory(self.source) and source.nbytes <= self.memory / 8:
            source = self.source[rows]
        return Rows(source, self._compiled, memory=self.memory, codes=codes)

    def held(self) -> "Rows":
        """The same rows in memory, where they fit; else as they are."""
        if (in_memory(self.source) and self.read is None) or self.nbytes > self.memory:
            return self
        return Rows(np.asarray(self), memory=self.memory)

    def __array__(self, dtype=None, copy=None):
        if self.nbytes > self.memory:
            raise UserError(
                f"{len(self):,} rows of {self.shape[1]:,} features need {gib(self.nbytes)}; "
                f"{gib(self.memory)} is the limit (evaluation.memory)."
            )
        array = self.source[:]
        if self.read is not None:
            array = np.empty(self.shape, self.dtype)
            for rows, block in self.blocks():
                array[rows] = block.numpy()
        return np.array(array, dtype) if copy else np.asarray(array, dtype)


class _Taken:
    """Some rows of an array, which stay where they are until they are read."""

    def __init__(self, source, rows):
        self.source, self.rows = source, np.flatnonzero(rows) if rows.dtype == bool else rows
        self.shape, self.dtype = (len(self.rows), *source.shape[1:]), source.dtype
        self.nbytes = int(np.prod(self.shape)) * np.dtype(self.dtype).itemsize

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, rows):
        return self.source[self.rows[rows]]


# Parts of the memory of an evaluation: features of the train and of the test images, each; those of
# augmented images; what evaluators have beside the features.
FEATURES_SHARE, VIEWS_SHARE, EVALUATOR_SHARE = 1 / 8, 1 / 4, 3 / 4


def in_memory(array: object) -> bool:
    """Whether rows lie in memory: an array, but for an `np.memmap`.

    Example:

    >>> in_memory(np.eye(2)), in_memory([[1.0, 2.0]])
    (True, False)
    """
    return isinstance(array, np.ndarray) and not isinstance(array, np.memmap)


def as_rows(features: ArrayLike) -> Rows:
    """`Rows` as they are, and anything else as the `Rows` of an array.

    Example:

    >>> as_rows([[1.0, 2.0]]).shape
    (1, 2)
    """
    return features if isinstance(features, Rows) else Rows(np.asarray(features))


def gib(count: float) -> str:
    """A number of bytes in words.

    Example:

    >>> gib(3 * 2**30), gib(2**28)
    ('3 GiB', '0.25 GiB')
    """
    return f"{count / 2**30:.3g} GiB"
