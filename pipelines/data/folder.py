"""Images from a folder; class subfolders give the labels, if there are any."""

import dataclasses
import os

import numpy as np

from keras_ssl.core.errors import UserError
from pipelines.data.encoded import EncodedImages
from pipelines.data.fingerprint import Files, key_of
from pipelines.data.folder_index import FileStore, index_files
from pipelines.data.image_data import (
    NAMED,
    SAMPLE,
    ImageData,
    check_memory,
    common_side,
    hold_out,
    keep_in_memory,
    listed_by_reason,
)
from pipelines.data.names import check_path
from pipelines.data.walk import find_parts
from pipelines.files import in_threads, progress
from pipelines.images.decoding import read_file, square_of
from pipelines.images.headers import Unusable


def load_folder(path, *, image_size=None, in_memory=None, log=print):
    """Read a folder of JPEG, PNG, BMP, GIF (first frame) and WebP images as RGB squares.

    Subfolders are classes, in alphabetical order; without any, or with one alone, there are no
    labels. With a subfolder `train`, that is the training part, and `test` or `val` the test part.
    Otherwise, with labels, about a fifth of every class is held out, each image by its own path.
    Files that cannot be used are skipped and reported, and so are classes of nothing else.
    Links to folders are followed once. EXIF orientation is obeyed.

    Images that stay on disk are decoded once, so that both ways of reading use the same ones. What
    that shows is kept for the next run, which looks only at files that are new or changed.

    Args:
        path: the folder.
        image_size: side of the images; by default a usual size that half of them have.
        in_memory: whether all are decoded now, or each when it is read; by default as
            `keep_in_memory` says.
        log: called with each line for the user.

    Raises:
        UserError: if there is no such folder, no usable image in it, or not enough memory.
    """
    parts = _parts(path, log)
    class_names = _class_names(parts, path)
    if image_size is None:
        image_size = _choose_size(parts[0].paths, log)
    count = sum(len(part.paths) for part in parts)
    if keep_in_memory(in_memory, count, image_size, 3):
        check_memory(count, image_size, 3, f"folder:{path}")
        read = [_decode(part.paths, image_size, path, log) for part in parts]
    else:
        read = _encoded(parts, image_size, path, log)
    skipped = [pair for part in parts for pair in part.skipped]
    for part, (_, _, unusable) in zip(parts, read, strict=True):
        skipped += [(part.paths[row], reason) for row, reason in unusable.items()]
    skipped = tuple((_printable(os.path.relpath(file, path)), reason) for file, reason in skipped)
    total = count + sum(len(part.skipped) for part in parts)
    images = [images for images, _, _ in read]
    if not len(images[0]):
        raise UserError(f"{path} has no usable image in {total} files.{listed_by_reason(skipped)}")
    if skipped:
        log(f"{path}: skipped {len(skipped)} of {total} files.{listed_by_reason(skipped)}")
    rows = [
        np.delete(np.arange(len(part.paths)), list(unusable))
        for part, (_, _, unusable) in zip(parts, read, strict=True)
    ]
    labels, class_names = _labels(parts, rows, class_names, path, log)
    names = [part.paths[row] for part, good in zip(parts, rows, strict=True) for row in good]
    keys = None if read[0][1] is None else np.concatenate([keys for _, keys, _ in read])
    data = ImageData(
        f"folder:{path}",
        images[0],
        labels[0],
        class_names=class_names,
        skipped=skipped,
        files=Files(names, keys),
    )
    if len(parts) > 1 and len(images[1]):
        return dataclasses.replace(data, test_images=images[1], test_labels=labels[1])
    if len(parts) > 1:
        log(f"{parts[1].root} has no usable image: it is no test part.")
    if class_names is None:
        return data
    names = (os.path.relpath(parts[0].paths[row], parts[0].root) for row in rows[0])
    keys = [key_of(os.fsencode(name.replace(os.sep, "/"))) for name in names]
    return hold_out(data, np.array(keys, np.uint64), log)


def _parts(path, log):
    check_path("folder", path)
    if not os.path.isdir(path):
        raise UserError(f"{path} is not a folder. Give a folder of images, as folder:PATH.")
    try:
        parts = find_parts(path, log)
    except OSError as error:
        raise UserError(f"{error.filename} cannot be listed: {error.strerror}.") from error
    if not len(parts[0].paths):
        raise UserError(
            f"{path} has no files to read images from.{listed_by_reason(parts[0].skipped)}"
        )
    return parts


