"""Files and folders that are either whole or not there: written aside, then renamed."""

import contextlib
import os
import shutil
from pathlib import Path

_ASIDE = ".writing-"


@contextlib.contextmanager
def written_aside(path):
    """Give a path to write a file or a folder to; `path` itself changes when the block has ended.

    A reader, a full disk or a crash thus finds the old `path` or the new one, whole. The path given
    lies beside `path` and ends in its name, so that writers which look at the suffix see it.

    Args:
        path: file, replaced if it exists; or folder, which must not exist.

    Raises:
        OSError: if the disk is full or not writable; nothing is left behind.

    Example:

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "numbers.txt"
    >>> with written_aside(path) as aside:
    ...     _ = aside.write_text("1 2 3")
    ...     path.exists()
    False
    >>> path.read_text()
    '1 2 3'
    """
    path = Path(path)
    aside = path.with_name(f"{_ASIDE}{os.getpid()}-{path.name}")
    try:
        yield aside
        if aside.is_file():
            _flush(aside)
        os.replace(aside, path)
    finally:
        _remove(aside)


def write_text(path, text):
    """Replace the file at `path` by `text`, as `written_aside` does."""
    with written_aside(path) as aside:
        aside.write_text(text, encoding="utf-8")


def remove_leftovers(directory):
    """Remove what killed writers have left in `directory`, where nobody may be writing now."""
    for aside in Path(directory).glob(f"{_ASIDE}*"):
        _remove(aside)


def _flush(path):
    with open(path, "rb") as file:
        os.fsync(file.fileno())


def _remove(path):
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
