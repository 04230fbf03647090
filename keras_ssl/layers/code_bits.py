"""Discrete codes as bits of machine words: the nearest of them by population counts.

Codes are compared 64 simplices at a time: bit b of 64 codes is one machine word, two codes differ
where any of their words differ, and the differences are counted by population counts.
"""

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

ROWS = 2048  # codes that are packed and compared at a time
_QUERIES = 16  # compared at a time: with the rows 256 KiB of words, which a core's cache holds


def nearest_codes(
    blocks: Iterable[tuple[int, np.ndarray]],
    queries: np.ndarray,
    k: int,
    *,
    count: int,
    simplex_size: int,
) -> tuple[np.ndarray, np.ndarray]:
    """The `k` codes that differ from each query in the fewest simplices; each block is read once.

    Exact; of equally near codes the earlier row comes first.

    Args:
        blocks: (number of the first row, unsigned (rows, L) in [0, simplex_size)), which follow
            each other and are `count` rows together.
        queries: unsigned (queries, L), likewise. What is packed of them is held: half a byte each
            of up to 16 entries.
        k: int in [1, count].
        count: int. Rows of all blocks.
        simplex_size: int > 1. V.

    Returns:
        `(rows, differences)`: int64 (queries, k) both, nearest first.

    Example:

    >>> codes = np.array([[0, 0, 1], [2, 1, 0], [0, 1, 1]], "uint8")
    >>> rows, differ = nearest_codes([(0, codes)], codes[:1], 2, count=3, simplex_size=3)
    >>> rows.tolist(), differ.tolist()
    ([[0, 2]], [[0, 1]])
    """
    bits = (simplex_size - 1).bit_length()
    packed = pack_bits(queries, bits)
    keys = np.full((len(queries), k), np.iinfo("int64").max)  # of differences * count + row
    groups = [slice(i, i + _QUERIES) for i in range(0, len(queries), _QUERIES)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for first, codes in blocks:
            for start in range(0, len(codes), ROWS):
                part = pack_bits(codes[start : start + ROWS], bits)
                numbers = np.arange(part.shape[-1]) + first + start

                def visit(group, part=part, numbers=numbers):
                    found = differences(part, packed[..., group]).astype("int64") * count
                    keys[group] = _smallest(keys[group], found + numbers)

                list(pool.map(visit, groups))
    keys.sort(axis=1)
    return keys % count, keys // count


def pack_bits(codes: np.ndarray, bits: int) -> np.ndarray:
    """Word w, bit b, row n of the result holds bit b of codes 64w to 64w + 63 of row n.

    Args:
        codes: unsigned (rows, L).
        bits: int > 0. Of a code; higher ones are ignored.

    Returns:
        uint64 (ceil(L / 64), bits, rows).

    Example:

    >>> pack_bits(np.array([[1, 0, 3]], "uint8"), bits=2).shape
    (1, 2, 1)
    """
    rows, width = codes.shape
    words = -(-width // 64)
    packed = np.empty((words, bits, rows), "uint64")
    for bit in range(bits):
        flat = np.zeros((rows, 8 * words), "uint8")
        flat[:, : -(-width // 8)] = np.packbits((codes >> bit) & 1, axis=1)
        packed[:, bit] = flat.view("uint64").T
    return packed


def differences(rows: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """In how many simplices codes differ, each pair: -> uint32 (queries, rows).

    Args:
        rows, queries: from `pack_bits`, of equal L and bits.

    Example:

    >>> codes = np.array([[1, 0, 3], [1, 2, 0]], "uint8")
    >>> differences(*[pack_bits(codes, bits=2)] * 2).tolist()
    [[0, 2], [2, 0]]
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
