"""Images from a folder; class subfolders give the labels, if there are any."""

import dataclasses
import os

import numpy as np

from pipelines.encoded import EncodedImages
from pipelines.errors import DataError
from pipelines.files import check_path
from pipelines.image_data import (
    ImageData,
    check_memory,
    common_side,
    hold_out,
    keep_in_memory,
    tell,
)
from pipelines.progress import Progress
from pipelines.sources.claims import Unusable
from pipelines.sources.index import index_files
from pipelines.sources.paths import FileStore, Paths
from pipelines.sources.reading import read_file, scan_file
from pipelines.sources.squares import square_of
from pipelines.sources.walk import find_parts
from pipelines.threads import in_threads

_SAMPLE = 100
_NAMED = 5


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
    for part, (_, unusable) in zip(parts, read, strict=True):
        skipped += [(part.paths[row], reason) for row, reason in unusable.items()]
    skipped = tuple((_printable(os.path.relpath(file, path)), reason) for file, reason in skipped)
    total = count + sum(len(part.skipped) for part in parts)
    if skipped:
        log(f"{path}: passed over {len(skipped)} of {total} files.{tell(skipped)}")
    images = [images for images, _ in read]
    if not len(images[0]):
        raise DataError(f"{path} has no usable image in {total} files.{tell(skipped)}")
    labels = [_labels(*each, class_names) for each in zip(parts, read, strict=True)]
    data = ImageData(
        f"folder:{path}", images[0], labels[0], class_names=class_names, skipped=skipped
    )
    if len(parts) > 1 and len(images[1]):
        return dataclasses.replace(data, test_images=images[1], test_labels=labels[1])
    return data if len(parts) > 1 or class_names is None else hold_out(data, log)


def _parts(path, log):
    check_path("folder", path)
    if not os.path.isdir(path):
        raise DataError(f"{path} is not a folder. Give a folder of images, as folder:PATH.")
    try:
        parts = find_parts(path, log)
    except OSError as error:
        raise DataError(f"{error.filename} cannot be listed: {error.strerror}.") from error
    if not len(parts[0].paths):
        raise DataError(f"{path} has no files to read images from.{tell(parts[0].skipped)}")
    return parts


def _class_names(parts, path):
    train, *tests = parts
    if not train.class_names:
        return None
    for test in tests:
        unknown = sorted(set(test.class_names) - set(train.class_names))
        if unknown or len(test.paths) and not test.class_names:
            what = f"classes that the training part lacks: {', '.join(unknown[:_NAMED])}"
            raise DataError(
                f"{path}: the test part has {what if unknown else 'no class folders'}. "
                "Both parts need the same subfolders."
            )
    return train.class_names


def _choose_size(paths, log):
    sides = []
    for row in np.unique(np.linspace(0, len(paths) - 1, _SAMPLE).astype(int)):
        try:
            header = scan_file(paths[row])
            sides.append(min(header.height, header.width))
        except Unusable:
            continue
    image_size = common_side(sides or [0])
    log(
        f"Images are resized to {image_size} x {image_size} (median shorter side "
        f"{np.median(sides or [0]):.0f} pixels); image_size=N takes another size."
    )
    return image_size


def _decode(paths, image_size, root, log):
    """Squares of the files that can be used, and {row: reason} of the others."""

    def decode(file):
        try:
            return square_of(*read_file(file), image_size)
        except Unusable as reason:
            return str(reason)

    images = np.empty((len(paths), image_size, image_size, 3), np.uint8)
    good, unusable = 0, {}
    with Progress(f"Reading {root}", "files", len(paths), log=log) as progress:
        for row, result in enumerate(in_threads(decode, paths)):
            if isinstance(result, str):
                unusable[row] = result
            else:
                images[good] = result
                good += 1
            progress.add()
    return images[:good], unusable


def _encoded(parts, side, root, log):
    """For each part, `EncodedImages` of the files that can be used, {row: reason} of the others."""
    paths, folders = Paths(), Paths()
    for part in parts:
        paths.extend(part.paths)
        folders.extend(part.folders)
    index = index_files(root, paths, folders, log)
    columns = index.heights, index.widths, index.orientations, index.jpegs
    images = EncodedImages(FileStore(paths, index.state), np.arange(len(paths)), *columns, side)
    found, start = [], 0
    for part in parts:
        stop = start + len(part.paths)
        here = (start <= index.unusable) & (index.unusable < stop)
        rows, reasons = (index.unusable[here] - start).tolist(), index.reasons[here].tolist()
        good = start + np.flatnonzero(index.heights[start:stop])
        found.append((images.take(good), dict(zip(rows, reasons, strict=True))))
        start = stop
    return found


def _labels(part, read, class_names):
    if class_names is None:
        return None
    number = {name: label for label, name in enumerate(class_names)}
    numbers = np.array([number[name] for name in part.class_names], np.int64)
    return numbers[np.delete(part.labels, list(read[1]))]


def _printable(name):
    return name.encode("utf-8", "replace").decode("utf-8")
