"""Standard output and error of a command line, whatever it was started with."""

import os
import sys


def open_streams():
    """Have somewhere to print to, and print whatever characters that takes."""
    if None in (sys.stdout, sys.stderr):  # closed; the next file would get its number, and output
        while os.open(os.devnull, os.O_RDWR) <= 2:
            pass
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name) or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
        setattr(sys, name, stream)
