"""What the header of an encoded image says, read by TensorFlow's operations before decoding it."""

import tensorflow as tf

from export.exif import read_orientation

_PADDING = 32  # zeros behind the content, so that windows near its end need no care
_MOST_PARTS = 1_000  # of a file before its pixels
_MOST_GIF_BLOCKS = 20_000  # 5 MB, as encoders write them; bounds the time that a request takes
_POWERS = (2**24, 2**16, 2**8, 1)


def read_header(content):
    """Kind, size and orientation of a JPEG, PNG, GIF, BMP or WebP image; runs in graphs.

    Args:
        content: scalar string. Anything: nothing in it is trusted.

    Returns:
        Dict of scalars: `is_jpeg`, bool; `height` and `width`, int64, in pixels as the image is
        seen; `orientation`, int64, 1 to 8 as in EXIF; `frames`, int64, how many images of that
        size would be decoded; `problem`, string, why it cannot be decoded, or empty.

    Example:

    >>> read_header(tf.constant(b"plain text"))["problem"].numpy()
    b'not a JPEG, PNG, GIF, BMP or WebP image'
    """
    data = tf.concat([tf.io.decode_raw(content, tf.uint8), tf.zeros([_PADDING], tf.uint8)], axis=0)
    start = _window(data, 0)
    kinds = {
        "jpeg": _is(start, 0, b"\xff\xd8\xff"),
        "png": _is(start, 0, b"\x89PNG\r\n\x1a\n"),
        "gif": _is(start, 0, b"GIF8"),
        "bmp": _is(start, 0, b"BM"),
        "webp": _is(start, 0, b"RIFF") & _is(start, 8, b"WEBP"),
        "": tf.constant(True),
    }
    kind = tf.argmax(tf.stack(list(kinds.values())), output_type=tf.int32)
    readers = {"jpeg": _jpeg, "png": _png, "gif": _gif, "bmp": _bmp, "webp": _webp, "": _unknown}
    width, height, orientation, frames, problem = tf.switch_case(
        kind, [lambda read=readers[name]: _result(read(data)) for name in kinds]
    )
    height, width = (
        _pick(orientation > 4, width, height),
        _pick(orientation > 4, height, width),
    )
    return {
        "is_jpeg": kinds["jpeg"],
        "height": height,
        "width": width,
        "orientation": orientation,
        "frames": frames,
        "problem": problem,
    }


def _result(parts):
    """Width, height, orientation, frames as int64, and of the problems the first that is there."""
    *numbers, problems = parts
    first = tf.constant("")
    for there, text in reversed(problems):
        first = tf.where(there, text, first)
    return *(tf.cast(number, tf.int64) for number in numbers), first


def _end(data):
    return tf.size(data, tf.int64) - _PADDING


def _window(data, place):
    """The bytes from `place` on, as many as the padding has; zeros behind the end."""
    place = tf.minimum(tf.cast(place, tf.int64), _end(data))
    return tf.cast(tf.slice(data, place[None], [_PADDING]), tf.int64)


def _is(window, place, text):
    return tf.reduce_all(window[place : place + len(text)] == list(text))


def _big(window, place, size):
    return tf.reduce_sum(window[place : place + size] * _POWERS[-size:])


def _little(window, place, size):
    return tf.reduce_sum(window[place : place + size] * _POWERS[::-1][:size])


def _unknown(data):
    empty = _end(data) == 0
    problems = [(empty, "empty file"), (True, "not a JPEG, PNG, GIF, BMP or WebP image")]
    return 0, 0, 1, 1, problems


