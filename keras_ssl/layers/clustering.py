"""k-means of unit vectors by their cosines, on whatever device holds them.

`sklearn.cluster.KMeans` finds clusters as good, and on two CPU cores about three times as fast. But
its threads add up in the order in which they end (of twelve equal calls with four threads, four
results differed in the last bits), so that a resumed run would not be the run that went on; and it
leaves a GPU idle.
"""

import numpy as np
from keras import ops

BLOCK = 8192  # rows compared with all centroids at a time


def spherical_kmeans(rows, num_clusters, *, num_iterations=10, seed=0):
    """Cluster unit rows around unit centroids.

    Starts from rows drawn without replacement; a cluster that lost all its rows keeps its
    centroid. The same arguments give the same clusters.

    Args:
        rows: (n, dim) of length 1.
        num_clusters: int in [1, n].
        num_iterations: int >= 0. Times that the centroids move.
        seed: int >= 0, or a sequence of such.

    Returns:
        Centroids (num_clusters, dim) of length 1, and the int32 index (n,) of the one with the
        largest cosine to each row.

    Example:

    >>> rows = keras.ops.eye(3)[:2]
    >>> sorted(spherical_kmeans(rows, 2)[1].numpy().tolist())
    [0, 1]

    Reference: Dhillon and Modha, Concept decompositions for large sparse text data using
    clustering, 2001; initialisation as in facebookresearch/swav, main_deepclusterv2.py.
    """
    first = np.random.default_rng(seed).choice(len(rows), num_clusters, replace=False)
    centroids = ops.take(rows, first, axis=0)
    for _ in range(num_iterations):
        centroids = _move(rows, centroids)
    return centroids, nearest(rows, centroids)


def nearest(rows, centroids):
    """Index of the centroid with the largest product: (n, dim), (k, dim) -> (n,) int32."""
    columns = ops.transpose(centroids)
    blocks = [ops.argmax(block @ columns, axis=-1) for block in _blocks(rows)]
    return ops.cast(ops.concatenate(blocks), "int32")


def _move(rows, centroids):
    """Replace centroids by the direction of the sum of their rows."""
    count, total = len(centroids), ops.zeros_like(centroids)
    for block in _blocks(rows):
        # A product and not a scattered sum: its order, and so its last bit, is always the same.
        member = ops.one_hot(nearest(block, centroids), count, axis=0, dtype=block.dtype)
        total = total + member @ block
    length = ops.norm(total, axis=-1, keepdims=True)
    return ops.where(length > 0, total / ops.maximum(length, 1e-12), centroids)


def _blocks(rows):
    return [rows[start : start + BLOCK] for start in range(0, len(rows), BLOCK)]
