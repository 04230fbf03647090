"""MoCo: identify the key of the same image among a queue of keys of earlier images."""

from collections.abc import Sequence

from keras import ops

from keras_ssl.losses.cpc import infonce
from keras_ssl.ops.linalg import l2_normalize
from keras_ssl.ops.precision import Tensor

_NEVER = -1e9  # in the place of a cosine: its exponential is 0 at any temperature


def moco_logits(
    queries: Tensor,
    keys: Tensor,
    queue: Tensor,
    *,
    temperature: float = 0.2,
    left_out: Tensor | None = None,
) -> Tensor:
    """Similarities of each query with its key (column 0) and with the queue, over temperature.

    Args:
        queries, keys: (batch, dim); rows need not be normalized. The keys get no gradient.
        queue: (queue_size, dim), unit rows, used as they are. No gradient.
        temperature: float > 0.
        left_out: boolean (batch, queue_size) or None. Which entries are no negatives of a query,
            such as those of its own image.

    Returns:
        (batch, 1 + queue_size) in at least float32.
    """
    queries = l2_normalize(queries)
    keys = ops.stop_gradient(l2_normalize(keys))
    positive = ops.sum(queries * keys, axis=-1, keepdims=True)
    negatives = ops.matmul(queries, ops.transpose(ops.stop_gradient(queue)))
    if left_out is not None:
        negatives = ops.where(left_out, _NEVER, negatives)
    return ops.concatenate([positive, negatives], axis=-1) / temperature


def moco_loss(
    queries: Tensor,
    keys: Tensor,
    queue: Tensor,
    *,
    temperature: float = 0.2,
    left_out: Tensor | None = None,
) -> Tensor:
    """InfoNCE with the queue as negatives: cross-entropy of `moco_logits` with class 0, batch mean.

    Take the queue as it is before this step's keys enter it.

    Args:
        queries, keys: (batch, dim). Two views of the same images, the keys from the momentum
            encoder.
        queue: (queue_size, dim), unit rows. See `keras_ssl.layers.queue.KeyQueue`.
        temperature: float > 0. 0.07 in the first version of the paper, 0.2 in the second.
        left_out: boolean (batch, queue_size) or None. See `moco_logits`.

    Returns:
        A scalar >= 0 in at least float32.

    Example:

    >>> q = keras.random.normal((4, 8), seed=1)
    >>> bool(moco_loss(q, q, -q[:1]) < moco_loss(q, -q, -q[:1]))
    True

    Reference: He et al., Momentum contrast, 2020, eq. 1 and algorithm 1.
    """
    logits = moco_logits(queries, keys, queue, temperature=temperature, left_out=left_out)
    return ops.mean(ops.logsumexp(logits, axis=-1) - logits[:, 0])


def end_to_end_loss(queries: Tensor, keys: Tensor, *, temperature: float = 0.2) -> Tensor:
    """InfoNCE whose negatives are the keys of the other images of the batch, with a gradient.

    Args:
        queries, keys: (batch, dim). Two views of the same images; rows need not be normalized.
        temperature: float > 0.

    Returns:
        A scalar >= 0 in at least float32.

    Example:

    >>> q = keras.random.normal((4, 8), seed=1)
    >>> bool(end_to_end_loss(q, q) < end_to_end_loss(q, q[::-1]))
    True

    Reference: He et al., Momentum contrast, 2020, fig. 2 (a).
    """
    return infonce(l2_normalize(queries) / temperature, l2_normalize(keys))


def symmetric_moco_loss(
    queries: Sequence[Tensor],
    keys: Sequence[Tensor],
    queues: Sequence[Tensor],
    *,
    temperature: float = 0.2,
) -> Tensor:
    """Both views as queries, against the keys and the queue of the other view, added.

    Args:
        queries, keys: pairs of (batch, dim), one of each view.
        queues: pair of (queue_size, dim); `queues[v]` holds the keys of view v.
        temperature: float > 0.

    Returns:
        A scalar >= 0: the sum of both directions, not their mean.

    Example:

    >>> q, k = keras.random.normal((2, 2, 4, 8), seed=1)
    >>> queues = [keras.ops.eye(8)] * 2
    >>> swapped = symmetric_moco_loss(q[::-1], k[::-1], queues)
    >>> bool(keras.ops.isclose(symmetric_moco_loss(q, k, queues), swapped))
    True

    Reference: solo-learn's MoCo v2+; the directions are added in the authors' CIFAR-10 code too.
    """
    forth = moco_loss(queries[0], keys[1], queues[1], temperature=temperature)
    back = moco_loss(queries[1], keys[0], queues[0], temperature=temperature)
    return forth + back
