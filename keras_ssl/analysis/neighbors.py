"""Which images a representation holds to be alike: neighbors, and the most typical ones."""

import numpy as np
from numpy.typing import ArrayLike

from keras_ssl.ops.rows import unit_rows


def nearest_images(
    features: ArrayLike, rows: ArrayLike, count: int = 8
) -> tuple[np.ndarray, np.ndarray]:
    """The images most similar to some images, by the cosine of their features, without themselves.

    Equal similarities keep the order of the images, so a collapsed representation gives the first
    ones.

    Args:
        features: (N, F).
        rows: int (R,). Indices of the images that are asked for.
        count: int >= 1. Neighbors of each; at most N - 1.

    Returns:
        (int (R, count) indices, most similar first; float32 (R, count) cosines).

    Example:

    >>> rows, cosines = nearest_images([[1.0, 0.0], [0.0, 1.0], [2.0, 0.1]], [0], count=2)
    >>> rows.tolist(), cosines.round(2).tolist()
    ([[2, 1]], [[1.0, 0.0]])
    """
    features, rows = unit_rows(features), np.asarray(rows, int)
    count = min(count, len(features) - 1)
    cosines = features[rows] @ features.T  # (R, N)
    cosines[np.arange(len(rows)), rows] = -np.inf
    order = np.argsort(-cosines, axis=1, kind="stable")[:, :count]
    return order, np.take_along_axis(cosines, order, axis=1)


def sample_rows(labels: ArrayLike | None, size: int, count: int = 10) -> np.ndarray:
    """Images to show: the first of each class, or some at equal distances without labels.

    Args:
        labels: int (N,), or None.
        size: int. N.
        count: int >= 1. Images at most; of more classes, some at equal distances.

    Returns:
        int (at most count,) indices.

    Example:

    >>> sample_rows([2, 0, 2, 1], 4).tolist(), sample_rows(None, 100, 4).tolist()
    ([1, 3, 0], [0, 33, 66, 99])
    """
    rows = np.arange(size) if labels is None else np.unique(labels, return_index=True)[1]
    if len(rows) <= count:
        return rows
    return rows[np.linspace(0, len(rows) - 1, count).round().astype(int)]


def typical_of_clusters(
    features: ArrayLike, clusters: ArrayLike, count: int = 8
) -> dict[int, np.ndarray]:
    """The most typical images of each cluster: those closest to the mean direction of its images.

    Args:
        features: (N, F).
        clusters: int (N,).
        count: int >= 1. Images of each cluster at most.

    Returns:
        {cluster: int indices, the most typical first}, the largest cluster first.

    Example:

    >>> features = [[1.0, 0.1], [1.0, 0.0], [1.0, -0.1], [0.0, 1.0]]
    >>> found = typical_of_clusters(features, [5, 5, 5, 2], count=2)
    >>> {cluster: rows.tolist() for cluster, rows in found.items()}
    {5: [1, 0], 2: [3]}
    """
    features, clusters = unit_rows(features), np.asarray(clusters)
    names, sizes = np.unique(clusters, return_counts=True)
    found = {}
    for name in names[np.argsort(-sizes, kind="stable")]:
        rows = np.flatnonzero(clusters == name)
        towards = features[rows] @ features[rows].mean(axis=0)
        found[int(name)] = rows[np.argsort(-towards.round(6), kind="stable")[:count]]
    return found
