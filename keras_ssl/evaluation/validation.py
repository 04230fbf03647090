"""Turn features and labels from outside into arrays to trust, or say what is wrong."""

import math

import numpy as np

from keras_ssl.core.errors import UserError
from keras_ssl.evaluation.rows import BLOCK_VALUES, Rows, as_rows


def checked_features(features, name, dtype=None):
    """Return `features` as finite floats (rows, columns).

    `dtype=None` keeps float64 and turns the rest into float32. Numbers whose squared distances are
    not finite are refused like infinite ones.

    Raises:
        UserError: for another rank, no rows, what is no real number, and NaN or infinite values.
    """
    array = _matrix(features, name)
    with np.errstate(over="ignore"):  # what overflows is found below
        array = array.astype(dtype or _float_of(array.dtype), copy=False)
    _check_size([array], array.shape, array.dtype, name)
    return array


def checked_rows(features, name):
    """Return `features`, an array or `Rows`, as `Rows` of finite floats that are read in blocks.

    Arrays are as `checked_features` returns them. `Rows` stay as they are: what is stored is looked
    at a block at a time, and so is what is read, where nothing is stored but the matrix itself.

    Raises:
        UserError: as `checked_features`.

    Example:

    >>> checked_rows([[1, 2], [3, 4]], "train").dtype
    dtype('float32')
    """
    if not isinstance(features, Rows) or (features.read is None and features.dtype.kind != "f"):
        return as_rows(checked_features(features, name))
    if 0 in features.shape:
        _matrix(np.empty(features.shape), name)
    source, columns = features.source, math.prod(features.source.shape[1:])
    if source.dtype.kind == "f":
        slices = features.slices(max(1, BLOCK_VALUES // columns))
        blocks = (source[rows].reshape(-1, columns) for rows in slices)
        _check_size(blocks, (len(source), columns), source.dtype, name)
    return features


def _matrix(features, name):
    array = _array(features, f"{name} features")
    if array.ndim != 2 or 0 in array.shape:
        raise UserError(
            f"The {name} features must be a non-empty matrix (images, features). "
            f"Received shape {array.shape}: flatten or pool the features of each image."
        )
    if array.dtype.kind in "OSUcmM":
        raise UserError(
            f"The {name} features must be real numbers. Received dtype {array.dtype}: "
            "give them as the encoder returned them."
        )
    return array


def _float_of(dtype):
    return "float64" if dtype == np.float64 else "float32"


def _check_size(blocks, shape, dtype, name):
    """Refuse what is not finite, or too large, in any of the blocks of a matrix."""
    rows, columns = shape
    limit = math.sqrt(np.finfo(dtype).max / (4 * columns))
    largest, broken = 0.0, 0
    for block in blocks:
        size = np.maximum(block.max(), -block.min())
        if not size <= limit:
            largest = np.fmax(largest, size)
            broken += len(block) - int(np.isfinite(block).all(axis=1).sum())
    if not largest and not broken:
        return
    what = f"hold NaN or infinite values in {broken} of {rows} rows"
    if not broken:
        what = f"reach {largest:.1e}, too large for distances in {dtype}"
    raise UserError(
        f"The {name} features {what}: the encoder diverged (lower the learning rate) or its input "
        "was not finite."
    )


def checked_labels(labels, features, name):
    """Return `labels` as int64 (rows,), one non-negative integer for each row of `features`.

    Raises:
        UserError: for no labels, labels that are not integers, negative, or not one per row.
    """
    array = _array(labels, f"{name} labels")
    if array.size == 0:
        raise UserError(f"There are no {name} labels: give one integer for each image.")
    if not np.issubdtype(array.dtype, np.integer):
        raise UserError(
            f"The {name} labels must be integers. Received dtype {array.dtype}: "
            "number the classes from 0, for instance with np.unique(labels, return_inverse=True)."
        )
    if array.ndim != 1:
        raise UserError(
            f"There must be one {name} label per image. Received labels of shape {array.shape}: "
            "give a vector of integers, of one-hot labels the argmax."
        )
    if len(array) != len(features):
        raise UserError(
            f"There must be one {name} label per image. Received {len(features)} images "
            f"and labels of shape {array.shape}: give the labels of these images only."
        )
    array = array.astype("int64", copy=False)
    if array.min() < 0:
        raise UserError(
            f"The {name} labels must be 0 or more. Received {array.min()}: "
            "leave images without a label out."
        )
    return array


def _array(values, what):
    try:
        return np.asarray(values)
    except UserError:  # rows that do not fit in memory
        raise
    except ValueError:  # lists of different lengths
        raise UserError(
            f"The {what} must be an array. Received {type(values).__name__} of rows that differ in "
            "length: give each image as many numbers."
        ) from None


def checked_pair(train, test, dtype=None):
    """Return the features of both parts, which must be equally wide, in one dtype.

    Raises:
        UserError: if the widths differ, a part is all zero, or as `checked_features` says.
    """
    train = checked_features(train, "train", dtype)
    test = checked_features(test, "test", dtype)
    _check_both(train, test)
    dtype = np.result_type(train, test)
    return train.astype(dtype, copy=False), test.astype(dtype, copy=False)


def checked_row_pair(train, test):
    """Return both parts as `checked_rows`, equally wide; arrays in one dtype.

    Raises:
        UserError: as `checked_pair`.

    Example:

    >>> [part.shape for part in checked_row_pair(np.eye(3), Rows(np.eye(3)[:2]))]
    [(3, 3), (2, 3)]
    """
    if not isinstance(train, Rows) and not isinstance(test, Rows):
        return tuple(map(as_rows, checked_pair(train, test)))
    train, test = checked_rows(train, "train"), checked_rows(test, "test")
    _check_both(train, test)
    return train, test


def _check_both(train, test):
    """Refuse parts of different widths, and those whose blocks are all zero."""
    if train.shape[1] != test.shape[1]:
        raise UserError(
            f"Train and test features must have the same width. Received {train.shape[1]} and "
            f"{test.shape[1]}: extract both with the same encoder."
        )
    for part, name in ((train, "train"), (test, "test")):
        if not any(np.any(block) for _, block in as_rows(part).blocks()):
            raise UserError(
                f"{len(part)} of {len(part)} {name} features are all zero: the encoder collapsed, "
                "or they were never filled in."
            )


def numbered_classes(train_labels, test_labels, what):
    """Labels as numbers of the classes that occur in training, of which two have two images.

    Args:
        train_labels, test_labels: as from `checked_labels`.
        what: str. What needs them, to begin a complaint with ("A linear probe").

    Returns:
        (train numbers, test numbers, classes sorted); number i stands for class i of these.

    Raises:
        UserError: for fewer than two classes of two train images, or a class without any.
    """
    classes, numbers, counts = np.unique(train_labels, return_inverse=True, return_counts=True)
    unknown = np.setdiff1d(test_labels, classes)
    if len(unknown):
        raise UserError(
            f"The test labels name classes without a train image: {_some(unknown)}. Leave these "
            "images out, or label some to train on."
        )
    if (counts > 1).sum() < 2:
        raise UserError(
            f"{what} needs two classes or more and two train images of each, or of two at least. "
            f"Received {len(classes)} classes, {counts.min()} images of class "
            f"{classes[counts.argmin()]}: label more images."
        )
    return numbers, np.searchsorted(classes, test_labels), classes


def unit_rows(features, name, otherwise):
    """Divide every row by its length, however small it is.

    Args:
        features: (rows, columns).
        name: what a complaint shall call them, such as "train features".
        otherwise: the setting that needs no directions.

    Raises:
        UserError: for rows of zeros.
    """
    largest = np.maximum(features.max(axis=1), -features.min(axis=1))[:, None]
    if not largest.all():
        raise UserError(
            f"{int((largest == 0).sum())} of {len(features)} {name} are all zero and have no "
            f"direction: the encoder collapsed, or use {otherwise}."
        )
    # By a power of two, which rounds nothing, so that no square underflows.
    features = np.ldexp(features, -np.frexp(largest)[1])
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    return features


def unit_block(rows, some, name, otherwise):
    """Some rows of `Rows`, divided by their lengths as by `unit_rows`.

    Args:
        rows: `Rows`.
        some: slice, or numbers of rows.
        name, otherwise: as for `unit_rows`.

    Raises:
        UserError: for rows that are read as no finite numbers; for rows of zeros, with the number
            of all that there are.

    Example:

    >>> unit_block(Rows(np.array([[3.0, 4.0]])), slice(0, 1), "features", "no k-NN").tolist()
    [[0.6, 0.8]]
    """
    block = rows[some]
    if rows.read is not None and not np.isfinite(block).all():
        raise UserError(
            f"The {name} are not finite when they are read in blocks: the encoder diverged (lower "
            "the learning rate)."
        )
    if not block.any(axis=1).all():
        zero = sum(int((~np.any(part, axis=1)).sum()) for _, part in rows.blocks())
        raise UserError(
            f"{zero} of {len(rows)} {name} are all zero and have no direction: the encoder "
            f"collapsed, or use {otherwise}."
        )
    return unit_rows(block, name, otherwise)


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
            raise UserError(
                f"Classes without a {part} image: {_some(missing)}. Train and test must have "
                "the same classes: leave the others out."
            )
    if len(classes) < 2:
        raise UserError(
            f"A probe needs two classes or more. Received only class {classes[0]}: label images of "
            "another class."
        )
    return classes


def _some(values, most=10):
    more = ", ..." if len(values) > most else ""
    return ", ".join(str(value) for value in values[:most]) + more
