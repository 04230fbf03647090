"""Images for evaluation and serving: one size, normalised, nothing random."""

import numpy as np
import tensorflow as tf

from pipelines.errors import DataError


def channel_statistics(images):
    """Mean and standard deviation per channel, for values in [0, 1].

    Args:
        images: uint8 array (N, height, width, channels).

    Returns:
        Two tuples of floats. A constant channel gets the deviation 1, so that dividing is safe.

    Example:

    >>> channel_statistics(np.full((2, 4, 4, 1), 255, "uint8"))
    ((1.0,), (1.0,))
    """
    levels = np.arange(256) / 255.0
    means, deviations = [], []
    for channel in range(images.shape[-1]):
        share = _histogram(images[..., channel]) / images[..., channel].size
        means.append(float(share @ levels))
        deviation = float(np.sqrt(share @ (levels - means[-1]) ** 2))
        deviations.append(deviation if deviation > 1e-6 else 1.0)
    return tuple(means), tuple(deviations)


def _histogram(values, block=1024):
    """Counts of the 256 levels, by blocks: `bincount` copies to eight times the size."""
    blocks = (values[start : start + block] for start in range(0, len(values), block))
    return sum(np.bincount(part.ravel(), minlength=256) for part in blocks)


def make_preprocess(image_size, channels, mean, std, *, crop_fraction=1.0):
    """Build the function from uint8 images of any size to what the encoder reads.

    Images of the right size are only normalised. Others are resized by antialiased bicubic so that
    the shorter side becomes `image_size / crop_fraction`, and cropped in the middle.

    Args:
        image_size: side of the result.
        channels: of the images and of the result.
        mean, std: per channel, for values in [0, 1].
        crop_fraction: 0.875 crops 224 out of 256, as ImageNet evaluations do; 1 crops only what
            makes the image square.

    Returns:
        `tf.function` from uint8 (batch, height, width, channels) to float32
        (batch, image_size, image_size, channels).

    Raises:
        DataError: if `mean` or `std` have not one value per channel, or `crop_fraction` is not in
            (0, 1].

    Example:

    >>> preprocess = make_preprocess(8, 3, mean=3 * [0.5], std=3 * [0.25])
    >>> preprocess(tf.zeros((2, 12, 10, 3), tf.uint8)).shape
    TensorShape([2, 8, 8, 3])
    """
    if len(mean) != channels or len(std) != channels:
        raise DataError(f"mean and std need one value per channel: {channels}.")
    if not 0.0 < crop_fraction <= 1.0:
        raise DataError(f"crop_fraction={crop_fraction} does not fit: it must be in (0, 1].")
    resized_side = round(image_size / crop_fraction)
    mean, std = np.asarray(mean, "float32"), np.asarray(std, "float32")

    signature = [tf.TensorSpec((None, None, None, channels), tf.uint8)]

    @tf.function(input_signature=signature, autograph=False)
    def preprocess(images):
        shape = tf.shape(images)
        fits = tf.reduce_all(shape[1:3] == image_size)
        images = tf.cond(
            fits,
            lambda: tf.cast(images, tf.float32),
            lambda: _resize_and_crop(images, shape[1:3], resized_side, image_size),
        )
        images = tf.ensure_shape(images, (None, image_size, image_size, channels))
        return (images / 255.0 - mean) / std

    return preprocess


def _resize_and_crop(images, sides, resized_side, image_size):
    shorter = tf.cast(tf.reduce_min(sides), tf.float32)
    scaled = tf.cast(tf.round(tf.cast(sides, tf.float32) * resized_side / shorter), tf.int32)
    images = tf.image.resize(images, scaled, method="bicubic", antialias=True)
    top, left = tf.unstack((scaled - image_size) // 2)
    images = images[:, top : top + image_size, left : left + image_size]
    return tf.clip_by_value(images, 0.0, 255.0)


def resize_to_square(images, image_size):
    """The middle square of images, resized by antialiased bicubic.

    Args:
        images: uint8 (height, width, channels) or (N, height, width, channels); any size.
        image_size: side of the result.

    Returns:
        uint8 tensor (..., image_size, image_size, channels).

    Example:

    >>> resize_to_square(np.zeros((4, 6, 3), "uint8"), 8).shape
    TensorShape([8, 8, 3])
    """
    sides = tf.shape(images)[-3:-1]
    # Cut before resizing: a strip of 30,000 x 10 pixels stays small.
    top, left = tf.unstack((sides - tf.reduce_min(sides)) // 2)
    side = tf.reduce_min(sides)
    images = images[..., top : top + side, left : left + side, :]
    resized = tf.image.resize(images, (image_size, image_size), method="bicubic", antialias=True)
    return tf.cast(tf.round(tf.clip_by_value(resized, 0.0, 255.0)), tf.uint8)
