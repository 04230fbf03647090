"""DeepCluster-v2: predict the cluster an image is assigned to."""

from collections.abc import Sequence

from keras import ops

from keras_ssl.ops.precision import Tensor, at_least_float32


def cluster_prediction_loss(
    scores: Sequence[Sequence[Tensor]],
    targets: Tensor,
    *,
    temperature: float = 0.1,
    weights: Tensor | None = None,
) -> Tensor:
    """Cross-entropy of the clusters with the softmax of the scores, averaged over views and heads.

        mean over heads h and views v of -mean_b log softmax(scores_hv / t)[b, target_h[b]]

    Args:
        scores: sequence of heads, each a sequence of views (batch, prototypes of the head).
        targets: (heads, batch) integers. The cluster of each image, the same for all its views.
        temperature: float > 0.
        weights: (heads, batch) or None. What each image counts for, 1 on average over the data
            set (DeepCluster, whose clusters count for as much whatever their size).

    Returns:
        A scalar >= 0 in at least float32.

    Example:

    >>> scores = keras.random.normal((2, 2, 4, 5), seed=1)
    >>> best = keras.ops.argmax(scores[:, 0], axis=-1)
    >>> bool(cluster_prediction_loss(scores, best) < cluster_prediction_loss(scores, 4 - best))
    True

    Reference: Caron et al., SwAV, 2020, appendix D.2 (DeepCluster-v2); facebookresearch/swav.
    """
    losses = [
        ops.sparse_categorical_crossentropy(
            targets[head], at_least_float32(view) / temperature, from_logits=True
        )
        for head, views in enumerate(scores)
        for view in views
    ]
    if weights is not None:
        views = len(losses) // len(scores)
        losses = [weights[place // views] * loss for place, loss in enumerate(losses)]
    return sum(ops.mean(loss) for loss in losses) / len(losses)
