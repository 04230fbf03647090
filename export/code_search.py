"""Exact nearest neighbors among discrete codes, by the number of agreeing simplices.

Codes are compared 64 simplices at a time: bit b of 64 codes is one machine word, two codes differ
where any of their words differ, and the differences are counted by population counts.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from keras_ssl.core.errors import UserError
from keras_ssl.layers.codes import check_same_width, checked_codes, checked_matrix

_ROWS = 2048  # codes that are packed and compared at a time
_QUERIES = 16  # compared at a time: with the rows 256 KiB of words, which a core's cache holds
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
    best = np.empty((len(queries), k), "int64")
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for start in range(0, len(queries), _PACKED):
            part = slice(start, start + _PACKED)
            best[part] = _best_keys(codes, queries[part], k, simplex_size, pool)
    return Neighbors(best % len(codes), codes.shape[1] - best // len(codes))


def _best_keys(codes, queries, k, simplex_size, pool):
    """The k smallest keys of each query, in order; a key is `differences * N + row`."""
    bits = (simplex_size - 1).bit_length()
    packed = pack_bits(queries, bits)
    best = np.full((len(queries), k), np.iinfo("int64").max)
    groups = [slice(i, i + _QUERIES) for i in range(0, len(queries), _QUERIES)]
    for start in range(0, len(codes), _ROWS):
        rows = checked_codes(codes[start : start + _ROWS], simplex_size, "stored")
        block = pack_bits(rows, bits)
        numbers = np.arange(start, start + len(rows))

        def visit(group, block=block, numbers=numbers):
            keys = differences(block, packed[..., group]).astype("int64") * len(codes)
            best[group] = _smallest(best[group], keys + numbers)

        list(pool.map(visit, groups))
    return np.sort(best, axis=1)


def pack_bits(codes, bits):
    """Word w, bit b, row n of the result holds bit b of codes 64w to 64w + 63 of row n.

    Args:
        codes: unsigned (rows, L).
        bits: int > 0. Of a code; higher ones are ignored.

    Returns:
        uint64 (ceil(L / 64), bits, rows).
    """
    rows, width = codes.shape
    words = -(-width // 64)
    packed = np.empty((words, bits, rows), "uint64")
    for bit in range(bits):
        flat = np.zeros((rows, 8 * words), "uint8")
        flat[:, : -(-width // 8)] = np.packbits((codes >> bit) & 1, axis=1)
        packed[:, bit] = flat.view("uint64").T
    return packed


def differences(rows, queries):
    """In how many simplices codes differ, each pair: -> uint32 (queries, rows).

    Args:
        rows, queries: from `pack_bits`, of equal L and bits.
    """
    shape = (queries.shape[-1], rows.shape[-1])
    total = np.zeros(shape, "uint32")
    differ, more = np.empty(shape, "uint64"), np.empty(shape, "uint64")
    for row, query in zip(rows, queries, strict=True):
        np.bitwise_xor(row[0], query[0][:, None], out=differ)
        for bit in range(1, len(row)):
            np.bitwise_xor(row[bit], query[bit][:, None], out=more)
            np.bitwise_or(differ, more, out=differ)
        total += count_bits(differ)
    return total


def count_bits_by_halves(words):
    """The number of ones in each uint64: sums of 2, 4, 8 bits, then of all bytes by a product."""
    words = words - ((words >> 1) & 0x5555555555555555)
    words = (words & 0x3333333333333333) + ((words >> 2) & 0x3333333333333333)
    words = (words + (words >> 4)) & 0x0F0F0F0F0F0F0F0F
    return (words * 0x0101010101010101) >> 56


count_bits = getattr(np, "bitwise_count", count_bits_by_halves)  # NumPy 2


def _smallest(best, keys):
    """The as many smallest keys of each row as `best` has columns, in any order."""
    count = best.shape[1]
    if keys.shape[1] > count:
        keys = np.partition(keys, count - 1, axis=1)[:, :count]
    keys = np.concatenate([best, keys], axis=1)
    return np.partition(keys, count - 1, axis=1)[:, :count]
