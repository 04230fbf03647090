"""CPC: predict the rows of patches below from those above, among all patches of a batch."""

from collections.abc import Sequence

from keras import ops

from keras_ssl.ops.precision import Tensor, at_least_float32


def infonce(predictions: Tensor, candidates: Tensor) -> Tensor:
    """Identify the positive candidate of each prediction: candidate i for prediction i.

        -mean_i log( exp(p_i.c_i) / sum_j exp(p_i.c_j) )

    The similarity is the product as it is, without normalization or temperature. Every row of
    `candidates` that is not the positive is a negative.

    Args:
        predictions: (n, dim).
        candidates: (m, dim), m >= n.

    Returns:
        A scalar >= 0 in at least float32; `log m` minus it bounds the mutual information from
        below.

    Example:

    >>> z = 10.0 * keras.ops.eye(4)
    >>> bool(infonce(z, z) < infonce(z, z[::-1]))
    True

    Reference: van den Oord et al., Representation learning with contrastive predictive coding,
    2018, eq. 4.
    """
    predictions, candidates = at_least_float32(predictions), at_least_float32(candidates)
    logits = ops.matmul(predictions, ops.transpose(candidates))  # (n, m)
    positive = ops.sum(predictions * candidates[: ops.shape(predictions)[0]], axis=-1)
    return ops.mean(ops.logsumexp(logits, axis=-1) - positive)


def row_prediction_loss(predictions: Sequence[Tensor], latents: Tensor) -> Tensor:
    """`infonce` of every patch with the patch k rows below it, averaged over k = 1, 2, ...

    The negatives are all other patches, of the same image and of all others.

    Args:
        predictions: sequence over k of (batch, rows, columns, dim). At [b, r, c], the
            prediction of the patch [b, r + k, c].
        latents: (batch, rows, columns, dim). Of the patches.

    Returns:
        A scalar >= 0 in at least float32.

    Raises:
        ValueError: if there is no row to predict for the last k.

    Example:

    >>> latents = 10.0 * keras.random.normal((2, 3, 3, 8), seed=1)
    >>> below = keras.ops.roll(latents, -1, axis=1)  # what a perfect prediction of one row says
    >>> bool(row_prediction_loss([below], latents) < row_prediction_loss([latents], latents))
    True

    Reference: van den Oord et al., 2018, sec. 3.3.
    """
    rows, dim = latents.shape[1], latents.shape[-1]
    if not 0 < len(predictions) < rows:
        raise ValueError(f"{rows} rows leave from 1 to {rows - 1} to predict: {len(predictions)}.")
    # Rows first, so that those with a row k below come first, and so do their positives.
    latents = ops.transpose(latents, (1, 0, 2, 3))
    losses = []
    for k, prediction in enumerate(predictions, 1):
        prediction = ops.transpose(prediction, (1, 0, 2, 3))[: rows - k]
        candidates = ops.roll(latents, -k, axis=0)
        losses.append(
            infonce(ops.reshape(prediction, (-1, dim)), ops.reshape(candidates, (-1, dim)))
        )
    return sum(losses) / len(losses)
