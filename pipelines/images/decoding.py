"""Decode images: a window as it is seen, the middle square, and whether a file can be used."""

import functools
import os
import stat
import threading

import tensorflow as tf

from keras_ssl.core import image_files
from pipelines.images.headers import (
    FEWEST_BITS,
    MAX_BYTES,
    SIGNATURE,
    Damaged,
    Unusable,
    kind_of,
    read_header,
)
from pipelines.images.resizing import resized_middle, shorter_side, window_of_square

# What brings the stored image of each EXIF orientation, 1 to 8, to how it is seen: first a
# transposition, then flips of rows and columns.
_TRANSPOSED = (False, False, False, False, True, True, True, True)
_ROWS_FLIPPED = (False, False, True, True, False, False, True, True)
_COLUMNS_FLIPPED = (False, True, True, False, False, True, True, False)

_MARGIN = 2  # At the edges of what is decoded, chroma subsampling lacks its neighbors.


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


def guarded(function, inputs, fallback):
    """What a function gives, and whether it went well; runs eagerly and in graphs.

    An operation that fails ends a graph, and with it a training or a request. Within a data set of
    one element it does not: there the error can be left out and something else put in its place.

    Args:
        function: tensors -> tensor or structure of tensors.
        inputs: tuple of tensors, its arguments.
        fallback: the same structure, for when an operation of the function fails.

    Returns:
        The structure, and a scalar bool.

    Example:

    >>> pixel = tf.zeros((1, 1, 1), tf.uint8)
    >>> guarded(lambda content: tf.io.decode_png(content, channels=1), (b"no image",), pixel)[1]
    <tf.Tensor: shape=(), dtype=bool, numpy=False>
    """

    @tf.autograph.experimental.do_not_convert
    def tried(*inputs):
        return function(*inputs), True

    result = tf.data.Dataset.from_tensors(inputs).map(tried).ignore_errors()
    result = result.concatenate(tf.data.Dataset.from_tensors((fallback, False)))
    return result.take(1).get_single_element()


def bits_used(content):
    """How many of its 16 bits a PNG with samples of 16 bits uses; 0 if it is black all over.

    Args:
        content: scalar string, such a PNG.

    Raises:
        tf.errors.InvalidArgumentError: if the content is damaged.
    """
    brightest = tf.cast(tf.reduce_max(tf.io.decode_png(content, dtype=tf.uint16)), tf.int32)
    return tf.reduce_sum(tf.cast(brightest >= 2 ** tf.range(16), tf.int32))


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
    content = tf.cond(
        _starts_as("bmp", content),
        lambda: _bmp_alone(content),
        lambda: content,
    )
    return tf.cond(
        _starts_as("webp", content),
        lambda: tf.io.decode_webp(content)[0, ..., :3],
        lambda: tf.io.decode_image(content, channels=3, expand_animations=False),
    )


def _starts_as(kind, content):
    start = image_files.STARTS[kind]
    return tf.equal(tf.strings.substr(content, 0, len(start)), start)


def _bmp_alone(content):
    """A BMP without what follows its pixels, such as a color profile, which the decoder refuses."""
    numbers = tf.io.decode_raw(tf.strings.substr(content, 10, 16), tf.int32)
    start, _, width, height = tf.unstack(tf.cast(tf.ensure_shape(numbers, (4,)), tf.int64))
    bits = tf.io.decode_raw(tf.strings.substr(content, 28, 2), tf.uint16)[0]
    row = (width * tf.cast(bits, tf.int64) + 31) // 32 * 4
    length = start + tf.abs(height) * row
    return tf.strings.substr(content, tf.constant(0, tf.int64), length)


def _orient(image, code):
    image = tf.ensure_shape(image, (None, None, 3))
    turns = zip(_TRANSPOSED, _ROWS_FLIPPED, _COLUMNS_FLIPPED, strict=True)
    return tf.switch_case(code, [functools.partial(_turn, image, *turn) for turn in turns])


def _turn(image, transposed, rows_flipped, columns_flipped):
    if transposed:
        image = tf.transpose(image, (1, 0, 2))
    axes = [axis for axis, flipped in enumerate((rows_flipped, columns_flipped)) if flipped]
    return tf.reverse(image, axes) if axes else tf.identity(image)


_DECODERS = threading.BoundedSemaphore(os.cpu_count() or 1)  # bounds memory: images may be huge


def read_file(path):
    """`Header` and bytes of an image file, of which nothing is decoded yet.

    Raises:
        Unusable: if it cannot be read, is no image, is too large, or breaks off.
    """
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise Unusable("not a regular file")
        with open(path, "rb") as file:
            start = file.read(SIGNATURE)
            kind_of(start)  # before the rest of it is read
            size = file.seek(0, 2)
            if size > MAX_BYTES:
                raise Unusable(f"{size:,} bytes, more than {MAX_BYTES:,}")
            file.seek(0)
            content = file.read()
    except OSError as error:
        raise Unusable(error.strerror or "cannot be read") from error
    return read_header(content), content


