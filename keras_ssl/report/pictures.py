"""Pictures as text: rows of images for a page, and one picture of many for TensorBoard."""

import base64
import io
import math

import numpy as np
from numpy.typing import ArrayLike

MOST_PIXELS = 64  # of a side of an image in a row; larger ones are made smaller
_GAP = 2


def png(image: ArrayLike) -> bytes:
    """An image as a PNG file; the same bytes for the same image.

    Args:
        image: uint8 (height, width, 1, 3 or 4).

    Example:

    >>> png(np.zeros((4, 4, 3), "uint8"))[1:4]
    b'PNG'
    """
    return _encoded(np.asarray(image), "PNG", optimize=True)


def row(images: ArrayLike) -> str:
    """A row of images as the source of an `<img>`: a `data:` address.

    Photographs that were made smaller are JPEG, small images are exact.

    Args:
        images: uint8 (k, height, width, channels), k >= 1.

    Example:

    >>> row(np.zeros((3, 8, 8, 1), "uint8"))[:22]
    'data:image/png;base64,'
    """
    images = np.asarray(images)
    if images.ndim != 4 or not images.size:
        images = np.full((1, 8, 8, 1), 255, np.uint8)
    small = smaller(images, MOST_PIXELS)
    gaps = [(0, 0), (0, 0), (0, _GAP), (0, 0)]
    strip = np.concatenate(list(np.pad(small, gaps, constant_values=255)), axis=1)[:, :-_GAP]
    photos = max(images.shape[1:3]) > MOST_PIXELS
    encoded = _encoded(strip, "JPEG", quality=85) if photos else png(strip)
    kind = "jpeg" if photos else "png"
    return f"data:image/{kind};base64,{base64.b64encode(encoded).decode('ascii')}"


def smaller(images: np.ndarray, most: int) -> np.ndarray:
    """Images of at most `most` pixels a side, by area averages; smaller ones as they are."""
    from PIL import Image

    height, width = images.shape[1:3]
    if max(height, width) <= most:
        return images
    size = [max(1, round(side * most / max(height, width))) for side in (width, height)]
    pictures = [_picture(image).resize(size, Image.Resampling.BOX) for image in images]
    return np.stack([_channels(np.asarray(picture)) for picture in pictures])


def sprite(images: np.ndarray) -> np.ndarray:
    """One square picture of images row by row, as TensorBoard's projector wants it.

    Args:
        images: uint8 (N, height, width, channels).

    Returns:
        uint8 (n * height, n * width, channels), n = ceil(sqrt(N)); white where there are no images.

    Example:

    >>> sprite(np.zeros((5, 2, 3, 1), "uint8")).shape
    (6, 9, 1)
    """
    count, height, width, channels = images.shape
    side = math.isqrt(max(count - 1, 0)) + 1
    tiles = np.full((side * side, height, width, channels), 255, np.uint8)
    tiles[:count] = images
    tiles = tiles.reshape(side, side, height, width, channels).swapaxes(1, 2)
    return tiles.reshape(side * height, side * width, channels)


def _encoded(image, kind, **options):
    file = io.BytesIO()
    _picture(image).save(file, kind, **options)
    return file.getvalue()


def _picture(image):
    from PIL import Image

    return Image.fromarray(np.ascontiguousarray(image[..., 0] if image.shape[-1] == 1 else image))


def _channels(image):
    return image[..., None] if image.ndim == 2 else image
