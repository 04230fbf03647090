"""Write an encoder as a SavedModel for TensorFlow Serving, checked before it appears."""

import json
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from export import parity, serving
from export.signatures import MAX_PIXELS, make_signatures, readouts_of
from keras_ssl.core.files import numbered_aside, write_text
from keras_ssl.layers.necks import bottleneck_of, code_sizes, simplices_of

_SAMPLES = 16


def export_encoder(
    encoder: keras.Model,
    preprocess: Callable,
    directory: str | Path,
    *,
    downstream_temperature: float = 0.1,
    decode: Callable | None = None,
    images: np.ndarray | None = None,
    one_hot: bool = False,
    max_pixels: int = MAX_PIXELS,
    facts: dict | None = None,
    log: Callable = print,
) -> Path:
    """Write `encoder` below `directory` under the next free version number.

    The signature `serving_default` takes `images`, uint8 (batch, height, width, channels) of any
    batch and image size, and preprocesses them in the graph. It returns `features`, float32
    (batch, F), of the backbone; for an encoder with a neck also `codes`, (batch, L) in [0, V) of
    the smallest unsigned type that holds V, and the output of the neck: `simplices`, float32
    (batch, L * V) at `downstream_temperature`, of a SEM neck, and `embedding`, float32, of the
    others. `features`, `codes` and `one_hot`, uint8 (batch, L * V), are signatures of their own
    with that output alone; `image_bytes` takes encoded images, string (batch,).

    A process that cannot import this project runs every signature by both loaders of TensorFlow;
    what differs from the live model by more than 1e-4 is not exported. Next to the SavedModel are
    `metadata.json`, warm-up requests where tensorflow-serving-api is installed, and, in
    `directory`, configurations of the server.

    Args:
        encoder: functional `keras.Model`, float images -> features.
        preprocess: function, uint8 images of any size -> what `encoder` takes.
        directory: where the versions live, e.g. `run/export/encoder`; made if missing. Its name
            becomes that of the served model.
        downstream_temperature: float >= 0. tau_d of `simplices`.
        decode: function (content, is_jpeg, orientation, height, width) -> uint8
            (side, side, 3), how evaluation reads an encoded image, and a string, why it cannot be
            decoded, or empty; None omits `image_bytes`.
        images: uint8 (N, height, width, channels), real ones to check with, of which the first 16
            are taken; None checks with noise.
        one_hot: bool. Whether to serve one-hot codes as well.
        max_pixels: int > 0. Limit on an encoded image, and on all images of a request.
        facts: dict. Further entries of `metadata.json`, such as the method and the data.
        log: called with each line for the user.

    Returns:
        Path of the version written (`directory/1` the first time). It appears whole or not at all.

    Raises:
        ExportError: if the SavedModel differs from the live model or does not load.
        OSError: if the disk is full or not writable.

    Example:

    >>> encoder = keras_ssl.create_backbone("tiny", (8, 8, 1))
    >>> def preprocess(images):
    ...     return tf.image.resize(tf.cast(images, tf.float32) / 255, (8, 8))
    >>> path = export_encoder(encoder, preprocess, "run/export/encoder", log=lambda line: None)
    >>> serve = tf.saved_model.load(path).signatures["serving_default"]
    >>> serve(images=tf.zeros((1, 28, 28, 1), tf.uint8))["features"].shape
    TensorShape([1, 8])
    """
    directory = Path(directory)
    encoder = parity.on_the_host(encoder)
    readouts = readouts_of(encoder, downstream_temperature, one_hot)
    signatures = make_signatures(readouts, preprocess, decode=decode, max_pixels=max_pixels)
    images = _noise(encoder.input_shape) if images is None else np.asarray(images[:_SAMPLES])
    live = parity.live_outputs(readouts, preprocess, decode, images)
    serving.write_configurations(directory)
    with numbered_aside(directory) as (aside, publish):
        write_saved_model(readouts, signatures, aside)
        served, latency = parity.run_in_fresh_process(aside, images)
        report = parity.compare(signatures, live, served)
        log(parity.format_report(report, len(images)))
        parity.check_report(report, signatures, live, _precision(encoder))
        warm_up = serving.write_warm_up(aside, directory.name, signatures, images[:1])
        log(warm_up)
        metadata = {
            "name": directory.name,
            "tensorflow": tf.__version__,
            "keras": keras.__version__,
            "precision": _precision(encoder),
            **_sizes(encoder, downstream_temperature),
            "max_pixels": max_pixels,
            **(facts or {}),
            "signatures": _describe(signatures, live),
            "parity": {"images": len(images), "largest_difference": report},
            "latency_ms": {"batch": 1, "median": latency},
            "warm_up": warm_up,
        }
        version = publish(lambda number: _write_metadata(aside, number, metadata))
    log(serving.commands(directory, signatures))
    return version


def write_saved_model(readouts, signatures, path):
    """Write the SavedModel alone, unchecked, to the folder `path`, which must not exist.

    Args:
        readouts: the model whose weights it holds, see `readouts_of`.
        signatures: see `make_signatures`.
    """
    archive = keras.export.ExportArchive()
    archive.track(readouts)
    for name, signature in signatures.items():
        archive.add_endpoint(name, signature.function, input_signature=[signature.spec])
    archive.write_out(str(path), verbose=False)


def _write_metadata(folder, version, metadata):
    text = json.dumps({"version": version, **metadata}, indent=1) + "\n"
    write_text(folder / "metadata.json", text)


def _noise(input_shape):
    side = [length or 32 for length in input_shape[1:]]
    return np.random.default_rng(0).integers(0, 256, (_SAMPLES, *side), "uint8")


def _precision(encoder):
    return encoder.layers[-1].dtype_policy.name


def _sizes(encoder, downstream_temperature):
    if bottleneck_of(encoder) is None:
        return {}
    sizes = dict(zip(("num_simplices", "simplex_size"), code_sizes(encoder), strict=True))
    if simplices_of(encoder) is None:
        return sizes
    return {**sizes, "downstream_temperature": downstream_temperature}


def _describe(signatures, live):
    """Names, types and shapes of what goes in and comes out; None is any size."""

    def outputs(signature):
        values = {name: live[signature.spec.name][name] for name in signature.outputs}
        return {
            name: {"dtype": value.dtype.name, "shape": [None, *value.shape[1:]]}
            for name, value in values.items()
        }

    return {
        name: {
            "inputs": {
                signature.spec.name: {
                    "dtype": signature.spec.dtype.name,
                    "shape": list(signature.spec.shape),
                }
            },
            "outputs": outputs(signature),
        }
        for name, signature in signatures.items()
    }
