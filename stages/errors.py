"""What exceptions of TensorFlow mean where a user can do something."""

import contextlib
import errno
import os

import tensorflow as tf

from keras_ssl.core.checks import UserError

# What TensorFlow says in the words of the system where a file cannot be written.
DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)


@contextlib.contextmanager
def plain_errors():
    """Say in a line what exceptions of TensorFlow mean where a user can do something."""
    out_of_memory = UserError("Out of memory. Take a smaller --batch_size, network or neck.")
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
        raise
