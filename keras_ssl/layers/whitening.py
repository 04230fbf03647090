"""Whitening: give the features of a batch zero mean and the identity as covariance.

Everything is computed in float64 whatever the input, because whitening amplifies the rounding of
the covariance by its condition number; results come back in at least float32.
"""

import functools
import math
from typing import Literal

import keras
from keras import ops

from keras_ssl.core.bounds import Count, Few, Share, Weight
from keras_ssl.core.errors import UserError, lookup
from keras_ssl.core.replicas import all_mean
from keras_ssl.core.serialization import Configured, register
from keras_ssl.layers.whitening_matrices import WHITENINGS, definite, newton_matrix
from keras_ssl.ops.linalg import cholesky
from keras_ssl.ops.precision import Tensor, at_least_float32, float_spec


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
    factor = cholesky(definite((1.0 - epsilon) * _sample_covariance(centered), epsilon))
    rows = ops.swapaxes(centered, -1, -2)  # (..., dim, batch)
    white = ops.solve_triangular(factor, rows, lower=True)
    return ops.cast(ops.swapaxes(white, -1, -2), x.dtype)


def whiten_sub_batches(
    x: Tensor,
    permutation: Tensor,
    size: int,
    *,
    whitening: str = "cholesky",
    epsilon: float = 0.0,
) -> Tensor:
    """`cholesky_whiten` of random sub-batches; the rows come back in their own order.

    Views of the same images must be given the same `permutation`.

    Args:
        x: (batch, dim).
        permutation: (batch,) ints. Its first `size` entries are the first sub-batch, and so on.
        size: int. Rows of a sub-batch: more than `dim`, better twice as many.
        whitening: "cholesky", or another name in `WHITENINGS`.
        epsilon: float in [0, 1]. Shrinkage of the covariance.

    Raises:
        UserError: if `size` does not divide the batch; for an unknown whitening.

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
    whiten_each = lookup(_OF_SUB_BATCHES, whitening, "whitening")
    white = ops.reshape(whiten_each(groups, epsilon=epsilon), (-1, dim))
    return ops.take(white, ops.argsort(permutation), axis=0)


def whiten(
    x: Tensor, whitening: str = "zca", num_groups: int = 1, *, epsilon: float = 0.0
) -> Tensor:
    """Whiten groups of consecutive features by a whitening of that name.

    What they are and differ in: see `keras_ssl.layers.whitening_matrices`. The covariance divides
    by the batch.

    Args:
        x: (batch, dim).
        whitening: "cholesky", "pca", "pca_cor", "zca" or "zca_cor".
        num_groups: int > 0. Must divide `dim`; fewer features per group need fewer rows.
        epsilon: float >= 0. Added to the eigenvalues of the covariance, in the "_cor" ones of the
            correlation matrix.

    Returns:
        (batch, dim) in at least float32.

    Raises:
        UserError: for an unknown whitening; if `num_groups` does not divide `dim`.

    Example:

    >>> x = keras.random.normal((64, 3), seed=1) * np.array([1.0, 10.0, 100.0])
    >>> z = whiten(x, "pca")
    >>> float(abs(np.corrcoef(x[:, 2], z[:, 0])[0, 1]).round(2))  # the first says most of it
    1.0

    Reference: Kessy et al., Optimal whitening and decorrelation, 2018, table 1.
    """
    matrix_of = lookup(WHITENINGS, whitening, "whitening")
    return _whiten(x, num_groups, lambda covariance: matrix_of(covariance, epsilon=epsilon))


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
    return whiten(x, "zca", num_groups, epsilon=epsilon)


def shuffled_whiten(
    x: Tensor,
    permutation: Tensor,
    num_groups: int = 1,
    *,
    whitening: str = "zca",
    epsilon: float = 0.0,
) -> Tensor:
    """`whiten` on permuted features, permuted back: every step groups them anew.

    Args:
        x: (batch, dim).
        permutation: (dim,) ints. Draw one per call.
        num_groups: int > 0. Must divide `dim`; see `groups_for`.
        whitening: name in `WHITENINGS`.
        epsilon: float >= 0. As of `whiten`.

    Example:

    >>> x = keras.random.normal((16, 4), seed=1)
    >>> shuffled = shuffled_whiten(x, np.array([1, 0, 3, 2]), 2)  # the same groups as they are
    >>> bool(keras.ops.all(keras.ops.isclose(shuffled, zca_whiten(x, 2), atol=1e-5)))
    True

    Reference: Hua et al., On feature decorrelation in self-supervised learning, 2021, sec. 4.3.
    """
    white = whiten(ops.take(x, permutation, axis=1), whitening, num_groups, epsilon=epsilon)
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


def groups_for(dim: int, batch: int) -> int:
    """The smallest number of groups that divides `dim` and leaves at most batch / 2 features each.

    Reference: Hua et al., 2021, whose code takes ceil(2 dim / batch), dividing or not.
    """
    fewest = min(dim, -(-2 * dim // batch))
    return next(groups for groups in range(fewest, dim + 1) if dim % groups == 0)


@register
class DecorrelatedBatchNormalization(Configured, keras.layers.Layer):
    """Group whitening with running statistics for inference; it has no scale or offset.

    In training it is `whiten` of the global batch, or with `iterations` `iterative_whiten`
    (IterNorm), and moves a running mean and a running whitening matrix (of the matrix itself, not
    of the covariance). In inference, and while `trainable` is False, it applies those.

    Args:
        num_groups: int > 0. Must divide the features; groups are consecutive features.
        momentum: float in [0, 1]. Fraction of the running statistics that one step keeps.
        epsilon: float >= 0. Added to the eigenvalues of the covariance, see `whiten`.
        iterations: int >= 0 or None. Newton's steps towards the matrix of "zca"; None for the exact
            one.
        whitening: "cholesky", "pca", "pca_cor", "zca" or "zca_cor". The running mean of those by
            principal components is none of their kind, see `whitening_matrices`.

    Raises:
        UserError: if `num_groups` does not divide the features; for iterations towards another
            matrix than "zca".

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
        whitening: Literal["cholesky", "pca", "pca_cor", "zca", "zca_cor"] = "zca",
        **kwargs,
    ):
        super().__init__(**kwargs)
        if iterations is not None and whitening != "zca":
            raise UserError(
                f"Newton's iterations lead to 'zca'. Received whitening='{whitening}' and "
                f"iterations={iterations}: take iterations=None."
            )
        self.num_groups = num_groups
        self.momentum = momentum
        self.epsilon = epsilon
        self.iterations = iterations
        self.whitening = whitening

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
            return WHITENINGS[self.whitening](covariance, epsilon=self.epsilon)
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


def _sample_covariance(centered):
    """(..., batch, dim) -> (..., dim, dim), divided by batch - 1."""
    count = ops.cast(ops.shape(centered)[-2], "float64")
    return ops.swapaxes(centered, -1, -2) @ centered / ops.maximum(count - 1.0, 1.0)


def _sample_whiten(x, matrix_of, *, epsilon):
    x = at_least_float32(x)
    centered = _centered(x)
    identity = ops.eye(x.shape[-1], dtype="float64")
    covariance = (1.0 - epsilon) * _sample_covariance(centered) + epsilon * identity
    return ops.cast(centered @ matrix_of(covariance), x.dtype)


_OF_SUB_BATCHES = {
    name: functools.partial(_sample_whiten, matrix_of=matrix_of)
    for name, matrix_of in WHITENINGS.items()
}
# It solves for the rows, and inverts nothing.
_OF_SUB_BATCHES["cholesky"] = cholesky_whiten


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
