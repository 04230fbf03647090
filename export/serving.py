"""What TensorFlow Serving needs besides a SavedModel: warm-up, configurations, commands."""

import shlex
from pathlib import Path

import tensorflow as tf

from export.parity import encode_samples
from keras_ssl.core.files import write_text

_MODELS = """\
model_config_list {{
  config {{
    name: "{name}"
    base_path: "/models/{name}"
    model_platform: "tensorflow"
  }}
}}
"""
_BATCHING = """\
max_batch_size { value: 64 }
batch_timeout_micros { value: 2000 }
max_enqueued_batches { value: 100 }
num_batch_threads { value: 2 }
"""
_COMMANDS = """
To serve it (gRPC on port 8500, REST on 8501), by a server of TensorFlow {tensorflow} or newer:

  docker run --rm -p 8500:8500 -p 8501:8501 \\
    --mount {mount} \\
    tensorflow/serving:{tensorflow} --model_config_file=/models/{name}/models.config

To ask it:

  curl http://localhost:8501/v1/models/{name}/metadata
"""
_ASK_BYTES = """\
  (printf '{{"signature_name": "image_bytes", "instances": [{{"b64": "'; base64 -w0 photo.jpg; \\
    printf '"}}]}}') | curl -d @- http://localhost:8501/v1/models/{name}:predict
"""


def write_warm_up(version, name, signatures, images):
    """Write a request for each signature, which the server runs before it serves a version.

    Args:
        version: folder of the SavedModel.
        name: of the model, as clients call it.
        signatures: {name: `Signature`}.
        images: uint8 (batch, height, width, channels), what to send.

    Returns:
        A line for the user: what was written, or why nothing was.
    """
    try:
        from tensorflow_serving.apis import model_pb2, predict_pb2, prediction_log_pb2
    except ImportError as error:
        return (
            f"Warm-up requests, which are optional, were skipped: {error}. They need "
            "`pip install tensorflow-serving-api`, of a release that fits TensorFlow's."
        )
    samples = {"images": images, "image_bytes": encode_samples(images)}
    path = Path(version) / "assets.extra" / "tf_serving_warmup_requests"
    path.parent.mkdir()
    with tf.io.TFRecordWriter(str(path)) as writer:
        for signature, (_, spec, _) in signatures.items():
            tensor = tf.make_tensor_proto(samples[spec.name], dtype=spec.dtype)
            request = predict_pb2.PredictRequest(
                model_spec=model_pb2.ModelSpec(name=name, signature_name=signature),
                inputs={spec.name: tensor},
            )
            log = prediction_log_pb2.PredictLog(request=request)
            record = prediction_log_pb2.PredictionLog(predict_log=log)
            writer.write(record.SerializeToString())
    return f"Warm-up requests: {len(signatures)}, one for each signature."


def write_configurations(directory):
    """Write `models.config` and `batching.config` where there are none yet: they may be edited."""
    directory.mkdir(parents=True, exist_ok=True)
    texts = {"models.config": _MODELS.format(name=directory.name), "batching.config": _BATCHING}
    for name, text in texts.items():
        if not (directory / name).exists():
            write_text(directory / name, text)


def commands(directory, signatures):
    """How to start a server for the versions in `directory`, and how to ask it.

    Args:
        directory: where the versions lie.
        signatures: names of those that there are.
    """
    directory, release = directory.resolve(), tf.__version__.partition("-")[0]
    mount = f"type=bind,source={directory},target=/models/{directory.name},readonly"
    text = _COMMANDS + (_ASK_BYTES if "image_bytes" in signatures else "")
    return text.format(mount=shlex.quote(mount), name=directory.name, tensorflow=release)
