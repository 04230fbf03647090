"""Multinomial logistic regression with the objective of `sklearn.linear_model.LogisticRegression`.

What differs between dense features and codes is only how they are multiplied by weights, so both
share everything else.
"""

from collections import deque

import numpy as np
from scipy.sparse import csr_matrix
from scipy.special import softmax

from keras_ssl.core.errors import UserError
from keras_ssl.layers.codes import checked_codes

MAX_ITERATIONS, TOLERANCE = 200, 1e-4
_MEMORY = 5  # steps that L-BFGS looks back
_SEARCHES = 20  # points of a line at most


class Problem:
    """`c * sum of cross-entropies + |weights|^2 / 2`, divided by c and the number of rows.

    Args:
        products: `DenseProducts` or `CodeProducts` of all rows.
        labels: int (rows,) in [0, classes).
        fitted: bool (rows,). The rows that count.
    """

    def __init__(self, products, labels, fitted):
        self.products = products
        self.targets = np.eye(labels.max() + 1)[labels]
        self.counts = (fitted / fitted.sum())[:, None]

    def start(self):
        """A solution, (columns + 1, classes) with the intercept last, and its logits."""
        classes = self.targets.shape[1]
        solution = np.zeros((self.products.shape[1] + 1, classes))
        return solution, np.zeros((self.products.shape[0], classes))

    def fit(self, c, solution, logits):
        """Go from a solution and its logits to those that minimise the objective, by L-BFGS.

        A step along a direction adds a multiple of one product to the logits, so that the length
        of the step is found by Newton's method without another product.

        Args:
            c: float > 0. Inverse strength of the regularisation; it leaves the intercept out.

        Returns:
            The solution where no entry of the gradient exceeds `TOLERANCE`, or that was reached in
            `MAX_ITERATIONS`, and its logits for all rows.
        """
        decay = 1 / (c * np.count_nonzero(self.counts))
        gradient, pairs = self._gradient(solution, logits, decay), deque(maxlen=_MEMORY)
        for _ in range(MAX_ITERATIONS):
            if np.abs(gradient).max() <= TOLERANCE:
                break
            direction = _newton_like(gradient, pairs)
            along = scores(self.products, direction)
            length = self._length(solution, direction, logits, along, decay)
            if not length:  # what is left of the gradient is rounding
                break
            direction *= length
            solution, logits = solution + direction, logits + length * along
            before, gradient = gradient, self._gradient(solution, logits, decay)
            # In float32 they take half the memory, and only say roughly how the objective bends.
            pair = direction.astype("float32"), (gradient - before).astype("float32")
            if _dot(*pair) > 0:
                pairs.append(pair)
        return solution, logits

    def _gradient(self, solution, logits, decay):
        residuals = self.counts * (softmax(logits, axis=1) - self.targets)
        gradient = np.empty_like(solution)
        gradient[:-1] = self.products.backward(residuals)
        gradient[:-1] += decay * solution[:-1]
        gradient[-1] = residuals.sum(axis=0)
        return gradient

    def _length(self, solution, direction, logits, along, decay):
        """Where the objective is least on the way along a direction, to a tenth of its slope."""
        slope_0 = decay * _dot(solution[:-1], direction[:-1])
        bend_0 = decay * _dot(direction[:-1], direction[:-1])
        low, high, length, first = 0.0, np.inf, 0.0, None
        for _ in range(_SEARCHES):
            p = softmax(logits + length * along, axis=1)
            mean = np.sum(p * along, axis=1, keepdims=True)
            slope = np.sum(self.counts * (p - self.targets) * along) + slope_0 + length * bend_0
            bend = np.sum(self.counts * p * (along - mean) ** 2) + bend_0
            first = first or abs(slope)
            if length and abs(slope) <= 0.1 * first:
                break
            low, high = (length, high) if slope < 0 else (low, length)
            length -= slope / bend
            if not low < length < high:
                length = (low + high) / 2 if high < np.inf else 2 * low
        return length


def _newton_like(gradient, pairs):
    """Minus the gradient times the inverse Hessian that the last steps suggest: -> a descent."""
    direction, shares = -gradient, []
    for step, change in reversed(pairs):
        share = _dot(step, direction) / _dot(step, change)
        direction -= share * change
        shares.append(share)
    if pairs:
        step, change = pairs[-1]
        direction *= _dot(step, change) / _dot(change, change)
    for (step, change), share in zip(pairs, reversed(shares), strict=True):
        direction += (share - _dot(change, direction) / _dot(step, change)) * step
    return direction


def _dot(a, b):
    """`np.vdot` without the threads of BLAS: to wait for these takes longer than the sum."""
    return np.einsum("ij,ij", a, b)


def scores(products, solution):
    """Logits (rows, classes) in float64."""
    return products.forward(solution[:-1]).astype("float64", copy=False) + solution[-1]


_LARGEST_MERGED = 256  # entries of two simplices that are looked up as one
_TILE_NONZEROS = 2**18  # ones that are spelt out at a time: 3 MiB
_TILE_WEIGHTS = 2**16  # that they are multiplied by: 512 KiB, which a core's cache holds


class DenseProducts:
    """Products of dense features (rows, columns) with weights."""

    def __init__(self, features):
        self.features = features
        self.shape = features.shape

    def forward(self, weights):
        """float64 (columns, classes) -> (rows, classes)."""
        return self.features @ weights.astype(self.features.dtype)

    def backward(self, residuals):
        """float64 (rows, classes) -> (columns, classes)."""
        return self.features.T @ residuals.astype(self.features.dtype)


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
