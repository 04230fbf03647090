"""Features on disk: computed once for an encoder, its preprocessing and the images."""

import contextlib
import contextvars
import errno
import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from keras_ssl.core.errors import UserError
from keras_ssl.core.files import ASIDE, write_text, written_aside

_BLOCK = 4096  # images, or rows of features, held in memory at a time
_SEEN = 16  # images by which one preprocessing is known from another
_SCRATCH = contextvars.ContextVar("scratch", default=None)  # folder of what is removed after use
_NAMES = ("name", "keras_history", "input_layers", "output_layers")  # where layers are named


def cached_features(
    extract: Callable, images: ArrayLike, directory: str | Path, *, images_digest: str | None = None
) -> np.ndarray:
    """Features of every image, as `extract` gives them, from `directory` if they are there.

    Two files hold them, named by a hash of the encoder (configuration and weights), the images,
    what the preprocessing makes of some of them, the batch size and the versions of Keras and
    TensorFlow. So whatever changes is computed anew and old files stay; delete the folder to be
    rid of them. The features are written as they are computed, so that they need not fit in memory.
    A damaged or incomplete file counts as none.

    Args:
        extract: `FeatureExtractor` of a `keras.Model` of one output.
        images: uint8 (N, H, W, C); anything that has `shape` and gives arrays for slices.
        directory: folder, made if it is missing.
        images_digest: str or None. `key_of_images(images)`, where a caller has it already.

    Returns:
        float32 (N, F), a read-only `np.memmap`.

    Raises:
        UserError: for no images, an encoder of several outputs, or one that does not leave its
            own weights alone in inference mode.
        OSError: if the folder cannot be written or the disk is full.

    Example:

    >>> import tempfile
    >>> from keras_ssl.evaluation.representation import FeatureExtractor
    >>> encoder = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Flatten()])
    >>> extract = FeatureExtractor(encoder, lambda images: tf.cast(images, "float32") / 255)
    >>> cached_features(extract, np.zeros((3, 4, 4, 1), "uint8"), tempfile.mkdtemp()).shape
    (3, 16)
    """
    before = fingerprint(extract.encoder)
    path = Path(directory) / f"{_key(before, extract, images, images_digest)}.npy"
    kept = _read(path)
    if kept is not None:
        return kept
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_aside(path) as aside:
        digest = _write(aside, extract, images)
        if fingerprint(extract.encoder) != before:
            raise UserError(
                "The encoder's weights changed while its features were read in inference mode. "
                "A layer of it learns when it is called with training=False: correct that layer."
            )
    write_text(path.with_suffix(".json"), json.dumps({"sha256": digest}))
    return np.load(path, mmap_mode="r")


@contextlib.contextmanager
def scratch_in(directory: str | Path) -> Iterator[None]:
    """Have `scratch_features` and `scratch_array` write to a folder, made when it is needed.

    Without it they write where `tempfile` does, which `TMPDIR` sets; that may be memory.

    Example:

    >>> import tempfile
    >>> with scratch_in(tempfile.mkdtemp()):
    ...     array = scratch_array((2, 3), "uint8", memory=1)
    """
    token = _SCRATCH.set(Path(directory))
    try:
        yield
    finally:
        _SCRATCH.reset(token)


@contextlib.contextmanager
def _scratch():
    """The folder to write to; a disk that has no room is an error that names it."""
    folder = _SCRATCH.get() or Path(tempfile.gettempdir())
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield folder
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT) or error.filename:
            raise
        raise OSError(error.errno, error.strerror, str(folder)) from error


def scratch_features(extract: Callable, images: ArrayLike) -> np.ndarray:
    """Features of every image in a file that is removed when nothing uses it any more.

    Args:
        extract: `FeatureExtractor`, or a function uint8 images -> float (N, F).
        images: as for `cached_features`.

    Returns:
        float32 (N, F), a read-only `np.memmap`.

    Raises:
        OSError: if the disk is full; it names the folder (see `scratch_in`).
    """
    with (
        _scratch() as where,
        tempfile.TemporaryDirectory(prefix=f"{ASIDE}features-", dir=where) as folder,
    ):
        path = Path(folder) / "features.npy"
        _write(path, extract, images)
        return np.load(path, mmap_mode="r")  # readable until it is closed, as the file is open


def scratch_array(shape: tuple, dtype: np.dtype, memory: float) -> np.ndarray:
    """An array to fill: in memory, or in a file that is removed with it where it takes more.

    Args:
        shape, dtype: of the array.
        memory: float. Bytes that it may take in memory.

    Raises:
        OSError: if the disk is full; it names the folder (see `scratch_in`).

    Example:

    >>> array = scratch_array((2, 3), "uint8", memory=1)
    >>> array[:] = 7
    >>> int(array.sum())
    42
    """
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    if size <= memory:
        return np.empty(shape, dtype)
    with _scratch() as where, tempfile.TemporaryFile(prefix=f"{ASIDE}array-", dir=where) as file:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)  # a full disk would end the process later
        return np.memmap(file, dtype, "r+", shape=tuple(shape))


