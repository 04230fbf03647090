"""What the bytes of an image file say, read without decoding it and without trusting it."""

import struct
from typing import NamedTuple

from keras_ssl.core import image_files
from keras_ssl.core.constants import MAX_PIXELS

SIGNATURE = 132  # bytes that tell the format
MAX_BYTES = 2**28  # of an image file, and of a record
FEWEST_BITS = 15  # of the 16 of a PNG with such samples; with fewer it comes out nearly black

# What converts formats that are not read, by their suffix.
_CONVERTERS = dict.fromkeys(("tif", "jp2", "j2k"), "magick")
_CONVERTERS |= {"dcm": "dcm2img", "avif": "avifdec", "heic": "heif-convert", "jxl": "djxl"}


class Unusable(Exception):
    """Why a file gives no image, in a few words."""


class Truncated(Unusable):
    """The content ends too early: it is only a part of the file, or the file was cut off."""

    def __init__(self):
        super().__init__(image_files.TRUNCATED)


class Damaged(Unusable):
    """The content is all there, but cannot be decoded."""

    def __init__(self, kind):
        super().__init__(image_files.DAMAGED.format(image_files.NAMES[kind]))


class Header(NamedTuple):
    """What there is to know of an encoded image.

    Args:
        kind: "jpeg", "png", "gif", "bmp" or "webp".
        height, width: in pixels, as the image is seen.
        orientation: 1 to 8 as in EXIF; 1 where it says nothing, or nothing sensible.
        deep: whether its samples have 16 bits.
    """

    kind: str
    height: int
    width: int
    orientation: int = 1
    deep: bool = False


def check_pixels(width, height, what="pixels"):
    """Refuse an image of no pixels, or of more than `MAX_PIXELS`, before it is decoded."""
    if width * height > MAX_PIXELS:
        raise Unusable(f"has {width} x {height} {what}, more than {MAX_PIXELS:,}")
    if not width * height:
        raise Unusable(image_files.NO_PIXELS)


