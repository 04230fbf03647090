"""BYOL: regress a moving-average target's projection."""

from collections.abc import Sequence

from keras import ops

from keras_ssl.ops.linalg import cosine
from keras_ssl.ops.precision import Tensor


def regression_loss(prediction: Tensor, target: Tensor) -> Tensor:
    """`2 - 2 cos(prediction, sg(target))` per row: (batch, dim) twice -> (batch,) in [0, 4].

    Reference: Grill et al., 2020, eq. 2.
    """
    return 2.0 - 2.0 * cosine(prediction, ops.stop_gradient(target))


def byol_loss(
    prediction_1: Tensor, prediction_2: Tensor, target_1: Tensor, target_2: Tensor
) -> Tensor:
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
    >>> float(keras.ops.round(byol_loss(p, p, -p, -p), 4))
    8.0

    Reference: Grill et al., 2020, eq. 2 and the symmetrization below it.
    """
    return multi_crop_byol_loss([prediction_1, prediction_2], [target_1, target_2])


def multi_crop_byol_loss(predictions: Sequence[Tensor], targets: Sequence[Tensor]) -> Tensor:
    """`byol_loss` of more views: every view predicts the target of every other global view.

    Args:
        predictions: sequence of V >= 2 tensors (batch, dim), those of the global views first.
        targets: sequence of G <= V tensors (batch, dim), of the global views. No gradient.

    Returns:
        A scalar in [0, 4 G (V - 1)] in at least float32: the sum over the pairs, batch mean.

    Example:

    >>> a, b, crop = keras.random.normal((3, 4, 8), seed=1)
    >>> two = multi_crop_byol_loss([a, b], [a, b])
    >>> bool(multi_crop_byol_loss([a, b, crop], [a, b]) > two)
    True

    Reference: solo-learn, whose BYOL takes the crops of SwAV.
    """
    pairs = [(v, g) for g in range(len(targets)) for v in range(len(predictions)) if v != g]
    return ops.mean(sum(regression_loss(predictions[v], targets[g]) for v, g in pairs))
