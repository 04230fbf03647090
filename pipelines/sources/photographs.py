"""Headers of JPEG and PNG files, the formats of photographs: from bytes to `Header`."""

import struct

from pipelines.sources.claims import Damaged, Header, Unusable
from pipelines.sources.exif import orientation_of

_UNREAD_JPEG = {3: "lossless", 11: "lossless", 9: "arithmetic-coded", 10: "arithmetic-coded"}


def read_jpeg(content):
    """`Header` of a JPEG."""
    orientation, adobe, place = 1, False, 2
    while True:
        if content[place] != 0xFF:
            raise Damaged()
        marker = content[place + 1]
        if marker == 0xFF or marker == 0x01 or 0xD0 <= marker <= 0xD8:  # fill, or without length
            place += 1 if marker == 0xFF else 2
            continue
        (length,) = struct.unpack_from(">H", content, place + 2)
        if length < 2 or marker in (0x00, 0xD9, 0xDA):  # the scan, or the end, before the size
            raise Damaged()
        if marker == 0xE1 and content[place + 4 : place + 10] == b"Exif\0\0":
            orientation = orientation_of(content[place + 10 : place + 2 + length])
        adobe |= marker == 0xEE and content[place + 4 : place + 9] == b"Adobe"
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            bits, height, width, channels = struct.unpack_from(">BHHB", content, place + 4)
            _check_jpeg(marker - 0xC0, bits, channels, adobe)
            return Header("jpeg", height, width, orientation, place + 2 + length, 0)
        place += 2 + length


def _check_jpeg(process, bits, channels, adobe):
    if process > 2:
        raise Unusable(f"{_UNREAD_JPEG.get(process, 'hierarchical')} JPEG, which cannot be decoded")
    if bits != 8:
        raise Unusable(f"JPEG of {bits} bits, which cannot be decoded")
    if channels not in (1, 3, 4):
        raise Unusable(f"JPEG of {channels} channels, which cannot be decoded")
    if channels == 4 and not adobe:  # which says whether the inks are inverted
        raise Unusable("CMYK JPEG without an Adobe mark, whose colours are not certain")


def read_png(content):
    """`Header` of a PNG."""
    orientation, place = 1, 33
    width, height = struct.unpack_from(">II", content, 16)
    while content[place + 4 : place + 8] != b"IDAT":
        length, name = struct.unpack_from(">I4s", content, place)
        if name == b"IEND":
            raise Damaged()
        if name == b"eXIf":
            orientation = orientation_of(content[place + 8 : place + 8 + length])
        place += 12 + length
    return Header("png", height, width, orientation, place, 0)
