"""Files and folders of a user: said to be missing in one way, written whole or not at all."""

import contextlib
import os
import secrets
import shutil

from pipelines.errors import DataError

_WANTED = {"npz": "an .npz file", "folder": "a folder of images"}


def check_path(kind, path):
    """Refuse a path at which there is nothing.

    Args:
        kind: "npz" or "folder".
        path: str.

    Raises:
        DataError: if nothing is there.
    """
    if not os.path.exists(path):
        raise DataError(f"{path} does not exist. Give {_WANTED[kind]}, as {kind}:PATH.")


@contextlib.contextmanager
def written_aside(path):
    """Give a path to write a file or a folder to; it takes the place of `path` at the end.

    Nothing is left behind where the block fails. The name is drawn: processes on two machines that
    share a disk may have the same number.

    Args:
        path: file, replaced if it exists; or folder, which must not exist.

    Example:

    >>> import tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "numbers.txt")
    >>> with written_aside(path) as aside, open(aside, "w") as file:
    ...     _ = file.write("1 2 3")
    ...     os.path.exists(path)
    False
    >>> os.listdir(os.path.dirname(path))
    ['numbers.txt']
    """
    aside = f"{path}.partial-{secrets.token_hex(4)}"
    try:
        yield aside
        os.replace(aside, path)
    finally:
        if os.path.isdir(aside):
            shutil.rmtree(aside, ignore_errors=True)
        elif os.path.lexists(aside):
            os.remove(aside)
