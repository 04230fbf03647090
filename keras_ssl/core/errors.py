"""Mistakes of a caller, phrased in one way: what came, what fits, what to do.

Imports no TensorFlow before its exceptions are translated: a command line reads recipes without it.
"""

import contextlib
import difflib
import errno
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeVar

Value = TypeVar("Value")


class UserError(ValueError):
    """A caller's mistake; its message is one or two lines meant to be read without a traceback.

    Args:
        message: str.
        retry: bool. Whether the same request may succeed another time, as when memory was short.

    Example:

    >>> raise UserError("patch_size must be even. Received 7: take 6 or 8.")
    Traceback (most recent call last):
    ...
    keras_ssl.core.errors.UserError: patch_size must be even. Received 7: take 6 or 8.
    """

    def __init__(self, message: str = "", *, retry: bool = False):
        super().__init__(message)
        self.retry = retry


def did_you_mean(name: object, options: Iterable) -> str:
    """Return `" Did you mean 'x'?"` for the option nearest to `name`, or `""` if none is near."""
    near = difflib.get_close_matches(str(name), [str(option) for option in options], 1, 0.6)
    return f" Did you mean '{near[0]}'?" if near else ""


def lookup(table: Mapping[str, Value], name: str, kind: str) -> Value:
    """Return `table[name]`; a wrong name is answered with the nearest right ones.

    Args:
        table: mapping from names to values.
        name: the name to look up.
        kind: what the names stand for, as the message calls it ("optimizer").

    Raises:
        UserError: if `name` is not in `table`.

    Example:

    >>> lookup({"lars": 1, "sgd": 2}, "lars", "optimizer")
    1
    """
    if name in table:
        return table[name]
    suggestion = did_you_mean(name, table)
    raise UserError(f"Unknown {kind} '{name}'.{suggestion} Known: {', '.join(sorted(table))}.")


# What exceptions of TensorFlow mean, in words, where a user can do something.

UNREADABLE = "images in a row cannot be read"  # what a stream of images raises, after their number
# What TensorFlow reports in the words of the system where a file cannot be written.
DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)


@contextlib.contextmanager
def translate_tf_errors() -> Iterator[None]:
    """Raise `UserError` or `OSError` in place of exceptions for which a user can do something."""
    import tensorflow as tf

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
                f"{unreadable[0]}: is their disk still there? Resume the run from its "
                "last checkpoint by --resume.",
                retry=True,
            ) from error
        raise
