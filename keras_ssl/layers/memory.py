"""A memory of every training image, and the clusters that are found in it."""

import keras
import numpy as np
from keras import ops

from keras_ssl.core.checks import UserError
from keras_ssl.core.replicas import all_gather
from keras_ssl.core.serialization import Configured, register
from keras_ssl.layers.clustering import spherical_kmeans
from keras_ssl.layers.prototypes import Prototypes, unit_rows


@register
class ClusterMemory(Configured, keras.layers.Layer):
    """The latest projection of every view of every image, and several clusterings of them.

    `remember` projections after a step and `cluster` them from time to time: the centroids become
    the prototypes, each image gets the class of its cluster. Before the first time prototypes and
    classes are random, the classes alike in size.

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

    Reference: Caron et al., SwAV, 2020, appendix D.2 (DeepCluster-v2).
    """

    def __init__(self, num_images, dim, num_prototypes, num_views=2, seed=0, **kwargs):
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
        self.prototypes = [
            Prototypes(count, name=f"prototypes{head}", trainable=False)
            for head, count in enumerate(num_prototypes)
        ]
        for layer in self.prototypes:
            layer.build((None, dim))
        self.built = True

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

    def _random_classes(self, shape, dtype=None):
        draw = np.random.default_rng(self.seed)
        classes = [draw.permutation(shape[1]) % count for count in self.num_prototypes]
        return ops.cast(np.stack(classes), dtype)


def _check(num_prototypes, num_images):
    if not num_prototypes or min(num_prototypes) < 2 or max(num_prototypes) > num_images:
        raise UserError(
            f"num_prototypes takes from 2 to {num_images} clusters, the number of images, for each "
            f"head. Received {num_prototypes}: try {(max(2, num_images // 10),) * 3}."
        )
