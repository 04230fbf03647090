"""Unit vectors and cosines with gradients that stay finite at zero rows."""

from keras import ops

from keras_ssl.ops.precision import Tensor, at_least_float32


def l2_normalize(x: Tensor, *, epsilon: float | None = None) -> Tensor:
    """Divide each row of `x` by its Euclidean norm, in at least float32.

    Args:
        x: (..., dim).
        epsilon: float > 0 or None. Floor of the squared norm, so that a zero row stays zero and has
            a slope of one over its root. None is 1e-12, and 1e-6 for float16, whose largest number
            is 65,504.
    """
    if epsilon is None:
        epsilon = 1e-6 if ops.dtype(ops.convert_to_tensor(x)) == "float16" else 1e-12
    x = at_least_float32(x)
    squared = ops.sum(ops.square(x), axis=-1, keepdims=True)
    return x * ops.rsqrt(ops.maximum(squared, epsilon))


def cosine(a: Tensor, b: Tensor, *, epsilon: float | None = None) -> Tensor:
    """Cosine between corresponding rows: (batch, dim), (batch, dim) -> (batch,)."""
    return ops.sum(l2_normalize(a, epsilon=epsilon) * l2_normalize(b, epsilon=epsilon), axis=-1)
