"""What an InfoNCE loss says of the information that two views share."""

from keras import ops

from keras_ssl.ops.precision import Tensor, at_least_float32


def mutual_information_bound(loss: Tensor, candidates: Tensor | float) -> Tensor:
    """`log N - L`: what an InfoNCE loss L says of the mutual information of two views, in nats.

    In expectation a lower bound, if the positive is one of the N terms of the denominator and the
    others are independent of the query. It cannot exceed `log N`: a loss near 0 says that the
    information is at least that, and no more; take a larger batch or queue to see further. A
    larger bound need not mean better features (Tschannen et al., 2020).

    Args:
        loss: scalar. Mean of `-log(exp(positive) / sum_j exp(candidate j))`.
        candidates: N, the terms of the sum, the positive among them.

    Returns:
        A scalar in at least float32; below 0 where the positives are harder to find than by chance.

    Example:

    >>> z = keras.ops.ones((4, 2))  # all alike: nothing is known
    >>> loss = keras_ssl.losses.infonce(z, z)
    >>> bool(mutual_information_bound(loss, 4) == 0)
    True

    Reference: van den Oord et al., 2018, sec. 2.3 and appendix A.1; Poole et al., On variational
    bounds of mutual information, 2019, eq. 10.
    """
    loss = at_least_float32(loss)
    return ops.log(ops.cast(candidates, loss.dtype)) - loss
