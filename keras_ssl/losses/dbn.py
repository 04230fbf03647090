"""DBN and Shuffled-DBN: match decorrelated views of an image."""

from keras import ops

from keras_ssl.ops.precision import Tensor, at_least_float32


def dbn_loss(z1: Tensor, z2: Tensor) -> Tensor:
    """Squared distance of whitened views, averaged over the batch; nothing is normalized.

    Whiten every view by itself before (`zca_whiten`, `shuffled_whiten`, `iterative_whiten`). The
    gradient flows through both.

    Args:
        z1, z2: (batch, dim). Whitened views.

    Returns:
        A scalar >= 0 in at least float32.

    Example:

    >>> float(dbn_loss(keras.ops.ones((3, 4)), keras.ops.zeros((3, 4))))
    4.0

    Reference: Hua et al., On feature decorrelation in self-supervised learning, 2021, sec. 4.
    """
    difference = at_least_float32(z1) - at_least_float32(z2)
    return ops.mean(ops.sum(ops.square(difference), axis=-1))
