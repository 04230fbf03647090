"""MoCo: identify the key of another view among a queue of keys that a slow encoder made."""

from typing import Literal

from keras import ops

from keras_ssl.core.bounds import Count, Share, Temperature, Width
from keras_ssl.core.cures import LESS, MORE, WEAKER
from keras_ssl.core.errors import UserError
from keras_ssl.core.replicas import all_gather, num_replicas
from keras_ssl.core.serialization import register
from keras_ssl.layers.bank import MemoryBank
from keras_ssl.layers.queue import KeyQueue
from keras_ssl.losses.moco import end_to_end_loss, moco_loss, symmetric_moco_loss
from keras_ssl.methods.base import Method
from keras_ssl.ops.information import mutual_information_bound
from keras_ssl.ops.linalg import l2_normalize
from keras_ssl.ops.random import integers


@register
class MoCo(Method):
    """Contrastive learning with the keys of earlier batches as negatives: a small batch will do.

    View 1 makes the queries; view 2, through the moving average of the network, makes the keys. The
    queue starts with random keys. Batch normalization sees the global batch, which serves for the
    paper's shuffling of images between devices.

    What MoCo is compared with is another `dictionary`: in a memory bank the key of an image is a
    running mean of its earlier queries, and the negatives are those of images drawn anew at each
    step; end to end, both views go through the one network, with gradients, and the negatives are
    the other images of the batch.

    Loss: -log(exp(q.k / T) / (exp(q.k / T) + sum_j exp(q.k_j / T))), the k_j of the queue (eq. 1).

    Args:
        momentum: float in [0, 1], or a schedule step -> momentum. Share of the key encoder that
            stays at each update; larger is slower.
        temperature: float > 0. Smaller weighs hard negatives more.
        hidden_dim: int > 0. Width of the projector's hidden layer.
        projection_dim: int > 0. Width of queries and keys.
        queue_size: int > 0. Number of negatives; of a queue, a multiple of the batch. End to end
            it has no effect.
        symmetric: bool. Whether each view is queried against the keys of the other, with a queue
            for each; the directions are added (MoCo v2+ of solo-learn). A memory bank has one key
            of an image for both.
        dictionary: "queue", "memory_bank" or "end_to_end". Where keys come from (figs. 2 and 3).
            Only a queue has a momentum encoder.
        bank_momentum: float in [0, 1]. Share of a key in the memory bank that stays when its image
            is seen.
        num_images: int > 0 or None. Images of the training set; for a memory bank.

    Raises:
        UserError: for a memory bank without `num_images`.

    Example:

    >>> encoder = keras_ssl.create_backbone("tiny", (8, 8, 1))
    >>> method = MoCo(encoder, hidden_dim=16, projection_dim=8, queue_size=12)
    >>> views = {"global": keras.random.normal((4, 2, 8, 8, 1), seed=1)}
    >>> outputs = method.embed(views, training=True)
    >>> method.after_step(outputs)
    >>> int(method.queues[0].pointer)  # four keys took the place of the oldest
    4

    Reference: He et al., Momentum contrast, 2020, eqs. 1 and 2; Chen et al., Improved baselines
    with momentum contrastive learning, 2020 (v2). Memory bank: Wu et al., Unsupervised feature
    learning via non-parametric instance discrimination, 2018, with InfoNCE as in fig. 3 of MoCo.
    """

    terms = ("moco",)
    cures = {
        "representation": (("method.temperature", LESS), ("method.momentum", MORE)),
        "dimensional": (("method.temperature", LESS), ("augment.policy", WEAKER)),
        "undecided": (("optimizer.learning_rate", LESS), ("method.temperature", LESS)),
    }
    diagnostic_names = ("mutual_information_bound",)
    run_facts = ("num_images",)

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
        dictionary: Literal["queue", "memory_bank", "end_to_end"] = "queue",  # sec. 3.2
        bank_momentum: Share = 0.5,  # code of Wu et al.
        num_images=None,
        **kwargs,
    ):
        super().__init__(encoder, **kwargs)
        self.momentum = momentum
        self.temperature = temperature
        self.hidden_dim = hidden_dim
        self.projection_dim = projection_dim
        self.queue_size = queue_size
        self.symmetric = symmetric
        self.dictionary = dictionary
        self.bank_momentum = bank_momentum
        self.num_images = num_images
        self.needs_index = dictionary == "memory_bank"
        self.projector = self.head(
            (hidden_dim, projection_dim), name="projector", hidden_norm=False
        )
        self.queues = []
        if dictionary == "queue":
            self.target_encoder = self.add_target(self.encoder)
            self.target_projector = self.add_target(self.projector)
            self.queues = [
                KeyQueue(queue_size, projection_dim, name=f"queue{view}")
                for view in range(2 if symmetric else 1)
            ]
        if dictionary == "memory_bank":
            if num_images is None:
                raise UserError(
                    "A memory bank has a key for every training image: give num_images, and "
                    '"index" with every batch.'
                )
            self.bank = MemoryBank(num_images, projection_dim, bank_momentum, name="bank")

    def ema_momentum(self, step):
        return super().ema_momentum(step) if self.dictionary == "queue" else None

    def embed(self, views, training):
        images = views["global"]

        def project(encoder, projector, chosen):
            features = [self._run(encoder, images[:, view], training) for view in chosen]
            return [projector(feature, training=training) for feature in features]

        queries, keys = ((0, 1), (0, 1)) if self.symmetric else ((0,), (1,))
        outputs = {"queries": project(self.encoder, self.projector, queries)}
        if self.dictionary == "queue":
            outputs["keys"] = project(self.target_encoder, self.target_projector, keys)
        elif self.dictionary == "memory_bank":
            outputs["index"] = views["index"]
        elif self.symmetric:
            outputs["keys"] = outputs["queries"]
        else:
            outputs["keys"] = project(self.encoder, self.projector, keys)
        return outputs

    def loss_terms(self, outputs):
        return {"moco": _LOSSES[self.dictionary](self, outputs)}

    def _queue_loss(self, outputs):
        queries, keys = outputs["queries"], outputs["keys"]
        queues = [queue.keys for queue in self.queues]
        if self.symmetric:
            return symmetric_moco_loss(queries, keys, queues, temperature=self.temperature)
        return moco_loss(queries[0], keys[0], queues[0], temperature=self.temperature)

    def _bank_loss(self, outputs):
        index = ops.cast(outputs["index"], "int64")
        drawn = ops.cast(integers(self.queue_size, self.num_images, self.seed, self.step), "int64")
        keys, negatives = self.bank.read(index), self.bank.read(drawn)
        own = ops.equal(index[:, None], drawn[None, :])  # (batch, queue_size)
        options = {"temperature": self.temperature, "left_out": own}
        return sum(moco_loss(query, keys, negatives, **options) for query in outputs["queries"])

    def _end_to_end_loss(self, outputs):
        queries, keys = ([all_gather(z) for z in outputs[name]] for name in ("queries", "keys"))
        pairs = zip(queries, reversed(keys), strict=True)
        return sum(end_to_end_loss(q, k, temperature=self.temperature) for q, k in pairs)

    def diagnostics(self, outputs, terms=None):
        """`log N - L` of one direction, N the negatives and the positive.

        The negatives are to be keys of other images. At first those of a queue or a memory bank
        are random; and a queue larger than the data set has earlier keys of the image itself. For a
        memory bank N is 1 + `queue_size` too, though an image that is drawn as its own negative is
        left out: log N is then an upper bound of the log of the terms.
        """
        loss = (terms or self.loss_terms(outputs))["moco"] / len(outputs["queries"])
        count = 1 + self.queue_size
        if self.dictionary == "end_to_end":
            count = ops.shape(outputs["queries"][0])[0] * num_replicas()
        return {"mutual_information_bound": mutual_information_bound(loss, count)}

    def check_batch(self, size):
        for queue in self.queues:
            queue.check_batch(size)

    def after_step(self, outputs):
        if self.dictionary == "memory_bank":
            queries = sum(l2_normalize(query) for query in outputs["queries"])
            self.bank.remember(outputs["index"], queries)
        elif self.dictionary == "queue":
            for queue, keys in zip(self.queues, outputs["keys"], strict=True):
                queue.enqueue(keys)


_LOSSES = {
    "queue": MoCo._queue_loss,
    "memory_bank": MoCo._bank_loss,
    "end_to_end": MoCo._end_to_end_loss,
}
