"""Time the train step alone: SimCLR of a CIFAR ResNet-18 on one constant batch of 32x32 views.

    python -m benchmarks.train_step [--widths=16,64] [--precisions=float32] [--batch_size=64] \
        [--seconds=6] [--rounds=3]

A row is a width of the first stage in a precision: the median of the rounds in views a second (two
views of an image), with the smallest and the largest. A row that fails says why, and the others
keep what was measured. Whether TensorFlow multiplies by oneDNN is as in a run; compare with
TF_ENABLE_ONEDNN_OPTS=0 in the environment. Run it on an idle machine.
"""

import argparse
import os
import statistics
import time

import keras
import tensorflow as tf

import keras_ssl
from benchmarks.common import Attempts, table
from keras_ssl.core.detection import detect
from keras_ssl.core.hardware import device_line, xla_for

VIEWS, SHAPE = 2, (32, 32, 3)


def build(width, precision):
    """SimCLR with the projector of its paper on a ResNet-18, compiled as in a run."""
    keras.config.set_dtype_policy(precision)
    keras.utils.set_random_seed(0)
    encoder = keras_ssl.create_backbone("resnet18", SHAPE, width=width, stem="cifar")
    method = keras_ssl.create("simclr", backbone=encoder, hidden_dim=512, projection_dim=128)
    method.compile(keras_ssl.SGD(0.1, momentum=0.9), jit_compile=xla_for(detect()).value)
    return method


def measure(method, batch_size, seconds, rounds):
    """Views a second in each round of about so many seconds, on one batch of noise."""
    views = keras.random.uniform((batch_size, VIEWS, *SHAPE), seed=1)
    batches = iter(tf.data.Dataset.from_tensors({"global": views}).repeat())
    method.make_train_function()

    def step():
        return float(method.train_function(batches)["loss"])  # read, so that the step has ended

    step(), step()
    return [speed(step, batch_size * VIEWS, seconds) for _ in range(rounds)]


def speed(step, views, seconds):
    """Views a second of `step`, repeated for so long."""
    steps, started = 0, time.perf_counter()
    while (passed := time.perf_counter() - started) < seconds or not steps:
        step()
        steps += 1
    return steps * views / passed


def format_table(rows):
    """The markdown table of {(width, precision): speeds, or None where the row failed}."""
    lines = []
    for (width, precision), speeds in rows.items():
        cells = ["failed"]
        if speeds is not None:
            span = f"{min(speeds):.0f} to {max(speeds):.0f}"
            cells = [f"{statistics.median(speeds):.0f}", span]
        lines.append([width, precision, *cells])
    return table(["width", "precision", "views/s", "smallest to largest"], lines, texts=2)


def main():
    """Time a step at every width and precision, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--widths", default="16,64")
    parser.add_argument("--precisions", default="float32", help="dtype policies, by commas")
    parser.add_argument("--batch_size", type=int, default=64, help="images; each has two views")
    parser.add_argument("--seconds", type=float, default=6.0, help="of a round")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    rows, attempt = {}, Attempts()
    for width in map(int, options.widths.split(",")):
        for precision in options.precisions.split(","):
            rows[width, precision] = attempt(
                f"width {width}, {precision}",
                lambda width=width, precision=precision: measure(
                    build(width, precision), options.batch_size, options.seconds, options.rounds
                ),
            )
    onednn = os.environ.get("TF_ENABLE_ONEDNN_OPTS", "TensorFlow's choice")
    print(f"{device_line(detect())}; TensorFlow {tf.__version__}; oneDNN: {onednn}\n")
    print(format_table(rows))
    attempt.finish()


if __name__ == "__main__":
    main()
