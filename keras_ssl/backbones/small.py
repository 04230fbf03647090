"""Small networks: ResNet-8 of the CPLearn paper, and one to run whole training loops in tests."""

import keras
from keras import layers

from keras_ssl.backbones.parts import check_width, conv_norm, features, image_input


def resnet8(
    input_shape: tuple[int, int, int], *, width: int = 128, name: str = "resnet8"
) -> keras.Model:
    """ResNet-8 of CPLearn: four blocks of two 3x3 convolutions, all of the same width.

    The paper's table prints a residual path for block 1 only (average pooling, then a 1x1
    convolution). Its layout is that of SNGAN's discriminator for CIFAR-10, so blocks 2 to 4 are
    read as residual too: block 2's shortcut is average-pooled like its main path, those of blocks
    3 and 4 are the identity. As the table prints it, no activation stands before the last pooling.
    The table leaves bias and initialization open: without normalization the convolutions have a
    bias, and weights start He-normal by the incoming connections, which keeps the signal's size.

    Args:
        input_shape: (height, width, channels) to build for, sides of at least 8 pixels.
        width: int > 0. The table's F: channels of every convolution, and number of features.
        name: str. Name of the model.

    Returns:
        Functional `keras.Model`: float images (batch, height, width, channels) -> float32
        features (batch, width).

    Raises:
        UserError: for a shape or width that cannot be built.

    Example:

    >>> resnet8((32, 32, 3)).output_shape
    (None, 128)

    Reference: Sansone et al., Collapse-Proof Non-Contrastive Self-Supervised Learning, table 5;
    Miyato et al., Spectral Normalization for Generative Adversarial Networks, appendix B.
    """
    width = check_width(width)
    inputs = image_input(input_shape)
    x = _conv(inputs, width, 3, "block1_conv1")
    x = _conv(_activate(x, "block1_relu"), width, 3, "block1_conv2")
    shortcut = _conv(_halve(inputs, "block1_shortcut_pool"), width, 1, "block1_shortcut_conv")
    x = layers.Add(name="block1_add")([_halve(x, "block1_pool"), shortcut])
    y = _halve(_residual(x, width, "block2"), "block2_pool")
    x = layers.Add(name="block2_add")([y, _halve(x, "block2_shortcut_pool")])
    for block in ("block3", "block4"):
        x = layers.Add(name=f"{block}_add")([_residual(x, width, block), x])
    return keras.Model(inputs, features(x), name=name)


def _residual(x, width, name):
    x = _conv(_activate(x, f"{name}_relu1"), width, 3, f"{name}_conv1")
    return _conv(_activate(x, f"{name}_relu2"), width, 3, f"{name}_conv2")


def _conv(x, width, kernel_size, name):
    return layers.Conv2D(
        width, kernel_size, padding="same", kernel_initializer="he_normal", name=name
    )(x)


def _activate(x, name):
    return layers.LeakyReLU(0.2, name=name)(x)


def _halve(x, name):
    return layers.AveragePooling2D(2, name=name)(x)


def tiny(input_shape: tuple[int, int, int], *, width: int = 8, name: str = "tiny") -> keras.Model:
    """Two 3x3 convolutions with batch normalization and ReLU, the second with stride 2; F = width.

    Args:
        input_shape: (height, width, channels) to build for, sides of at least 8 pixels.
        width: int > 0. Channels of both convolutions, and number of features.
        name: str. Name of the model.

    Returns:
        Functional `keras.Model`: float images (batch, height, width, channels) -> float32
        features (batch, width).

    Raises:
        UserError: for a shape or width that cannot be built.

    Example:

    >>> tiny((8, 8, 1), width=4).output_shape
    (None, 4)
    """
    width = check_width(width)
    inputs = image_input(input_shape)
    x = conv_norm(inputs, width, 3, name="block1")
    x = layers.ReLU(name="block1_out")(x)
    x = conv_norm(x, width, 3, name="block2", stride=2)
    x = layers.ReLU(name="block2_out")(x)
    return keras.Model(inputs, features(x), name=name)
