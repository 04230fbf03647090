"""Images for evaluation and serving: one size, normalised, nothing random."""

import numpy as np
import tensorflow as tf

from pipelines.errors import DataError


def channel_statistics(images):
    """Mean and standard deviation per channel, for values in [0, 1].

    Args:
        images: uint8 (N, height, width, channels), an array, or what reads like one by blocks.

    Returns:
        Two tuples of floats. A constant channel gets the deviation 1, so that dividing is safe.

    Example:

    >>> channel_statistics(np.full((2, 4, 4, 1), 255, "uint8"))
    ((1.0,), (1.0,))
    """
    levels = np.arange(256) / 255.0
    means, deviations = [], []
    for counts in _histograms(images):
        share = counts / counts.sum()
        means.append(float(share @ levels))
        deviation = float(np.sqrt(share @ (levels - means[-1]) ** 2))
        deviations.append(deviation if deviation > 1e-6 else 1.0)
    return tuple(means), tuple(deviations)


def _histograms(images, block=256):
    """Counts of the 256 levels, (channels, 256), by blocks: `bincount` takes 8 times their size."""
    counts = np.zeros((images.shape[-1], 256), np.int64)
    for start in range(0, len(images), block):
        part = images[start : start + block]
        for channel, count in enumerate(counts):
            count += np.bincount(part[..., channel].ravel(), minlength=256)
    return counts


def make_preprocess(image_size, channels, mean, std, *, crop_fraction=1.0):
    """Build the function from uint8 images of any size to what the encoder reads.

    Images of the right size are only normalised. Others are resized by antialiased bicubic so that
    the shorter side becomes `image_size / crop_fraction`, and cropped in the middle, to the pixel
    as torchvision's `Resize` and `CenterCrop` do it.

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
            lambda: resized_middle(images, shape[1:3], resized_side, image_size),
        )
        images = tf.ensure_shape(images, (None, image_size, image_size, channels))
        return (images / 255.0 - mean) / std

    return preprocess


def resize_to_square(images, image_size):
    """The middle square of images, by antialiased bicubic.

    The shorter side becomes `image_size`, then the middle is cropped: to the pixel as torchvision's
    `Resize` and `CenterCrop` do it.

    Args:
        images: uint8 (height, width, channels) or (N, height, width, channels); any size.
        image_size: side of the result.

    Returns:
        uint8 tensor (..., image_size, image_size, channels).

    Example:

    >>> resize_to_square(np.zeros((4, 6, 3), "uint8"), 8).shape
    TensorShape([8, 8, 3])
    """
    images = tf.convert_to_tensor(images)
    batch = images if images.shape.rank == 4 else images[None]
    squares = resized_middle(batch, tf.shape(batch)[1:3], image_size, image_size)
    squares = tf.cast(tf.round(squares), tf.uint8)
    return squares if images.shape.rank == 4 else squares[0]


def window_of_square(sides, image_size):
    """The part of an image that its middle square is made of, with what the filter sees around it.

    Args:
        sides: int (2,), height and width of the image.
        image_size: side of the square.

    Returns:
        int32 (4,): top, left, height, width.
    """
    sides = tf.cast(sides, tf.int64)
    scale, corner = _geometry(sides, image_size, image_size)
    reach = 2.0 * tf.maximum(1.0 / scale, 1.0)  # of the cubic kernel, which widens as it shrinks
    first = tf.cast(tf.floor(corner / scale - reach), tf.int64)
    last = tf.cast(
        tf.math.ceil((corner + tf.cast(image_size, tf.float64)) / scale + reach), tf.int64
    )
    first, last = tf.maximum(first, 0), tf.minimum(last, sides)
    return tf.cast(tf.concat([first, last - first], axis=0), tf.int32)


def resized_middle(images, sides, resized_side, image_size, start=(0, 0)):
    """Resize images so that the shorter side becomes `resized_side`, and crop the middle.

    Only the crop is computed: a strip of 30,000 x 10 pixels stays small.

    Args:
        images: (N, height, width, channels), whole, or the part that the crop is made of.
        sides: int (2,), height and width of the whole images.
        resized_side: of the shorter side.
        image_size: side of the crop.
        start: (2,), top and left of the part.

    Returns:
        float32 (N, image_size, image_size, channels) in [0, 255].
    """
    scale, corner = _geometry(tf.cast(sides, tf.int64), resized_side, image_size)
    resized = tf.raw_ops.ScaleAndTranslate(
        images=images,
        size=tf.stack([image_size, image_size]),
        scale=tf.cast(scale, tf.float32),
        translation=tf.cast(tf.cast(start, tf.float64) * scale - corner, tf.float32),
        kernel_type="keyscubic",
        antialias=True,
    )
    return tf.clip_by_value(resized, 0.0, 255.0)


def _geometry(sides, resized_side, image_size):
    """Scale, and the crop's corner in the resized image, (2,) each, as torchvision rounds them."""
    scaled = sides * tf.cast(resized_side, tf.int64) // tf.reduce_min(sides)  # longer side: down
    margin = tf.cast(scaled - tf.cast(image_size, tf.int64), tf.float64)
    return scaled / sides, tf.round(margin / 2.0)  # half to even, as in Python
