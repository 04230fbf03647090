"""Self-Classifier: give the views of an image the same class, all classes being equally likely."""

from keras import ops

from keras_ssl.core.bounds import ClusterCounts, CountOrZero, Temperature, Width
from keras_ssl.core.cures import LESS, MORE
from keras_ssl.core.replicas import all_gather
from keras_ssl.core.serialization import register
from keras_ssl.core.telltales import undecided
from keras_ssl.layers.heads import self_classifier_head
from keras_ssl.layers.prototypes import WeightNormalizedPrototypes
from keras_ssl.layers.queue import NeighbourQueue
from keras_ssl.losses.self_classifier import self_classifier_loss
from keras_ssl.methods.base import Method


@register
class SelfClassifier(Method):
    """Learn classes and representation at once, without targets, negatives or stopped gradients.

    Several classifiers with different numbers of classes read one embedding. Both softmaxes, over
    the classes and over the images, see the global batch, which should be large.

    Loss: -sum_y p(y | x1) log p(y | x2), the first by a softmax over the images, the second by one
    over the classes, in both orders (sec. 3).

    Args:
        num_classes: int > 1 each. Classes of each classifier.
        row_temperature: float > 0. Of the softmax over the classes, in the predictions.
        column_temperature: float > 0. Of the softmax over the images, in the targets.
        hidden_dim: int > 0. Width of the projector's hidden layer.
        embedding_dim: int > 0. Width of what the classifiers read.
        queue_size: int >= 0. Embeddings of view 1 that are kept, a multiple of the batch; 0 for
            none. Once there are as many, view 1 is replaced by the nearest of another image.

    Example:

    >>> encoder = keras_ssl.create_backbone("tiny", (8, 8, 1))
    >>> method = SelfClassifier(encoder, num_classes=(3, 5), hidden_dim=16, embedding_dim=8)
    >>> images = keras.random.normal((4, 8, 8, 1), seed=1)
    >>> method.cluster_scores(images).shape  # of the first classifier
    TensorShape([4, 3])

    Reference: Amrani et al., Self-supervised classification network, 2022, sec. 3.
    """

    terms = ("self_classifier",)
    joint_batch = True
    multi_crop = True
    cluster_head = "first classifier"
    cures = {
        "cluster": (("method.column_temperature", LESS), ("training.batch_size", MORE)),
        "intracluster": (("method.num_classes", MORE),),
        "undecided": (("method.row_temperature", LESS), ("training.batch_size", MORE)),
    }

    def __init__(
        self,
        encoder,
        *,
        num_classes: ClusterCounts = (1000, 2000, 4000, 8000),  # authors' code
        row_temperature: Temperature = 0.1,  # authors' code
        column_temperature: Temperature = 0.05,  # authors' code
        hidden_dim: Width = 4096,  # authors' code
        embedding_dim: Width = 128,  # authors' code
        queue_size: CountOrZero = 0,  # 262144 on ImageNet: authors' code
        **kwargs,
    ):
        super().__init__(encoder, **kwargs)
        self.num_classes = num_classes
        self.row_temperature = row_temperature
        self.column_temperature = column_temperature
        self.hidden_dim = hidden_dim
        self.embedding_dim = embedding_dim
        self.queue_size = queue_size
        self.needs_index = queue_size > 0
        self.projector = self.head(
            build=self_classifier_head, hidden_dim=hidden_dim, embedding_dim=embedding_dim
        )
        self.classifiers = [
            WeightNormalizedPrototypes(
                count, learnable_scale=True, name=f"classifier{index}", dtype=self.dtype_policy
            )
            for index, count in enumerate(num_classes)
        ]
        for classifier in self.classifiers:
            classifier.build((None, embedding_dim))
        self.queue = NeighbourQueue(queue_size, embedding_dim, name="queue") if queue_size else None

    def embed(self, views, training):
        embeddings = super().embed(views, training)
        return {"embeddings": embeddings, "index": views["index"] if self.queue else None}

    def loss_terms(self, outputs):
        first, *others = outputs["embeddings"]
        if self.queue:
            nearest = self.queue.nearest(first, outputs["index"])
            first = ops.where(self.queue.full, nearest, first)
        losses = [
            self_classifier_loss(
                *(all_gather(classifier(embedding)) for embedding in (first, *others)),
                num_global=self.num_views[0],
                row_temperature=self.row_temperature,
                column_temperature=self.column_temperature,
            )
            for classifier in self.classifiers
        ]
        return {"self_classifier": sum(losses) / len(losses)}

    def telltales(self):
        uniform = undecided("self_classifier", *self.num_classes, what="classes")
        return [*super().telltales(), uniform]

    def cluster_scores(self, images):
        features = self.encoder(images, training=False)
        return self.classifiers[0](self.projector(features, training=False))

    def check_batch(self, size):
        if self.queue:
            self.queue.check_batch(size)

    def after_step(self, outputs):
        if self.queue:
            self.queue.enqueue(outputs["embeddings"][0], outputs["index"])
