"""Whether features that classes share are shared within superclasses (SEM's coherence)."""

import numpy as np
from numpy.typing import ArrayLike

from keras_ssl.core.errors import UserError


def semantic_coherence(
    weights: ArrayLike,
    superclasses: ArrayLike,
    num_kept: int,
    *,
    by_magnitude: bool = True,
    count_each_feature: bool = False,
    skip_isolated: bool = False,
) -> float:
    """Average over classes of the share of neighbors that belong to the same superclass.

    Each class keeps the features of its `num_kept` largest weights; two classes are neighbors
    if they keep a feature in common. The defaults are the literal reading of the paper.

    Args:
        weights: (features, classes). Of a linear classifier on simplicial embeddings.
        superclasses: (classes,) ints.
        num_kept: int, 1 to features. K. Of equal weights the first are kept.
        by_magnitude: bool. Largest absolute weights; False for the largest signed ones.
        count_each_feature: bool. Count a pair of classes once per feature they share, not once.
        skip_isolated: bool. Leave classes without neighbors out of the average, where they
            count as 0 otherwise.

    Returns:
        A float in [0, 1]; 0 where no class has a neighbor.

    Raises:
        UserError: if `num_kept` or the number of superclasses does not fit the weights.

    Example:

    >>> semantic_coherence([[3.0, 2.0], [0.0, 1.0]], [0, 0], 1)
    1.0

    Reference: Lavoie et al., Simplicial Embeddings, eq. 2.
    """
    weights, superclasses = np.asarray(weights), np.asarray(superclasses)
    _check(weights, superclasses, num_kept)
    pairs = shared_features(np.abs(weights) if by_magnitude else weights, num_kept)
    if not count_each_feature:
        pairs = np.minimum(pairs, 1.0)
    within = superclasses[:, None] == superclasses[None, :]
    total, coherent = pairs.sum(axis=1), (pairs * within).sum(axis=1)
    share = coherent / np.maximum(total, 1.0)
    if skip_isolated:
        share = share[total > 0]
    return float(share.mean()) if share.size else 0.0


def shared_features(scores: np.ndarray, num_kept: int) -> np.ndarray:
    """Number of features that two classes both keep: (features, classes) -> (classes, classes).

    The diagonal is 0.
    """
    kept = np.argsort(-scores, axis=0, kind="stable")[:num_kept]  # (num_kept, classes)
    mask = np.zeros(scores.shape)
    np.put_along_axis(mask, kept, 1.0, axis=0)
    shared = mask.T @ mask
    np.fill_diagonal(shared, 0.0)
    return shared


def _check(weights, superclasses, num_kept):
    features, classes = weights.shape
    if not 1 <= num_kept <= features:
        raise UserError(f"num_kept must lie between 1 and {features} features, not {num_kept}.")
    if superclasses.shape != (classes,):
        raise UserError(
            f"{classes} classes need a superclass each. Received the shape {superclasses.shape}."
        )
