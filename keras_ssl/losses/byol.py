"""BYOL: regress a moving-average target's projection."""

from keras import ops

from keras_ssl.core.vectors import cosine


def regression_loss(prediction, target):
    """`2 - 2 cos(prediction, sg(target))` per row: (batch, dim) twice -> (batch,) in [0, 4].

    Reference: Grill et al., 2020, eq. 2.
    """
    return 2.0 - 2.0 * cosine(prediction, ops.stop_gradient(target))


def byol_loss(prediction_1, prediction_2, target_1, target_2):
    """Predictions of each view against the other's target: both directions added, batch mean.

    The directions are added, not averaged, as in the authors' code, so the range is [0, 8]. No
    gradient flows to the targets.

    Args:
        prediction_1, prediction_2: (batch, dim). Online predictions of view 1 and 2.
        target_1, target_2: (batch, dim). Target projections of view 1 and 2.

    Returns:
        A scalar in at least float32.

    Example:

    >>> p = keras.random.normal((4, 8), seed=1)
    >>> float(keras.ops.round(byol_loss(p, p, p, p), 5))
    0.0

    Reference: Grill et al., 2020, eq. 2 and the symmetrisation below it.
    """
    per_image = regression_loss(prediction_1, target_2) + regression_loss(prediction_2, target_1)
    return ops.mean(per_image)
