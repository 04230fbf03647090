"""Products of discrete codes with weights, as if they were one-hot features."""

import numpy as np
from scipy.sparse import csr_matrix

from keras_ssl.core.errors import UserError
from keras_ssl.layers.codes import checked_codes

_LARGEST_MERGED = 256  # entries of two simplices that are looked up as one
_TILE_NONZEROS = 2**18  # ones that are spelt out at a time: 3 MiB
_TILE_WEIGHTS = 2**16  # that they are multiplied by: 512 KiB, which a core's cache holds


class CodeProducts:
    """Products of one-hot codes with weights; the one-hot matrix never exists as a whole.

    Two small simplices are read as one of V * V entries, whose weights are sums: half as many
    numbers to look up.

    Args:
        codes: unsigned (rows, L) in [0, simplex_size).
        simplex_size: int > 1. V.
    """

    def __init__(self, codes, simplex_size):
        rows, groups = codes.shape
        self.shape = (rows, groups * simplex_size)
        self.simplex_size = simplex_size
        self.merged = simplex_size**2 <= _LARGEST_MERGED
        if self.merged:
            first, second = codes[:, ::2], codes[:, 1::2]
            codes = first * codes.dtype.type(simplex_size)
            codes[:, : groups // 2] += second
        self.codes = codes

    def forward(self, weights):
        """float64 (L * V, classes) -> (rows, classes)."""
        logits = np.zeros((len(self.codes), weights.shape[1]))
        for columns, part in self._column_blocks(weights.shape[1]):
            table = self._table(weights[part])
            for rows, tile in self._tiles(columns, len(table)):
                logits[rows] += tile @ table
        return logits

    def backward(self, residuals):
        """float64 (rows, classes) -> (L * V, classes)."""
        gradient = np.empty((self.shape[1], residuals.shape[1]))
        for columns, part in self._column_blocks(residuals.shape[1]):
            entries = self._entries * (columns.stop - columns.start)
            table = np.zeros((entries, residuals.shape[1]))
            for rows, tile in self._tiles(columns, entries):
                table += tile.T @ residuals[rows]
            gradient[part] = self._marginals(table, part.stop - part.start)
        return gradient

    @property
    def _entries(self):
        return self.simplex_size**2 if self.merged else self.simplex_size

    def _column_blocks(self, classes):
        """Slices of the columns of `codes`, and of the rows of the weights behind each."""
        width = max(1, _TILE_WEIGHTS // (self._entries * classes))
        behind = self.simplex_size * (2 if self.merged else 1)
        for start in range(0, self.codes.shape[1], width):
            stop = min(start + width, self.codes.shape[1])
            yield slice(start, stop), slice(start * behind, min(stop * behind, self.shape[1]))

    def _tiles(self, columns, entries):
        """Slices of rows, and the one-hot codes of these rows and columns as CSR matrices."""
        width = columns.stop - columns.start
        height = max(1, _TILE_NONZEROS // width)
        offsets = np.arange(0, entries, self._entries, dtype="int32")
        ones = np.ones(min(height, len(self.codes)) * width)
        for start in range(0, len(self.codes), height):
            rows = slice(start, start + height)
            codes = self.codes[rows, columns]
            yield rows, _csr(codes, offsets, entries, ones[: codes.size])

    def _table(self, weights):
        """What each entry of the columns of a block adds to the logits."""
        if not self.merged:
            return weights
        pairs = self._in_pairs(weights)
        return (pairs[:, 0, :, None] + pairs[:, 1, None]).reshape(-1, weights.shape[1])

    def _marginals(self, table, count):
        """The transpose of `_table`: `count` rows of weights."""
        if not self.merged:
            return table
        table = table.reshape(-1, self.simplex_size, self.simplex_size, table.shape[1])
        pairs = np.stack([table.sum(axis=2), table.sum(axis=1)], axis=1)
        return pairs.reshape(-1, table.shape[-1])[:count]

    def _in_pairs(self, weights):
        padding = -len(weights) % (2 * self.simplex_size)  # the partner of the last of an odd L
        weights = np.pad(weights, ((0, padding), (0, 0)))
        return weights.reshape(-1, 2, self.simplex_size, weights.shape[1])


def one_hot_csr(codes: np.ndarray, simplex_size: int, dtype: str = "float64") -> csr_matrix:
    """One-hot codes as a CSR matrix with int32 indices, for scikit-learn.

    Args:
        codes: integers (rows, L) in [0, simplex_size); rows * L below 2**31.
        simplex_size: int > 1. V.
        dtype: of the ones.

    Returns:
        `scipy.sparse.csr_matrix` (rows, L * V) with L ones in each row.

    Raises:
        UserError: for codes that do not fit, or too many.

    Example:

    >>> one_hot_csr(np.array([[0, 2], [1, 1]], "uint8"), 3).toarray()
    array([[1., 0., 0., 0., 0., 1.],
           [0., 1., 0., 0., 1., 0.]])
    """
    codes = checked_codes(codes, simplex_size, "given")
    width = codes.shape[1] * simplex_size
    if max(codes.size, width) >= 2**31:
        raise UserError(f"{codes.size} codes are too many for int32 indices: take fewer rows.")
    offsets = np.arange(0, width, simplex_size, dtype="int32")
    return _csr(codes, offsets, width, np.ones(codes.size, dtype))


def _csr(codes, offsets, columns, ones):
    indices = np.add(codes, offsets, dtype="int32").ravel()
    starts = np.arange(0, indices.size + 1, codes.shape[1], dtype="int32")
    shape = (len(codes), columns)
    return csr_matrix((ones, indices, starts), shape=shape)
