"""What exceptions of TensorFlow mean where a user can do something."""

import contextlib
import errno
import os

import tensorflow as tf

from keras_ssl.core.checks import UserError


@contextlib.contextmanager
def plain_errors():
    """Say in a line what exceptions of TensorFlow mean where a user can do something."""
    out_of_memory = UserError("Out of memory. Take a smaller --batch_size, network or neck.")
    try:
        yield
    except MemoryError as error:
        raise out_of_memory from error
    except tf.errors.ResourceExhaustedError as error:
        if "no space left" in error.message.lower():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error
        raise out_of_memory from error
