"""Images from a folder; class subfolders give the labels, if there are any."""

import dataclasses
import os

import numpy as np

from keras_ssl.core.errors import UserError
from pipelines.data.encoded import EncodedImages
from pipelines.data.fingerprint import Files, key_of
from pipelines.data.folder_index import FileStore, index_files
from pipelines.data.image_data import (
    ImageData,
    check_memory,
    common_side,
    hold_out,
    keep_in_memory,
    listed_by_reason,
)
from pipelines.data.layout import (
    alike,
    check_no_parts,
    choose,
    descend,
    identity_of,
    is_directory,
    is_hidden,
    part_of,
    tell_tables,
)
from pipelines.data.names import check_path
from pipelines.files import in_threads, progress
from pipelines.images.decoding import read_file, square_of
from pipelines.images.headers import Unusable

_SAMPLE = 100
_NAMED = 5
_FOLDER = b"\0"  # behind the name of a folder: no name contains it, and the order stays


def load_folder(path, *, image_size=None, in_memory=None, log=print):
    """Read a folder of JPEG, PNG, BMP, GIF (first frame) and WebP images as RGB squares.

    Subfolders are classes, in alphabetical order; without any, or with one alone, there are no
    labels. With a subfolder `train`, that is the training part, and `test` or `val` the test part.
    Otherwise, with labels, about a fifth of every class is held out, each image by its own path.
    Files that cannot be used are skipped and reported, and so are classes of nothing else.
    Links to folders are followed once. EXIF orientation is honoured.

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
            f"{', '.join(map(_printable, unknown[:_NAMED]))}. Both parts need the same subfolders."
        )


def _choose_size(paths, log):
    sides = []
    for row in np.unique(np.linspace(0, len(paths) - 1, _SAMPLE).astype(int)):
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
        _tell_unlabelled(parts, log)
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
        some = ", ".join(empty[:_NAMED]) + (", ..." if len(empty) > _NAMED else "")
        log(f"{path}: no usable image in {some}: {len(used)} classes remain.")
    if len(used) < 2:
        log(f"{path}: the only class is {names[0]}, so that there are no labels.")
        return [None] * len(parts), None
    return [np.searchsorted(used, some) for some in labels], names


def _tell_unlabelled(parts, log):
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


@dataclasses.dataclass(frozen=True)
class Part:
    """Files of one part of the data.

    Args:
        paths: of the files, in order.
        labels: int32 (N,), positions in `class_names`; 0 where there are none.
        class_names: names of the class folders with files in them, in order; or none.
        skipped: (path, reason) of what was skipped.
        root: path of the folder that all of it lies in.
    """

    paths: list[str]
    labels: np.ndarray
    class_names: tuple
    skipped: tuple
    root: str


def find_parts(root, log=print):
    """The training part of a folder, and the test part if there is one: a list of `Part`.

    A folder `train` is the training part, and one `test`, or else `val`, the test part, in any case
    and usual spelling. A folder that is the only one with images, or holds them beside their masks,
    is looked into. What was taken for what is said.

    Args:
        root: path of the folder.
        log: called with each line for the user.

    Raises:
        UserError: if it is not certain what is a part and what a class.
        OSError: if a folder cannot be listed, on which everything depends.
    """
    root = os.fspath(root)
    top = descend(root, log)
    chosen = choose(top, log)
    train = top if chosen == [top] else descend(chosen[0], log)
    roots = [train]
    for test in chosen[1:]:
        roots.append(alike(test, os.path.relpath(train, chosen[0]), os.path.basename(chosen[0])))
    tell_tables(dict.fromkeys([root, top, *chosen, *roots]), log)
    with progress(f"Listing {root}", "files", log=log) as bar:
        return [_Search(part, bar, log).part() for part in roots]


class _Search:
    def __init__(self, root, bar, log):
        self._root, self._bar, self._log = root, bar, log
        self._seen, self._skipped = {identity_of(root)}, []
        self._paths = []

    def part(self):
        labels, names, loose = [], [], []
        for path, is_folder in self._entries(self._root):
            if not is_folder:
                loose.append(path)
                continue
            if part_of(os.path.basename(path)) == "unlabeled":
                self._log(f"Not read: {path}. It is not taken for a class.")
                continue
            before = len(self._paths)
            self._walk(path)
            if len(self._paths) > before:
                labels += [len(names)] * (len(self._paths) - before)
                names.append(os.path.basename(path))
        if names:
            self._skipped += [(path, "outside of the class folders") for path in loose]
        else:
            self._paths, labels = loose, [0] * len(loose)
        labels = np.array(labels, np.int32)
        skipped = tuple(self._skipped)
        return Part(self._paths, labels, tuple(names), skipped, self._root)

    def _walk(self, top):
        """Find the files below a folder; without recursion, since folders may lie very deep."""
        open_folders = [self._enter(top)]
        while open_folders:
            path, is_folder = next(open_folders[-1], (None, False))
            if path is None:
                open_folders.pop()
            elif is_folder:
                open_folders.append(self._enter(path))
            else:
                self._paths.append(path)

    def _enter(self, folder):
        """What lies in a folder; nothing if it was met before, through a link."""
        try:
            identity = identity_of(folder)
            if identity in self._seen:
                return iter(())
            entries = self._entries(folder)
        except OSError as error:
            self._skipped.append((folder, error.strerror))
            return iter(())
        self._seen.add(identity)
        return entries

    def _entries(self, folder):
        """(path, whether it is a folder) of all that lies there and is not hidden, in order."""
        names = []
        with os.scandir(folder) as entries:
            for entry in entries:
                if is_hidden(entry.name):
                    continue
                is_folder = is_directory(entry)
                names.append(os.fsencode(entry.name) + (_FOLDER if is_folder else b""))
                if not is_folder:
                    self._bar.update()
        names.sort()
        found = [os.fsdecode(name[:-1]) for name in names if name.endswith(_FOLDER)]
        check_no_parts(folder, found)
        return (
            (os.path.join(folder, os.fsdecode(name.removesuffix(_FOLDER))), _FOLDER in name)
            for name in names
        )
