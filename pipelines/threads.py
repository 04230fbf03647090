"""A function of very many things, in threads and in order, a few ahead of whoever takes them."""

import os
from collections import deque
from concurrent.futures import ThreadPoolExecutor

_AHEAD = 64  # items for each thread


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
