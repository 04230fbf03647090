"""How far a long job is: a bar on a terminal, elsewhere a line now and then."""

import sys
import threading
import time

_BAR = 24  # characters
_REDRAW = 0.1  # seconds between two pictures of the bar
_FIRST = {True: 0.5, False: 5.0}  # seconds until something is shown, by whether it is a terminal
_NEXT = 60.0  # seconds between two lines where there is no terminal


class Progress:
    """Count what is done, and show it: short jobs in silence, long ones with their rate.

    On a terminal there is a bar. Elsewhere the first line comes after 5 seconds, and at most one a
    minute from then on.

    Args:
        what: str. The job, such as "Indexing folder:photos".
        unit: str. What is counted, in the plural.
        total: how many there are; `None` if nobody knows yet.
        log: called with each line where there is no terminal.

    Example:

    >>> with Progress("Counting", "sheep", 3) as progress:
    ...     for _ in range(3):
    ...         progress.add()
    """

    def __init__(self, what, unit, total=None, *, log=print):
        self._what, self._unit, self._total, self._log = what, unit, total, log
        self._bar = sys.stdout.isatty()
        self._done, self._width = 0, 0
        self._lock, self._start = threading.Lock(), time.monotonic()
        self._due = self._start + _FIRST[self._bar]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self._width:
            self._draw(time.monotonic())
            print(flush=True)

    def add(self, count=1):
        """Some more are done; threads may say so, too."""
        with self._lock:
            self._done += count
            now = time.monotonic()
            if now < self._due:
                return
            if self._bar:
                self._draw(now)
            else:
                self._log(f"{self._text(now)}.")
            self._due = now + (_REDRAW if self._bar else _NEXT)

    def _draw(self, now):
        text = self._text(now)
        if self._total:
            filled = min(_BAR, int(_BAR * self._done / self._total))
            text = f"{text} [{'#' * filled}{'.' * (_BAR - filled)}]"
        print("\r" + text.ljust(self._width), end="", flush=True)
        self._width = len(text)

    def _text(self, now):
        done = f"{self._done:,.0f}" + (f" of {self._total:,.0f}" if self._total else "")
        rate = self._done / max(now - self._start, 1e-9)
        return f"{self._what}: {done} {self._unit}, {rate:,.0f} a second"
