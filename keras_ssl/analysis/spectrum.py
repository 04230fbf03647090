"""How many directions a batch of embeddings fills, and how evenly it covers the sphere."""

import math
from dataclasses import dataclass

import numpy as np
from keras import ops
from numpy.typing import ArrayLike
from scipy.linalg import eigvalsh
from threadpoolctl import threadpool_limits

from keras_ssl.ops.linalg import l2_normalize
from keras_ssl.ops.precision import Tensor, at_least_float32
from keras_ssl.ops.rows import some_rows
from keras_ssl.ops.spread import column_blocks

SHARE = 0.99  # of the variance, that dimensions are counted by
SMALL = 0.01  # of the largest singular value: smaller ones do not count
MAX_SIDE = 1024  # of a matrix whose eigenvalues are taken: a second on one core
_SELF = -1e9  # the exponent of a row with itself; exp() of it is 0 in float32 and float64


def singular_values(z: Tensor) -> Tensor:
    """Singular values of `z`, not centered, in descending order: (min(rows, dim),)."""
    return ops.svd(at_least_float32(z), compute_uv=False)


def rankme(z: Tensor, *, epsilon: float = 1e-7) -> Tensor:
    """RankMe, the effective rank: `exp(-sum p log p)` with `p = sigma / sum(sigma) + epsilon`.

    Args:
        z: (rows, dim). Embeddings, not centered.
        epsilon: float >= 0. Added to every share; the paper's is 1e-7.

    Returns:
        A scalar in at least float32, about 1 for one direction up to about min(rows, dim).

    Example:

    >>> float(keras.ops.round(rankme(keras.ops.eye(4), epsilon=0.0), 3))
    4.0

    Reference: Garrido et al., RankMe, 2023, eqs. 1 and 2.
    """
    return effective_rank(singular_values(z), epsilon=epsilon)


def effective_rank(values: Tensor, *, epsilon: float = 1e-7) -> Tensor:
    """`rankme` of a matrix whose singular values are at hand: (count,) -> a scalar.

    Example:

    >>> float(keras.ops.round(effective_rank(np.ones(4), epsilon=0.0), 3))
    4.0
    """
    total = ops.sum(values)
    share = values / ops.where(total > 0, total, 1.0) + epsilon
    present = share > 0
    return ops.exp(-ops.sum(share * ops.log(ops.where(present, share, 1.0))))


def rank_tau(z: Tensor, threshold: float) -> Tensor:
    """Number of singular values of `z` that are at least `threshold`: an int32 scalar.

    Example:

    >>> int(rank_tau(keras.ops.diag(keras.ops.array([2.0, 1.0, 0.1])), 0.5))
    2

    Reference: Cosentino et al., Toward a geometrical understanding of self-supervised contrastive
    learning, eq. 2.
    """
    values = singular_values(z)
    return ops.sum(ops.cast(values >= threshold, "int32"))


def relative_rank(values: np.ndarray, share: float = SMALL) -> int:
    """Number of singular values, in descending order, that are at least `share` of the largest.

    `rank_tau` with a threshold that does not depend on the scale; 0 for zeros and NaN.

    Example:

    >>> relative_rank(np.array([2.0, 1.0, 0.1]), 0.5), relative_rank(np.zeros(3))
    (2, 0)
    """
    return int(np.sum(values >= share * values[0])) if values[0] > 0 else 0


def covariance_spectrum(z: Tensor) -> Tensor:
    """Eigenvalues of the covariance of `z` (divided by the rows), descending: (dim,).

    Taken from the singular values of the centered embeddings, so that small ones keep their digits;
    dimensional collapse shows as a tail of zeros.

    Example:

    >>> z = keras.ops.array([[1.0, 1.0], [-1.0, -1.0]])  # two features, one direction
    >>> covariance_spectrum(z).numpy().round(3).tolist()
    [2.0, 0.0]

    Reference: Jing et al., Understanding dimensional collapse, 2022, sec. 3.
    """
    z = at_least_float32(z)
    first = z[:1]  # equal rows become exact zeros
    centered = z - first - ops.mean(z - first, axis=0)
    values = ops.square(singular_values(centered)) / z.shape[0]
    return ops.pad(values, (0, z.shape[1] - values.shape[0]))


def alignment(x: Tensor, y: Tensor) -> Tensor:
    """Mean squared distance of the normalized rows of two views, in [0, 4]; 0 is aligned.

    Example:

    >>> x = keras.ops.eye(3)
    >>> float(alignment(x, 2 * x)), float(alignment(x, -x))
    (0.0, 4.0)

    Reference: Wang and Isola, Alignment and uniformity on the hypersphere, 2020, sec. 4.1.
    """
    difference = l2_normalize(x) - l2_normalize(y)
    return ops.mean(ops.sum(ops.square(difference), axis=-1))


def uniformity(x: Tensor, *, t: float = 2.0) -> Tensor:
    """`log mean exp(-t |x_i - x_j|^2)` over pairs of distinct normalized rows, in [-4 t, 0].

    Args:
        x: (rows, dim), two rows or more.
        t: float > 0. Sharpness.

    Raises:
        ValueError: for a single row.

    Example:

    >>> collapsed, spread = keras.ops.ones((3, 3)), keras.ops.eye(3)
    >>> round(float(uniformity(collapsed)), 3), round(float(uniformity(spread)), 3)
    (0.0, -4.0)

    Reference: Wang and Isola, Alignment and uniformity on the hypersphere, 2020, sec. 4.1.
    """
    rows = x.shape[0]
    if rows < 2:
        raise ValueError(f"uniformity compares pairs of rows. Received {rows} row.")
    unit = l2_normalize(x)
    squared_norms = ops.sum(ops.square(unit), axis=-1)  # 1, or 0 for a row of zeros
    squared = squared_norms[:, None] + squared_norms[None, :] - 2.0 * unit @ ops.transpose(unit)
    row = ops.arange(rows)
    self = ops.equal(row[:, None], row[None, :])
    exponent = ops.where(self, _SELF, -t * ops.maximum(squared, 0.0))
    return ops.logsumexp(exponent) - math.log(rows * (rows - 1))


