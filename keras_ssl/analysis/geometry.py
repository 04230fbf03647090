"""Pairs of views and their hardest negatives, in the space of features and of projections.

Cosentino et al., Toward a geometrical understanding of self-supervised contrastive learning, 2022:
the features `h` of an encoder, the projections `f = g(h)` that its loss compares. Rows are images;
arrays that are constant, or zero, give finite numbers.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from keras_ssl.ops.rows import unit_rows


@dataclass(frozen=True)
class Neighbors:
    """What `nearest_negatives` found for the first view of every image.

    Attributes:
        images: int (images, count). The other images, the nearest (hardest) first.
        views: int (images, count). Which of their views is the nearer one, 0 or 1.
        similarities: float (images, count) in [-1, 1]. Cosines of the projections.

    Example:

    >>> nearest_negatives(np.eye(3), np.eye(3)[[1, 0, 2]]).images[:, 0].tolist()
    [1, 0, 0]
    """

    images: np.ndarray
    views: np.ndarray
    similarities: np.ndarray

    def rows_of(self, first: ArrayLike, second: ArrayLike, place: int = 0) -> np.ndarray:
        """The neighbors' rows of two views (images, dim): those of the `place`-th nearest."""
        both = np.stack([np.asarray(first), np.asarray(second)])
        return both[self.views[:, place], self.images[:, place]]


def nearest_negatives(first: ArrayLike, second: ArrayLike, *, count: int = 1) -> Neighbors:
    """Find the images that a contrastive loss repels each image from most: h*, and those after it.

        i* = argmax over j != i of max(cos(f_i, f_j), cos(f_i, f'_j))

    Args:
        first, second: float (images, dim). Projections of two views, two images or more.
        count: int > 0. Neighbors of each image, at most images - 1; every one another image.

    Returns:
        `Neighbors`; among equally near ones the first.

    Raises:
        ValueError: for too few images.

    Example:

    >>> f = np.array([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]])
    >>> nearest_negatives(f, f, count=2).images.tolist()
    [[1, 2], [0, 2], [1, 0]]

    Reference: Cosentino et al., proposition 3.1.
    """
    first, second = _unit(first), _unit(second)
    if not 0 < count < len(first):
        raise ValueError(f"{count} neighbors need {count + 1} images. Received {len(first)}.")
    both = np.stack([first @ first.T, first @ second.T])
    views = np.argmax(both, axis=0)
    similarities = np.max(both, axis=0)
    np.fill_diagonal(similarities, -np.inf)
    images = np.argsort(-similarities, axis=1, kind="stable")[:, :count]
    return Neighbors(
        images,
        np.take_along_axis(views, images, axis=1),
        np.clip(np.take_along_axis(similarities, images, axis=1), -1.0, 1.0),
    )


def negative_distances(
    first: ArrayLike, second: ArrayLike, neighbors: Neighbors, place: int = 0
) -> np.ndarray:
    """Distance of each image to its hardest negative among the features, both of length one.

    Where augmentations are small, repulsion prevails and the distances are large.

    Args:
        first, second: float (images, features). Features of two views.
        neighbors: of their projections.
        place: int. 0 for the hardest negative, 1 for the next.

    Returns:
        float64 (images,) in [0, 2].

    Example:

    >>> h = np.array([[1.0, 0.0], [0.0, 2.0]])
    >>> negative_distances(h, h, nearest_negatives(h, h)).round(3).tolist()
    [1.414, 1.414]

    Reference: Cosentino et al., fig. 5.
    """
    negatives = neighbors.rows_of(first, second, place)
    return np.linalg.norm(_unit(first) - _unit(negatives), axis=1)


def label_agreement(
    labels: ArrayLike, neighbors: Neighbors, *, superclasses: ArrayLike | None = None
) -> np.ndarray:
    """Share of images whose hardest negative has their label, and of the negatives after it.

    Args:
        labels: int (images,), classes.
        neighbors: of projections of two views of these images.
        superclasses: int (classes,) or None. The coarse label of each class, to compare those.

    Returns:
        float64 (count,) in [0, 1], for the nearest, the second nearest and so on.

    Example:

    >>> f = np.array([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]])
    >>> found = nearest_negatives(f, f)
    >>> label_agreement([0, 1, 2], found), label_agreement([0, 1, 2], found, superclasses=[0, 0, 1])
    (array([0.]), array([0.66666667]))

    Reference: Cosentino et al., fig. 6.
    """
    labels = _named(labels, superclasses)
    return np.mean(labels[neighbors.images] == labels[:, None], axis=0)


