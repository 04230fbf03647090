"""What the header of an encoded image says, read by TensorFlow's operations before decoding it."""

import tensorflow as tf

from keras_ssl.core import image_files

_PADDING = 32  # zeros behind the content, so that windows near its end need no care
_MOST_PARTS = 1_000  # of a file before its pixels
_MOST_GIF_BLOCKS = 20_000  # 5 MB, as encoders write them; bounds the time that a request takes
_POWERS = (2**24, 2**16, 2**8, 1)
_EXIF_ENTRY = 12  # bytes


def read_header(content: tf.Tensor) -> dict:
    """Kind, size and orientation of a JPEG, PNG, GIF, BMP or WebP image; runs in graphs.

    It refuses what `pipelines` refuses in the files that it trains on, in the same words.

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
    kinds = {kind: _is(start, 0, mark) for kind, mark in image_files.STARTS.items()}
    kinds["webp"] &= _is(start, 8, b"WEBP")
    kinds[""] = tf.constant(True)
    kind = tf.argmax(tf.stack(list(kinds.values())), output_type=tf.int32)
    readers = {"jpeg": _jpeg, "png": _png, "gif": _gif, "bmp": _bmp, "webp": _webp, "": _unknown}
    width, height, orientation, frames, problem = tf.switch_case(
        kind, [lambda read=readers[name]: _result(read(data, content)) for name in kinds]
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


def read_orientation(data, start, end):
    """The entry of the first directory of a TIFF structure; runs in graphs.

    Args:
        data: (bytes,) uint8, in which the structure lies; not empty behind `end`.
        start, end: scalar int64, the first byte of the structure, and the first one behind it.

    Returns:
        Scalar int64, 1 to 8; 1 if anything about it is odd.

    Example:

    >>> tiff = b"MM\\0*\\0\\0\\0\\x08\\0\\1\\x01\\x12\\0\\3\\0\\0\\0\\1\\0\\6\\0\\0" + bytes(8)
    >>> read_orientation(tf.io.decode_raw(tiff, tf.uint8), tf.constant(0, tf.int64), 22).numpy()
    np.int64(6)
    """
    end, zero = tf.cast(end, tf.int64), tf.constant(0, tf.int64)

    def byte(place):
        """Zero where there is none."""
        inside = (place >= start) & (place < end)
        return tf.where(
            inside, tf.cast(tf.gather(data, tf.where(inside, place, zero)), tf.int64), zero
        )

    def number(place, size):
        bytes_ = [byte(place + offset) for offset in range(size)]
        little = sum(value * 256**offset for offset, value in enumerate(bytes_))
        big = sum(value * 256**offset for offset, value in enumerate(reversed(bytes_)))
        return tf.where(is_little, little, big)

    order = byte(start + tf.range(4, dtype=tf.int64))
    is_little = tf.reduce_all(order == list(image_files.EXIF_LITTLE))
    is_big = tf.reduce_all(order == list(image_files.EXIF_BIG))
    directory = start + number(start + 4, 4)
    count = tf.minimum(number(directory, 2), image_files.MOST_ENTRIES)
    entries = directory + 2 + _EXIF_ENTRY * tf.range(count)
    whole = entries + 10 <= end
    found = (number(entries, 2) == image_files.ORIENTATION) & whole
    # The first entry with this tag; one more that is none stands for its absence.
    first = tf.argmax(tf.concat([found, [True]], axis=0))
    form, value = (tf.concat([number(entries + place, 2), [0]], axis=0)[first] for place in (2, 8))
    fits = (is_little | is_big) & (form == image_files.SHORT) & (value >= 1) & (value <= 8)
    return tf.where(fits, value, tf.constant(1, tf.int64))


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


def _holds(content, mark, place=0):
    """Whether bytes stand somewhere in the content, from `place` on."""
    return tf.size(_split(content, mark, place)) > 1


def _split(content, mark, place=0):
    """What stands before the first of some bytes, and behind it if they are there."""
    place = tf.minimum(tf.cast(place, tf.int32), tf.strings.length(content))
    rest = tf.strings.substr(content, place, 2**31 - 1)
    return tf.raw_ops.StringSplitV2(input=rest[None], sep=mark, maxsplit=1).values


def _unknown(data, content):
    problems = [(_end(data) == 0, image_files.EMPTY)]
    problems += [
        (_is(_window(data, place), 0, mark), image_files.OTHER.format(name))
        for place, mark, name, _ in image_files.OTHERS
    ]
    return 0, 0, 1, 1, [*problems, (True, image_files.UNKNOWN)]


def _jpeg(data, content):
    """Goes through the segments as far as the pixels, with stray bytes in between."""

    def segment(place, orientation, adobe, frame, scan, damaged, going):
        bytes_ = _window(data, place)
        marker, length = bytes_[1], _big(bytes_, 2, 2)
        stray, fill = bytes_[0] != 0xFF, marker == 0xFF
        bare = (marker <= 0x01) | ((marker >= 0xD0) & (marker <= 0xD8))
        whole = ~stray & ~fill & ~bare
        damaged = whole & ((length < 2) | (marker == 0xD9))  # the end, before any pixels
        scan = whole & ~damaged & (marker == 0xDA)
        whole &= ~damaged & ~scan
        orientation = tf.cond(
            whole & (orientation == 1) & (marker == 0xE1) & _is(bytes_, 4, image_files.EXIF_NAME),
            lambda: read_orientation(data, place + 10, tf.minimum(place + 2 + length, _end(data))),
            lambda: orientation,
        )
        adobe |= whole & (marker == 0xEE) & _is(bytes_, 4, image_files.JPEG_ADOBE)
        table = (marker == 0xC4) | (marker == 0xC8) | (marker == 0xCC)
        size = whole & (marker >= 0xC0) & (marker <= 0xCF) & ~table
        stated = (marker - 0xC0, bytes_[4], _big(bytes_, 5, 2), _big(bytes_, 7, 2), bytes_[9])
        frame = tf.where(size, tf.stack(stated), frame)
        marks = tf.concat([bytes_ == 0xFF, [True]], axis=0)
        to_mark = tf.argmax(marks)  # or to the end of the window
        step = _pick(stray, to_mark, _pick(fill, 1, _pick(bare, 2, 2 + length)))
        going = ~damaged & ~scan & (place < _end(data))
        return place + _pick(scan, 0, step), orientation, adobe, frame, scan, damaged, going

    no, none = tf.constant(False), tf.constant([-1, 0, 0, 0, 0], tf.int64)
    state = (*_int64(2, 1), no, none, no, no)
    place, orientation, adobe, frame, scan, damaged, _ = _loop(segment, state, _MOST_PARTS)
    process, bits, height, width, channels = tf.unstack(frame)
    problems = [
        (damaged | (scan & (process < 0)), image_files.DAMAGED.format("JPEG")),
        (~scan, image_files.TRUNCATED),
        (_among(process, image_files.JPEG_LOSSLESS), image_files.LOSSLESS),
        (~_among(process, image_files.JPEG_DECODED), image_files.HIERARCHICAL),
        (bits != 8, _filled(image_files.JPEG_BITS, bits)),
        (~_among(channels, (1, 3, 4)), _filled(image_files.JPEG_CHANNELS, channels)),
        ((channels == 4) & ~adobe, image_files.CMYK),
        (~_holds(content, image_files.JPEG_END, place), image_files.TRUNCATED),
    ]
    return width, height, orientation, 1, problems


def _png(data, content):
    """The orientation may lie before or behind the pixels."""
    start, orientation = _window(data, 16), tf.constant(1, tf.int64)
    for mark in image_files.PNG_EXIF:
        parts = _split(content, mark)
        place = tf.cast(tf.strings.length(parts[0]), tf.int64)
        length = _big(_window(data, place - 4), 0, 4)
        end = tf.minimum(place + 4 + length, _end(data))
        orientation = tf.cond(
            (tf.size(parts) > 1) & (orientation == 1),
            lambda place=place, end=end: read_orientation(data, place + 4, end),
            lambda orientation=orientation: orientation,
        )
    problems = [
        (_end(data) < 25, image_files.TRUNCATED),
        (~_holds(content, image_files.PNG_END), image_files.TRUNCATED),
    ]
    return _big(start, 0, 4), _big(start, 4, 4), orientation, 1, problems


def _gif(data, content):
    """Goes through all frames: every one of them would be decoded, and only the first is seen."""
    start = _window(data, 6)
    width, height = _little(start, 0, 2), _little(start, 2, 2)

    def block(place, inside, frames, partial, outside, ended, hollow, going):
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
            (hollow == 1) | (extension & (bytes_[2] == 0)),
        )
        inside, _, partial, outside, ended, hollow = (tf.cast(flag, tf.int64) for flag in flags)
        frames += tf.cast(image, tf.int64)
        going = (sub | image | extension) & (place < _end(data))
        return place, inside, frames, partial, outside, ended, hollow, going

    first = 13 + _palette(start[4])
    state = (first, *_int64(0, 0, 0, 0, 0, 0))
    _, _, frames, partial, outside, ended, hollow, _ = _loop(block, state, _MOST_GIF_BLOCKS)
    problems = [
        (hollow == 1, image_files.GIF_EXTENSION),
        (ended == 0, "damaged, truncated or very long GIF"),
        (frames == 0, image_files.NO_PIXELS),
        (partial == 1, image_files.GIF_PARTIAL),
        (outside == 1, image_files.GIF_OUTSIDE),
    ]
    return width, height, 1, tf.maximum(frames, 1), problems


def _palette(flags):
    return _pick(
        flags & 0x80 > 0, 3 * tf.bitwise.left_shift(tf.constant(2, tf.int64), flags & 7), 0
    )


def _bmp(data, content):
    head, tail = _window(data, 10), _window(data, 42)
    start, size = _little(head, 0, 4), _little(head, 4, 4)
    width, height = (_signed(_little(head, place, 4)) for place in (8, 12))
    bits, packing = _little(head, 18, 2), _little(head, 20, 4)
    masked = (packing == 3) & (bits == 32) & _is(tail, 12, image_files.BMP_MASKS)
    levels = tf.clip_by_value((start - 14 - size) // 4, 0, 256)
    places = 14 + size + 4 * tf.range(256, dtype=tf.int64)[:, None] + tf.range(3, dtype=tf.int64)
    palette = tf.gather(data, tf.clip_by_value(places, 0, _end(data)))
    level = tf.range(256, dtype=tf.int64)[:, None]
    colors = (tf.cast(palette, tf.int64) != level) & (level < levels)
    length = start + tf.abs(height) * ((width * bits + 31) // 32 * 4)
    problems = [
        ((size < 40) | (size == 64), image_files.BMP_OS2),
        (width < 0, image_files.DAMAGED.format("BMP")),
        *(
            (_among(packing, numbers) & ~masked, image_files.BMP_PACKING.format(how))
            for how, numbers in image_files.BMP_PACKINGS.items()
        ),
        (
            (packing != 0) & ~masked,
            _filled(image_files.BMP_PACKING.format("packing {}"), packing),
        ),
        (_among(bits, (1, 2, 4)), _filled(image_files.BMP_PALETTE_BITS, bits)),
        (~_among(bits, (8, 24, 32)), _filled(image_files.BMP_BITS, bits)),
        ((bits == 8) & tf.reduce_any(colors), image_files.BMP_PALETTE),
        (_end(data) < length, image_files.TRUNCATED),
    ]
    return width, tf.abs(height), 1, 1, problems


def _signed(number):
    return _pick(number >= 2**31, number - 2**32, number)


def _webp(data, content):
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
        (~extended & ~lossy & ~lossless, image_files.DAMAGED.format("WebP")),
        (extended & (start[20] & 2 > 0), image_files.WEBP_ANIMATED),
        (_end(data) < length, image_files.TRUNCATED),
    ]
    return width, height, orientation, 1, problems


def _webp_orientation(data, end):
    def chunk(place, orientation, going):
        bytes_ = _window(data, place)
        length = _little(bytes_, 4, 4)
        found = _is(bytes_, 0, b"EXIF")
        first = place + 8 + _pick(_is(bytes_, 8, image_files.EXIF_NAME), 6, 0)
        orientation = tf.cond(
            found,
            lambda: read_orientation(data, first, tf.minimum(place + 8 + length, end)),
            lambda: orientation,
        )
        place += 8 + length + length % 2
        return place, orientation, ~found & (place + 8 <= end)

    return _loop(chunk, _int64(12, 1), _MOST_PARTS)[1]


def _among(number, numbers):
    return tf.reduce_any(number == list(numbers))


def _filled(text, number):
    before, behind = text.split("{}")
    return tf.strings.join([before, tf.as_string(number), behind])


def _pick(condition, yes, no):
    return tf.where(condition, tf.cast(yes, tf.int64), tf.cast(no, tf.int64))


def _int64(*numbers):
    return tuple(tf.constant(number, tf.int64) for number in numbers)


def _loop(step, state, most):
    """Repeat `step(*state, going)` until its last result, `going`, is false."""
    return tf.while_loop(
        lambda *state: state[-1], step, (*state, tf.constant(True)), maximum_iterations=most
    )
