"""Latency and throughput of the exported encoder of a run, and of the live Keras model's `predict`.

    python -m benchmarks.serving runs/sem_byol-cifar10-1

Both compute every output that is served. The SavedModel takes uint8 images and preprocesses them;
`predict` takes images that are preprocessed already. Requests of the two go by turns, so that both
meet the same load of the machine. Prints one markdown table.
"""

import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import tensorflow as tf

import keras_ssl
from benchmarks.common import Attempts, table
from export import in_precision
from export.saved_model import write_saved_model
from export.signatures import make_signatures, readouts_of
from pipelines.preprocessing import make_preprocess

REQUESTS = {1: 100, 8: 60, 64: 30}  # batch size: how many are timed
PRECISIONS = {"float32": "float32", "bfloat16": "mixed_bfloat16"}


def seconds(calls, count):
    """Times of each of `calls`, (len(calls), count), after two rounds that do not count."""
    times = np.zeros((len(calls), count))
    for turn in range(-2, count):
        for row, call in enumerate(calls):
            start = time.perf_counter()
            call()
            if turn >= 0:
                times[row, turn] = time.perf_counter() - start
    return times


def compare(encoder, preprocess, shape, folder):
    """Yield (batch size, times of `predict`, times of the SavedModel)."""
    readouts = readouts_of(encoder, 0.1)
    write_saved_model(readouts, make_signatures(readouts, preprocess), folder)
    serve = tf.saved_model.load(folder).signatures["serving_default"]

    def exported(images):
        return {name: value.numpy() for name, value in serve(images=images).items()}

    for batch, count in REQUESTS.items():
        images = np.random.default_rng(0).integers(0, 256, (batch, *shape), "uint8")
        inputs, given = preprocess(images).numpy(), tf.constant(images)
        calls = (
            lambda inputs=inputs, batch=batch: readouts.predict(inputs, batch, verbose=0),
            lambda given=given: exported(given),
        )
        yield batch, *seconds(calls, count)


def cells(batch, times):
    """Median and 95th percentile in ms, and images per second at the median."""
    median, slow = np.percentile(times, [50, 95])
    return [f"{1e3 * median:.2f}", f"{1e3 * slow:.2f}", f"{batch / median:,.0f}"]


def rows_of(name, encoder, settings, shape, rows):
    """Append to `rows` those of one precision, as each is measured."""
    twin = in_precision(encoder, PRECISIONS[name])
    with tempfile.TemporaryDirectory() as folder:
        results = compare(twin, make_preprocess(**settings), shape, f"{folder}/1")
        for batch, live, exported in results:
            rows.append([name, str(batch), "live, predict", *cells(batch, live)])
            rows.append([name, str(batch), "SavedModel", *cells(batch, exported)])


def measured_table(workdir, attempt):
    """A row per precision, batch size and model."""
    workdir = Path(workdir)
    encoder = keras_ssl.load_encoder(workdir / "encoder.keras")
    settings = json.loads((workdir / "preprocessing.json").read_text(encoding="utf-8"))
    shape = (settings["image_size"], settings["image_size"], settings["channels"])
    head = ["precision", "batch", "model", "median ms", "p95 ms", "images/s"]
    rows = []
    for name in PRECISIONS:
        attempt(name, rows_of, name, encoder, settings, shape, rows)
    return table(head, rows, texts=3)


if __name__ == "__main__":
    tries = Attempts()
    print(measured_table(sys.argv[1], tries))
    tries.finish()
