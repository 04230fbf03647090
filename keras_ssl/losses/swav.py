"""SwAV: predict the cluster assignment of one view from another."""

from collections.abc import Sequence

from keras import ops

from keras_ssl.ops.precision import Tensor, at_least_float32


def swapped_prediction_loss(
    scores: Sequence[Tensor], codes: Sequence[Tensor], *, temperature: float = 0.1
) -> Tensor:
    """Cross-entropy of each code with the softmax of every other view's scores.

        mean over pairs (i, v), v != i, of -mean_b sum_k code_i[b, k] log softmax(score_v / t)[b, k]

    Views without a code (small crops) predict and are not predicted.

    Args:
        scores: sequence of V tensors (batch, num_prototypes), the views with a code first.
        codes: sequence of at most V tensors (batch, num_prototypes); `codes[i]` belongs to
            `scores[i]` and its rows sum to 1. They get no gradient.
        temperature: float > 0. Of the predictions.

    Returns:
        A scalar >= 0 in at least float32.

    Raises:
        ValueError: for fewer than two views, no code, or more codes than views.

    Example:

    >>> a, b = keras.random.normal((2, 8, 4), seed=1)
    >>> codes = [keras.ops.softmax(a), keras.ops.softmax(b)]
    >>> swapped = swapped_prediction_loss([b, a], codes[::-1])
    >>> bool(keras.ops.isclose(swapped_prediction_loss([a, b], codes), swapped))
    True

    Reference: Caron et al., SwAV, 2020, eqs. 1 and 2, averaged over the pairs as in the authors'
    code.
    """
    if len(scores) < 2 or not 1 <= len(codes) <= len(scores):
        raise ValueError(
            "The swapped prediction takes two or more views and a code for at least one. "
            f"Received {len(scores)} views and {len(codes)} codes."
        )
    codes = [ops.stop_gradient(at_least_float32(code)) for code in codes]
    log_p = [ops.log_softmax(at_least_float32(score) / temperature, axis=-1) for score in scores]
    pairs = [(i, v) for i in range(len(codes)) for v in range(len(scores)) if v != i]
    losses = [-ops.mean(ops.sum(codes[i] * log_p[v], axis=-1)) for i, v in pairs]
    return sum(losses) / len(pairs)
