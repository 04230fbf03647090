"""What exceptions of TensorFlow mean, in words, where a user can do something."""

import contextlib
import errno
import os
import re

import tensorflow as tf

from keras_ssl.core.errors import UserError

UNREADABLE = "images in a row cannot be read"  # what a stream of images raises, after their number
# What TensorFlow reports in the words of the system where a file cannot be written.
DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)


@contextlib.contextmanager
def translate_tf_errors():
    """Raise `UserError` or `OSError` in place of exceptions for which a user can do something."""
    out_of_memory = UserError(
        "Out of memory. Free some, or take a smaller --batch_size, network or neck.", retry=True
    )
    try:
        yield
    except MemoryError as error:
        raise out_of_memory from error
    except tf.errors.OpError as error:
        for number in DISK:
            if os.strerror(number).lower() in error.message.lower():
                raise OSError(number, os.strerror(number)) from error
        if isinstance(error, tf.errors.ResourceExhaustedError):
            raise out_of_memory from error
        unreadable = re.search(rf"\d+ {UNREADABLE}", error.message)
        if unreadable:
            raise UserError(
                f"{unreadable[0]}: is their disk still there? A run goes on from its last "
                "checkpoint with --resume.",
                retry=True,
            ) from error
        raise
