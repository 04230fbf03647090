"""SwAV: predict, from one view, the cluster that another view of the same image is assigned to."""

from keras import ops

from keras_ssl.core.bounds import CountOrZero, Few, Temperature, TwoOrMore, Width
from keras_ssl.core.cures import LESS, MORE
from keras_ssl.core.replicas import num_replicas
from keras_ssl.core.serialization import register
from keras_ssl.core.telltales import undecided
from keras_ssl.layers.prototypes import Prototypes
from keras_ssl.layers.queue import KeyQueue
from keras_ssl.layers.sinkhorn import sinkhorn
from keras_ssl.losses.swav import swapped_prediction_loss
from keras_ssl.methods.base import Method
from keras_ssl.ops.linalg import l2_normalize


@register
class SwAV(Method):
    """Clustering on the fly: prototypes are learned, and a batch is spread over them evenly.

    The even spread (Sinkhorn) keeps all images from one cluster. Local crops predict the clusters
    of the global views. A batch with fewer images than there are prototypes needs a queue, whose
    features are assigned along with it.

    Loss: -sum_k q_k log p_k, p = softmax(z.c / T) of one view and q the codes of another, which
    Sinkhorn makes of its z.c (eq. 2).

    Args:
        temperature: float > 0. Of the predictions; smaller is sharper.
        hidden_dim: int > 0. Width of the projector's hidden layer.
        projection_dim: int > 0. Width of features and prototypes.
        num_prototypes: int > 1. Number of clusters.
        epsilon: float > 0. Of Sinkhorn; smaller is sharper. If the loss stays at
            `log(num_prototypes)`, take a smaller one.
        sinkhorn_iterations: int > 0. More are more even.
        queue_size: int >= 0. Earlier features kept for each global view, a multiple of the batch; 0
            for none.
        queue_start_epoch: int >= 0. Epochs before the queue is used, once it is full.
        freeze_epochs: int >= 0. Epochs in which the prototypes do not move.

    Example:

    >>> encoder = keras_ssl.create_backbone("tiny", (8, 8, 1))
    >>> sizes = {"hidden_dim": 16, "projection_dim": 8, "num_prototypes": 5}
    >>> method = SwAV(encoder, **sizes, steps_per_epoch=10)
    >>> images = keras.random.normal((4, 8, 8, 1), seed=1)
    >>> method.cluster_scores(images).shape
    TensorShape([4, 5])

    Reference: Caron et al., Unsupervised learning of visual features by contrasting cluster
    assignments, 2020, eqs. 1 to 5.
    """

    terms = ("swav",)
    joint_batch = True
    multi_crop = True
    second_view_temperature = True
    cluster_head = "prototypes"
    cures = {
        "representation": (("method.epsilon", LESS),),
        "cluster": (
            ("method.sinkhorn_iterations", MORE),
            ("method.queue_size", MORE),
            ("optimizer.learning_rate", LESS),
        ),
        "intracluster": (("method.num_prototypes", MORE),),
        "undecided": (("method.epsilon", LESS), ("method.num_prototypes", LESS)),
    }

    def __init__(
        self,
        encoder,
        *,
        temperature: Temperature = 0.1,  # appendix A
        hidden_dim: Width = 2048,  # authors' code
        projection_dim: Width = 128,  # authors' code
        num_prototypes: TwoOrMore = 3000,  # appendix A
        epsilon: Temperature = 0.05,  # appendix A
        sinkhorn_iterations: Few = 3,  # appendix A
        queue_size: CountOrZero = 0,  # 3840 with a batch of 256: sec. 5.1
        queue_start_epoch: CountOrZero = 15,  # authors' code
        freeze_epochs: CountOrZero = 1,  # appendix A
        **kwargs,
    ):
        super().__init__(encoder, **kwargs)
        self.temperature = temperature
        self.hidden_dim = hidden_dim
        self.projection_dim = projection_dim
        self.num_prototypes = num_prototypes
        self.epsilon = epsilon
        self.sinkhorn_iterations = sinkhorn_iterations
        self.queue_size = queue_size
        self.queue_start_epoch = queue_start_epoch
        self.freeze_epochs = freeze_epochs
        self.projector = self.head((hidden_dim, projection_dim), name="projector")
        self.prototypes = Prototypes(num_prototypes, name="prototypes", dtype=self.dtype_policy)
        self.prototypes.build((None, projection_dim))
        count = self.num_views[0] if queue_size else 0
        self.queues = [
            KeyQueue(queue_size, projection_dim, "zeros", name=f"queue{view}")
            for view in range(count)
        ]

    def embed(self, views, training):
        return [l2_normalize(z) for z in super().embed(views, training)]

    def loss_terms(self, outputs):
        scores = [self.prototypes(z) for z in outputs]
        codes = [self._codes(scores[view], view) for view in range(self.num_views[0])]
        return {"swav": swapped_prediction_loss(scores, codes, temperature=self.temperature)}

    def telltales(self):
        uniform = undecided("swav", self.num_prototypes, what="prototypes")
        return [*super().telltales(), uniform]

    def cluster_scores(self, images):
        features = self.encoder(images, training=False)
        return self.prototypes(l2_normalize(self.projector(features, training=False)))

    def _codes(self, scores, view):
        """Assignments of a global view, balanced together with those of its queue."""
        options = {"epsilon": self.epsilon, "iterations": self.sinkhorn_iterations}
        scores = ops.stop_gradient(scores)
        if not self.queues:
            return sinkhorn(scores, **options)
        queue, batch = self.queues[view], ops.shape(scores)[0]
        used = ops.logical_and(self.epoch >= self.queue_start_epoch, queue.full)
        share = ops.cast(used, scores.dtype) / num_replicas()
        weights = ops.concatenate([ops.ones(batch), share * ops.ones(self.queue_size)])
        scores = ops.concatenate([scores, self.prototypes(queue.keys)])
        return sinkhorn(scores, weights=weights, **options)[:batch]

    def frozen_parameters(self):
        now = self.freeze_epochs > 0 and self.epoch < self.freeze_epochs
        return [self.prototypes.prototypes], now

    def check_batch(self, size):
        for queue in self.queues:
            queue.check_batch(size)

    def after_step(self, outputs):
        self.prototypes.normalize()
        for queue, z in zip(self.queues, outputs, strict=False):
            queue.enqueue(z)
