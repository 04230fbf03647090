"""A memory of every training image, and the clusters that are found in it."""

from collections.abc import Sequence
from typing import Annotated

import keras
import numpy as np
from keras import ops

from keras_ssl.core.bounds import Between, ClusterCounts, NumViews, Seed, Width
from keras_ssl.core.errors import UserError
from keras_ssl.core.replicas import all_gather
from keras_ssl.core.serialization import Configured, register
from keras_ssl.layers.prototypes import Prototypes, unit_rows
from keras_ssl.ops.linalg import l2_normalize
from keras_ssl.ops.precision import Tensor

BLOCK = 8192  # rows compared with all centroids at a time


class ImageMemory(Configured, keras.layers.Layer):
    """The latest projection of every view of every image, and classes of the images.

    A subclass finds the classes in the projections. Before that they are random, of equal size.

    Args:
        num_images: int > 0. Images of the training set.
        dim: int > 0. Width of a projection.
        num_prototypes: sequence of ints, one for each head. Numbers of clusters, from 2 to
            `num_images`.
        num_views: int > 0. Views of an image; the heads cluster them in turn.
        seed: int >= 0. Of the first classes and of k-means.

    Raises:
        UserError: for a head with more clusters than there are images.
    """

    def __init__(
        self,
        num_images: Annotated[int, Between(1, 10**9)],
        dim: Width,
        num_prototypes: ClusterCounts,
        num_views: NumViews = 2,
        seed: Seed = 0,
        **kwargs,
    ):
        super().__init__(autocast=False, **kwargs)
        _check(num_prototypes, num_images)
        self.num_images = num_images
        self.dim = dim
        self.num_prototypes = num_prototypes
        self.num_views = num_views
        self.seed = seed
        self.projections = self.add_weight(
            name="projections",
            shape=(num_views, num_images, dim),
            dtype="float32",
            initializer=unit_rows,
            trainable=False,
            autocast=False,
        )
        self.classes = self.add_weight(
            name="classes",
            shape=(len(num_prototypes), num_images),
            dtype="int64",
            initializer=self._random_classes,
            trainable=False,
        )
        self.add_heads()
        self.built = True

    def add_heads(self):
        """Make the layers that score a projection for the clusters: `heads`."""
        raise NotImplementedError

    def remember(self, index, projections):
        """Keep the projections of a batch.

        Args:
            index: (batch,) integers. This replica's images; no image is there twice.
            projections: sequence over views of (batch, dim), of length 1.
        """
        index = all_gather(index)
        places = [
            ops.stack([ops.full_like(index, view), index], axis=1)  # (batch, 2)
            for view in range(self.num_views)
        ]
        rows = ops.concatenate([all_gather(projection) for projection in projections])
        # The views at once: each update copies the whole memory.
        self.projections.assign(ops.scatter_update(self.projections, ops.concatenate(places), rows))

    def _random_classes(self, shape, dtype=None):
        draw = np.random.default_rng(self.seed)
        classes = [draw.permutation(shape[1]) % count for count in self.num_prototypes]
        return ops.cast(np.stack(classes), dtype)


