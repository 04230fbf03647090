"""Files that can be made again, kept between runs so that they need not be."""

import os
import tempfile
from pathlib import Path

VARIABLE = "KERAS_SSL_CACHE"


def cached_path(kind, key, suffix):
    """Where to keep a file of a kind, such as "index": in $KERAS_SSL_CACHE or ~/.cache/keras_ssl.

    Example:

    >>> os.environ[VARIABLE] = "/tmp/cache"
    >>> str(cached_path("index", "0123", ".npz"))
    '/tmp/cache/index/0123.npz'
    """
    root = os.environ.get(VARIABLE) or Path.home() / ".cache" / "keras_ssl"
    return Path(root) / kind / f"{key}{suffix}"


def write_cached(path, content):
    """Write bytes to a path of the cache, whole or not at all; an unwritable cache is no error."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        aside, name = tempfile.mkstemp(dir=path.parent)
    except OSError:
        return
    try:
        with open(aside, "wb") as file:
            file.write(content)
        os.replace(name, path)
    except OSError:  # a full disk
        os.remove(name)
