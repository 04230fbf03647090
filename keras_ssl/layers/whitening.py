"""Whitening: give the features of a batch zero mean and the identity as covariance.

Everything is computed in float64 whatever the input, because whitening amplifies the rounding of
the covariance by its condition number; results come back in at least float32.
"""

import math

import keras
from keras import ops

from keras_ssl.core.bounds import Count, Few, Share, Weight
from keras_ssl.core.errors import UserError
from keras_ssl.core.replicas import all_mean
from keras_ssl.core.serialization import Configured, register
from keras_ssl.ops.linalg import cholesky, inverse_square_root
from keras_ssl.ops.precision import Tensor, at_least_float32, float_spec

_JITTER = 1e-14  # of the trace: above the rounding of float64, below any tolerance of float32


def cholesky_whiten(x: Tensor, *, epsilon: float = 0.0) -> Tensor:
    """Whiten by the lower Cholesky factor L of the covariance: rows become `L^-1 (x - mean)`.

    The covariance divides by `batch - 1` and is shrunk to `(1 - epsilon) cov + epsilon I`.

    Args:
        x: (..., batch, dim). Every matrix is whitened by itself; take `batch > dim`.
        epsilon: float in [0, 1]. Shrinkage; 0 whitens fully.

    Returns:
        (..., batch, dim) in at least float32; zeros where all rows are equal.

    Example:

    >>> z = cholesky_whiten(keras.random.normal((16, 3), seed=1))
    >>> bool(abs(keras.ops.transpose(z) @ z / 15 - keras.ops.eye(3)).numpy().max() < 1e-5)
    True

    Reference: Ermolov et al., Whitening for self-supervised learning, 2021, eqs. 3 to 5.
    """
    x = at_least_float32(x)
    centered = _centered(x)
    rows = ops.swapaxes(centered, -1, -2)  # (..., dim, batch)
    count = ops.cast(ops.shape(x)[-2], "float64")
    covariance = rows @ centered / ops.maximum(count - 1.0, 1.0)
    factor = cholesky(_definite((1.0 - epsilon) * covariance, epsilon))
    white = ops.solve_triangular(factor, rows, lower=True)
    return ops.cast(ops.swapaxes(white, -1, -2), x.dtype)


def whiten_sub_batches(
    x: Tensor, permutation: Tensor, size: int, *, epsilon: float = 0.0
) -> Tensor:
    """`cholesky_whiten` of random sub-batches; the rows come back in their own order.

    Views of the same images must be given the same `permutation`.

    Args:
        x: (batch, dim).
        permutation: (batch,) ints. Its first `size` entries are the first sub-batch, and so on.
        size: int. Rows of a sub-batch: more than `dim`, better twice as many.
        epsilon: float in [0, 1]. Shrinkage of the covariance.

    Raises:
        UserError: if `size` does not divide the batch.

    Example:

    >>> x = keras.random.normal((8, 2), seed=1)
    >>> z = whiten_sub_batches(x, np.arange(8), 4)
    >>> bool(keras.ops.all(keras.ops.isclose(z[:4], cholesky_whiten(x[:4]), atol=1e-5)))
    True

    Reference: Ermolov et al., 2021, sec. 3 (batch slicing).
    """
    batch, dim = x.shape
    if batch is not None and batch % size:
        raise UserError(
            f"A batch of {batch} does not divide into sub-batches of {size} rows: "
            f"try {math.gcd(batch, size)}, or a batch of {batch - batch % size or size}."
        )
    groups = ops.reshape(ops.take(x, permutation, axis=0), (-1, size, dim))
    white = ops.reshape(cholesky_whiten(groups, epsilon=epsilon), (-1, dim))
    return ops.take(white, ops.argsort(permutation), axis=0)


def zca_whiten(x: Tensor, num_groups: int = 1, *, epsilon: float = 0.0) -> Tensor:
    """Whiten groups of consecutive features by the symmetric root `(cov + epsilon I)^(-1/2)`.

    Of all whitenings this one stays nearest to its input. The covariance divides by the batch.

    Args:
        x: (batch, dim).
        num_groups: int > 0. Must divide `dim`; fewer features per group need fewer rows.
        epsilon: float >= 0. Added to the eigenvalues.

    Returns:
        (batch, dim) in at least float32.

    Raises:
        UserError: if `num_groups` does not divide `dim`.

    Example:

    >>> z = zca_whiten(keras.random.normal((16, 3), seed=1))
    >>> bool(abs(keras.ops.transpose(z) @ z / 16 - keras.ops.eye(3)).numpy().max() < 1e-5)
    True

    Reference: Huang et al., Decorrelated batch normalization, 2018, eq. 5, algorithm 1.
    """
    return _whiten(x, num_groups, lambda covariance: zca_matrix(covariance, epsilon=epsilon))


