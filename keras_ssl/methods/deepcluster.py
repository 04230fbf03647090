"""DeepCluster: cluster all images after every epoch, and learn to predict the clusters."""

from collections.abc import Sequence
from typing import Annotated, Literal

import keras
from keras import ops

from keras_ssl.core.bounds import Between, ClusterCounts, Few, Temperature, Width
from keras_ssl.core.cures import LESS, MORE
from keras_ssl.core.errors import UserError
from keras_ssl.core.serialization import register
from keras_ssl.core.telltales import undecided
from keras_ssl.layers.kmeans_memory import KMeansMemory
from keras_ssl.layers.memory import ClusterMemory
from keras_ssl.losses.deepcluster import cluster_prediction_loss
from keras_ssl.methods.base import Method

_SQUARES = ("_velocity", "_velocity_hat")  # names of Keras's slots for squared gradients


@register
class DeepCluster(Method):
    """k-means gives every image a class, several times over; the views learn to predict it.

    A memory holds the latest projection of every view of every training image. At the start of an
    epoch it is clustered once per head, the views taking turns: the centroids become the head's
    fixed prototypes, the clusters its classes. In the first epoch, before there are projections
    to cluster, the classes are drawn at random, equal in size, with random prototypes.

    That is version 2. In version 1 (`clustering="kmeans"`) k-means is by Euclidean distances, of
    projections that were whitened and normalized; the prototypes are a linear classifier of
    their positive parts that is learned, and begins anew after every clustering; every cluster
    counts for as much.

    Loss: -log softmax(z.c / T)_y, y the image's cluster and c the centroids, averaged over heads
    and views; in version 1 -w_y log softmax(W relu(z) + b)_y, w_y the inverse of the size of
    cluster y.

    Args:
        num_prototypes: numbers of clusters, one for each head; at most that of the images.
        clustering: "spherical" or "kmeans". Version 2 or version 1, which takes one head
            (num_prototypes=(10000,) and kmeans_iterations=20 on ImageNet).
        pca_dim: int > 0. Principal components that version 1 clusters; give the projections
            many times the width (4096 in the paper), or noise is as large as what is common.
        temperature: float > 0. Of the softmax over the prototypes; version 1 has none.
        hidden_dim: int > 0. Width of the projector's hidden layer.
        projection_dim: int > 0. Width of the space in which is clustered.
        kmeans_iterations: int > 0. Times that k-means moves the centroids.
        num_images: int > 0. Images of the training set.

    Raises:
        UserError: for a head with more clusters than there are images; for several heads in
            version 1.

    Example:

    >>> encoder = keras_ssl.create_backbone("tiny", (8, 8, 1))
    >>> sizes = {"num_images": 8, "num_prototypes": (3, 2), "hidden_dim": 16, "projection_dim": 4}
    >>> method = DeepCluster(encoder, **sizes, steps_per_epoch=2)
    >>> method.memory.classes.shape  # one row for each head
    TensorShape([2, 8])

    Reference: Caron et al., Unsupervised learning of visual features by contrasting cluster
    assignments, 2020, appendix D.2; facebookresearch/swav, main_deepclusterv2.py, which fills the
    memory by an epoch without learning. Random classes: Bojanowski and Joulin, Unsupervised
    learning by predicting noise, 2017. Version 1: Caron et al., Deep clustering for unsupervised
    learning of visual features, 2018, eq. 2 and sec. 3.2 to 3.4, which passes over all images once
    more to cluster their features, and draws images by their clusters.
    """

    terms = ("deepcluster",)
    needs_index = True
    run_facts = ("num_images",)
    cluster_head = "first prototypes"
    cures = {
        "cluster": (("method.num_prototypes", LESS), ("optimizer.learning_rate", LESS)),
        "intracluster": (("method.num_prototypes", MORE),),
        "undecided": (("optimizer.learning_rate", MORE), ("method.num_prototypes", LESS)),
    }

    def __init__(
        self,
        encoder,
        *,
        num_images: Annotated[int, Between(1, 10**9)],
        num_prototypes: ClusterCounts = (3000, 3000, 3000),  # released code, as all of these
        temperature: Temperature = 0.1,
        hidden_dim: Width = 2048,
        projection_dim: Width = 128,
        kmeans_iterations: Few = 10,
        clustering: Literal["spherical", "kmeans"] = "spherical",
        pca_dim: Width = 256,  # version 1, sec. 3.4
        **kwargs,
    ):
        super().__init__(encoder, **kwargs)
        self.num_images = num_images
        self.num_prototypes = num_prototypes
        self.temperature = temperature
        self.hidden_dim = hidden_dim
        self.projection_dim = projection_dim
        self.kmeans_iterations = kmeans_iterations
        self.clustering = clustering
        self.pca_dim = pca_dim
        if clustering == "kmeans" and len(num_prototypes) > 1:
            raise UserError(
                "Version 1 (clustering='kmeans') has one head. Received num_prototypes="
                f"{tuple(num_prototypes)}: set method.num_prototypes to one number of clusters, "
                f"such as {num_prototypes[0]}."
            )
        self.projector = self.head((hidden_dim, projection_dim), name="projector")
        sizes = (num_images, projection_dim, num_prototypes, self.num_views[0], self.seed)
        if clustering == "kmeans":
            self.memory = KMeansMemory(*sizes, pca_dim, name="memory")
        else:
            self.memory = ClusterMemory(*sizes, name="memory")

    def start_epoch(self, epoch):
        self.memory.cluster(epoch, self.kmeans_iterations)
        # What is left to train in the memory was drawn anew.
        forget(getattr(self, "optimizer", None), self.memory.trainable_variables)

    def embed(self, views, training):
        features = self.encode(views, training=training)
        memory = self.memory
        projections = [memory.represent(self.projector(f, training=training)) for f in features]
        return {
            "projections": projections,
            "scores": [[layer(z) for z in projections] for layer in memory.heads],
            "classes": ops.take(memory.classes, views["index"], axis=1),
            "weights": memory.weights_of(views["index"]),
            "index": views["index"],
        }

    def loss_terms(self, outputs):
        loss = cluster_prediction_loss(
            outputs["scores"],
            outputs["classes"],
            temperature=self.temperature if self.clustering == "spherical" else 1.0,
            weights=outputs["weights"],
        )
        return {"deepcluster": loss}

    def telltales(self):
        uniform = undecided("deepcluster", *self.num_prototypes, what="clusters")
        return [*super().telltales(), uniform]

    def cluster_scores(self, images):
        features = self.encoder(images, training=False)
        projections = self.projector(features, training=False)
        return self.memory.heads[0](self.memory.represent(projections))

    def after_step(self, outputs):
        self.memory.remember(outputs["index"], outputs["projections"])


def forget(
    optimizer: keras.optimizers.Optimizer | None, variables: Sequence[keras.Variable]
) -> None:
    """Set to 0 what an optimizer has of variables' directions: momentum, accumulated gradients.

    The running means of squared gradients (Adam's second moments) stay: Adam corrects for their
    zero start by the steps of the whole run, so that from 0 its next step would be 0.1 /
    sqrt(0.001) = 3.2 times the learning rate; with them it is 0.1 times the rate for a gradient of
    the size of earlier ones.
    """
    if optimizer is None or not variables:
        return
    starts = tuple(variable.path.replace("/", "_") + "_" for variable in variables)
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    for slot in inner.variables:
        if slot.name.startswith(starts) and not slot.name.endswith(_SQUARES):
            slot.assign(ops.zeros_like(slot))
