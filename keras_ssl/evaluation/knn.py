"""Weighted k-nearest-neighbor classification of frozen features."""

import itertools
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from keras_ssl.core.constants import KNN_NEIGHBOURS, KNN_TEMPERATURE
from keras_ssl.core.errors import UserError, lookup
from keras_ssl.evaluation.nearest import nearest_blocks
from keras_ssl.evaluation.results import Measurement
from keras_ssl.evaluation.rows import Rows
from keras_ssl.evaluation.validation import checked_labels, checked_row_pair

# vote(similarity or distance (B, k), temperature) -> (B, k)
_VOTES = {
    "cosine": lambda similarity, temperature: np.exp(similarity / temperature),
    "euclidean": lambda distance, _: 1 / (distance + 1e-5),  # solo-learn
}
METRICS = tuple(_VOTES)


def knn_scores(
    train: ArrayLike | Rows,
    train_labels: ArrayLike,
    test: ArrayLike | Rows,
    *,
    k: int = KNN_NEIGHBOURS,
    temperature: float = KNN_TEMPERATURE,
    num_classes: int,
    metric: str = "cosine",
    block: int | None = None,
) -> np.ndarray:
    """Summed votes for each class of the `k` train rows nearest to each test row.

    Cosine: rows are L2-normalized and a neighbor votes `exp(similarity / temperature)`.
    Euclidean: rows stay as they are and a neighbor votes `1 / (distance + 1e-5)`.
    Of equally near rows the earlier one counts first. `Rows` are read a block at a time, and wider
    ones than fit in memory give the scores of their array.

    Args:
        train: (rows, columns), float64 for float64 scores; an array or `Rows`.
        train_labels: integers (rows,) in [0, num_classes).
        test: (test rows, columns).
        k: int in [1, train rows]. Number of neighbors.
        temperature: float > 0. Smaller gives the nearest more weight; cosine only.
        num_classes: int. Width of the result.
        metric: "cosine" or "euclidean".
        block: int or None. Test rows that are compared with a block of train rows at a time; None
            for as many as keep their similarities to 64 MiB (in float32), 512 at most.

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
    train, test = checked_row_pair(train, test)
    labels = checked_labels(train_labels, train, "train")
    dtype = np.result_type(train.dtype, test.dtype)
    _check_settings(k, len(train), metric, temperature, dtype)
    _check_classes(labels, num_classes)
    scores = np.zeros((len(test), num_classes), dtype)
    for rows, values, nearest in nearest_blocks(train, test, k, metric, block):
        votes = _VOTES[metric](values, temperature)
        scores[rows] = _sum_by_class(votes, labels[nearest], num_classes)
    return scores


def knn_accuracy(
    train: ArrayLike | Rows,
    train_labels: ArrayLike,
    test: ArrayLike | Rows,
    test_labels: ArrayLike,
    *,
    k: int = KNN_NEIGHBOURS,
    temperature: float = KNN_TEMPERATURE,
    num_classes: int | None = None,
    metric: str = "cosine",
    block: int | None = None,
) -> Measurement:
    """Top-1 and top-5 accuracy of the weighted k-NN classifier (see `knn_scores`).

    Args:
        train, train_labels, test, k, temperature, metric, block: as for `knn_scores`.
        test_labels: integers (test rows,).
        num_classes: int or None. None for the classes that the labels name, however large their
            numbers are.

    Returns:
        `Measurement` of `accuracy` and `top5`.

    Raises:
        UserError: as `knn_scores`.

    Example:

    >>> features = np.eye(4, dtype="float32")
    >>> knn_accuracy(features, [0, 1, 2, 3], features, [0, 1, 2, 2], k=1).accuracy
    75.0
    """
    data = _checked(train, train_labels, test, test_labels, num_classes)
    return _sweep(*data, metric, [(k, temperature)], block)[0]


def knn_sweep(
    train: ArrayLike | Rows,
    train_labels: ArrayLike,
    test: ArrayLike | Rows,
    test_labels: ArrayLike,
    *,
    neighbors: Sequence[int] = (5, 20, 200),
    temperatures: Sequence[float] = (0.07, 0.1),
    metrics: Sequence[str] = METRICS,
    num_classes: int | None = None,
    block: int | None = None,
) -> tuple[list[Measurement], list[str]]:
    """`knn_accuracy` for every combination of settings, from one search per metric.

    The nearest rows come sorted, so the largest of `neighbors` includes the others. Euclidean
    votes have no temperature: there is one measurement per number of neighbors.

    Args:
        train, train_labels, test, test_labels: as for `knn_accuracy`.
        neighbors: ints >= 1. Those above the number of train rows are skipped.
        temperatures: floats > 0.
        metrics: of "cosine" and "euclidean".
        num_classes, block: as for `knn_accuracy`.

    Returns:
        `(measurements, skipped)`: a `Measurement` for each setting, by metric, then number of
        neighbors, then temperature; and a sentence for each number of neighbors that is too large.

    Raises:
        UserError: as `knn_scores`, except for too many neighbors.

    Example:

    >>> features, labels = np.repeat(np.eye(2), 4, axis=0), np.repeat([0, 1], 4)
    >>> found, skipped = knn_sweep(features, labels, features, labels, neighbors=(1, 4, 9))
    >>> [(one.protocol["metric"], one.protocol["k"], one.accuracy) for one in found[2:5]]
    [('cosine', 4, 100.0), ('cosine', 4, 100.0), ('euclidean', 1, 100.0)]
    >>> skipped
    ['k=9: there are 8 train images.']
    """
    data = _checked(train, train_labels, test, test_labels, num_classes)
    rows, found = len(data[0]), []
    possible = [k for k in neighbors if k <= rows]
    for metric in metrics:
        by_metric = temperatures if metric == "cosine" else (None,)
        settings = list(itertools.product(possible, by_metric))
        found += _sweep(*data, metric, settings, block) if settings else []
    return found, [f"k={k}: there are {rows} train images." for k in neighbors if k > rows]


def _sweep(train, train_labels, test, test_labels, num_classes, metric, settings, block):
    """A measurement for each (k, temperature), from one search."""
    dtype = np.result_type(train.dtype, test.dtype)
    for k, temperature in settings:
        _check_settings(k, len(train), metric, temperature, dtype)
    most, correct = max(k for k, _ in settings), np.empty((len(settings), 2, len(test)), bool)
    for rows, values, nearest in nearest_blocks(train, test, most, metric, block):
        labels = train_labels[nearest]
        for row, (k, temperature) in enumerate(settings):
            votes = _VOTES[metric](values[:, :k], temperature)
            scores = _sum_by_class(votes, labels[:, :k], num_classes).astype(dtype)
            correct[row, :, rows] = among_best(scores, test_labels[rows], 1, 5)
    return [
        _measurement(one, len(train), k=k, metric=metric, temperature=temperature)
        for one, (k, temperature) in zip(correct, settings, strict=True)
    ]


def top_accuracy(scores: np.ndarray, labels: ArrayLike, top: int = 1) -> float:
    """Percent of rows whose label is among the `top` highest scores; ties favour low labels.

    Example:

    >>> top_accuracy(np.array([[0.1, 0.9], [0.8, 0.2]]), np.array([1, 1]))
    50.0
    """
    return 100.0 * float(np.mean(among_best(scores, labels, top)))


def among_best(scores: np.ndarray, labels: ArrayLike, *tops: int) -> np.ndarray:
    """Whether the label is among so many highest scores: bool (tops, rows).

    Example:

    >>> among_best(np.array([[0.1, 0.9, 0.5], [0.1, 0.9, 0.5]]), [1, 2], 1, 2).tolist()
    [[True, False], [True, True]]
    """
    best = np.argsort(-scores, axis=1, kind="stable")[:, : max(tops)]
    matches = best == np.asarray(labels)[:, None]
    return np.stack([matches[:, :top].any(axis=1) for top in tops])


def _measurement(correct, train_images, *, k, metric, temperature):
    settings = {"k": k, "metric": metric}
    if metric == "cosine":
        settings["temperature"] = temperature
    protocol = {"classifier": "weighted knn", **settings, "train_images": train_images}
    accuracy, top5 = (100.0 * float(np.mean(one)) for one in correct)
    return Measurement({"accuracy": accuracy, "top5": top5}, protocol, correct=correct[:1])


def _sum_by_class(votes, labels, num_classes):
    cells = labels + num_classes * np.arange(len(labels))[:, None]
    sums = np.bincount(cells.ravel(), votes.ravel(), minlength=len(labels) * num_classes)
    return sums.reshape(len(labels), num_classes)


def _checked(train, train_labels, test, test_labels, num_classes):
    """Both parts and the number of classes; without one, labels are numbered by those they name."""
    train, test = checked_row_pair(train, test)
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
    lookup(_VOTES, metric, "metric")
    if not 1 <= k <= train_rows:
        raise UserError(
            f"k={k} neighbors do not fit {train_rows} train images: use 1 to {train_rows}."
        )
    largest = math.log(float(np.finfo(dtype).max))
    if metric == "cosine" and not 1 / largest < temperature < math.inf:
        raise UserError(
            f"temperature={temperature} does not fit: exp(1 / temperature) must be finite in "
            f"{dtype}, so use {1.01 / largest:.2g} or more."
        )
