"""One encoded image to one array: what its header says, and the part of it that is asked for."""

import functools
import os
import stat

import tensorflow as tf

from pipelines.preprocess import resize_to_square
from pipelines.sources.header import Header, Unusable, check_end, parse_header, read_header

__all__ = [
    "Header",
    "Unusable",
    "decode_square",
    "decode_window",
    "middle_square",
    "read_file",
    "read_header",
    "scan_file",
]

# What brings the stored image of each EXIF orientation, 1 to 8, to how it is seen: first a
# transposition, then flips of rows and columns.
_TRANSPOSED = (False, False, False, False, True, True, True, True)
_ROWS_FLIPPED = (False, False, True, True, False, False, True, True)
_COLUMNS_FLIPPED = (False, True, True, False, False, True, True, False)

_MARGIN = 2  # At the edges of what is decoded, chroma subsampling lacks its neighbours.


def decode_window(content, is_jpeg, orientation, box):
    """A window of an encoded image; runs eagerly and in graphs.

    Of a JPEG only the window is decoded; other images are decoded whole, then cut.

    Args:
        content: scalar string, a JPEG, PNG, GIF (first frame), BMP or WebP image.
        is_jpeg: bool.
        orientation: int, 1 to 8 as in EXIF.
        box: 4 ints: top, left, height, width, in the image as it is seen.

    Returns:
        uint8 (height, width, 3).

    Raises:
        tf.errors.InvalidArgumentError: if the content is damaged or smaller than the window.
    """
    code = tf.cast(orientation, tf.int32) - 1
    box = tf.cast(tf.convert_to_tensor(box), tf.int32)
    image = tf.cond(
        tf.convert_to_tensor(is_jpeg),
        lambda: _orient(_stored_window(content, code, box), code),
        lambda: tf.slice(_orient(_decode_whole(content), code), *_corners(box)),
    )
    return tf.ensure_shape(image, (None, None, 3))


def middle_square(height, width):
    """The box of the middle square of an image: top, left, height, width; ints or tensors."""
    side = tf.minimum(height, width)
    return tf.stack([(height - side) // 2, (width - side) // 2, side, side])


def _corners(box):
    return tf.pad(box[:2], [[0, 1]]), tf.pad(box[2:], [[0, 1]], constant_values=3)


def _stored_window(content, code, box):
    """The window of a JPEG as it is stored."""
    shape = tf.io.extract_jpeg_shape(content)
    transposed = tf.gather(_TRANSPOSED, code)
    rows, columns = tf.unstack(tf.where(transposed, shape[1::-1], shape[:2]))
    top, left, height, width = tf.unstack(box)
    top = tf.where(tf.gather(_ROWS_FLIPPED, code), rows - top - height, top)
    left = tf.where(tf.gather(_COLUMNS_FLIPPED, code), columns - left - width, left)
    window = tf.where(transposed, [left, top, width, height], [top, left, height, width])
    top, left, height, width = tf.unstack(window)
    start = tf.maximum(left - _MARGIN, 0)
    stop = tf.minimum(left + width + _MARGIN, tf.maximum(shape[1], left + width))
    window = tf.stack([top, start, height, stop - start])
    image = tf.io.decode_and_crop_jpeg(content, window, channels=3)
    return image[:, left - start : left - start + width]


def _decode_whole(content):
    return tf.cond(
        tf.equal(tf.strings.substr(content, 0, 4), b"RIFF"),
        lambda: tf.io.decode_webp(content)[0, ..., :3],
        lambda: tf.io.decode_image(content, channels=3, expand_animations=False),
    )


def _orient(image, code):
    image = tf.ensure_shape(image, (None, None, 3))
    turns = zip(_TRANSPOSED, _ROWS_FLIPPED, _COLUMNS_FLIPPED, strict=True)
    return tf.switch_case(code, [functools.partial(_turn, image, *turn) for turn in turns])


def _turn(image, transposed, rows_flipped, columns_flipped):
    if transposed:
        image = tf.transpose(image, (1, 0, 2))
    axes = [axis for axis, flipped in enumerate((rows_flipped, columns_flipped)) if flipped]
    return tf.reverse(image, axes) if axes else tf.identity(image)


def decode_square(content, image_size):
    """Encoded image -> uint8 array (image_size, image_size, 3), its middle square as it is seen.

    Raises:
        Unusable: if the content is no image, claims too much, or is damaged.
    """
    header = read_header(content)
    box = middle_square(header.height, header.width)
    try:
        image = decode_window(content, header.kind == "jpeg", header.orientation, box)
        return resize_to_square(image, image_size).numpy()
    except tf.errors.OpError as error:
        raise Unusable("damaged image") from error


def read_file(path):
    """Bytes of an image file.

    Raises:
        Unusable: if it cannot be read.
    """
    return _read(path, lambda file: file.read())


def scan_file(path):
    """`Header` of an image file, of which only the head and the tail are read.

    Raises:
        Unusable: if it cannot be read, is no image, claims too much, or ends too early.
    """

    def scan(file):
        header = parse_header(file)
        check_end(file, header.kind)
        if file.seek(0, os.SEEK_END) < header.length:
            raise Unusable("truncated image")
        return header

    return _read(path, scan)


def _read(path, read):
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise Unusable("not a regular file")
        with open(path, "rb") as file:
            return read(file)
    except OSError as error:
        raise Unusable(error.strerror or "cannot be read") from error
