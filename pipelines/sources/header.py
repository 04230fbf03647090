"""What the first bytes of an image file say, read without decoding it and without trusting it."""

import struct
from typing import NamedTuple

MAX_PIXELS = 100_000_000
_STARTS = {"jpeg": b"\xff\xd8\xff", "png": b"\x89PNG\r\n\x1a\n", "gif": b"GIF8", "bmp": b"BM"}
_SIGNATURE = 12  # bytes that tell the kind
_HEAD = 2**14  # bytes that are read first; a header seldom takes more
_TAIL = 2**12
_MOST = 2**28
_END_MARKS = {"jpeg": b"\xff\xd9", "png": b"IEND\xaeB`\x82"}
_ORIENTATION = 0x0112
_UNREAD_JPEG = {3: "lossless", 11: "lossless", 9: "arithmetic-coded", 10: "arithmetic-coded"}


class Unusable(Exception):
    """Why a file gives no image, in a few words."""


class Short(Unusable):
    """The content ends inside its header: it is only a part of the file, or a truncated file."""

    def __init__(self):
        super().__init__("truncated image")


class Header(NamedTuple):
    """What there is to know of an encoded image.

    Args:
        kind: "jpeg", "png", "gif", "bmp" or "webp".
        height, width: in pixels, as the image is seen.
        orientation: 1 to 8 as in EXIF; 1 where it says nothing, or nothing sensible.
        body: position of the first byte after what was read.
        length: number of bytes that the file must have at least.
    """

    kind: str
    height: int
    width: int
    orientation: int
    body: int
    length: int


def read_header(content):
    """Read the header of a JPEG, PNG, GIF, BMP or WebP image, recognised by its content.

    Args:
        content: bytes of the file, all of them or the first ones.

    Raises:
        Short: if more bytes are needed.
        Unusable: if it is no image, one that would not be decoded rightly, or claims no pixels or
            more than `MAX_PIXELS`.

    Example:

    >>> read_header(b"plain text")
    Traceback (most recent call last):
        ...
    pipelines.sources.header.Unusable: not a JPEG, PNG, GIF, BMP or WebP image
    """
    kind = _kind(content)
    try:
        header = _READERS[kind](content)
    except (struct.error, IndexError) as error:
        raise Short() from error
    _check_pixels(header.width, header.height)
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
    except Short:
        header = read_header(content + file.read(_MOST))
    if file.seek(0, 2) < header.length:
        raise Short()
    file.seek(header.body)
    return header


def check_end(file, kind):
    """Refuse a file that breaks off, as far as its end tells without decoding it.

    Args:
        file: open, where `parse_header` left it.
        kind: of the image.

    Raises:
        Short: if the mark of the end is missing.
    """
    mark, body = _END_MARKS.get(kind), file.tell()
    if mark is None:
        return
    size = file.seek(0, 2)
    file.seek(max(body, size - _TAIL))
    if mark in file.read(_TAIL):
        return
    file.seek(body)  # cameras append whole films to images
    if mark not in file.read(_MOST):
        raise Short()


def _kind(content):
    if not content:
        raise Unusable("empty file")
    for kind, start in _STARTS.items():
        if content.startswith(start):
            return kind
    if content.startswith(b"RIFF") and content[8:_SIGNATURE] == b"WEBP":
        return "webp"
    raise Unusable("not a JPEG, PNG, GIF, BMP or WebP image")


def _check_pixels(width, height, what="pixels"):
    if width * height > MAX_PIXELS:
        raise Unusable(f"claims {width} x {height} {what}, more than {MAX_PIXELS:,}")
    if not width * height:
        raise Unusable("claims no pixels")


def _jpeg(content):
    orientation, place = 1, 2
    while True:
        if content[place] != 0xFF:
            raise Unusable("damaged image")
        marker = content[place + 1]
        if marker == 0xFF or marker == 0x01 or 0xD0 <= marker <= 0xD8:  # fill, or without length
            place += 1 if marker == 0xFF else 2
            continue
        (length,) = struct.unpack_from(">H", content, place + 2)
        if length < 2 or marker in (0x00, 0xD9, 0xDA):  # the scan, or the end, before the size
            raise Unusable("damaged image")
        if marker == 0xE1 and content[place + 4 : place + 10] == b"Exif\0\0":
            orientation = _orientation(content[place + 10 : place + 2 + length])
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            bits, height, width, channels = struct.unpack_from(">BHHB", content, place + 4)
            _check_jpeg(marker - 0xC0, bits, channels)
            return Header("jpeg", height, width, orientation, place + 2 + length, 0)
        place += 2 + length


