"""The mean and standard deviation that images are normalised with."""

import numpy as np

from pipelines.data.cache import read_cached, write_cached
from pipelines.data.image_array import as_images
from pipelines.errors import DataError, did_you_mean
from pipelines.preprocess import channel_statistics

# Per channel, for values in [0, 1], as the papers' code has them.
NAMED = {
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "cifar10": ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    "cifar100": ((0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)),
}
_SAMPLE = 10_000


def normalization(images, name="data"):
    """Mean and standard deviation per channel, for values in [0, 1].

    Args:
        images: uint8 array (N, height, width, channels), or `EncodedImages`, of which 10,000 at
            even distances are read, once: the result is kept in the cache directory.
        name: "data" for those of the images, or a key of `NAMED`.

    Returns:
        Two tuples of floats.

    Raises:
        DataError: for an unknown name, or a named one with images that have not 3 channels.

    Example:

    >>> normalization(np.full((2, 4, 4, 1), 255, "uint8"))
    ((1.0,), (1.0,))
    """
    if name == "data":
        return _statistics(as_images(images))
    if name not in NAMED:
        raise DataError(f"Unknown normalization '{name}'.{did_you_mean(name, NAMED)}")
    if images.shape[-1] != 3:
        raise DataError(
            f"normalization={name} is for images of 3 channels. These have {images.shape[-1]}: "
            "take normalization=data."
        )
    return NAMED[name]


def _statistics(images):
    """`channel_statistics` of a sample, kept in the cache where images can be told unread."""
    key = images.identity
    kept = None if key is None else read_cached("statistics", key)
    if kept is not None:
        return tuple(kept["mean"].tolist()), tuple(kept["std"].tolist())
    mean, std = channel_statistics(images.sample(_SAMPLE))
    if key is not None:
        write_cached("statistics", key, {"mean": np.array(mean), "std": np.array(std)})
    return mean, std
