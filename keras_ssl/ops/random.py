"""Randomness of a step: it derives from the seed and the step, and so survives a resume."""

from collections.abc import Sequence

import tensorflow as tf

from keras_ssl.ops.precision import Tensor

_STREAM = 1  # apart from the augmentation, which draws by the seed and the step as they are


def permutation(count: int, seed: Sequence[int] | Tensor, index: int | Tensor) -> Tensor:
    """A permutation of `range(count)`, the same wherever and whenever it is computed.

    Args:
        count: int > 0.
        seed: int >= 0.
        index: int or integer tensor >= 0, such as the number of the step.

    Returns:
        (count,) int32.

    Example:

    >>> sorted(permutation(4, seed=0, index=7).numpy().tolist())
    [0, 1, 2, 3]
    """
    key = _key(seed, index)
    # Philox gives the same on all devices. `stateless_shuffle` has no kernel in XLA.
    keys = tf.random.stateless_uniform((count,), key, None, None, "int32", alg="philox")
    return tf.argsort(keys, stable=True)


def integers(count: int, limit: int, seed: int | Tensor, index: int | Tensor) -> Tensor:
    """Whole numbers below `limit`, with replacement; the same wherever and whenever computed.

    Args:
        count: int > 0.
        limit: int in [1, 2^31).
        seed: int >= 0.
        index: int or integer tensor >= 0, such as the number of the step.

    Returns:
        (count,) int32 in [0, limit).

    Example:

    >>> drawn = integers(100, 3, seed=0, index=7).numpy()
    >>> sorted({int(number) for number in drawn})
    [0, 1, 2]
    """
    key = _key(seed, index)
    return tf.random.stateless_uniform((count,), key, 0, limit, "int32", alg="philox")


def uniform(shape: Sequence[int] | Tensor, seed: Sequence[int] | Tensor) -> Tensor:
    """Uniform numbers in (0, 1), the same on all devices, compiled by XLA or not.

    TensorFlow's own are not, as XLA makes other floats of the same bits.

    Args:
        shape: ints or an integer tensor.
        seed: (2,) integers.

    Returns:
        float32, never 0 nor 1: odd multiples of 2^-24.
    """
    steps = tf.random.stateless_uniform(shape, seed, 0, 2**23, "int32", alg="philox")
    return (tf.cast(steps, tf.float32) + 0.5) * 2.0**-23


def normal(shape: Sequence[int] | Tensor, seed: Sequence[int] | Tensor) -> Tensor:
    """Standard normal numbers as `uniform` draws them, up to 5.3: float32."""
    return 2.0**0.5 * tf.math.erfinv(2.0 * uniform(shape, seed) - 1.0)


def _key(seed, index):
    key = tf.stack([tf.constant(seed, "int64"), tf.cast(index, "int64")])
    return tf.random.experimental.stateless_fold_in(key, _STREAM, alg="philox")
