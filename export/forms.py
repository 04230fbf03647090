"""Other forms of an encoder than the SavedModel: files of other runtimes, another precision."""

import copy
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from export.parity import TOLERANCE, ExportError, on_the_host
from export.signatures import readouts_of
from keras_ssl.core.errors import UserError, lookup
from keras_ssl.core.files import written_aside


class Form(NamedTuple):
    """A kind of file.

    Args:
        suffix: of its name.
        write: function (readouts, path, spec) that writes it.
        run: function (path, images) -> {output: array}, read back from it.
        extra: what to install for it.
    """

    suffix: str
    write: object
    run: object
    extra: str


def export_form(
    encoder: keras.Model,
    form: str,
    path: str | Path,
    images: np.ndarray,
    *,
    downstream_temperature: float = 0.1,
) -> float:
    """Write `encoder` in another form, from preprocessed images to features.

    The file has the outputs `features` and the output of the neck (`simplices` or `embedding`),
    named so, for any batch size. It has no codes: of `simplices` these are the position of the
    largest of each V. The Keras model itself is written by `encoder.save(path)`.

    Args:
        encoder: functional `keras.Model`, float images -> features.
        form: "onnx" or "litert".
        path: of the file, replaced if it exists. It ends in .onnx or .tflite.
        images: float32 (batch, side, side, channels), preprocessed real images to check with.
        downstream_temperature: float >= 0. tau_d of `simplices`.

    Returns:
        Largest difference from the live model, relative where outputs are larger than 1.

    Raises:
        UserError: if the form is unknown, its packages are missing, or the path does not fit.
        ExportError: if the encoder cannot be exported to the form; `path` is left unchanged.

    Example:

    >>> encoder = keras_ssl.create_backbone("tiny", (8, 8, 1))
    >>> images = np.random.default_rng(0).random((4, 8, 8, 1), "float32")
    >>> export_form(encoder, "onnx", "encoder.pb", images)
    Traceback (most recent call last):
    keras_ssl.core.errors.UserError: 'encoder.pb': a file of the form 'onnx' ends in .onnx.
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
            kind.write(readouts, aside, spec)
            found = kind.run(aside, images)
        except ImportError as error:
            raise UserError(f"Form '{form}': {error}. Install {kind.extra} for it.") from error
        except Exception as error:
            # Converters raise anything, and their messages fill pages.
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise ExportError(
                f"Form '{form}': this encoder cannot be exported to it: {reason}"
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


def _write_onnx(readouts, path, spec):
    import onnxruntime  # noqa: F401  (nothing is written that could not be checked)

    readouts.export(path, format="onnx", input_signature=[spec], verbose=False)


def _run_onnx(path, images):
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {"images": images}), strict=True))


def _write_litert(readouts, path, spec):
    readouts.export(path, format="litert", input_signature=[spec], verbose=False)


def _run_litert(path, images):
    from ai_edge_litert.interpreter import Interpreter

    return Interpreter(str(path)).get_signature_runner()(images=images)


FORMS = {
    "onnx": Form(".onnx", _write_onnx, _run_onnx, "tf2onnx, onnx and onnxruntime"),
    "litert": Form(".tflite", _write_litert, _run_litert, "ai-edge-litert"),
}


def in_precision(encoder: keras.Model, policy: str) -> keras.Model:
    """A copy of `encoder` that computes under another dtype policy; its weights stay float32.

    To serve faster where the hardware multiplies bfloat16; features are off by about 1 %.

    Args:
        encoder: functional `keras.Model`.
        policy: str. "float32" or "mixed_bfloat16".

    Returns:
        `keras.Model` of the same structure, with the same weights.

    Example:

    >>> backbone = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    >>> in_precision(backbone, "mixed_bfloat16").layers[-1].compute_dtype
    'bfloat16'
    """
    config = copy.deepcopy(encoder.get_config())
    _set_policy(config, keras.dtype_policies.serialize(keras.dtype_policies.DTypePolicy(policy)))
    twin = encoder.__class__.from_config(config)
    twin.set_weights(encoder.get_weights())
    return twin


def _set_policy(config, policy):
    """Replace every dtype policy in a configuration; plain types, of inputs, stay."""
    items = config.items() if isinstance(config, dict) else enumerate(config)
    for key, value in items:
        if isinstance(value, dict) and value.get("class_name") == "DTypePolicy":
            config[key] = policy
        elif isinstance(value, (dict, list)):
            _set_policy(value, policy)
