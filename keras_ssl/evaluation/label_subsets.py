"""The fixed shares of the labels that fine-tuning and probes learn from."""

import hashlib

import numpy as np


def label_subset(labels, share, seed=0):
    """Sorted row numbers of a share of each class; a fixed function of its arguments.

    A class gives the nearest whole number of images, and at least two. A smaller share is part of
    a larger one, and equal classes give what `few_labels` does.

    Args:
        labels: int (N,).
        share: float in (0, 1].
        seed: int >= 0.

    Example:

    >>> label_subset(np.arange(100) % 2, 0.04)
    array([ 5, 22, 56, 61])
    """
    draw = np.random.RandomState(seed)  # its stream is frozen; that of default_rng is not
    rows = []
    for label in np.unique(labels):
        members = draw.permutation(np.flatnonzero(labels == label))
        rows.append(members[: max(2, round(share * len(members)))])
    return np.sort(np.concatenate(rows))


def some_rows(count, most, seed=0):
    """`most` of `count` rows, or all if those are fewer; drawn by the seed, in order.

    Example:

    >>> some_rows(3, most=5)
    array([0, 1, 2])
    """
    return np.sort(np.random.RandomState(seed).permutation(count)[:most])


def subset_digest(*subsets):
    """Sixteen hexadecimal digits that row numbers are recognised by, whatever their integer type.

    Example:

    >>> subset_digest(np.array([1, 2])) == subset_digest(np.array([1, 2], "int32"))
    True
    """
    digest = hashlib.sha256()
    for rows in subsets:
        digest.update(np.asarray(rows, "<i8").tobytes())
    return digest.hexdigest()[:16]
