"""Image files from a disk: refused before they are read where they cannot be used."""

import io
import os
import stat

from pipelines.sources.claims import MAX_BYTES, Unusable
from pipelines.sources.header import scan


def read_file(path):
    """`Header` and bytes of an image file.

    Raises:
        Unusable: if it cannot be read, is no image, claims too much, is too large, or breaks off.
    """

    def whole(file):
        header = scan(file)
        file.seek(0)
        return header, file.read(MAX_BYTES)

    return _read(path, whole)


def scan_file(path):
    """`Header` of an image file, of which only the head and the tail are read.

    Raises:
        Unusable: as `read_file`.
    """
    return _read(path, scan)


def scan_content(content):
    """`Header` of the bytes of an image file.

    Raises:
        Unusable: as `read_file`.
    """
    return scan(io.BytesIO(content))


def _read(path, read):
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise Unusable("not a regular file")
        with open(path, "rb") as file:
            return read(file)
    except OSError as error:
        raise Unusable(error.strerror or "cannot be read") from error