def shuffled_whiten(
    x: Tensor, permutation: Tensor, num_groups: int = 1, *, epsilon: float = 0.0
) -> Tensor:
    """`zca_whiten` on permuted features, permuted back: every step groups them anew.

    Args:
        x: (batch, dim).
        permutation: (dim,) ints. Draw one per call.
        num_groups: int > 0. Must divide `dim`; see `groups_for`.
        epsilon: float >= 0. Added to the eigenvalues.

    Example:

    >>> x = keras.random.normal((16, 4), seed=1)
    >>> shuffled = shuffled_whiten(x, np.array([1, 0, 3, 2]), 2)  # the same groups as they are
    >>> bool(keras.ops.all(keras.ops.isclose(shuffled, zca_whiten(x, 2), atol=1e-5)))
    True

    Reference: Hua et al., On feature decorrelation in self-supervised learning, 2021, sec. 4.3.
    """
    white = zca_whiten(ops.take(x, permutation, axis=1), num_groups, epsilon=epsilon)
    return ops.take(white, ops.argsort(permutation), axis=1)


def iterative_whiten(
    x: Tensor, num_groups: int = 1, *, iterations: int = 5, epsilon: float = 1e-5
) -> Tensor:
    """`zca_whiten` by Newton's iteration, without eigenvalues; approximate by design.

    Args:
        x: (batch, dim).
        num_groups: int > 0. Must divide `dim`.
        iterations: int >= 0. Steps; small eigenvalues need more.
        epsilon: float > 0. Added to the diagonal of the covariance.

    Example:

    >>> x = keras.random.normal((64, 3), seed=1)
    >>> exact, approximate = zca_whiten(x), iterative_whiten(x, iterations=20)
    >>> bool(keras.ops.all(keras.ops.isclose(exact, approximate, atol=1e-3)))
    True

    Reference: Huang et al., Iterative normalization, 2019, algorithm 1.
    """
    return _whiten(x, num_groups, lambda c: newton_matrix(c, iterations, epsilon=epsilon))


def zca_matrix(covariance: Tensor, *, epsilon: float = 0.0) -> Tensor:
    """`(covariance + epsilon I)^(-1/2)`: float64 (..., d, d) -> (..., d, d), symmetric."""
    return inverse_square_root(_definite(covariance, epsilon))


def newton_matrix(covariance: Tensor, iterations: int, *, epsilon: float = 0.0) -> Tensor:
    """`zca_matrix` approximated by Newton's iteration `P <- (3 P - P^3 S) / 2`, S of trace 1."""
    covariance = _definite(covariance, epsilon)
    trace = ops.trace(covariance, axis1=-2, axis2=-1)[..., None, None]
    scaled = covariance / trace
    root = ops.eye(covariance.shape[-1], dtype="float64") + ops.zeros_like(scaled)
    for _ in range(iterations):
        root = 1.5 * root - 0.5 * (root @ root @ root @ scaled)
    return root / ops.sqrt(trace)


