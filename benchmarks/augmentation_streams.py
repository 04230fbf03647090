"""The streams that `augmentation.py` times in TensorFlow, each kind in a process of its own."""

import contextlib
import json
import sys

import keras
import numpy as np
import tensorflow as tf

from benchmarks.common import stream_speed
from pipelines.data.load import load
from pipelines.views.policy import ViewPolicy
from pipelines.views.stream import train_views


def ours(case):
    """`train_views`, as a run consumes it."""
    size = case["size"]
    if "folder" in case:
        where = f"folder:{case['folder']}"
        images = load(where, image_size=size, in_memory=False, log=lambda _: None).train_images
    else:
        images = np.load(case["array"])
    return train_views(
        images,
        policy=tuple(ViewPolicy(**view) for view in case["policy"]),
        batch_size=case["batch_size"],
        seed=0,
        mean=3 * [0.5],
        std=3 * [0.25],
        image_size=size,
    )


def without_xla(case):
    """The same, every function as TensorFlow runs it by itself."""
    with _no_compiler():
        return ours(case)


@contextlib.contextmanager
def _no_compiler():
    function = tf.function
    tf.function = lambda *args, **settings: function(*args, **{**settings, "jit_compile": False})
    try:
        yield
    finally:
        tf.function = function


def keras_layers(case):
    """Keras's random layers, on batches; docs/augmentation.md says what they do otherwise."""
    views = [keras_view(policy, case["size"]) for policy in case["policy"]]

    def draw(images):
        return [view(tf.cast(images, tf.float32), training=True) for view in views]

    return (
        _source(case)
        .batch(case["batch_size"], drop_remainder=True)
        .map(draw, num_parallel_calls=tf.data.AUTOTUNE)
        .prefetch(tf.data.AUTOTUNE)
    )


def keras_view(policy, size):
    """What comes nearest to a `ViewPolicy` (as a dictionary)."""
    layers, unit = keras.layers, (0, 255)
    smallest = policy["crop_scale"][0] ** 0.5
    steps = [
        layers.RandomZoom((smallest - 1.0, 0.0), (smallest - 1.0, 0.0), interpolation="bilinear"),
        layers.Resizing(size, size),
        layers.RandomFlip("horizontal"),
        layers.RandomColorJitter(
            value_range=unit,
            brightness_factor=min(policy["brightness"], 1.0),
            contrast_factor=min(policy["contrast"], 1.0),
            saturation_factor=min(policy["saturation"], 1.0),
            hue_factor=policy["hue"],
        ),
        layers.RandomGrayscale(policy["grayscale"]),
    ]
    if policy["blur"]:
        blur = layers.RandomGaussianBlur(
            policy["blur"], kernel_size=13, sigma=policy["blur_sigma"], value_range=unit
        )
        steps.append(blur)
    return keras.Sequential([*steps, layers.Rescaling(1 / 63.75, offset=-2.0)])


def _source(case):
    if "folder" not in case:
        return tf.data.Dataset.from_tensor_slices(np.load(case["array"])).repeat()

    def decode(path):
        image = tf.io.decode_jpeg(tf.io.read_file(path), channels=3)
        return tf.image.resize(image, (256, 256))

    files = tf.data.Dataset.list_files(f"{case['folder']}/*/*.jpg", seed=0).repeat()
    return files.map(decode, num_parallel_calls=tf.data.AUTOTUNE)


STREAMS = {"ours": ours, "without XLA": without_xla, "Keras layers": keras_layers}


def run(kind, case, seconds):
    return stream_speed(
        lambda: iter(STREAMS[kind](case)),
        seconds,
        views=len(case["policy"]) * case["batch_size"],
        bytes_of=lambda batch: sum(int(np.prod(x.shape)) * 4 for x in tf.nest.flatten(batch)),
    )


def main():
    """Time the cases of the task on the command line, and print a line of JSON for each."""
    task = json.loads(sys.argv[1])
    tf.get_logger().setLevel("ERROR")
    for name, case in task["cases"].items():
        print(json.dumps({name: run(task["kind"], case, task["seconds"])}), flush=True)


if __name__ == "__main__":
    main()
