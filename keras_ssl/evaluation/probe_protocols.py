"""The published ways to train a linear classifier on frozen features, as data."""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass

import tensorflow as tf


@dataclass(frozen=True)
class ProbeProtocol:
    """Everything that the training of a probe depends on, but for the features and the seed.

    `dataclasses.replace` makes another one; its rows then carry another protocol.

    Attributes:
        source: str. Where the settings were published.
        optimizer: str. A key of `OPTIMIZERS`.
        learning_rates: floats > 0. The grid; one for no choice.
        l1: floats >= 0. Weights of the sum of |W| in the loss, biases left out; the grid.
        epochs: int >= 1.
        batch_size: int >= 1. All images if there are fewer.
        schedule: str. A key of `SCHEDULES`; moves once an epoch.
        per_256: bool. Whether a learning rate is that of 256 images, to be scaled with the batch.
        weight_std: float > 0 or None. Deviation of the normal distribution that weights start
            from, with biases at 0; None for uniform in +-1 / sqrt(features), both.
        hold_out: float in (0, 1). Share of each class that the grid is judged by.
    """

    source: str
    optimizer: str
    learning_rates: tuple
    l1: tuple = (0.0,)
    epochs: int = 100
    batch_size: int = 256
    schedule: str = "constant"
    per_256: bool = False
    weight_std: float | None = None
    hold_out: float = 0.1

    def rate(self, learning_rate, batch_size):
        """`learning_rate` for batches of `batch_size` images."""
        return learning_rate * batch_size / 256 if self.per_256 else learning_rate

    def settings(self):
        """The protocol as JSON values."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}


PROBES = {
    # The paper says Nesterov; the released code, which this follows, does not use it. Its loss is
    # multiplied by the learning rate and descended at rate 1, which gives the same weights.
    "sem_sgd": ProbeProtocol(
        "Lavoie et al., Simplicial Embeddings, appendix B.2, with the momentum of its code",
        "sgd",
        learning_rates=(0.5, 0.1, 0.05, 0.01),
        l1=(0.0, 1e-6, 1e-5),
        schedule="steps",
    ),
    "lars": ProbeProtocol(
        "Chen and He 2021, SimSiam, section A, main_lincls.py (LARC, not clipped); SimMER",
        "larc",
        learning_rates=(0.1,),
        epochs=90,
        batch_size=4096,
        schedule="cosine",
        per_256=True,
        weight_std=0.01,
    ),
    "adam": ProbeProtocol(
        "Sansone et al. 2025, CPLearn: Adam at 0.01 for 100 epochs; its batch is not stated",
        "adam",
        learning_rates=(0.01,),
    ),
}

# share of the training that is over -> factor of the learning rate
SCHEDULES = {
    "constant": lambda share: 1.0,
    "steps": lambda share: 0.1 ** ((share >= 0.6) + (share >= 0.8)),
    "cosine": lambda share: 0.5 * (1.0 + math.cos(math.pi * share)),
}


@dataclass(frozen=True)
class ProbeOptimizer:
    """An optimizer of many probes at once.

    Attributes:
        slots: int. Tensors that it keeps for each tensor of weights, from zero on.
        step: `(weights (P, ...), gradients, slots, rate (P, 1...), number)` -> new weights and
            tuple of slots; `number` counts the steps from 1, as a float.
    """

    slots: int
    step: Callable


def _sgd(weights, gradients, slots, rate, _):
    velocity = 0.9 * slots[0] + gradients
    return weights - rate * velocity, (velocity,)


def _larc(weights, gradients, slots, rate, number):
    axes = list(range(1, weights.shape.rank))  # each probe has norms of its own
    size, slope = (
        tf.sqrt(tf.reduce_sum(tf.square(x), axis=axes, keepdims=True)) for x in (weights, gradients)
    )
    trust = tf.where((size > 0) & (slope > 0), 0.001 * size / (slope + 1e-8), 1.0)
    return _sgd(weights, trust * gradients, slots, rate, number)


def _adam(weights, gradients, slots, rate, number):
    mean = 0.9 * slots[0] + 0.1 * gradients
    square = 0.999 * slots[1] + 0.001 * tf.square(gradients)
    scale = tf.sqrt(square / (1.0 - 0.999**number)) + 1e-8
    return weights - rate * mean / (1.0 - 0.9**number) / scale, (mean, square)


OPTIMIZERS = {
    "sgd": ProbeOptimizer(1, _sgd),
    "larc": ProbeOptimizer(1, _larc),
    "adam": ProbeOptimizer(2, _adam),
}