def groups_for(dim: int, batch: int) -> int:
    """The smallest number of groups that divides `dim` and leaves at most batch / 2 features each.

    Reference: Hua et al., 2021, whose code takes ceil(2 dim / batch), dividing or not.
    """
    fewest = min(dim, -(-2 * dim // batch))
    return next(groups for groups in range(fewest, dim + 1) if dim % groups == 0)


@register
class DecorrelatedBatchNormalization(Configured, keras.layers.Layer):
    """Group whitening with running statistics for inference; it has no scale or offset.

    In training it is `zca_whiten` of the global batch, or with `iterations` `iterative_whiten`
    (IterNorm), and moves a running mean and a running whitening matrix (of the matrix itself, not
    of the covariance). In inference, and while `trainable` is False, it applies those.

    Args:
        num_groups: int > 0. Must divide the features; groups are consecutive features.
        momentum: float in [0, 1]. Fraction of the running statistics that one step keeps.
        epsilon: float >= 0. Added to the eigenvalues of the covariance.
        iterations: int >= 0 or None. Newton's steps towards the matrix; None for the exact one.

    Raises:
        UserError: if `num_groups` does not divide the features.

    Example:

    >>> layer = DecorrelatedBatchNormalization(num_groups=2)
    >>> layer(keras.random.normal((8, 4), seed=1), training=True).shape
    TensorShape([8, 4])

    Reference: Huang et al., Decorrelated batch normalization, 2018, algorithms 1 and 2; Huang et
    al., Iterative normalization, 2019, algorithm 1 (5 iterations).
    """

    def __init__(
        self,
        num_groups: Count = 1,
        momentum: Share = 0.9,
        epsilon: Weight = 1e-5,
        iterations: Few | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.num_groups = num_groups
        self.momentum = momentum
        self.epsilon = epsilon
        self.iterations = iterations

    def build(self, input_shape):
        dim = input_shape[-1]
        width = _group_width(dim, self.num_groups)
        # Every replica computes the same values.
        options = {"trainable": False, "autocast": False, "aggregation": "only_first_replica"}
        self.moving_mean = self.add_weight(
            name="moving_mean", shape=(dim,), initializer="zeros", **options
        )
        self.moving_whitening = self.add_weight(
            name="moving_whitening",
            shape=(self.num_groups, width, width),
            initializer=_identities,
            **options,
        )

    def call(self, x, training=None):
        x = at_least_float32(x)
        if not (training and self.trainable):
            mean, matrix = self.moving_mean, self.moving_whitening
            return _by_group(x - ops.cast(mean, x.dtype), ops.cast(matrix, x.dtype))
        mean = all_mean(_mean(ops.cast(x, "float64")))
        centered = ops.cast(x, "float64") - mean
        covariance = all_mean(_group_covariance(centered, self.num_groups))
        matrix = self._matrix(covariance)
        self._update(self.moving_mean, ops.squeeze(mean, 0))
        self._update(self.moving_whitening, matrix)
        return ops.cast(_by_group(centered, matrix), x.dtype)

    def compute_output_spec(self, x, training=None):
        return float_spec(x)

    def _matrix(self, covariance):
        if self.iterations is None:
            return zca_matrix(covariance, epsilon=self.epsilon)
        return newton_matrix(covariance, self.iterations, epsilon=self.epsilon)

    def _update(self, running, batch):
        batch = ops.cast(ops.stop_gradient(batch), running.dtype)
        running.assign(running * self.momentum + batch * (1 - self.momentum))


def _mean(x):
    """Mean over axis -2, kept; exact where all rows are equal, so that they become zeros."""
    first = ops.stop_gradient(x[..., :1, :])
    return first + ops.mean(x - first, axis=-2, keepdims=True)


def _centered(x):
    x = ops.cast(x, "float64")
    return x - _mean(x)


def _definite(covariance, epsilon):
    """Add `epsilon`, and as little more as makes the factorizations of any batch succeed.

    Equal rows, whose covariance is 0, get the identity where `epsilon` is 0, so that the gradient
    is of the usual size.
    """
    trace = ops.trace(covariance, axis1=-2, axis2=-1)[..., None, None]
    without_variance = 0.0 if epsilon else 1.0
    jitter = ops.stop_gradient(ops.where(trace > 0, _JITTER * trace, without_variance))
    return covariance + (epsilon + jitter) * ops.eye(covariance.shape[-1], dtype="float64")


def _group_width(dim, num_groups):
    if num_groups < 1 or dim % num_groups:
        raise UserError(
            f"num_groups={num_groups} must divide the {dim} features: "
            f"try {math.gcd(dim, num_groups)} or another divisor."
        )
    return dim // num_groups


def _group_covariance(centered, num_groups):
    """(batch, dim) -> (num_groups, width, width), divided by the batch."""
    width = _group_width(centered.shape[-1], num_groups)
    groups = ops.reshape(centered, (-1, num_groups, width))
    total = ops.einsum("bgi,bgj->gij", groups, groups)
    return total / ops.cast(ops.shape(centered)[0], "float64")


def _by_group(centered, matrices):
    num_groups, width, _ = matrices.shape
    groups = ops.reshape(centered, (-1, num_groups, width))
    return ops.reshape(ops.einsum("bgi,gij->bgj", groups, matrices), ops.shape(centered))


def _whiten(x, num_groups, matrix_of):
    x = at_least_float32(x)
    centered = _centered(x)
    matrices = matrix_of(_group_covariance(centered, num_groups))
    return ops.cast(_by_group(centered, matrices), x.dtype)


def _identities(shape, dtype=None):
    return ops.broadcast_to(ops.eye(shape[-1], dtype=dtype), shape)
