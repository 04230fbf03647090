"""Sinkhorn: turn scores into soft assignments that use every prototype equally."""

from typing import Annotated

import keras
from keras import ops

from keras_ssl.core.bounds import Between, Temperature
from keras_ssl.core.replicas import all_gather
from keras_ssl.core.serialization import Configured, register
from keras_ssl.ops.precision import Tensor, at_least_float32, float_spec


def sinkhorn(
    scores: Tensor, *, weights: Tensor | None = None, epsilon: float = 0.05, iterations: int = 3
) -> Tensor:
    """Balance `exp(scores / epsilon)` over the prototypes by a few Sinkhorn-Knopp iterations.

    One iteration scales the columns (prototypes) to equal mass and then the rows (images) to 1.
    Computed in logarithms and in at least float32, so that no score is too large. The columns are
    balanced over the batches of all replicas; no gradient is stopped here.

    Args:
        scores: (batch, num_prototypes). This replica's rows.
        weights: (batch,) >= 0, or None for 1 each. How much a row counts where the columns are
            balanced; a row of weight 0 is assigned all the same. Rows that all replicas hold
            (a queue) count once if each gives them its share, `1 / num_replicas()`.
        epsilon: float > 0. Entropy weight; smaller is sharper and less balanced after a fixed
            number of iterations.
        iterations: int >= 0. With 0 only the mean of all rows' sums is 1.

    Returns:
        (batch, num_prototypes), >= 0. Each row sums to 1, each column to about
        `batch / num_prototypes`.

    Example:

    >>> codes = sinkhorn(keras.ops.array([[1.0, 0.9], [1.0, 0.1]]), iterations=50)
    >>> codes.numpy().round(1).tolist()
    [[0.0, 1.0], [1.0, 0.0]]

    Reference: Caron et al., SwAV, 2020, eqs. 3 to 5; Cuturi, Sinkhorn distances, 2013.
    """
    log_q = at_least_float32(scores) / epsilon
    log_weights = 0.0 if weights is None else ops.log(ops.cast(weights, log_q.dtype))[:, None]
    rows = ops.logsumexp(log_q, axis=1, keepdims=True)
    log_q = log_q - _log_mean_exp(rows + log_weights)
    for _ in range(iterations):
        log_q = log_q - _log_mean_exp(log_q + log_weights)
        log_q = log_q - ops.logsumexp(log_q, axis=1, keepdims=True)
    return ops.exp(log_q)


@register
class Sinkhorn(Configured, keras.layers.Layer):
    """Layer form of `sinkhorn` that stops the gradient; it has no weights.

    Args:
        epsilon: float > 0. Entropy weight; smaller is sharper.
        iterations: int >= 0.

    Raises:
        UserError: for values out of range.

    Example:

    >>> codes = Sinkhorn(epsilon=1.0)(keras.random.normal((8, 4), seed=1))
    >>> bool(keras.ops.all(abs(keras.ops.sum(codes, axis=0) - 2) < 0.1))  # 8 images by 4 prototypes
    True

    Reference: Caron et al., SwAV, 2020, eqs. 3 to 5.
    """

    def __init__(
        self,
        epsilon: Temperature = 0.05,
        iterations: Annotated[int, Between(0, 1000)] = 3,
        **kwargs,
    ):
        super().__init__(autocast=False, **kwargs)
        self.epsilon = epsilon
        self.iterations = iterations

    def call(self, scores):
        codes = sinkhorn(scores, epsilon=self.epsilon, iterations=self.iterations)
        return ops.stop_gradient(codes)

    def compute_output_spec(self, scores):
        return float_spec(scores)


def _log_mean_exp(x):
    """`log(mean(exp(x)))` over the rows of all replicas: (batch, n) -> (1, n)."""
    own = ops.logsumexp(x, axis=0, keepdims=True) - _log_size(x)
    every = all_gather(own)  # (replicas, n); every replica has as many rows
    return ops.logsumexp(every, axis=0, keepdims=True) - _log_size(every)


def _log_size(x):
    return ops.log(ops.cast(ops.shape(x)[0], x.dtype))
