"""The middle square of an encoded image, decoded no further than it reaches."""

import tensorflow as tf

from keras_ssl.core import image_files
from pipelines.images.claims import FEWEST_BITS, Damaged
from pipelines.images.decode import bits_used, decode_window, guarded
from pipelines.images.reading import check_depth
from pipelines.preprocess import resized_middle, window_of_square

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


def tried_square(content, is_jpeg, orientation, height, width, image_size):
    """`decoded_square` in a graph that must not fail, whatever the content is.

    Args:
        As for `decoded_square`, in any integer types.

    Returns:
        The square, and a scalar string: why it shall not be used, or empty.
    """

    def both(content, *claims):
        start = tf.strings.substr(content, 0, 25)
        is_deep = (tf.strings.substr(start, 0, 4) == b"\x89PNG") & (
            tf.strings.substr(start, 24, 1) == b"\x10"
        )
        bits = tf.cond(is_deep, lambda: bits_used(content), lambda: 16)
        return decoded_square(content, *claims, image_size), bits

    claims = (tf.cast(orientation, tf.uint8), tf.cast(height, tf.int32), tf.cast(width, tf.int32))
    nothing = tf.zeros((image_size, image_size, 3), tf.uint8), 16
    (square, bits), good = guarded(both, (content, is_jpeg, *claims), nothing)
    few = _told(image_files.PNG_FEW_BITS, tf.as_string(bits))
    problem = tf.where((bits > 0) & (bits < FEWEST_BITS), few, "")
    return square, tf.where(good, problem, _told(image_files.DAMAGED, _name(content)))


def _told(text, what):
    before, behind = text.split("{}")
    return tf.strings.join([before, what, behind])


def _name(content):
    start, name = tf.strings.substr(content, 0, 2), tf.constant("image")
    for first, kind in {b"\xff\xd8": "jpeg", b"\x89P": "png", b"GI": "gif", b"BM": "bmp"}.items():
        name = tf.where(start == first, image_files.NAMES[kind], name)
    return tf.where(start == b"RI", image_files.NAMES["webp"], name)


def square_of(header, content, image_size):
    """The middle square of the image with a header, uint8 array (image_size, image_size, 3).

    Raises:
        Unusable: if the content is damaged, or would be decoded wrongly.
    """
    check_depth(content, header)
    claims = header.kind == "jpeg", header.orientation, header.height, header.width
    try:
        return decoded_square(content, *claims, image_size).numpy()
    except tf.errors.OpError as error:
        raise Damaged(header.kind) from error
