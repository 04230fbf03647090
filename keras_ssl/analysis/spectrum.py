"""How many directions a batch of embeddings fills, and how evenly it covers the sphere."""

import math

from keras import ops

from keras_ssl.ops.linalg import l2_normalize
from keras_ssl.ops.precision import Tensor, at_least_float32

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
    values = singular_values(z)
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
