"""ResNets with post-activation blocks, in the geometry of torchvision's."""

import keras
from keras import layers

from keras_ssl.backbones.parts import check_width, conv_norm, features, image_input
from keras_ssl.backbones.stems import stem_for


def basic_block(x, width, *, stride, last_gamma, name):
    """Two 3x3 convolutions around a shortcut: -> (..., width)."""
    y = conv_norm(x, width, 3, name=name, index=1, stride=stride)
    y = layers.ReLU(name=f"{name}_relu1")(y)
    y = conv_norm(y, width, 3, name=name, index=2, gamma=last_gamma)
    return _join(x, y, stride=stride, name=name)


def bottleneck_block(x, width, *, stride, last_gamma, name):
    """1x1, 3x3, 1x1 convolutions around a shortcut: -> (..., 4 * width).

    The stride is in the 3x3 convolution (torchvision's "v1.5"), not in the first 1x1 as printed in
    He et al. 2016: that one would skip three pixels of four.
    """
    y = conv_norm(x, width, 1, name=name, index=1)
    y = layers.ReLU(name=f"{name}_relu1")(y)
    y = conv_norm(y, width, 3, name=name, index=2, stride=stride)
    y = layers.ReLU(name=f"{name}_relu2")(y)
    y = conv_norm(y, 4 * width, 1, name=name, index=3, gamma=last_gamma)
    return _join(x, y, stride=stride, name=name)


def _join(x, y, *, stride, name):
    if stride != 1 or x.shape[-1] != y.shape[-1]:
        x = conv_norm(x, y.shape[-1], 1, name=f"{name}_shortcut", stride=stride)
    return layers.ReLU(name=f"{name}_out")(layers.Add(name=f"{name}_add")([x, y]))


def residual_network(name, block, depths, width, summary):
    """Declare a ResNet: a function that builds it for a given image shape.

    Args:
        name: str. The default name of the models.
        block: `basic_block` or `bottleneck_block`.
        depths: tuple of ints. Blocks per stage; every stage after the first halves the sides and
            doubles the channels.
        width: int > 0. Default channels of the first stage.
        summary: str. First line of the function's docstring.

    Returns:
        `build(input_shape, *, width, stem, stem_padding, zero_init_residual, name)`.
    """

    def build(
        input_shape: tuple[int, int, int],
        *,
        width: int = width,
        stem: str = "auto",
        stem_padding: int = 1,
        zero_init_residual: bool = False,
        name: str = name,
    ) -> keras.Model:
        width = check_width(width)
        inputs = image_input(input_shape)
        x = stem_for(stem, input_shape)(inputs, width, stem_padding)
        last_gamma = "zeros" if zero_init_residual else "ones"
        for stage, depth in enumerate(depths, 1):
            for index in range(1, depth + 1):
                x = block(
                    x,
                    width * 2 ** (stage - 1),
                    stride=2 if stage > 1 and index == 1 else 1,
                    last_gamma=last_gamma,
                    name=f"stage{stage}_block{index}",
                )
        return keras.Model(inputs, features(x), name=name)

    build.__name__ = build.__qualname__ = name
    build.__doc__ = summary + _OPTIONS
    return build


_OPTIONS = """

    Args:
        input_shape: (height, width, channels) to build for, sides of at least 8 pixels.
        width: int > 0. Channels of the first stage; double it for the x2 network.
        stem: "auto" (by image size), "cifar" (3x3, no pooling), "imagenet" (7x7 and pooling,
            both with stride 2) or "imagenet_unpooled" (the 7x7 alone).
        stem_padding: int. Zeros around the images of the CIFAR stem; 2 reproduces the networks of
            the solo-learn library, whose feature maps are two pixels larger.
        zero_init_residual: bool. Start every block as the identity (Goyal et al., sec. 5.1).
        name: str. Name of the model.

    Returns:
        Functional `keras.Model`: float images (batch, height, width, channels) -> float32
        features (batch, F).

    Raises:
        UserError: for a shape, width or stem that cannot be built.

    Example:

    >>> resnet14((32, 32, 3), width=4).output_shape
    (None, 16)

    Reference: He et al., Deep Residual Learning, table 1.
    """

resnet14 = residual_network(
    "resnet14", basic_block, (2, 2, 2), 32, "Three stages for images of 8 to 32 pixels; F = 128."
)
resnet18 = residual_network("resnet18", basic_block, (2, 2, 2, 2), 64, "ResNet-18; F = 512.")
resnet50 = residual_network("resnet50", bottleneck_block, (3, 4, 6, 3), 64, "ResNet-50; F = 2048.")