@dataclass(frozen=True)
class Spectrum:
    """What `spectrum_of` found: how many directions outputs fill, and of how many images.

    Attributes:
        singular_values: (ceiling,), descending, of the outputs, not centered.
        eigenvalues: (ceiling,), descending, of the covariance (divided by the samples).
        samples, width: images and outputs of an image.
        images: images given; more than `samples` where a part of them was drawn.

    Example:

    >>> spectrum_of(np.diag([2.0, 1.0, 0.0])).relative_rank(0.5)
    2
    """

    singular_values: np.ndarray
    eigenvalues: np.ndarray
    samples: int
    width: int
    images: int

    @property
    def ceiling(self) -> int:
        """The most directions that so many samples of this width can fill."""
        return min(self.samples, self.width)

    @property
    def rankme(self) -> float:
        """RankMe: from 1 to about `ceiling`."""
        return float(effective_rank(self.singular_values))

    @property
    def participation_ratio(self) -> float:
        """`(sum l)^2 / sum l^2` of the eigenvalues: 1 for one direction, d for d equal ones."""
        total = self.eigenvalues.sum()
        share = self.eigenvalues / (total if total > 0 else 1.0)
        squares = np.square(share).sum()
        return float(1.0 / squares) if squares != 0 else 0.0

    @property
    def largest_share(self) -> float:
        """Fraction of the variance along the first principal direction; 1 without variance."""
        total = self.eigenvalues.sum()
        return float(self.eigenvalues[0] / total) if total != 0 else 1.0

    @property
    def centered_values(self) -> np.ndarray:
        """(ceiling,) singular values of the centered outputs, descending."""
        return np.sqrt(self.eigenvalues * self.samples)

    def relative_rank(self, share: float = SMALL) -> int:
        """Number of singular values that are at least `share` of the largest."""
        return relative_rank(self.singular_values, share)

    def dimensions(self, share: float = SHARE) -> int:
        """Number of leading eigenvalues that hold `share` of the variance; 0 without variance."""
        cumulative = np.cumsum(self.eigenvalues)
        if cumulative[-1] <= 0:
            return 0
        # Rounding must not ask for one more than there are.
        return int(np.sum(cumulative < share * cumulative[-1] * (1 - 1e-12))) + 1


def spectrum_of(z: ArrayLike, *, max_side: int = MAX_SIDE, seed: int = 0) -> Spectrum:
    """Spectrum of outputs of any width, in float64, of a matrix of at most `max_side` columns.

    Eigenvalues are taken of `z^T z` (width x width) or, where it is smaller, of `z z^T` (images x
    images), whose nonzero eigenvalues are the same. If both are larger than `max_side`, so many
    images are drawn: `samples` then says how many, and no measure can exceed that. Values below
    what rounding to float32 leaves of a constant count as 0.

    Args:
        z: float (images, width), finite, a row or more.
        max_side: int > 0. Largest matrix to decompose.
        seed: int. Draws the images.

    Example:

    >>> z = np.random.default_rng(0).normal(size=(500, 8)) @ np.diag([1, 1, 1, 1, 0, 0, 0, 0])
    >>> found = spectrum_of(z)
    >>> found.ceiling, found.dimensions(0.99), round(found.participation_ratio)
    (8, 4, 4)
    >>> spectrum_of(np.ones((5, 3))).eigenvalues.tolist()
    [0.0, 0.0, 0.0]

    Reference: Jing et al., Understanding dimensional collapse, 2022, sec. 3; Garrido et al.,
    RankMe, 2023, eqs. 1 and 2.
    """
    z = np.asarray(z)
    images, width = z.shape
    if min(images, width) > max_side:
        z = z[some_rows(images, max_side, seed)]
    gram = _tall_gram if width <= len(z) else _wide_gram
    with threadpool_limits(1):  # the same bits on any number of cores
        squared, centered = (_eigenvalues(matrix) for matrix in gram(z))
    floor = np.finfo("float32").eps ** 2 * squared[0]  # rounding of the values, squared
    eigenvalues = np.where(centered > floor, centered, 0.0) / len(z)
    return Spectrum(np.sqrt(squared), eigenvalues, len(z), width, images)


def _tall_gram(z):
    """`z^T z`, and the same of the centered rows: (width, width)."""
    z = z.astype("float64")
    centered = z - z[:1]  # equal rows become exact zeros
    centered -= centered.mean(axis=0)
    return z.T @ z, centered.T @ centered


def _wide_gram(z):
    """`z z^T`, and the same of the centered rows: (rows, rows)."""
    plain, centered = np.zeros((len(z), len(z))), np.zeros((len(z), len(z)))
    for block in column_blocks(z):
        plain += block @ block.T
        block -= block[:1].copy()
        block -= block.mean(axis=0)
        centered += block @ block.T
    return plain, centered


def _eigenvalues(matrix):
    return np.maximum(eigvalsh(matrix, check_finite=False)[::-1], 0.0)
