"""The orientation that EXIF data state, read by TensorFlow's operations."""

import tensorflow as tf

from keras_ssl.core import image_files

_ENTRY = 12


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
    entries = directory + 2 + _ENTRY * tf.range(count)
    whole = entries + 10 <= end
    found = (number(entries, 2) == image_files.ORIENTATION) & whole
    # The first entry with this tag; one more that is none stands for its absence.
    first = tf.argmax(tf.concat([found, [True]], axis=0))
    form, value = (tf.concat([number(entries + place, 2), [0]], axis=0)[first] for place in (2, 8))
    fits = (is_little | is_big) & (form == image_files.SHORT) & (value >= 1) & (value <= 8)
    return tf.where(fits, value, tf.constant(1, tf.int64))
