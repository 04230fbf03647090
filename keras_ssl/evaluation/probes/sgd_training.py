"""Train many linear classifiers of the same minibatches in one compiled computation.

R representations are read from one array, and P probes are trained on each: their weights lie
stacked as (P, classes, features), so that a step costs two matrix products for each representation
whatever P is, and features are gathered (and temperatures applied) once for all probes.
"""

import functools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from keras_ssl.core.detection import detect

# Fraction of the training that is done -> factor of the learning rate; fine-tuning uses them too.
SCHEDULES = {
    "constant": lambda done: 1.0,
    "steps": lambda done: 0.1 ** ((done >= 0.6) + (done >= 0.8)),
    "cosine": lambda done: 0.5 * (1.0 + math.cos(math.pi * done)),
}


@dataclass(frozen=True)
class ProbeOptimizer:
    """An optimizer of many probes at once.

    Attributes:
        slots: int. Tensors that it keeps for each tensor of weights, zeros at first.
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


def as_one(features: tf.Tensor) -> tf.Tensor:
    """Features that are one representation as they are: (B, F) -> (1, B, F)."""
    return features[None]


def train_probes(
    features: ArrayLike | Callable[[int], np.ndarray],
    labels: np.ndarray,
    rates: ArrayLike,
    l1: ArrayLike,
    protocol,
    *,
    classes: int,
    read: Callable[[tf.Tensor], tf.Tensor] = as_one,
    rows: np.ndarray | None = None,
    seed: int = 0,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Train a probe for every entry of `rates`; each becomes what it would become alone.

    All probes start from the same weights and see the same minibatches, which are drawn anew each
    epoch; images that do not fill a last minibatch wait for the next epoch.

    Args:
        features: float32 (N, E), array or tensor; or a function `epoch -> float32 (N, E)` for
            augmented ones.
        labels: int (N,) in [0, classes).
        rates: float (R, P) > 0. Learning rates, as the optimizer uses them.
        l1: float (R, P) >= 0.
        protocol: `ProbeProtocol`. Its epochs, batch size, schedule, optimizer, `weight_std`.
        classes: int >= 2.
        read: `tensor (B, E) -> (R, B, F)`.
        rows: int (n,) or None. The images to train on; None for all.
        seed: int. Draws the initial weights and the minibatches.

    Returns:
        weights (R, P, classes, F), biases (R, P, classes).
    """
    draw = np.random.RandomState(seed)  # its stream is frozen; that of default_rng is not
    rows = np.arange(len(labels)) if rows is None else rows
    batch = min(protocol.batch_size, len(rows))
    labels, run, state = tf.constant(labels, tf.int32), _epoch(read, protocol.optimizer), None
    rates, l1 = (np.asarray(x, "float32") for x in (rates, l1))
    for epoch in range(protocol.epochs):
        if callable(features) or epoch == 0:
            now = features(epoch) if callable(features) else features
            now = tf.convert_to_tensor(now, tf.float32)
        if state is None:
            width = read(now[:1]).shape[-1]
            state = _start(rates.shape, classes, width, protocol, draw)
        order = draw.permutation(rows)[: len(rows) // batch * batch].reshape(-1, batch)
        factor = np.float32(SCHEDULES[protocol.schedule](epoch / protocol.epochs))
        rate = tf.constant(factor * rates)
        state = run(*state, now, labels, tf.constant(order, tf.int32), rate, tf.constant(l1))
    return tuple(tf.stack(x) for x in zip(*(tensors for tensors, _ in state[0]), strict=True))


def probe_logits(
    weights: tuple[tf.Tensor, tf.Tensor],
    features: ArrayLike,
    *,
    read: Callable[[tf.Tensor], tf.Tensor] = as_one,
    block: int = 1024,
) -> Iterator[tuple[slice, np.ndarray]]:
    """Logits of all probes, some images at a time: yields (rows, logits (R, rows, P, classes)).

    Args:
        weights: as `train_probes` returns them.
        features: float32 (N, E).
        read: as for `train_probes`.
        block: int >= 1. Images at a time.
    """
    for start in range(0, len(features), block):
        rows = slice(start, start + block)
        part = read(tf.convert_to_tensor(features[rows], tf.float32))
        scores = [_scores(_products(w, x), b) for w, b, x in zip(*weights, part, strict=True)]
        yield rows, tf.transpose(scores, (0, 3, 1, 2)).numpy()


def _start(shape, classes, width, protocol, draw):
    """For each representation its (weights, biases) and their slots; and the number of steps, 0."""
    if protocol.weight_std is None:
        bound = 1 / math.sqrt(width)
        weights, bias = (draw.uniform(-bound, bound, s) for s in [(classes, width), (classes,)])
    else:
        weights, bias = draw.normal(0, protocol.weight_std, (classes, width)), np.zeros(classes)
    tensors = tuple(
        tf.constant(np.broadcast_to(x, (shape[1], *x.shape)), tf.float32) for x in (weights, bias)
    )
    slots = tuple((tf.zeros_like(x),) * OPTIMIZERS[protocol.optimizer].slots for x in tensors)
    return [(tensors, slots)] * shape[0], tf.constant(0.0)


@functools.lru_cache(maxsize=8)
def _epoch(read, optimizer):
    """The compiled epoch: one trace for each shape of the grid, kept from call to call."""
    move = OPTIMIZERS[optimizer].step

    # XLA makes one pass of the update where TensorFlow makes seven; its matrix products are slower.
    compiled = functools.partial(tf.function, jit_compile=not detect().xla_failure)
    errors = compiled(_errors)

    @compiled
    def update(tensors, slots, gradients, rate, l1, number):
        moved, penalties = [], (l1, tf.zeros_like(l1))  # of weights and of biases
        for x, slot, gradient, penalty in zip(tensors, slots, gradients, penalties, strict=True):
            each = [-1] + [1] * (x.shape.rank - 1)
            # sign(0) = 0: the subgradient that the authors' framework takes.
            gradient += tf.reshape(penalty, each) * tf.sign(x)
            moved.append(move(x, gradient, slot, tf.reshape(rate, each), number))
        return tuple(zip(*moved, strict=True))

    @tf.function
    def epoch(parts, number, features, labels, order, rates, l1):
        def step(i, parts, number):
            batch, label = read(tf.gather(features, order[i])), tf.gather(labels, order[i])
            number += 1.0
            # One chain of operations for each representation: while one updates, which takes a
            # single core, another multiplies; and TensorFlow then leaves out the stack in `read`.
            parts = [
                update(
                    *part, _gradients(*part[0], batch[r], label, errors), rates[r], l1[r], number
                )
                for r, part in enumerate(parts)
            ]
            return i + 1, parts, number

        more = lambda i, *_: i < tf.shape(order)[0]  # noqa: E731
        return tf.while_loop(more, step, (0, parts, number), parallel_iterations=1)[1:]

    return epoch


def _gradients(weights, biases, batch, labels, errors):
    """Gradients of the mean cross-entropy of every probe; batch: (B, F), labels: (B,)."""
    errors, slope = errors(_products(weights, batch), biases, labels)
    return tf.reshape(tf.matmul(errors, batch[None]), weights.shape), slope


def _errors(products, biases, labels):
    """Gradients of products, (1, P * classes, B), and of biases: softmax minus one-hot labels."""
    scores = _scores(products, biases)
    # The largest score is subtracted, so that no exponential overflows.
    errors = tf.exp(scores - tf.reduce_max(scores, axis=1, keepdims=True))
    errors /= tf.reduce_sum(errors, axis=1, keepdims=True)
    errors -= tf.one_hot(labels, biases.shape[1], axis=0)
    errors /= tf.cast(tf.shape(labels)[0], tf.float32)
    return tf.reshape(errors, tf.shape(products)), tf.reduce_sum(errors, axis=2)


def _products(weights, batch):
    """(1, P * classes, B): the images come last, so that softmaxes run along them side by side."""
    flat = tf.reshape(weights, (1, -1, weights.shape[-1]))
    # A stack of one product: that of two matrices is slower where the second is transposed.
    return tf.matmul(flat, batch[None], transpose_b=True)


def _scores(products, biases):
    return tf.reshape(products, (*biases.shape, -1)) + biases[..., None]  # (P, classes, B)
