"""DeepCluster's k-means of whitened features, and a memory of images that it gives classes."""

from collections.abc import Sequence
from typing import Annotated

import keras
import numpy as np
from keras import ops

from keras_ssl.core.bounds import Between, ClusterCounts, NumViews, Seed, Width
from keras_ssl.core.serialization import register
from keras_ssl.layers.memory import ImageMemory, blocks_of, nearest
from keras_ssl.ops.linalg import l2_normalize
from keras_ssl.ops.precision import Tensor, at_least_float32

_SPREAD = 0.01  # standard deviation of a new classifier's weights: authors' code
_NOTHING = 1e-6  # of the largest variance: below it there is only rounding


@register
class KMeansMemory(ImageMemory):
    """A memory whose k-means gives classes, and linear classifiers that learn to predict them.

    Projections are kept as they are. `cluster` whitens them, gives every image the class of its
    cluster, and draws every classifier anew, since the numbers of the clusters mean nothing.

    An image that has not been seen yet, such as one that the batches of the first epoch left out,
    is clustered by a random row of length 1, which counts in mean and components like any other.

    Args:
        num_images: int > 0. Images of the training set.
        dim: int > 0. Width of a projection.
        num_prototypes: sequence of ints, one for each head. Numbers of clusters, from 2 to
            `num_images`.
        num_views: int > 0. Views of an image; the heads cluster them in turn.
        seed: int >= 0. Of the first classes, of k-means and of the classifiers.
        pca_dim: int > 0. Principal components of the projections that are clustered, at most. Far
            fewer than `dim`: whitening makes as much of the last ones, which are noise, as of the
            first.

    Attributes:
        projections: (num_views, num_images, dim) float32; random at first.
        classes: (heads, num_images) int64.
        weights_in_loss: (heads, num_images) float32. What an image counts for, 1 on average: the
            inverse of the size of its cluster.
        classifiers: ReLU and Dense layer of each head, which is trained.

    Raises:
        UserError: for a head with more clusters than there are images.

    Example:

    >>> memory = KMeansMemory(num_images=6, dim=4, num_prototypes=(3,))
    >>> memory.cluster(epoch=1)
    >>> memory.classes.shape, len(memory.trainable_variables)
    (TensorShape([1, 6]), 2)

    Reference: Caron et al., Deep clustering for unsupervised learning of visual features, 2018,
    sec. 3.2 to 3.4. The authors draw images so that the clusters are equally likely, of which the
    weights are the expectation.
    """

    def __init__(
        self,
        num_images: Annotated[int, Between(1, 10**9)],
        dim: Width,
        num_prototypes: ClusterCounts,
        num_views: NumViews = 2,
        seed: Seed = 0,
        pca_dim: Width = 256,
        **kwargs,
    ):
        super().__init__(num_images, dim, num_prototypes, num_views, seed, **kwargs)
        self.pca_dim = pca_dim

    def add_heads(self):
        self.weights_in_loss = self.add_weight(
            name="weights",
            shape=(len(self.num_prototypes), self.num_images),
            dtype="float32",
            initializer="ones",
            trainable=False,
            autocast=False,
        )
        self.classifiers = [
            _classifier(self.dim, count, name=f"classifier{head}")
            for head, count in enumerate(self.num_prototypes)
        ]

    @property
    def heads(self):
        """The layers that score a projection for the clusters, one for each head."""
        return self.classifiers

    def represent(self, projections):
        """What is kept of projections, and scored: themselves, in at least float32."""
        return at_least_float32(projections)

    def weights_of(self, index):
        """What a batch's images count for in the loss: (batch,) -> (heads, batch)."""
        return ops.take(self.weights_in_loss, index, axis=1)

    def cluster(self, epoch, num_iterations=10):
        """Find new classes, and draw new classifiers; all follows from seed and epoch."""
        classes, weights = [], []
        for head, layer in enumerate(self.classifiers):
            seed = (self.seed, epoch, head)
            rows = whitened(self.projections[head % self.num_views], self.pca_dim)
            count = self.num_prototypes[head]
            _, labels = kmeans(rows, count, num_iterations=num_iterations, seed=seed)
            classes.append(ops.cast(labels, "int64"))
            weights.append(balanced(np.asarray(labels), count))
            kernel, bias = layer.trainable_variables
            draw = np.random.default_rng((*seed, 1))
            kernel.assign(draw.normal(0.0, _SPREAD, kernel.shape).astype("float32"))
            bias.assign(ops.zeros_like(bias))
        self.classes.assign(ops.stack(classes))
        self.weights_in_loss.assign(np.stack(weights))


def _classifier(width, count, name):
    """Scores of the positive parts: k-means sees the projections before the ReLU."""
    draw = keras.initializers.RandomNormal(stddev=_SPREAD)
    layers = [
        keras.Input((width,)),
        keras.layers.ReLU(dtype="float32", name="relu"),
        keras.layers.Dense(count, kernel_initializer=draw, dtype="float32", name="dense"),
    ]
    return keras.Sequential(layers, name=name)


