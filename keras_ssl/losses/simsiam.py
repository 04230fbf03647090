"""SimSiam: negative cosine with a stop-gradient on the other view's projection."""

from keras import ops

from keras_ssl.core.vectors import cosine


def simsiam_loss(prediction_1, prediction_2, projection_1, projection_2):
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
    first = ops.mean(cosine(prediction_1, ops.stop_gradient(projection_2)))
    second = ops.mean(cosine(prediction_2, ops.stop_gradient(projection_1)))
    return -0.5 * (first + second)
