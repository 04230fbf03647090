"""Files and folders of a user: said to be missing in one way."""

import os

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
