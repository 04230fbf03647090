"""Write an encoder as a SavedModel that takes raw images and gives features and codes."""

from pathlib import Path

import keras
import tensorflow as tf

from keras_ssl.core.files import written_aside
from keras_ssl.layers.necks import (
    at_temperature,
    backbone_output,
    bottleneck_of,
    codes_of,
    simplices_of,
)


def export_encoder(encoder, preprocess, directory, *, downstream_temperature=0.1):
    """Write `encoder` below `directory` under the next free version number.

    The signature `serving_default` takes `images`, uint8 (batch, height, width, channels) of any
    batch and image size, and preprocesses them in the graph. It returns `features`, float32
    (batch, F), of the backbone; for an encoder with a neck also `codes`, int32 (batch, L) in
    [0, V), and what the neck puts out: `simplices`, float32 (batch, L * V) at
    `downstream_temperature`, of a SEM neck, and `embedding`, float32, of the others.

    Args:
        encoder: functional `keras.Model`, float images -> features.
        preprocess: function, uint8 images of any size -> what `encoder` takes.
        directory: where the versions live, e.g. `run/export/encoder`; made if missing.
        downstream_temperature: float >= 0. tau_d of `simplices`.

    Returns:
        Path of the version written (`directory/1` the first time). It appears whole or not at all.

    Raises:
        OSError: if the disk is full or not writable.

    Example:

    >>> path = export_encoder(encoder, preprocess, "run/export/encoder")
    >>> serve = tf.saved_model.load(path).signatures["serving_default"]
    >>> serve(images=tf.zeros((1, 32, 32, 3), tf.uint8))["features"].shape
    TensorShape([1, 128])
    """
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    readouts = _readouts(encoder, downstream_temperature)
    channels = encoder.input_shape[-1]

    def serve(images):
        return readouts(preprocess(images), training=False)

    archive = keras.export.ExportArchive()
    archive.track(readouts)
    archive.add_endpoint(
        "serving_default",
        serve,
        input_signature=[tf.TensorSpec((None, None, None, channels), tf.uint8, name="images")],
    )
    version = directory / str(_next_version(directory))
    with written_aside(version) as aside:
        archive.write_out(str(aside), verbose=False)
    return version


def _readouts(encoder, temperature):
    """One model with a named output for everything that is served."""
    outputs = {"features": backbone_output(encoder)}
    if bottleneck_of(encoder) is not None:
        outputs["codes"] = codes_of(encoder).output
        if simplices_of(encoder) is None:
            outputs["embedding"] = encoder.output
        else:
            outputs["simplices"] = at_temperature(encoder, temperature).output
    return keras.Model(encoder.input, outputs)


def _next_version(directory):
    versions = [int(path.name) for path in directory.iterdir() if path.name.isdigit()]
    return max(versions, default=0) + 1
