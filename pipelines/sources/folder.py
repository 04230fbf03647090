"""Images from a folder; class subfolders give the labels, if there are any."""

import dataclasses
import os
from concurrent.futures import ThreadPoolExecutor
from itertools import compress

import numpy as np

from pipelines.encoded import EncodedImages
from pipelines.errors import DataError
from pipelines.image_data import (
    ImageData,
    check_memory,
    common_side,
    hold_out_mask,
    keep_in_memory,
    tell,
)
from pipelines.sources.decode import Unusable, decode_square, read_file, scan_file
from pipelines.sources.index import FileStore, index_files

_TEST_NAMES = ("test", "val", "valid", "validation")
_SAMPLE = 100
_NAMED = 5


@dataclasses.dataclass
class _Part:
    """Files of one part of the data, and the class of each; class `None` without class folders.

    `folders` are all those that were searched.
    """

    files: list
    classes: list
    skipped: list
    folders: list


def load_folder(path, *, image_size=None, in_memory=None, log=print):
    """Read a folder of JPEG, PNG, BMP, GIF (first frame) and WebP images as RGB squares.

    Subfolders are classes, in alphabetical order; without any, there are no labels. With a
    subfolder `train`, that is the training part, and `test` or `val` the test part. Otherwise, with
    labels, a fixed fifth of every class is held out. Files that cannot be used are passed over and
    reported. Links to folders are followed once. EXIF orientation is honoured.

    Images that stay on disk are indexed by their headers. The index is kept for the next run, and
    made anew when a folder changed; a file overwritten in place is not noticed.

    Args:
        path: the folder.
        image_size: side of the images; by default a usual size that half of them have.
        in_memory: whether all are decoded now, or each when it is read; by default as
            `keep_in_memory` says.
        log: called with each line for the user.

    Raises:
        DataError: if there is no such folder, no usable image in it, or not enough memory.
    """
    if not os.path.isdir(path):
        what = "is not a folder" if os.path.exists(path) else "does not exist"
        raise DataError(f"{path} {what}. Give a folder of images, as folder:PATH.")
    try:
        train, test = _find_parts(path)
    except OSError as error:
        raise DataError(f"{error.filename} cannot be listed: {error.strerror}.") from error
    if not train.files:
        raise DataError(f"{path} has no files to read images from.{tell(train.skipped)}")
    class_names = _class_names(train, test, path)
    if image_size is None:
        image_size = _choose_size(train.files, log)
    parts = [train, test] if test else [train]
    count = sum(len(part.files) for part in parts)
    if keep_in_memory(in_memory, count, image_size, 3):
        check_memory(count, image_size, 3, f"folder:{path}")
        images = [_decode(part, image_size) for part in parts]
    else:
        images = _encoded(parts, image_size, path)
    labels = [_labels(part, class_names) for part in parts]
    skipped = [_relative(path, *pair) for part in parts for pair in part.skipped]
    if skipped:
        log(f"{path}: passed over {len(skipped)} of {count} files.{tell(skipped)}")
    if not len(images[0]):
        raise DataError(f"{path} has no usable image in {count} files.{tell(skipped)}")
    data = ImageData(
        f"folder:{path}", images[0], labels[0], class_names=class_names, skipped=tuple(skipped)
    )
    if test and len(images[1]):
        return dataclasses.replace(data, test_images=images[1], test_labels=labels[1])
    return data if test or class_names is None else _hold_out(data, log)


def _find_parts(root):
    folders = {entry.name: entry.path for entry in _entries(root) if _is_folder(entry)}
    if "train" not in folders:
        return _index(root), None
    test = next((folders[name] for name in _TEST_NAMES if name in folders), None)
    return _index(folders["train"]), _index(test) if test else None


def _entries(folder):
    entries = [entry for entry in os.scandir(folder) if not entry.name.startswith(".")]
    return sorted(entries, key=lambda entry: entry.name)


def _is_folder(entry):
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _index(root):
    seen, skipped, folders = {_identity(root)}, [], [root]
    entries = _entries(root)
    by_class = {
        entry.name: list(_walk(entry.path, seen, skipped, folders))
        for entry in entries
        if _is_folder(entry)
    }
    loose = [entry.path for entry in entries if not _is_folder(entry)]
    pairs = [(name, file) for name, files in by_class.items() for file in files]
    if not pairs:
        return _Part(loose, [None] * len(loose), skipped, folders)
    skipped += [(file, "outside of the class folders") for file in loose]
    return _Part([file for _, file in pairs], [name for name, _ in pairs], skipped, folders)