@register
class ClusterMemory(ImageMemory):
    """The latest projection of every view of every image, and several clusterings of them.

    `remember` projections after a step and `cluster` them from time to time: the centroids become
    the prototypes, each image gets the class of its cluster. Before the first time prototypes and
    classes are random, the classes of equal size.

    Args:
        num_images: int > 0. Images of the training set.
        dim: int > 0. Width of a projection.
        num_prototypes: sequence of ints, one for each head. Numbers of clusters, from 2 to
            `num_images`.
        num_views: int > 0. Views of an image; the heads cluster them in turn.
        seed: int >= 0. Of the first classes and of k-means.

    Attributes:
        projections: (num_views, num_images, dim) float32, of length 1; random at first.
        classes: (heads, num_images) int64; int32 variables stay on the host, where a step that XLA
            compiled for a GPU cannot read them.
        prototypes: `Prototypes` of each head, which are not trained.

    Raises:
        UserError: for a head with more clusters than there are images.

    Example:

    >>> memory = ClusterMemory(num_images=6, dim=4, num_prototypes=(3, 2))
    >>> memory.cluster(epoch=1)
    >>> memory.classes.shape
    TensorShape([2, 6])

    Reference: Caron et al., SwAV, 2020, appendix D.2 (DeepCluster-v2).
    """

    def add_heads(self):
        self.prototypes = [
            Prototypes(count, name=f"prototypes{head}", trainable=False)
            for head, count in enumerate(self.num_prototypes)
        ]
        for layer in self.prototypes:
            layer.build((None, self.dim))

    @property
    def heads(self):
        """The layers that score a projection for the clusters, one for each head."""
        return self.prototypes

    def represent(self, projections):
        """What is kept of projections, and scored: unit rows in at least float32."""
        return l2_normalize(projections)

    def weights_of(self, index):
        """Every image weighs the same in the loss."""
        return None

    def cluster(self, epoch, num_iterations=10):
        """Find new prototypes and classes; what is drawn for it follows from seed and epoch."""
        classes = []
        for head, layer in enumerate(self.prototypes):
            centroids, nearest = spherical_kmeans(
                self.projections[head % self.num_views],
                layer.num_prototypes,
                num_iterations=num_iterations,
                seed=(self.seed, epoch, head),
            )
            layer.prototypes.assign(centroids)
            classes.append(ops.cast(nearest, "int64"))
        self.classes.assign(ops.stack(classes))


def _check(num_prototypes, num_images):
    if not num_prototypes or min(num_prototypes) < 2 or max(num_prototypes) > num_images:
        raise UserError(
            f"num_prototypes takes from 2 to {num_images} clusters, the number of images, for each "
            f"head. Received {num_prototypes}: try {(max(2, num_images // 10),) * 3}."
        )


def spherical_kmeans(
    rows: Tensor, num_clusters: int, *, num_iterations: int = 10, seed: int | Sequence[int] = 0
) -> tuple[Tensor, Tensor]:
    """k-means of unit rows around unit centroids, by their cosines, on whatever device holds them.

    `sklearn.cluster.KMeans` finds equally good clusters, about three times as fast on two CPU
    cores. But its threads add up in the order in which they end (of twelve equal calls with four
    threads, four results differed in the last bits), so that a resumed run would differ from one
    that was never interrupted; and it leaves a GPU idle.

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
    clustering, 2001; initialization as in facebookresearch/swav, main_deepclusterv2.py.
    """
    first = np.random.default_rng(seed).choice(len(rows), num_clusters, replace=False)
    centroids = ops.take(rows, first, axis=0)
    for _ in range(num_iterations):
        centroids = _move(rows, centroids)
    return centroids, nearest(rows, centroids)


def nearest(rows: Tensor, centroids: Tensor, offsets: Tensor | float = 0.0) -> Tensor:
    """Index of the centroid with the largest product, plus its offset.

    Args:
        rows: (n, dim).
        centroids: (k, dim).
        offsets: (k,) or a number.

    Returns:
        (n,) int32.
    """
    columns = ops.transpose(centroids)
    blocks = [ops.argmax(block @ columns + offsets, axis=-1) for block in blocks_of(rows)]
    return ops.cast(ops.concatenate(blocks), "int32")


def _move(rows, centroids):
    """Replace centroids by the direction of the sum of their rows."""
    count, total = len(centroids), ops.zeros_like(centroids)
    for block in blocks_of(rows):
        # A product and not a scattered sum: its order, and so its last bit, is always the same.
        member = ops.one_hot(nearest(block, centroids), count, axis=0, dtype=block.dtype)
        total = total + member @ block
    length = ops.norm(total, axis=-1, keepdims=True)
    return ops.where(length > 0, total / ops.maximum(length, 1e-12), centroids)


def blocks_of(rows: Tensor) -> list[Tensor]:
    """The rows in blocks that are compared with all centroids at a time."""
    return [rows[start : start + BLOCK] for start in range(0, len(rows), BLOCK)]
