"""What an image file claims to be, and why one is refused."""

from typing import NamedTuple

from keras_ssl.core import image_files
from keras_ssl.core.constants import MAX_PIXELS

MAX_BYTES = 2**28  # of an image file, and of a record
FEWEST_BITS = 15  # of the 16 of a PNG with such samples; with fewer it comes out nearly black


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
        raise Unusable(f"claims {width} x {height} {what}, more than {MAX_PIXELS:,}")
    if not width * height:
        raise Unusable(image_files.NO_PIXELS)
