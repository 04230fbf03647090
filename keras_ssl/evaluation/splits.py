"""Subsets of labeled images: labels to learn from, parts to choose settings by, rows to look at.

Each is a fixed function of its arguments, so that other runs and other years draw the same rows:
the stream of `np.random.RandomState` is frozen, that of `default_rng` is not.
"""

import hashlib
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike
from sklearn.model_selection import StratifiedKFold

from keras_ssl.core.errors import UserError
from keras_ssl.evaluation.validation import checked_labels
from keras_ssl.ops.rows import some_rows as some_rows

_FOLDS = 5


def label_subset(labels: np.ndarray, share: float, seed: int = 0) -> np.ndarray:
    """Sorted row numbers of a fraction of each class, to learn from.

    A class gives the nearest whole number of images, and at least two. A smaller fraction is part
    of a larger one, and equal classes give what `few_labels` does.

    Args:
        labels: int (N,).
        share: float in (0, 1].
        seed: int >= 0.

    Example:

    >>> label_subset(np.arange(100) % 2, 0.04)
    array([ 5, 22, 56, 61])
    """
    return _per_class(labels, lambda count: max(2, round(share * count)), seed)


def few_labels(labels: ArrayLike, per_class: int, seed: int = 0) -> np.ndarray:
    """Sorted row numbers of `per_class` images of each class, to learn from.

    Raises:
        UserError: if a class has fewer images than that.

    Example:

    >>> few_labels(np.array([0, 1, 0, 1]), per_class=2)
    array([0, 1, 2, 3])
    """
    labels = checked_labels(labels, labels, "train")
    classes, counts = np.unique(labels, return_counts=True)
    if not 1 <= per_class <= counts.min():
        raise UserError(
            f"per_class={per_class} does not fit: class {classes[counts.argmin()]} has "
            f"{counts.min()} train images, so use 1 to {counts.min()}."
        )
    return _per_class(labels, lambda count: per_class, seed)


def held_out(labels: np.ndarray, share: float, seed: int = 0) -> np.ndarray:
    """Sorted row numbers of a fraction of each class, to choose settings by.

    At least one image of a class and never all of them: none of a class with a single image.

    Raises:
        UserError: if no class has two images.

    Example:

    >>> held_out(np.array([0, 1, 0, 1]), share=0.5).size
    2
    """
    return _held_out(labels, lambda count: max(1, round(share * count)), seed)


def held_out_per_class(labels: np.ndarray, per_class: int, seed: int = 0) -> np.ndarray:
    """Sorted row numbers of so many images of each class, to choose settings by.

    Of a class with fewer images all but one are held out.

    Raises:
        UserError: if no class has two images.

    Example:

    >>> held_out_per_class(np.array([0, 1, 0, 1, 1]), per_class=2).size
    3
    """
    return _held_out(labels, lambda count: per_class, seed)


def _held_out(labels, number_of, seed):
    classes, counts = np.unique(labels, return_counts=True)
    if counts.max() < 2:
        raise UserError(
            f"Class {classes[0]} has a single train image: so has every other, and choosing "
            "settings takes two of a class. Take a protocol with one learning rate and one l1."
        )
    return _per_class(labels, lambda count: min(number_of(count), count - 1), seed)


def _per_class(labels, number_of: Callable[[int], int], seed):
    """Sorted rows, `number_of(images of the class)` of each class."""
    draw = np.random.RandomState(seed)
    rows = []
    for label in np.unique(labels):
        members = draw.permutation(np.flatnonzero(labels == label))
        rows.append(members[: number_of(len(members))])
    return np.sort(np.concatenate(rows))


def stratified_parts(labels: np.ndarray, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Five parts of the images, or as many as the smallest class of two or more has.

    An image that is the only one of its class is held out nowhere.

    Args:
        labels: int (N,), two images or more of at least one class.
        seed: int.

    Returns:
        [(sorted rows without the part, rows of the part), ...].

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


def given_parts(labels: np.ndarray, validation: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """(numbers of the rows to fit to, of those to choose by), sorted, where the latter are given.

    Args:
        labels: int (N,), classes numbered from 0.
        validation: integers, numbers of rows.

    Raises:
        UserError: for numbers that are not of some of the rows, or leave too little to fit to.

    Example:

    >>> given_parts(np.array([0, 1, 0, 1]), validation=[0, 1])
    (array([2, 3]), array([0, 1]))
    """
    held = np.unique(np.asarray(validation))
    numbers = np.arange(len(labels))
    if held.dtype.kind not in "iu" or not held.size or not np.isin(held, numbers).all():
        raise UserError(
            f"validation must be numbers of some of the {len(labels)} train rows. Received "
            f"{held.size} of dtype {held.dtype}, such as {held[:3].tolist()}."
        )
    fitted = np.setdiff1d(numbers, held)
    classes = labels.max() + 1
    missing = np.setdiff1d(np.arange(classes), labels[fitted])
    if len(missing):
        raise UserError(
            f"validation leaves no row to fit to of {len(missing)} of {classes} classes: hold out "
            "fewer rows, or leave it away."
        )
    return fitted, held


def noted_alone(labels: np.ndarray) -> dict[str, int]:
    """The protocol's note of classes with a single image, which choose no settings; or nothing.

    Example:

    >>> noted_alone(np.array([0, 0, 1])), noted_alone(np.array([0, 0]))
    ({'classes_of_one_image': 1}, {})
    """
    alone = int((np.unique(labels, return_counts=True)[1] == 1).sum())
    return {"classes_of_one_image": alone} if alone else {}


def subset_digest(*subsets: np.ndarray) -> str:
    """Sixteen hexadecimal digits that identify row numbers, whatever their integer type.

    Example:

    >>> subset_digest(np.array([1, 2])) == subset_digest(np.array([1, 2], "int32"))
    True
    """
    digest = hashlib.sha256()
    for rows in subsets:
        digest.update(np.asarray(rows, "<i8").tobytes())
    return digest.hexdigest()[:16]
