"""The program as tests start it in their own process; no other file imports `run`."""

from run import main


def start(*flags: object) -> int:
    """Run a command line; -> exit status."""
    return main(["run.py", *map(str, flags)])
