"""A network small enough to run whole training loops in tests."""

import keras
from keras import layers

from keras_ssl.backbones.parts import check_width, conv_norm, features, image_input


def tiny(input_shape, *, width=8, name="tiny"):
    """Two 3x3 convolutions with batch normalisation and ReLU, the second with stride 2; F = width.

    Args:
        input_shape: (height, width, channels) to build for, sides of at least 8 pixels.
        width: int > 0. Channels of both convolutions, and number of features.
        name: str. Name of the model.

    Returns:
        Functional `keras.Model`: float images (batch, height, width, channels) -> float32
        features (batch, width).

    Raises:
        UserError: for a shape or width that cannot be built.
    """
    width = check_width(width)
    inputs = image_input(input_shape)
    x = conv_norm(inputs, width, 3, name="block1")
    x = layers.ReLU(name="block1_out")(x)
    x = conv_norm(x, width, 3, name="block2", stride=2)
    x = layers.ReLU(name="block2_out")(x)
    return keras.Model(inputs, features(x), name=name)
