"""Keras callbacks that measure and record training without touching it.

Callbacks share one dictionary of logs and run in the order given, before Keras's progress bar. So
put those that add values (`Throughput`, `OnlineEvaluation`) before those that record them
(`MetricsLog`, `EventFiles`).
"""

import json
import time
from pathlib import Path

import keras
import tensorflow as tf

from keras_ssl.core.files import write_text
from keras_ssl.evaluation.results import finite_or_none, to_json

_SCALAR = tf.compat.v1.SummaryMetadata(
    plugin_data=tf.compat.v1.SummaryMetadata.PluginData(plugin_name="scalars"),
    data_class="DATA_CLASS_SCALAR",
)


class Throughput(keras.callbacks.Callback):
    """Add `images_per_second` and `data_wait` to the logs of every step and epoch.

    Both are means over the epoch so far; the first step of a training, which compiles, is left
    out as soon as there is a second. `data_wait` is the fraction of that time spent waiting for
    data, in [0, 1], read from the model's `seconds_waiting` (a growing number of seconds; a model
    without it is taken never to wait).

    Args:
        images_per_step: int. Images (not views) in a global batch.

    Example:

    >>> model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> x = tf.zeros((8, 1))
    >>> fit = model.fit(x, x, batch_size=4, verbose=0, callbacks=[Throughput(4)])
    >>> fit.history["images_per_second"][0] > 0
    True
    """

    def __init__(self, images_per_step: int):
        super().__init__()
        self.images_per_step = images_per_step

    def on_train_begin(self, logs: dict | None = None):
        self._compiled = False

    def on_epoch_begin(self, epoch: int, logs: dict | None = None):
        self._values = {}
        self._start(0)

    def on_train_batch_end(self, batch: int, logs: dict | None = None):
        steps = batch + 1
        seconds = max(time.perf_counter() - self._started, 1e-9)
        self._values = {
            "images_per_second": (steps - self._first) * self.images_per_step / seconds,
            "data_wait": (self._seconds_waiting() - self._waited) / seconds,
        }
        logs.update(self._values)
        if not self._compiled:
            self._compiled = True
            self._start(steps)

    def on_epoch_end(self, epoch: int, logs: dict | None = None):
        # As of the last step: what callbacks do between epochs is not training.
        logs.update(self._values)

    def _start(self, step):
        self._first = step
        self._started = time.perf_counter()
        self._waited = self._seconds_waiting()

    def _seconds_waiting(self):
        return getattr(self.model, "seconds_waiting", 0.0)


class MetricsLog(keras.callbacks.Callback):
    """Append one line of JSON to a file after every epoch.

    A line holds `epoch` (finished epochs, so 1 after the first), `step` (the optimizer's), `time`
    (Unix seconds) and every log value as a finite number or null. Training that starts at an
    epoch which the file already has removes the lines that it will write again, and any line that
    a crash cut short.

    Args:
        path: file to append to; its folder must exist.

    Example:

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "metrics.jsonl"
    >>> model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> x = tf.zeros((4, 1))
    >>> fit = model.fit(x, x, epochs=2, verbose=0, callbacks=[MetricsLog(path)])
    >>> [json.loads(line)["epoch"] for line in path.read_text().splitlines()]
    [1, 2]
    """

    def __init__(self, path: str | Path):
        super().__init__()
        self.path = Path(path)

    def on_train_begin(self, logs: dict | None = None):
        self._cleaned = False

    def on_epoch_begin(self, epoch: int, logs: dict | None = None):
        if not self._cleaned:
            drop_lines_after(self.path, epoch)
        self._cleaned = True

    def on_epoch_end(self, epoch: int, logs: dict | None = None):
        record = {"epoch": epoch + 1, "step": step_of(self.model), "time": round(time.time(), 3)}
        record |= {name: finite_or_none(value) for name, value in logs.items()}
        append_line(self.path, record)


class EventFiles(keras.callbacks.Callback):
    """Write the logs of every epoch as TensorBoard scalars; needs no tensorboard package.

    `tf.summary.scalar` raises without that package, and all it adds is this metadata.

    Args:
        directory: folder for the event files; made if it is missing.

    Example:

    >>> import tempfile
    >>> directory = tempfile.mkdtemp()
    >>> model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> x = tf.zeros((4, 1))
    >>> fit = model.fit(x, x, verbose=0, callbacks=[EventFiles(directory)])
    >>> len(list(Path(directory).glob("events.out.tfevents.*")))
    1
    """

    def __init__(self, directory: str | Path):
        super().__init__()
        self.directory = str(directory)

    def on_train_begin(self, logs: dict | None = None):
        self._writer = tf.summary.create_file_writer(self.directory)

    def on_epoch_end(self, epoch: int, logs: dict | None = None):
        step = step_of(self.model)
        with self._writer.as_default():
            for name, value in logs.items():
                number = finite_or_none(value)
                if number is not None:
                    tf.summary.write(name, tf.constant(number), step=step, metadata=_SCALAR)
        self._writer.flush()

    def on_train_end(self, logs: dict | None = None):
        self._writer.close()


def drop_lines_after(path: Path, epoch: int) -> None:
    """Remove a file's lines of JSON of later epochs, and any that a crash cut short.

    Args:
        path: file that need not exist. Each line has a number `epoch`.
        epoch: int. The last that stays.
    """
    if path.exists():
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        write_text(path, "".join(line for line in lines if _epoch_of(line) <= epoch))


def begin_lines(path: Path, model: keras.Model, epoch: int) -> bool:
    """`drop_lines_after` where a training begins or is resumed; -> whether it begins.

    Args:
        path: file that need not exist.
        model: whose optimizer counts the updates.
        epoch: int. Epochs that have ended; a line 0, from before them, stays in a resumed training.
    """
    fresh = step_of(model) == 0
    drop_lines_after(path, -1 if fresh else epoch)
    return fresh


def append_line(path: Path, row: dict) -> None:
    """Append a line of JSON to a file."""
    with path.open("a", encoding="utf-8") as file:
        file.write(to_json(row) + "\n")


def step_of(model: keras.Model) -> int:
    """The updates that a model's optimizer has made."""
    return int(keras.ops.convert_to_numpy(model.optimizer.iterations))


def _epoch_of(line):
    """The line's epoch; infinite if the line is not complete."""
    try:
        return json.loads(line)["epoch"] if line.endswith("\n") else float("inf")
    except (ValueError, KeyError, TypeError):
        return float("inf")
