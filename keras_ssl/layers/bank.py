"""A memory bank: the representation of every training image, as it was last seen."""

from typing import Annotated

import keras
from keras import ops

from keras_ssl.core.bounds import Between, Share, Width
from keras_ssl.core.replicas import all_gather
from keras_ssl.core.serialization import Configured, register
from keras_ssl.layers.prototypes import unit_rows
from keras_ssl.ops.linalg import l2_normalize


@register
class MemoryBank(Configured, keras.layers.Layer):
    """A unit row for every image, which follows what is computed of the image.

        row <- normalize(momentum * row + (1 - momentum) * normalize(representation))

    `read` rows as positives or negatives in the loss, then `remember` the representations of this
    step. Unlike a queue it holds every image, each as old as the last time it was seen.

    Args:
        num_images: int > 0. Images of the training set.
        dim: int > 0. Width of a representation.
        momentum: float in [0, 1]. Share of a row that stays when its image is seen.

    Attributes:
        rows: (num_images, dim) float32, of length 1; random at first.

    Example:

    >>> bank = MemoryBank(num_images=3, dim=2)
    >>> _ = bank.rows.assign([[1.0, 0.0]] * 3)
    >>> bank.remember([2], keras.ops.array([[0.0, 5.0]]))
    >>> bank.read([0, 2]).numpy().round(2)
    array([[1.  , 0.  ],
           [0.71, 0.71]], dtype=float32)

    Reference: Wu et al., Unsupervised feature learning via non-parametric instance discrimination,
    2018, sec. 3, with the momentum of the authors' code.
    """

    def __init__(
        self,
        num_images: Annotated[int, Between(1, 10**9)],
        dim: Width,
        momentum: Share = 0.5,
        **kwargs,
    ):
        super().__init__(autocast=False, **kwargs)
        self.num_images = num_images
        self.dim = dim
        self.momentum = momentum
        self.rows = self.add_weight(
            name="rows",
            shape=(num_images, dim),
            dtype="float32",
            initializer=unit_rows,
            trainable=False,
            autocast=False,
        )
        self.built = True

    def read(self, index):
        """The rows of images: (n,) integers -> (n, dim), without a gradient."""
        return ops.stop_gradient(ops.take(self.rows, index, axis=0))

    def remember(self, index, representations):
        """Move the rows of a batch's images.

        Args:
            index: (batch,) integers. This replica's images; no image is there twice.
            representations: (batch, dim); normalized here.
        """
        index = all_gather(ops.cast(index, "int64"))
        fresh = ops.cast(all_gather(l2_normalize(representations)), "float32")
        mixed = self.momentum * self.read(index) + (1.0 - self.momentum) * fresh
        self.rows.assign(ops.scatter_update(self.rows, index[:, None], l2_normalize(mixed)))
