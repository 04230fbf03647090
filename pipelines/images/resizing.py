"""The middle square of images of any size, to the pixel as torchvision has it."""

import numpy as np
import tensorflow as tf


def resize_to_square(images: np.ndarray | tf.Tensor, image_size: int) -> tf.Tensor:
    """The middle square of images, by antialiased bicubic.

    The shorter side becomes `image_size`, then the middle is cropped: to the pixel as torchvision's
    `Resize` and `CenterCrop` do it.

    Args:
        images: uint8 (height, width, channels) or (N, height, width, channels); any size.
        image_size: side of the result.

    Returns:
        uint8 tensor (..., image_size, image_size, channels).

    Example:

    >>> resize_to_square(np.zeros((4, 6, 3), "uint8"), 8).shape
    TensorShape([8, 8, 3])
    """
    images = tf.convert_to_tensor(images)
    batch = images if images.shape.rank == 4 else images[None]
    squares = resized_middle(batch, tf.shape(batch)[1:3], image_size, image_size)
    squares = tf.cast(tf.round(squares), tf.uint8)
    return squares if images.shape.rank == 4 else squares[0]


def shorter_side(image_size, crop_fraction):
    """What the shorter side is resized to before `image_size` pixels of it are cropped.

    Example:

    >>> shorter_side(224, 0.875)
    256
    """
    return round(image_size / crop_fraction)


def window_of_square(sides, image_size, resized_side=None):
    """The part of an image that its middle square is made of, with what the filter sees around it.

    Args:
        sides: int (2,), height and width of the image.
        image_size: side of the square.
        resized_side: of the shorter side, before the square is cropped; by default `image_size`.

    Returns:
        int32 (4,): top, left, height, width.
    """
    sides = tf.cast(sides, tf.int64)
    resized_side = image_size if resized_side is None else resized_side
    scale, corner = _geometry(sides, resized_side, image_size)
    reach = 2.0 * tf.maximum(1.0 / scale, 1.0)  # of the cubic kernel, which widens as it shrinks
    first = tf.cast(tf.floor(corner / scale - reach), tf.int64)
    last = tf.cast(
        tf.math.ceil((corner + tf.cast(image_size, tf.float64)) / scale + reach), tf.int64
    )
    first, last = tf.maximum(first, 0), tf.minimum(last, sides)
    return tf.cast(tf.concat([first, last - first], axis=0), tf.int32)


def resized_middle(images, sides, resized_side, image_size, start=(0, 0)):
    """Resize images so that the shorter side becomes `resized_side`, and crop the middle.

    Only the crop is computed: a strip of 30,000 x 10 pixels stays small.

    Args:
        images: (N, height, width, channels), whole, or the part that the crop is made of.
        sides: int (2,), height and width of the whole images.
        resized_side: of the shorter side.
        image_size: side of the crop.
        start: (2,), top and left of the part.

    Returns:
        float32 (N, image_size, image_size, channels) in [0, 255].
    """
    scale, corner = _geometry(tf.cast(sides, tf.int64), resized_side, image_size)
    resized = tf.raw_ops.ScaleAndTranslate(
        images=images,
        size=tf.stack([image_size, image_size]),
        scale=tf.cast(scale, tf.float32),
        translation=tf.cast(tf.cast(start, tf.float64) * scale - corner, tf.float32),
        kernel_type="keyscubic",
        antialias=True,
    )
    return tf.clip_by_value(resized, 0.0, 255.0)


def _geometry(sides, resized_side, image_size):
    """Scale, and the crop's corner in the resized image, (2,) each, as torchvision rounds them."""
    scaled = sides * tf.cast(resized_side, tf.int64) // tf.reduce_min(sides)  # longer side: down
    margin = tf.cast(scaled - tf.cast(image_size, tf.int64), tf.float64)
    return scaled / sides, tf.round(margin / 2.0)  # half to even, as in Python