def balanced(labels: np.ndarray, num_clusters: int) -> np.ndarray:
    """Weights with which every cluster that has images counts for as much: (n,), 1 on average.

    Example:

    >>> balanced(np.array([0, 0, 0, 2]), 3).round(3).tolist()
    [0.6669999957084656, 0.6669999957084656, 0.6669999957084656, 2.0]
    """
    sizes = np.bincount(labels, minlength=num_clusters)
    return (len(labels) / np.sum(sizes > 0) / sizes[labels]).astype("float32")


def whitened(rows: Tensor, num_components: int = 256) -> Tensor:
    """Rows in their principal components, each of variance 1, scaled to length 1.

    Args:
        rows: (n, dim).
        num_components: int > 0. Components that are kept at most: those with the largest variance,
            without those that have none.

    Returns:
        (n, min(num_components, dim) or fewer) float32.

    Example:

    >>> rows = keras.random.normal((50, 8), seed=1) * keras.ops.arange(1.0, 9.0)
    >>> whitened(rows, 3).shape
    TensorShape([50, 3])

    Reference: Caron et al., 2018, sec. 3.4.
    """
    mean = ops.mean(rows, axis=0)
    scatter = sum(
        np.asarray(ops.transpose(block - mean) @ (block - mean), "float64")
        for block in blocks_of(rows)
    )
    values, vectors = np.linalg.eigh(scatter / max(len(rows) - 1, 1))
    values, vectors = values[::-1][:num_components], vectors[:, ::-1][:, :num_components]
    kept = max(1, int(np.sum(values > _NOTHING * values[0])))
    scales = np.sqrt(np.maximum(values[:kept], 1e-30))
    basis = ops.convert_to_tensor((vectors[:, :kept] / scales).astype("float32"))
    return ops.concatenate([l2_normalize((block - mean) @ basis) for block in blocks_of(rows)])


def kmeans(
    rows: Tensor, num_clusters: int, *, num_iterations: int = 10, seed: int | Sequence[int] = 0
) -> tuple[Tensor, Tensor]:
    """Lloyd's k-means by Euclidean distances, on whatever device holds the rows.

    Starts from rows drawn without replacement. A cluster that lost its rows takes half of another
    one, drawn by its size. The same arguments give the same clusters; of
    `sklearn.cluster.KMeans` that does not hold to the last bit, see `spherical_kmeans`.

    Args:
        rows: (n, dim).
        num_clusters: int in [1, n].
        num_iterations: int >= 0. Times that the centroids move.
        seed: int >= 0, or a sequence of such.

    Returns:
        Centroids (num_clusters, dim), and the int32 index (n,) of the one nearest to each row.

    Example:

    >>> rows = keras.ops.array([[0.0], [0.1], [5.0], [5.1]])
    >>> centroids, labels = kmeans(rows, 2)
    >>> sorted(centroids.numpy()[:, 0].round(2).tolist())
    [0.05000000074505806, 5.050000190734863]

    Reference: Caron et al., 2018, sec. 3.2 and 3.3; for lost clusters faiss, Clustering.cpp.
    """
    draw = np.random.default_rng(seed)
    centroids = ops.take(rows, draw.choice(len(rows), num_clusters, replace=False), axis=0)
    for _ in range(num_iterations):
        centroids = _move(rows, centroids, draw)
    return centroids, _nearest(rows, centroids)


def _nearest(rows, centroids):
    # |x - c|^2 without |x|^2, which is the same for all c.
    return nearest(rows, centroids, -0.5 * ops.sum(ops.square(centroids), axis=-1))


def _move(rows, centroids, draw):
    count = len(centroids)
    total, sizes = ops.zeros_like(centroids), np.zeros(count)
    for block in blocks_of(rows):
        labels = _nearest(block, centroids)
        # A product and not a scattered sum: its order, and so its last bit, is always the same.
        total = total + ops.one_hot(labels, count, axis=0, dtype=block.dtype) @ block
        sizes += np.bincount(np.asarray(labels), minlength=count)
    centroids = total / ops.convert_to_tensor(np.maximum(sizes, 1.0)[:, None].astype("float32"))
    lost = np.flatnonzero(sizes == 0)
    return _split(np.array(centroids), sizes, lost, draw) if len(lost) else centroids


def _split(centroids, sizes, lost, draw):
    """Let every `lost` cluster begin beside another one, the more likely the larger that is."""
    step = np.where(np.arange(centroids.shape[1]) % 2, 1.0, -1.0) / 1024
    for cluster in lost:
        room = np.maximum(sizes - 1.0, 0.0)
        if not room.any():  # as many rows as clusters that have one
            room = sizes
        other = draw.choice(len(sizes), p=room / room.sum())
        centroids[cluster] = centroids[other] * (1.0 + step)
        centroids[other] = centroids[other] * (1.0 - step)
        sizes[cluster] = sizes[other] = sizes[other] / 2
    return ops.convert_to_tensor(centroids.astype("float32"))