def _check_jpeg(process, bits, channels):
    if process > 2:
        raise Unusable(f"{_UNREAD_JPEG.get(process, 'hierarchical')} JPEG, which cannot be decoded")
    if bits != 8:
        raise Unusable(f"JPEG of {bits} bits, which cannot be decoded")
    if channels not in (1, 3, 4):
        raise Unusable(f"JPEG of {channels} channels, which cannot be decoded")


def _png(content):
    orientation, place = 1, 33
    width, height = struct.unpack_from(">II", content, 16)
    while content[place + 4 : place + 8] != b"IDAT":
        length, name = struct.unpack_from(">I4s", content, place)
        if name == b"IEND":
            raise Unusable("damaged image")
        if name == b"eXIf":
            orientation = _orientation(content[place + 8 : place + 8 + length])
        place += 12 + length
    return Header("png", height, width, orientation, place, 0)


def _gif(content):
    """Goes through all frames: every one of them would be decoded, and only the first is seen."""
    width, height, flags = struct.unpack_from("<HHB", content, 6)
    _check_pixels(width, height)
    place, frames = 13 + _palette(flags), 0
    while content[place] != 0x3B:
        if content[place] == 0x2C:
            frame = struct.unpack_from("<4HB", content, place + 1)
            if not frames and frame[:4] != (0, 0, width, height):
                raise Unusable("GIF whose first frame does not fill it")
            if frame[0] + frame[2] > width or frame[1] + frame[3] > height:
                raise Unusable("GIF with a frame larger than it")
            frames += 1
            _check_pixels(width * height, frames, "frames")
            place += 11 + _palette(frame[4])
        elif content[place] == 0x21:
            place += 2
        else:
            raise Unusable("damaged image")
        while content[place]:
            place += 1 + content[place]
        place += 1
    if not frames:
        raise Unusable("claims no pixels")
    return Header("gif", height, width, 1, place, place)


def _palette(flags):
    return 3 * 2 ** (1 + (flags & 7)) if flags & 0x80 else 0


def _bmp(content):
    start, size = struct.unpack_from("<II", content, 10)
    if size < 40:
        raise Unusable("BMP of OS/2, which cannot be decoded")
    width, height, _, bits, packing = struct.unpack_from("<iiHHI", content, 18)
    if width < 0:
        raise Unusable("damaged image")
    masks = b"".join(mask.to_bytes(4, "little") for mask in (0xFF0000, 0xFF00, 0xFF))
    if not (packing == 0 or (packing == 3 and bits == 32 and _part(content, 54, 12) == masks)):
        raise Unusable(f"BMP with packing {packing} (RLE, CMYK or masks), which cannot be decoded")
    if bits not in (8, 24, 32):
        raise Unusable(f"BMP of {bits} bits, which cannot be decoded")
    if bits == 8 and any(
        content[14 + size + 4 * level + colour] != level
        for level in range((start - 14 - size) // 4)
        for colour in range(3)
    ):
        raise Unusable("BMP with a palette of colours, which cannot be decoded")
    length = start + abs(height) * ((width * bits + 31) // 32 * 4)
    return Header("bmp", abs(height), width, 1, start, length)


def _webp(content):
    (length,) = struct.unpack_from("<I", content, 4)
    name = content[12:16]
    orientation = 1
    if name == b"VP8X":
        flags = content[20]
        if flags & 2:
            raise Unusable("animated WebP, of which there is no single image")
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
        raise Unusable("damaged image")
    return Header("webp", height, width, orientation, 30, length + 8)


def _webp_orientation(content, end):
    place = 12
    while place + 8 <= end:
        name, length = struct.unpack_from("<4sI", content, place)
        if name == b"EXIF":
            return _orientation(_part(content, place + 8, length).removeprefix(b"Exif\0\0"))
        place += 8 + length + length % 2
    return 1


def _part(content, place, length):
    part = content[place : place + length]
    if len(part) < length:
        raise Short()
    return part


def _orientation(exif):
    """The entry of the first directory of a TIFF structure; 1 if anything about it is odd."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(bytes(exif[:4]))
    if order is None:
        return 1
    try:
        (directory,) = struct.unpack_from(order + "I", exif, 4)
        (count,) = struct.unpack_from(order + "H", exif, directory)
        for entry in range(min(count, 512)):
            tag, form, _, value = struct.unpack_from(
                order + "HHIH", exif, directory + 2 + 12 * entry
            )
            if tag == _ORIENTATION:
                return value if form == 3 and 1 <= value <= 8 else 1
    except struct.error:
        pass
    return 1


_READERS = {"jpeg": _jpeg, "png": _png, "gif": _gif, "bmp": _bmp, "webp": _webp}
