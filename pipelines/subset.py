"""Write the balanced CIFAR-10 subset that the figures of the documents are made with.

    python -m pipelines.subset cifar10.npz

It holds 10,000 training images (1,000 of each class) and 5,000 test images (500 of each class) of
the official parts, by the official positions in `cifar10_subset.npz` beside this file. CIFAR-10
itself comes from TensorFlow Datasets, which downloads it once.
"""

import sys
from pathlib import Path

import numpy as np

from pipelines.errors import DataError
from pipelines.sources.catalog import find, prepare

_POSITIONS = Path(__file__).with_name("cifar10_subset.npz")


def positions():
    """Official positions of the subset's rows, in order: {"train": (10000,), "test": (5000,)}."""
    with np.load(_POSITIONS) as file:
        return {part: file[part].astype(np.int64) for part in ("train", "test")}


def take(examples, wanted):
    """Images and labels at the wanted official positions, in that order.

    Args:
        examples: iterable of {"id": b"train_00042", "image": uint8 array, "label": int}, the form
            of TensorFlow Datasets; the number in `id` is the official position.
        wanted: int (N,).

    Returns:
        images uint8 (N, height, width, channels), labels int64 (N,).

    Raises:
        DataError: if a position is missing.

    Example:

    >>> examples = [{"id": b"test_3", "image": np.zeros((2, 2, 1), "uint8"), "label": 7}]
    >>> take(examples, np.array([3]))[1]
    array([7])
    """
    row_of = {int(position): row for row, position in enumerate(wanted)}
    images, labels = [None] * len(wanted), np.empty(len(wanted), np.int64)
    for example in examples:
        row = row_of.get(int(bytes(example["id"]).decode().rpartition("_")[2]))
        if row is not None:
            images[row], labels[row] = example["image"], example["label"]
    missing = sum(image is None for image in images)
    if missing:
        raise DataError(f"{missing} of {len(wanted)} images are not in this copy of CIFAR-10.")
    return np.stack(images), labels


def write(path):
    """Fetch CIFAR-10 and write the subset to `path`."""
    builder = find("cifar10")
    prepare(builder, "cifar10")
    arrays = {}
    for part, wanted in positions().items():
        examples = builder.as_dataset(split=part).as_numpy_iterator()
        arrays[f"x_{part}"], arrays[f"y_{part}"] = take(examples, wanted)
    np.savez_compressed(path, **arrays)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m pipelines.subset OUT.npz")
    try:
        write(sys.argv[1])
    except (DataError, OSError) as error:
        sys.exit(f"error: {error}")
