"""Weighted k-nearest-neighbor classification of frozen features."""

import functools
import itertools
import math
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from keras_ssl.core.constants import KNN_NEIGHBOURS, KNN_TEMPERATURE
from keras_ssl.core.errors import UserError, lookup
from keras_ssl.evaluation.validation import checked_labels, checked_pair, unit_rows


class KNNResult(NamedTuple):
    """Accuracies in percent, every setting behind them, and which test images are right."""

    accuracy: float
    top5: float
    protocol: dict
    hits: np.ndarray  # bool (test rows,)


# vote(similarity or distance (B, k), temperature) -> (B, k)
_VOTES = {
    "cosine": lambda similarity, temperature: np.exp(similarity / temperature),
    "euclidean": lambda distance, _: 1 / (distance + 1e-5),  # solo-learn
}
METRICS = tuple(_VOTES)


def knn_scores(
    train,
    train_labels,
    test,
    *,
    k=KNN_NEIGHBOURS,
    temperature=KNN_TEMPERATURE,
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
        block: int or None. Test rows at a time; None bounds a temporary to 128 MiB (in float32),
            whatever the number of rows, see `rows_at_a_time`.

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
    _check_classes(labels, num_classes)
    scores = np.zeros((len(test), num_classes), test.dtype)
    for rows, values, nearest in nearest_blocks(train, test, k, metric, block):
        votes = _VOTES[metric](values, temperature)
        scores[rows] = _sum_by_class(votes, labels[nearest], num_classes)
    return scores


def knn_accuracy(
    train,
    train_labels,
    test,
    test_labels,
    *,
    k=KNN_NEIGHBOURS,
    temperature=KNN_TEMPERATURE,
    num_classes=None,
    metric="cosine",
    block=None,
):
    """Top-1 and top-5 accuracy in percent of the weighted k-NN classifier (see `knn_scores`).

    `num_classes=None` takes the classes that the labels name, however large their numbers are.

    Example:

    >>> features = np.eye(4, dtype="float32")
    >>> knn_accuracy(features, [0, 1, 2, 3], features, [0, 1, 2, 2], k=1).accuracy
    75.0
    """
    data = _checked(train, train_labels, test, test_labels, num_classes)
    train, train_labels, test, test_labels, num_classes = data
    settings = {"k": k, "metric": metric, "temperature": temperature}
    scores = knn_scores(train, train_labels, test, num_classes=num_classes, block=block, **settings)
    return _result(_among_best(scores, test_labels, 1, 5), len(train), **settings)


def knn_sweep(
    train,
    train_labels,
    test,
    test_labels,
    *,
    neighbours=(5, 20, 200),
    temperatures=(0.07, 0.1),
    metrics=METRICS,
    num_classes=None,
    block=None,
):
    """`knn_accuracy` for every combination of settings, from one search for each metric.

    The nearest rows come sorted, so that those of the largest `neighbours` hold those of the
    others. Euclidean votes know no temperature: there is one result for each number of neighbours.

    Args:
        train, train_labels, test, test_labels: as for `knn_accuracy`.
        neighbours: ints >= 1. Those above the number of train rows are left out.
        temperatures: floats > 0.
        metrics: of "cosine" and "euclidean".
        num_classes, block: as for `knn_accuracy`.

    Returns:
        `(results, left_out)`: a `KNNResult` for each setting, by metric, then neighbours, then
        temperature; and a sentence for each number of neighbours that does not fit.

    Raises:
        UserError: as `knn_scores` does, but for neighbours that are too many.

    Example:

    >>> features, labels = np.repeat(np.eye(2), 4, axis=0), np.repeat([0, 1], 4)
    >>> results, left_out = knn_sweep(features, labels, features, labels, neighbours=(1, 4, 9))
    >>> [(one.protocol["metric"], one.protocol["k"], one.accuracy) for one in results[2:5]]
    [('cosine', 4, 100.0), ('cosine', 4, 100.0), ('euclidean', 1, 100.0)]
    >>> left_out
    ['k=9: there are 8 train images.']
    """
    data = _checked(train, train_labels, test, test_labels, num_classes)
    rows, results = len(data[0]), []
    fitting = [k for k in neighbours if k <= rows]
    for metric in metrics:
        settings = list(itertools.product(fitting, temperatures if metric == "cosine" else (None,)))
        results += _sweep(*data, metric, settings, block) if settings else []
    return results, [f"k={k}: there are {rows} train images." for k in neighbours if k > rows]


def _sweep(train, train_labels, test, test_labels, num_classes, metric, settings, block):
    """A result for each (k, temperature), from one search."""
    for k, temperature in settings:
        _check_settings(k, len(train), metric, temperature, train.dtype)
    most, best = max(k for k, _ in settings), np.empty((len(settings), 2, len(test)), bool)
    for rows, values, nearest in nearest_blocks(train, test, most, metric, block):
        labels = train_labels[nearest]
        for row, (k, temperature) in enumerate(settings):
            votes = _VOTES[metric](values[:, :k], temperature)
            scores = _sum_by_class(votes, labels[:, :k], num_classes).astype(test.dtype)
            best[row, :, rows] = _among_best(scores, test_labels[rows], 1, 5)
    return [
        _result(hits, len(train), k=k, metric=metric, temperature=temperature)
        for hits, (k, temperature) in zip(best, settings, strict=True)
    ]


def top_accuracy(scores, labels, top=1):
    """Percent of rows whose label is among the `top` highest scores; ties favour low labels.

    Example:

    >>> top_accuracy(np.array([[0.1, 0.9], [0.8, 0.2]]), np.array([1, 1]))
    50.0
    """
    return 100.0 * float(np.mean(_among_best(scores, labels, top)))


def _among_best(scores, labels, *tops):
    """Whether the label is among so many highest scores: bool (tops, rows)."""
    best = np.argsort(-scores, axis=1, kind="stable")[:, : max(tops)]
    right = best == np.asarray(labels)[:, None]
    return np.stack([right[:, :top].any(axis=1) for top in tops])


def _result(hits, train_images, *, k, metric, temperature):
    settings = {"k": k, "metric": metric}
    if metric == "cosine":
        settings["temperature"] = temperature
    protocol = {"classifier": "weighted knn", **settings, "train_images": train_images}
    accuracy, top5 = (100.0 * float(np.mean(one)) for one in hits)
    return KNNResult(accuracy, top5, protocol, hits[0])


def _sum_by_class(votes, labels, num_classes):
    cells = labels + num_classes * np.arange(len(labels))[:, None]
    sums = np.bincount(cells.ravel(), votes.ravel(), minlength=len(labels) * num_classes)
    return sums.reshape(len(labels), num_classes)


def _checked(train, train_labels, test, test_labels, num_classes):
    """Both parts, and as many classes as asked for, or those that the labels name, from 0 on."""
    train, test = checked_pair(train, test)
    train_labels = checked_labels(train_labels, train, "train")
    test_labels = checked_labels(test_labels, test, "test")
    if not num_classes:
        both = np.concatenate([train_labels, test_labels])
        classes, numbers = np.unique(both, return_inverse=True)
        train_labels, test_labels = numbers[: len(train)], numbers[len(train) :]
        num_classes = len(classes)
    _check_classes(train_labels, num_classes)
    return train, train_labels, test, test_labels, num_classes


def _check_classes(labels, num_classes):
    if labels.max() >= num_classes:
        raise UserError(
            f"num_classes={num_classes} is too small for the train label {labels.max()}."
        )


def _check_settings(k, train_rows, metric, temperature, dtype):
    check_metric(metric)
    if not 1 <= k <= train_rows:
        raise UserError(f"k={k} neighbours do not fit {train_rows} train images: use 1 to that.")
    largest = math.log(float(np.finfo(dtype).max))
    if metric == "cosine" and not 1 / largest < temperature < math.inf:
        raise UserError(
            f"temperature={temperature} does not fit: exp(1 / temperature) must be finite in "
            f"{dtype}, so use {1.01 / largest:.2g} or more."
        )


_BLOCK_VALUES = 2**25  # values per temporary: 128 MiB in float32

# value(test (B, 1, D), neighbours (B, k, D)) -> (B, k)
_VALUES = {
    "cosine": lambda a, b: tf.reduce_sum(a * b, axis=-1),
    "euclidean": lambda a, b: tf.sqrt(tf.reduce_sum(tf.math.squared_difference(a, b), axis=-1)),
}


def check_metric(metric):
    """Refuse what is neither "cosine" nor "euclidean".

    Raises:
        UserError: with the name that may have been meant.
    """
    lookup(_VALUES, metric, "metric")


def rows_at_a_time(train_rows, columns, k):
    """Test rows whose similarities to all train rows, and neighbours, are at most 2**25 values.

    One row is the least, whatever the number of train rows.

    Example:

    >>> rows_at_a_time(1_200_000, columns=128, k=200)
    27
    """
    return max(1, _BLOCK_VALUES // max(train_rows, k * columns))


def nearest_blocks(train, test, k, metric, block=None):
    """Yield the `k` train rows nearest to each test row, for some test rows at a time.

    Args:
        train: float (rows, columns).
        test: float (test rows, columns), of the same dtype.
        k: int in [1, train rows].
        metric: "cosine" or "euclidean".
        block: int or None. Test rows at a time; None for `rows_at_a_time`.

    Yields:
        `(rows, values, nearest)`: slice of the test rows, their similarities (cosine) or distances
        (b, k), nearest first, and the positions of the train rows, int32 (b, k); of equally near
        rows the earlier one comes first.

    Raises:
        UserError: for rows of zeros (cosine).
    """
    train, test, offset = _prepared(train, test, metric)
    block = block or rows_at_a_time(*train.shape, k)
    search = _search(metric, train.dtype.name)
    train, neighbours = tf.constant(train), tf.constant(k, tf.int32)
    for start in range(0, len(test), block):
        rows = slice(start, start + block)
        values, nearest = _on_a_device(search, tf.constant(test[rows]), train, offset, neighbours)
        yield rows, values.numpy(), nearest.numpy()


def _on_a_device(search, *arguments):
    """Search where TensorFlow likes to, or on the host if that fails.

    On a GPU `top_k` takes memory that grows with k, and has crashed for a large one.
    """
    try:
        return search(*arguments)
    except (tf.errors.ResourceExhaustedError, tf.errors.InternalError):
        with tf.device("CPU:0"):
            return search(*map(tf.identity, arguments))


@functools.cache
def _search(metric, dtype):
    """Compiled search, one trace for each metric and dtype whatever the number of rows."""
    matrix, vector = tf.TensorSpec([None, None], dtype), tf.TensorSpec(None, dtype)

    @tf.function(input_signature=[matrix, matrix, vector, tf.TensorSpec([], tf.int32)])
    def search(test, train, offset, k):
        closeness = tf.matmul(test, train, transpose_b=True) - offset  # (block, train rows)
        rows = tf.math.top_k(closeness, k).indices
        # Only rows that vote are compared exactly: the large product may round (TF32) or cancel.
        return _VALUES[metric](test[:, None], tf.gather(train, rows)), rows

    return search


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
