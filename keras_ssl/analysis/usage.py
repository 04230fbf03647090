"""How often the codes of an encoder are used, and what they know of the class."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from keras_ssl.core.errors import UserError
from keras_ssl.ops.counts import effective_number, entropy_of_counts


@dataclass(frozen=True)
class CodeUsage:
    """How often the simplices of an encoder choose each of their vertices.

    Attributes:
        counts: (L, V) ints. Images whose largest entry of a simplex is a vertex.
        distinct: int. Number of different codes of all images.

    Example:

    >>> usage = CodeUsage(np.array([[4, 0, 0], [2, 2, 0]]), 2)
    >>> usage.effective.tolist(), usage.dead, usage.constant
    ([1.0, 2.0], 3, 1)
    """

    counts: np.ndarray
    distinct: int

    @property
    def effective(self) -> np.ndarray:
        """Effective number of vertices of each simplex, exp of the entropy of its counts: (L,)."""
        return effective_number(self.counts)

    @property
    def dead(self) -> int:
        """Number of vertices that no image chooses, of all simplices."""
        return int((self.counts == 0).sum())

    @property
    def constant(self) -> int:
        """Number of simplices that choose one vertex for all images."""
        return int(((self.counts > 0).sum(axis=1) <= 1).sum())


def code_usage(codes: ArrayLike, simplex_size: int) -> CodeUsage:
    """Count the vertices and the different codes of some images.

    Args:
        codes: integers (images, L) in [0, V).
        simplex_size: int >= 2. V.

    Returns:
        `CodeUsage`.

    Raises:
        UserError: for codes out of range.

    Example:

    >>> code_usage([[0, 1], [0, 2], [0, 1]], 3)
    CodeUsage(counts=array([[3, 0, 0],
           [0, 2, 1]]), distinct=2)
    """
    codes = _checked_codes(codes, simplex_size)
    groups = np.zeros(len(codes), int)
    counts = joint_counts(codes, simplex_size, groups)[:, :, 0]
    rows = np.ascontiguousarray(codes).view(np.dtype((np.void, codes.itemsize * codes.shape[1])))
    return CodeUsage(counts, len(np.unique(rows)))


def joint_counts(codes: ArrayLike, simplex_size: int, groups: ArrayLike) -> np.ndarray:
    """Images of each vertex and each group: (L, V, groups) ints.

    Args:
        codes: integers (images, L) in [0, V).
        simplex_size: int >= 2. V.
        groups: (images,) integers from 0, such as labels.

    Example:

    >>> joint_counts([[0], [0], [1]], 2, [0, 1, 1]).tolist()
    [[[1, 1], [0, 1]]]
    """
    codes, groups = _checked_codes(codes, simplex_size), np.asarray(groups)
    number = int(groups.max()) + 1
    counts = np.empty((codes.shape[1], simplex_size, number), int)
    for i in range(codes.shape[1]):
        cell = codes[:, i].astype(np.int64) * number + groups
        counts[i] = np.bincount(cell, minlength=simplex_size * number).reshape(simplex_size, number)
    return counts


def code_information(codes: ArrayLike, simplex_size: int, labels: ArrayLike) -> np.ndarray:
    """Mutual information of each simplex's code with the class, in nats: (L,).

    The estimate from counts is too large by about (V - 1)(classes - 1) / (2 images); Miller and
    Madow's correction, with the occupied cells, is taken off. At most the entropies of the
    codes and of the classes.

    Args:
        codes: integers (images, L) in [0, V).
        simplex_size: int >= 2. V.
        labels: (images,) integers.

    Raises:
        UserError: for codes out of range or another number of labels.

    Example:

    >>> code_information([[0, 0], [0, 1], [1, 0], [1, 1]] * 50, 2, [5, 5, 7, 7] * 50).round(2)
    array([0.69, 0.  ])
    """
    codes, labels = np.asarray(codes), np.asarray(labels)
    if labels.shape != codes.shape[:1]:
        raise UserError(f"{len(codes)} codes need a label each. Received {labels.shape}.")
    _, groups = np.unique(labels, return_inverse=True)
    joint = joint_counts(codes, simplex_size, groups)
    code, group = joint.sum(axis=2), joint.sum(axis=1)
    tables = (joint.reshape(len(joint), -1), code, group)
    both, of_code, of_group = map(entropy_of_counts, tables)
    occupied = [(table > 0).sum(axis=1) for table in tables]
    bias = (occupied[0] - occupied[1] - occupied[2] + 1) / (2.0 * len(codes))
    return np.clip(of_code + of_group - both - bias, 0.0, np.minimum(of_code, of_group))


def typical_images(logits: ArrayLike, vertex: int, count: int) -> np.ndarray:
    """Images whose simplex lies nearest to one of its vertices, nearest first.

    Ranked by how far the logit of the vertex exceeds the largest other one: the order of the
    probabilities for two entries, and one that does not saturate at low temperatures.

    Args:
        logits: float (images, V). Of one simplex.
        vertex: int, 0 to V - 1.
        count: int > 0.

    Returns:
        Indices of at most `count` images that choose the vertex; fewer where fewer do.

    Example:

    >>> typical_images([[1.0, 0.0], [3.0, 0.0], [0.0, 1.0]], 0, 2)
    array([1, 0])
    """
    logits = np.asarray(logits)
    chosen = np.flatnonzero(logits.argmax(axis=1) == vertex)
    others = np.delete(logits[chosen], vertex, axis=1).max(axis=1)
    return chosen[np.argsort(others - logits[chosen, vertex], kind="stable")[:count]]


def _checked_codes(codes, simplex_size):
    codes = np.asarray(codes)
    if codes.ndim != 2 or not len(codes) or codes.min() < 0 or codes.max() >= simplex_size:
        raise UserError(
            f"Codes are integers (images, L) from 0 to {simplex_size - 1}. "
            f"Received {codes.dtype} {codes.shape}."
        )
    return codes
