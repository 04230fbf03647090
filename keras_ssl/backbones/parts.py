"""The pieces that the convolutional backbones share: input, convolution, pooling to features."""

import numbers

import keras
from keras import layers

from keras_ssl.core.errors import UserError
from keras_ssl.layers.norm import BatchNormalization

MIN_IMAGE_SIZE = 8


def image_input(input_shape):
    """`keras.Input` for float images of any size, after a look at the one they will mostly have.

    A backbone takes any size with the weights it has: views, smaller crops, patches.

    Args:
        input_shape: (height, width, channels), the size to build for.

    Raises:
        UserError: if the shape is not three known sizes, or a side is under 8 pixels.
    """
    shape = tuple(input_shape)
    if len(shape) != 3 or not all(_is_positive_integer(size) for size in shape):
        raise UserError(
            f"input_shape must be (height, width, channels), all known and positive. "
            f"Received {shape}: resize the images to one size first."
        )
    if min(shape[:2]) < MIN_IMAGE_SIZE:
        raise UserError(
            f"Images must be at least {MIN_IMAGE_SIZE} pixels high and wide. "
            f"Received input_shape={shape}: enlarge the images or pass a larger image size."
        )
    return keras.Input((None, None, shape[-1]), name="images")


def check_width(width):
    """Return `width` if it is a positive integer.

    Raises:
        UserError: if it is not.
    """
    if not _is_positive_integer(width):
        raise UserError(f"width must be a positive integer, such as 16 or 64. Received {width!r}.")
    return int(width)


def conv(x, filters, kernel_size, *, name, stride=1, padding=None):
    """Convolution without bias, padded equally on every side as PyTorch pads.

    "same" puts all the padding of a stride-2 convolution at the bottom and the right when the size
    is even, which shifts the features by a pixel against the published networks.

    Args:
        x: (batch, height, width, channels).
        padding: int or None. Pixels on every side; None is `kernel_size // 2` (odd kernels).
    """
    half = kernel_size // 2
    padding = half if padding is None else padding
    centered = stride == 1 and padding == half
    if padding and not centered:
        x = layers.ZeroPadding2D(padding, name=f"{name}_pad")(x)
    return layers.Conv2D(
        filters,
        kernel_size,
        strides=stride,
        padding="same" if centered else "valid",
        use_bias=False,
        # He et al. 2015 by the outgoing connections, as torchvision initializes ResNets.
        kernel_initializer=keras.initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal"),
        name=name,
    )(x)


def conv_norm(x, filters, kernel_size, *, name, index="", stride=1, padding=None, gamma="ones"):
    """`conv`, then batch normalization whose scale starts at `gamma` ("ones" or "zeros")."""
    x = conv(x, filters, kernel_size, name=f"{name}_conv{index}", stride=stride, padding=padding)
    return BatchNormalization(gamma_initializer=gamma, name=f"{name}_bn{index}")(x)


def features(x):
    """Average (batch, height, width, channels) over the image: (batch, channels) in float32."""
    return layers.GlobalAveragePooling2D(dtype="float32", name="features")(x)


def _is_positive_integer(value):
    return isinstance(value, numbers.Integral) and value > 0
