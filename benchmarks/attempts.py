"""Measure the rows of a table one by one, so that a row that fails costs no other."""

import sys


class Attempts:
    """Calls what measures a row, and tells at the end which rows have no number.

    Attributes:
        failed: list of str. Names of the rows that failed.

    Example:

    >>> attempt = Attempts()
    >>> attempt("half", lambda x: x / 2, 3), attempt.failed
    (1.5, [])
    """

    def __init__(self):
        self.failed = []

    def __call__(self, name, measure, *arguments):
        """What `measure(*arguments)` gives; `None` where it fails, with the reason on stderr."""
        try:
            return measure(*arguments)
        except (Exception, SystemExit) as error:
            self.fail(name, f"{type(error).__name__}: {error}")

    def fail(self, name, reason):
        """Count a row as failed."""
        print(f"{name}: {reason}", file=sys.stderr, flush=True)
        self.failed.append(name)

    def finish(self):
        """End the program with status 1 and the names of the rows that failed, if there are any."""
        if self.failed:
            sys.exit(f"Failed: {', '.join(self.failed)}. The other rows are whole.")
