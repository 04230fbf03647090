"""Replicas: gather and mean over them, with gradients, so that a loss sees the global batch.

On one replica both are the identity. The gradient of a gather sums what every replica asks of a
row, so with the loss divided by the number of replicas (as the base class does) two replicas of B
images give the gradient of one replica of 2B.
"""

import threading
from collections.abc import Callable, Iterable

import tensorflow as tf

from keras_ssl.core.errors import UserError


def num_replicas() -> int:
    """Number of replicas of the current `tf.distribute` strategy; 1 outside of any."""
    context = tf.distribute.get_replica_context()
    return context.num_replicas_in_sync if context is not None else 1


def all_gather(x: tf.Tensor) -> tf.Tensor:
    """The rows of all replicas, in replica order: (batch, ...) -> (global batch, ...).

    Every replica has as many rows.
    """
    if num_replicas() == 1:
        return x
    rows = tf.distribute.get_replica_context().all_gather(x, axis=0)
    # TensorFlow's gather forgets the shape, and cannot sum gradients that come as slices (those of
    # `take`); the gradient of a reshape is dense.
    rows = tf.reshape(rows, tf.shape(rows))
    rows.set_shape((x.shape[0] and x.shape[0] * num_replicas(), *x.shape[1:]))
    return rows


def known_rows(x: tf.Tensor) -> int:
    """The number of rows of `x`, for a loss that cannot do without it.

    Raises:
        UserError: if the number is not known when the step is traced.
    """
    if x.shape[0] is None:
        raise UserError(
            "The loss needs batches of one size. Received batches of unknown size: make the data "
            "set by batch(size, drop_remainder=True)."
        )
    return x.shape[0]


def all_mean(x: tf.Tensor) -> tf.Tensor:
    """Mean of `x` over the replicas."""
    if num_replicas() == 1:
        return x
    return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.MEAN, x)


def all_true(x: tf.Tensor) -> tf.Tensor:
    """Whether the boolean scalar `x` is true on all replicas."""
    if num_replicas() == 1:
        return x
    false = tf.cast(tf.logical_not(x), tf.float32)
    return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, false) == 0


class Collected:
    """What the parts of one training step leave for its end, apart for each replica.

    Replicas are threads. Outside of a step, between `take` and `begin`, nothing is kept.
    """

    def __init__(self):
        self._own = threading.local()

    def begin(self):
        """Begin a step of this replica."""
        self._own.values = []

    def add(self, make: Callable[[], tf.Tensor]):
        """Keep what `make` returns; it is not called outside of a step."""
        values = getattr(self._own, "values", None)
        if values is not None:
            values.append(make())

    def take(self) -> list[tf.Tensor]:
        """What this replica's step has added; ends the step."""
        values, self._own.values = self._own.values, None
        return values


class AddedLosses:
    """Losses that layers added in this step, apart for each replica.

    Replicas are threads, and share the list in which Keras keeps a layer's losses: what one of them
    took belongs to no other.
    """

    def __init__(self):
        self._own = threading.local()
        self._taken = []  # by any replica; held, so that no other loss gets the same identity

    def clear(self):
        """Begin a step of this replica."""
        self._own.losses = []
        self._taken.clear()

    def extend(self, losses: Iterable[tf.Tensor]):
        """Add to this replica's those of `losses` that no replica has taken yet."""
        fresh = [loss for loss in losses if all(loss is not taken for taken in self._taken)]
        self._taken.extend(fresh)
        self._own.losses = [*getattr(self._own, "losses", []), *fresh]

    def total(self) -> tf.Tensor | int:
        """The sum of this replica's losses in this step: a scalar, 0 without any."""
        return sum(self._own.losses)
