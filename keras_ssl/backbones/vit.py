"""Vision Transformers: an image as a sequence of patches that attend to each other."""

import numbers

import keras
from keras import layers

from keras_ssl.backbones.parts import check_width, image_input
from keras_ssl.backbones.stems import CIFAR_MAX_SIZE
from keras_ssl.backbones.tokens import INITIALIZER, SelfAttention, Tokens
from keras_ssl.core.errors import UserError, lookup

HEAD_WIDTH = 64  # DeiT, table 1: 3 heads at width 192, 6 at 384


def resolve_patch_size(image_size: int) -> int:
    """The patch of images of that size: 4 pixels up to 64, 16 above.

    Example:

    >>> resolve_patch_size(32), resolve_patch_size(224)
    (4, 16)
    """
    return 4 if image_size <= CIFAR_MAX_SIZE else 16


def patches(images, input_shape, width, patch_size):
    """Cut images into patches and map each to `width` numbers; -> the map and its nominal size.

    What is left at the right and at the bottom, where no whole patch fits, is not seen.
    """
    size = resolve_patch_size(max(input_shape[:2])) if patch_size is None else patch_size
    if not isinstance(size, numbers.Integral) or not 0 < size <= min(input_shape[:2]):
        raise UserError(
            f"patch_size must be a positive integer, at most the side of the images. Received "
            f"{patch_size!r} with input_shape={tuple(input_shape)}."
        )
    embed = layers.Conv2D(
        width,
        size,
        strides=size,
        # torch's default for a convolution, which the published networks keep.
        kernel_initializer=keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform"),
        name="patches",
    )
    return embed(images), (input_shape[0] // size, input_shape[1] // size)


def transformer_block(x, heads, name):
    """Attention, then two dense layers, each normalized before and added to its input."""
    width = x.shape[-1]
    y = _norm(f"{name}_norm1")(x)
    y = SelfAttention(heads, name=f"{name}_attention")(y)
    x = layers.Add(name=f"{name}_add1")([x, y])
    y = _norm(f"{name}_norm2")(x)
    y = _dense(4 * width, f"{name}_dense1", activation="gelu")(y)
    y = _dense(width, f"{name}_dense2")(y)
    return layers.Add(name=f"{name}_add2")([x, y])


def _norm(name, dtype=None):
    return layers.LayerNormalization(epsilon=1e-6, dtype=dtype, name=name)


def _dense(units, name, **options):
    return layers.Dense(units, kernel_initializer=INITIALIZER, name=name, **options)


def token_features(x):
    """The class token, normalized, in float32."""
    return _norm("features", "float32")(x[:, 0])


def mean_features(x):
    """The mean of the normalized tokens in float32."""
    x = _norm("norm", "float32")(x)
    return layers.GlobalAveragePooling1D(dtype="float32", name="features")(x)


POOLINGS = {"token": token_features, "mean": mean_features}


def vision_transformer(name, width, summary):
    """Declare a Vision Transformer: a function that builds it for a given image shape.

    Args:
        name: str. The default name of the models.
        width: int > 0. Default size of the tokens.
        summary: str. First line of the function's docstring.

    Returns:
        `build(input_shape, *, width, depth, patch_size, pooling, name)`.
    """

    def build(
        input_shape: tuple[int, int, int],
        *,
        width: int = width,
        depth: int = 12,
        patch_size: int | None = None,
        pooling: str = "token",
        name: str = name,
    ) -> keras.Model:
        heads = _heads(check_width(width))
        read = lookup(POOLINGS, pooling, "pooling")
        images = image_input(input_shape)
        x, grid = patches(images, input_shape, width, patch_size)
        x = Tokens(*grid, class_token=pooling == "token", name="tokens")(x)
        for index in range(1, depth + 1):
            x = transformer_block(x, heads, f"block{index}")
        return keras.Model(images, read(x), name=name)

    build.__name__ = build.__qualname__ = name
    build.__doc__ = summary + _OPTIONS
    return build


def _heads(width):
    heads = max(1, width // HEAD_WIDTH)
    if width % heads:
        raise UserError(
            f"width={width} does not divide over {heads} heads: take a multiple of {HEAD_WIDTH}."
        )
    return heads


_OPTIONS = """

    Images of another size than it was built for are welcome, such as small crops: the positions
    of the patches are interpolated.

    Args:
        input_shape: (height, width, channels) to build for, sides of at least 8 pixels.
        width: int > 0. Size of the tokens, with one head of attention per 64.
        depth: int >= 0. Number of blocks.
        patch_size: int > 0. Side of a patch; by default 4 pixels for images up to 64, 16 above.
        pooling: "token" for the class token, "mean" for the mean of the patches, without one.
        name: str. Name of the model.

    Returns:
        Functional `keras.Model`: float images (batch, height, width, channels) -> float32
        features (batch, width).

    Raises:
        UserError: for a shape, width, patch or pooling that cannot be built.

    Example:

    >>> vit_tiny((32, 32, 3), width=64, depth=1).output_shape
    (None, 64)

    Reference: Dosovitskiy et al., An image is worth 16x16 words, 2021, eqs. 1 to 4; sizes: Touvron
    et al., Training data-efficient image transformers, 2021, table 1.
    """

vit_tiny = vision_transformer("vit_tiny", 192, "ViT-Ti: 12 blocks, 3 heads; F = 192.")
vit_small = vision_transformer("vit_small", 384, "ViT-S: 12 blocks, 6 heads; F = 384.")
