"""Keep losses and statistics out of half precision, whatever the dtype policy is."""

import contextlib
from collections.abc import Iterator

import keras
import numpy as np
import tensorflow as tf
from keras import ops

# What the mathematics of the package takes and gives, and what a layer takes as its `dtype`.
Tensor = tf.Tensor | keras.KerasTensor | np.ndarray
DType = str | keras.DTypePolicy | None

_HALF = ("float16", "bfloat16")


def at_least_float32(x: Tensor) -> Tensor:
    """Cast half-precision tensors to float32; leave float32 and float64 as they are."""
    x = ops.convert_to_tensor(x)
    return ops.cast(x, "float32") if ops.dtype(x) in _HALF else x


@contextlib.contextmanager
def full_float32() -> Iterator[None]:
    """Multiply in float32 as it is written: GPUs otherwise round the factors to TF32, 10 bits.

    Example:

    >>> with full_float32():
    ...     tf.config.experimental.tensor_float_32_execution_enabled()
    False
    """
    switch = tf.config.experimental
    before = switch.tensor_float_32_execution_enabled()
    switch.enable_tensor_float_32_execution(False)
    try:
        yield
    finally:
        switch.enable_tensor_float_32_execution(before)


def float_spec(x: keras.KerasTensor, width: int | None = None) -> keras.KerasTensor:
    """What a layer says of an output in at least float32: `x` with `width` for its last axis.

    Args:
        x: `keras.KerasTensor` (..., dim).
        width: int, or None for that of `x`.
    """
    dtype = "float64" if x.dtype == "float64" else "float32"
    return keras.KerasTensor((*x.shape[:-1], width or x.shape[-1]), dtype=dtype)
