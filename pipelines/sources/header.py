"""What the first bytes of an image file say, read without decoding it and without trusting it."""

import struct

from pipelines.sources.claims import MAX_BYTES, Header, Truncated, Unusable, check_pixels
from pipelines.sources.graphics import read_bmp, read_gif, read_webp
from pipelines.sources.photographs import read_jpeg, read_png

__all__ = ["Header", "Unusable", "check_end", "parse_header", "read_header", "scan"]

_READERS = {"jpeg": read_jpeg, "png": read_png, "gif": read_gif, "bmp": read_bmp, "webp": read_webp}
_STARTS = {"jpeg": b"\xff\xd8\xff", "png": b"\x89PNG\r\n\x1a\n", "gif": b"GIF8", "bmp": b"BM"}
_SIGNATURE = 12  # bytes that tell the kind
_HEAD = 2**14  # bytes that are read first; a header seldom takes more
_TAIL = 2**12
_END_MARKS = {"jpeg": b"\xff\xd9", "png": b"IEND\xaeB`\x82"}


def read_header(content):
    """Read the header of a JPEG, PNG, GIF, BMP or WebP image, recognised by its content.

    Args:
        content: bytes of the file, all of them or the first ones.

    Raises:
        Truncated: if more bytes are needed.
        Unusable: if it is no image, one that would not be decoded rightly, or claims no pixels or
            more than `MAX_PIXELS`.

    Example:

    >>> read_header(b"plain text")
    Traceback (most recent call last):
        ...
    pipelines.sources.claims.Unusable: not a JPEG, PNG, GIF, BMP or WebP image
    """
    kind = _kind(content)
    try:
        header = _READERS[kind](content)
    except (struct.error, IndexError) as error:
        raise Truncated() from error
    check_pixels(header.width, header.height)
    if header.orientation > 4:
        header = header._replace(height=header.width, width=header.height)
    return header


def parse_header(file):
    """`read_header` of an open file, of which no more is read than it takes.

    Leaves the file at the end of the header.
    """
    content = file.read(_HEAD)
    try:
        header = read_header(content)
    except Truncated:
        header = read_header(content + file.read(MAX_BYTES))
    if file.seek(0, 2) < header.length:
        raise Truncated()
    file.seek(header.body)
    return header


def check_end(file, kind):
    """Refuse a file that breaks off, as far as its end tells without decoding it.

    Args:
        file: open, where `parse_header` left it.
        kind: of the image.

    Raises:
        Truncated: if the mark of the end is missing.
    """
    mark, body = _END_MARKS.get(kind), file.tell()
    if mark is None:
        return
    size = file.seek(0, 2)
    file.seek(max(body, size - _TAIL))
    if mark in file.read(_TAIL):
        return
    file.seek(body)  # cameras append whole films to images
    if mark not in file.read(MAX_BYTES):
        raise Truncated()


def scan(file):
    """`Header` of an open file that is no larger than it should be and does not break off.

    Raises:
        Unusable: as `read_header`; if the file is larger than `MAX_BYTES`, before it is read.
    """
    size = file.seek(0, 2)
    if size > MAX_BYTES:
        raise Unusable(f"{size:,} bytes, more than {MAX_BYTES:,}")
    file.seek(0)
    header = parse_header(file)
    check_end(file, header.kind)
    return header


def _kind(content):
    if not content:
        raise Unusable("empty file")
    for kind, start in _STARTS.items():
        if content.startswith(start):
            return kind
    if content.startswith(b"RIFF") and content[8:_SIGNATURE] == b"WEBP":
        return "webp"
    raise Unusable("not a JPEG, PNG, GIF, BMP or WebP image")
