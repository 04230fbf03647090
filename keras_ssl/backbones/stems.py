"""Stems: how a ResNet enters an image, by the size of the image."""

from keras import layers

from keras_ssl.backbones.parts import conv_norm
from keras_ssl.core.errors import UserError, lookup

CIFAR_MAX_SIZE = 64


def resolve_stem(image_size: int) -> str:
    """The stem that "auto" means: "cifar" up to 64 pixels, "imagenet" above.

    Example:

    >>> resolve_stem(32), resolve_stem(224)
    ('cifar', 'imagenet')
    """
    return "cifar" if image_size <= CIFAR_MAX_SIZE else "imagenet"


def cifar_stem(x, width, padding):
    """3x3 convolution at full resolution, no pooling (SimCLR, appendix B.9)."""
    x = conv_norm(x, width, 3, name="stem", padding=padding)
    return layers.ReLU(name="stem_relu")(x)


def imagenet_stem(x, width, padding):
    """7x7 convolution and 3x3 max-pooling, both with stride 2 (He et al. 2016, table 1)."""
    x = unpooled_stem(x, width, padding)
    # Zeros pad like minus infinity here: after a ReLU nothing is smaller.
    x = layers.ZeroPadding2D(1, name="stem_pool_pad")(x)
    return layers.MaxPooling2D(3, strides=2, name="stem_pool")(x)


def unpooled_stem(x, width, padding):
    """`imagenet_stem` without its max-pooling: the same weights at twice the resolution."""
    if padding != 1:
        raise UserError(
            f"stem_padding belongs to the CIFAR stem. Received stem_padding={padding} with the "
            'ImageNet stem: leave it out, or pass stem="cifar".'
        )
    x = conv_norm(x, width, 7, name="stem", stride=2)
    return layers.ReLU(name="stem_relu")(x)


STEMS = {"cifar": cifar_stem, "imagenet": imagenet_stem, "imagenet_unpooled": unpooled_stem}


def stem_for(name, input_shape):
    """The stem called `name`; "auto" is the one that fits the longer side of `input_shape`.

    Raises:
        UserError: if there is no such stem.
    """
    fitting = STEMS[resolve_stem(max(input_shape[:2]))]
    return lookup({"auto": fitting, **STEMS}, name, "stem")
