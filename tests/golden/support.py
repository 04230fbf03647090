"""Shared by the golden cases: tensors in the current float type, gradients, torch weights."""

import keras
import numpy as np
import tensorflow as tf
from keras import ops


def tensor(array):
    """`array` as a tensor in `keras.backend.floatx()`."""
    return ops.convert_to_tensor(np.asarray(array), dtype=keras.backend.floatx())


def value_and_grad(function, *arrays):
    """`(function(*arrays), gradients with respect to the arrays)`."""
    tensors = [tensor(array) for array in arrays]
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        value = function(*tensors)
    return value, tape.gradient(value, tensors)


def stack(values):
    """A list of tensors as one NumPy array."""
    return np.stack([np.asarray(value) for value in values])


def kernel(weight):
    """A torch `[out, in]` weight as a Keras Dense kernel."""
    return np.asarray(weight).T


def identity_encoder(width):
    """An encoder whose features are its input, for vectors that start at the features."""
    inputs = keras.Input((width,))
    return keras.Model(inputs, keras.layers.Identity(name="features")(inputs), name="identity")
