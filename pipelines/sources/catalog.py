"""Image sets of TensorFlow Datasets, read into memory."""

import contextlib
import functools
import itertools
import urllib.parse

import numpy as np

from pipelines.errors import DataError, did_you_mean
from pipelines.image_data import ImageData, check_memory, common_side

_TEST_SPLITS = ("test", "validation")
_SAMPLE = 100
_RETRIES = 2
_SECONDS = (5, 60)  # for a connection, and until an answer goes on


def load_from_catalog(name, *, data_dir=None, image_size=None, log=print):
    """Read the splits `train`, and `test` or `validation`, of a TensorFlow Datasets set.

    Images of one square size stay as they are; others become squares of `image_size`, by default a
    usual size that half of the first hundred have.

    Args:
        name: as TensorFlow Datasets writes it: name, name/config or name:version.
        data_dir: where TensorFlow Datasets keeps its files; by default its own place.
        image_size: side of the images.
        log: called with each line for the user.

    Raises:
        DataError: if the name is unknown, the set cannot be had, or it is not one of images.
    """
    builder = find(name, data_dir)
    features = builder.info.features
    if "image" not in (features or {}):
        raise DataError(f"'{name}' has no feature 'image': {', '.join(features or ['none'])}.")
    prepare(builder, name)
    if "train" not in builder.info.splits:
        raise DataError(f"'{name}' has no split 'train': {', '.join(builder.info.splits)}.")
    height, width, channels = features["image"].shape
    if channels not in (1, 3):
        raise DataError(f"'{name}' has images of {channels} channels; 1 or 3 are needed.")
    if image_size is None:
        fixed = height is not None and height == width
        image_size = height if fixed else _choose_size(builder, log)
    test = next((split for split in _TEST_SPLITS if split in builder.info.splits), None)
    splits = [split for split in ("train", test) if split]
    count = sum(builder.info.splits[split].num_examples for split in splits)
    check_memory(count, image_size, channels, name)
    parts = [part for split in splits for part in _read(builder, split, image_size)]
    label = features.get("label")
    class_names = tuple(label.names) if hasattr(label, "names") and parts[1] is not None else None
    return ImageData(name, *parts, *[None] * (4 - len(parts)), class_names)


def find(name, data_dir=None):
    """The builder of a TensorFlow Datasets set.

    Raises:
        DataError: if there is none of that name.
    """
    try:
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise DataError(
            f"'{name}' would come from TensorFlow Datasets, which cannot be imported ({error}). "
            "Install it: pip install tensorflow-datasets."
        ) from error
    try:
        return tfds.builder(name, data_dir=data_dir)
    except Exception as error:  # TFDS raises what its many builders raise
        known = tfds.list_builders(with_community_datasets=False)
        if name.split("/")[0].split(":")[0] in known:
            what = _first_line(error)
            raise DataError(
                f"'{name}' is not to be had from TensorFlow Datasets: {what}"
            ) from error
        suggestion = did_you_mean(name, ["digits", *known])
        raise DataError(
            f"Unknown data set '{name}'.{suggestion} Use digits, npz:PATH, folder:PATH or a name "
            "of TensorFlow Datasets."
        ) from error


def prepare(builder, name):
    """Download and prepare a set, unless it lies prepared on this machine.

    Raises:
        DataError: if that fails; where a host does not answer, within seconds.
    """
    try:
        with _impatience():
            builder.download_and_prepare()
    except Exception as error:  # network, disk, checksums, manual downloads
        raise DataError(
            f"'{name}' could not be downloaded and prepared: {_reason(error)}\n"
            "Prepare it where there is a network and give its folder as data_dir, or use npz: or "
            "folder:."
        ) from error


@contextlib.contextmanager
def _impatience():
    """Let TensorFlow Datasets give up soon on hosts that do not answer.

    By itself it tries eleven times with pauses of up to minutes, and waits for a silent host for
    ever; it has no setting for either. Proxies stay those of the environment.
    """
    import requests
    from tensorflow_datasets.core.download import downloader

    request, retries = requests.Session.request, getattr(downloader, "MAX_RETRIES", None)
    requests.Session.request = functools.partialmethod(request, timeout=_SECONDS)
    downloader.MAX_RETRIES = _RETRIES
    try:
        yield
    finally:
        requests.Session.request, downloader.MAX_RETRIES = request, retries


def _reason(error):
    import requests

    if isinstance(error, (requests.ConnectionError, requests.Timeout)) and error.request:
        return f"no answer from {urllib.parse.urlsplit(error.request.url).hostname}."
    return _first_line(error)


def _first_line(error):
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:200] if lines else 'no details'}"


def _choose_size(builder, log):
    examples = itertools.islice(builder.as_dataset(split="train"), _SAMPLE)
    sides = [min(example["image"].shape[:2]) for example in examples]
    log(
        f"Images are resized to {common_side(sides)} pixels; --set data.image_size=N takes another "
        "size."
    )
    return common_side(sides)


def _read(builder, split, image_size):
    """Images and labels (`None` if there are none, or only negative ones) of a split."""
    import tensorflow as tf

    from pipelines.preprocess import resize_to_square

    labelled = "label" in builder.info.features

    def square(example):
        return resize_to_square(example["image"], image_size), example["label"] if labelled else -1

    examples = builder.as_dataset(split=split).map(square, num_parallel_calls=tf.data.AUTOTUNE)
    batches = [batch for batch in examples.batch(256).as_numpy_iterator()]
    images = np.concatenate([images for images, _ in batches])
    labels = np.concatenate([labels for _, labels in batches]).astype(np.int64)
    return images, labels if labels.min() >= 0 else None
