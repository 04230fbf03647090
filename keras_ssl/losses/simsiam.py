"""SimSiam: negative cosine with a stop-gradient on the other view's projection."""

from collections.abc import Sequence

from keras import ops

from keras_ssl.ops.linalg import cosine
from keras_ssl.ops.precision import Tensor


def simsiam_loss(
    prediction_1: Tensor, prediction_2: Tensor, projection_1: Tensor, projection_2: Tensor
) -> Tensor:
    """`-(cos(p1, sg z2) + cos(p2, sg z1)) / 2`, mean over the batch.

    Args:
        prediction_1, prediction_2: (batch, dim). Predictor outputs of view 1 and 2.
        projection_1, projection_2: (batch, dim). Projector outputs; they get no gradient here.

    Returns:
        A scalar in [-1, 1], in at least float32; -1 when every prediction meets its target.

    Example:

    >>> p = keras.random.normal((4, 8), seed=1)
    >>> float(keras.ops.round(simsiam_loss(p, p, p, p), 5))
    -1.0

    Reference: Chen and He, 2021, eqs. 1 and 2.
    """
    return multi_crop_simsiam_loss([prediction_1, prediction_2], [projection_1, projection_2])


def multi_crop_simsiam_loss(
    predictions: Sequence[Tensor], projections: Sequence[Tensor], *, stop_gradient: bool = True
) -> Tensor:
    """`simsiam_loss` of more views: every view predicts every other global view.

    Args:
        predictions: sequence of V >= 2 tensors (batch, dim), those of the global views first.
        projections: sequence of G <= V tensors (batch, dim), of the global views.
        stop_gradient: bool. Whether the projections are held constant, as the method does; with
            False the gradient flows to them too, and everything may become one constant.

    Returns:
        A scalar in [-1, 1], in at least float32: the mean over the batch and the pairs.

    Example:

    >>> a, b, crop = keras.random.normal((3, 4, 8), seed=1)
    >>> float(keras.ops.round(multi_crop_simsiam_loss([a, a, a], [a, a]), 5))
    -1.0

    Reference: the pairs are those of BYOL in solo-learn; the paper has two views. Without
    stop-gradient: Chen and He, 2021, sec. 4.1 and fig. 2.
    """
    pairs = [(v, g) for g in range(len(projections)) for v in range(len(predictions)) if v != g]
    targets = [ops.stop_gradient(z) for z in projections] if stop_gradient else projections
    cosines = [cosine(predictions[v], targets[g]) for v, g in pairs]
    return -sum(ops.mean(each) for each in cosines) / len(pairs)
