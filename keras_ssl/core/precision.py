"""Keep losses and statistics out of half precision, whatever the dtype policy is."""

from keras import ops

_HALF = ("float16", "bfloat16")


def at_least_float32(x):
    """Cast half-precision tensors to float32; leave float32 and float64 as they are."""
    x = ops.convert_to_tensor(x)
    return ops.cast(x, "float32") if ops.dtype(x) in _HALF else x
