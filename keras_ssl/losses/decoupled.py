"""InfoNCE as analyzed by Cosentino et al.: decoupled, with its split and its upper bound.

"Decoupled" means that the positive is not in the denominator. The paper's beta is `1 / temperature`
here. Rows need not be normalized; the similarities are cosines.
"""

from typing import Any, NamedTuple

from keras import ops

from keras_ssl.ops.linalg import l2_normalize
from keras_ssl.ops.precision import Tensor

_EXCLUDED = -1e9  # similarity of what is no negative; exp() of it is 0 in float32 and float64


class InfoNCESplit(NamedTuple):
    """What `infonce_split` returns; every field is a tensor (batch,).

    `per_sample = (expected - positive) / temperature + entropy`.

    Attributes:
        per_sample: the loss of each anchor.
        positive: similarity in [-1, 1] of the anchor with its other view.
        expected: mean similarity of the anchor with its negatives, each weighted by its share of
            the denominator.
        entropy: of these shares, in nats; from 0 (one negative counts) to `log(2 (batch - 1))`.
        hardest: largest similarity with a negative.
    """

    per_sample: Any
    positive: Any
    expected: Any
    entropy: Any
    hardest: Any


class InfoNCEBound(NamedTuple):
    """What `symmetric_upper_bound` returns; every field is a scalar.

    `upper_bound = (invariance + repulsion) / temperature + log(2 (batch - 1))`.

    Attributes:
        upper_bound: of `symmetric_decoupled_infonce`.
        invariance: minus the mean similarity of the two views of an image, in [-1, 1]; -1 where
            the views coincide.
        repulsion: mean similarity of a view with its hardest negative, in [-1, 1].
    """

    upper_bound: Any
    invariance: Any
    repulsion: Any


def infonce_split(anchors: Tensor, others: Tensor, *, temperature: float = 0.5) -> InfoNCESplit:
    """The decoupled InfoNCE of every anchor, and the parts it consists of.

    Use it to see what the loss of a batch is made of; `decoupled_infonce` is what to train.

    Args:
        anchors, others: (batch, dim). Two views; the negatives of anchor i are both views of the
            images j != i, so take batch > 1.
        temperature: float > 0.

    Returns:
        An `InfoNCESplit` in at least float32.

    Example:

    >>> split = infonce_split(*keras.random.normal((2, 8, 16), seed=1), temperature=1.0)
    >>> parts = split.expected - split.positive + split.entropy
    >>> bool(keras.ops.all(keras.ops.isclose(split.per_sample, parts, atol=1e-5)))
    True

    Reference: Cosentino et al., eq. 1 and proposition C.1, whose eq. 13 has the sign of the
    expected similarity reversed; its derivation from eq. 15 on has it as here.
    """
    positive, negatives = _similarities(anchors, others)
    logits = negatives / temperature
    log_partition = ops.logsumexp(logits, axis=-1)
    log_share = logits - log_partition[:, None]
    share = ops.exp(log_share)
    return InfoNCESplit(
        per_sample=log_partition - positive / temperature,
        positive=positive,
        expected=ops.sum(share * negatives, axis=-1),
        entropy=-ops.sum(share * log_share, axis=-1),
        hardest=ops.max(negatives, axis=-1),
    )


def decoupled_infonce(anchors: Tensor, others: Tensor, *, temperature: float = 0.5) -> Tensor:
    """Attract each anchor to its other view and repel it from all views of other images.

        l_i = -log( exp(z_i.z'_i / t) / sum_{j != i} (exp(z_i.z_j / t) + exp(z_i.z'_j / t)) )

    The mean over the anchors, that is over one direction; see `symmetric_decoupled_infonce`.

    Args:
        anchors, others: (batch, dim), batch > 1. z and z'.
        temperature: float > 0. 1 / beta; the paper uses beta = 2.

    Returns:
        A scalar in at least float32; it may be negative, unlike NT-Xent.

    Example:

    >>> a, b = keras.random.normal((2, 8, 16), seed=1)
    >>> bool(decoupled_infonce(a, b) <= infonce_upper_bound(a, b))
    True

    Reference: Cosentino et al., eq. 1; Yeh et al., Decoupled contrastive learning, 2022.
    """
    positive, negatives = _similarities(anchors, others)
    return ops.mean(ops.logsumexp(negatives / temperature, axis=-1) - positive / temperature)


def symmetric_decoupled_infonce(a: Tensor, b: Tensor, *, temperature: float = 0.5) -> Tensor:
    """The average of `decoupled_infonce` in both directions: (batch, dim) twice -> scalar.

    Example:

    >>> a, b = keras.random.normal((2, 8, 16), seed=1)
    >>> bool(symmetric_decoupled_infonce(a, b) == symmetric_decoupled_infonce(b, a))
    True
    """
    forth = decoupled_infonce(a, b, temperature=temperature)
    back = decoupled_infonce(b, a, temperature=temperature)
    return 0.5 * (forth + back)


