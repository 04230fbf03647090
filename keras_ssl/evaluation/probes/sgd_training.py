"""Train many linear classifiers of the same minibatches in one compiled computation.

R representations are read from one array, and P probes are trained on each. Probes of one
representation are stacked in chains, as (P, classes, features), so that a step costs two matrix
products for each chain, and minibatches are read (and temperatures applied) once for all of them.
Chains that do not fit in memory together are trained one group after the other.
"""

import functools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from keras_ssl.core.detection import detect
from keras_ssl.core.errors import UserError
from keras_ssl.evaluation.probes.minibatches import LOADED, chunk_bytes, minibatches
from keras_ssl.evaluation.rows import BLOCK_VALUES, gib

# Weights of a chain, 128 MiB in float32. It is the same whatever the memory, so that results are
# too: matrix products round by their shape.
CHAIN_VALUES = 2**25
_READ = 3  # tensors of a minibatch that reading a representation of it takes

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


def _nesterov(weights, gradients, slots, rate, _):
    velocity = 0.9 * slots[0] + gradients
    return weights - rate * (gradients + 0.9 * velocity), (velocity,)


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
    "nesterov": ProbeOptimizer(1, _nesterov),
    "larc": ProbeOptimizer(1, _larc),
    "adam": ProbeOptimizer(2, _adam),
}


def as_one(features: tf.Tensor) -> tf.Tensor:
    """Features that are one representation as they are: (B, F) -> (1, B, F)."""
    return features[None]


@dataclass(frozen=True)
class Chain:
    """Probes of one representation that are trained by the same matrix products.

    Attributes:
        representation: int. Its number.
        probes: slice. Which of its probes these are.
        weights: float32 (P, classes, F), a `tf.Variable` while they are trained.
        biases: float32 (P, classes), likewise.
        slots: for weights and biases the tuple of tensors that the optimizer keeps.
    """

    representation: int
    probes: slice
    weights: tf.Variable
    biases: tf.Variable
    slots: tuple = ((), ())


