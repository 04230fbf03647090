"""Images and labels from a NumPy `.npz` file."""

import os
import struct
import zipfile
import zlib

import numpy as np

from keras_ssl.core.errors import UserError
from pipelines.data.fingerprint import keys_of
from pipelines.data.image_data import ImageData, dense_labels, hold_out
from pipelines.data.names import check_path

_IMAGES = {
    "train": ("x_train", "train_images"),
    "validation": ("x_val", "x_validation", "val_images", "validation_images"),
    "test": ("x_test", "test_images"),
}
_LABELS = {
    "validation": ("y_val", "y_validation", "val_labels", "validation_labels"),
    "train": ("y_train", "train_labels", "train_fine"),
    "test": ("y_test", "test_labels", "test_fine"),
}
_NAMES = ("class_names", "names", "fine_names")
_BROKEN = (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError)
_EXPECTED = (
    "Needed: x_train (N, H, W, C); optional: y_train, x_test, y_test, x_val, y_val "
    "(or train_images, train_labels, test_images, test_labels, val_images, val_labels)."
)
_DIM = 16  # of 255: an image that is nowhere brighter is hardly one in [0, 255]
_OVERSHOOT = _DIM / 255  # what resizing adds to floats in [0, 1]
_BLOCK = 256  # images converted at a time


def load_npz(path, *, in_memory=None, log=print):
    """Read the arrays x_train, y_train, x_test, y_test, or train_images, train_labels, ....

    Only the training images are needed. Beside all four, x_val and y_val are the part that settings
    are chosen by: they come before the training images, and `validation_rows` says so.

    Images may be uint8, whole numbers in 0..255, or floats in [0, 1] or [0, 255]; gray ones may
    lack the channel axis. Where there are labels and no test part, about a fifth of the images is
    held out, each by its own pixels. Labels with gaps and without names are numbered anew.

    Args:
        path: of the file.
        in_memory: `False` leaves uint8 images in the file, which must not change meanwhile, if it
            is not a compressed one; training images only where there is no x_val.
        log: called with each line for the user.

    Raises:
        UserError: if the file cannot be read, or the arrays do not fit; says which and why.
    """
    with _open(path) as archive:
        mapped = in_memory is False
        found = {part: _found(archive, part, path, mapped) for part in _IMAGES}
        if found["train"][0] is None:
            there = ", ".join(archive.files) or "nothing"
            raise UserError(f"{path} has no training images; it has {there}. {_EXPECTED}")
        class_names = _class_names(archive)
    train_images, train_labels = _part(*found["train"], log)
    test_images, test_labels = _part(*found["test"], log)
    _check_agree(path, train_images, test_images, "test")
    own = None
    if all(pair is not None for part in _IMAGES for pair in found[part]):
        images, own = _part(*found["validation"], log)
        _check_agree(path, train_images, images, "validation")
        train_images = np.concatenate([images, train_images])
        train_labels = np.concatenate([own, train_labels])
    labels = train_labels, test_labels
    if not _covers(class_names, labels):
        class_names = None
        if any(some is not None for some in labels):
            labels, class_names = dense_labels(labels, path, log)
    _log_unknown(path, *labels, class_names, log)
    data = ImageData(
        f"npz:{path}",
        train_images,
        labels[0],
        test_images,
        labels[1],
        class_names=class_names,
        validation_rows=None if own is None else np.arange(len(own)),
    )
    if train_labels is not None and test_images is None:
        return hold_out(data, keys_of(train_images), log)
    return data


def _check_agree(path, train, other, part):
    if other is not None and other.shape[1:] != train.shape[1:]:
        raise UserError(
            f"{path}: {part} images are {other.shape[1:]}, training images {train.shape[1:]} "
            "(height, width, channels); they must agree."
        )


def _covers(class_names, labels):
    """Whether there is a name for every label."""
    return class_names is not None and all(
        some is None or some.max() < len(class_names) for some in labels
    )