def read_header(content):
    """Read the header of a JPEG, PNG, GIF, BMP or WebP image, recognized by its content.

    Args:
        content: all bytes of the file. More may follow the image.

    Raises:
        Truncated: if the content breaks off, as far as it tells without being decoded.
        Unusable: if it is no image, one that would not be decoded rightly, or has no pixels or
            more than `MAX_PIXELS`.

    Example:

    >>> read_header(b"plain text")
    Traceback (most recent call last):
        ...
    pipelines.images.headers.Unusable: not a JPEG, PNG, GIF, BMP or WebP image
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


def read_jpeg(content):
    """`Header` of a JPEG: of its segments as far as the pixels, with stray bytes in between."""
    orientation, adobe, frame, place = 1, False, None, 2
    while True:
        if content[place] != 0xFF:
            place = content.index(b"\xff", place)
            continue
        marker = content[place + 1]
        if marker <= 0x01 or marker == 0xFF or 0xD0 <= marker <= 0xD8:  # fill, or without length
            place += 1 if marker == 0xFF else 2
            continue
        (length,) = struct.unpack_from(">H", content, place + 2)
        if length < 2 or marker == 0xD9:  # the end, before any pixels
            raise Damaged("jpeg")
        if marker == 0xDA:
            break
        exif = marker == 0xE1 and content.startswith(image_files.EXIF_NAME, place + 4)
        if orientation == 1 and exif:
            orientation = orientation_of(content[place + 10 : place + 2 + length])
        adobe |= marker == 0xEE and content.startswith(image_files.JPEG_ADOBE, place + 4)
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            frame = marker - 0xC0, *struct.unpack_from(">BHHB", content, place + 4)
        place += 2 + length
    if frame is None:
        raise Damaged("jpeg")
    process, bits, height, width, channels = frame
    _check_jpeg(process, bits, channels, adobe)
    if content.rfind(image_files.JPEG_END) < place:  # cameras append whole films to images
        raise Truncated()
    return Header("jpeg", height, width, orientation)


def _check_jpeg(process, bits, channels, adobe):
    if process in image_files.JPEG_LOSSLESS:
        raise Unusable(image_files.LOSSLESS)
    if process not in image_files.JPEG_DECODED:
        raise Unusable(image_files.HIERARCHICAL)
    if bits != 8:
        raise Unusable(image_files.JPEG_BITS.format(bits))
    if channels not in (1, 3, 4):
        raise Unusable(image_files.JPEG_CHANNELS.format(channels))
    if channels == 4 and not adobe:  # which says whether the inks are inverted
        raise Unusable(image_files.CMYK)


def read_png(content):
    """`Header` of a PNG, whose orientation may lie before or behind its pixels."""
    width, height = struct.unpack_from(">II", content, 16)
    if content.rfind(image_files.PNG_END) < 0:
        raise Truncated()
    orientation = 1
    for mark in image_files.PNG_EXIF:
        place = content.find(mark)
        if place >= 4 and orientation == 1:
            (length,) = struct.unpack_from(">I", content, place - 4)
            orientation = orientation_of(content[place + 4 : place + 4 + length])
    return Header("png", height, width, orientation, content[24] == 16)


def read_gif(content):
    """`Header` of a GIF, for all frames: only the first is seen, but every one is decoded."""
    width, height, flags = struct.unpack_from("<HHB", content, 6)
    check_pixels(width, height)
    place, frames = 13 + _palette(flags), 0
    while content[place] != 0x3B:
        if content[place] == 0x2C:
            frame = struct.unpack_from("<4HB", content, place + 1)
            if not frames and frame[:4] != (0, 0, width, height):
                raise Unusable(image_files.GIF_PARTIAL)
            if frame[0] + frame[2] > width or frame[1] + frame[3] > height:
                raise Unusable(image_files.GIF_OUTSIDE)
            frames += 1
            check_pixels(width * height, frames, "frames")
            place += 11 + _palette(frame[4])
        elif content[place] == 0x21:
            place += 2
            if not content[place]:
                raise Unusable(image_files.GIF_EXTENSION)
        else:
            raise Damaged("gif")
        while content[place]:
            place += 1 + content[place]
        place += 1
    if not frames:
        raise Unusable(image_files.NO_PIXELS)
    return Header("gif", height, width)


def _palette(flags):
    return 3 * 2 ** (1 + (flags & 7)) if flags & 0x80 else 0


def read_bmp(content):
    """`Header` of a BMP."""
    start, size = struct.unpack_from("<II", content, 10)
    if size < 40 or size == 64:
        raise Unusable(image_files.BMP_OS2)
    width, height, _, bits, packing = struct.unpack_from("<iiHHI", content, 18)
    if width < 0:
        raise Damaged("bmp")
    masked = packing == 3 and bits == 32 and _part(content, 54, 12) == image_files.BMP_MASKS
    if packing and not masked:
        known = (how for how, numbers in image_files.BMP_PACKINGS.items() if packing in numbers)
        raise Unusable(image_files.BMP_PACKING.format(next(known, f"packing {packing}")))
    if bits in (1, 2, 4):
        raise Unusable(image_files.BMP_PALETTE_BITS.format(bits))
    if bits not in (8, 24, 32):
        raise Unusable(image_files.BMP_BITS.format(bits))
    if bits == 8 and any(
        content[14 + size + 4 * level + color] != level
        for level in range((start - 14 - size) // 4)
        for color in range(3)
    ):
        raise Unusable(image_files.BMP_PALETTE)
    if len(content) < start + abs(height) * ((width * bits + 31) // 32 * 4):
        raise Truncated()
    return Header("bmp", abs(height), width)


def read_webp(content):
    """`Header` of a WebP."""
    (length,) = struct.unpack_from("<I", content, 4)
    name = content[12:16]
    orientation = 1
    if name == b"VP8X":
        flags = content[20]
        if flags & 2:
            raise Unusable(image_files.WEBP_ANIMATED)
        width = 1 + int.from_bytes(_part(content, 24, 3), "little")
        height = 1 + int.from_bytes(_part(content, 27, 3), "little")
        if flags & 8:
            orientation = _webp_orientation(content, min(length + 8, 2**28))
    elif name == b"VP8 ":
        width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", content, 26))
    elif name == b"VP8L":
        (bits,) = struct.unpack_from("<I", content, 21)
        width, height = 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    else:
        raise Damaged("webp")
    if len(content) < length + 8:
        raise Truncated()
    return Header("webp", height, width, orientation)


def _webp_orientation(content, end):
    place = 12
    while place + 8 <= end:
        name, length = struct.unpack_from("<4sI", content, place)
        if name == b"EXIF":
            exif = _part(content, place + 8, length)
            return orientation_of(exif.removeprefix(image_files.EXIF_NAME))
        place += 8 + length + length % 2
    return 1


def _part(content, place, length):
    part = content[place : place + length]
    if len(part) < length:
        raise Truncated()
    return part


def orientation_of(exif):
    """The entry of the first directory of a TIFF structure; 1 if anything about it is odd."""
    order = {image_files.EXIF_LITTLE: "<", image_files.EXIF_BIG: ">"}.get(bytes(exif[:4]))
    if order is None:
        return 1
    try:
        (directory,) = struct.unpack_from(order + "I", exif, 4)
        (count,) = struct.unpack_from(order + "H", exif, directory)
        for entry in range(min(count, image_files.MOST_ENTRIES)):
            tag, form, _, value = struct.unpack_from(
                order + "HHIH", exif, directory + 2 + 12 * entry
            )
            if tag == image_files.ORIENTATION:
                return value if form == image_files.SHORT and 1 <= value <= 8 else 1
    except struct.error:
        pass
    return 1


_READERS = {"jpeg": read_jpeg, "png": read_png, "gif": read_gif, "bmp": read_bmp, "webp": read_webp}