def _jpeg(data):
    """Goes through the segments as far as the one that tells the size."""

    def segment(place, orientation, width, height, going):
        bytes_ = _window(data, place)
        marker, length = bytes_[1], _big(bytes_, 2, 2)
        fill = marker == 0xFF
        bare = fill | (marker == 0x01) | ((marker >= 0xD0) & (marker <= 0xD8))
        stop = (marker == 0x00) | (marker == 0xD9) | (marker == 0xDA)
        damaged = (bytes_[0] != 0xFF) | (~bare & (stop | (length < 2)))
        table = (marker == 0xC4) | (marker == 0xC8) | (marker == 0xCC)
        size = ~damaged & (marker >= 0xC0) & (marker <= 0xCF) & ~table
        orientation = tf.cond(
            ~damaged & (marker == 0xE1) & _is(bytes_, 4, b"Exif\0\0"),
            lambda: read_orientation(data, place + 10, tf.minimum(place + 2 + length, _end(data))),
            lambda: orientation,
        )
        step = _pick(fill, 1, _pick(bare, 2, 2 + length))
        height = _pick(size, _big(bytes_, 5, 2), height)
        width = _pick(size, _big(bytes_, 7, 2), width)
        return place + step, orientation, width, height, ~damaged & ~size

    _, orientation, width, height, _ = _loop(segment, _int64(2, 1, 0, 0), _MOST_PARTS)
    return width, height, orientation, 1, [(width * height == 0, "damaged or truncated JPEG")]


def _png(data):
    """Goes through the chunks as far as the pixels: the orientation may be in one of them."""
    start = _window(data, 16)

    def chunk(place, orientation, found, going):
        bytes_ = _window(data, place)
        length = _big(bytes_, 0, 4)
        pixels = _is(bytes_, 4, b"IDAT")
        orientation = tf.cond(
            _is(bytes_, 4, b"eXIf"),
            lambda: read_orientation(data, place + 8, tf.minimum(place + 8 + length, _end(data))),
            lambda: orientation,
        )
        place += 12 + length
        going = ~pixels & (place < _end(data)) & ~_is(bytes_, 4, b"IEND")
        return place, orientation, found | tf.cast(pixels, tf.int64), going

    _, orientation, found, _ = _loop(chunk, _int64(33, 1, 0), _MOST_PARTS)
    problems = [(found == 0, "damaged or truncated PNG")]
    return _big(start, 0, 4), _big(start, 4, 4), orientation, 1, problems


def _gif(data):
    """Goes through all frames: every one of them would be decoded, and only the first is seen."""
    start = _window(data, 6)
    width, height = _little(start, 0, 2), _little(start, 2, 2)

    def block(place, inside, frames, partial, outside, ended, going):
        bytes_ = _window(data, place)
        sub = inside == 1
        image = ~sub & (bytes_[0] == 0x2C)
        extension = ~sub & (bytes_[0] == 0x21)
        end = ~sub & (bytes_[0] == 0x3B)
        left, top, wide, high = (_little(bytes_, 1 + 2 * side, 2) for side in range(4))
        filled = (left == 0) & (top == 0) & (wide == width) & (high == height)
        beyond = (left + wide > width) | (top + high > height)
        step = _pick(image, 11 + _palette(bytes_[9]), _pick(sub, 1 + bytes_[0], 2))
        place += step
        flags = (
            (sub & (bytes_[0] != 0)) | image | extension,
            (frames > 0) | image,
            (partial == 1) | (image & (frames == 0) & ~filled),
            (outside == 1) | (image & beyond),
            (ended == 1) | end,
        )
        inside, _, partial, outside, ended = (tf.cast(flag, tf.int64) for flag in flags)
        frames += tf.cast(image, tf.int64)
        going = (sub | image | extension) & (place < _end(data))
        return place, inside, frames, partial, outside, ended, going

    first = 13 + _palette(start[4])
    state = (first, *_int64(0, 0, 0, 0, 0))
    _, _, frames, partial, outside, ended, _ = _loop(block, state, _MOST_GIF_BLOCKS)
    problems = [
        (ended == 0, "damaged, truncated or very long GIF"),
        (frames == 0, "claims no pixels"),
        (partial == 1, "GIF whose first frame does not fill it"),
        (outside == 1, "GIF with a frame larger than it"),
    ]
    return width, height, 1, tf.maximum(frames, 1), problems


