"""Headers of JPEG and PNG files, the formats of photographs: from bytes to `Header`."""

import struct

from keras_ssl.core import image_files
from pipelines.images.claims import Damaged, Header, Truncated, Unusable
from pipelines.images.exif import orientation_of


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