def train_probes(
    features: ArrayLike | Callable[[int], np.ndarray],
    labels: np.ndarray,
    rates: ArrayLike,
    l1: ArrayLike,
    protocol,
    *,
    classes: int,
    read: Callable[[tf.Tensor], Sequence[tf.Tensor]] = as_one,
    rows: np.ndarray | None = None,
    seed: int = 0,
    memory: float = float("inf"),
) -> Iterator[list[Chain]]:
    """Train a probe for every entry of `rates`; each becomes what it would become alone.

    All probes start from the same weights and see the same minibatches, which are drawn anew each
    epoch; images that do not fill a last minibatch wait for the next epoch. The next group is
    trained when it is asked for; the chains of the one before have no values from then on.

    Args:
        features: (N, E), an array that may be an `np.memmap`: float, or the integers that `read`
            takes. Or a function `epoch -> (N, E)` for augmented ones, called for each group.
        labels: int (N,) in [0, classes).
        rates: float (R, P) > 0. Learning rates, as the optimizer uses them.
        l1: float (R, P) >= 0.
        protocol: `ProbeProtocol`. Its epochs, batch size, schedule, optimizer, `weight_std`.
        classes: int >= 2.
        read: `tensor (B, E) -> R tensors (B, F)`, in a list or stacked.
        rows: int (n,) or None. The images to train on; None for all.
        seed: int. Draws the initial weights and the minibatches.
        memory: float. Bytes that training may take; as few groups as fit. They change no bit,
            unless not even `CHAIN_VALUES` weights fit.

    Yields:
        For each group the list of its `Chain`s.

    Raises:
        UserError: if not even one probe fits in `memory`.
    """
    rows = np.arange(len(labels)) if rows is None else rows
    batch = min(protocol.batch_size, len(rows))
    rates, l1 = (np.asarray(x, "float32") for x in (rates, l1))
    labels = np.asarray(labels, "int32")
    at = features if callable(features) else lambda _: features
    first = at(0)
    width = read(as_tensor(first[:1]))[0].shape[-1]
    slots = OPTIMIZERS[protocol.optimizer].slots
    groups = _groups(rates.shape, (classes, width), batch, slots, memory)
    for group in groups:
        draw = np.random.RandomState(seed)  # its stream is frozen; that of default_rng is not
        chains = _start(group, (classes, width), protocol, draw)
        run = _steps(read, protocol.optimizer, tuple(r for r, _ in group))
        state = [((one.weights, one.biases), one.slots) for one in chains]
        penalties = [tf.constant(l1[part]) for part in group]
        number = 0
        for epoch in range(protocol.epochs):
            now = None  # views of the epoch before make room for the next
            now, first = at(epoch) if first is None else first, None
            order = draw.permutation(rows)[: len(rows) // batch * batch].reshape(-1, batch)
            factor = np.float32(SCHEDULES[protocol.schedule](epoch / protocol.epochs))
            rate = [tf.constant(factor * rates[part]) for part in group]
            for some, steps, chunk in minibatches(now, order, chunk_bytes(memory)):
                label = np.resize(labels[some], (len(chunk), batch))
                counts = tf.constant(steps), tf.constant(number, tf.float32)
                run(state, chunk, label, *counts, rate, penalties)
                number += steps
        now = None
        try:
            yield chains
        finally:
            for variable in tf.nest.flatten([(x.weights, x.biases, x.slots) for x in chains]):
                # A function keeps the handles of the variables that it was traced with; so it is
                # their memory that is freed.
                tf.raw_ops.AssignVariableOp(resource=variable.handle, value=tf.zeros(()))


def forget_steps() -> None:
    """Let go of what is compiled, and with it of the models that it reads representations by."""
    _steps.cache_clear()
    _logits.cache_clear()


def as_tensor(features: np.ndarray) -> tf.Tensor:
    """Features as `read` takes them: float32, unless they are integers."""
    features = np.asarray(features)
    return tf.constant(features, "float32" if features.dtype.kind == "f" else features.dtype)


def probe_logits(
    chains: Sequence[Chain],
    features: ArrayLike,
    *,
    read: Callable[[tf.Tensor], Sequence[tf.Tensor]] = as_one,
    rows: np.ndarray | None = None,
    block: int | None = None,
) -> Iterator[tuple[slice, list[np.ndarray]]]:
    """Logits of all probes, some images at a time.

    Args:
        chains: list of `Chain`.
        features, read: as for `train_probes`.
        rows: int (n,) or None. Numbers of the images; None for all.
        block: int >= 1. Images at a time; None for 1,024, or fewer of wide features.

    Yields:
        (slice of the images, or of `rows`, for each chain the logits (P, classes, images)).
    """
    scores = _logits(read, tuple(one.representation for one in chains))
    tensors = [(tf.convert_to_tensor(x) for x in (one.weights, one.biases)) for one in chains]
    tensors = [tuple(pair) for pair in tensors]
    if block is None:
        block = max(1, min(1024, BLOCK_VALUES // tensors[0][0].shape[-1]))
    count = len(features) if rows is None else len(rows)
    for start in range(0, count, block):
        some = slice(start, min(start + block, count))
        found = scores(tensors, as_tensor(features[some if rows is None else rows[some]]))
        yield some, [one.numpy() for one in found]


def _groups(shape, sizes, batch, slots, memory):
    """Lists of chains, as (representation, slice of its probes), that fit in memory together."""
    representations, probes = shape
    classes, width = sizes
    probe = 4 * classes * (width + 1) * (2 + slots)  # weights, slots and gradients
    reading = 4 * _READ * batch * width
    always = LOADED * chunk_bytes(memory) + reading
    fits = (memory - always - reading) / probe
    if fits < 1:
        raise UserError(
            f"A linear probe of {classes:,} classes on {width:,} features needs "
            f"{gib(always + reading + probe)}: {gib(probe)} for weights, optimizer and gradients, "
            f"{gib(always + reading)} for minibatches of {batch:,}. {gib(memory)} is the limit: "
            "raise evaluation.memory, or take fewer features or a smaller batch."
        )
    most = max(1, min(probes, CHAIN_VALUES // (classes * width), fits))
    parts = math.ceil(probes / int(most))
    cuts = [round(i * probes / parts) for i in range(parts + 1)]
    groups, held = [[]], always
    for r in range(representations):
        for i, cut in enumerate(cuts[:-1]):
            needed = probe * (cuts[i + 1] - cut) + (reading if i == 0 or not groups[-1] else 0)
            if groups[-1] and held + needed > memory:
                groups, held = [*groups, []], always
                needed = probe * (cuts[i + 1] - cut) + reading
            groups[-1].append((r, slice(cut, cuts[i + 1])))
            held += needed
    return groups


def _start(group, sizes, protocol, draw):
    """The `Chain`s of a group before the first step."""
    classes, width = sizes
    if protocol.weight_std is None:
        bound = 1 / math.sqrt(width)
        start = [draw.uniform(-bound, bound, s) for s in [(classes, width), (classes,)]]
    else:
        start = [draw.normal(0, protocol.weight_std, (classes, width)), np.zeros(classes)]
    start = [x.astype("float32") for x in start]
    number, chains = OPTIMIZERS[protocol.optimizer].slots, []
    for r, probes in group:
        shapes = [(probes.stop - probes.start, *x.shape) for x in start]
        pairs = zip(start, shapes, strict=True)
        tensors = [tf.Variable(tf.broadcast_to(x, shape), False) for x, shape in pairs]
        slots = tuple(
            tuple(tf.Variable(tf.zeros(shape), False) for _ in range(number)) for shape in shapes
        )
        chains.append(Chain(r, probes, *tensors, slots))
    return chains


@functools.lru_cache(maxsize=8)
def _steps(read, optimizer, members):
    """Compiled steps of chains of the representations `members`.

    There is one trace for each shape of the chains and minibatches, kept from call to call.
    """
    move = OPTIMIZERS[optimizer].step

    # XLA makes one pass of the update, in place, where TensorFlow makes seven; its matrix products
    # are slower.
    compiled = functools.partial(tf.function, jit_compile=not detect().xla_failure)
    errors = compiled(_errors)

    @compiled
    def update(tensors, slots, gradients, rate, l1, number):
        penalties = (l1, tf.zeros_like(l1))  # of weights and of biases
        for x, slot, gradient, penalty in zip(tensors, slots, gradients, penalties, strict=True):
            each = [-1] + [1] * (x.shape.rank - 1)
            before = tf.convert_to_tensor(x)
            # sign(0) = 0: the subgradient that the authors' framework takes.
            gradient += tf.reshape(penalty, each) * tf.sign(before)
            kept = tuple(tf.convert_to_tensor(one) for one in slot)
            after = move(before, gradient, kept, tf.reshape(rate, each), number)
            for variable, value in zip((x, *slot), (after[0], *after[1]), strict=True):
                variable.assign(value)

    @tf.function
    def steps(chains, batches, labels, count, number, rates, l1):
        def step(i, number):
            features, label = read(batches[i]), labels[i]
            number += 1.0
            # One string of operations for each chain: while one updates, which takes a single
            # core, another multiplies; and TensorFlow leaves out a stack in `read`.
            for (tensors, slots), r, rate, penalty in zip(chains, members, rates, l1, strict=True):
                slopes = _gradients(*tensors, features[r], label, errors)
                update(tensors, slots, slopes, rate, penalty, number)
            return i + 1, number

        tf.while_loop(lambda i, _: i < count, step, (0, number), parallel_iterations=1)

    return steps


@functools.lru_cache(maxsize=8)
def _logits(read, members):
    """Compiled logits of chains of the representations `members`."""

    @tf.function
    def logits(tensors, features):
        parts = read(features)
        pairs = zip(members, tensors, strict=True)
        return [_scores(_products(w, parts[r]), b) for r, (w, b) in pairs]

    return logits


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
