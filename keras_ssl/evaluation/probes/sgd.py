"""Linear probes by gradient descent, a whole grid of settings at once (see `sgd_training`)."""

import functools
import itertools
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from keras_ssl.core.errors import UserError, lookup
from keras_ssl.evaluation.probes.sgd_training import (
    OPTIMIZERS,
    SCHEDULES,
    as_one,
    as_tensor,
    forget_steps,
    probe_logits,
    train_probes,
)
from keras_ssl.evaluation.results import Measurement
from keras_ssl.evaluation.rows import Rows, as_rows
from keras_ssl.evaluation.splits import held_out, held_out_per_class, noted_alone
from keras_ssl.evaluation.validation import (
    checked_classes,
    checked_labels,
    checked_pair,
    checked_row_pair,
)


@dataclass(frozen=True)
class ProbeProtocol:
    """Everything that the training of a probe depends on, except the features and the seed.

    `dataclasses.replace` makes another one; its results then carry another protocol.

    Attributes:
        source: str. Where the settings were published.
        optimizer: str. A key of `OPTIMIZERS`.
        learning_rates: floats > 0. The grid; one for no choice.
        l1: floats >= 0. Weights of the sum of |W| in the loss, without biases; the grid.
        epochs: int >= 1.
        batch_size: int >= 1. All images if there are fewer.
        schedule: str. A key of `SCHEDULES`; moves once per epoch.
        per_256: bool. Whether a learning rate is that of 256 images, to be scaled with the batch.
        weight_std: float > 0 or None. Standard deviation of the normal distribution of the initial
            weights, with biases at 0; None for uniform in +-1 / sqrt(features), both.
        hold_out: float in (0, 1). Fraction of each class that chooses among the grid.
        hold_out_per_class: int >= 1 or None. Images of each class that do, in place of a fraction.

    Example:

    >>> ProbeProtocol("mine", "sgd", (0.1, 1.0), per_256=True).rate(0.1, 512)
    0.2
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
    hold_out_per_class: int | None = None

    def rate(self, learning_rate: float, batch_size: int) -> float:
        """`learning_rate` for batches of `batch_size` images."""
        return learning_rate * batch_size / 256 if self.per_256 else learning_rate

    def held_out(self, labels: np.ndarray, seed: int = 0) -> np.ndarray:
        """Sorted numbers of the images that choose among the grid."""
        if self.hold_out_per_class is None:
            return held_out(labels, self.hold_out, seed)
        return held_out_per_class(labels, self.hold_out_per_class, seed)

    def settings(self) -> dict:
        """The protocol as JSON values, with the one of the two ways to hold out that it takes."""
        unused = "hold_out_per_class" if self.hold_out_per_class is None else "hold_out"
        fields = {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}
        return {k: v for k, v in fields.items() if k != unused}


# The paper says Nesterov, which is the optimizer "nesterov"; the released code, which this follows,
# does not use it. Its loss is multiplied by the learning rate and descended at rate 1, which gives
# the same weights.
_SEM = ProbeProtocol(
    "Lavoie et al., Simplicial Embeddings, appendix B.2, with the momentum of its code",
    "sgd",
    learning_rates=(0.5, 0.1, 0.05, 0.01),
    l1=(0.0, 1e-6, 1e-5),
    schedule="steps",
)

PROBES = {
    "sem_sgd": _SEM,
    "sem_sgd_imagenet": replace(_SEM, hold_out_per_class=10),
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


def probe_grid(
    train: ArrayLike | Rows,
    train_labels: ArrayLike,
    test: ArrayLike | Rows,
    test_labels: ArrayLike,
    *,
    protocol: str | ProbeProtocol = "sem_sgd",
    names: Sequence[str] = ("features",),
    read: Callable[[tf.Tensor], Sequence[tf.Tensor]] = as_one,
    views: Callable[[int, int], np.ndarray] | None = None,
    seeds: Sequence[int] = (0,),
    memory: float = float("inf"),
) -> dict[str, Measurement]:
    """Train the probes of a published protocol, choose on held-out labels, train the best again.

    The first seed holds out some images of every class; the probes of the whole grid train on the
    rest, for all representations in one compiled computation. For each representation the settings
    with the best top-1 on the held-out part (of equals the first) train once more on everything,
    once per seed. A protocol without a choice goes straight to that.

    Minibatches are gathered from the features some at a time, so that those may be an `np.memmap`
    of any size. Probes that do not fit in `memory` together are trained in as few groups as do,
    each by passes of its own over the features.

    Args:
        train, test: float (N, E), or `Rows` of what is stored as (N, E). What all representations
            are read from: the features themselves, or an embedding that `read` turns into them.
        train_labels, test_labels: int (N,). Both parts must have the same classes.
        protocol: a key of `PROBES` or a `ProbeProtocol`.
        names: R names of the representations.
        read: `tensor (B, E) -> R tensors (B, F)`, in a list or stacked; called within each step, so
            that simplices at several temperatures need no more memory than their embedding.
        views: function `(epoch, seed) -> float (N, E)` or None. Features of augmented train images
            in the shape of `train`, or of what its `Rows` store, for training only; held-out images
            are read from `train`. It is called for every epoch of every group.
        seeds: ints. Draw the initial weights, the minibatches and the views; the first one also the
            held-out part.
        memory: float. Bytes that training may take beyond the features.

    Returns:
        {name: `Measurement` of `accuracy` and `top5`}, means over the seeds, with standard
        deviations (ddof 0) where there are several, and the chosen `learning_rate` and `l1` in the
        details, with their `validation` accuracy and the number of `validation_images` where there
        was a choice. Its `classifier` is that
        of the last seed, where all of them take no more than a quarter of `memory`. Accuracies have
        the same bits each time.

    Raises:
        UserError: for features, labels or views that are invalid or do not match, an unknown
            protocol, if all probes diverge, or if not even one fits in `memory`.

    Example:

    >>> features, labels = np.repeat(np.eye(2), 4, axis=0), np.repeat([0, 1], 4)
    >>> probe_grid(features, labels, features, labels)["features"].metrics
    {'accuracy': 100.0, 'top5': 100.0}
    """
    protocol = _checked_protocol(protocol)
    train, labels, test, test_labels = _checked(train, train_labels, test, test_labels)
    reads = [_above(part.read, read) for part in (train, test)]
    data = _Data(
        train.source, labels, test.source, test_labels, *reads, views, tuple(names), memory
    )
    _check_representations(data, seeds)
    try:
        return _measured(data, protocol, seeds)
    finally:
        if data.read is not as_one or data.test_read is not as_one:
            forget_steps()


def _measured(data, protocol, seeds):
    """{name: `Measurement`}: settings are searched, and trained on everything with each seed."""
    labels = data.labels
    grid = list(itertools.product(protocol.learning_rates, protocol.l1))
    best, found = [0] * len(data.names), [{}] * len(data.names)
    settings = protocol.settings() | {
        "views": "cached" if data.views is None else "augmented",
        "last_batch": "dropped",
        "train_images": len(labels),
        "seeds": list(seeds),
    }
    if len(grid) > 1:
        held = protocol.held_out(labels, seeds[0])
        settings |= noted_alone(labels)
        counted = {"validation_images": len(held)}
        if protocol.hold_out_per_class is not None:  # a fraction says it, by the train images
            settings |= counted
        validated = _validated(data, held, grid, protocol, seeds[0])
        best = validated.argmax(axis=1)
        found = [{"validation": 100.0 * float(one.max()), **counted} for one in validated]
    tested = [_tested(data, [grid[i] for i in best], protocol, seed) for seed in seeds]
    return {
        name: _measurement(
            [correct[:, r] for correct, _ in tested],
            settings,
            dict(zip(("learning_rate", "l1"), grid[best[r]], strict=True)) | found[r],
            tested[-1][1][r],
        )
        for r, name in enumerate(data.names)
    }


@dataclass(frozen=True)
class _Data:
    train: np.ndarray
    labels: np.ndarray  # in [0, classes)
    test: np.ndarray
    test_labels: np.ndarray
    read: Callable
    test_read: Callable
    views: Callable | None
    names: tuple
    memory: float

    def drawn(self, epoch, seed):
        """The features of the views of an epoch, which must be as wide as those of the images."""
        features = self.views(epoch, seed)
        if np.shape(features) != self.train.shape:
            raise UserError(
                f"The views have the shape {np.shape(features)}, the train features "
                f"{self.train.shape}: a probe needs views as wide as the images that it is tested "
                "on. Pixels of images that are not square have no such views: take plain features."
            )
        return features

    def fit(self, rows, settings, protocol, seed):
        """Train on `rows`; `settings` (R, P) pairs of learning rate and L1 weight."""
        rates, l1 = np.moveaxis(np.asarray(settings, "float64"), -1, 0)
        rates = protocol.rate(rates, min(protocol.batch_size, len(rows)))
        options = {"classes": int(self.labels.max()) + 1, "read": self.read}
        options |= {"rows": rows, "seed": seed, "memory": self.memory}
        source = self.train if self.views is None else functools.partial(self.drawn, seed=seed)
        return train_probes(source, self.labels, rates, l1, protocol, **options)


def _validated(data, held, grid, protocol, seed):
    """Share of the held-out images that each probe gets right, (representations, settings)."""
    rest = np.setdiff1d(np.arange(len(data.labels)), held)
    shares = np.zeros((len(data.names), len(grid)))
    for chains in data.fit(rest, [grid] * len(data.names), protocol, seed):
        found = _correct(chains, data.train, data.labels, data.read, held)
        for one, correct in zip(chains, found, strict=True):
            shares[one.representation, one.probes] = correct[0].mean(axis=1)
    return shares


def _tested(data, settings, protocol, seed):
    """Train on everything with one pair of settings for each representation.

    Returns:
        correct test predictions, bool (top-1 or top-5, R, images); for each representation its
        weights (classes, F) and biases (classes,), or None where they take too much memory.
    """
    settings = np.asarray(settings)[:, None]
    correct, classifiers, finite = [], [], True
    for chains in data.fit(np.arange(len(data.labels)), settings, protocol, seed):
        for one in chains:
            tensors = (one.weights, one.biases)
            finite &= all(bool(tf.reduce_all(tf.math.is_finite(x))) for x in tensors)
            few = len(data.names) * 4 * np.prod(one.weights.shape) <= data.memory / 4
            classifiers.append(tuple(x[0].numpy() for x in tensors) if few else None)
        if finite:
            found = _correct(chains, data.test, data.test_labels, data.test_read)
            correct += [one[:, 0] for one in found]
    if not finite:
        raise UserError(
            f"The probe diverged at learning rates {sorted({s[0] for s in settings[:, 0]})}: take "
            "smaller learning_rates, or features of a smaller size."
        )
    return np.stack(correct, axis=1), classifiers


def _correct(chains, features, labels, read, rows=None):
    """Whether the label is first, and among the first five: for each chain bool (2, P, images)."""
    labels = labels if rows is None else labels[rows]
    parts = []
    for some, logits in probe_logits(chains, features, read=read, rows=rows):
        parts.append([_ranked(one, labels[some]) for one in logits])
    return [np.concatenate(one, axis=2) for one in zip(*parts, strict=True)]


def _ranked(logits, label):
    """logits: (P, classes, images) -> bool (top-1 or top-5, P, images)."""
    own = np.take_along_axis(logits, label[None, None, :], axis=1)
    # As a stable sort: of equal scores the lower class comes first.
    earlier = np.arange(logits.shape[1])[:, None] < label
    rank = ((logits > own) | ((logits == own) & earlier)).sum(axis=1)
    finite = np.isfinite(logits).all(axis=1)  # a probe that diverged is never correct
    return np.stack([(rank < top) & finite for top in (1, 5)])


def _measurement(correct, protocol, details, classifier):
    """correct: for each seed bool (top-1 or top-5, images)."""
    accuracies = 100.0 * np.stack([one.mean(axis=1) for one in correct])  # (seeds, 2)
    mean, std = (
        dict(zip(("accuracy", "top5"), map(float, values), strict=True))
        for values in (accuracies.mean(axis=0), accuracies.std(axis=0))
    )
    return Measurement(
        mean,
        protocol,
        std=std if len(correct) > 1 else {},
        correct=np.stack([one[0] for one in correct]),
        details=details,
        classifier=classifier,
    )


def _checked(train, train_labels, test, test_labels):
    if isinstance(train, Rows) or isinstance(test, Rows):
        train, test = checked_row_pair(train, test)
    else:
        train, test = map(as_rows, checked_pair(train, test, "float32"))
    labels = checked_labels(train_labels, train, "train")
    test_labels = checked_labels(test_labels, test, "test")
    classes = checked_classes(labels, test_labels)
    return train, np.searchsorted(classes, labels), test, np.searchsorted(classes, test_labels)


def _above(first, read):
    """`read` of what `first`, unless it is None, makes of features."""
    return read if first is None else lambda features: read(first(features))


def _check_representations(data, seeds):
    found = tf.stack(list(data.read(as_tensor(data.train[:1])))).shape
    if found.rank != 3 or found[0] != len(data.names):
        raise UserError(
            f"read must give one matrix for each of {list(data.names)}, stacked. Received shape "
            f"{tuple(found)} for a batch of one image."
        )
    if not len(seeds):
        raise UserError("A probe needs one seed or more.")


def _checked_protocol(protocol):
    if not isinstance(protocol, ProbeProtocol):
        return lookup(PROBES, protocol, "probe")
    lookup(OPTIMIZERS, protocol.optimizer, "probe optimizer")
    lookup(SCHEDULES, protocol.schedule, "probe schedule")
    if not (protocol.learning_rates and protocol.l1 and min(protocol.learning_rates) > 0):
        raise UserError("A probe needs learning rates above 0 and at least one L1 weight.")
    if min(protocol.epochs, protocol.batch_size) < 1 or not 0 < protocol.hold_out < 1:
        raise UserError(
            "A probe needs 1 epoch or more, batches of 1 or more, and hold_out between 0 and 1."
        )
    if protocol.hold_out_per_class is not None and protocol.hold_out_per_class < 1:
        raise UserError(
            f"hold_out_per_class={protocol.hold_out_per_class} leaves nothing to choose by: give 1 "
            "or more, or None for the fraction hold_out."
        )
    return protocol
