"""Pairs: of the views of an image, and of each row of a batch with the one nearest to it."""

import itertools
from collections.abc import Callable, Sequence

from keras import ops

from keras_ssl.ops.precision import Tensor, at_least_float32


def mean_over_pairs(loss: Callable[[Tensor, Tensor], Tensor], views: Sequence[Tensor]) -> Tensor:
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


def nearest_distances(x: Tensor, *, floor: float = 1e-12) -> Tensor:
    """Euclidean distance of every row to the nearest other one: (batch, dim) -> (batch,).

    The gradient flows to the row and to its neighbor.

    Args:
        x: (batch, dim).
        floor: float > 0. Smallest distance that is reported, without a gradient: of a duplicate,
            and of the row of a batch that has no other.
    """
    x = at_least_float32(x)
    difference = x - ops.take(x, nearest_rows(x), axis=0)
    squared = ops.sum(ops.square(difference), axis=-1)
    apart = squared > floor**2
    return ops.where(apart, ops.sqrt(ops.where(apart, squared, 1.0)), floor)


def nearest_rows(x: Tensor) -> Tensor:
    """Index of the nearest other row of every row, by Euclidean distance: -> (batch,)."""
    x = ops.stop_gradient(at_least_float32(x))
    x = x - ops.mean(x, axis=0)  # smaller numbers to subtract from each other below
    norms = ops.sum(ops.square(x), axis=-1)
    squared = norms[:, None] + norms[None, :] - 2.0 * (x @ ops.transpose(x))  # (batch, batch)
    row = ops.arange(ops.shape(x)[0])
    self = ops.equal(row[:, None], row[None, :])
    return ops.argmin(ops.where(self, float("inf"), squared), axis=-1)
