"""Differential entropy of embeddings from nearest-neighbor distances, in nats."""

import math

from keras import ops

from keras_ssl.ops.linalg import l2_normalize
from keras_ssl.ops.pairs import nearest_distances
from keras_ssl.ops.precision import Tensor, at_least_float32

EULER_GAMMA = 0.5772156649015329
_TINY = 1e-8  # DINOv2's, on the difference and on the distance


def kozachenko_leonenko(x: Tensor) -> Tensor:
    """The estimator for d dimensions: `d mean log rho + log(n - 1) + log V_d + gamma`.

    rho is the distance of a row to its nearest other row (at least 1e-12, so that duplicates stay
    finite) and V_d the volume of the unit ball.

    Args:
        x: (n, d), two rows or more.

    Returns:
        A scalar in at least float32.

    Example:

    >>> x = keras.random.uniform((500, 1), seed=1)  # of entropy 0
    >>> bool(abs(kozachenko_leonenko(x)) < 0.2)
    True

    Reference: Kozachenko and Leonenko, 1987.
    """
    return _log_volumes(x) + ops.log(_count(x) - 1.0) + EULER_GAMMA


def kozachenko_leonenko_psi(x: Tensor) -> Tensor:
    """`kozachenko_leonenko` with `digamma(n) - digamma(1)` for `log(n - 1) + gamma`.

    Example:

    >>> x = keras.random.normal((500, 2), seed=1)
    >>> bool(abs(kozachenko_leonenko_psi(x) - kozachenko_leonenko(x)) < 0.01)
    True

    Reference: Kraskov et al., Estimating mutual information, 2004, eq. 20.
    """
    harmonic = ops.sum(1.0 / ops.arange(1, x.shape[0], dtype=at_least_float32(x).dtype))
    return _log_volumes(x) + harmonic


def kozachenko_leonenko_1d(x: Tensor) -> Tensor:
    """`mean log(n rho) + log 2 + gamma`, as SimMER prints it; an entropy only for (n, 1).

    In d dimensions it is, up to constants, the d-th part of the entropy.

    Example:

    >>> x = keras.random.uniform((500, 1), seed=1)  # of entropy 0
    >>> bool(abs(kozachenko_leonenko_1d(x)) < 0.2)
    True

    Reference: SimMER, eq. 4.
    """
    mean = ops.mean(ops.log(nearest_distances(x)))
    return mean + ops.log(_count(x)) + math.log(2.0) + EULER_GAMMA


def koleo(x: Tensor) -> Tensor:
    """KoLeo: `-mean log(|x_i - x_nn|)` of normalized rows, nn the row of largest dot product.

    Example:

    >>> spread, near = keras.ops.eye(4), keras.ops.ones((4, 4)) + 0.1 * keras.ops.eye(4)
    >>> bool(koleo(spread) < koleo(near))
    True

    Reference: Sablayrolles et al., 2019; constants of Oquab et al., DINOv2.
    """
    unit = l2_normalize(x)
    similarity = ops.stop_gradient(unit @ ops.transpose(unit))
    row = ops.arange(ops.shape(unit)[0])
    others = ops.where(ops.equal(row[:, None], row[None, :]), -2.0, similarity)
    difference = unit - ops.take(unit, ops.argmax(others, axis=-1), axis=0) + _TINY
    distance = ops.sqrt(ops.sum(ops.square(difference), axis=-1))
    return -ops.mean(ops.log(ops.maximum(distance, _TINY) + _TINY))


def _log_volumes(x):
    """Mean log volume of the balls that reach to the nearest other rows."""
    dim = x.shape[-1]
    unit_ball = 0.5 * dim * math.log(math.pi) - math.lgamma(0.5 * dim + 1.0)
    return dim * ops.mean(ops.log(nearest_distances(x))) + unit_ball


def _count(x):
    return ops.cast(ops.shape(x)[0], at_least_float32(x).dtype)
