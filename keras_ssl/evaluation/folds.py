"""The stratified parts of labelled images that settings are chosen by."""

import numpy as np
from sklearn.model_selection import StratifiedKFold

_FOLDS = 5


def count_folds(labels):
    """Five, or as many as the smallest class has images.

    Example:

    >>> count_folds(np.array([0, 0, 1, 1, 1]))
    2
    """
    return min(_FOLDS, int(np.unique(labels, return_counts=True)[1].min()))


def stratified_folds(labels, seed):
    """`StratifiedKFold` of so many parts, a fixed function of labels and seed."""
    return StratifiedKFold(count_folds(labels), shuffle=True, random_state=seed)
