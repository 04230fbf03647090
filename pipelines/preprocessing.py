"""Images for evaluation and serving: one size, normalized, nothing random."""

from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from keras_ssl.core.errors import UserError, did_you_mean
from pipelines.data.image_array import Images, as_images
from pipelines.files import read_cached, write_cached
from pipelines.images.resizing import resized_middle, shorter_side

# Per channel, for values in [0, 1], as the papers' code has them.
NAMED = {
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "cifar10": ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    "cifar100": ((0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)),
}
_SAMPLE = 10_000


def normalization(
    images: np.ndarray | Images, name: str = "data"
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation per channel, for values in [0, 1].

    Args:
        images: uint8 array (N, height, width, channels), or `EncodedImages`, of which 10,000 at
            even distances are read, once: the result is kept in the cache directory.
        name: "data" for those of the images, or a key of `NAMED`.

    Returns:
        Two tuples of floats.

    Raises:
        UserError: for an unknown name, or a named one with images that have not 3 channels.

    Example:

    >>> normalization(np.full((2, 4, 4, 1), 255, "uint8"))
    ((1.0,), (1.0,))
    """
    if name == "data":
        return _statistics(as_images(images))
    if name not in NAMED:
        raise UserError(f"Unknown normalization '{name}'.{did_you_mean(name, NAMED)}")
    if images.shape[-1] != 3:
        raise UserError(
            f"normalization={name} is for images of 3 channels. These have {images.shape[-1]}: "
            "take normalization=data."
        )
    return NAMED[name]


def _statistics(images):
    """`channel_statistics` of a sample, cached where images have an identity."""
    key = images.identity
    kept = None if key is None else read_cached("statistics", key)
    if kept is not None:
        return tuple(kept["mean"].tolist()), tuple(kept["std"].tolist())
    mean, std = channel_statistics(images.sample(_SAMPLE))
    if key is not None:
        write_cached("statistics", key, {"mean": np.array(mean), "std": np.array(std)})
    return mean, std


def channel_statistics(
    images: np.ndarray | Images,
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation per channel, for values in [0, 1].

    Args:
        images: uint8 (N, height, width, channels), an array, or what reads like one by blocks.

    Returns:
        Two tuples of floats. A constant channel gets the standard deviation 1, so that dividing is
        safe.

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


def make_preprocess(
    image_size: int,
    channels: int,
    mean: Sequence[float],
    std: Sequence[float],
    *,
    crop_fraction: float = 1.0,
) -> Callable:
    """Build the function from uint8 images of any size to what the encoder reads.

    Images of the right size are only normalized. Others are resized by antialiased bicubic so that
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
        UserError: if `mean` or `std` have not one value per channel, or `crop_fraction` is not in
            (0, 1].

    Example:

    >>> preprocess = make_preprocess(8, 3, mean=3 * [0.5], std=3 * [0.25])
    >>> preprocess(tf.zeros((2, 12, 10, 3), tf.uint8)).shape
    TensorShape([2, 8, 8, 3])
    """
    if len(mean) != channels or len(std) != channels:
        raise UserError(f"mean and std need one value per channel: {channels}.")
    if not 0.0 < crop_fraction <= 1.0:
        raise UserError(f"crop_fraction={crop_fraction} does not fit: it must be in (0, 1].")
    resized_side = shorter_side(image_size, crop_fraction)
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
