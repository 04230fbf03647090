"""SimCLR: the normalized temperature-scaled cross-entropy (NT-Xent), and it decoupled."""

from keras import ops

from keras_ssl.losses.decoupled import symmetric_decoupled_infonce
from keras_ssl.ops.linalg import l2_normalize
from keras_ssl.ops.pairs import mean_over_pairs
from keras_ssl.ops.precision import Tensor

_SELF = -1e9  # added to a row's similarity with itself; exp() of it is 0 in float32 and float64


def nt_xent(*views: Tensor, temperature: float = 0.2) -> Tensor:
    """Contrast every view of an image with the views of all other images.

    For anchor i the other views of the same image are the positives P(i) and all other rows of the
    batch, the positives among them, the denominator (2N - 1 terms for two views):

        l_i = -log( sum_{p in P(i)} exp(z_i.z_p / t) / sum_{j != i} exp(z_i.z_j / t) )

    The loss is the mean over all anchors. With more than two views the positives are summed inside
    the logarithm.

    Args:
        *views: two or more tensors (batch, dim); rows need not be normalized.
        temperature: float > 0. Smaller weighs hard negatives more.

    Returns:
        A scalar >= 0 in at least float32.

    Raises:
        ValueError: if fewer than two views are given.

    Example:

    >>> a, b = keras.random.normal((2, 8, 16), seed=1)
    >>> bool(keras.ops.isclose(nt_xent(a, b), nt_xent(b, a)))
    True

    Reference: Chen et al., 2020, eq. 1; more than two views as in solo-learn, where the positives
    of a row are added up in the numerator.
    """
    if len(views) < 2:
        raise ValueError(f"nt_xent contrasts two or more views. Received {len(views)}.")
    z = ops.concatenate([l2_normalize(view) for view in views])
    size, batch = ops.shape(z)[0], ops.shape(views[0])[0]
    logits = z @ ops.transpose(z) / temperature  # (views * batch, views * batch)
    row = ops.arange(size)
    same_row = ops.equal(row[:, None], row[None, :])
    same_image = ops.equal(row[:, None] % batch, row[None, :] % batch)
    others = ops.where(same_row, _SELF, logits)
    positives = ops.where(ops.logical_and(same_image, ops.logical_not(same_row)), logits, _SELF)
    return ops.mean(ops.logsumexp(others, axis=-1) - ops.logsumexp(positives, axis=-1))


def decoupled_nt_xent(*views: Tensor, temperature: float = 0.2) -> Tensor:
    """NT-Xent without the positive in the denominator, averaged over the pairs of views.

    Args:
        *views: two or more tensors (batch, dim), batch > 1; rows need not be normalized.
        temperature: float > 0.

    Returns:
        A scalar in at least float32; it may be negative. For two views that of
        `symmetric_decoupled_infonce`.

    Raises:
        ValueError: if fewer than two views are given.

    Example:

    >>> a, b = keras.random.normal((2, 8, 16), seed=1)
    >>> bool(decoupled_nt_xent(a, b) < nt_xent(a, b))
    True

    Reference: Cosentino et al., eq. 1; see `keras_ssl.losses.decoupled`.
    """
    return mean_over_pairs(
        lambda a, b: symmetric_decoupled_infonce(a, b, temperature=temperature), views
    )