def fingerprint(model: keras.Model) -> str:
    """64 hexadecimal digits of the configuration and of every bit of the weights of a model.

    Of the names of layers only counts which are the same: Keras numbers layers as they come.

    Example:

    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> before = fingerprint(model)
    >>> _ = model.layers[0].kernel.assign_add([[0.0], [1e-3]])
    >>> before == fingerprint(model)
    False
    """
    if not isinstance(model, keras.Model):
        raise UserError(
            f"Only features of a keras.Model can be kept. Received {type(model).__name__}: wrap it "
            "in a model, or read its features without a cache."
        )
    config = keras.saving.serialize_keras_object(model)
    config.pop("compile_config", None)
    text = json.dumps(_numbered(config, {}), sort_keys=True, default=str)
    digest = hashlib.sha256(text.encode())
    for weight in model.weights:
        _add(digest, keras.ops.convert_to_numpy(weight))
    return digest.hexdigest()


def _numbered(part, numbers, key=""):
    """A configuration with a number for each name of a layer, in the order in which they come."""
    if isinstance(part, dict):
        if str(part.get("class_name")).endswith("Policy"):  # of data types; its name has a meaning
            return part
        return {name: _numbered(part[name], numbers, name) for name in sorted(part)}
    if isinstance(part, list | tuple):
        return [_numbered(x, numbers, key) for x in part]
    is_name = isinstance(part, str) and key in _NAMES
    return numbers.setdefault(part, len(numbers)) if is_name else part


def digest_of_images(images: ArrayLike, labels: ArrayLike = ()) -> str:
    """16 hexadecimal digits that other pixels, labels, or another order of them, change.

    Args:
        images: uint8 (N, H, W, C); anything that has a length and gives arrays for slices. Encoded
            images are decoded.
        labels: integers (N,), where they count.

    Example:

    >>> images = np.zeros((2, 4, 4, 1), "uint8")
    >>> digest_of_images(images, [0, 1]) == digest_of_images(images, [1, 0])
    False
    """
    digest = hashlib.sha256(np.asarray(labels, "<i8").tobytes())
    for start in range(0, len(images), _BLOCK):
        block = np.ascontiguousarray(images[start : start + _BLOCK])
        digest.update(repr(block.shape).encode() + block.tobytes())
    return digest.hexdigest()[:16]


def key_of_images(images: ArrayLike, content: str | None = None) -> str:
    """Digits by which features of images are found again; encoded images are not decoded.

    Args:
        images: as in `digest_of_images`. Of encoded images counts what their `digest()` says, which
            changes with the names of the files, and when a file is written anew.
        content: str or None. Their `digest_of_images`, where a caller has it already.

    Example:

    >>> images = np.zeros((2, 4, 4, 1), "uint8")
    >>> key_of_images(images) == digest_of_images(images)
    True
    """
    if not hasattr(images, "digest"):
        return content or digest_of_images(images)
    facts = json.dumps([list(images.shape), images.digest()])
    return hashlib.sha256(facts.encode()).hexdigest()[:16]


def _key(encoder, extract, images, images_digest):
    digest = hashlib.sha256()
    facts = [encoder, keras.__version__, tf.__version__, extract.batch_size]
    facts.append(images_digest or key_of_images(images))
    digest.update(json.dumps(facts).encode())
    # A function has no content to hash, but what it does to images has.
    step = max(1, len(images) // _SEEN)
    some = np.asarray(images[: step * _SEEN : step])
    if len(some):
        _add(digest, np.asarray(extract.preprocess(tf.convert_to_tensor(some))))
    return digest.hexdigest()[:32]


def _add(digest, array):
    digest.update(f"{array.dtype.str}{array.shape}".encode())
    digest.update(np.ascontiguousarray(array).data)


def _write(path, extract, images):
    """Write the features as they come; -> their digest.

    Not through a map: on a full disk that ends the process, where a file raises an error.
    """
    if not len(images):
        raise UserError("There are no images to read features of.")
    size = getattr(extract, "batch_size", 1)
    block = max(1, _BLOCK // size) * size
    digest = hashlib.sha256()
    with open(path, "wb") as file:
        for start in range(0, len(images), block):
            part = extract(images[start : start + block])
            if not isinstance(part, np.ndarray) or part.ndim != 2:
                raise UserError("Features to keep must be one matrix: pool and flatten the output.")
            if start == 0:
                header = {"descr": part.dtype.str, "fortran_order": False}
                header["shape"] = (len(images), part.shape[1])
                np.lib.format.write_array_header_1_0(file, header)
            file.write(part.data)
            digest.update(part.data)
    return digest.hexdigest()


def _read(path):
    """The features at `path`, or None if they are missing or not what was written."""
    try:
        record = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        features = np.load(path, mmap_mode="r")
        digest = hashlib.sha256()
        for start in range(0, len(features), _BLOCK):
            digest.update(np.ascontiguousarray(features[start : start + _BLOCK]).data)
        return features if digest.hexdigest() == record["sha256"] else None
    except (OSError, ValueError, KeyError, TypeError, EOFError):
        return None
