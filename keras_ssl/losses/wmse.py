"""W-MSE: match views of an image after whitening, which alone prevents collapse."""

from keras import ops

from keras_ssl.ops.linalg import cosine
from keras_ssl.ops.pairs import mean_over_pairs
from keras_ssl.ops.precision import Tensor


def wmse_loss(*views: Tensor) -> Tensor:
    """`2 - 2 cos` of whitened views, averaged over the batch and over all pairs of views.

    Whiten every view by itself, with the same sub-batches (`whiten_sub_batches`). The gradient
    flows through both views and through the whitening. For several random slicings average the
    losses.

    Args:
        *views: two or more whitened tensors (batch, dim).

    Returns:
        A scalar in [0, 4] in at least float32.

    Raises:
        ValueError: if fewer than two views are given.

    Example:

    >>> z = keras.random.normal((4, 8), seed=1)
    >>> float(keras.ops.round(wmse_loss(z, -z), 5))
    4.0

    Reference: Ermolov et al., Whitening for self-supervised learning, 2021, eqs. 1 and 2.
    """
    # Whitened rows are float32 whatever came in; the floor is that of float16.
    return mean_over_pairs(lambda a, b: 2.0 - 2.0 * ops.mean(cosine(a, b, epsilon=1e-6)), views)
