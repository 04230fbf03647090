"""Unit vectors and cosines with gradients that stay finite at zero rows."""

from keras import ops

from keras_ssl.core.precision import at_least_float32


def l2_normalize(x, *, epsilon=1e-12):
    """Divide each row of `x` by its Euclidean norm, in at least float32.

    Args:
        x: (..., dim).
        epsilon: float > 0. Floor of the squared norm, so that a zero row stays zero.
    """
    x = at_least_float32(x)
    squared = ops.sum(ops.square(x), axis=-1, keepdims=True)
    return x * ops.rsqrt(ops.maximum(squared, epsilon))


def cosine(a, b):
    """Cosine between corresponding rows: (batch, dim), (batch, dim) -> (batch,)."""
    return ops.sum(l2_normalize(a) * l2_normalize(b), axis=-1)
