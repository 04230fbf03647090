"""The orientation that EXIF data give an image."""

import struct

from keras_ssl.core import image_files


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
