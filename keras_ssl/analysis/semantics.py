"""Whether the features that classes share follow their meaning: SEM's graph and its coherence."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

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
    weights, superclasses = np.asarray(weights), _checked(weights, superclasses)
    kept = top_features(np.abs(weights) if by_magnitude else weights, num_kept)
    return _coherence(shared_features(kept), superclasses, count_each_feature, skip_isolated)


def coherence_readings(
    weights: ArrayLike, superclasses: ArrayLike, numbers_kept: Sequence[int]
) -> dict[str, list[float]]:
    """`semantic_coherence` over K, in each of the eight ways in which eq. 2 can be read.

    Args:
        weights, superclasses: as for `semantic_coherence`.
        numbers_kept: ints, 1 to features. The values of K.

    Returns:
        Lists as long as `numbers_kept`, named "magnitude_set_zero" (the literal reading) and so on:
        largest weights by "magnitude" or "signed", pairs of classes as a "set" or once per feature
        they share ("multi"), classes without neighbors as "zero" or left out ("skip").

    Raises:
        UserError: as `semantic_coherence`.

    Example:

    >>> readings = coherence_readings(np.eye(3, 2) + 1.0, [0, 1], (1, 3))
    >>> readings["magnitude_set_zero"], readings["signed_multi_skip"], len(readings)
    ([0.0, 0.0], [0.0, 0.0], 8)

    Reference: Lavoie et al., Simplicial Embeddings, eq. 2 and fig. 6c.
    """
    weights, superclasses = np.asarray(weights), _checked(weights, superclasses)
    found = {}
    for ranking, scores in (("magnitude", np.abs(weights)), ("signed", weights)):
        kept = top_features(scores, max(numbers_kept))
        shared = [shared_features(kept[:k]) for k in numbers_kept]
        for pairs in ("set", "multi"):
            for isolated in ("zero", "skip"):
                found[f"{ranking}_{pairs}_{isolated}"] = [
                    _coherence(each, superclasses, pairs == "multi", isolated == "skip")
                    for each in shared
                ]
    return found


def chance_coherence(superclasses: ArrayLike) -> float:
    """The coherence where every class is a neighbor of every other: what no structure gives.

    Example:

    >>> chance_coherence([0, 0, 1, 1])
    0.3333333333333333
    """
    superclasses = np.asarray(superclasses)
    same = (superclasses[:, None] == superclasses).sum(axis=1) - 1
    return float(np.mean(same / max(1, len(superclasses) - 1)))


def _coherence(pairs, superclasses, count_each_feature, skip_isolated):
    if not count_each_feature:
        pairs = np.minimum(pairs, 1.0)
    within = superclasses[:, None] == superclasses[None, :]
    total, coherent = pairs.sum(axis=1), (pairs * within).sum(axis=1)
    share = coherent / np.maximum(total, 1.0)
    if skip_isolated:
        share = share[total > 0]
    return float(share.mean()) if share.size else 0.0


def top_features(scores: ArrayLike, num_kept: int) -> np.ndarray:
    """Features of the largest scores of each class, largest first: (num_kept, classes).

    Of equal scores the first come first. Classes are ranked one at a time and only what reaches the
    K-th score is sorted, so that scores of 65,000 features cost little.

    Args:
        scores: (features, classes).
        num_kept: int, 1 to features.

    Raises:
        UserError: for a `num_kept` out of range.

    Example:

    >>> top_features([[1.0], [3.0], [3.0]], 2).tolist()
    [[1], [2]]
    """
    scores = np.asarray(scores)
    features = len(scores)
    if not 1 <= num_kept <= features:
        raise UserError(f"num_kept must lie between 1 and {features} features, not {num_kept}.")
    kept = np.empty((num_kept, scores.shape[1]), int)
    for label, column in enumerate(np.ascontiguousarray(scores.T)):
        least = np.partition(column, features - num_kept)[features - num_kept]
        among = np.flatnonzero(column >= least)
        kept[:, label] = among[np.argsort(-column[among], kind="stable")[:num_kept]]
    return kept


def shared_features(kept: np.ndarray) -> np.ndarray:
    """Number of features that two classes both keep: (K, classes) -> (classes, classes).

    The diagonal is 0.
    """
    _, place = np.unique(kept, return_inverse=True)
    classes = np.tile(np.arange(kept.shape[1]), len(kept))
    mask = coo_matrix((np.ones(kept.size), (place.ravel(), classes))).tocsr()
    shared = (mask.T @ mask).toarray()
    np.fill_diagonal(shared, 0.0)
    return shared


@dataclass(frozen=True)
class ClassGraph:
    """W_K, the bipartite graph of classes and the features that they share, as lists of edges.

    Attributes:
        features, classes: (edges,) ints. The two ends of each edge.
        weights: (edges,). Of the classifier.
        components: (all classes,) ints, from 0: the connected component of each class. A class that
            shares no feature is a component of its own.

    Example:

    >>> ClassGraph(np.array([4, 4]), np.array([0, 2]), np.ones(2), np.array([0, 1, 0])).largest
    2
    """

    features: np.ndarray
    classes: np.ndarray
    weights: np.ndarray
    components: np.ndarray

    @property
    def linked(self) -> int:
        """Number of classes that share a feature with another."""
        return len(np.unique(self.classes))

    @property
    def groups(self) -> list[list[int]]:
        """Classes of each component of two classes or more, the largest component first."""
        members = [np.flatnonzero(self.components == c) for c in np.unique(self.components)]
        linked = [each.tolist() for each in members if len(each) > 1]
        return sorted(linked, key=len, reverse=True)

    @property
    def largest(self) -> int:
        """Number of classes of the largest component."""
        return int(np.bincount(self.components).max())


def class_graph(weights: ArrayLike, num_kept: int, *, by_magnitude: bool = True) -> ClassGraph:
    """The graph W_K: each class keeps its K largest weights, features of one class are pruned.

    Connected components that are small and of related classes speak for features with a meaning;
    the paper sees them with SEM, and one large component without.

    Args:
        weights: (features, classes). Of a linear classifier.
        num_kept: int, 1 to features. K; the paper draws K = 5.
        by_magnitude: bool. Largest absolute weights; False for the largest signed ones.

    Returns:
        `ClassGraph`.

    Raises:
        UserError: for a `num_kept` out of range.

    Example:

    >>> graph = class_graph([[3.0, 2.0, 0.0], [0.0, 0.0, 5.0]], 1)
    >>> graph.features.tolist(), graph.classes.tolist(), graph.groups
    ([0, 0], [0, 1], [[0, 1]])

    Reference: Lavoie et al., Simplicial Embeddings, sec. 4.4, figs. 6a, 6b and 9.
    """
    weights = np.asarray(weights)
    kept = top_features(np.abs(weights) if by_magnitude else weights, num_kept)
    found, place, count = np.unique(kept, return_inverse=True, return_counts=True)
    place = place.reshape(kept.shape)
    rows, classes = np.nonzero(count[place] > 1)
    features = place[rows, classes]
    edges = coo_matrix(
        (np.ones(len(rows)), (classes, kept.shape[1] + features)),
        shape=(kept.shape[1] + len(found),) * 2,
    )
    _, components = connected_components(edges, directed=False)
    _, components = np.unique(components[: kept.shape[1]], return_inverse=True)
    features = found[features]
    return ClassGraph(features, classes, weights[features, classes], components)


def _checked(weights, superclasses):
    classes, superclasses = np.shape(weights)[1], np.asarray(superclasses)
    if superclasses.shape != (classes,):
        raise UserError(
            f"{classes} classes need a superclass each. Received the shape {superclasses.shape}."
        )
    return superclasses
