"""Turn features and labels from outside into arrays to trust, or say what is wrong."""

import numpy as np

from keras_ssl.core.checks import UserError


def checked_features(features, name):
    """Return `features` as finite floats (rows, columns); float64 stays, the rest is float32.

    Raises:
        UserError: for another rank, no rows, or NaN and infinite values.
    """
    array = np.asarray(features)
    if array.ndim != 2 or 0 in array.shape:
        raise UserError(
            f"The {name} features must be a non-empty matrix (images, features). "
            f"Received shape {array.shape}: flatten or pool the features of each image."
        )
    array = array.astype("float64" if array.dtype == np.float64 else "float32", copy=False)
    broken = len(array) - int(np.isfinite(array).all(axis=1).sum())
    if broken:
        raise UserError(
            f"The {name} features hold NaN or infinite values in {broken} of {len(array)} rows: "
            "the encoder diverged (lower the learning rate) or its input was not finite."
        )
    return array


def checked_labels(labels, features, name):
    """Return `labels` as int64 (rows,), one non-negative integer for each row of `features`.

    Raises:
        UserError: for labels that are not integers, negative, or not one per row.
    """
    array = np.asarray(labels)
    if not np.issubdtype(array.dtype, np.integer):
        raise UserError(
            f"The {name} labels must be integers. Received dtype {array.dtype}: "
            "number the classes from 0, for instance with np.unique(labels, return_inverse=True)."
        )
    if array.shape != (len(features),):
        raise UserError(
            f"There must be one {name} label per image. Received {len(features)} images "
            f"and labels of shape {array.shape}."
        )
    if array.min() < 0:
        raise UserError(
            f"The {name} labels must be 0 or more. Received {array.min()}: "
            "leave images without a label out."
        )
    return array.astype("int64", copy=False)


def checked_pair(train, test):
    """Return the features of both parts, which must be equally wide, in one dtype.

    Raises:
        UserError: if the widths differ, or as `checked_features` says.
    """
    train, test = checked_features(train, "train"), checked_features(test, "test")
    if train.shape[1] != test.shape[1]:
        raise UserError(
            f"Train and test features must have the same width. Received {train.shape[1]} and "
            f"{test.shape[1]}: extract both with the same encoder."
        )
    dtype = np.result_type(train, test)
    return train.astype(dtype, copy=False), test.astype(dtype, copy=False)


def check_two_of_each(classes, counts):
    """Refuse train labels that are no two classes or more with two images or more of each.

    Raises:
        UserError: with the smallest class.
    """
    if len(classes) < 2 or counts.min() < 2:
        raise UserError(
            "A linear probe needs two classes or more and two train images of each. Received "
            f"{len(classes)} classes, {counts.min()} images of class {classes[counts.argmin()]}."
        )


def unit_rows(features, name, otherwise):
    """Divide every row by its length.

    Args:
        features: (rows, columns).
        name: what a complaint shall call them, such as "train features".
        otherwise: the setting that needs no directions.

    Raises:
        UserError: for rows of zeros.
    """
    norms = np.linalg.norm(features, axis=1, keepdims=True)
    if not norms.all():
        raise UserError(
            f"{int((norms == 0).sum())} of {len(features)} {name} are all zero and have no "
            f"direction: the encoder collapsed, or use {otherwise}."
        )
    return features / norms


def checked_classes(train_labels, test_labels):
    """Return the classes, sorted, which must be two or more and the same in both parts.

    Raises:
        UserError: if there is one class only, or a class has images in one part only.
    """
    classes, tested = np.unique(train_labels), np.unique(test_labels)
    for missing, part in (
        (np.setdiff1d(tested, classes), "train"),
        (np.setdiff1d(classes, tested), "test"),
    ):
        if len(missing):
            some = ", ".join(str(c) for c in missing[:10]) + (", ..." if len(missing) > 10 else "")
            raise UserError(
                f"Classes without a {part} image: {some}. Train and test must have the same "
                "classes: leave the others out."
            )
    if len(classes) < 2:
        raise UserError(f"A probe needs two classes or more. Received only class {classes[0]}.")
    return classes
