"""Images and labels from a NumPy `.npz` file."""

import dataclasses
import os
import zipfile
import zlib

import numpy as np

from pipelines.errors import DataError
from pipelines.files import check_path
from pipelines.image_data import ImageData, hold_out

_IMAGES = {"train": ("x_train", "train_images"), "test": ("x_test", "test_images")}
_LABELS = {
    "train": ("y_train", "train_labels", "train_fine"),
    "test": ("y_test", "test_labels", "test_fine"),
}
_NAMES = ("class_names", "names", "fine_names")
_BROKEN = (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError)
_EXPECTED = (
    "Needed: x_train (N, H, W, C); optional: y_train, x_test, y_test "
    "(or train_images, train_labels, test_images, test_labels)."
)


def load_npz(path, *, log=print):
    """Read the arrays x_train, y_train, x_test, y_test, or train_images, train_labels, ....

    Only the training images are needed. Images may be uint8, whole numbers in 0..255, or floats in
    [0, 1] or [0, 255]; gray ones may lack the channel axis. Where there are labels and no test
    part, a fifth of the images is held out.

    Args:
        path: of the file.
        log: called with a line for the user.

    Raises:
        DataError: if the file cannot be read, or the arrays do not fit; says which and why.
    """
    with _open(path) as archive:
        found = {part: _found(archive, part, path) for part in ("train", "test")}
        if found["train"][0] is None:
            there = ", ".join(archive.files) or "nothing"
            raise DataError(f"{path} has no training images; it has {there}. {_EXPECTED}")
        class_names = _class_names(archive)
    train_images, train_labels = _part(*found["train"])
    test_images, test_labels = _part(*found["test"])
    if test_images is not None and test_images.shape[1:] != train_images.shape[1:]:
        raise DataError(
            f"{path}: test images are {test_images.shape[1:]}, training images "
            f"{train_images.shape[1:]} (height, width, channels); they must agree."
        )
    data = ImageData(f"npz:{path}", train_images, train_labels, test_images, test_labels)
    if class_names and data.num_classes and data.num_classes <= len(class_names):
        data = dataclasses.replace(data, class_names=class_names)
    if train_labels is not None and test_images is None:
        return hold_out(data, log)
    return data


def load_npz_test(path):
    """Read the test part alone, of a file that may have no other.

    Args:
        path: of the file.

    Returns:
        (images, labels, class names), as `load_npz` has them; the images are `None` where the file
        has no test images.

    Raises:
        DataError: as `load_npz` does.
    """
    with _open(path) as archive:
        images, labels = _part(*_found(archive, "test", path))
        class_names = _class_names(archive)
    covers = class_names and labels is not None and labels.max() < len(class_names)
    return images, labels, class_names if covers else None


def _open(path):
    check_path("npz", path)
    if not os.path.isfile(path):
        raise DataError(f"{path} is not a file. For a folder of images use folder:{path}.")
    try:
        archive = np.load(path, allow_pickle=False)
    except _BROKEN as error:
        raise DataError(f"{path} is not a readable .npz file ({_reason(error)}).") from error
    if not isinstance(archive, np.lib.npyio.NpzFile):
        raise DataError(f"{path} holds a single array, not an .npz archive. {_EXPECTED}")
    return archive


def _found(archive, part, path):
    """Images and labels of a part, as `_first` finds them."""
    return [_first(archive, names[part], path) for names in (_IMAGES, _LABELS)]


def _first(archive, names, path):
    """(name, array) of the first of the names that is there, or `None`."""
    name = next((name for name in names if name in archive.files), None)
    if name is None:
        return None
    try:
        return name, archive[name]
    except (*_BROKEN, MemoryError) as error:
        raise DataError(f"{path}: array {name} cannot be read ({_reason(error)}).") from error


def _reason(error):
    return (str(error) or type(error).__name__).splitlines()[0].rstrip(".")


def _class_names(archive):
    for name in _NAMES:
        if name in archive.files:
            try:
                return tuple(str(label) for label in archive[name].ravel())
            except _BROKEN:  # names are a nicety; pickled ones are not worth a failure
                return None
    return None


def _part(images, labels):
    if images is None:
        return None, None
    name, array = images
    checked = check_images(array, name)
    return checked, None if labels is None else check_labels(labels[1], labels[0], len(checked))


def check_images(array, name):
    """Bring an array of images to uint8 (N, height, width, channels).

    Args:
        array: (N, height, width) or (N, height, width, 1 or 3). Floats (and booleans) that do not
            exceed 1 are taken to be in [0, 1], everything else in [0, 255].
        name: what a complaint shall call it.

    Raises:
        DataError: for another rank or number of channels, no images, NaN, or values out of range.
    """
    if array.ndim == 3:
        array = array[..., None]
    if array.ndim != 4 or array.shape[-1] not in (1, 3):
        first = array.ndim == 4 and array.shape[1] in (1, 3)
        hint = " Channels seem to come first: move them to the end." if first else ""
        raise DataError(
            f"{name} has shape {array.shape}; images must be (N, height, width) or "
            f"(N, height, width, 1 or 3).{hint}"
        )
    if array.size == 0:
        raise DataError(f"{name} has shape {array.shape}: there are no images in it.")
    if array.dtype.kind not in "biuf":
        raise DataError(f"{name} has type {array.dtype}; images must be numbers.")
    if array.dtype == np.uint8:
        return array
    _check_range(array, name)
    unit = array.dtype.kind in "bf" and array.max() <= 1
    return np.rint(array * (255.0 if unit else 1.0)).astype(np.uint8)


def _check_range(array, name):
    if not np.isfinite(array).all():
        bad = int((~np.isfinite(array)).sum())
        raise DataError(f"{name} has {bad} values that are NaN or infinite; replace them first.")
    low, high = array.min(), array.max()
    if low < 0 or high > 255:
        raise DataError(
            f"{name} has values from {low:g} to {high:g}; images must be in [0, 255], or floats in "
            "[0, 1]. Give them before any normalisation."
        )


def check_labels(array, name, count):
    """Bring labels to int64 (N,).

    Args:
        array: (N,) or (N, 1), whole numbers from 0.
        name: what a complaint shall call it.
        count: number of images.

    Raises:
        DataError: for another shape or length, or labels that are no whole numbers from 0.
    """
    flat = array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array
    if flat.ndim != 1:
        raise DataError(f"{name} has shape {array.shape}; labels must be (N,), one number each.")
    if len(flat) != count:
        raise DataError(f"{name} has {len(flat)} labels for {count} images; they must agree.")
    whole = flat.dtype.kind in "biuf" and np.isfinite(flat).all() and (flat == np.floor(flat)).all()
    if not whole:
        raise DataError(f"{name} has type {array.dtype}; labels must be whole numbers from 0.")
    if flat.min() < 0:
        raise DataError(f"{name} has labels below 0 ({flat.min():g}); they must count from 0.")
    return flat.astype(np.int64)
