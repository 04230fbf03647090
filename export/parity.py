"""Whether a SavedModel gives the outputs of the live model, in a process without this project."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from keras_ssl.core.errors import UserError

LOADERS = {"saved_model": "tf.saved_model", "tf1": "TF1 loader"}
TOLERANCE = 1e-4
HALF_TOLERANCE = 1e-2  # where the encoder computes in 16 bits
CODES_TOLERANCE = 1e-3  # share of codes that may differ: where two entries of a simplex tie
_PROGRAM = Path(__file__).with_name("fresh_process.py")
_TIME_LIMIT = 600  # seconds


class ExportError(UserError):
    """The exported model differs from the live one, or cannot be made; nothing is left of it.

    Example:

    >>> try:
    ...     raise ExportError("Nothing exported: features are off by 1e-2.")
    ... except UserError as error:
    ...     print(error)
    Nothing exported: features are off by 1e-2.
    """


def encode_samples(images):
    """PNG and JPEG files of uint8 images (N, height, width, channels), by turns: list of bytes."""
    encoders = (tf.io.encode_png, tf.io.encode_jpeg)
    return [encoders[index % 2](image).numpy() for index, image in enumerate(images)]


def on_the_host(encoder):
    """The encoder with its weights in the memory of the host, where what is served is compared.

    Accelerators round otherwise, and a compiled function that runs on the host cannot read what
    lies on one of them.
    """
    places = {tf.DeviceSpec.from_string(weight.value.device) for weight in encoder.weights}
    if all(place.device_type in (None, "CPU") and not place.device_index for place in places):
        return encoder
    with tf.device("CPU:0"):
        copy = keras.models.clone_model(encoder)
        copy.set_weights(encoder.get_weights())
    return copy


def live_outputs(readouts, preprocess, decode, images):
    """Outputs of the live model for images, and for their encoded forms by way of `decode`.

    Returns:
        {name of the input: {name of the output: array}}.
    """

    def read(images):
        outputs = readouts(preprocess(images), training=False)
        return {name: _plain(value) for name, value in outputs.items()}

    with tf.device("CPU:0"):  # where its weights are too; the process below has nothing else
        outputs = {"images": read(tf.constant(images))}
        if decode is not None:
            height, width, channels = images.shape[1:]
            squares = [
                decode(content, index % 2 == 1, 1, height, width)[0]
                for index, content in enumerate(encode_samples(images))
            ]
            # The images are gray where the encoder takes gray, so any channel is their luma.
            outputs["image_bytes"] = read(tf.stack(squares)[..., :channels])
    return outputs


def _plain(value):
    return (tf.cast(value, tf.float32) if value.dtype.is_floating else value).numpy()


def run_in_fresh_process(version, images):
    """Run every signature of a SavedModel on images and on their encoded forms.

    Returns:
        ({"LOADER/SIGNATURE/OUTPUT": array}, {signature: median ms for one image}).

    Raises:
        ExportError: if it does not load or run there.
    """
    with tempfile.TemporaryDirectory() as folder:
        samples, outputs = Path(folder) / "samples", Path(folder) / "outputs"
        (samples / "encoded").mkdir(parents=True)
        np.save(samples / "images.npy", images)
        for index, content in enumerate(encode_samples(images)):
            (samples / "encoded" / f"{index:04d}").write_bytes(content)
        _run([str(_PROGRAM), str(version.absolute()), str(samples), str(outputs)], folder)
        with np.load(f"{outputs}.npz") as arrays:
            values = dict(arrays)
        return values, json.loads(Path(f"{outputs}.json").read_text(encoding="utf-8"))


def _run(arguments, folder):
    environment = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    try:
        subprocess.run(
            [sys.executable, "-I", *arguments],
            cwd=folder,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=_TIME_LIMIT,
            check=True,
        )
    except subprocess.TimeoutExpired as error:
        reason = f"it takes more than {_TIME_LIMIT} s"
        raise ExportError(
            f"The SavedModel does not run in a process of its own: {reason}."
        ) from error
    except subprocess.CalledProcessError as error:
        reason = (error.stderr.strip().splitlines() or [f"status {error.returncode}"])[-1]
        raise ExportError(
            f"The SavedModel does not run in a process of its own: {reason}"
        ) from error


def compare(signatures, live, served):
    """Largest difference of each output of each signature, by loader.

    Of floats it is relative to the largest magnitude where that is above 1; of integers it is the
    share of entries that differ.

    Returns:
        {signature: {output: {loader: difference}}}.

    Raises:
        ExportError: where shape or type differ.
    """
    report = {}
    for name, signature in signatures.items():
        rows = report.setdefault(name, {})
        for output in signature.outputs:
            wanted = live[signature.spec.name][output]
            found = {loader: served[f"{loader}/{name}/{output}"] for loader in LOADERS}
            rows[output] = {key: _difference(wanted, value) for key, value in found.items()}
    return report


def _difference(wanted, found):
    if (wanted.shape, wanted.dtype) != (found.shape, found.dtype):
        raise ExportError(
            f"The SavedModel gives {found.dtype} {found.shape} where the live model gives "
            f"{wanted.dtype} {wanted.shape}."
        )
    if not np.issubdtype(wanted.dtype, np.floating):
        return float(np.mean(wanted != found))
    return float(np.max(np.abs(wanted - found)) / max(1.0, np.max(np.abs(wanted))))


def check_report(report, signatures, live, precision):
    """Refuse differences that are too large, and what is not a number.

    Raises:
        ExportError: with the first of them.
    """
    floats = TOLERANCE if precision == "float32" else HALF_TOLERANCE
    for name, outputs in report.items():
        for output, differences in outputs.items():
            is_float = np.issubdtype(live[signatures[name].spec.name][output].dtype, np.floating)
            most = floats if is_float else CODES_TOLERANCE
            for loader, value in differences.items():
                if not value <= most:
                    raise ExportError(
                        f"Nothing exported: '{output}' of '{name}' by {LOADERS[loader]} is off by "
                        f"{value:.1e} from the live model; {most:g} is allowed."
                    )


def format_report(report, count):
    """The differences as lines."""
    lines = [
        f"Checked with {count} images in a process without this project. Largest difference from "
        "the live model",
        "(of codes and one_hot: the fraction that differs):",
        "",
        f"  {'signature':<16} {'output':<10} "
        + " ".join(f"{text:>14}" for text in LOADERS.values()),
    ]
    for name, outputs in report.items():
        for output, differences in outputs.items():
            numbers = " ".join(f"{differences[loader]:14.1e}" for loader in LOADERS)
            lines.append(f"  {name:<16} {output:<10} {numbers}")
    return "\n".join(lines)
