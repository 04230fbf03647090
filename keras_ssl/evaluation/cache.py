"""Features on disk: computed once for an encoder, its preprocessing and the images."""

import hashlib
import json
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from keras_ssl.core.errors import UserError
from keras_ssl.core.files import write_text, written_aside
from keras_ssl.evaluation.features import FeatureExtractor

_BLOCK = 4096  # images, or rows of features, held in memory at a time
_SEEN = 16  # images that tell one preprocessing from another
_REFERENCES = ("keras_history", "input_layers", "output_layers")


def cached_features(encoder, images, preprocess, directory, *, images_digest=None, batch_size=256):
    """Features of every image, as `extract` gives them, from `directory` if they are there.

    Two files hold them, named by a hash of the encoder (configuration and weights), the images,
    what `preprocess` makes of some of them, the batch size and the versions of Keras and
    TensorFlow. So whatever changes is computed anew and old files stay; delete the folder to be
    rid of them. The features are written as they are computed, so that they need not fit in memory.
    A file that is damaged or cut short counts as none.

    Args:
        encoder: `keras.Model` of one output.
        images: uint8 (N, H, W, C); anything that has `shape` and gives arrays for slices.
        preprocess: callable `uint8 batch -> float batch`.
        directory: folder, made if it is missing.
        images_digest: str or None. `digest_of_images(images)`, where a caller has it already.
        batch_size: int >= 1. Images per call of the encoder.

    Returns:
        float32 (N, F), a read-only `np.memmap`.

    Raises:
        UserError: for no images, an encoder of several outputs, or one that does not leave its
            own weights alone in inference mode.
        OSError: if the folder cannot be written or the disk is full.

    Example:

    >>> import tempfile
    >>> encoder = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Flatten()])
    >>> images = np.zeros((3, 4, 4, 1), "uint8")
    >>> scale = lambda images: tf.cast(images, "float32") / 255
    >>> cached_features(encoder, images, scale, tempfile.mkdtemp()).shape
    (3, 16)
    """
    extract = FeatureExtractor(encoder, preprocess, batch_size=batch_size)
    before = fingerprint(encoder)
    key = _key(before, images, images_digest or digest_of_images(images), preprocess, batch_size)
    path = Path(directory) / f"{key}.npy"
    kept = _read(path)
    if kept is not None:
        return kept
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_aside(path) as aside:
        digest = _write(aside, extract, images)
        if fingerprint(encoder) != before:
            raise UserError(
                "The encoder's weights changed while its features were read in inference mode. "
                "A layer of it learns when it is called with training=False: mend that layer."
            )
    write_text(path.with_suffix(".json"), json.dumps({"sha256": digest}))
    return np.load(path, mmap_mode="r")


def fingerprint(model):
    """64 hexadecimal digits of the configuration and of every bit of the weights of a model.

    Names of layers do not count, nor how a model was compiled.

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
    digest = hashlib.sha256()
    config = _nameless(keras.saving.serialize_keras_object(model))
    digest.update(json.dumps(config, sort_keys=True, default=str).encode())
    for weight in model.weights:
        _add(digest, keras.ops.convert_to_numpy(weight))
    return digest.hexdigest()


def digest_of_images(images):
    """64 hexadecimal digits that other images, or another order of them, change.

    Args:
        images: uint8 (N, H, W, C); anything that has `shape` and gives arrays for slices.

    Example:

    >>> images = np.zeros((2, 4, 4, 1), "uint8")
    >>> digest_of_images(images) == digest_of_images(images + 1)
    False
    """
    digest = hashlib.sha256(json.dumps(list(images.shape)).encode())
    for start in range(0, len(images), _BLOCK):
        _add(digest, np.asarray(images[start : start + _BLOCK]))
    return digest.hexdigest()


def _nameless(part, places=None):
    """A configuration without the names of its layers, as Keras counts these up.

    Where one says which layer it means, it gets the place of that layer in its model. Other names
    (of data types, of functions) have a meaning and stay.
    """
    if isinstance(part, list | tuple):
        return [_nameless(x, places) for x in part]
    if not isinstance(part, dict):
        return part
    if "input_layers" in part:
        places = {layer["name"]: place for place, layer in enumerate(part["layers"])}
    # Operations and inputs have their name here and in their configuration, and nothing to tell
    # the latter by.
    outer = "inbound_nodes" in part or part.get("class_name") == "InputLayer"
    left_out = ("name", "compile_config") if outer or "trainable" in part else ("compile_config",)
    result = {
        key: _placed(value, places) if key in _REFERENCES and places else _nameless(value, places)
        for key, value in part.items()
        if key not in left_out
    }
    if outer:
        result["config"].pop("name", None)
    return result


def _placed(part, places):
    """References, each [name, node, tensor], with the place of the layer for its name."""
    if isinstance(part, dict):
        return {key: _placed(x, places) for key, x in part.items()}
    if not isinstance(part, list | tuple):
        return part
    if part and isinstance(part[0], str) and part[0] in places:
        return [places[part[0]], *part[1:]]
    return [_placed(x, places) for x in part]


def _key(encoder, images, images_digest, preprocess, batch_size):
    digest = hashlib.sha256()
    versions = (keras.__version__, tf.__version__)
    digest.update(json.dumps([encoder, versions, batch_size, images_digest]).encode())
    # A function has no content to hash, but what it does to images has.
    step = max(1, len(images) // _SEEN)
    some = np.asarray(images[: step * _SEEN : step])
    if len(some):
        _add(digest, np.asarray(preprocess(tf.convert_to_tensor(some))))
    return digest.hexdigest()[:32]


def _add(digest, array):
    digest.update(f"{array.dtype.str}{array.shape}".encode())
    digest.update(np.ascontiguousarray(array).data)


def _write(path, extract, images):
    """Write the features as they come; -> their digest.

    Not through a map: on a full disk that ends the process, where a file says so.
    """
    if not len(images):
        raise UserError("There are no images to read features of.")
    block = max(1, _BLOCK // extract.batch_size) * extract.batch_size
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
