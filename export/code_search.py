"""Exact nearest neighbors among discrete codes, by the number of agreeing simplices."""

from typing import NamedTuple

import numpy as np

from keras_ssl.core.errors import UserError
from keras_ssl.layers.code_bits import ROWS, nearest_codes
from keras_ssl.layers.codes import check_same_width, checked_codes, checked_matrix

_PACKED = 4096  # queries that are packed at a time


class Neighbors(NamedTuple):
    """The nearest codes of each query, nearest first.

    Attributes:
        rows: int64 (queries, k). Which codes.
        agreements: int64 (queries, k). In how many simplices they agree with the query.

    Example:

    >>> rows, agreements = Neighbors(np.array([[0, 2]]), np.array([[3, 2]]))
    >>> rows.tolist(), agreements.tolist()
    ([[0, 2]], [[3, 2]])
    """

    rows: np.ndarray
    agreements: np.ndarray


def search(codes: np.ndarray, queries: np.ndarray, k: int = 10, *, simplex_size: int) -> Neighbors:
    """The `k` codes that agree with each query in the most simplices.

    Exact; of equally near codes the earlier row comes first. `1 - agreements / L` is the Hamming
    distance. Memory is bounded whatever the number of codes, which may be a memory map.

    Args:
        codes: integers (N, L) in [0, simplex_size).
        queries: integers (queries, L), likewise.
        k: int in [1, N].
        simplex_size: int > 1. V.

    Returns:
        `Neighbors`.

    Raises:
        UserError: for codes or queries that do not fit, or `k` out of range.

    Example:

    >>> codes = np.array([[0, 0, 1], [2, 1, 0], [0, 1, 1]], "uint8")
    >>> found = search(codes, codes[:1], k=2, simplex_size=3)
    >>> found.rows.tolist(), found.agreements.tolist()
    ([[0, 2]], [[3, 2]])
    """
    codes, queries = checked_matrix(codes, "stored"), checked_codes(queries, simplex_size, "query")
    check_same_width(codes, queries, ("Stored", "query"))
    if not 1 <= k <= len(codes):
        raise UserError(f"k={k} neighbors do not fit {len(codes)} codes: use 1 to that.")
    settings = {"count": len(codes), "simplex_size": simplex_size}
    rows, agreements = np.empty((2, len(queries), k), "int64")
    for start in range(0, len(queries), _PACKED):
        part = slice(start, start + _PACKED)
        blocks = _blocks(codes, simplex_size)
        rows[part], differences = nearest_codes(blocks, queries[part], k, **settings)
        agreements[part] = codes.shape[1] - differences
    return Neighbors(rows, agreements)


def _blocks(codes, simplex_size):
    for start in range(0, len(codes), ROWS):
        yield start, checked_codes(codes[start : start + ROWS], simplex_size, "stored")
