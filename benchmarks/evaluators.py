"""Time and memory of each evaluator on made features of any size, and what 1.28 million rows cost.

    python -m benchmarks.evaluators [--rows=200000 --columns=2048 --classes=100]
        [--simplices=5000 --simplex_size=13 --temperatures=0,0.1] [--only=knn,k-means]

Features of `--rows` train and `--test_rows` test images are drawn around class means and written to
a file, as a run keeps those of a backbone. With --simplices an embedder of random weights stands
above them, and its simplices are evaluated at each of --temperatures, as a run reads them: block by
block. Every evaluator runs in a process of its own, once with half of the rows and once with all;
the last column goes on along that line to 1,281,167 rows, the images of ImageNet.

Memory is what the process holds beyond what TensorFlow takes to start, at its peak; pages of the
file of features do not count, which the system takes back when it needs them. Linux only.
"""

import argparse
import functools
import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from benchmarks.common import ROOT, Attempts, table

IMAGENET = 1_281_167
PARTS = ("train", "test")
NAMES = ("knn", "linear", "few labels", "k-means", "probe")
HEAD = ("evaluator", "features", "rows", "accuracy", "seconds", "MiB", "at 1.28 million")


class Peak:
    """The most memory that is not of files, while it is watched: `with Peak() as peak`.

    Attributes:
        bytes: int, beyond what the process held before.
    """

    def __enter__(self):
        self.before, self.most, self.ended = _anonymous(), 0, threading.Event()
        self.watch = threading.Thread(target=self._look, daemon=True)
        self.watch.start()
        return self

    def _look(self):
        while not self.ended.wait(0.01):
            self.most = max(self.most, _anonymous())

    def __exit__(self, *_):
        self.ended.set()
        self.watch.join()
        self.bytes = max(self.most, _anonymous()) - self.before


def _anonymous():
    with open("/proc/self/status", encoding="ascii") as file:
        return 1024 * sum(
            int(line.split()[1]) for line in file if line.startswith(("RssAnon:", "RssShmem:"))
        )


def write(folder, sizes, columns, classes, block=10_000):
    """Features around class means, and labels, of each part: `.npy` files."""
    import numpy as np

    draw = np.random.default_rng(0)
    means = draw.normal(size=(classes, columns)).astype("float32")
    for part, count in zip(PARTS, sizes, strict=True):
        labels = draw.permutation(np.arange(count) % classes)
        np.save(folder / f"labels_{part}.npy", labels)
        shape = (count, columns)
        file = np.lib.format.open_memmap(folder / f"{part}.npy", "w+", "float32", shape)
        for start in range(0, count, block):
            some = labels[start : start + block]
            noise = draw.standard_normal((len(some), columns), "float32")
            file[start : start + block] = np.maximum(0.15 * means[some] + noise, 0)
        file.flush()


def representation_of(columns, simplices, simplex_size, tau):
    """The features themselves, or simplices of an embedder of random weights above them."""
    import keras

    from keras_ssl.evaluation.representation import Features, Representation

    if not simplices:
        return Representation(Features(), "pretrained", "backbone")
    start = keras.initializers.RandomNormal(stddev=1.7 / columns**0.5, seed=0)
    dense = keras.layers.Dense(simplices * simplex_size, use_bias=False, kernel_initializer=start)
    neck, sizes = keras.Sequential([keras.Input((columns,)), dense]), (simplices, simplex_size)
    return Representation(Features(), "pretrained", "simplices", tau, neck=neck, sizes=sizes)


def measure(task):
    """Accuracy, seconds and bytes of an evaluator on the first rows of what `write` wrote."""
    from types import SimpleNamespace

    import numpy as np
    import tensorflow as tf

    from keras_ssl.config.schema import Evaluation as Settings
    from keras_ssl.evaluation import evaluators
    from stages.evaluation import evaluation_memory

    folder, count = Path(task["folder"]), task["rows"]
    train, test = (np.load(folder / f"{part}.npy", mmap_mode="r") for part in PARTS)
    labels = [np.load(folder / f"labels_{part}.npy") for part in PARTS]
    train, labels[0] = train[:count], labels[0][:count]
    data = SimpleNamespace(name="made", train_labels=labels[0], test_labels=labels[1])
    settings = Settings(probe="sem_sgd", probe_epochs=task["epochs"], memory=task["memory"])
    memory = evaluation_memory(SimpleNamespace(evaluation=settings))
    evaluation = evaluators.Evaluation(data, settings, memory=memory)
    sizes = (task["simplices"], task["simplex_size"], task["tau"])
    one = representation_of(train.shape[1], *sizes)
    functions = {
        **{"knn": evaluators.knn, "linear": evaluators.linear, "k-means": evaluators.clusters},
        **{"few labels": evaluators.few_labels, "probe": evaluators.gradient_probe},
    }
    parts = train, test
    if task["name"] != "probe":  # which takes what representations are read from
        parts = [one.rows(part, memory) for part in parts]
    tf.matmul(*[tf.ones((64, 64))] * 2)
    start = time.perf_counter()
    with Peak() as peak:
        results = list(functions[task["name"]](evaluation, [one], *parts))
    seconds = time.perf_counter() - start
    return {"accuracy": results[0].value, "seconds": seconds, "bytes": peak.bytes}


