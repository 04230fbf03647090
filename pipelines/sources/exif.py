"""The orientation that EXIF data give an image."""

import struct

_ORIENTATION = 0x0112


def orientation_of(exif):
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
