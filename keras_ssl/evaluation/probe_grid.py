"""Linear probes by gradient descent, a whole grid of settings at once (see `probe_training`)."""

import functools
import itertools
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from keras_ssl.core.errors import UserError, lookup
from keras_ssl.evaluation.checks import checked_classes, checked_labels, checked_pair
from keras_ssl.evaluation.folds import noted_alone
from keras_ssl.evaluation.probe_protocols import OPTIMIZERS, PROBES, SCHEDULES, ProbeProtocol
from keras_ssl.evaluation.probe_training import as_one, probe_logits, train_probes


@dataclass(frozen=True)
class GridResult:
    """What the best probe of a grid reached on one representation.

    Attributes:
        accuracy, top5: percent on the test part, means over the seeds.
        protocol: every setting that the numbers depend on.
        chosen: {"learning_rate", "l1"} that the held-out part chose.
        std, top5_std: deviations over the seeds (ddof 0), or None for a single seed.
        hits: bool (seeds, test images), whether each probe is right.
    """

    accuracy: float
    top5: float
    protocol: dict
    chosen: dict
    std: float | None
    top5_std: float | None
    hits: np.ndarray


def probe_grid(
    train,
    train_labels,
    test,
    test_labels,
    *,
    protocol="sem_sgd",
    names=("features",),
    read=as_one,
    views=None,
    seeds=(0,),
):
    """Train the probes of a published protocol, choose on held-out labels, train the best again.

    Of every class a share is held out by the first seed; the probes of the whole grid train on the
    rest, for all representations in one compiled computation. For each representation the settings
    with the best top-1 on the held-out part (of equals the first) train once more on everything,
    once for each seed. A protocol without a choice goes straight to that.

    Args:
        train, test: float (N, E). What all representations are read from: the features
            themselves, or an embedding that `read` turns into them.
        train_labels, test_labels: int (N,). Both parts must have the same classes.
        protocol: a key of `PROBES` or a `ProbeProtocol`.
        names: R names of the representations.
        read: `tensor (B, E) -> (R, B, F)`; called within each step, so that simplices at several
            temperatures need no more memory than their embedding.
        views: function `(epoch, seed) -> float (N, E)` or None. Features of augmented train images
            in the shape of `train`, for training only; the held-out part is judged by `train`.
        seeds: ints. Draw the start, the minibatches and the views; the first one also the held-out
            part.

    Returns:
        {name: `GridResult`}. Accuracies have the same bits each time.

    Raises:
        UserError: for features, labels or views that do not fit, a protocol that is none, or if
            all probes diverge.

    Example:

    >>> features, labels = np.repeat(np.eye(2), 4, axis=0), np.repeat([0, 1], 4)
    >>> result = probe_grid(features, labels, features, labels)["features"]
    >>> result.accuracy, result.top5
    (100.0, 100.0)
    """
    protocol = _checked_protocol(protocol)
    data = _Data(*_checked(train, train_labels, test, test_labels), read, views, tuple(names))
    _check_readings(data, seeds)
    grid = list(itertools.product(protocol.learning_rates, protocol.l1))
    best = _choose(data, grid, protocol, seeds[0]) if len(grid) > 1 else [0] * len(data.names)
    scores = [_judge(data, [grid[i] for i in best], protocol, seed) for seed in seeds]
    settings = protocol.settings() | {
        "views": "cached" if views is None else "augmented",
        "last_batch": "dropped",
        "train_images": len(data.train),
        "seeds": list(seeds),
        **(noted_alone(data.labels) if len(grid) > 1 else {}),
    }
    return {
        name: _result([score[:, r] for score in scores], settings, grid[best[r]])
        for r, name in enumerate(data.names)
    }


@dataclass(frozen=True)
class _Data:
    train: np.ndarray
    labels: np.ndarray  # in [0, classes)
    test: np.ndarray
    test_labels: np.ndarray
    read: object
    views: object
    names: tuple

    @functools.cached_property
    def plain(self):
        """The train features as one tensor for all probes."""
        return tf.constant(self.train)

    def drawn(self, epoch, seed):
        """The views of an epoch, which must be read from images of the size of the others."""
        features = self.views(epoch, seed)
        if np.shape(features) != self.train.shape:
            raise UserError(
                f"The views have the shape {np.shape(features)}, the train features "
                f"{self.train.shape}: a probe needs views as wide as the images that it is judged "
                "by. Pixels of images that are not square have no such views: take plain features."
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
    hits = _hits(weights, data.train[held], data.labels[held], data.read)[0]
    return hits.mean(axis=1).argmax(axis=1)


def _judge(data, settings, protocol, seed):
    """Hits on the test part (top-1 or top-5, R, images), after training on everything."""
    settings = np.asarray(settings)[:, None]
    weights = data.fit(np.arange(len(data.labels)), settings, protocol, seed)
    if not all(np.isfinite(x).all() for x in weights):
        raise UserError(
            f"The probe diverged at learning rates {sorted({s[0] for s in settings[:, 0]})}: take "
            "smaller learning_rates, or features of a smaller size."
        )
    return _hits(weights, data.test, data.test_labels, data.read)[..., 0]


def _hits(weights, features, labels, read):
    """Whether the label is first, and among the first five: bool (2, R, images, P)."""
    parts = []
    for rows, logits in probe_logits(weights, features, read=read):
        right = labels[rows][None, :, None, None]
        own = np.take_along_axis(logits, right, axis=3)
        # As a stable sort: of equal scores the lower class comes first.
        earlier = np.arange(logits.shape[3]) < right
        rank = ((logits > own) | ((logits == own) & earlier)).sum(axis=3)
        sane = np.isfinite(logits).all(axis=3)  # a probe that diverged hits nothing
        parts.append(np.stack([(rank < top) & sane for top in (1, 5)]))
    return np.concatenate(parts, axis=2)


def _result(scores, protocol, settings):
    accuracies = 100.0 * np.stack([score.mean(axis=1) for score in scores])  # (seeds, 2)
    mean = [float(x) for x in accuracies.mean(axis=0)]
    std = [float(x) for x in accuracies.std(axis=0)] if len(scores) > 1 else [None, None]
    chosen = dict(zip(("learning_rate", "l1"), settings, strict=True))
    return GridResult(*mean, protocol, chosen, *std, np.stack([score[0] for score in scores]))


def held_out(labels, share, seed=0):
    """Sorted rows of about `share` of every class, at least one and never all of them.

    Of a class with a single image none is held out.

    Raises:
        UserError: if no class has two images.

    Example:

    >>> held_out(np.array([0, 1, 0, 1]), share=0.5).size
    2
    """
    classes, counts = np.unique(labels, return_counts=True)
    if counts.max() < 2:
        raise UserError(
            f"Class {classes[0]} has a single train image: so has every other, and choosing "
            "settings takes two of a class. Take a protocol with one learning rate and one l1."
        )
    draw = np.random.RandomState(seed)
    rows = [
        draw.permutation(np.flatnonzero(labels == c))[: min(max(1, round(share * n)), n - 1)]
        for c, n in zip(classes, counts, strict=True)
    ]
    return np.sort(np.concatenate(rows))


def _checked(train, train_labels, test, test_labels):
    train, test = checked_pair(train, test, "float32")
    labels = checked_labels(train_labels, train, "train")
    test_labels = checked_labels(test_labels, test, "test")
    classes = checked_classes(labels, test_labels)
    return train, np.searchsorted(classes, labels), test, np.searchsorted(classes, test_labels)


def _check_readings(data, seeds):
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
