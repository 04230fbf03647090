"""VICReg: agree between views, vary over the batch, decorrelate the features."""

import itertools
from collections.abc import Sequence

from keras import ops

from keras_ssl.ops.linalg import off_diagonal_energy
from keras_ssl.ops.pairs import mean_over_pairs
from keras_ssl.ops.precision import Tensor, at_least_float32


def invariance(x: Tensor, y: Tensor) -> Tensor:
    """Mean squared difference over the batch and the features: (batch, dim) twice -> scalar.

    The paper's eq. 5 sums over the features instead, which is `dim` times this; its coefficients
    go with the mean, which the authors' code takes.
    """
    return ops.mean(ops.square(at_least_float32(x) - at_least_float32(y)))


def variance_hinge(z: Tensor, *, margin: float = 1.0, epsilon: float = 1e-4) -> Tensor:
    """How far the features' standard deviations fall short of `margin`, averaged over them.

    Args:
        z: (batch, dim).
        margin: float > 0. The paper's gamma.
        epsilon: float > 0. Added to the unbiased variance under the root, whose slope it bounds.

    Returns:
        A scalar in [0, margin] in at least float32.

    Reference: Bardes et al., VICReg, 2022, eqs. 1 and 2.
    """
    centered, degrees = _centered(z)
    variance = ops.sum(ops.square(centered), axis=0) / degrees
    return ops.mean(ops.relu(margin - ops.sqrt(variance + epsilon)))


def covariance_energy(z: Tensor) -> Tensor:
    """Sum of the squared off-diagonal covariances over `dim`: (batch, dim) -> scalar >= 0.

    Reference: Bardes et al., VICReg, 2022, eqs. 3 and 4.
    """
    centered, degrees = _centered(z)
    covariance = ops.matmul(ops.transpose(centered), centered) / degrees
    return off_diagonal_energy(covariance) / z.shape[-1]


def vicreg_terms(*views: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Invariance, variance and covariance, not weighted, averaged over the pairs of views.

    Of two views x and y: `invariance(x, y)`, `(hinge(x) + hinge(y)) / 2` and
    `energy(x) + energy(y)`.

    Args:
        *views: two or more tensors (batch, dim).

    Returns:
        Three scalars >= 0 in at least float32.
    """
    return mean_over_pairs(invariance, views), *spread_terms(*views)


def spread_terms(*views: Tensor) -> tuple[Tensor, Tensor]:
    """Variance and covariance of `vicreg_terms`: what keeps any method's projections from collapse.

    Args:
        *views: one or more tensors (batch, dim).

    Returns:
        The mean of `variance_hinge` and twice that of `covariance_energy` over the views: two
        scalars >= 0 in at least float32.

    Example:

    >>> variance, covariance = spread_terms(keras.ops.ones((4, 8)))  # collapsed
    >>> round(float(variance), 2), float(covariance)
    (0.99, 0.0)

    Reference: Bardes et al., VICReg, 2022, sec. 5.2 and table 4.
    """
    variance = sum(map(variance_hinge, views)) / len(views)
    return variance, 2.0 * sum(map(covariance_energy, views)) / len(views)


def prediction_invariance(projections: Sequence[Tensor], predictions: Sequence[Tensor]) -> Tensor:
    """`invariance` of every view's projection and what the others predict of it, averaged.

    Args:
        projections, predictions: sequences over V >= 2 views of (batch, dim). Gradients flow to
            both.

    Returns:
        A scalar >= 0 in at least float32.

    Example:

    >>> a, b = keras.random.normal((2, 4, 8), seed=1)
    >>> float(prediction_invariance([a, b], [b, a]))
    0.0

    Reference: Bardes et al., VICReg, 2022, sec. 5.2: s(Z, Z', P, P') without stop-gradient.
    """
    pairs = list(itertools.permutations(range(len(projections)), 2))
    return sum(invariance(projections[z], predictions[p]) for z, p in pairs) / len(pairs)


def vicreg_loss(
    *views: Tensor,
    invariance_weight: float = 25.0,
    variance_weight: float = 25.0,
    covariance_weight: float = 1.0,
) -> Tensor:
    """The three `vicreg_terms`, weighted and added.

    The variance terms of two views are averaged as in the authors' code. The paper's eq. 6 and
    solo-learn add them: for these pass twice the `variance_weight`.

    Args:
        *views: two or more projections (batch, dim); of more, the average over all pairs.
        invariance_weight, variance_weight, covariance_weight: float >= 0. The paper's lambda, mu
            and nu.

    Returns:
        A scalar >= 0 in at least float32.

    Raises:
        ValueError: if fewer than two views are given.

    Example:

    >>> x = keras.ops.ones((4, 8))  # collapsed: only the variance term is left
    >>> float(vicreg_loss(x, x))
    24.75

    Reference: Bardes et al., VICReg, 2022, eq. 6; facebookresearch/vicreg.
    """
    weights = (invariance_weight, variance_weight, covariance_weight)
    return sum(w * term for w, term in zip(weights, vicreg_terms(*views), strict=True))


def _centered(z):
    """`z` minus its mean, and the degrees of freedom (1 at least, so that one row varies by 0)."""
    z = at_least_float32(z)
    degrees = ops.maximum(ops.cast(ops.shape(z)[0], z.dtype) - 1.0, 1.0)
    return z - ops.mean(z, axis=0), degrees
