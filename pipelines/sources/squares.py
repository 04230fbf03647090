"""The middle square of an encoded image, decoded no further than it reaches."""

import tensorflow as tf

from pipelines.preprocess import resized_middle, window_of_square
from pipelines.sources.claims import Damaged
from pipelines.sources.decode import decode_window

_SIGNATURE = [
    tf.TensorSpec((), dtype)
    for dtype in (tf.string, tf.bool, tf.uint8, tf.int32, tf.int32, tf.int32)
]


@tf.function(input_signature=_SIGNATURE, autograph=False)
def decoded_square(content, is_jpeg, orientation, height, width, image_size):
    """The middle square of an image, as `pipelines.preprocess.resize_to_square` has it.

    Args:
        content: scalar string, the encoded image.
        is_jpeg: bool.
        orientation: uint8, 1 to 8 as in EXIF.
        height, width: int32, as the image is seen.
        image_size: int32, side of the square.

    Returns:
        uint8 (image_size, image_size, 3).

    Raises:
        tf.errors.OpError: if the content is damaged, or smaller than it shall be.
    """
    sides = tf.stack([height, width])
    window = window_of_square(sides, image_size)
    pixels = decode_window(content, is_jpeg, orientation, window)
    square = resized_middle(pixels[None], sides, image_size, image_size, window[:2])[0]
    return tf.cast(tf.round(square), tf.uint8)


def square_of(header, content, image_size):
    """The middle square of the image with a header, uint8 array (image_size, image_size, 3).

    Raises:
        Damaged: if the content is.
    """
    claims = header.kind == "jpeg", header.orientation, header.height, header.width
    try:
        return decoded_square(content, *claims, image_size).numpy()
    except tf.errors.OpError as error:
        raise Damaged() from error
