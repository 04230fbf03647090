"""Stop a training whose loss or weights are no numbers any more, and say why."""

import math

import keras
from keras import ops

from keras_ssl.core.errors import UserError

_SMALLEST_SCALE = 1e-4  # of a loss, as in fairseq: from 2**15 on, 29 steps in a row were skipped


class Diverged(UserError):
    """A training that cannot get better: its loss, its weights or its gradients are not finite."""


class StopAtDivergence(keras.callbacks.Callback):
    """End `fit` by `Diverged` when the loss is not finite or the loss scale only falls.

    It looks at every `every`th step and at the end of every epoch, before validation, since a look
    waits for the device. Put it before callbacks that save. The model is a `keras_ssl.Method`.

    Args:
        every: int > 0. Steps between two looks.
        step: int. Steps (batches) done before this `fit`.

    Raises:
        Diverged: with the step and the likely cause.

    Example:

    >>> import keras_ssl
    >>> method = keras_ssl.create("simclr", backbone="tiny", input_shape=(8, 8, 1))
    >>> method.compile("sgd")
    >>> views = {"global": keras.random.normal((4, 2, 8, 8, 1), seed=1)}
    >>> data = tf.data.Dataset.from_tensors(views)
    >>> fit = method.fit(data, verbose=0, callbacks=[StopAtDivergence()])
    >>> len(fit.history["loss"])
    1
    """

    def __init__(self, every: int = 25, *, step: int = 0):
        super().__init__()
        self.every = every
        self.step = step
        self._logs = {}

    def on_epoch_begin(self, epoch: int, logs: dict | None = None):
        self._epoch = epoch + 1

    def on_train_batch_end(self, batch: int, logs: dict | None = None):
        self.step += 1
        self._logs = logs
        if (batch + 1) % self.every == 0:
            self._check()

    def on_test_begin(self, logs: dict | None = None):
        self._check()  # validation begins by resetting what counts the steps

    def on_epoch_end(self, epoch: int, logs: dict | None = None):
        self._check()

    def _check(self):
        failed, seen = self.model.failed_steps()
        scale = getattr(self.model.optimizer, "dynamic_scale", None)
        if scale is None:
            diverged = failed > 0
        else:  # a step may be skipped
            diverged = float(ops.convert_to_numpy(scale)) < _SMALLEST_SCALE
            diverged = diverged or (failed == seen > 1 and not math.isfinite(self._logs["loss"]))
        if diverged:
            raise Diverged(_report(self.model, self.step, self._epoch, failed, seen))


def check_finite(model: keras.Model):
    """Refuse weights, or slots of the optimizer, that are not all finite.

    Raises:
        Diverged: with the number of updates.
    """
    variables = [*model.variables, *model.optimizer.variables]
    numbers = [variable for variable in variables if "float" in variable.dtype]
    if not bool(ops.all(ops.stack([ops.all(ops.isfinite(v)) for v in numbers]))):
        updates = int(model.step)
        raise Diverged(
            f"Training diverged: after {updates} updates there are weights that are not finite. "
            f"{_cause(model, updates - 1)} Nothing was written; earlier checkpoints stay."
        )


def _report(model, step, epoch, failed, seen):
    first = f"step {step - failed + 1} (epoch {epoch})"
    what, good = f"the loss or its gradients are not finite from {first} on.", model.step - failed
    if hasattr(model.optimizer, "dynamic_scale"):
        good = model.step
        what = (
            f"{failed} of the {seen} steps up to step {step} (epoch {epoch}) were skipped, as the "
            "gradients were not finite at any loss scale."
        )
    return f"Training diverged: {what} {_cause(model, int(good))} Earlier checkpoints stay."


def _cause(model, good):
    """The likely cause, and what to do about it, after so many updates that were good."""
    if good < 1:
        cause = "It began so: look for images and settings of the loss that are not finite"
    else:
        rate = float(ops.convert_to_numpy(model.optimizer.learning_rate))
        cause = (
            f"The learning rate, now {rate:.3g}, is likely too large: try a tenth of it, a longer "
            "warm-up or optimizer.clipnorm"
        )
    half = model.dtype_policy.compute_dtype
    return f"{cause}." if half == "float32" else f"{cause}; or float32 in the place of {half}."
