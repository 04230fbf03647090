"""Checkpoints that survive a kill: written aside and renamed, resumed bit for bit.

One file holds every weight of the method (targets and queues included), the optimizer's slots and
its counter. Data order and augmentation derive from the step, so the step is all else it needs.
"""

import re
import signal
import threading
from pathlib import Path

import keras

from keras_ssl.core.errors import UserError
from keras_ssl.core.files import save_model
from keras_ssl.training.divergence import check_finite

_NAME = re.compile(r"step-(\d+)\.weights\.h5")


def latest_step(directory: str | Path) -> int | None:
    """The last step with a complete checkpoint in `directory`, or None."""
    found = [_NAME.fullmatch(path.name) for path in Path(directory).glob("step-*")]
    return max((int(match[1]) for match in found if match), default=None)


def save(method: keras.Model, directory: str | Path, step: int):
    """Write the state of a compiled method at `step`; earlier ones stay until it is whole.

    Raises:
        OSError: if the disk is full or not writable; no earlier checkpoint is harmed.
    """
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    save_model(method.save_weights, directory / f"step-{step:08d}.weights.h5")


def restore(method: keras.Model, directory: str | Path, step: int):
    """Load the checkpoint of `step` into a method built and compiled like the saved one."""
    path = Path(directory) / f"step-{step:08d}.weights.h5"
    if not method.optimizer.built:
        with method.distribute_strategy.scope():  # where the weights are, the slots must be too
            method.optimizer.build(method.trainable_variables)
    try:
        method.load_weights(path)
    except (ValueError, KeyError, OSError) as error:
        raise UserError(f"Checkpoint {path} does not fit this run: {error}") from error


class Stopped(Exception):
    """Ends `fit` in the middle of an epoch, whose end then happens to no callback."""


class Checkpoints(keras.callbacks.Callback):
    """Save at the end of every epoch, and where a signal stops the run in the middle of one.

    The first SIGINT or SIGTERM lets the step in flight finish, saves and ends `fit`, by `Stopped`
    unless the epoch ends too; `interrupted` is then True. A second one stops at once. Signals reach
    the main thread only: a `fit` in another one leaves them alone.

    Args:
        directory: where the checkpoints go.
        step: int. Steps (batches) done before this `fit`.
        keep: int > 0. How many of the newest checkpoints stay.

    Raises:
        Diverged: in the place of saving weights that are not finite.

    Example:

    >>> import tempfile
    >>> directory = tempfile.mkdtemp()
    >>> model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> x = tf.zeros((4, 1))
    >>> fit = model.fit(x, x, epochs=3, verbose=0, callbacks=[Checkpoints(directory)])
    >>> latest_step(directory)
    3
    """

    def __init__(self, directory: str | Path, *, step: int = 0, keep: int = 2):
        super().__init__()
        self.directory = Path(directory)
        self.step = step
        self.keep = keep
        self.interrupted = False
        self._handlers = {}

    def on_train_begin(self, logs: dict | None = None):
        if threading.current_thread() is not threading.main_thread():
            return
        for name in (signal.SIGINT, signal.SIGTERM):
            self._handlers[name] = signal.signal(name, self._stop)

    def on_train_batch_end(self, batch: int, logs: dict | None = None):
        self.step += 1
        if self.interrupted and batch + 1 != self.params["steps"]:
            self._save()
            raise Stopped

    def on_epoch_end(self, epoch: int, logs: dict | None = None):
        self._save()
        if self.interrupted:
            self.model.stop_training = True

    def on_train_end(self, logs: dict | None = None):
        self.restore_handlers()

    def restore_handlers(self):
        """Give the signals back to whoever had them; harmless to repeat."""
        while self._handlers:
            name, handler = self._handlers.popitem()
            signal.signal(name, handler)

    def _save(self):
        check_finite(self.model)
        save(self.model, self.directory, self.step)
        for old in sorted(self.directory.glob("step-*"))[: -self.keep]:
            old.unlink()

    def _stop(self, number, frame):
        if self.interrupted:
            self.restore_handlers()
            raise KeyboardInterrupt
        self.interrupted = True
