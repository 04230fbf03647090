"""What went wrong, in words: exceptions of TensorFlow, and what an evaluation had to leave out."""

import contextlib
import errno
import os
import re
from dataclasses import dataclass

import tensorflow as tf

from keras_ssl.core.errors import UserError
from pipelines.data.encoded import UNREADABLE

# What TensorFlow says in the words of the system where a file cannot be written.
DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)


@dataclass(frozen=True)
class LeftOut:
    """Something that could not be measured.

    Attributes:
        text: str. What, and why.
        retry: bool. Whether another attempt may do without the reason: a full disk, too little
            memory, a file to be replaced.
    """

    text: str
    retry: bool = False

    @classmethod
    def by(cls, what, error):
        """What a `UserError` or an `OSError` ended."""
        return cls(f"{what}: {error}", isinstance(error, OSError) or error.retry)


@contextlib.contextmanager
def translate_tf_errors():
    """Say in a line what exceptions of TensorFlow mean where a user can do something."""
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