def infonce_upper_bound(anchors: Tensor, others: Tensor, *, temperature: float = 0.5) -> Tensor:
    """Bound `decoupled_infonce` from above by each anchor's hardest negative.

        mean_i (max_{j != i} z_i.z~_j - z_i.z'_i) / t + log(2 (batch - 1))

    Args and Returns: as `decoupled_infonce`.

    Example:

    >>> a = keras.ops.eye(4)  # positives at 1, negatives at 0: the bound is reached
    >>> bool(keras.ops.isclose(infonce_upper_bound(a, a), decoupled_infonce(a, a)))
    True

    Reference: Cosentino et al., eq. 3.
    """
    positive, negatives = _similarities(anchors, others)
    gap = ops.mean(ops.max(negatives, axis=-1) - positive)
    return gap / temperature + _log_negatives(positive)


def symmetric_upper_bound(a: Tensor, b: Tensor, *, temperature: float = 0.5) -> InfoNCEBound:
    """The average of `infonce_upper_bound` in both directions, and its two terms.

    Use it to see while training whether a loss falls because the views of an image come together
    (invariance) or because images part (repulsion).

        invariance = -mean_i z_i.z'_i,    repulsion = mean_i max_{j != i} z_i.z~_j

    Args:
        a, b: (batch, dim), batch > 1; rows need not be normalized.
        temperature: float > 0.

    Returns:
        An `InfoNCEBound` in at least float32.

    Example:

    >>> a = keras.ops.eye(4)  # both views alike, images orthogonal
    >>> bound = symmetric_upper_bound(a, a, temperature=1.0)
    >>> float(bound.invariance), float(bound.repulsion), round(float(bound.upper_bound), 3)
    (-1.0, 0.0, 0.792)

    Reference: Cosentino et al., eqs. 3 to 5.
    """
    forth, back = _similarities(a, b), _similarities(b, a)
    invariance = -ops.mean(forth[0])
    repulsion = 0.5 * sum(ops.mean(ops.max(negatives, axis=-1)) for _, negatives in (forth, back))
    bound = (invariance + repulsion) / temperature + _log_negatives(forth[0])
    return InfoNCEBound(bound, invariance, repulsion)


def weighted_decoupled_infonce(
    anchors: Tensor, others: Tensor, weights: Tensor, *, temperature: float = 0.5
) -> Tensor:
    """`decoupled_infonce` with the positive term of each anchor times its weight.

    Args:
        anchors, others: (batch, dim), batch > 1.
        weights: (batch,), from `von_mises_fisher_weights`. Wrap them in `stop_gradient` to treat
            them as constants.
        temperature: float > 0.

    Returns:
        A scalar in at least float32.

    Example:

    >>> a, b = keras.random.normal((2, 8, 16), seed=1)
    >>> bool(weighted_decoupled_infonce(a, b, keras.ops.ones(8)) == decoupled_infonce(a, b))
    True

    Reference: Yeh et al., Decoupled contrastive learning, 2022 (DCLW).
    """
    positive, negatives = _similarities(anchors, others)
    partition = ops.logsumexp(negatives / temperature, axis=-1)
    return ops.mean(partition - weights * positive / temperature)


def von_mises_fisher_weights(anchors: Tensor, others: Tensor, *, sigma: float = 0.5) -> Tensor:
    """Weights that grow where the two views of an image disagree: (batch, dim) twice -> (batch,).

        w_i = 2 - exp(z_i.z'_i / sigma) / mean_j exp(z_j.z'_j / sigma)

    Args:
        anchors, others: (batch, dim).
        sigma: float > 0. Smaller spreads the weights more.

    Returns:
        (batch,) at most 2, with mean 1.

    Example:

    >>> a = keras.ops.eye(3)
    >>> weights = von_mises_fisher_weights(a, keras.ops.take(a, [0, 1, 0], axis=0))
    >>> bool(weights[2] > 1 > weights[0])
    True

    Reference: Yeh et al., Decoupled contrastive learning, 2022 (DCLW).
    """
    positive = ops.sum(l2_normalize(anchors) * l2_normalize(others), axis=-1)
    size = ops.cast(ops.shape(positive)[0], positive.dtype)
    return 2.0 - size * ops.softmax(positive / sigma)


def _similarities(anchors, others):
    """Cosines of the positives (batch,), and of anchors with all rows (batch, 2 * batch)."""
    a, b = l2_normalize(anchors), l2_normalize(others)
    rows = ops.transpose(ops.concatenate([a, b]))
    size = ops.shape(a)[0]
    same_image = ops.equal(ops.arange(size)[:, None], ops.arange(2 * size)[None, :] % size)
    return ops.sum(a * b, axis=-1), ops.where(same_image, _EXCLUDED, ops.matmul(a, rows))


def _log_negatives(positive):
    """`log(2 (batch - 1))`, and 0 for a batch of one image, which has no negatives."""
    count = 2.0 * (ops.cast(ops.shape(positive)[0], positive.dtype) - 1.0)
    return ops.log(ops.maximum(count, 1.0))