def check_file(path):
    """`Header` of an image file that was decoded, whole.

    Raises:
        Unusable: as `read_file`, and as `check_content`.
    """
    header, content = read_file(path)
    return check_content(content, header)


def check_content(content, header=None):
    """`Header` of an encoded image that was decoded, whole.

    Raises:
        Unusable: as `read_header` says, or if it cannot be decoded rightly.
    """
    header = header or read_header(content)
    sides = (header.height, header.width)[:: -1 if header.orientation > 4 else 1]
    with _DECODERS:
        check_depth(content, header)
        try:
            _decode(content, header.kind == "jpeg", *sides)
        except tf.errors.OpError as error:
            raise Damaged(header.kind) from error
    return header


def check_depth(content, header):
    """Refuse samples of 16 bits that use so few of them that TensorFlow would make them black.

    Raises:
        Unusable: if they do, or the content is damaged.
    """
    if not header.deep:
        return
    try:
        bits = int(bits_used(content))
    except tf.errors.OpError as error:
        raise Damaged(header.kind) from error
    if 0 < bits < FEWEST_BITS:
        raise Unusable(image_files.PNG_FEW_BITS.format(bits))


_SPECS = [tf.TensorSpec((), dtype) for dtype in (tf.string, tf.bool, tf.int32, tf.int32)]


@tf.function(input_signature=_SPECS, autograph=False)
def _decode(content, is_jpeg, height, width):
    return decode_window(content, is_jpeg, 1, tf.stack([0, 0, height, width]))[0, 0, 0]


_SIGNATURE = [
    tf.TensorSpec((), dtype)
    for dtype in (tf.string, tf.bool, tf.uint8, tf.int32, tf.int32, tf.int32, tf.int32)
]


@tf.function(input_signature=_SIGNATURE, autograph=False)
def decoded_square(content, is_jpeg, orientation, height, width, image_size, resized_side):
    """The middle square of an image, as `pipelines.images.resizing.resize_to_square` has it.

    Where `resized_side` is more than `image_size`, that is cropped out of a larger square.

    Args:
        content: scalar string, the encoded image.
        is_jpeg: bool.
        orientation: uint8, 1 to 8 as in EXIF.
        height, width: int32, as the image is seen.
        image_size: int32, side of the square.
        resized_side: int32, what the shorter side of the image is resized to.

    Returns:
        uint8 (image_size, image_size, 3).

    Raises:
        tf.errors.OpError: if the content is damaged, or smaller than `height` and `width` say.
    """
    sides = tf.stack([height, width])
    window = window_of_square(sides, image_size, resized_side)
    pixels = decode_window(content, is_jpeg, orientation, window)
    square = resized_middle(pixels[None], sides, resized_side, image_size, window[:2])[0]
    return tf.cast(tf.round(square), tf.uint8)


def tried_square(content, is_jpeg, orientation, height, width, image_size, crop_fraction=1.0):
    """`decoded_square` in a graph that must not fail, whatever the content is.

    Args:
        content, is_jpeg, orientation, height, width, image_size: as for `decoded_square`, in any
            integer types.
        crop_fraction: as for `pipelines.preprocessing.make_preprocess`.

    Returns:
        The square, and a scalar string: why it cannot be used, or empty.
    """

    def both(content, *stated):
        depth = tf.strings.substr(content, 24, 1)
        is_deep = _starts_as("png", content) & (depth == b"\x10")
        bits = tf.cond(is_deep, lambda: bits_used(content), lambda: 16)
        sizes = image_size, shorter_side(image_size, crop_fraction)
        return decoded_square(content, *stated, *sizes), bits

    stated = (tf.cast(orientation, tf.uint8), tf.cast(height, tf.int32), tf.cast(width, tf.int32))
    nothing = tf.zeros((image_size, image_size, 3), tf.uint8), 16
    (square, bits), good = guarded(both, (content, is_jpeg, *stated), nothing)
    few = _filled(image_files.PNG_FEW_BITS, tf.as_string(bits))
    problem = tf.where((bits > 0) & (bits < FEWEST_BITS), few, "")
    return square, tf.where(good, problem, _filled(image_files.DAMAGED, _name(content)))


def _filled(text, what):
    before, behind = text.split("{}")
    return tf.strings.join([before, what, behind])


def _name(content):
    name = tf.constant("image")
    for kind in image_files.STARTS:
        name = tf.where(_starts_as(kind, content), image_files.NAMES[kind], name)
    return name


def square_of(header, content, image_size):
    """The middle square of the image with a header, uint8 array (image_size, image_size, 3).

    Raises:
        Unusable: if the content is damaged, or would be decoded wrongly.
    """
    check_depth(content, header)
    stated = header.kind == "jpeg", header.orientation, header.height, header.width
    try:
        return decoded_square(content, *stated, image_size, image_size).numpy()
    except tf.errors.OpError as error:
        raise Damaged(header.kind) from error
