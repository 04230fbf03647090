"""Say it when the numbers of a training are what they are in one that has collapsed."""

import math
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_ssl.core.files import json_lines
from keras_ssl.core.telltales import LARGEST_CLUSTER, Telltale
from keras_ssl.evaluation.representation import FeatureExtractor
from keras_ssl.evaluation.results import finite_or_none
from keras_ssl.training.callbacks import append_line, drop_lines_after, step_of

_IMAGES = 256  # whose clusters are looked at


class Watcher(keras.callbacks.Callback):
    """Recognize the tell-tale constants of a method, and say each of them once.

    What is looked for the model says itself (`Method.telltales`): a loss that stays at ln K, at -1
    or at 0, features without any spread, all images in one cluster, simplices that are uniform or
    one-hot. It is said, in a few lines and in the file, when the number has been there for some
    epochs or evaluations in a row; training goes on. A loss that is not finite is the business of
    `StopAtDivergence`; features or scores of clusters that are not, of a finite loss, are said at
    once. At ln K is a training too that has not begun: that is said after the warm-up of the
    learning rate, and only while the number does not move from there.

    At epochs that `evaluation` has evaluated, `largest_cluster` is added to the logs of a method
    with clusters: the share of 256 training images in the most frequent one.

    A line of the file is `{"epoch", "step", "metric", "value", "target", "description", "cure"}`.
    A training that is resumed keeps the lines of its epochs and does not say those again; what it
    had seen in a row it reads from the log.

    Args:
        path: file to append to; its folder must exist.
        evaluation: the `OnlineEvaluation`, which stands before this callback, or None.
        log: file of `MetricsLog`, which stands after this callback, or None.
        warmup_epochs: float >= 0. Of the learning rate.

    Example:

    >>> import tempfile
    >>> import keras_ssl
    >>> sizes = {"hidden_dim": 8, "projection_dim": 4, "prediction_dim": 4}
    >>> sizes |= {"stop_gradient": False}
    >>> method = keras_ssl.create("simsiam", backbone="tiny", input_shape=(8, 8, 1), **sizes)
    >>> method.compile("sgd", jit_compile=False)
    >>> watcher = Watcher(Path(tempfile.mkdtemp()) / "warnings.jsonl")
    >>> watcher.set_model(method)
    >>> for epoch in range(3):
    ...     watcher.on_epoch_begin(epoch)
    ...     watcher.on_epoch_end(epoch, {"simsiam": -0.999})
    <BLANKLINE>
    Warning: simsiam = -0.999 at epoch 3, for the third time in a row near -1:
      the outputs are the same for all images (representation collapse).
      Usual cure: --set method.stop_gradient=true.
    """

    def __init__(
        self,
        path: str | Path,
        evaluation: Any = None,
        *,
        log: str | Path | None = None,
        warmup_epochs: float = 0.0,
    ):
        super().__init__()
        self.path, self.evaluation = Path(path), evaluation
        self.log, self.warmup_epochs = log and Path(log), warmup_epochs
        self._scores = None
        self._begun = False

    def on_train_begin(self, logs: dict | None = None):
        self._begun = False

    def on_epoch_begin(self, epoch: int, logs: dict | None = None):
        if not self._begun:
            drop_lines_after(self.path, epoch)
            self._said = _said_in(self.path)
            self._telltales = list(self.model.telltales())
            self._in_a_row, self._first = dict.fromkeys(self._telltales, 0), {}
            for row in _rows_until(self.log, epoch):
                self._look(row, row["epoch"])
        self._begun = True

    def on_epoch_end(self, epoch: int, logs: dict | None = None):
        if self.evaluation is not None and self.evaluation.spectrum is not None:
            logs.update(self._largest_cluster())
        for telltale, number in self._look(logs, epoch + 1):
            self._say(telltale, number, epoch + 1)

    def _look(self, logs, epoch):
        """[(telltale, number)] of those that have been there often enough."""
        found = []
        for telltale in self._telltales:
            number = logs.get(telltale.metric)
            if number is None:
                continue
            number = float(number)
            if not (telltale.matches(number) and _is_meant(telltale, logs)):
                self._in_a_row[telltale] = 0
                self._first.pop(telltale, None)
                continue
            first = self._first.setdefault(telltale, number)
            if telltale.progress and epoch <= self.warmup_epochs:
                continue
            self._in_a_row[telltale] += 1
            often = self._in_a_row[telltale] >= telltale.in_a_row
            if often and not telltale.moved(number, first):
                found.append((telltale, number))
        return found

    def _largest_cluster(self):
        if self.model.cluster_head is None:
            return {}
        if self._scores is None:
            read = self.evaluation.extract
            scores = lambda images, training: self.model.cluster_scores(images)  # noqa: E731
            self._scores = FeatureExtractor(scores, read.preprocess, batch_size=read.batch_size)
        scores = self._scores(self.evaluation.train[0][:_IMAGES])
        if not np.isfinite(scores).all():
            return {LARGEST_CLUSTER: math.nan}
        counts = np.bincount(scores.argmax(axis=1))
        return {LARGEST_CLUSTER: float(counts.max() / len(scores))}

    def _say(self, telltale: Telltale, number: float, epoch: int):
        target = (telltale.metric, telltale.target)
        if target in self._said:
            return
        self._said.add(target)
        cure = self.model.cure_of(telltale.kind)
        times = {1: "", 2: ", for the second time in a row", 3: ", for the third time in a row"}
        print(
            f"\nWarning: {telltale.metric} = {number:.4g} at epoch {epoch}"
            f"{times.get(telltale.in_a_row, f', {telltale.in_a_row} times in a row')}"
            f"{telltale.target and f' near {telltale.target}'}:\n  {telltale.description}."
            + (f"\n  Usual cure: {cure}." if cure else ""),
            flush=True,
        )
        line = {"epoch": epoch, "step": step_of(self.model), "metric": telltale.metric}
        line |= {"value": finite_or_none(number), "target": telltale.target}
        line |= {"description": telltale.description, "cure": cure}
        append_line(self.path, line)


def _is_meant(telltale, logs):
    """What is not finite is said of a finite loss: another ends the training."""
    return not math.isnan(telltale.value) or math.isfinite(logs.get("loss", 0.0))


def _rows_until(path, epoch):
    """Rows of a log up to an epoch, NaN where they have null."""
    for line in [] if path is None else json_lines(path):
        if line["epoch"] <= epoch:
            yield {name: math.nan if value is None else value for name, value in line.items()}


def _said_in(path):
    """{(metric, target)} of the lines of a file."""
    return {(line["metric"], line["target"]) for line in json_lines(path)}
