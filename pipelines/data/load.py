"""One door to all image data: `load(name)`."""

import dataclasses
import os
from collections.abc import Callable

import numpy as np

from keras_ssl.core.errors import UserError
from pipelines.data.image_data import ImageData, check_memory
from pipelines.data.names import EMBEDDED, check_name

__all__ = ["ImageData", "ImagePart", "load", "load_test_part"]


@dataclasses.dataclass(frozen=True)
class ImagePart:
    """One part of a data set.

    Args:
        name: of the data set, as the user gave it.
        images: uint8 (N, height, width, channels); an array, or what reads like one.
        labels: int64 (N,) or `None`.
        class_names: one per class, or `None`.
    """

    name: str
    images: np.ndarray
    labels: np.ndarray | None
    class_names: tuple[str, ...] | None


def load(
    name: str,
    *,
    data_dir: str | None = None,
    image_size: int | None = None,
    in_memory: bool | None = None,
    log: Callable[[str], object] = print,
) -> ImageData:
    """Read a data set into memory, or, if it is large, the list of its images.

    Args:
        name: "digits" (embedded), "npz:PATH", "folder:PATH", "tfrecord:PATTERN", or a TensorFlow
            Datasets name.
        data_dir: where TensorFlow Datasets keeps its files.
        image_size: side to which images are brought (their middle square). By default images stay
            as they are, or get one size that suits them if they differ.
        in_memory: whether all images are decoded at once and kept as squares of `image_size`.
            `False` leaves them encoded: each is decoded when it is read, and crops are cut out of
            the whole image; arrays of an .npz file stay in it. By default as `keep_in_memory` says;
            arrays are in memory then.
        log: called with each line for the user, such as the files that were skipped.

    Returns:
        `ImageData`.

    Raises:
        UserError: if the data cannot be had or used; says why in a line or two.

    Example:

    >>> data = load("digits")
    >>> data.train_images.shape, data.test_images.shape, data.num_classes
    ((1437, 16, 16, 1), (360, 16, 16, 1), 10)
    """
    if image_size is not None and image_size < 1:
        raise UserError(f"image_size={image_size}: it must be at least 1.")
    check_name(name)
    prefix, _, path = name.partition(":")
    path = os.path.expanduser(path)
    if prefix == "folder":
        from pipelines.data.folder import load_folder

        return load_folder(path, image_size=image_size, in_memory=in_memory, log=log)
    if prefix == "tfrecord":
        from pipelines.data.tfrecord import load_tfrecord

        return load_tfrecord(path, image_size=image_size, in_memory=in_memory, log=log)
    if prefix == "npz":
        from pipelines.data.npz import load_npz

        return _at_size(load_npz(path, in_memory=in_memory, log=log), image_size)
    if name == EMBEDDED:
        from pipelines.data.digits import load_digits

        return _at_size(load_digits(), image_size)
    from pipelines.data.tfds import load_from_catalog

    return load_from_catalog(
        name, data_dir=data_dir, image_size=image_size, in_memory=in_memory, log=log
    )


def load_test_part(
    name: str,
    *,
    data_dir: str | None = None,
    image_size: int | None = None,
    in_memory: bool | None = None,
    log: Callable[[str], object] = print,
) -> ImagePart:
    """Read the test part of a data set, which needs no other part: to evaluate on.

    Args:
        name, data_dir, image_size, in_memory, log: as for `load`.

    Returns:
        `ImagePart`. A file npz:PATH may lack training images, a TensorFlow Datasets set the split
        `train`. Of any other set it is the test part that `load` gives.

    Raises:
        UserError: if there is no test part, or as `load` does.

    Example:

    >>> load_test_part("digits").images.shape
    (360, 16, 16, 1)
    """
    check_name(name)
    prefix, _, path = name.partition(":")
    settings = {"image_size": image_size, "in_memory": in_memory, "log": log}
    if prefix == "npz":
        from pipelines.data.npz import load_npz_test

        images, labels, class_names = load_npz_test(os.path.expanduser(path), log=log)
        if images is not None:
            data = _at_size(ImageData(name, images, labels), image_size)
            return ImagePart(name, data.train_images, labels, class_names)
    elif prefix not in ("folder", "tfrecord") and name != EMBEDDED:
        from pipelines.data.tfds import load_test_split

        return ImagePart(name, *load_test_split(name, data_dir=data_dir, **settings))
    data = load(name, data_dir=data_dir, **settings)
    if data.test_images is None:
        raise UserError(f"'{name}' has no test part.")
    return ImagePart(name, data.test_images, data.test_labels, data.class_names)


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
    from pipelines.images.resizing import resize_to_square

    blocks = [images[start : start + block] for start in range(0, len(images), block)]
    return np.concatenate([resize_to_square(block, image_size).numpy() for block in blocks])
