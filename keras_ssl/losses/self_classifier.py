"""Self-Classifier: assign two views the same class, with a uniform prior over the classes."""

import itertools

from keras import ops

from keras_ssl.ops.precision import Tensor, at_least_float32


def batch_targets(logits: Tensor, *, temperature: float = 0.05, epsilon: float = 1e-12) -> Tensor:
    """Softmax over the batch, then each row divided by its sum: p(class | image), (batch, classes).

    Args:
        logits: (batch, num_classes) of the global batch.
        temperature: float > 0. The paper's column temperature.
        epsilon: float > 0. Floor of the sums.

    Reference: Amrani et al., Self-supervised classification network, 2022.
    """
    shares = ops.softmax(at_least_float32(logits) / temperature, axis=0)
    return shares / ops.maximum(ops.sum(shares, axis=1, keepdims=True), epsilon)


def log_predictions(logits: Tensor, *, temperature: float = 0.1, epsilon: float = 1e-12) -> Tensor:
    """Log of the softmax over the classes, each class scaled to the uniform prior: same shape.

    Args:
        logits: (batch, num_classes) of the global batch.
        temperature: float > 0. The paper's row temperature.
        epsilon: float > 0. Floor of the sums over the batch, and added under the logarithm.

    Reference: Amrani et al., Self-supervised classification network, 2022.
    """
    p = ops.softmax(at_least_float32(logits) / temperature, axis=1)
    p = p / ops.maximum(ops.sum(p, axis=0, keepdims=True), epsilon)
    batch, num_classes = (ops.cast(size, p.dtype) for size in ops.shape(p))
    return ops.log(p * batch / num_classes + epsilon)


def self_classifier_loss(
    *views: Tensor,
    num_global: int = 2,
    row_temperature: float = 0.1,
    column_temperature: float = 0.05,
    epsilon: float = 1e-12,
) -> Tensor:
    """Cross-entropy of the targets of each view with the predictions of every other one.

    The mean over the batch and all ordered pairs of different views, at least one of them global.
    Every class is as likely as any other under the prior, so that putting all images into one class
    does not pay; nothing is detached: the gradient flows through targets and predictions.

    Args:
        *views: two or more tensors (batch, num_classes) of logits, global views first.
        num_global: int > 0. How many of them are global.
        row_temperature: float > 0. Of the predictions' softmax over the classes.
        column_temperature: float > 0. Of the targets' softmax over the batch.
        epsilon: float > 0. As in `batch_targets` and `log_predictions`.

    Returns:
        A scalar in at least float32.

    Raises:
        ValueError: if fewer than two views, or no global one, are given.

    Example:

    >>> a, b = keras.random.normal((2, 8, 4), seed=1)
    >>> bool(keras.ops.isclose(self_classifier_loss(a, b), self_classifier_loss(b, a)))
    True

    Reference: Amrani et al., Self-supervised classification network, 2022.
    """
    if len(views) < 2 or num_global < 1:
        raise ValueError(
            "self_classifier_loss compares two or more views, one or more of them global. "
            f"Received {len(views)} with num_global={num_global}."
        )
    targets = [batch_targets(v, temperature=column_temperature, epsilon=epsilon) for v in views]
    log_p = [log_predictions(v, temperature=row_temperature, epsilon=epsilon) for v in views]
    ordered = itertools.permutations(range(len(views)), 2)
    pairs = [(i, j) for i, j in ordered if min(i, j) < num_global]
    losses = [-ops.mean(ops.sum(targets[i] * log_p[j], axis=1)) for i, j in pairs]
    return sum(losses) / len(pairs)