def in_process(**task):
    """What `measure(task)` gives in a process that holds nothing else."""
    command = [sys.executable, "-m", "benchmarks.evaluators", "--task", json.dumps(task)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"it ended with status {done.returncode}")
    return json.loads(done.stdout.splitlines()[-1])


def duration(seconds):
    """Seconds in words.

    Example:

    >>> duration(42.4), duration(600), duration(9000)
    ('42 s', '10.0 min', '2.5 h')
    """
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def at_imagenet(rows, seconds):
    """Seconds for 1.28 million rows, on the line through two sizes; not less than for the larger.

    Example:

    >>> at_imagenet((100, 200), (1.0, 2.0))
    12811.67
    """
    slope = (seconds[1] - seconds[0]) / (rows[1] - rows[0])
    return seconds[1] + max(0.0, slope) * max(0, IMAGENET - rows[1])


def lines_of(name, features, rows, found):
    """Lines of the table: of half of the rows, and of all with the cost at 1.28 million.

    One line where the number of rows does not matter.
    """
    cells = [
        [f"{one['accuracy']:.1f}", f"{one['seconds']:.1f}", f"{one['bytes'] / 2**20:.0f}"]
        for one in found
    ]
    if len(found) == 1:
        return [[name, features, "any", *cells[0], "the same"]]
    more = duration(at_imagenet(rows, [one["seconds"] for one in found]))
    lines = zip(rows, cells, ("", more), strict=True)
    return [[name, features, f"{count:,}", *three, last] for count, three, last in lines]


def main():
    """Measure what the command line asks for, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--task", help=argparse.SUPPRESS)
    parser.add_argument("--rows", type=int, default=200_000, help="train images")
    parser.add_argument("--test_rows", type=int, default=5000)
    parser.add_argument("--columns", type=int, default=2048, help="of the backbone's features")
    parser.add_argument("--classes", type=int, default=100)
    parser.add_argument("--simplices", type=int, default=0, help="L; 0 for the features alone")
    parser.add_argument("--simplex_size", type=int, default=13, help="V")
    parser.add_argument("--temperatures", default="0,0.1", help="tau_d of the simplices")
    parser.add_argument("--epochs", type=int, default=2, help="of the probe by gradient descent")
    parser.add_argument("--memory", type=float, help="GiB, as evaluation.memory")
    parser.add_argument("--only", default=",".join(NAMES), help="evaluators, by commas")
    parser.add_argument("--folder", help="for the features; a temporary one by default")
    options = parser.parse_args()
    if options.task:
        return print(json.dumps(measure(json.loads(options.task))))
    if not Path("/proc/self/status").exists():
        parser.error("memory is read from /proc, which only Linux has")
    unknown = set(options.only.split(",")) - set(NAMES)
    if unknown:
        parser.error(f"unknown evaluators {sorted(unknown)}: there are {', '.join(NAMES)}")
    attempt, lines = Attempts(), []
    taus = [float(tau) for tau in options.temperatures.split(",")] if options.simplices else [None]
    shared = {"simplices": options.simplices, "simplex_size": options.simplex_size}
    shared |= {"epochs": options.epochs, "memory": options.memory}
    rows = (options.rows // 2, options.rows)
    with tempfile.TemporaryDirectory(prefix="evaluators-", dir=options.folder) as folder:
        write(Path(folder), (options.rows, options.test_rows), options.columns, options.classes)
        for name in options.only.split(","):
            for tau in taus:
                title = f"{options.columns}" if tau is None else f"simplices, tau {tau:g}"
                task = {"folder": folder, "name": name, "tau": tau, **shared}
                found = [
                    attempt(
                        f"{name}, {title}, {n:,}", functools.partial(in_process, **task, rows=n)
                    )
                    for n in (rows if name != "k-means" else rows[1:])  # of the test images alone
                ]
                if None not in found:
                    lines += lines_of(name, title, rows, found)
                    print(*lines[-len(found) :], sep="\n", file=sys.stderr, flush=True)
    print(table(HEAD, lines, texts=2))
    attempt.finish()


if __name__ == "__main__":
    main()
