"""How fast a stream of batches goes and what memory it takes; needs nothing but the system."""

import os
import time

_WARM_UP = 4  # batches


def measure(start, seconds, *, views, bytes_of):
    """Read a stream for `seconds`, once it has gone through its first batches.

    Args:
        start: function that makes an iterator of batches.
        seconds: float.
        views: number of views in a batch.
        bytes_of: function from a batch to its size in bytes.

    Returns:
        {"views": views a second, "bytes": of a batch, "memory": growth of the peak of the process
        in bytes, or `None` where the system does not tell}.
    """
    before = resident(reset=True)
    batches = start()
    for _ in range(_WARM_UP):
        batch = next(batches)
    begin, count = time.perf_counter(), 0
    while time.perf_counter() - begin < seconds:
        batch = next(batches)
        count += 1
    speed = views * count / (time.perf_counter() - begin)
    peak = resident(peak=True)
    growth = None if before is None else max(peak - before, 0)
    return {"views": speed, "bytes": bytes_of(batch), "memory": growth}


def resident(*, peak=False, reset=False):
    """Resident memory of the process in bytes, now or at its peak since the last reset (Linux)."""
    try:
        if reset:
            with open("/proc/self/clear_refs", "w", encoding="ascii") as file:
                file.write("5")
        return _field("/proc/self/status", "VmHWM:" if peak else "VmRSS:")
    except OSError:
        return None


def private_to_workers():
    """Memory that each child of this process has to itself, in bytes, at most; `None` if untold."""
    try:
        with open(f"/proc/self/task/{os.getpid()}/children", encoding="ascii") as file:
            children = file.read().split()
        return max((_private(child) for child in children), default=None)
    except OSError:
        return None


def _private(process):
    rollup = f"/proc/{process}/smaps_rollup"
    return sum(_field(rollup, name) for name in ("Private_Clean:", "Private_Dirty:"))


def _field(path, name):
    with open(path, encoding="ascii") as file:
        return next(1024 * int(line.split()[1]) for line in file if line.startswith(name))
