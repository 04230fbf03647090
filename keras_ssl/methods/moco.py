"""MoCo: identify the key of another view among a queue of keys that a slow encoder made."""

from keras_ssl.core.bounds import Count, Share, Temperature, Width
from keras_ssl.core.serialization import register
from keras_ssl.layers.queue import KeyQueue
from keras_ssl.losses.cpc import mutual_information_bound
from keras_ssl.losses.moco import moco_loss, symmetric_moco_loss
from keras_ssl.methods.base import Method


@register
class MoCo(Method):
    """Contrastive learning with the keys of earlier batches as negatives: a small batch will do.

    View 1 makes the queries; view 2, through the moving average of the network, makes the keys. The
    queue starts with random keys. Batch normalization sees the global batch, which serves for the
    paper's shuffling of images between devices.

    Loss: -log(exp(q.k / T) / (exp(q.k / T) + sum_j exp(q.k_j / T))), the k_j of the queue (eq. 1).

    Args:
        momentum: float in [0, 1], or a schedule step -> momentum. Share of the key encoder that
            stays at each update; larger is slower.
        temperature: float > 0. Smaller weighs hard negatives more.
        hidden_dim: int > 0. Width of the projector's hidden layer.
        projection_dim: int > 0. Width of queries and keys.
        queue_size: int > 0. Number of negatives; a multiple of the batch.
        symmetric: bool. Whether each view is queried against the keys of the other, with a queue
            for each; the directions are added (MoCo v2+ of solo-learn).

    Example:

    >>> encoder = keras_ssl.create_backbone("tiny", (8, 8, 1))
    >>> method = MoCo(encoder, hidden_dim=16, projection_dim=8, queue_size=12)
    >>> views = {"global": keras.random.normal((4, 2, 8, 8, 1), seed=1)}
    >>> outputs = method.embed(views, training=True)
    >>> method.after_step(outputs)
    >>> int(method.queues[0].pointer)  # four keys took the place of the oldest
    4

    Reference: He et al., Momentum contrast, 2020, eqs. 1 and 2; Chen et al., Improved baselines
    with momentum contrastive learning, 2020 (v2).
    """

    terms = ("moco",)
    diagnostic_names = ("mutual_information_bound",)

    def __init__(
        self,
        encoder,
        *,
        momentum: Share = 0.999,  # sec. 3.3
        temperature: Temperature = 0.2,  # v2, table 2
        hidden_dim: Width = 2048,  # v2, sec. 3
        projection_dim: Width = 128,  # sec. 3.3
        queue_size: Count = 65536,  # sec. 3.3
        symmetric: bool = False,
        **kwargs,
    ):
        super().__init__(encoder, **kwargs)
        self.momentum = momentum
        self.temperature = temperature
        self.hidden_dim = hidden_dim
        self.projection_dim = projection_dim
        self.queue_size = queue_size
        self.symmetric = symmetric
        self.projector = self.head(
            (hidden_dim, projection_dim), name="projector", hidden_norm=False
        )
        self.target_encoder = self.add_target(self.encoder)
        self.target_projector = self.add_target(self.projector)
        self.queues = [
            KeyQueue(queue_size, projection_dim, name=f"queue{view}")
            for view in range(2 if symmetric else 1)
        ]

    def embed(self, views, training):
        images = views["global"]

        def project(encoder, projector, chosen):
            features = [self._run(encoder, images[:, view], training) for view in chosen]
            return [projector(feature, training=training) for feature in features]

        queries, keys = ((0, 1), (0, 1)) if self.symmetric else ((0,), (1,))
        return {
            "queries": project(self.encoder, self.projector, queries),
            "keys": project(self.target_encoder, self.target_projector, keys),
        }

    def loss_terms(self, outputs):
        queries, keys = outputs["queries"], outputs["keys"]
        queues = [queue.keys for queue in self.queues]
        if self.symmetric:
            loss = symmetric_moco_loss(queries, keys, queues, temperature=self.temperature)
        else:
            loss = moco_loss(queries[0], keys[0], queues[0], temperature=self.temperature)
        return {"moco": loss}

    def diagnostics(self, outputs):
        """`log N - L` of one direction, N the queue and the positive.

        The negatives are keys of other images once the random ones have left the queue.
        """
        loss = self.loss_terms(outputs)["moco"] / len(self.queues)
        bound = mutual_information_bound(loss, 1 + self.queue_size)
        return {"mutual_information_bound": bound}

    def check_batch(self, size):
        for queue in self.queues:
            queue.check_batch(size)

    def after_step(self, outputs):
        for queue, keys in zip(self.queues, outputs["keys"], strict=True):
            queue.enqueue(keys)
