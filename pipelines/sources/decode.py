"""One image file to one array: recognised by its content, bounded before it is decoded."""

import os
import stat
import struct

MAX_PIXELS = 100_000_000
_HEAD = 32


class Unusable(Exception):
    """Why a file gives no image, in a few words."""


def read_image(path):
    """Content of an image file, and its height and width as the header says.

    Raises:
        Unusable: if it cannot be read, is no image, or claims more than `MAX_PIXELS`.
    """
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise Unusable("not a regular file")
        with open(path, "rb") as file:
            head = file.read(_HEAD)
            kind = _kind(head)
            content = head + file.read()
    except OSError as error:
        raise Unusable(error.strerror or "cannot be read") from error
    height, width = _dimensions(kind, content)
    if height * width > MAX_PIXELS:
        raise Unusable(f"claims {width} x {height} pixels, more than {MAX_PIXELS:,}")
    if not height * width:
        raise Unusable("claims no pixels")
    return content, (height, width)


def decode_square(content, image_size):
    """Encoded image -> uint8 array (image_size, image_size, 3), its middle square.

    Raises:
        Unusable: if the content is damaged.
    """
    import tensorflow as tf

    from pipelines.preprocess import resize_to_square

    try:
        image = tf.io.decode_image(content, channels=3, expand_animations=False)
        return resize_to_square(image, image_size).numpy()
    except tf.errors.OpError as error:
        raise Unusable("damaged image") from error


def _kind(head):
    if not head:
        raise Unusable("empty file")
    starts = {"jpeg": b"\xff\xd8\xff", "png": b"\x89PNG\r\n", "gif": b"GIF8", "bmp": b"BM"}
    for kind, start in starts.items():
        if head.startswith(start):
            return kind
    raise Unusable("not a JPEG, PNG, GIF or BMP image")


def _dimensions(kind, content):
    import tensorflow as tf

    try:
        if kind == "jpeg":
            height, width, _ = tf.io.extract_jpeg_shape(content).numpy()
            return int(height), int(width)
        layout, offset = {"png": (">II", 16), "gif": ("<HH", 6), "bmp": ("<ii", 18)}[kind]
        width, height = struct.unpack_from(layout, content, offset)
    except (struct.error, tf.errors.OpError) as error:
        raise Unusable("damaged image") from error
    return abs(height), abs(width)
