"""How near a dictionary of random codes is to orthogonal, and what theory says of it (CPLearn)."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from keras_ssl.core.errors import UserError
from keras_ssl.ops.rows import as_matrix, spaced, unit_rows

_BLOCK = 1024  # rows or columns of a product
_BIN = 0.01  # least width of a bin of a histogram of cosines
_MOST = 4096  # codes that are compared with each other


@dataclass(frozen=True)
class Coherence:
    """Cosines of the pairs of different codes.

    Attributes:
        codes: number of codes that were compared with each other.
        pairs: number of their pairs.
        mean, std: of the cosines.
        mean_abs, max_abs: of their absolute values.
        edges, counts: histogram of the cosines (`cosine_bins`), (bins + 1,) and (bins,).

    Example:

    >>> found = code_coherence(np.eye(3))
    >>> found.pairs, found.mean
    (3, 0.0)
    """

    codes: int
    pairs: int
    mean: float
    std: float
    mean_abs: float
    max_abs: float
    edges: np.ndarray
    counts: np.ndarray


def code_coherence(codes: ArrayLike, *, max_codes: int = _MOST) -> Coherence:
    """How far the codes of a dictionary are from orthogonal: cosines of all their pairs.

        cos(w_j, w_k) = w_j . w_k / (|w_j| |w_k|), j < k

    Args:
        codes: (f, c), a code in each column, c > 1. A code of zeros has cosine 0 with all.
        max_codes: int > 1. Of larger dictionaries as many codes, evenly spaced, are compared.

    Returns:
        `Coherence`.

    Raises:
        UserError: for fewer than two codes.

    Example:

    >>> round(code_coherence([[1, 1], [1, -1]]).max_abs, 6)  # orthogonal
    0.0
    >>> round(code_coherence([[1, -1], [1, -1]]).max_abs, 6)  # opposite
    1.0

    Reference: Sansone et al., Collapse-proof non-contrastive self-supervised learning, eq. 5 and
    figure 3.
    """
    unit = unit_rows(spaced(as_matrix(codes, "codes").T, max_codes))
    count, dim = unit.shape
    if count < 2:
        raise UserError(f"Pairs of codes are compared. Received {count} code: give two or more.")
    pairs = count * (count - 1) // 2
    edges = cosine_bins(dim)
    bins, width = len(edges) - 1, edges[1] - edges[0]
    counts, sums, largest = np.zeros(bins, "int64"), np.zeros(3), 0.0
    for cosines in _pairs(unit):
        size = np.abs(cosines)
        sums += cosines.sum(dtype="float64"), np.square(cosines).sum(dtype="float64"), size.sum()
        largest = max(largest, float(size.max()))
        places = np.clip((cosines - edges[0]) / width, 0, bins - 1).astype("int32")
        counts += np.bincount(places, minlength=bins)
    mean, square, mean_abs = sums / pairs
    std = math.sqrt(max(square - mean**2, 0.0))
    return Coherence(
        count, pairs, float(mean), std, float(mean_abs), min(largest, 1.0), edges, counts
    )


def _pairs(unit) -> Iterator[np.ndarray]:
    """Cosines of every pair of different rows once, some at a time."""
    for start in range(0, len(unit), _BLOCK):
        block = unit[start : start + _BLOCK]
        if len(block) > 1:
            yield (block @ block.T)[np.triu_indices(len(block), 1)]
        for other in range(start + _BLOCK, len(unit), _BLOCK):
            yield (block @ unit[other : other + _BLOCK].T).ravel()


def cosine_bins(dim: int) -> np.ndarray:
    """Edges of equal bins for cosines of bipolar codes of `dim` entries: (bins + 1,) from -1 on.

    These cosines are multiples of `2 / dim` from -1 on; every bin has as many of them, so that a
    histogram is smooth.

    Example:

    >>> cosine_bins(2).tolist()  # around -1, 0 and 1
    [-1.5, -0.5, 0.5, 1.5]
    """
    together = max(round(_BIN * dim / 2), 1)
    bins = -(-(dim + 1) // together)
    return -1.0 + (2.0 * together * np.arange(bins + 1) - 1.0) / dim


def random_codes(dim: int, num_codes: int, *, seed: int = 0) -> np.ndarray:
    """A dictionary of random bipolar codes, float32 (dim, num_codes) of -1 and 1.

    Example:

    >>> np.unique(random_codes(8, 4)).tolist()
    [-1.0, 1.0]
    """
    bits = np.random.default_rng(seed).integers(0, 2, (dim, num_codes), dtype="int8")
    return (2 * bits - 1).astype("float32")


def sampled_coherence(
    dim: int, num_codes: int, *, seed: int = 0, max_codes: int = _MOST
) -> Coherence:
    """`code_coherence` of random bipolar codes, to try sizes without training anything.

    Args:
        dim: int > 0. f, the width of the embedding.
        num_codes: int > 1. c. Of more than `max_codes` as many are drawn: codes are independent,
            so that any subset has the same distribution; `max_abs` is that of the codes compared.
        seed: int.

    Example:

    >>> found = sampled_coherence(100, 1000)
    >>> round(found.std, 2), found.max_abs < largest_cosine(100, 1000)
    (0.1, True)

    Reference: Sansone et al., Collapse-proof non-contrastive self-supervised learning, figure 3.
    """
    return code_coherence(random_codes(dim, min(num_codes, max_codes), seed=seed))


def cosine_std(dim: int) -> float:
    """Standard deviation of the cosine of two random bipolar codes, `1 / sqrt(dim)` (eq. 5).

    Example:

    >>> cosine_std(100)
    0.1
    """
    return dim**-0.5


def mean_cosine(dim: int) -> float:
    """Mean absolute cosine of two random bipolar codes, about `sqrt(2 / (pi f))`.

        2 m C(2m, m) / (4^m f), m = ceil(f / 2)

    It is the mean distance of a random walk of f steps from its start, divided by f.

    Example:

    >>> mean_cosine(1), mean_cosine(2), round(mean_cosine(1000) * 1000**0.5, 3)
    (1.0, 0.5, 0.798)
    """
    m = (dim + 1) // 2
    log_share = math.lgamma(2 * m + 1) - 2 * math.lgamma(m + 1) - 2 * m * math.log(2)
    return round(2 * m * math.exp(log_share) / dim, 12)


def largest_cosine(dim: int, num_codes: int, *, failure: float = 0.01) -> float:
    """What no absolute cosine of two of `num_codes` random bipolar codes exceeds, but for chance.

        sqrt(2 log(c (c - 1) / failure) / f)

    By Hoeffding's inequality, `P(|cos| >= t) <= 2 exp(-f t^2 / 2)`, for all c (c - 1) / 2 pairs.

    Args:
        dim: int > 0. f.
        num_codes: int > 1. c.
        failure: float in (0, 1). Probability that a pair exceeds it, at most.

    Returns:
        A float in (0, 1]; 1 where the inequality says nothing.

    Example:

    >>> round(largest_cosine(2048, 16384), 3)
    0.153

    Reference: Hoeffding, 1963, theorem 2.
    """
    return min(math.sqrt(2 * math.log(num_codes * (num_codes - 1) / failure) / dim), 1.0)


def welch_bound(dim: int, num_codes: int) -> float:
    """The least that the largest absolute cosine can be of any `num_codes` directions.

        sqrt((c - f) / (f (c - 1))) for c > f, else 0

    Example:

    >>> welch_bound(8, 8), round(welch_bound(128, 16384), 3)
    (0.0, 0.088)

    Reference: Welch, Lower bounds on the maximum cross correlation of signals, 1974.
    """
    return math.sqrt(max(num_codes - dim, 0) / (dim * max(num_codes - 1, 1)))


def chance_alignment(dim: int, num_codes: int, *, samples: int = 256, seed: int = 0) -> float:
    """Mean cosine of a random direction with the closest of `num_codes` random bipolar codes.

    By sampling; it is what an embedding has that knows nothing of the codes, and grows like
    `sqrt(2 log(c) / f)`. The directions of more than 65,536 codes are compared with as many.

    Example:

    >>> 0.3 < chance_alignment(128, 16384) < 0.36
    True
    """
    draw = np.random.default_rng(seed)
    rows = unit_rows(draw.standard_normal((samples, dim)).astype("float32"))
    best = np.full(samples, -1.0)
    for start in range(0, min(num_codes, 2**16), 8192):
        count = min(8192, num_codes - start)
        codes = random_codes(dim, count, seed=int(draw.integers(2**31)))
        best = np.maximum(best, (rows @ codes).max(axis=1) / dim**0.5)
    return float(best.mean())
