"""What the bytes of an image file say, read without decoding it and without trusting it."""

import struct

from keras_ssl.core import image_files
from pipelines.images.claims import Header, Truncated, Unusable, check_pixels
from pipelines.images.graphics import read_bmp, read_gif, read_webp
from pipelines.images.photographs import read_jpeg, read_png

__all__ = ["SIGNATURE", "Header", "Unusable", "kind_of", "read_header"]

SIGNATURE = 132  # bytes that tell the format

_READERS = {"jpeg": read_jpeg, "png": read_png, "gif": read_gif, "bmp": read_bmp, "webp": read_webp}
# What converts formats that are not read, by their suffix.
_CONVERTERS = dict.fromkeys(("tif", "jp2", "j2k"), "magick")
_CONVERTERS |= {"dcm": "dcm2img", "avif": "avifdec", "heic": "heif-convert", "jxl": "djxl"}


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
    pipelines.images.claims.Unusable: not a JPEG, PNG, GIF, BMP or WebP image
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
        raise Unusable(image_files.EMPTY)
    for kind, start in image_files.STARTS.items():
        if content.startswith(start) and (kind != "webp" or content[8:12] == b"WEBP"):
            return kind
    for place, mark, name, suffix in image_files.OTHERS:
        if content.startswith(mark, place):
            command = f"{_CONVERTERS[suffix]} IN.{suffix} OUT.png"
            raise Unusable(f"{image_files.OTHER.format(name)}: convert it, such as by `{command}`")
    raise Unusable(image_files.UNKNOWN)
