"""Queues: the keys of the last batches, kept as negatives or neighbors for the next ones."""

import keras
from keras import ops

from keras_ssl.core.bounds import Count, Width
from keras_ssl.core.errors import UserError
from keras_ssl.core.replicas import all_gather, num_replicas
from keras_ssl.core.serialization import Configured, register
from keras_ssl.ops.linalg import l2_normalize


@register
class KeyQueue(Configured, keras.layers.Layer):
    """A ring of unit rows: new ones overwrite the oldest.

    Read `keys` in the loss, then `enqueue` this step's keys. Both weights are non-trainable and
    saved with the model; `keys` is in at least float32 under any dtype policy.

    Args:
        size: int > 0. Number of keys; a multiple of the global batch.
        dim: int > 0. Width of a key.
        initializer: Keras initializer of the rows before normalization: "random_normal" for random
            negatives at first (MoCo), "zeros" for a queue that is empty until it has been filled.

    Attributes:
        keys: (size, dim).
        pointer: integer scalar. The row that the next batch is written from.

    Raises:
        UserError: for a size or dim below 1.

    Example:

    >>> queue = KeyQueue(size=4, dim=3)
    >>> queue.enqueue(keras.ops.eye(3)[:2])
    >>> int(queue.pointer), queue.keys.numpy()[:2].tolist()
    (2, [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])

    Reference: He et al., Momentum contrast, 2020, sec. 3.2 and algorithm 1.
    """

    def __init__(self, size: Count, dim: Width, initializer="random_normal", **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.size = size
        self.dim = dim
        self.initializer = initializer
        draw = keras.initializers.get(initializer)
        self.keys = self.add_weight(
            name="keys",
            shape=(size, dim),
            dtype=keras.backend.result_type(self.variable_dtype, "float32"),
            initializer=lambda shape, dtype=None: l2_normalize(draw(shape, dtype=dtype)),
            trainable=False,
            autocast=False,
        )
        self.pointer = self.add_weight(
            name="pointer", shape=(), dtype="int64", initializer="zeros", trainable=False
        )
        self.built = True

    @property
    def full(self):
        """Whether a queue that began with zeros has been filled: a boolean scalar."""
        return ops.any(ops.not_equal(self.keys[-1], 0.0))

    def check_batch(self, size):
        """Refuse a global batch that does not divide the queue.

        Raises:
            UserError: with a size of the queue that fits.
        """
        if self.size % size:
            raise UserError(
                f"The queue's size={self.size} must be a multiple of the global batch of {size}: "
                f"try {max(self.size // size, 1) * size}."
            )

    def enqueue(self, keys):
        """Write the rows of all replicas over the oldest ones, and move the pointer behind them.

        Args:
            keys: (batch, dim). This replica's; they are normalized here.

        Raises:
            UserError: if the global batch does not divide the size of the queue.
        """
        if keys.shape[0] is not None:
            self.check_batch(keys.shape[0] * num_replicas())
        rows = ops.cast(all_gather(l2_normalize(keys)), self.keys.dtype)
        count = ops.shape(rows)[0]
        self.keys.assign(ops.scatter_update(self.keys, self._places(count), rows))
        self.pointer.assign((self.pointer + ops.cast(count, "int64")) % self.size)

    def _places(self, count):
        """Where the next `count` rows go: (count, 1)."""
        start = ops.convert_to_tensor(self.pointer)
        return ((start + ops.arange(count, dtype="int64")) % self.size)[:, None]


@register
class NeighbourQueue(KeyQueue):
    """A `KeyQueue` that knows the image of each key and finds the key nearest to another image's.

    Args:
        size: int > 0. Number of keys; a multiple of the global batch.
        dim: int > 0. Width of a key.
        initializer: Keras initializer of the rows; with zeros, `full` says when to begin.

    Attributes:
        images: (size,) int64. The image that each key is of; -1 at first.

    Example:

    >>> queue = NeighbourQueue(size=2, dim=2)
    >>> queue.enqueue(keras.ops.eye(2), [7, 8])
    >>> queue.nearest(keras.ops.array([[1.0, 0.1]]), [7]).numpy().tolist()
    [[0.0, 1.0]]

    Reference: Amrani et al., Self-supervised classification network, 2022; authors' code.
    """

    def __init__(self, size: Count, dim: Width, initializer="zeros", **kwargs):
        super().__init__(size, dim, initializer, **kwargs)
        self.images = self.add_weight(
            name="images",
            shape=(size,),
            dtype="int64",
            initializer=lambda shape, dtype=None: -ops.ones(shape, dtype=dtype),
            trainable=False,
        )

    def enqueue(self, keys, images):
        """Write the rows of all replicas over the oldest ones.

        Args:
            keys: (batch, dim). This replica's; they are normalized here.
            images: (batch,) integers >= 0. Identifies the image.

        Raises:
            UserError: if the global batch does not divide the size of the queue.
        """
        images = all_gather(ops.cast(images, "int64"))
        places = self._places(ops.shape(images)[0])
        self.images.assign(ops.scatter_update(self.images, places, images))
        super().enqueue(keys)

    def nearest(self, keys, images):
        """The key most similar to each row that is not of the same image: -> (batch, dim).

        Args:
            keys: (batch, dim).
            images: (batch,) integers. Of which images the rows are.
        """
        similarity = ops.matmul(l2_normalize(keys), ops.transpose(self.keys))  # (batch, size)
        same = ops.equal(ops.cast(images, "int64")[:, None], self.images[None, :])
        nearest = ops.argmax(ops.where(same, -2.0, similarity), axis=-1)  # cosines are above
        return ops.stop_gradient(ops.take(self.keys, nearest, axis=0))
