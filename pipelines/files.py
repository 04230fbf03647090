"""What reading many files takes: a cache of what was found, threads, and a progress bar."""

import os
import sys
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from tqdm import tqdm

from keras_ssl.core.files import written_aside

VARIABLE = "KERAS_SSL_CACHE"

_AHEAD = 64  # items for each thread
# Where there is no terminal, in seconds: until the first line, and from one line to the next.
_LOGGED = {"delay": 5.0, "mininterval": 60.0}


def cached_path(kind, key):
    """Where arrays are kept: in $KERAS_SSL_CACHE or ~/.cache/keras_ssl, a folder for each kind.

    Args:
        kind: what the arrays are, such as "folder"; kinds never share a file.
        key: str, letters and digits, which differs wherever the arrays may.

    Example:

    >>> cached_path("folder", "0123").name
    '0123.npz'
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


def in_threads(function, items, threads=None):
    """Yield `function(item)` of each item, in order.

    Unlike `ThreadPoolExecutor.map`, it takes an item only when its turn is near, so that millions
    of them cost no memory.

    Args:
        function: of one argument.
        items: iterable.
        threads: int >= 1; by default one for each core.

    Example:

    >>> list(in_threads(abs, range(-3, 0)))
    [3, 2, 1]
    """
    threads = threads or os.cpu_count()
    waiting, pool = deque(), ThreadPoolExecutor(threads)
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > _AHEAD * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def progress(what, unit, total=None, *, log=print):
    """A bar of tqdm, to be used in a `with` and moved by its `update`.

    On a terminal it appears after half a second. Elsewhere a line is logged after 5 seconds, and
    one a minute from then on.

    Args:
        what: str. The job, such as "Indexing folder:photos".
        unit: str. What is counted, in the plural.
        total: how many there are; `None` if nobody knows yet.
        log: called with each line where there is no terminal.

    Example:

    >>> with progress("Counting", "sheep", 3) as bar:
    ...     for _ in range(3):
    ...         _ = bar.update()
    """
    settings = {"desc": what, "unit": f" {unit}", "total": total}
    done, of = "{n:,}", "{total:,}"
    if unit == "bytes":
        done, of = "{n_fmt}", "{total_fmt}"
        settings |= {"unit": "B", "unit_scale": True, "unit_divisor": 1024}
    if sys.stdout.isatty():
        return tqdm(file=sys.stdout, delay=0.5, **settings)
    count = done if total is None else f"{done} of {of}"
    settings |= {"bar_format": f"{{desc}}: {count}{{unit}}, {{rate_fmt}}", "leave": False}
    bar = tqdm(file=_Lines(log), miniters=1, smoothing=0, **_LOGGED, **settings)
    bar.last_print_t -= bar.mininterval  # the first line waits for `delay` alone
    return bar


class _Lines:
    """A file whose lines go to a log, without what moves the cursor of a terminal."""

    def __init__(self, log):
        self._log = log

    def write(self, text):
        if text.strip():
            self._log(text.strip())

    def flush(self):
        pass
