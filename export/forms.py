"""Other forms of an encoder than the SavedModel: each is read back and compared."""

from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from export.parity import TOLERANCE, ExportError, on_the_host
from export.signatures import readouts_of
from keras_ssl.core.errors import UserError, lookup
from keras_ssl.core.files import save_model, written_aside


class Form(NamedTuple):
    """A kind of file.

    Args:
        suffix: of its name.
        write: function (encoder, readouts, path, spec) that writes it.
        run: function (path, encoder, images, temperature) -> {output: array}, read back from it.
        extra: what to install for it, or None.
    """

    suffix: str
    write: object
    run: object
    extra: str | None = None


def export_form(encoder, form, path, images, *, downstream_temperature=0.1):
    """Write `encoder` in another form, from preprocessed images to features.

    "keras" is the model itself and "weights" its weights; "onnx" and "litert" have the outputs
    `features` and what the neck puts out (`simplices` or `embedding`), named so, for any batch
    size. They have no codes: of `simplices` these are the position of the largest of each V.

    Args:
        encoder: functional `keras.Model`, float images -> features.
        form: "keras", "weights", "onnx" or "litert".
        path: of the file, replaced if it exists. It ends in .keras, .weights.h5, .onnx or .tflite.
        images: float32 (batch, side, side, channels), preprocessed real images to check with.
        downstream_temperature: float >= 0. tau_d of `simplices`.

    Returns:
        Largest difference from the live model, relative where outputs are larger than 1.

    Raises:
        UserError: if the form is unknown, its packages are missing, or the path does not fit.
        ExportError: if it cannot be had of this encoder; `path` is as it was.

    Example:

    >>> encoder = keras_ssl.create_backbone("tiny", (8, 8, 1))
    >>> images = np.random.default_rng(0).random((4, 8, 8, 1), "float32")
    >>> export_form(encoder, "weights", "encoder.weights.h5", images)
    0.0
    """
    kind, path = lookup(FORMS, form, "form"), Path(path)
    if not path.name.endswith(kind.suffix):
        raise UserError(f"'{path}': a file of the form '{form}' ends in {kind.suffix}.")
    images = np.asarray(images, "float32")
    encoder = on_the_host(encoder)
    readouts = _readouts(encoder, downstream_temperature)
    spec = keras.InputSpec(shape=(None, *images.shape[1:]), dtype="float32", name="images")
    with tf.device("CPU:0"), written_aside(path) as aside:
        live = {name: value.numpy() for name, value in readouts(images, training=False).items()}
        try:
            kind.write(encoder, readouts, aside, spec)
            found = kind.run(aside, encoder, images, downstream_temperature)
        except ImportError as error:
            raise UserError(
                f"Form '{form}': {error}. Install {kind.extra or 'keras'} for it."
            ) from error
        except Exception as error:
            # Converters raise anything, and their messages go on for pages.
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise ExportError(
                f"Form '{form}' is not to be had of this encoder: {reason}"
            ) from error
        return _check(form, live, found)


def _readouts(encoder, downstream_temperature):
    """Without codes: Keras's argmax looks at bits, which no converter knows."""
    readouts = readouts_of(encoder, downstream_temperature)
    outputs = {name: value for name, value in readouts.output.items() if name != "codes"}
    return keras.Model(readouts.input, outputs)


def _check(form, live, found):
    if live.keys() != found.keys():
        raise ExportError(
            f"Nothing exported: form '{form}' has the outputs {', '.join(sorted(found))}, where "
            f"the live model has {', '.join(sorted(live))}."
        )
    differences = [
        np.max(np.abs(live[name] - value)) / max(1.0, np.max(np.abs(live[name])))
        for name, value in found.items()
    ]
    largest = float(np.max(differences))
    if not largest <= TOLERANCE:
        raise ExportError(
            f"Nothing exported: form '{form}' is off by {largest:.1e} from the live model; "
            f"{TOLERANCE:g} is allowed."
        )
    return largest


def _write_keras(encoder, readouts, path, spec):
    save_model(encoder.save, path)


def _run_keras(path, encoder, images, temperature):
    return _read_again(keras.saving.load_model(path), images, temperature)


def _write_weights(encoder, readouts, path, spec):
    save_model(encoder.save_weights, path)


def _run_weights(path, encoder, images, temperature):
    again = keras.models.clone_model(encoder)
    again.load_weights(path)
    return _read_again(again, images, temperature)


def _read_again(encoder, images, temperature):
    outputs = _readouts(encoder, temperature)(images, training=False)
    return {name: value.numpy() for name, value in outputs.items()}


def _write_onnx(encoder, readouts, path, spec):
    import onnxruntime  # noqa: F401  (nothing is written that could not be checked)

    readouts.export(path, format="onnx", input_signature=[spec], verbose=False)


def _run_onnx(path, encoder, images, temperature):
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {"images": images}), strict=True))


def _write_litert(encoder, readouts, path, spec):
    readouts.export(path, format="litert", input_signature=[spec], verbose=False)


def _run_litert(path, encoder, images, temperature):
    from ai_edge_litert.interpreter import Interpreter

    return Interpreter(str(path)).get_signature_runner()(images=images)


FORMS = {
    "keras": Form(".keras", _write_keras, _run_keras),
    "weights": Form(".weights.h5", _write_weights, _run_weights),
    "onnx": Form(".onnx", _write_onnx, _run_onnx, "tf2onnx, onnx and onnxruntime"),
    "litert": Form(".tflite", _write_litert, _run_litert, "ai-edge-litert"),
}
