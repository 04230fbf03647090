"""The one reader that decides whether an image file can be used, and says why not."""

import os
import stat
import threading

import tensorflow as tf

from keras_ssl.core import image_files
from pipelines.images.claims import FEWEST_BITS, MAX_BYTES, Damaged, Unusable
from pipelines.images.decode import bits_used, decode_window
from pipelines.images.header import SIGNATURE, kind_of, read_header

_DECODERS = threading.BoundedSemaphore(os.cpu_count() or 1)  # bounds memory: images may be huge


def read_file(path):
    """`Header` and bytes of an image file, of which nothing is decoded yet.

    Raises:
        Unusable: if it cannot be read, is no image, claims too much, is too large, or breaks off.
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