def _walk(folder, seen, skipped, folders):
    """Files below a folder, in order; a folder met before, through a link, is not entered again."""
    folders.append(folder)
    try:
        identity = _identity(folder)
        entries = _entries(folder) if identity not in seen else []
    except OSError as error:
        skipped.append((folder, error.strerror))
        return
    seen.add(identity)
    for entry in entries:
        if _is_folder(entry):
            yield from _walk(entry.path, seen, skipped, folders)
        else:
            yield entry.path


def _identity(folder):
    status = os.stat(folder)
    return status.st_dev, status.st_ino


def _class_names(train, test, path):
    names = sorted({name for name in train.classes if name is not None})
    if not names:
        return None
    unknown = sorted({str(name) for name in test.classes} - set(names)) if test else []
    if unknown:
        raise DataError(
            f"{path}: the test part has classes that the training part lacks: "
            f"{', '.join(unknown[:_NAMED])}. Both need the same subfolders."
        )
    return tuple(names)


def _choose_size(files, log):
    sides = []
    for index in np.unique(np.linspace(0, len(files) - 1, _SAMPLE).astype(int)):
        try:
            header = scan_file(files[index])
            sides.append(min(header.height, header.width))
        except Unusable:
            continue
    image_size = common_side(sides) if sides else common_side([0])
    log(
        f"Images are resized to {image_size} x {image_size} (median shorter side "
        f"{np.median(sides or [0]):.0f} pixels); --set data.image_size=N takes another size."
    )
    return image_size


def _decode(part, image_size):
    """Squares of a part; drops the files that cannot be used."""

    def decode(file):
        try:
            return decode_square(read_file(file), image_size)
        except Unusable as reason:
            return str(reason)

    images = np.empty((len(part.files), image_size, image_size, 3), np.uint8)
    reasons = {}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for row, result in enumerate(pool.map(decode, part.files)):
            if isinstance(result, str):
                reasons[row] = result
            else:
                images[row] = result
    good = _drop(part, reasons)
    return images if good.all() else images[good]


def _encoded(parts, side, root):
    """`EncodedImages` of each part; drops the files that cannot be used."""
    files = [file for part in parts for file in part.files]
    index = index_files(root, files, [folder for part in parts for folder in part.folders])
    images = EncodedImages(
        FileStore(files),
        np.arange(len(files)),
        index.heights,
        index.widths,
        index.orientations,
        index.jpegs,
        side,
    )
    reasons = dict(zip(index.unusable.tolist(), index.reasons.tolist(), strict=True))
    found, start = [], 0
    for part in parts:
        rows = np.arange(start, start + len(part.files))
        start += len(rows)
        good = _drop(part, {row - rows[0]: reasons[row] for row in rows if row in reasons})
        found.append(images.take(rows[good]))
    return found


def _drop(part, reasons):
    """Move files from those of a part to the skipped ones; gives the mask of the others."""
    good = np.ones(len(part.files), bool)
    good[list(reasons)] = False
    part.skipped += [(part.files[row], reason) for row, reason in reasons.items()]
    part.files, part.classes = (list(compress(row, good)) for row in (part.files, part.classes))
    return good


def _labels(part, class_names):
    if class_names is None:
        return None
    number = {name: label for label, name in enumerate(class_names)}
    return np.array([number[name] for name in part.classes], np.int64)


def _relative(root, file, reason):
    return _printable(os.path.relpath(file, root)), reason


def _printable(name):
    return name.encode("utf-8", "replace").decode("utf-8")


def _hold_out(data, log):
    test = hold_out_mask(data.train_labels, log)
    if test is None:
        return data
    return dataclasses.replace(
        data,
        train_images=_rows(data.train_images, ~test),
        train_labels=data.train_labels[~test],
        test_images=_rows(data.train_images, test),
        test_labels=data.train_labels[test],
    )


def _rows(images, mask):
    return images.take(mask) if isinstance(images, EncodedImages) else images[mask]
