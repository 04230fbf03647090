"""Linear probes by gradient descent, a whole grid of settings at once (see `sgd_training`)."""

import functools
import itertools
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from keras_ssl.core.errors import UserError, lookup
from keras_ssl.evaluation.probes.sgd_training import (
    OPTIMIZERS,
    SCHEDULES,
    as_one,
    probe_logits,
    train_probes,
)
from keras_ssl.evaluation.results import Measurement
from keras_ssl.evaluation.splits import held_out, noted_alone
from keras_ssl.evaluation.validation import checked_classes, checked_labels, checked_pair


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

    def rate(self, learning_rate: float, batch_size: int) -> float:
        """`learning_rate` for batches of `batch_size` images."""
        return learning_rate * batch_size / 256 if self.per_256 else learning_rate

    def settings(self) -> dict:
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


def probe_grid(
    train: ArrayLike,
    train_labels: ArrayLike,
    test: ArrayLike,
    test_labels: ArrayLike,
    *,
    protocol: str | ProbeProtocol = "sem_sgd",
    names: Sequence[str] = ("features",),
    read: Callable[[tf.Tensor], tf.Tensor] = as_one,
    views: Callable[[int, int], np.ndarray] | None = None,
    seeds: Sequence[int] = (0,),
) -> dict[str, Measurement]:
    """Train the probes of a published protocol, choose on held-out labels, train the best again.

    The first seed holds out a fraction of every class; the probes of the whole grid train on the
    rest, for all representations in one compiled computation. For each representation the settings
    with the best top-1 on the held-out part (of equals the first) train once more on everything,
    once per seed. A protocol without a choice goes straight to that.

    Args:
        train, test: float (N, E). What all representations are read from: the features
            themselves, or an embedding that `read` turns into them.
        train_labels, test_labels: int (N,). Both parts must have the same classes.
        protocol: a key of `PROBES` or a `ProbeProtocol`.
        names: R names of the representations.
        read: `tensor (B, E) -> (R, B, F)`; called within each step, so that simplices at several
            temperatures need no more memory than their embedding.
        views: function `(epoch, seed) -> float (N, E)` or None. Features of augmented train images
            in the shape of `train`, for training only; held-out images are read from `train`.
        seeds: ints. Draw the initial weights, the minibatches and the views; the first one also the
            held-out part.

    Returns:
        {name: `Measurement` of `accuracy` and `top5`}, means over the seeds, with standard
        deviations (ddof 0) where there are several, and the chosen `learning_rate` and `l1` in the
        details. Accuracies have the same bits each time.

    Raises:
        UserError: for features, labels or views that are invalid or do not match, an unknown
            protocol, or if all probes diverge.

    Example:

    >>> features, labels = np.repeat(np.eye(2), 4, axis=0), np.repeat([0, 1], 4)
    >>> probe_grid(features, labels, features, labels)["features"].metrics
    {'accuracy': 100.0, 'top5': 100.0}
    """
    protocol = _checked_protocol(protocol)
    data = _Data(*_checked(train, train_labels, test, test_labels), read, views, tuple(names))
    _check_representations(data, seeds)
    grid = list(itertools.product(protocol.learning_rates, protocol.l1))
    best = _choose(data, grid, protocol, seeds[0]) if len(grid) > 1 else [0] * len(data.names)
    correct = [_tested(data, [grid[i] for i in best], protocol, seed) for seed in seeds]
    settings = protocol.settings() | {
        "views": "cached" if views is None else "augmented",
        "last_batch": "dropped",
        "train_images": len(data.train),
        "seeds": list(seeds),
        **(noted_alone(data.labels) if len(grid) > 1 else {}),
    }
    return {
        name: _measurement([one[:, r] for one in correct], settings, grid[best[r]])
        for r, name in enumerate(data.names)
    }


@dataclass(frozen=True)
class _Data:
    train: np.ndarray
    labels: np.ndarray  # in [0, classes)
    test: np.ndarray
    test_labels: np.ndarray
    read: Callable
    views: Callable | None
    names: tuple

    @functools.cached_property
    def plain(self):
        """The train features as one tensor for all probes."""
        return tf.constant(self.train)

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
        options |= {"rows": rows, "seed": seed}
        source = self.plain if self.views is None else functools.partial(self.drawn, seed=seed)
        return train_probes(source, self.labels, rates, l1, protocol, **options)


def _choose(data, grid, protocol, seed):
    """For each representation the number of the settings that are best on the held-out part."""
    held = held_out(data.labels, protocol.hold_out, seed)
    rest = np.setdiff1d(np.arange(len(data.labels)), held)
    weights = data.fit(rest, [grid] * len(data.names), protocol, seed)
    correct = _correct(weights, data.train[held], data.labels[held], data.read)[0]
    return correct.mean(axis=1).argmax(axis=1)


def _tested(data, settings, protocol, seed):
    """Correct test predictions (top-1 or top-5, R, images), after training on everything."""
    settings = np.asarray(settings)[:, None]
    weights = data.fit(np.arange(len(data.labels)), settings, protocol, seed)
    if not all(np.isfinite(x).all() for x in weights):
        raise UserError(
            f"The probe diverged at learning rates {sorted({s[0] for s in settings[:, 0]})}: take "
            "smaller learning_rates, or features of a smaller size."
        )
    return _correct(weights, data.test, data.test_labels, data.read)[..., 0]


def _correct(weights, features, labels, read):
    """Whether the label is first, and among the first five: bool (2, R, images, P)."""
    parts = []
    for rows, logits in probe_logits(weights, features, read=read):
        label = labels[rows][None, :, None, None]
        own = np.take_along_axis(logits, label, axis=3)
        # As a stable sort: of equal scores the lower class comes first.
        earlier = np.arange(logits.shape[3]) < label
        rank = ((logits > own) | ((logits == own) & earlier)).sum(axis=3)
        finite = np.isfinite(logits).all(axis=3)  # a probe that diverged is never correct
        parts.append(np.stack([(rank < top) & finite for top in (1, 5)]))
    return np.concatenate(parts, axis=2)


def _measurement(correct, protocol, settings):
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
        details=dict(zip(("learning_rate", "l1"), settings, strict=True)),
    )


def _checked(train, train_labels, test, test_labels):
    train, test = checked_pair(train, test, "float32")
    labels = checked_labels(train_labels, train, "train")
    test_labels = checked_labels(test_labels, test, "test")
    classes = checked_classes(labels, test_labels)
    return train, np.searchsorted(classes, labels), test, np.searchsorted(classes, test_labels)


def _check_representations(data, seeds):
    found = data.read(tf.constant(data.train[:1])).shape
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
    return protocol
