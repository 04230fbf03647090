"""One door to all image data: `load(name)`."""

import dataclasses
import os

import numpy as np

from pipelines.errors import DataError
from pipelines.image_data import ImageData, check_memory
from pipelines.names import EMBEDDED, check_name

__all__ = ["ImageData", "load"]


def load(name, *, data_dir=None, image_size=None, in_memory=None, log=print):
    """Read a data set into memory, or, if it is large, the list of its images.

    Args:
        name: "digits" (embedded), "npz:PATH", "folder:PATH", "tfrecord:PATTERN", or a TensorFlow
            Datasets name.
        data_dir: where TensorFlow Datasets keeps its files.
        image_size: side to which images are brought (their middle square). By default images stay
            as they are, or get one size that suits them if they differ.
        in_memory: whether all images are decoded at once and kept as squares of `image_size`.
            `False` leaves them encoded: each is decoded when it is read, and crops are cut out of
            the whole image. By default as `keep_in_memory` says. Arrays are always in memory.
        log: called with each line for the user, such as the files that were passed over.

    Returns:
        `ImageData`.

    Raises:
        DataError: if the data cannot be had or used; says why in a line or two.

    Example:

    >>> data = load("digits")
    >>> data.train_images.shape, data.test_images.shape, data.num_classes
    ((1437, 16, 16, 1), (360, 16, 16, 1), 10)
    """
    if image_size is not None and image_size < 1:
        raise DataError(f"image_size={image_size}: it must be at least 1.")
    check_name(name)
    prefix, _, path = name.partition(":")
    path = os.path.expanduser(path)
    if prefix == "folder":
        from pipelines.sources.folder import load_folder

        return load_folder(path, image_size=image_size, in_memory=in_memory, log=log)
    if prefix == "tfrecord":
        from pipelines.sources.tfrecord import load_tfrecord

        return load_tfrecord(path, image_size=image_size, in_memory=in_memory, log=log)
    if prefix == "npz":
        from pipelines.sources.npz import load_npz

        return _at_size(load_npz(path, log=log), image_size)
    if name == EMBEDDED:
        from pipelines.sources.digits import load_digits

        return _at_size(load_digits(), image_size)
    from pipelines.sources.catalog import load_from_catalog

    return load_from_catalog(
        name, data_dir=data_dir, image_size=image_size, in_memory=in_memory, log=log
    )


def _at_size(data, image_size):
    if image_size is None or data.train_images.shape[1:3] == (image_size, image_size):
        return data
    parts = {name: getattr(data, name) for name in ("train_images", "test_images")}
    count = sum(len(images) for images in parts.values() if images is not None)
    check_memory(count, image_size, data.channels, data.name)
    resized = {
        name: _resize(images, image_size) for name, images in parts.items() if images is not None
    }
    return dataclasses.replace(data, **resized)


def _resize(images, image_size, block=1024):
    from pipelines.preprocess import resize_to_square

    blocks = [images[start : start + block] for start in range(0, len(images), block)]
    return np.concatenate([resize_to_square(block, image_size).numpy() for block in blocks])
