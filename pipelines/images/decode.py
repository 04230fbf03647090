"""A window of an encoded image, as it is seen: only what is asked for is decoded."""

import functools

import tensorflow as tf

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
        tf.equal(tf.strings.substr(content, 0, 2), b"BM"),
        lambda: _bmp_alone(content),
        lambda: content,
    )
    return tf.cond(
        tf.equal(tf.strings.substr(content, 0, 4), b"RIFF"),
        lambda: tf.io.decode_webp(content)[0, ..., :3],
        lambda: tf.io.decode_image(content, channels=3, expand_animations=False),
    )


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