def chance_agreement(labels: ArrayLike, *, superclasses: ArrayLike | None = None) -> float:
    """What `label_agreement` is for negatives that are drawn at random.

    Example:

    >>> round(chance_agreement([0, 0, 1, 1]), 3)  # of three others one has the label
    0.333
    """
    counts = np.bincount(_named(labels, superclasses)).astype("float64")
    total = counts.sum()
    return float(np.sum(counts * (counts - 1)) / max(total * (total - 1), 1.0))


def unexplained_variance(
    directions: ArrayLike, weights: ArrayLike, *, relative: float = 1e-6
) -> float:
    """Share of directions' energy outside of the span of a projector's columns, in [0, 1].

        sum_i min_t |d_i - W t|^2 / sum_i |d_i|^2

    Of `d_i = h2_i - h*_i` it is how far the projector is from the estimated tangent space; it is
    also the share that lies in the kernel `{d: W^T d = 0}`, to which invariance drives the
    directions `h2_i - h1_i` of the augmentations.

    Args:
        directions: float (rows, features).
        weights: float (features, projections). W of `g(h) = W^T h`.
        relative: float > 0. Singular values of W below this share of the largest do not count.

    Returns:
        From 0 (all in the span; or no direction at all) to 1 (all in the kernel).

    Example:

    >>> w = np.eye(3)[:, :1]
    >>> round(unexplained_variance([[1.0, 0.0, 1.0], [1.0, 1.0, 0.0]], w), 6)
    0.5

    Reference: Cosentino et al., eq. 10; proposition 4.1 for the kernel.
    """
    directions = np.asarray(directions, "float64")
    total = np.sum(np.square(directions))
    if not total > 0:
        return 0.0
    inside = np.sum(np.square(directions @ span(weights, relative=relative)))
    return float(np.clip(1.0 - inside / total, 0.0, 1.0))


def gain(directions: ArrayLike, weights: ArrayLike) -> float:
    """Share of directions' energy that a projector passes on, in [0, 1].

        sum_i |W^T d_i|^2 / (sum_i |d_i|^2 s^2),    s the largest singular value of W

    Unlike `unexplained_variance` it needs no threshold for what belongs to the kernel, so it shows
    directions on their way there.

    Args:
        directions: float (rows, features).
        weights: float (features, projections).

    Returns:
        From 0 (in the kernel; or no direction at all) to 1 (along the largest singular vector).

    Example:

    >>> gain([[1.0, 0.0], [0.0, 1.0]], np.diag([2.0, 1.0]))
    0.625

    Reference: Cosentino et al., proposition 4.1.
    """
    directions, weights = np.asarray(directions, "float64"), np.asarray(weights, "float64")
    total = np.sum(np.square(directions)) * np.linalg.norm(weights, 2) ** 2
    return float(np.sum(np.square(directions @ weights)) / total) if total > 0 else 0.0


def least_unexplained(directions: ArrayLike, dimensions: int) -> float:
    """The `unexplained_variance` of the best span of so many dimensions.

    Example:

    >>> round(least_unexplained(np.diag([2.0, 1.0, 1.0]), 1), 6)  # energies 4, 1 and 1
    0.333333
    """
    directions = np.asarray(directions, "float64")
    rows, columns = directions.shape
    gram = directions @ directions.T if rows < columns else directions.T @ directions
    energies = np.maximum(np.linalg.eigvalsh(gram)[::-1], 0.0)
    total = energies.sum()
    return float(energies[dimensions:].sum() / total) if total > 0 else 0.0


def span(weights: ArrayLike, *, relative: float = 1e-6) -> np.ndarray:
    """Orthonormal columns that span those of a matrix: (features, rank).

    Example:

    >>> np.abs(span(np.array([[2.0, 4.0], [0.0, 0.0]]))).round(6).tolist()
    [[1.0], [0.0]]
    """
    vectors, values, _ = np.linalg.svd(np.asarray(weights, "float64"), full_matrices=False)
    return vectors[:, values > relative * max(values[0], np.finfo("float64").tiny)]


def _unit(z):
    return unit_rows(np.asarray(z, "float64"))


def _named(labels, superclasses):
    labels = np.asarray(labels)
    return labels if superclasses is None else np.asarray(superclasses)[labels]
