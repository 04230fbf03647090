"""Weighted k-nearest-neighbour classification of frozen features."""

import functools
import math
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from keras_ssl.core.checks import UserError, lookup
from keras_ssl.evaluation.checks import checked_labels, checked_pair, unit_rows

_BLOCK_VALUES = 2**25  # values per temporary: 128 MiB in float32


class KNNResult(NamedTuple):
    """Accuracies in percent, every setting behind them, and which test images are right."""

    accuracy: float
    top5: float
    protocol: dict
    hits: np.ndarray  # bool (test rows,)


# value(test (B, 1, D), neighbours (B, k, D)) -> (B, k); vote(value, temperature) -> (B, k)
_VALUES = {
    "cosine": lambda a, b: tf.reduce_sum(a * b, axis=-1),
    "euclidean": lambda a, b: tf.sqrt(tf.reduce_sum(tf.math.squared_difference(a, b), axis=-1)),
}
_VOTES = {
    "cosine": lambda similarity, temperature: np.exp(similarity / temperature),
    "euclidean": lambda distance, _: 1 / (distance + 1e-5),  # solo-learn
}


def knn_scores(
    train,
    train_labels,
    test,
    *,
    k=20,
    temperature=0.07,  # DINO
    num_classes,
    metric="cosine",
    block=None,
):
    """Summed votes for each class of the `k` train rows nearest to each test row.

    Cosine: rows are L2-normalised and a neighbour votes `exp(similarity / temperature)`.
    Euclidean: rows stay as they are and a neighbour votes `1 / (distance + 1e-5)`.
    Of equally near rows the earlier one counts first.

    Args:
        train: (rows, columns), float64 for float64 scores.
        train_labels: integers (rows,) in [0, num_classes).
        test: (test rows, columns).
        k: int in [1, train rows]. Number of neighbours.
        temperature: float > 0. Smaller gives the nearest more weight; cosine only.
        num_classes: int. Width of the result.
        metric: "cosine" or "euclidean".
        block: int or None. Test rows at a time; None bounds a temporary to 128 MiB.

    Returns:
        scores (test rows, num_classes) in the dtype of the features.

    Raises:
        UserError: for features or labels that do not fit, rows of zeros (cosine), `k` out of
            range, or a temperature at which a vote overflows.

    Example:

    >>> train = np.array([[1.0, 0.0], [0.0, 1.0]])
    >>> knn_scores(train, [0, 1], train, k=1, temperature=1.0, num_classes=2).round(2)
    array([[2.72, 0.  ],
           [0.  , 2.72]])

    Reference: Wu et al. 2018, arXiv:1805.01978, section 3.4; Caron et al. 2021, arXiv:2104.14294.
    """
    train, test = checked_pair(train, test)
    labels = checked_labels(train_labels, train, "train")
    _check_settings(k, len(train), metric, temperature, train.dtype)
    if labels.max() >= num_classes:
        raise UserError(
            f"num_classes={num_classes} is too small for the train label {labels.max()}."
        )
    train, test, offset = _prepared(train, test, metric)
    block = block or max(1, _BLOCK_VALUES // max(len(train), k * train.shape[1]))
    search = _nearest(metric, train.dtype.name)
    train, neighbours = tf.constant(train), tf.constant(k, tf.int32)
    scores = np.zeros((len(test), num_classes), test.dtype)
    for start in range(0, len(test), block):
        rows = slice(start, start + block)
        values, nearest = search(tf.constant(test[rows]), train, offset, neighbours)
        votes = _VOTES[metric](values.numpy(), temperature)
        scores[rows] = _sum_by_class(votes, labels[nearest.numpy()], num_classes)
    return scores


def knn_accuracy(
    train,
    train_labels,
    test,
    test_labels,
    *,
    k=20,
    temperature=0.07,
    num_classes=None,
    metric="cosine",
    block=None,
):
    """Top-1 and top-5 accuracy in percent of the weighted k-NN classifier (see `knn_scores`).

    `num_classes=None` takes as many classes as the labels name.

    Example:

    >>> features = np.eye(4, dtype="float32")
    >>> knn_accuracy(features, [0, 1, 2, 3], features, [0, 1, 2, 2], k=1).accuracy
    75.0
    """
    train, test = checked_pair(train, test)
    train_labels = checked_labels(train_labels, train, "train")
    test_labels = checked_labels(test_labels, test, "test")
    num_classes = num_classes or int(max(train_labels.max(), test_labels.max())) + 1
    settings = {"k": k, "metric": metric, "temperature": temperature}
    scores = knn_scores(train, train_labels, test, num_classes=num_classes, block=block, **settings)
    if metric != "cosine":
        del settings["temperature"]
    return KNNResult(
        top_accuracy(scores, test_labels, 1),
        top_accuracy(scores, test_labels, 5),
        {"classifier": "weighted knn", **settings, "train_images": len(train)},
        _among_best(scores, test_labels, 1),
    )


def top_accuracy(scores, labels, top=1):
    """Percent of rows whose label is among the `top` highest scores; ties favour low labels.

    Example:

    >>> top_accuracy(np.array([[0.1, 0.9], [0.8, 0.2]]), np.array([1, 1]))
    50.0
    """
    return 100.0 * float(np.mean(_among_best(scores, labels, top)))


def _among_best(scores, labels, top):
    best = np.argsort(-scores, axis=1, kind="stable")[:, :top]
    return (best == np.asarray(labels)[:, None]).any(axis=1)


@functools.cache
def _nearest(metric, dtype):
    """Compiled search, one trace for each metric and dtype whatever the number of rows."""
    matrix, vector = tf.TensorSpec([None, None], dtype), tf.TensorSpec(None, dtype)

    @tf.function(input_signature=[matrix, matrix, vector, tf.TensorSpec([], tf.int32)])
    def nearest(test, train, offset, k):
        closeness = tf.matmul(test, train, transpose_b=True) - offset  # (block, train rows)
        rows = tf.math.top_k(closeness, k).indices
        # Only rows that vote are compared exactly: the large product may round (TF32) or cancel.
        return _VALUES[metric](test[:, None], tf.gather(train, rows)), rows

    return nearest


def _prepared(train, test, metric):
    """Both parts as the metric compares them, and what `test @ train.T` lacks to rank rows."""
    if metric == "cosine":
        unit = functools.partial(unit_rows, otherwise="metric='euclidean'")
        train, test = unit(train, "train features"), unit(test, "test features")
        return train, test, tf.zeros([], train.dtype)
    # Distances do not change, and around the mean |b|^2 - 2ab loses fewer digits.
    mean = train.mean(axis=0)
    train, test = train - mean, test - mean
    return train, test, tf.constant(0.5 * np.sum(train**2, axis=1))


def _sum_by_class(votes, labels, num_classes):
    cells = labels + num_classes * np.arange(len(labels))[:, None]
    sums = np.bincount(cells.ravel(), votes.ravel(), minlength=len(labels) * num_classes)
    return sums.reshape(len(labels), num_classes)


def _check_settings(k, train_rows, metric, temperature, dtype):
    lookup(_VALUES, metric, "metric")
    if not 1 <= k <= train_rows:
        raise UserError(f"k={k} neighbours do not fit {train_rows} train images: use 1 to that.")
    largest = math.log(float(np.finfo(dtype).max))
    if metric == "cosine" and not 1 / largest < temperature < math.inf:
        raise UserError(
            f"temperature={temperature} does not fit: exp(1 / temperature) must be finite in "
            f"{dtype}, so use {1.01 / largest:.2g} or more."
        )
