"""The stratified parts of labelled images that settings are chosen by."""

import numpy as np
from sklearn.model_selection import StratifiedKFold

_FOLDS = 5


def stratified_parts(labels, seed):
    """Five parts of the images, or as many as the smallest class of two or more has.

    An image that is the only one of its class is held out nowhere.

    Args:
        labels: int (N,), two images or more of at least one class.
        seed: int.

    Returns:
        [(rows without the part, rows of the part), ...]; a fixed function of labels and seed.

    Example:

    >>> [held.size for _, held in stratified_parts(np.array([0, 0, 1, 1, 1, 2]), seed=0)]
    [3, 2]
    """
    classes, numbers, counts = np.unique(labels, return_inverse=True, return_counts=True)
    several = counts[numbers] > 1
    rows, alone = np.flatnonzero(several), np.flatnonzero(~several)
    parts = min(_FOLDS, int(counts[counts > 1].min()))
    splits = StratifiedKFold(parts, shuffle=True, random_state=seed).split(rows, labels[rows])
    return [(np.sort(np.concatenate([rows[fit], alone])), rows[held]) for fit, held in splits]


def noted_alone(labels):
    """What a protocol says of classes with a single image, which choose no settings; or nothing.

    Example:

    >>> noted_alone(np.array([0, 0, 1])), noted_alone(np.array([0, 0]))
    ({'classes_of_one_image': 1}, {})
    """
    alone = int((np.unique(labels, return_counts=True)[1] == 1).sum())
    return {"classes_of_one_image": alone} if alone else {}