def _log_unknown(path, train, test, class_names, log):
    if train is None or test is None:
        return
    unknown = np.setdiff1d(test, train)
    if len(unknown):
        names = [class_names[label] if class_names else str(label) for label in unknown[:5]]
        log(
            f"{path}: {np.isin(test, unknown).sum()} test images are of classes without training "
            f"images ({', '.join(names)}{', ...' if len(unknown) > 5 else ''}); none of them can "
            "be predicted correctly."
        )


def load_npz_test(path, *, log=print):
    """Read the test part alone, of a file that may have no other.

    Args:
        path: of the file.
        log: called with each line for the user.

    Returns:
        (images, labels, class names), as `load_npz` has them; the images are `None` where the file
        has no test images.

    Raises:
        UserError: as `load_npz` does.
    """
    with _open(path) as archive:
        images, labels = _part(*_found(archive, "test", path), log)
        class_names = _class_names(archive)
    return images, labels, class_names if _covers(class_names, [labels]) else None


def _open(path):
    check_path("npz", path)
    if not os.path.isfile(path):
        raise UserError(f"{path} is not a file. For a folder of images use folder:{path}.")
    try:
        archive = np.load(path, allow_pickle=False)
    except _BROKEN as error:
        raise UserError(f"{path} is not a readable .npz file ({_reason(error)}).") from error
    if not isinstance(archive, np.lib.npyio.NpzFile):
        raise UserError(f"{path} holds a single array, not an .npz archive. {_EXPECTED}")
    return archive


def _found(archive, part, path, mapped=False):
    """Images and labels of a part, as `_first` finds them."""
    images = _first(archive, _IMAGES[part], path, mapped)
    return images, _first(archive, _LABELS[part], path)


def _first(archive, names, path, mapped=False):
    """(name, array) of the first of the names that is there, or `None`."""
    name = next((name for name in names if name in archive.files), None)
    if name is None:
        return None
    try:
        there = _in_file(archive, name, path) if mapped else None
        return name, archive[name] if there is None else there
    except (*_BROKEN, MemoryError) as error:
        raise UserError(f"{path}: array {name} cannot be read ({_reason(error)}).") from error


def _in_file(archive, name, path):
    """An array as it lies in the archive, mapped; `None` if it is compressed, or of objects."""
    info = archive.zip.getinfo(f"{name}.npy")
    if info.compress_type != zipfile.ZIP_STORED:
        return None
    with open(path, "rb") as file:
        file.seek(info.header_offset + 26)  # of the local header, whose lengths may differ
        file.seek(sum(struct.unpack("<HH", file.read(4))), os.SEEK_CUR)
        if np.lib.format.read_magic(file) != (1, 0):
            return None
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
        if dtype.hasobject or not all(shape):
            return None
        order = "F" if fortran else "C"
        return np.memmap(path, dtype, "r", file.tell(), shape, order)


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


def _part(images, labels, log):
    if images is None:
        return None, None
    name, array = images
    checked = check_images(array, name, log)
    return checked, None if labels is None else check_labels(labels[1], labels[0], len(checked))


def check_images(array, name, log=print):
    """Bring an array of images to uint8 (N, height, width, channels).

    Whole numbers are levels in [0, 255], unless all are 0 or 1. Floats are in [0, 1] if no image
    exceeds that by more than resizing makes them, and in [0, 255] if nearly all images do. What
    lies a little out of the range is clipped.

    Args:
        array: (N, height, width) or (N, height, width, 1 or 3).
        name: what to call it in a message.
        log: called with a line for the user where the type alone does not decide.

    Raises:
        UserError: for another rank or number of channels, no images, NaN, values out of range, or
            floats of which it is not certain what white is.
    """
    if array.ndim == 3:
        array = array[..., None]
    if array.ndim != 4 or array.shape[-1] not in (1, 3):
        raise UserError(
            f"{name} has shape {array.shape}; images must be (N, height, width) or "
            f"(N, height, width, 1 or 3).{_advice(array)}"
        )
    if array.size == 0:
        raise UserError(f"{name} has shape {array.shape}: there are no images in it.")
    if array.dtype.kind not in "biuf":
        raise UserError(f"{name} has type {array.dtype}; images must be numbers.")
    if array.dtype == np.uint8 and any(block.max() > 1 for block in _blocks(array)):
        return array
    lows, highs = _ranges(array, name)
    white = _white(array.dtype, lows, highs, name)
    if array.dtype.kind != "b" and (array.dtype.kind == "f" or white == 1):
        log(f"{name}: values from {lows.min():.8g} to {highs.max():.8g} are read as [0, {white}].")
    images = np.empty(array.shape, np.uint8)
    for start, block in zip(range(0, len(array), _BLOCK), _blocks(array), strict=True):
        levels = np.clip(block * (255.0 / white), 0, 255)
        images[start : start + len(block)] = np.rint(levels)
    return images


