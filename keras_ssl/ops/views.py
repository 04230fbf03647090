"""Losses of two views of an image, for any number of views."""

import itertools


def mean_over_pairs(loss, views):
    """Average `loss(a, b)` over the pairs of `views`; the order within a pair is theirs.

    Args:
        loss: function of two views that gives a tensor.
        views: sequence of two or more tensors.

    Raises:
        ValueError: if there are fewer than two views.

    Example:

    >>> float(mean_over_pairs(lambda a, b: abs(a - b), [0.0, 3.0, 6.0]))
    4.0
    """
    if len(views) < 2:
        raise ValueError(f"The loss compares two or more views. Received {len(views)}.")
    pairs = list(itertools.combinations(views, 2))
    return sum(loss(a, b) for a, b in pairs) / len(pairs)
