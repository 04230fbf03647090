"""What the bytes of an image file say, read without decoding it and without trusting it."""

import struct

from pipelines.sources.claims import Header, Truncated, Unusable, check_pixels
from pipelines.sources.graphics import read_bmp, read_gif, read_webp
from pipelines.sources.photographs import read_jpeg, read_png

__all__ = ["SIGNATURE", "Header", "Unusable", "kind_of", "read_header"]

SIGNATURE = 132  # bytes that tell the format

_READERS = {"jpeg": read_jpeg, "png": read_png, "gif": read_gif, "bmp": read_bmp, "webp": read_webp}
_STARTS = {"jpeg": b"\xff\xd8\xff", "png": b"\x89PNG\r\n\x1a\n", "gif": b"GIF8", "bmp": b"BM"}

# Formats that people have and TensorFlow does not read: where their mark is, the mark, the name,
# and a command that converts them.
_OTHERS = (
    (0, b"II*\0", "TIFF", "magick IN.tif OUT.png"),
    (0, b"MM\0*", "TIFF", "magick IN.tif OUT.png"),
    (0, b"II+\0", "BigTIFF", "magick IN.tif OUT.png"),
    (0, b"MM\0+", "BigTIFF", "magick IN.tif OUT.png"),
    (128, b"DICM", "DICOM", "dcm2img IN.dcm OUT.png"),
    (4, b"ftypavif", "AVIF", "avifdec IN.avif OUT.png"),
    (4, b"ftypavis", "AVIF", "avifdec IN.avif OUT.png"),
    (4, b"ftyphei", "HEIC", "heif-convert IN.heic OUT.png"),
    (4, b"ftyphev", "HEIC", "heif-convert IN.heic OUT.png"),
    (4, b"ftypmif1", "HEIC", "heif-convert IN.heic OUT.png"),
    (4, b"ftypmsf1", "HEIC", "heif-convert IN.heic OUT.png"),
    (0, b"\xff\x0a", "JPEG XL", "djxl IN.jxl OUT.png"),
    (4, b"JXL ", "JPEG XL", "djxl IN.jxl OUT.png"),
    (4, b"jP  ", "JPEG 2000", "magick IN.jp2 OUT.png"),
    (0, b"\xff\x4f\xff\x51", "JPEG 2000", "magick IN.j2k OUT.png"),
)


def read_header(content):
    """Read the header of a JPEG, PNG, GIF, BMP or WebP image, recognised by its content.

    Args:
        content: all bytes of the file. More may follow the image.

    Raises:
        Truncated: if the content breaks off, as far as it tells without being decoded.
        Unusable: if it is no image, one that would not be decoded rightly, or claims no pixels or
            more than `MAX_PIXELS`.

    Example:

    >>> read_header(b"plain text")
    Traceback (most recent call last):
        ...
    pipelines.sources.claims.Unusable: not a JPEG, PNG, GIF, BMP or WebP image
    """
    kind = kind_of(content)
    try:
        header = _READERS[kind](content)
    except (struct.error, IndexError, ValueError) as error:  # it ends while it is read
        raise Truncated() from error
    check_pixels(header.width, header.height)
    if header.orientation > 4:
        header = header._replace(height=header.width, width=header.height)
    return header


def kind_of(content):
    """The format of an image: "jpeg", "png", "gif", "bmp" or "webp".

    Args:
        content: bytes of a file, the first `SIGNATURE` or more.

    Raises:
        Unusable: for anything else; names usual formats, and says how to convert them.
    """
    if not content:
        raise Unusable("empty file")
    for kind, start in _STARTS.items():
        if content.startswith(start):
            return kind
    if content.startswith(b"RIFF") and content[8:12] == b"WEBP":
        return "webp"
    for place, mark, name, command in _OTHERS:
        if content.startswith(mark, place):
            raise Unusable(f"{name}, which is not read: convert it, such as by `{command}`")
    raise Unusable("not a JPEG, PNG, GIF, BMP or WebP image")
