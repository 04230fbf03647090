"""Run a SavedModel where this project cannot be imported: a program of its own, run by its path.

    python -I fresh_process.py VERSION SAMPLES OUTPUTS

VERSION is the folder of a SavedModel; SAMPLES one with `images.npy`, uint8 images, and encoded
images in `encoded/`. Every signature runs on them, loaded by `tf.saved_model.load` and by TF1's
loader, as TensorFlow Serving does it. Writes the arrays LOADER/SIGNATURE/OUTPUT to OUTPUTS.npz, and
the median time of a request of one image, in ms, to OUTPUTS.json.
"""

import json
import statistics
import sys
import time
from pathlib import Path

for package in ("keras_ssl", "pipelines", "export", "stages", "run"):
    sys.modules[package] = None  # an import of it fails from now on

import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

REPEATS = 20


def read_samples(folder):
    """What to send, by the name of the input."""
    contents = [path.read_bytes() for path in sorted((folder / "encoded").iterdir())]
    return {
        "images": np.load(folder / "images.npy"),
        "image_bytes": np.array(contents, dtype=object),
    }


def with_loader(version, samples):
    """Outputs of every signature through `tf.saved_model.load`, and its latency."""
    outputs, latency = {}, {}
    loaded = tf.saved_model.load(version)
    for name, signature in loaded.signatures.items():
        (spec,) = signature.structured_input_signature[1].values()
        sample = tf.constant(samples[spec.name])
        for output, value in signature(**{spec.name: sample}).items():
            outputs[f"saved_model/{name}/{output}"] = value.numpy()
        one = {spec.name: sample[:1]}
        latency[name] = milliseconds(lambda call=signature, one=one: call(**one))
    return outputs, latency


def milliseconds(call):
    """Median of some calls, after one that does not count."""
    call()
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        call()
        times.append(1e3 * (time.perf_counter() - start))
    return round(statistics.median(times), 3)


def with_tf1(version, samples):
    """Outputs of every signature through the loader of TensorFlow 1."""
    outputs = {}
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        meta = tf.compat.v1.saved_model.loader.load(session, ["serve"], version)
        for name, signature in meta.signature_def.items():
            if name.startswith("__"):
                continue
            ((key, info),) = signature.inputs.items()
            fetches = {output: tensor.name for output, tensor in signature.outputs.items()}
            values = session.run(fetches, {info.name: samples[key]})
            for output, value in values.items():
                outputs[f"tf1/{name}/{output}"] = value
    return outputs


def main(version, samples, outputs):
    """Run all and write what came out."""
    samples = read_samples(Path(samples))
    values, latency = with_loader(version, samples)
    values.update(with_tf1(version, samples))
    np.savez(f"{outputs}.npz", **values)
    Path(f"{outputs}.json").write_text(json.dumps(latency), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
