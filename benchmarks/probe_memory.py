"""Time and memory of SEM's grid of linear probes: streamed in bounded memory, and dense.

    python -m benchmarks.probe_memory
    python -m benchmarks.probe_memory --images=200000 --width=2048 --simplices=0 --ways=streamed

The features are made up and lie in a file: those of a backbone, above which a linear map gives the
simplices (5,000 of 13, read at four temperatures; `--simplices=0` probes the features themselves).
Every way trains the 12 settings of each representation in a process of its own:

- *streamed*: `train_probes`, from the file, within `--memory`;
- *dense*: the simplices of all images at each temperature as one tensor, the logits of all probes
  as another, gradients by `tf.GradientTape`, SGD with momentum by Keras.

An epoch is timed after one that compiles. MiB are the most that the process holds in memory of its
own above what it holds after TensorFlow is loaded; pages of the file, which the system may drop at
any time, do not count. A last column multiplies the seconds to 1.28 million images.
"""

import argparse
import itertools
import json
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path

from benchmarks.common import Attempts, table

TEMPERATURES = (0.0, 0.01, 0.1, 1.0)
SIMPLEX_SIZE = 13
IMAGENET = 1_281_167


def made(path, options):
    """Write made features (N, E) a block at a time."""
    import numpy as np

    draw, shape = np.random.default_rng(0), (options.images, options.width)
    file = np.lib.format.open_memmap(path, "w+", "float32", shape)
    for start in range(0, len(file), 10_000):
        block = file[start : start + 10_000]
        block[:] = draw.standard_normal(block.shape, dtype="float32")


def readings(options):
    """`read` of `train_probes`, and the number of representations."""
    import numpy as np
    import tensorflow as tf

    from keras_ssl.evaluation.probes.sgd_training import as_one
    from keras_ssl.layers.simplicial import simplicial_embedding

    if not options.simplices:
        return as_one, 1
    sizes = options.simplices, SIMPLEX_SIZE
    kernel = np.random.default_rng(1).standard_normal((options.width, np.prod(sizes)), "float32")
    kernel = tf.constant(kernel / options.width**0.5)

    def read(features):
        embedding = tf.matmul(features, kernel)
        return [simplicial_embedding(embedding, *sizes, tau) for tau in TEMPERATURES]

    return read, len(TEMPERATURES)


def streamed(features, labels, protocol, options):
    """Yield after an epoch that compiles, then train another."""
    import numpy as np

    from keras_ssl.evaluation.probes.sgd_training import train_probes

    read, count = readings(options)
    settings = np.array(list(itertools.product(protocol.learning_rates, protocol.l1)))
    rates, l1 = (np.stack([x] * count) for x in settings.T)
    settings = {"classes": options.classes, "read": read, "memory": options.memory * 2**30}
    for _ in range(2):  # of the same shapes, so that the second compiles nothing
        for _ in train_probes(features, labels, rates, l1, protocol, **settings):
            pass
        yield


def dense(features, labels, protocol, options):
    """As `streamed`."""
    import keras
    import numpy as np
    import tensorflow as tf

    read, count = readings(options)
    blocks = (features[i : i + 250] for i in range(0, len(features), 250))
    parts = [tf.stack(list(read(tf.constant(block)))) for block in blocks]
    wide = tf.concat(parts, axis=1)  # (R, N, F)
    del parts
    settings = np.array(list(itertools.product(protocol.learning_rates, protocol.l1)), "float32")
    shape = (count, len(settings), options.classes, wide.shape[-1])
    weights = keras.Variable(np.zeros(shape, "float32"))
    rates, l1 = (tf.constant(x[None, :, None, None]) for x in settings.T)
    optimizer = keras.optimizers.SGD(1.0, momentum=0.9)  # the loss is multiplied by each rate
    optimizer.build([weights])

    @tf.function
    def step(rows):
        batch, label = tf.gather(wide, rows, axis=1), tf.gather(labels, rows)
        with tf.GradientTape() as tape:
            logits = tf.einsum("rbf,rpcf->rpbc", batch, weights.value)
            label = tf.broadcast_to(label, tf.shape(logits)[:3])
            loss = tf.nn.sparse_softmax_cross_entropy_with_logits(label, logits)
            loss = tf.reduce_sum(tf.reduce_mean(loss, axis=2) * rates[..., 0, 0])
            loss += tf.reduce_sum(rates * l1 * tf.reduce_sum(tf.abs(weights.value), (2, 3), True))
        optimizer.apply([tape.gradient(loss, weights.value)], [weights])

    size = protocol.batch_size
    order = np.random.default_rng(2).permutation(len(labels))[: len(labels) // size * size]
    for batches in (order[:size].reshape(1, -1), order.reshape(-1, size)):
        for rows in batches:
            step(tf.constant(rows))
        yield


def own_memory():
    """Bytes that this process holds and that lie in no file, on Linux."""
    text = Path("/proc/self/status").read_text(encoding="utf-8")
    return 1024 * int(text.partition("RssAnon:")[2].split()[0])


def measure(way, path, options):
    """Print seconds of an epoch and MiB of one way as JSON."""
    import numpy as np

    from keras_ssl.evaluation.probes.sgd import PROBES

    features = np.load(path, mmap_mode="r")
    labels = np.random.default_rng(3).integers(0, options.classes, len(features))
    protocol = replace(PROBES["sem_sgd"], epochs=1)
    before, peak, done = own_memory(), [0], threading.Event()

    def watch():
        while not done.wait(0.02):
            peak[0] = max(peak[0], own_memory())

    threading.Thread(target=watch, daemon=True).start()
    epochs = WAYS[way](features, labels, protocol, options)
    next(epochs)
    start = time.perf_counter()
    next(epochs)
    seconds = time.perf_counter() - start
    done.set()
    print(json.dumps({"seconds": seconds, "memory": (peak[0] - before) / 2**20}))


WAYS = {"streamed": streamed, "dense": dense}


def apart(way, path):
    """What `measure` prints in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.probe_memory", *sys.argv[1:]]
    command += [f"--measure={way}", f"--file={path}"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def main():
    """Measure each way in its own process, and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--width", type=int, default=128, help="features of the backbone")
    parser.add_argument("--simplices", type=int, default=5000, help="L; 0 for the features alone")
    parser.add_argument("--classes", type=int, default=100)
    parser.add_argument("--memory", type=float, default=3.0, help="GiB, of the streamed way")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--measure", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--file", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        return measure(options.measure, options.file, options)
    rows, attempt = [], Attempts()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "features.npy"
        made(path, options)
        for way in options.ways:
            found = attempt(way, apart, way, path)
            if found is not None:
                seconds = found["seconds"]
                hours = seconds * IMAGENET / options.images / 3600
                rows.append([way, f"{seconds:.1f}", f"{found['memory']:.0f}", f"{hours:.2f}"])
    print(table(["way", "seconds/epoch", "MiB", "hours/epoch of ImageNet"], rows))
    attempt.finish()


if __name__ == "__main__":
    main()
