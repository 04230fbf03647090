"""Train many linear classifiers of the same minibatches in one compiled computation.

R representations are read from one array, and P probes are trained on each: their weights lie
stacked as (R, P, classes, features), so that a step costs two matrix products whatever P is, and
features are gathered (and temperatures applied) once for all probes.
"""

import functools
import math

import numpy as np
import tensorflow as tf

from keras_ssl.evaluation.probe_protocols import OPTIMIZERS, SCHEDULES


def as_one(features):
    """The reading of features that are one representation as they are: (B, F) -> (1, B, F)."""
    return features[None]


def train_probes(features, labels, rates, l1, protocol, *, classes, read=as_one, rows=None, seed=0):
    """Train a probe for every entry of `rates`; each becomes what it would become alone.

    All probes start from the same weights and see the same minibatches, which are drawn anew each
    epoch; images that do not fill a last minibatch wait for the next epoch.

    Args:
        features: float32 (N, E), array or tensor; or a function `epoch -> float32 (N, E)` for
            augmented ones.
        labels: int (N,) in [0, classes).
        rates: float (R, P) > 0. Learning rates, as the optimizer shall use them.
        l1: float (R, P) >= 0.
        protocol: `ProbeProtocol`. Its epochs, batch size, schedule, optimizer and start.
        classes: int >= 2.
        read: `tensor (B, E) -> (R, B, F)`.
        rows: int (n,) or None. The images to train on; None for all.
        seed: int. Draws the start and the minibatches.

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
        state = run(state, now, labels, tf.constant(order, tf.int32), rate, tf.constant(l1))
    return state["weights"]


def probe_logits(weights, features, *, read=as_one, block=1024):
    """Scores of all probes, some images at a time: yields (rows, logits (R, rows, P, classes)).

    Args:
        weights: as `train_probes` returns them.
        features: float32 (N, E).
        read: as for `train_probes`.
        block: int >= 1. Images at a time.
    """
    for start in range(0, len(features), block):
        rows = slice(start, start + block)
        part = read(tf.convert_to_tensor(features[rows], tf.float32))
        yield rows, _scores(*weights, part).numpy()


def _start(shape, classes, width, protocol, draw):
    """Weights, slots and number of steps before the first one."""
    if protocol.weight_std is None:
        bound = 1 / math.sqrt(width)
        weights, bias = (draw.uniform(-bound, bound, s) for s in [(classes, width), (classes,)])
    else:
        weights, bias = draw.normal(0, protocol.weight_std, (classes, width)), np.zeros(classes)
    tensors = tuple(
        tf.constant(np.broadcast_to(x, (*shape, *x.shape)), tf.float32) for x in (weights, bias)
    )
    slots = OPTIMIZERS[protocol.optimizer].slots
    return {
        "weights": tensors,
        "slots": tuple(tuple(tf.zeros_like(x) for _ in range(slots)) for x in tensors),
        "number": tf.constant(0.0),
    }


@functools.lru_cache(maxsize=8)
def _epoch(read, optimizer):
    """The compiled epoch: one trace for each shape of the grid, kept from call to call."""
    move = OPTIMIZERS[optimizer].step

    # XLA makes one pass of the update where TensorFlow makes seven; matrix products and softmaxes
    # it would run on a single core.
    @tf.function(jit_compile=True)
    def update(weights, gradients, slots, rate, l1, number):
        axes = [1] * (weights.shape.rank - 2)
        rate, l1 = (tf.reshape(x, x.shape + axes) for x in (rate, l1))
        # sign(0) = 0: the subgradient that the authors' framework takes.
        return move(weights, gradients + l1 * tf.sign(weights), slots, rate, number)

    @tf.function
    def epoch(state, features, labels, order, rate, l1):
        penalties = (l1, tf.zeros_like(l1))  # of weights and of biases

        def step(i, state):
            rows, number = order[i], state["number"] + 1.0
            batch, right = read(tf.gather(features, rows)), tf.gather(labels, rows)
            gradients = _gradients(*state["weights"], batch, right)
            moved = [
                update(weights, gradient, slots, rate, penalty, number)
                for weights, gradient, slots, penalty in zip(
                    state["weights"], gradients, state["slots"], penalties, strict=True
                )
            ]
            weights, slots = zip(*moved, strict=True)
            return i + 1, {"weights": weights, "slots": slots, "number": number}

        more = lambda i, _: i < tf.shape(order)[0]  # noqa: E731
        return tf.while_loop(more, step, (0, state), parallel_iterations=1)[1]

    return epoch


def _gradients(weights, biases, batch, labels):
    """Gradients of the mean cross-entropy of every probe; batch: (R, B, F), labels: (B,)."""
    representations, probes, classes, _ = weights.shape
    wrong = tf.nn.softmax(_scores(weights, biases, batch))  # (R, B, P, classes)
    wrong -= tf.one_hot(labels, classes)[None, :, None]
    wrong /= tf.cast(tf.shape(labels)[0], tf.float32)
    slope = tf.reshape(wrong, (representations, -1, probes * classes))
    slope = tf.matmul(slope, batch, transpose_a=True)
    return tf.reshape(slope, weights.shape), tf.reduce_sum(wrong, axis=1)


def _scores(weights, biases, batch):
    representations, probes, classes, width = weights.shape
    flat = tf.reshape(weights, (representations, probes * classes, width))
    scores = tf.matmul(batch, flat, transpose_b=True) + tf.reshape(
        biases, (representations, 1, probes * classes)
    )
    return tf.reshape(scores, (representations, -1, probes, classes))