def _advice(array):
    if array.ndim != 4:
        return ""
    if array.shape[1] in (1, 3):
        return " Channels seem to come first: move them to the end."
    if array.shape[-1] == 4:
        return " The fourth channel seems to be opacity: leave it out, as images[..., :3]."
    return " Choose one or three of the channels."


def _blocks(array):
    return (array[start : start + _BLOCK] for start in range(0, len(array), _BLOCK))


def _ranges(array, name):
    """Smallest and largest value of each image."""
    lows, highs, bad = [], [], 0
    for block in _blocks(array):
        flat = block.reshape(len(block), -1)
        bad += int(flat.size - np.isfinite(flat).sum())
        lows.append(flat.min(axis=1))
        highs.append(flat.max(axis=1))
    if bad:
        raise UserError(f"{name} has {bad} values that are NaN or infinite; replace them first.")
    return np.concatenate(lows), np.concatenate(highs)


def _white(dtype, lows, highs, name):
    """The value of white, 1 or 255."""
    low, high = lows.min(), highs.max()
    span = f"{name} has values from {low:.8g} to {high:.8g}"
    if dtype.kind != "f":
        if low < 0 or high > 255:
            raise UserError(
                f"{span} ({dtype}); images must be in [0, 255]. Scale them first: "
                f"(x / white * 255).round().astype('uint8'), where white is the largest value "
                "that there can be, such as 65535 of 16 bits."
            )
        return 1 if high == 1 else 255
    lit = highs[highs > 0]
    dim = np.mean(lit <= 1 + _OVERSHOOT) if len(lit) else 1.0
    white = 1 if dim == 1 else 255
    if low < -_OVERSHOOT * white or high > 255 + _DIM:
        raise UserError(
            f"{span}; images must be in [0, 255], or floats in [0, 1]. Give them before any "
            "normalization."
        )
    if 0 < high < white * _OVERSHOOT or white == 255 and dim > 0.05:
        few = f": {np.sum(lit > 1 + _OVERSHOOT)} of {len(lit)} images exceed 1" if dim < 1 else ""
        raise UserError(
            f"{span}{few}. It is not certain whether white is 1 or 255 or something else: scale "
            "them to [0, 1] or to [0, 255], or mend the images that differ."
        )
    return white


def check_labels(array, name, count):
    """Bring labels to int64 (N,).

    Args:
        array: (N,) or (N, 1), whole numbers from 0.
        name: what to call it in a message.
        count: number of images.

    Raises:
        UserError: for another shape or length, or labels that are no whole numbers from 0.
    """
    flat = array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array
    if flat.ndim != 1:
        raise UserError(f"{name} has shape {array.shape}; labels must be (N,), one number each.")
    if len(flat) != count:
        raise UserError(f"{name} has {len(flat)} labels for {count} images; they must agree.")
    whole = flat.dtype.kind in "biuf" and np.isfinite(flat).all() and (flat == np.floor(flat)).all()
    if not whole:
        raise UserError(f"{name} has type {array.dtype}; labels must be whole numbers from 0.")
    if flat.min() < 0:
        raise UserError(f"{name} has labels below 0 ({flat.min():g}); they must count from 0.")
    if flat.max() >= 2**63:
        raise UserError(f"{name} has labels up to {flat.max():g}; they must count from 0.")
    return flat.astype(np.int64)
