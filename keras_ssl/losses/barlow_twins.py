"""Barlow Twins: bring the cross-correlation of two views close to the identity."""

from keras import ops

from keras_ssl.ops.linalg import off_diagonal_energy
from keras_ssl.ops.pairs import mean_over_pairs
from keras_ssl.ops.precision import Tensor, at_least_float32


def cross_correlation(z1: Tensor, z2: Tensor, *, epsilon: float = 1e-5) -> Tensor:
    """Correlation over the batch of every feature of `z1` with every feature of `z2`.

    Args:
        z1, z2: (batch, dim).
        epsilon: float > 0. Added to the biased variances, so that a constant feature correlates
            with nothing.

    Returns:
        (dim, dim) in at least float32, entries in [-1, 1].

    Reference: Zbontar et al., Barlow Twins, 2021, eq. 2.
    """
    z1, z2 = _standardize(z1, epsilon), _standardize(z2, epsilon)
    return ops.matmul(ops.transpose(z1), z2) / ops.cast(ops.shape(z1)[0], z1.dtype)


def diagonal_error(correlation: Tensor) -> Tensor:
    """`sum_i (1 - C_ii)^2`, the invariance term: (dim, dim) -> scalar >= 0."""
    return ops.sum(ops.square(1.0 - ops.diagonal(correlation)))


def barlow_twins_terms(*views: Tensor) -> tuple[Tensor, Tensor]:
    """Invariance and redundancy, not weighted, averaged over the pairs of views.

    Args:
        *views: two or more tensors (batch, dim).

    Returns:
        Two scalars >= 0 in at least float32: `diagonal_error` and `off_diagonal_energy` of the
        cross-correlations.
    """

    def terms(a, b):
        correlation = cross_correlation(a, b)
        return ops.stack([diagonal_error(correlation), off_diagonal_energy(correlation)])

    return tuple(ops.unstack(mean_over_pairs(terms, views), 2))


def barlow_twins_loss(*views: Tensor, redundancy_weight: float = 0.0051) -> Tensor:
    """Decorrelate features while keeping each one invariant across views.

        sum_i (1 - C_ii)^2 + redundancy_weight * sum_{i != j} C_ij^2

    A sum over the features, so the scale grows with `dim`; solo-learn multiplies it by 0.1 on
    CIFAR.

    Args:
        *views: two or more projections (batch, dim); of more, the average over all pairs.
        redundancy_weight: float >= 0. The paper's lambda.

    Returns:
        A scalar >= 0 in at least float32.

    Raises:
        ValueError: if fewer than two views are given.

    Example:

    >>> a, b = keras.random.normal((2, 8, 4), seed=1)
    >>> bool(keras.ops.isclose(barlow_twins_loss(a, b), barlow_twins_loss(b, 3 * a + 1), 1e-3))
    True

    Reference: Zbontar et al., Barlow Twins, 2021, eq. 1.
    """
    invariance, redundancy = barlow_twins_terms(*views)
    return invariance + redundancy_weight * redundancy


def _standardize(z, epsilon):
    z = at_least_float32(z)
    centered = z - ops.mean(z, axis=0)
    return centered * ops.rsqrt(ops.mean(ops.square(centered), axis=0) + epsilon)
