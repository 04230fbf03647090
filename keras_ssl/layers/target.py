"""Targets: copies of a network that follow it by an exponential moving average."""

from collections.abc import Sequence

import keras
from keras import ops

from keras_ssl.layers.necks import simplices_of
from keras_ssl.ops.precision import Tensor


def copy_for_target(online: keras.Model) -> keras.Model:
    """Copy a built functional or sequential network, weights included, to be moved by EMA only.

    A copy that ends in a `SimplicialEmbedding` reads at that layer's target temperature.
    """
    copy = type(online).from_config(online.get_config())
    copy.set_weights(online.get_weights())
    freeze(copy)
    simplices = simplices_of(copy)
    if simplices is not None and simplices.target_temperature is not None:
        simplices.temperature = simplices.target_temperature
    return copy


def freeze(network: keras.Model) -> None:
    """Keep a network's parameters from the optimizer, one by one.

    `trainable = False` on its layers would also put their batch normalization into inference mode,
    while a target, or a fixed predictor, normalizes by its own batch.
    """
    for variable in network.trainable_variables:
        variable.trainable = False


def parameter_pairs(
    online: keras.Model, copy: keras.Model
) -> list[tuple[keras.Variable, keras.Variable]]:
    """`[(online parameter, its copy)]`; running statistics stay each network's own."""
    both = zip(online.weights, copy.weights, strict=True)
    return [(parameter, follower) for parameter, follower in both if parameter.trainable]


def move_towards(
    pairs: Sequence[tuple[keras.Variable, keras.Variable]], momentum: float | Tensor
) -> None:
    """EMA of every pair: `copy <- momentum * copy + (1 - momentum) * online`.

    Args:
        pairs: from `parameter_pairs`.
        momentum: scalar in [0, 1]; 1 leaves the copy bit for bit as it is.

    Reference: Grill et al., 2020, eq. 1.
    """
    for online, copy in pairs:
        rate = ops.cast(momentum, copy.dtype)
        copy.assign(rate * copy + (1.0 - rate) * ops.convert_to_tensor(online))
