"""The 15 common corruptions at 5 severities, for any images, drawn by a seed."""

import zlib

import numpy as np
import tensorflow as tf

from keras_ssl.core.errors import UserError, did_you_mean
from pipelines.corruptions.camera import defocus, gaussian, glass, impulse, motion, shot, zoom
from pipelines.corruptions.digital import brightness, contrast, elastic, jpeg, pixelate
from pipelines.corruptions.severities import SEVERITIES, TABLES
from pipelines.corruptions.weather import fog, frost, snow

__all__ = ["CORRUPTIONS", "SEVERITIES", "corrupt", "table_for"]

# name -> function of float images in [0, 1], a RandomState and the constants of a severity
CORRUPTIONS = {
    "gaussian_noise": gaussian,
    "shot_noise": shot,
    "impulse_noise": impulse,
    "defocus_blur": defocus,
    "glass_blur": glass,
    "motion_blur": motion,
    "zoom_blur": zoom,
    "snow": snow,
    "frost": frost,
    "fog": fog,
    "brightness": brightness,
    "contrast": contrast,
    "elastic_transform": elastic,
    "pixelate": pixelate,
    "jpeg_compression": jpeg,
}
_BLOCK_PIXELS = 2**18  # of the images that share their draws: 256 of 32 x 32


def corrupt(images: np.ndarray, name: str, severity: int, *, seed: int = 0) -> np.ndarray:
    """Corrupt every image, as CIFAR-10-C and ImageNet-C were made.

    Each image is drawn for anew, by blocks of a fixed size, so that the same images in the same
    order give the same result; another order gives other draws. All constants are the published
    ones, see `table_for`. What differs: the numbers drawn; the frost, whose photographs are
    replaced by textures made here; the JPEG, which is TensorFlow's.

    Args:
        images: uint8 (N, height, width, 1 or 3), sides of 8 or more.
        name: a key of `CORRUPTIONS`.
        severity: int in [1, 5].
        seed: int >= 0.

    Returns:
        uint8 array of the same shape.

    Raises:
        UserError: for an unknown name, another severity, or images that are none.

    Example:

    >>> int(corrupt(np.full((2, 8, 8, 3), 128, "uint8"), "brightness", 5).max())
    204

    Reference: Hendrycks and Dietterich 2019, arXiv:1903.12261, appendix A, with the constants of
    the authors' repository.
    """
    _check(images, name, severity)
    constants = TABLES[table_for(images.shape[1:3])][name][severity - 1]
    block = max(1, _BLOCK_PIXELS // (images.shape[1] * images.shape[2]))
    parts = []
    for number, start in enumerate(range(0, len(images), block)):
        draw = np.random.RandomState([seed, zlib.crc32(name.encode()), severity, number])
        part = tf.cast(np.asarray(images[start : start + block]), tf.float32) / 255.0
        part = tf.clip_by_value(CORRUPTIONS[name](part, draw, constants), 0.0, 1.0)
        # The published images are cut, not rounded; what is added only mends 254.99999.
        parts.append(tf.cast(part * 255.0 + 1e-3, tf.uint8).numpy())
    return np.concatenate(parts)


def table_for(size: tuple[int, int]) -> str:
    """Which constants images of this size (height, width) get: "cifar" below 128, or "imagenet".

    The former were published for 32 x 32 and the latter for 224 x 224; lengths in pixels stay as
    they are for other sizes, but for `elastic_transform`, which is published in shares of the side.
    """
    return "cifar" if min(size) < 128 else "imagenet"


def _check(images, name, severity):
    if name not in CORRUPTIONS:
        raise UserError(
            f"Unknown corruption '{name}'.{did_you_mean(name, CORRUPTIONS)} "
            f"Known: {', '.join(CORRUPTIONS)}."
        )
    if severity not in SEVERITIES:
        raise UserError(f"severity={severity} does not exist: use 1 to 5.")
    shape = np.shape(images)
    if len(shape) != 4 or 0 in shape or images.dtype != np.uint8 or shape[3] not in (1, 3):
        raise UserError(
            "Corruptions take uint8 images (N, height, width, 1 or 3). Received "
            f"{getattr(images, 'dtype', type(images).__name__)} of shape {shape}."
        )
    if min(shape[1:3]) < 8:
        raise UserError(f"Corruptions take sides of 8 pixels or more. Received {shape[1:3]}.")
