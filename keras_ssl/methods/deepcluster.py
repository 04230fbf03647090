"""DeepCluster-v2: cluster all images after every epoch, and learn to tell the clusters."""

import numpy as np
from keras import ops

from keras_ssl.core.checks import UserError
from keras_ssl.core.clustering import spherical_kmeans
from keras_ssl.core.replicas import all_gather
from keras_ssl.core.serialization import register
from keras_ssl.core.vectors import l2_normalize
from keras_ssl.layers.prototypes import Prototypes, unit_rows
from keras_ssl.losses.deepcluster import cluster_prediction_loss
from keras_ssl.methods.base import Method


@register
class DeepCluster(Method):
    """k-means gives every image a class, several times over; the views learn to tell it.

    A memory holds the latest projection of every view of every training image. At the start of an
    epoch it is clustered once per head, the views taking turns: the centroids become the head's
    fixed prototypes, the clusters its classes. In the first epoch, before there are projections
    to cluster, the classes are drawn at random, equal in size, with random prototypes.

    Args:
        num_prototypes: numbers of clusters, one for each head; at most that of the images.
        temperature: float > 0. Of the softmax over the prototypes.
        hidden_dim: int > 0. Width of the projector's hidden layer.
        projection_dim: int > 0. Width of the space in which is clustered.
        kmeans_iterations: int > 0. Times that k-means moves the centroids.
        num_images: int > 0. Images of the training set.

    Raises:
        UserError: for a head with more clusters than there are images.

    Reference: Caron et al., Unsupervised learning of visual features by contrasting cluster
    assignments, 2020, appendix D.2; facebookresearch/swav, main_deepclusterv2.py, which fills the
    memory by an epoch without learning. Random classes: Bojanowski and Joulin, Unsupervised
    learning by predicting noise, 2017.
    """

    terms = ("deepcluster",)
    needs_index = True
    run_facts = ("num_images",)

    def __init__(
        self,
        encoder,
        *,
        num_images,
        num_prototypes: tuple[int, ...] = (3000, 3000, 3000),  # released code, as all of these
        temperature: float = 0.1,
        hidden_dim: int = 2048,
        projection_dim: int = 128,
        kmeans_iterations: int = 10,
        **kwargs,
    ):
        super().__init__(encoder, **kwargs)
        self.num_images = num_images
        self.num_prototypes = num_prototypes
        self.temperature = temperature
        self.hidden_dim = hidden_dim
        self.projection_dim = projection_dim
        self.kmeans_iterations = kmeans_iterations
        _check(num_prototypes, num_images)
        self.projector = self.head((hidden_dim, projection_dim), name="projector")
        self.prototypes = [
            Prototypes(count, name=f"prototypes{head}", trainable=False)
            for head, count in enumerate(num_prototypes)
        ]
        for layer in self.prototypes:
            layer.build((None, projection_dim))
        self.memory = self.add_weight(
            name="memory",
            shape=(self.num_views[0], num_images, projection_dim),
            dtype="float32",
            initializer=unit_rows,
            trainable=False,
            autocast=False,
        )
        self.classes = self.add_weight(
            name="classes",
            shape=(len(num_prototypes), num_images),
            dtype="int32",
            initializer=self._random_classes,
            trainable=False,
        )

    def start_epoch(self, epoch):
        classes = []
        for head, layer in enumerate(self.prototypes):
            centroids, nearest = spherical_kmeans(
                self.memory[head % self.num_views[0]],
                layer.num_prototypes,
                num_iterations=self.kmeans_iterations,
                seed=(self.seed, epoch, head),
            )
            layer.prototypes.assign(centroids)
            classes.append(nearest)
        self.classes.assign(ops.stack(classes))

    def _start_epochs(self):
        epoch = int(self.epoch)
        if epoch > int(ops.cast(self._last_epoch, "int64")):
            self.start_epoch(epoch)
            self._last_epoch.assign(epoch)

    def embed(self, views, training):
        features = self.encode(views, training=training)
        projections = [l2_normalize(self.projector(f, training=training)) for f in features]
        return {
            "projections": projections,
            "scores": [[layer(z) for z in projections] for layer in self.prototypes],
            "classes": ops.take(self.classes, views["index"], axis=1),
            "index": views["index"],
        }

    def loss_terms(self, outputs):
        loss = cluster_prediction_loss(
            outputs["scores"], outputs["classes"], temperature=self.temperature
        )
        return {"deepcluster": loss}

    def after_step(self, outputs):
        index = all_gather(outputs["index"])
        rows = [
            ops.scatter_update(self.memory[view], index[:, None], all_gather(projection))
            for view, projection in enumerate(outputs["projections"])
        ]
        self.memory.assign(ops.stack(rows))

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