def _palette(flags):
    return _pick(
        flags & 0x80 > 0, 3 * tf.bitwise.left_shift(tf.constant(2, tf.int64), flags & 7), 0
    )


def _bmp(data):
    head, tail = _window(data, 10), _window(data, 42)
    start, size = _little(head, 0, 4), _little(head, 4, 4)
    width, height = (_signed(_little(head, place, 4)) for place in (8, 12))
    bits, packing = _little(head, 18, 2), _little(head, 20, 4)
    masked = (packing == 3) & (bits == 32) & _is(tail, 12, b"\0\0\xff\0\0\xff\0\0\xff\0\0\0")
    levels = tf.clip_by_value((start - 14 - size) // 4, 0, 256)
    places = 14 + size + 4 * tf.range(256, dtype=tf.int64)[:, None] + tf.range(3, dtype=tf.int64)
    palette = tf.gather(data, tf.clip_by_value(places, 0, _end(data)))
    level = tf.range(256, dtype=tf.int64)[:, None]
    colours = (tf.cast(palette, tf.int64) != level) & (level < levels)
    length = start + tf.abs(height) * ((width * bits + 31) // 32 * 4)
    problems = [
        (size < 40, "BMP of OS/2, which cannot be decoded"),
        (width < 0, "damaged BMP"),
        ((packing != 0) & ~masked, "BMP with RLE, CMYK or masks, which cannot be decoded"),
        ((bits != 8) & (bits != 24) & (bits != 32), "BMP of other than 8, 24 or 32 bits"),
        ((bits == 8) & tf.reduce_any(colours), "BMP with a palette of colours"),
        (_end(data) < length, "truncated BMP"),
    ]
    return width, tf.abs(height), 1, 1, problems


def _signed(number):
    return _pick(number >= 2**31, number - 2**32, number)


def _webp(data):
    start = _window(data, 0)
    extended, lossy, lossless = (_is(start, 12, name) for name in (b"VP8X", b"VP8 ", b"VP8L"))
    bits = _little(start, 21, 4)
    width = _pick(
        extended,
        1 + _little(start, 24, 3),
        _pick(lossy, _little(start, 26, 2) & 0x3FFF, 1 + (bits & 0x3FFF)),
    )
    height = _pick(
        extended,
        1 + _little(start, 27, 3),
        _pick(lossy, _little(start, 28, 2) & 0x3FFF, 1 + (bits // 2**14 & 0x3FFF)),
    )
    length = _little(start, 4, 4) + 8
    orientation = tf.cond(
        extended & (start[20] & 8 > 0),
        lambda: _webp_orientation(data, tf.minimum(length, _end(data))),
        lambda: tf.constant(1, tf.int64),
    )
    problems = [
        (~extended & ~lossy & ~lossless, "damaged WebP"),
        (extended & (start[20] & 2 > 0), "animated WebP, of which there is no single image"),
        (_end(data) < length, "truncated WebP"),
    ]
    return width, height, orientation, 1, problems


def _webp_orientation(data, end):
    def chunk(place, orientation, going):
        bytes_ = _window(data, place)
        length = _little(bytes_, 4, 4)
        found = _is(bytes_, 0, b"EXIF")
        first = place + 8 + _pick(_is(bytes_, 8, b"Exif\0\0"), 6, 0)
        orientation = tf.cond(
            found,
            lambda: read_orientation(data, first, tf.minimum(place + 8 + length, end)),
            lambda: orientation,
        )
        place += 8 + length + length % 2
        return place, orientation, ~found & (place + 8 <= end)

    return _loop(chunk, _int64(12, 1), _MOST_PARTS)[1]


def _pick(condition, yes, no):
    return tf.where(condition, tf.cast(yes, tf.int64), tf.cast(no, tf.int64))


def _int64(*numbers):
    return tuple(tf.constant(number, tf.int64) for number in numbers)


def _loop(step, state, most):
    """Repeat `step(*state, going)` until it says in its last result that it has ended."""
    return tf.while_loop(
        lambda *state: state[-1], step, (*state, tf.constant(True)), maximum_iterations=most
    )