def _class_names(parts, path):
    """Names of the classes with files in the training part, or `None`; the test part must fit."""
    train, *tests = parts
    if len(train.class_names) < 2:
        return None
    for test in tests:
        _check_known(test.class_names, train.class_names, path)
        if len(test.paths) and not test.class_names:
            raise UserError(
                f"{path}: the test part has no class folders. Both parts need the same subfolders."
            )
    return train.class_names


def _check_known(names, known, path):
    unknown = sorted(set(names) - set(known))
    if unknown:
        raise UserError(
            f"{path}: the test part has classes that the training part lacks: "
            f"{', '.join(map(_printable, unknown[:NAMED]))}. Both parts need the same subfolders."
        )


def _choose_size(paths, log):
    sides = []
    for row in np.unique(np.linspace(0, len(paths) - 1, SAMPLE).astype(int)):
        try:
            header, _ = read_file(paths[row])
            sides.append(min(header.height, header.width))
        except Unusable:
            continue
    image_size = common_side(sides or [0])
    if sides:
        log(
            f"Images are resized to {image_size} x {image_size} (median shorter side "
            f"{np.median(sides):.0f} pixels); --set data.image_size=N takes another size."
        )
    return image_size


def _decode(paths, image_size, root, log):
    """Squares and keys of the files that can be used, and {row: reason} of the others."""

    def decode(file):
        try:
            header, content = read_file(file)
            return square_of(header, content, image_size), key_of(content)
        except Unusable as reason:
            return str(reason)

    images = np.empty((len(paths), image_size, image_size, 3), np.uint8)
    keys, unusable = [], {}
    with progress(f"Reading {root}", "files", len(paths), log=log) as bar:
        for row, result in enumerate(in_threads(decode, paths)):
            if isinstance(result, str):
                unusable[row] = result
            else:
                images[len(keys)] = result[0]
                keys.append(result[1])
            bar.update()
    return images[: len(keys)], np.array(keys, np.uint64), unusable


def _encoded(parts, side, root, log):
    """As `_decode` for each part, with `EncodedImages` and without keys."""
    paths = [path for part in parts for path in part.paths]
    index = index_files(root, paths, log)
    columns = index.heights, index.widths, index.orientations, index.jpegs
    images = EncodedImages(FileStore(paths, index.state), np.arange(len(paths)), *columns, side)
    found, start = [], 0
    for part in parts:
        stop = start + len(part.paths)
        here = (start <= index.unusable) & (index.unusable < stop)
        rows, reasons = (index.unusable[here] - start).tolist(), index.reasons[here].tolist()
        good = start + np.flatnonzero(index.heights[start:stop])
        found.append((images.take(good), None, dict(zip(rows, reasons, strict=True))))
        start = stop
    return found


def _labels(parts, rows, class_names, path, log):
    """Labels of the usable files of each part, or `None`, and the names of their classes."""
    if class_names is None:
        _log_without_labels(parts, log)
        return [None] * len(parts), None
    number = {name: label for label, name in enumerate(class_names)}
    labels = []
    for part, good in zip(parts, rows, strict=True):
        numbers = np.array([number[name] for name in part.class_names], np.int64)
        labels.append(numbers[part.labels[good]])
    used = np.unique(labels[0])
    names = tuple(_printable(class_names[label]) for label in used)
    _check_known(
        [class_names[label] for label in np.unique(np.concatenate(labels))],
        [class_names[label] for label in used],
        path,
    )
    empty = [_printable(name) for name in class_names if name not in {class_names[u] for u in used}]
    if empty:
        some = ", ".join(empty[:NAMED]) + (", ..." if len(empty) > NAMED else "")
        log(f"{path}: no usable image in {some}: {len(used)} classes remain.")
    if len(used) < 2:
        log(f"{path}: the only class is {names[0]}, so that there are no labels.")
        return [None] * len(parts), None
    return [np.searchsorted(used, some) for some in labels], names


def _log_without_labels(parts, log):
    train, *tests = parts
    if train.class_names:
        name = _printable(train.class_names[0])
        log(f"{train.root}: the only class is {name}, so that there are no labels.")
    elif any(test.class_names for test in tests):
        log(
            f"{train.root} has no class folders, so that there are no labels; those of the test "
            "part are of no use without."
        )


def _printable(name):
    return name.encode("utf-8", "replace").decode("utf-8")
