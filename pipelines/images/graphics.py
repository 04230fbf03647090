"""Headers of GIF, BMP and WebP files: from bytes to `Header`."""

import struct

from keras_ssl.core import image_files
from pipelines.images.claims import Damaged, Header, Truncated, Unusable, check_pixels
from pipelines.images.exif import orientation_of


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
