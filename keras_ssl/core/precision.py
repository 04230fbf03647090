"""Keep losses and statistics out of half precision, whatever the dtype policy is."""

import keras
from keras import ops

_HALF = ("float16", "bfloat16")


def at_least_float32(x):
    """Cast half-precision tensors to float32; leave float32 and float64 as they are."""
    x = ops.convert_to_tensor(x)
    return ops.cast(x, "float32") if ops.dtype(x) in _HALF else x


def float_spec(x, width=None):
    """What a layer says of an output in at least float32: `x` with `width` for its last axis.

    Args:
        x: `keras.KerasTensor` (..., dim).
        width: int, or None for that of `x`.
    """
    dtype = "float64" if x.dtype == "float64" else "float32"
    return keras.KerasTensor((*x.shape[:-1], width or x.shape[-1]), dtype=dtype)
