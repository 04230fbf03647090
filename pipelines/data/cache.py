"""Arrays that can be made again, kept between runs so that they need not be."""

import os
from pathlib import Path

import numpy as np

from keras_ssl.core.files import written_aside

VARIABLE = "KERAS_SSL_CACHE"


def cached_path(kind, key):
    """Where arrays are kept: in $KERAS_SSL_CACHE or ~/.cache/keras_ssl, a folder for each kind.

    Args:
        kind: what the arrays are, such as "folder"; kinds never share a file.
        key: str, letters and digits, which differs wherever the arrays may.

    Example:

    >>> os.environ[VARIABLE] = "/tmp/cache"
    >>> str(cached_path("folder", "0123"))
    '/tmp/cache/folder/0123.npz'
    """
    root = os.environ.get(VARIABLE) or Path.home() / ".cache" / "keras_ssl"
    return Path(root) / kind / f"{key}.npz"


def read_cached(kind, key):
    """Arrays by name as `write_cached` had them; `None` if they are not there or damaged."""
    try:
        with np.load(cached_path(kind, key)) as file:
            return {name: file[name] for name in file.files}
    except Exception:  # a damaged archive raises whatever it likes; it can be made again
        return None


def write_cached(kind, key, arrays):
    """Keep arrays by name, all of them or none; a cache that cannot be written is no error."""
    try:
        path = cached_path(kind, key)
        path.parent.mkdir(parents=True, exist_ok=True)
        with written_aside(path) as aside, open(aside, "wb") as file:
            np.savez_compressed(file, **arrays)
    except (OSError, RuntimeError):  # the latter where a user has no home
        pass
